//! What can go wrong with an authorization server, sorted by what the caller does next.
//!
//! Invariant: no variant carries a secret in its text or raw text of a server, and each [`RefreshError`] says whether
//! the refresh token that was sent may have been used up.

use crate::{json, show};
use broker::Span;
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::fmt;

/// What a server said when it refused: safe to show, cut to what helps a help desk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// The error word (RFC 6749 §5.2), such as `invalid_client`; `http_403` where the answer had none.
    pub error: String,
    /// A finer word, where the provider gives one (Entra ID: `suberror`).
    pub suberror: Option<String>,
    /// The provider's own code, such as `AADSTS65001`.
    pub code: Option<String>,
    /// The provider's correlation id.
    pub correlation: Option<String>,
    /// The description: sanitised, at most 200 characters, without long words. Not part of the displayed text.
    pub description: Option<String>,
}

impl ServerError {
    /// Just an error word of our own choosing.
    pub(crate) fn of(error: &str) -> Self {
        Self { error: show::word(error), ..Self::default() }
    }

    /// From the answer of a token endpoint; `None` without a textual `error` member.
    pub(crate) fn read(object: &Map<String, Value>) -> Option<Self> {
        let error = show::word(json::text(object, "error")?);
        let description = json::text(object, "error_description");
        let said = Self::described(error, description);
        Some(Self {
            suberror: json::text(object, "suberror").map(show::word),
            code: said.code.or_else(|| json::text(object, "errorCode").and_then(show::identifier)),
            correlation: json::text(object, "correlation_id").and_then(show::identifier).or(said.correlation),
            ..Self { error: said.error, description: said.description, ..Self::default() }
        })
    }

    /// From an error word and its description.
    pub(crate) fn described(error: String, description: Option<&str>) -> Self {
        let text = description.unwrap_or_default();
        Self {
            error,
            suberror: None,
            code: provider_code(text),
            correlation: after(text, "Correlation ID: ").and_then(|id| show::identifier(&id)),
            description: description.map(show::sentence).filter(|d| !d.is_empty()),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        let details: Vec<String> = [
            self.suberror.clone(),
            self.code.clone(),
            self.correlation.as_ref().map(|id| format!("correlation id {id}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if details.is_empty() { Ok(()) } else { write!(f, " ({})", details.join(", ")) }
    }
}

/// `AADSTS` or `AADB2C` followed by digits, wherever it stands.
fn provider_code(text: &str) -> Option<String> {
    ["AADSTS", "AADB2C"].into_iter().find_map(|prefix| {
        let rest = &text[text.find(prefix)? + prefix.len()..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(10).collect();
        (!digits.is_empty()).then(|| format!("{prefix}{digits}"))
    })
}

/// The word that follows `mark`.
fn after(text: &str, mark: &str) -> Option<String> {
    let rest = &text[text.find(mark)? + mark.len()..];
    Some(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').take(41).collect())
}

/// Why the authorization server gave us nothing we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// It does not answer, or says that it cannot now.
    #[error("the issuer is unavailable: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
        /// When it wants to be asked again: 0 to 3600 seconds.
        retry_after: Option<Span>,
    },
    /// It did not answer in time; with what was waited for.
    #[error("the issuer did not answer in time ({0})")]
    Timeout(&'static str),
    /// A web page came where JSON belongs: most likely the sign-in page of the network.
    #[error(
        "a web page came instead of {at}: the network may want a sign-in of its own first, open any web page to see"
    )]
    CaptivePortal {
        /// What was asked for.
        at: &'static str,
    },
    /// It does not want this client, redirect URI, grant or request.
    #[error("the issuer refused: {0}")]
    Rejected(Box<ServerError>),
    /// It wants the person to do something (consent, a second factor) for what was asked.
    #[error("the issuer wants you to sign in again: {0}")]
    InteractionRequired(Box<ServerError>),
    /// It has no session of the person any more.
    #[error("the issuer wants you to sign in: {0}")]
    LoginRequired(Box<ServerError>),
    /// The person, or a rule at the issuer, said no.
    #[error("the sign-in was refused: {0}")]
    AccessDenied(Box<ServerError>),
    /// The resource or audience is unknown to it, or not for this account (RFC 8707 §2).
    #[error("the issuer does not know this resource or does not allow it: {0}")]
    InvalidTarget(Box<ServerError>),
    /// A scope is unknown to it or not allowed.
    #[error("the issuer does not know or does not allow a scope: {0}")]
    InvalidScope(Box<ServerError>),
    /// Somebody signed in whom the profile does not accept.
    #[error("{display} signed in, but the profile wants another {claim}: sign in with the other account")]
    WrongAccount {
        /// Who signed in, for people.
        display: String,
        /// The claim that differs.
        claim: String,
    },
    /// Its metadata or keys cannot be used (RFC 8414 §3.3, OpenID Connect Discovery §4.3).
    #[error("the issuer's metadata cannot be used: {0}")]
    BadMetadata(String),
    /// The answer at the redirect URI cannot be trusted (RFC 9207 §2.4).
    #[error("the answer of the sign-in cannot be trusted: {0}")]
    BadCallback(&'static str),
    /// The token endpoint's answer breaks the rules (RFC 6749 §5.1).
    #[error("the issuer's token answer is not valid: {0}")]
    BadAnswer(&'static str),
    /// The ID token fails verification (OpenID Connect Core §3.1.3.7).
    #[error("the issuer's ID token is not valid: {0}")]
    BadIdToken(&'static str),
    /// Its certificate is not trusted on this machine: TLS inspection, a missing root, or an attack.
    #[error("the issuer is unavailable: its certificate is not trusted here ({detail})")]
    Untrusted {
        /// What is wrong with it.
        detail: String,
    },
    /// The sign-in does not show what was demanded of it (RFC 9470, OpenID Connect Core §5.5.1.1).
    #[error("the sign-in does not meet what was asked for: {0}")]
    Unmet(String),
    /// It does not offer this.
    #[error("the issuer does not offer {0}")]
    NotOffered(&'static str),
    /// The sign-in took longer than ten minutes.
    #[error("the sign-in took too long: start again")]
    Expired,
    /// The configuration cannot be used.
    #[error("the configuration cannot be used: {0}")]
    Config(String),
}

impl OidcError {
    /// Whether asking again later may help: the issuer, or the network before it, is not there now.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Timeout(_) | Self::CaptivePortal { .. } | Self::Untrusted { .. }
        )
    }

    /// When the issuer wants to be asked again, where it said so: 0 to 3600 seconds.
    pub fn retry_after(&self) -> Option<Span> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Why a refresh brought no token, sorted by what became of the refresh token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Provably nothing reached the token endpoint: the refresh token was not used.
    #[error(transparent)]
    NotSent(OidcError),
    /// A complete answer came that refuses for now or gives no reason: the refresh token was not used up by this.
    #[error(transparent)]
    Answered(OidcError),
    /// The answer is `invalid_grant`, whatever its status was.
    #[error("the issuer refused: {detail}")]
    InvalidGrant {
        /// What it said; Entra ID tells the reason in `suberror`.
        detail: Box<ServerError>,
    },
    /// Another refusal that asking again will not change.
    #[error(transparent)]
    Refused(OidcError),
    /// It was sent, but no usable answer came: the server may have rotated the refresh token.
    #[error(transparent)]
    Lost(OidcError),
    /// It was answered with success, but not by the rules, or the keys to verify its ID token cannot be had now. A new
    /// refresh token in it is handed over: keep it, or a rotation is lost.
    #[error("{error}")]
    Malformed {
        /// What is wrong.
        error: OidcError,
        /// The new refresh token, where there was one.
        refresh_token: Option<SecretString>,
    },
    /// It was answered well, but the new ID token does not fit the sign-in (OpenID Connect Core §12.2): nothing of the
    /// answer is to be used; the old sign-in stays. The new refresh token may belong to somebody else.
    #[error("{error}")]
    Unverified {
        /// What does not fit.
        error: OidcError,
        /// The new refresh token, where there was one.
        refresh_token: Option<SecretString>,
    },
}

impl RefreshError {
    /// The cause alone; `invalid_grant` is a rejection.
    pub fn into_error(self) -> OidcError {
        match self {
            Self::NotSent(error)
            | Self::Answered(error)
            | Self::Refused(error)
            | Self::Lost(error)
            | Self::Malformed { error, .. }
            | Self::Unverified { error, .. } => error,
            Self::InvalidGrant { detail } => OidcError::Rejected(detail),
        }
    }
}

/// Sorts a refusal by its error word (RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 8707 §2).
/// `busy` when an unknown word came with a status that means "not now".
pub(crate) fn sort(said: ServerError, busy: bool, retry_after: Option<Span>) -> OidcError {
    let said = Box::new(said);
    match said.error.as_str() {
        "interaction_required" | "consent_required" | "account_selection_required" => {
            OidcError::InteractionRequired(said)
        }
        "login_required" => OidcError::LoginRequired(said),
        "access_denied" => OidcError::AccessDenied(said),
        "invalid_target" => OidcError::InvalidTarget(said),
        "invalid_scope" => OidcError::InvalidScope(said),
        "temporarily_unavailable" | "server_error" | "slow_down" => {
            OidcError::Unavailable { detail: said.to_string(), retry_after }
        }
        "invalid_request"
        | "invalid_client"
        | "invalid_grant"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "unsupported_response_type" => OidcError::Rejected(said),
        _ if busy => OidcError::Unavailable { detail: said.to_string(), retry_after },
        _ => OidcError::Rejected(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_what_a_help_desk_needs_and_nothing_else() {
        let body = r#"{"error":"invalid_grant","suberror":"consent_required","error_description":"AADSTS65001: The user \u001b[31m token CANARYCANARYCANARYCANARYCANARYCANARYCANARY <script>\r\nTrace ID: x Correlation ID: 1b2c-3d\r\n"}"#;
        let said = ServerError::read(&json::object(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(said.to_string(), "invalid_grant (consent_required, AADSTS65001, correlation id 1b2c-3d)");
        let debug = format!("{said:?}");
        assert!(!debug.contains("CANARY") && !debug.contains("\\u{1b}"), "{debug}");
        assert_eq!(ServerError::read(&json::object(br#"{"error":{"code":1}}"#).unwrap()), None);
        assert_eq!(provider_code("AADSTS"), None);
    }

    #[test]
    fn every_error_word_has_its_place() {
        let sorted = |word: &str, busy| sort(ServerError::of(word), busy, None);
        assert!(matches!(sorted("consent_required", false), OidcError::InteractionRequired(_)));
        assert!(matches!(sorted("login_required", false), OidcError::LoginRequired(_)));
        assert!(matches!(sorted("access_denied", true), OidcError::AccessDenied(_)));
        assert!(matches!(sorted("invalid_target", false), OidcError::InvalidTarget(_)));
        assert!(matches!(sorted("invalid_scope", false), OidcError::InvalidScope(_)));
        assert!(matches!(sorted("temporarily_unavailable", false), OidcError::Unavailable { .. }));
        assert!(matches!(sorted("unsupported_response_type", true), OidcError::Rejected(_)));
        assert!(matches!(sorted("unknown_xyz", false), OidcError::Rejected(_)));
        assert!(matches!(sorted("unknown_xyz", true), OidcError::Unavailable { .. }));
    }
}
