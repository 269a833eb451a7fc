//! Verification of ID tokens (OpenID Connect Core §3.1.3.7 and §12.2, RFC 7519, RFC 8725).
//!
//! Invariant: claims are handed out only after form, header, signature and every claim passed. Time is the injected
//! clock's, with 60 seconds of leeway. Nothing in a header makes us fetch, unpack or compute anything.

use crate::{json, keys::KeySet, metadata::ALGORITHMS, show};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use broker::{Issuer, Span, Timestamp};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The most bytes of a token that are looked at.
const MOST_BYTES: usize = 64 * 1024;
/// How far the clocks of issuer and machine may be apart, in seconds.
const LEEWAY: i64 = 60;
/// How old an ID token may be at the sign-in, in seconds.
const OLDEST: i64 = 600;

/// Why a token is not accepted; our own words only.
pub(crate) type Fault = &'static str;
/// Faults that tell of another person, issuer or client; the rest may be a wrong clock or a missing key.
pub(crate) const IDENTITY_FAULTS: [Fault; 8] =
    [OTHER_ISSUER, OTHER_SUBJECT, OTHER_AUDIENCE, OTHER_PARTY, NO_PARTY, OTHER_NONCE, NO_SUBJECT, BAD_SUBJECT];
const OTHER_ISSUER: Fault = "it names another issuer";
const OTHER_SUBJECT: Fault = "it is for another subject than the sign-in";
const OTHER_AUDIENCE: Fault = "it is for another audience";
const OTHER_PARTY: Fault = "it was issued to another party";
const NO_PARTY: Fault = "it has several audiences and no authorized party";
const OTHER_NONCE: Fault = "its nonce is not the one of the sign-in";
const OTHER_TIME: Fault = "it is of another authentication than the sign-in (auth_time)";
const NO_SUBJECT: Fault = "it names no subject";
const BAD_SUBJECT: Fault = "its subject is not usable";

/// What the claims are held against.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) client_id: &'a str,
    pub(crate) access_token: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) occasion: Occasion<'a>,
}

/// When the token was issued.
pub(crate) enum Occasion<'a> {
    /// At a sign-in: with this nonce (a device sign-in has none, and its token neither), just now, and with an
    /// authentication no older than asked for (seconds).
    SignIn { nonce: Option<&'a str>, max_age: Option<i64> },
    /// At a refresh: for the same subject, without a nonce or with the one of the sign-in, and of the same
    /// authentication where both tell its time.
    Refresh { subject: &'a str, nonce: Option<&'a str>, auth_time: Option<i64> },
}

/// The claims of a token that passed.
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) issued_at: Timestamp,
    pub(crate) auth_time: Option<i64>,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
    all: Map<String, Value>,
}

impl Claims {
    /// Whether a claim says exactly `wanted`: as text, as `true`/`false`, as a number, or as one entry of a list.
    /// `None` when there is no such claim.
    pub(crate) fn says(&self, name: &str, wanted: &str) -> Option<bool> {
        fn is(value: &Value, wanted: &str) -> bool {
            match value {
                Value::String(text) => text == wanted,
                Value::Bool(yes) => wanted == if *yes { "true" } else { "false" },
                Value::Number(number) => number.to_string() == wanted,
                _ => false,
            }
        }
        self.all.get(name).map(|value| match value {
            Value::Array(items) => items.iter().any(|item| is(item, wanted)),
            value => is(value, wanted),
        })
    }

    /// The first of these claims that names a person.
    pub(crate) fn person(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| show::person(json::text(&self.all, name)?))
    }
}

/// A token whose form and header passed; nothing in it can be trusted yet.
pub(crate) struct Unverified<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'a str,
    signature: &'a str,
    claims: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart; cheap, and done before any signature work.
    pub(crate) fn read(raw: &'a str, accepted: &[Algorithm]) -> Result<Self, Fault> {
        if raw.len() > MOST_BYTES {
            return Err("it is longer than 64 KiB");
        }
        if !raw.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err("it is not in compact form");
        }
        let mut parts = raw.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("it has not three parts");
        };
        let signed = &raw[..raw.len() - signature.len() - 1];
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| json::object(&bytes));
        let header = decode(header).ok_or("its header is no unambiguous JSON object")?;
        if ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
            return Err("its header asks for an extension");
        }
        if header.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(|t| t.eq_ignore_ascii_case("jwt"))) {
            return Err("it is of another type");
        }
        let algorithm = ALGORITHMS
            .into_iter()
            .find(|(name, _)| header.get("alg").is_some_and(|alg| alg == name))
            .map(|(_, algorithm)| algorithm)
            .filter(|algorithm| accepted.contains(algorithm))
            .ok_or("its algorithm is not accepted")?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= 1024 => Some(kid.clone()),
            Some(_) => return Err("its key name is not usable"),
        };
        let claims = decode(payload).ok_or("its claims are no unambiguous JSON object")?;
        Ok(Self { algorithm, kid, signed, signature, claims })
    }

    /// Whether one of these keys made its signature.
    pub(crate) fn is_signed_by(&self, keys: &KeySet) -> bool {
        keys.verify(self.algorithm, self.kid.as_deref(), self.signed, self.signature)
    }

    /// Checks every claim; call it only after [`Unverified::is_signed_by`] said yes.
    pub(crate) fn claims(self, expected: &Expected<'_>) -> Result<Claims, Fault> {
        let text = |name: &str| self.claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(expected.issuer.as_str()) {
            return Err(OTHER_ISSUER);
        }
        self.check_audience(expected.client_id)?;
        let now = expected.now.as_seconds();
        let exp = self.date("exp")?.ok_or("it has no exp")?;
        if now >= exp.saturating_add(LEEWAY) {
            return Err("it has expired (is the clock of this machine right?)");
        }
        let iat = self.date("iat")?.ok_or("it has no iat")?;
        if iat > now + LEEWAY {
            return Err("it was issued in the future (is the clock of this machine right?)");
        }
        if self.date("nbf")?.is_some_and(|nbf| nbf > now + LEEWAY) {
            return Err("it is not valid yet (is the clock of this machine right?)");
        }
        let auth_time = self.date("auth_time")?;
        let subject = text("sub").ok_or(NO_SUBJECT)?;
        if subject.is_empty() || subject.chars().count() > 255 || subject.chars().any(char::is_control) {
            return Err(BAD_SUBJECT);
        }
        match &expected.occasion {
            Occasion::SignIn { nonce, max_age } => {
                if text("nonce") != *nonce || (nonce.is_none() && self.claims.contains_key("nonce")) {
                    return Err("its nonce is not the one of this sign-in");
                }
                if iat < now - OLDEST {
                    return Err("it was issued too long ago (is the clock of this machine right?)");
                }
                if let Some(age) = max_age {
                    let at = auth_time.ok_or("it does not say when the person was authenticated")?;
                    if at.saturating_add(*age).saturating_add(LEEWAY) < now {
                        return Err("the authentication is older than asked for");
                    }
                }
            }
            Occasion::Refresh { subject: known, nonce, auth_time: then } => {
                if subject != *known {
                    return Err(OTHER_SUBJECT);
                }
                if self.claims.contains_key("nonce") && (nonce.is_none() || text("nonce") != *nonce) {
                    return Err(OTHER_NONCE);
                }
                if let (Some(then), Some(now)) = (then, auth_time)
                    && *then != now
                {
                    return Err(OTHER_TIME);
                }
            }
        }
        if let Some(at_hash) = self.claims.get("at_hash")
            && at_hash.as_str() != Some(&half_hash(self.algorithm, expected.access_token))
        {
            return Err("its at_hash is not of the access token");
        }
        Ok(Claims {
            subject: subject.to_owned(),
            expires_at: Timestamp::from_seconds(exp),
            issued_at: Timestamp::from_seconds(iat),
            auth_time,
            acr: json::text(&self.claims, "acr").map(|acr| show::sanitise(acr, show::CAP)),
            amr: self.methods(),
            all: self.claims,
        })
    }

    fn check_audience(&self, client_id: &str) -> Result<(), Fault> {
        let several = match self.claims.get("aud") {
            Some(Value::String(aud)) if aud == client_id => false,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) && items.iter().any(|i| i == client_id) => {
                items.len() > 1
            }
            _ => return Err(OTHER_AUDIENCE),
        };
        match self.claims.get("azp") {
            Some(azp) if azp != client_id => Err(OTHER_PARTY),
            None if several => Err(NO_PARTY),
            _ => Ok(()),
        }
    }

    /// A `NumericDate` (RFC 7519 §2), float or not, within 1970 … 9999; anything else is a fault, not an absence.
    fn date(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(value) => match json::seconds(value) {
                Some(date) if (0..=253_402_300_799).contains(&date) => Ok(Some(date)),
                _ => Err("one of its times is not usable"),
            },
        }
    }

    fn methods(&self) -> Vec<String> {
        let items = self.claims.get("amr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).take(20).map(|m| show::sanitise(m, 64)).collect()
    }
}

/// `at_hash` of OpenID Connect Core §3.1.3.6: the left half of the hash that goes with the algorithm (`EdDSA`: SHA-512).
pub(crate) fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let digest: Vec<u8> = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Sha384::digest(token).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => Sha512::digest(token).to_vec(),
        _ => Sha256::digest(token).to_vec(),
    };
    URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2])
}

/// How long after its start a sign-in may still be finished.
pub(crate) const SIGN_IN_LASTS: Span = Span::seconds(OLDEST);
