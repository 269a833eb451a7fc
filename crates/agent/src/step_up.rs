//! Demands on a sign-in (step-up, RFC 9470): from the wire to the domain, and back to what a person types.
//!
//! Invariant: a demand that is not understood is refused, never dropped.

use crate::{
    accounts::SignIn,
    random,
    server::{ApiError, code_invalid},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use broker::{EssentialClaim, Requirement, SignInFacts, Span, Timestamp, WantedClaims};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Longest `claims`, in bytes.
const LONGEST_CLAIMS: usize = 4096;
/// Longest `acr_values`, in bytes, and most of them.
const LONGEST_ACRS: usize = 1024;
const MOST_ACRS: usize = 20;
/// Most essential claims, and most values of one.
const MOST_CLAIMS: usize = 50;
/// Claims longer than this are not repeated in a hint.
const HINTED_CLAIMS: usize = 200;

/// Reads `claims`, `acr_values` and `max_age` of a request.
///
/// # Errors
/// `invalid_request`, naming the member.
pub(crate) fn parse(
    claims: Option<Value>,
    acr_values: Option<&str>,
    max_age: Option<u32>,
) -> Result<Requirement, ApiError> {
    let acr_values: Vec<String> = match acr_values {
        None => Vec::new(),
        Some(text) => {
            let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
            // The characters of RFC 6749 §3.3, as for a scope.
            let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
            if words.is_empty() || words.len() > MOST_ACRS || text.len() > LONGEST_ACRS {
                return Err(code_invalid("acr_values must be 1 to 20 words of 1024 characters in all"));
            }
            if !words.iter().all(|word| word.bytes().all(plain)) {
                return Err(code_invalid("acr_values must be printable ASCII words, separated by spaces"));
            }
            words
        }
    };
    Ok(Requirement {
        acr_values,
        max_age: max_age.map(|seconds| Span::seconds(i64::from(seconds))),
        claims: claims.map(|value| wanted(&value)).transpose()?,
    })
}

fn wanted(value: &Value) -> Result<WantedClaims, ApiError> {
    let Value::Object(members) = value else { return Err(code_invalid("claims must be a JSON object")) };
    let mut text = String::new();
    canonical(value, &mut text);
    if text.len() > LONGEST_CLAIMS {
        return Err(code_invalid("claims must have at most 4096 bytes"));
    }
    let none = Map::new();
    let of_id_token = match members.get("id_token") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(wanted)) => wanted,
        Some(_) => return Err(code_invalid("claims.id_token must be a JSON object")),
    };
    let mut essential = Vec::new();
    for (name, how) in of_id_token {
        let Some(claim) = essential_claim(name, how)? else { continue };
        essential.push(claim);
    }
    if essential.len() > MOST_CLAIMS || essential.iter().any(|claim| claim.values.len() > MOST_CLAIMS) {
        return Err(code_invalid("claims must ask for at most 50 essential claims with at most 50 values each"));
    }
    let others = members.iter().any(|(name, value)| name != "id_token" && !value.is_null());
    Ok(WantedClaims { digest: random::hash(&text), text, essential, others })
}

/// One member of `claims.id_token` (OpenID Connect Core §5.5.1); `None` when it is voluntary.
fn essential_claim(name: &str, how: &Value) -> Result<Option<EssentialClaim>, ApiError> {
    let bad = || code_invalid(&format!("claims.id_token.{name} is not by OpenID Connect Core 5.5.1"));
    let how = match how {
        Value::Null => return Ok(None),
        Value::Object(how) => how,
        _ => return Err(bad()),
    };
    let essential = match how.get("essential") {
        None => false,
        Some(Value::Bool(essential)) => *essential,
        Some(_) => return Err(bad()),
    };
    let word = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(bad()),
    };
    let values = match (how.get("value"), how.get("values")) {
        (None, None) => Vec::new(),
        (Some(value), None) => vec![word(value)?],
        (None, Some(Value::Array(values))) if !values.is_empty() => {
            values.iter().map(word).collect::<Result<_, _>>()?
        }
        _ => return Err(bad()),
    };
    Ok(essential.then(|| EssentialClaim { name: name.to_owned(), values }))
}

/// JSON with sorted members, so that one demand has one text.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}:", Value::String(name.clone()));
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

/// The flags that make `daypass login` ask for this, quoted for a shell; begins with a space unless empty.
pub(crate) fn flags(requirement: &Requirement) -> String {
    let mut flags = String::new();
    if let Some(age) = requirement.max_age {
        let _ = write!(flags, " --max-age {age}");
    }
    if !requirement.acr_values.is_empty() {
        let _ = write!(flags, " --acr-values {}", quoted(&requirement.acr_values.join(" ")));
    }
    if let Some(claims) = &requirement.claims {
        let shown = if claims.text.len() <= HINTED_CLAIMS { quoted(&claims.text) } else { "CLAIMS".to_owned() };
        let _ = write!(flags, " --claims {shown}");
    }
    flags
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a demand is held against.
pub(crate) fn facts(sign_in: &SignIn) -> SignInFacts<'_> {
    SignInFacts {
        subject: &sign_in.subject,
        auth_time: sign_in.auth_time,
        acr: sign_in.acr.as_deref(),
        amr: &sign_in.amr,
        claims: sign_in.claims.as_deref(),
    }
}

/// Names this sign-in: another one, of the same person too, has another name.
pub(crate) fn name(sign_in: &SignIn) -> String {
    let nonce = sign_in.nonce.as_deref().unwrap_or_default();
    random::hash(&format!("{} {nonce} {}", sign_in.signed_in_at.as_millis(), sign_in.subject))
}

/// What of a demand the claims of an ID token do not show, which was verified when it came. One that came with a refresh
/// may say less than the sign-in did (OpenID Connect Core §12.2); whoever gets it can go by nothing else.
pub(crate) fn unmet_by_token(token: &str, requirement: &Requirement, now: Timestamp) -> Option<String> {
    let payload = token.split('.').nth(1).and_then(|part| B64.decode(part).ok());
    let claims: Map<String, Value> = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let amr: Vec<String> = match claims.get("amr") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    #[allow(clippy::cast_possible_truncation, reason = "a float that is no time is none")]
    let auth_time = claims.get("auth_time").and_then(|at| at.as_i64().or_else(|| at.as_f64().map(|at| at as i64)));
    let facts =
        SignInFacts { subject: text("sub").unwrap_or_default(), auth_time, acr: text("acr"), amr: &amr, claims: None };
    // Its own claims answer for every essential one; what is asked for elsewhere the sign-in has answered for.
    let essential = requirement.claims.iter().flat_map(|wanted| &wanted.essential);
    let missing = essential.into_iter().find(|claim| !shows(&claims, claim));
    let plain = Requirement { claims: None, ..requirement.clone() };
    plain
        .unmet(&facts, now)
        .or_else(|| missing.map(|claim| format!("the ID token does not show the claim {}", claim.name)))
}

fn shows(claims: &Map<String, Value>, wanted: &EssentialClaim) -> bool {
    let is = |value: &Value| match value {
        Value::String(text) => wanted.values.contains(text),
        Value::Bool(_) | Value::Number(_) => wanted.values.contains(&value.to_string()),
        _ => false,
    };
    match claims.get(&wanted.name) {
        None => false,
        Some(_) if wanted.values.is_empty() => true,
        Some(Value::Array(all)) => all.iter().any(is),
        Some(value) => is(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_understood_becomes_a_demand() {
        for (claims, essential, others) in [
            (json!({}), vec![], false),
            (json!({"id_token": null}), vec![], false),
            (json!({"id_token": {"email": null, "acr": {"value": "x"}}}), vec![], false),
            (
                json!({"id_token": {"acr": {"essential": true, "values": ["a", "b"]}}}),
                vec![("acr", vec!["a", "b"])],
                false,
            ),
            (
                json!({"id_token": {"n": {"essential": true, "value": 5}}, "userinfo": null}),
                vec![("n", vec!["5"])],
                false,
            ),
            (json!({"access_token": {"nbf": {"essential": true, "value": "1604106651"}}}), vec![], true),
        ] {
            let read = parse(Some(claims.clone()), None, None).unwrap().claims.unwrap();
            let found: Vec<(&str, Vec<&str>)> = read
                .essential
                .iter()
                .map(|claim| (claim.name.as_str(), claim.values.iter().map(String::as_str).collect()))
                .collect();
            assert_eq!((found, read.others), (essential, others), "{claims}");
        }
        for claims in [
            json!("x"),
            json!([]),
            json!({"id_token": []}),
            json!({"id_token": {"acr": "x"}}),
            json!({"id_token": {"acr": {"essential": "true"}}}),
            json!({"id_token": {"acr": {"essential": true, "values": []}}}),
            json!({"id_token": {"acr": {"essential": true, "value": "a", "values": ["b"]}}}),
            json!({"id_token": {"acr": {"essential": true, "value": {"a": 1}}}}),
            json!({"x": "y".repeat(5000)}),
        ] {
            assert!(parse(Some(claims.clone()), None, None).is_err(), "{claims}");
        }
        for acr in ["", " ", "a\u{1b}b", "ä", "a\"b", &"x".repeat(1025), &"x ".repeat(21)] {
            assert!(parse(None, Some(acr), None).is_err(), "{acr:?}");
        }
        assert_eq!(parse(None, Some("a  b"), Some(0)).unwrap().acr_values, ["a", "b"]);
    }

    #[test]
    fn an_id_token_answers_for_its_own_claims() {
        let token = |claims: Value| format!("e30.{}.c2ln", B64.encode(claims.to_string()));
        let now = Timestamp::from_seconds(1000);
        let full = json!({"sub": "a", "auth_time": 990.5, "acr": "mfa", "amr": ["otp"], "groups": ["x", "y"]});
        let demand = |claims: Value, acr: Option<&str>, age: Option<u32>| parse(Some(claims), acr, age).unwrap();
        let essential = |name: &str, value: &str| json!({"id_token": {name: {"essential": true, "value": value}}});
        for (claims, requirement, met) in [
            (full.clone(), demand(json!({}), Some("mfa phr"), Some(5)), true),
            (full.clone(), demand(json!({}), Some("phr"), None), false),
            (full.clone(), demand(essential("groups", "y"), None, None), true),
            (full.clone(), demand(essential("groups", "z"), None, None), false),
            (full.clone(), demand(essential("department", "z"), None, None), false),
            (json!({"sub": "a", "acr": "mfa", "auth_time": 500}), demand(json!({}), None, Some(300)), false),
            // As a refresh may bring it.
            (json!({"sub": "a"}), demand(json!({}), Some("mfa"), None), false),
            (json!({"sub": "a"}), demand(json!({}), None, Some(300)), false),
            (json!({"sub": "a"}), demand(essential("sub", "a"), None, None), true),
        ] {
            let unmet = unmet_by_token(&token(claims.clone()), &requirement, now);
            assert_eq!(unmet.is_none(), met, "{claims} {requirement:?}: {unmet:?}");
        }
        for spoilt in ["", "a", "a.b.c", "a.!.c"] {
            assert!(unmet_by_token(spoilt, &demand(json!({}), Some("mfa"), None), now).is_some(), "{spoilt}");
        }
    }

    #[test]
    fn one_demand_has_one_name_and_one_line() {
        let read = |text: &str| parse(Some(serde_json::from_str(text).unwrap()), None, None).unwrap().claims.unwrap();
        let (a, b) = (
            read(r#"{"id_token":{"a":null,"b":{"value":"it's","essential":true}}}"#),
            read(r#"{ "id_token": {"b":{"essential":true,"value":"it's"},"a":null}}"#),
        );
        assert_eq!((&a.text, &a.digest), (&b.text, &b.digest));
        assert_ne!(a.digest, read(r#"{"id_token":{"a":null}}"#).digest);
        let requirement = Requirement {
            acr_values: vec!["urn:a".to_owned(), "urn:b".to_owned()],
            max_age: Some(Span::minutes(5)),
            claims: Some(a),
        };
        assert_eq!(
            flags(&requirement),
            r#" --max-age 5m --acr-values 'urn:a urn:b' --claims '{"id_token":{"a":null,"b":{"essential":true,"value":"it'\''s"}}}'"#
        );
        assert_eq!(flags(&Requirement::default()), "");
    }
}
