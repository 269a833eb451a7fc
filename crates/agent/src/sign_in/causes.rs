//! Why a sign-in failed, in words: one table for page and terminal.
//!
//! Invariant: every failure of a sign-in has one cause, and every cause says what happened and what to do next. What the
//! provider said stands apart, as a detail: its error word, its own code, its correlation id.

use super::refusal_of;
use crate::server::body_of;
use broker::{Account, Refusal};
use localapi::{Code, ErrorBody};
use oidc::{OidcError, ServerError};

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident $happened:literal $next:literal;)*) => {
        /// Why a sign-in failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// Every cause, in the order of the table in docs/errors.md.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// What happened: one line, lower case, no full stop. Empty = the error says it itself.
            pub(crate) fn happened(self) -> &'static str {
                match self { $(Self::$variant => $happened),* }
            }

            /// What to do next. `ACCOUNT` and `REDIRECT` stand for the account and its redirect addresses.
            fn next(self) -> &'static str {
                match self { $(Self::$variant => $next),* }
            }
        }
    };
}

causes! {
    /// The provider does not know the redirect address.
    WrongRedirect "the provider does not accept the redirect address of this computer"
        "register REDIRECT with the provider, as an address of a desktop or native app";
    /// It does not know the client.
    UnknownClient "the provider does not know this client_id, or does not let it sign people in this way"
        "compare client_id and issuer of ACCOUNT with what is registered: daypass accounts";
    /// It wants another proof of the client.
    ClientSecret "the provider does not accept how this client identifies itself"
        "register a public (desktop) client, or put the client_secret the provider gave out into ACCOUNT";
    /// Somebody signed in whom the profile does not accept.
    WrongAccount "" "sign in again and choose the other account: daypass login ACCOUNT";
    /// Only an administrator can allow it.
    AdminConsent "an administrator has to allow this at the provider first"
        "send your administrator the client_id and the scopes of ACCOUNT: daypass accounts";
    /// The person is not allowed to use the client.
    NotAssigned "your account there may not use this application"
        "ask whoever looks after the provider to give you access, or use another account: daypass login ACCOUNT --other-account";
    /// A rule of the organisation about devices or places.
    OrganisationRule "a rule of your organisation does not let you sign in from this computer"
        "show the code below to your help desk";
    /// The person, or somebody for them, said no.
    Declined "the sign-in was declined at the provider" "if that was a mistake: daypass login ACCOUNT";
    /// The provider wants something only a person can do.
    InteractionNeeded "the provider wants you to do something it did not ask for in the browser"
        "start again: daypass login ACCOUNT";
    /// A scope is not known or not allowed.
    Scope "the provider does not know or does not allow one of the scopes"
        "compare the scopes of ACCOUNT and its resources with the provider; if it is offline_access, set offline = \"none\" or \"parameter\"";
    /// The person may not have offline access.
    Offline "the provider does not let your account have offline access, which keeps you signed in"
        "have whoever looks after the provider give your account the role for it (Keycloak: offline_access), or set offline = \"none\" in ACCOUNT";
    /// A resource is not known or not allowed.
    Resource "the provider does not know or does not allow one of the resources"
        "compare audience and request of the resources of ACCOUNT with the provider: daypass resources";
    /// A clock is wrong.
    Clock "the clock of this computer and the provider's do not agree"
        "set the clock of this computer, then: daypass login ACCOUNT (daypass doctor shows the difference)";
    /// A web page of the network came in between.
    CaptivePortal "the network answered instead of the provider: it may want a sign-in of its own"
        "open any web page, sign in to the network, then: daypass login ACCOUNT";
    /// A certificate that is not trusted.
    TlsInspection "the provider's certificate is not trusted here; a proxy or virus scanner may open encrypted connections"
        "see whose certificate it is: daypass doctor; your organisation's root goes into [network] ca";
    /// It is not there now.
    Unreachable "the provider cannot be reached now" "check the network, then: daypass login ACCOUNT (see: daypass doctor)";
    /// It does not say what is needed, or says it wrongly.
    Metadata "" "compare the issuer of ACCOUNT with the provider's documentation, to the letter: daypass accounts";
    /// What came back cannot be trusted.
    Unverifiable "" "start again: daypass login ACCOUNT; if it happens again, tell whoever looks after the provider";
    /// The sign-in is not of the kind asked for.
    Unmet "" "the provider cannot or will not sign you in that way: ask whoever looks after it";
    /// No sign-in on another device.
    NoDevice "the provider offers no sign-in with a code on another device"
        "run: daypass login ACCOUNT --no-browser, and open the address in a browser on this machine";
    /// The redirect address is taken.
    PortTaken "" "close the program that uses this port, or name another redirect_uri in the profile";
    /// Nobody came back in time.
    NeverCameBack "the browser did not come back in time"
        "start again: daypass login ACCOUNT; if the provider showed an error, register REDIRECT there";
    /// The code on the other device expired.
    CodeExpired "the code was not entered in time" "get a new one: daypass login ACCOUNT --device";
    /// Given up, by a person or for a newer one.
    GivenUp "" "start again: daypass login ACCOUNT";
    /// The profile cannot be used as it is.
    Profile "" "see what is wrong: daypass profile show";
    /// Another refusal of the provider.
    Refused "" "compare ACCOUNT with what is registered at the provider: daypass accounts";
    /// Something on our side.
    Ours "" "try again: daypass login ACCOUNT";
}

/// A failed sign-in, for programs and for people.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) body: ErrorBody,
}

impl Failure {
    /// From what came of speaking to the issuer.
    pub(crate) fn of(error: &OidcError, account: &Account) -> Self {
        let mut failure = Self::with(Cause::of(error), body_of(&refusal_of(error, account, None)), account);
        let happened = failure.cause.happened();
        if happened.is_empty() {
            return failure;
        }
        let body = &mut failure.body;
        if body.detail.is_none() {
            body.detail = said(error).map(ToString::to_string);
        }
        happened.clone_into(&mut body.error_description);
        failure
    }

    /// From a refusal of our own.
    pub(crate) fn ours(refusal: &Refusal, account: &Account) -> Self {
        let cause = match refusal {
            Refusal::WrongAccount(_) => Cause::WrongAccount,
            Refusal::ProfileInvalid(_) => Cause::Profile,
            _ => Cause::Ours,
        };
        let mut failure = Self::with(cause, body_of(refusal), account);
        if cause == Cause::Ours {
            failure.body.hint = body_of(refusal).hint.or(failure.body.hint);
        }
        failure
    }

    /// Given up before it was finished, for this reason.
    pub(crate) fn given_up(cause: Cause, text: &str, account: &Account) -> Self {
        let mut body = body_of(&Refusal::LoginRequired(account.name.clone()));
        if text.is_empty() { cause.happened() } else { text }.clone_into(&mut body.error_description);
        Self::with(cause, body, account)
    }

    /// No redirect address could be bound.
    pub(crate) fn port_taken(redirect_uri: &str, error: &std::io::Error, account: &Account) -> Self {
        let mut body = body_of(&Refusal::IssuerRejected(String::new()));
        body.error_description = format!("the redirect address {redirect_uri} cannot be used: {error}");
        Self::with(Cause::PortTaken, body, account)
    }

    fn with(cause: Cause, mut body: ErrorBody, account: &Account) -> Self {
        body.hint = Some(next(cause, account));
        Self { cause, body }
    }

    /// What happened, for the page in the browser.
    pub(crate) fn happened(&self) -> &str {
        match (self.cause.happened(), self.body.code) {
            ("", Code::IssuerRejected) if self.cause == Cause::Refused => "the provider refused the sign-in",
            ("", _) => &self.body.error_description,
            (happened, _) => happened,
        }
    }
}

/// The next step for this account.
pub(crate) fn next(cause: Cause, account: &Account) -> String {
    let addresses: Vec<String> = account
        .redirect_uris
        .iter()
        .map(|uri| match uri.port {
            Some(port) => uri.with_port(port),
            None => format!("http://{}{} (any port)", uri.host, uri.written_path),
        })
        .collect();
    cause.next().replace("ACCOUNT", account.name.as_str()).replace("REDIRECT", &addresses.join(" or "))
}

/// What the issuer said, where it said something.
fn said(error: &OidcError) -> Option<&ServerError> {
    match error {
        OidcError::Rejected(said)
        | OidcError::InteractionRequired(said)
        | OidcError::LoginRequired(said)
        | OidcError::AccessDenied(said)
        | OidcError::InvalidTarget(said)
        | OidcError::InvalidScope(said) => Some(said),
        _ => None,
    }
}

impl Cause {
    /// The cause behind an error of the issuer or the way to it.
    pub(crate) fn of(error: &OidcError) -> Self {
        if let Some(cause) = said(error).and_then(by_its_words) {
            return cause;
        }
        match error {
            OidcError::WrongAccount { .. } => Self::WrongAccount,
            OidcError::AccessDenied(_) => Self::Declined,
            OidcError::InteractionRequired(_) | OidcError::LoginRequired(_) => Self::InteractionNeeded,
            OidcError::InvalidScope(_) => Self::Scope,
            OidcError::InvalidTarget(_) => Self::Resource,
            OidcError::Rejected(_) => Self::Refused,
            OidcError::Unavailable { .. } | OidcError::Timeout(_) => Self::Unreachable,
            OidcError::CaptivePortal { .. } => Self::CaptivePortal,
            OidcError::Untrusted { .. } => Self::TlsInspection,
            OidcError::BadIdToken(fault) if fault.contains("clock of this machine") => Self::Clock,
            OidcError::BadIdToken(_) | OidcError::BadCallback(_) | OidcError::BadAnswer(_) => Self::Unverifiable,
            OidcError::BadMetadata(_) => Self::Metadata,
            OidcError::Unmet(_) => Self::Unmet,
            OidcError::NotOffered(_) => Self::NoDevice,
            OidcError::Expired => Self::NeverCameBack,
            OidcError::Config(_) => Self::Profile,
        }
    }
}

/// By the provider's own code, else by its error word, else by what its description names. Codes are those of the public
/// documentation of Microsoft Entra ID (error codes `AADSTS…`); the words are of RFC 6749, RFC 9126 and of Google.
fn by_its_words(said: &ServerError) -> Option<Cause> {
    let code = said.code.as_deref().and_then(|code| code.strip_prefix("AADSTS"));
    let by_code = match code.unwrap_or_default() {
        "50011" | "500112" | "500113" => Some(Cause::WrongRedirect),
        "700016" | "700038" | "70001" => Some(Cause::UnknownClient),
        "7000215" | "7000218" | "7000222" => Some(Cause::ClientSecret),
        "65001" | "90094" | "90093" | "900941" => Some(Cause::AdminConsent),
        "65004" => Some(Cause::Declined),
        "50105" | "50020" | "50034" => Some(Cause::NotAssigned),
        "53000" | "53001" | "53002" | "53003" | "530003" => Some(Cause::OrganisationRule),
        "70011" => Some(Cause::Scope),
        "500011" | "650057" => Some(Cause::Resource),
        _ => None,
    };
    let description = said.description.as_deref().unwrap_or_default().to_ascii_lowercase();
    let names = |word: &str| description.contains(word);
    by_code.or_else(|| match said.error.as_str() {
        "redirect_uri_mismatch" | "invalid_redirect_uri" => Some(Cause::WrongRedirect),
        "invalid_request" | "invalid_grant" if names("redirect_uri") || names("redirect uri") => {
            Some(Cause::WrongRedirect)
        }
        "invalid_client" if names("secret") => Some(Cause::ClientSecret),
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "deleted_client" => {
            Some(Cause::UnknownClient)
        }
        "admin_policy_enforced" | "org_internal" => Some(Cause::AdminConsent),
        // Keycloak, at the token endpoint: the person lacks its role offline_access.
        "not_allowed" if names("offline") => Some(Cause::Offline),
        "access_denied" if names("not assigned") => Some(Cause::NotAssigned),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
