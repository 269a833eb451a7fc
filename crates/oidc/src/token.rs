//! Answers of the token endpoint (RFC 6749 §5), judged by their body.
//!
//! Invariant: an answer is used in full or not at all; what is missing gets the safer meaning; a new refresh token in
//! an answer that is refused is handed over all the same, because the server has rotated by then.

use crate::{
    error::{OidcError, RefreshError, ServerError, sort},
    http::{Answer, What},
    json,
};
use broker::{Scope, ScopeSet, Span, Timestamp};
use secrecy::SecretString;
use serde_json::{Map, Value};

/// How long an access token counts as valid when the answer does not say.
const DEFAULT_LIFE: Span = Span::minutes(5);
/// The longest life that is believed.
const LONGEST_LIFE: i64 = 30 * 86_400;
/// The most scope words of an answer that are read.
const MOST_SCOPES: usize = 1000;

/// What one token request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenAsk {
    /// The scopes; `None` sends no `scope` parameter, which means "as granted at the sign-in" (RFC 6749 §6).
    pub scopes: Option<ScopeSet>,
    /// How the audience is named.
    pub target: Target,
}

/// How the audience of an access token is named in a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// Not at all.
    #[default]
    None,
    /// `resource` (RFC 8707 §2).
    Resource(String),
    /// `audience`, as some providers want it.
    Audience(String),
}

/// Tokens, all of them good; the type of the access token is always `Bearer`.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The access token: 1 or more printable ASCII characters without space.
    pub access_token: SecretString,
    /// When it expires, counted from before the request was sent; 5 minutes when the issuer did not say, 30 days at most.
    pub expires_at: Timestamp,
    /// The scopes the issuer says it granted, else those asked for; empty when neither was said.
    pub scopes: ScopeSet,
    /// A new refresh token; `None` = the old one stays.
    pub refresh_token: Option<SecretString>,
    /// When the refresh token expires, where the issuer says so.
    pub refresh_expires_at: Option<Timestamp>,
    /// The ID token, verified.
    pub id_token: Option<IdToken>,
    /// Whether more scopes were granted than asked for.
    pub broader: bool,
}

/// A verified ID token.
#[derive(Debug)]
pub struct IdToken {
    /// In compact form. Its audience is the account's `client_id`.
    pub raw: SecretString,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// Its `iat`.
    pub issued_at: Timestamp,
    /// Its `auth_time`, seconds since the epoch. At a refresh the one of the sign-in stays what counts.
    pub auth_time: Option<i64>,
}

/// A token answer whose ID token is still to be verified.
pub(crate) struct Unchecked {
    pub(crate) tokens: TokenAnswer,
    pub(crate) id_token: Option<SecretString>,
}

/// Judges an answer of the token endpoint to a request sent at `sent_at` for the scopes `asked`.
pub(crate) fn read(
    answer: &Answer,
    asked: Option<&ScopeSet>,
    sent_at: Timestamp,
    what: What,
) -> Result<Unchecked, RefreshError> {
    let Some(body) = json::object(&answer.body) else {
        return Err(match (answer.is_success(), answer.html) {
            (true, false) => RefreshError::Lost(OidcError::BadAnswer("it is no unambiguous JSON object")),
            _ => RefreshError::Answered(answer.refusal(what)),
        });
    };
    let refresh_token = secret(&body, "refresh_token");
    if body.get("error").is_some_and(|e| !e.is_null()) || !answer.is_success() {
        let said = ServerError::read(&body);
        if answer.is_success() && refresh_token.is_some() {
            let error = OidcError::BadAnswer("it has both an error and a token");
            return Err(RefreshError::Malformed { error, refresh_token });
        }
        return Err(match said {
            Some(said) if said.error == "invalid_grant" => RefreshError::InvalidGrant { detail: Box::new(said) },
            Some(said) => refused(sort(said, answer.is_busy(), answer.retry_after)),
            None if answer.is_success() => RefreshError::Answered(OidcError::BadAnswer("its error is no word")),
            None => RefreshError::Answered(answer.refusal(what)),
        });
    }
    match tokens(&body, asked, sent_at) {
        Ok(tokens) => {
            Ok(Unchecked { tokens: TokenAnswer { refresh_token, ..tokens }, id_token: secret(&body, "id_token") })
        }
        Err(fault) => Err(RefreshError::Malformed { error: OidcError::BadAnswer(fault), refresh_token }),
    }
}

/// A refusal by an error word: for now, or for good.
fn refused(error: OidcError) -> RefreshError {
    if matches!(error, OidcError::Unavailable { .. }) {
        RefreshError::Answered(error)
    } else {
        RefreshError::Refused(error)
    }
}

fn tokens(
    body: &Map<String, Value>,
    asked: Option<&ScopeSet>,
    sent_at: Timestamp,
) -> Result<TokenAnswer, &'static str> {
    let access_token = json::text(body, "access_token").ok_or("it has no access_token")?;
    if !access_token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("its access_token has characters no token may have");
    }
    match json::text(body, "token_type") {
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err("its token_type is not Bearer"),
        None => return Err("it has no token_type"),
    }
    let life = match body.get("expires_in") {
        None | Some(Value::Null) => DEFAULT_LIFE,
        Some(value) => lifetime(value).ok_or("its expires_in is no time to come")?,
    };
    // Zero means "does not expire" where providers send it at all.
    let refresh_life = ["refresh_expires_in", "refresh_token_expires_in"]
        .iter()
        .find_map(|name| body.get(*name).and_then(whole))
        .filter(|seconds| *seconds > 0);
    let granted = granted(body)?;
    let scopes = granted.clone().or_else(|| asked.cloned()).unwrap_or_default();
    Ok(TokenAnswer {
        access_token: SecretString::from(access_token),
        expires_at: sent_at + life,
        broader: asked.is_some_and(|asked| !scopes.is_subset(asked)),
        scopes,
        refresh_token: None,
        refresh_expires_at: refresh_life.map(|seconds| sent_at + Span::seconds(seconds)),
        id_token: None,
    })
}

/// The scopes the answer names; `None` when it names none. Words that are no scopes are passed over.
fn granted(body: &Map<String, Value>) -> Result<Option<ScopeSet>, &'static str> {
    let words: Vec<&str> = match body.get("scope") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err("its scope is no text"),
    };
    let scopes: ScopeSet = words.into_iter().take(MOST_SCOPES).filter_map(|w| w.parse::<Scope>().ok()).collect();
    Ok((!scopes.is_empty()).then_some(scopes))
}

/// Seconds to live: a number or digits in a string; negative and everything else is none.
fn lifetime(value: &Value) -> Option<Span> {
    whole(value).filter(|s| *s >= 0).map(|s| Span::seconds(s.min(LONGEST_LIFE)))
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            Some(text.parse().unwrap_or(i64::MAX))
        }
        Value::Number(number) => {
            json::seconds(value).or_else(|| number.as_f64().map(|f| if f < 0.0 { -1 } else { i64::MAX }))
        }
        _ => None,
    }
}

fn secret(body: &Map<String, Value>, name: &str) -> Option<SecretString> {
    json::text(body, name).map(SecretString::from)
}
