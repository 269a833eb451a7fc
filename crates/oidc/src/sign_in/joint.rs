//! What the account says and what is demanded, in one parameter.
//!
//! Invariant: a demand adds to what the account says and takes nothing of it away; where both cannot be had, nothing is
//! asked for. What an account says of its own accord is sent; only what is demanded is held against the answer.

use crate::error::OidcError;
use serde_json::{Map, Value};

/// Those of the demanded classes that the account allows, or all where it names none.
///
/// # Errors
/// [`OidcError::Config`] when it allows none of them.
pub(super) fn acr_values(profile: Option<&String>, demanded: Vec<String>) -> Result<Vec<String>, OidcError> {
    let Some(profile) = profile.filter(|_| !demanded.is_empty()) else { return Ok(demanded) };
    let both: Vec<String> =
        demanded.into_iter().filter(|acr| profile.split_ascii_whitespace().any(|one| one == acr)).collect();
    if both.is_empty() {
        let why = "none of the acr_values asked for is among those of the account's authorization_parameters";
        return Err(OidcError::Config(why.to_owned()));
    }
    Ok(both)
}

/// The claims of the account and the demanded ones (OpenID Connect Core §5.5).
///
/// # Errors
/// [`OidcError::Config`] when the account's are no JSON object, or both say different things of one claim.
pub(super) fn claims(profile: Option<&String>, demanded: &str) -> Result<String, OidcError> {
    let Some(profile) = profile else { return Ok(demanded.to_owned()) };
    let read = |text: &str, what: &str| match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(OidcError::Config(format!("the claims of {what} are no JSON object"))),
    };
    let both = merged(read(profile, "authorization_parameters")?, read(demanded, "the request")?, 0)?;
    Ok(Value::Object(both).to_string())
}

/// Both, down to the single claim: there a `null`, which asks without insisting, gives way.
fn merged(
    mut ours: Map<String, Value>,
    theirs: Map<String, Value>,
    depth: usize,
) -> Result<Map<String, Value>, OidcError> {
    for (name, value) in theirs {
        let both = match (ours.remove(&name), value) {
            (None | Some(Value::Null), value) => value,
            (Some(known), Value::Null) => known,
            (Some(Value::Object(known)), Value::Object(value)) if depth == 0 => {
                Value::Object(merged(known, value, depth + 1)?)
            }
            (Some(known), value) if known == value => known,
            (Some(_), _) => {
                let why = "the claims asked for contradict those of the account's authorization_parameters";
                return Err(OidcError::Config(format!("{why}: {}", crate::show::sanitise(&name, 64))));
            }
        };
        ours.insert(name, both);
    }
    Ok(ours)
}
