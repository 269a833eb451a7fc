//! The answer at the redirect URI (RFC 6749 §4.1.2, RFC 9207), read without any I/O.
//!
//! Invariant: a code comes out only when the one `state` of this sign-in came back in a well-formed query, from the
//! issuer it was started at. What is malformed or not ours never touches a pending sign-in.

use crate::{
    error::{OidcError, ServerError, sort},
    show,
};
use broker::Issuer;
use secrecy::SecretString;
use std::{borrow::Cow, hint::black_box};

/// The longest query that is read, in bytes.
const MOST_BYTES: usize = 32 * 1024;
/// The longest code, in bytes.
const LONGEST_CODE: usize = 8192;

/// An authorization code, exactly as the issuer gave it. Never printed.
#[derive(Debug)]
pub struct Code(pub(crate) SecretString);

/// Why an answer at the redirect URI gave no code.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// It is malformed or carries no `state` of this sign-in: the pending sign-in stays as it is.
    #[error("this is no answer to a sign-in that is under way: {0}")]
    NotOurs(String),
    /// It is the answer to this sign-in, and the sign-in is over.
    #[error(transparent)]
    Failed(OidcError),
}

#[derive(Default)]
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
    iss_again: bool,
}

/// Reads the raw query of a callback against the sign-in it should belong to.
pub(crate) fn check(raw_query: &str, state: &str, issuer: &Issuer, names_itself: bool) -> Result<Code, CallbackError> {
    let not_ours = |why: &str| CallbackError::NotOurs(why.to_owned());
    let failed = |why: &'static str| CallbackError::Failed(OidcError::BadCallback(why));
    let parameters = Parameters::read(raw_query).map_err(not_ours)?;
    let shown = parameters.state.as_deref().ok_or_else(|| not_ours("it has no state"))?;
    if !same(shown.as_bytes(), state.as_bytes()) {
        return Err(not_ours("its state is unknown"));
    }
    if parameters.code.is_none() && parameters.error.is_none() {
        return Err(not_ours("it has neither code nor error"));
    }
    if parameters.iss_again {
        return Err(failed("it names its issuer twice"));
    }
    match parameters.iss.as_deref() {
        Some(iss) if iss != issuer.as_str() => {
            return Err(failed("it comes from another issuer than the sign-in was started at"));
        }
        None if names_itself => return Err(failed("it does not name its issuer, though the issuer promises to")),
        _ => {}
    }
    match (parameters.code, parameters.error) {
        (Some(_), Some(_)) => Err(failed("it has both a code and an error")),
        (Some(code), None) => Ok(Code(SecretString::from(code))),
        (None, error) => {
            let word = show::word(error.as_deref().unwrap_or_default());
            let said = ServerError::described(word, parameters.error_description.as_deref());
            Err(CallbackError::Failed(sort(said, false, None)))
        }
    }
}

impl Parameters {
    fn read(raw_query: &str) -> Result<Self, &'static str> {
        if raw_query.len() > MOST_BYTES || !raw_query.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("its query is not well formed");
        }
        let mut found = Self::default();
        for pair in raw_query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~')) {
                return Err("a parameter has an odd name");
            }
            let value = decode(value)?;
            let place = match name {
                "state" => &mut found.state,
                "code" => &mut found.code,
                "error" => &mut found.error,
                "error_description" => &mut found.error_description,
                "iss" if found.iss.is_some() => {
                    found.iss_again = true;
                    continue;
                }
                "iss" => &mut found.iss,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err("a parameter is there twice");
            }
        }
        // An empty parameter counts as left out (RFC 6749 §3.1), except `iss`: an empty one names another issuer.
        for place in [&mut found.state, &mut found.code, &mut found.error] {
            place.take_if(|text| text.is_empty());
        }
        if found.code.as_ref().is_some_and(|c| c.len() > LONGEST_CODE || c.chars().any(char::is_control)) {
            return Err("its code is not usable");
        }
        Ok(found)
    }
}

/// Form decoding without repair: `+` is a space, `%` needs two digits, and the result must be UTF-8.
fn decode(value: &str) -> Result<Cow<'_, str>, &'static str> {
    if !value.contains(['%', '+']) {
        return Ok(Cow::Borrowed(value));
    }
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err("its percent-encoding is broken"),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| "it is not UTF-8")
}

/// Compares without telling by its time where two texts of one length differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && black_box(a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y))) == 0
}
