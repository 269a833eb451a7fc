//! Verification of the minted token by a library that is not ours: jose, `PyJWT`, or the openssl command.
//!
//! Invariant: "verified" is said only when that library said so. openssl knows signatures only, so where it is the
//! verifier the claims are checked here, and the demo says who checked what.

use crate::{Failure, home::find_program, tidy::Tidy};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Longest a verifier may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the scripts exit with when their library is not there.
const ABSENT: i32 = 3;

const JOSE: &str = r"
const jose = await import('jose').catch(() => process.exit(3));
let text = '';
for await (const part of process.stdin) text += part;
const { token, jwks, issuer, audience } = JSON.parse(text);
try {
  await jose.jwtVerify(token, jose.createLocalJWKSet(jwks), { issuer, audience, algorithms: ['ES256'], typ: 'at+jwt' });
} catch (error) { console.log(error.code ?? error.message); process.exit(1); }
";

const PYJWT: &str = r"
import json, sys
try:
    import jwt
    from jwt import PyJWKSet
    import cryptography
except ImportError:
    sys.exit(3)
asked = json.load(sys.stdin)
try:
    header = jwt.get_unverified_header(asked['token'])
    if header.get('typ') != 'at+jwt':
        raise ValueError('typ')
    key = next(k for k in PyJWKSet.from_dict(asked['jwks']).keys if k.key_id == header.get('kid'))
    jwt.decode(asked['token'], key.key, algorithms=['ES256'], audience=asked['audience'], issuer=asked['issuer'],
               options={'require': ['exp', 'iat', 'iss', 'aud']})
except Exception as error:
    print(type(error).__name__)
    sys.exit(1)
";

/// What is to be verified, against what.
#[derive(Debug, Clone)]
pub(crate) struct Claim<'a> {
    /// The token.
    pub(crate) token: &'a str,
    /// The JWKS of the agent.
    pub(crate) jwks: &'a Value,
    /// Its base address.
    pub(crate) issuer: &'a str,
    /// The resource's audience.
    pub(crate) audience: &'a str,
}

/// Why a token is not verified.
#[derive(Debug)]
pub(crate) enum NotVerified {
    /// The verifier is not installed.
    Absent,
    /// The verifier says no.
    Refused(String),
    /// The verifier cannot be run.
    Broken(Failure),
}

impl From<Failure> for NotVerified {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

/// A foreign verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verifier {
    /// The npm library.
    Jose,
    /// The Python library.
    PyJwt,
    /// The command.
    OpenSsl,
}

impl Verifier {
    /// In the order they are tried.
    pub(crate) const ALL: [Self; 3] = [Self::Jose, Self::PyJwt, Self::OpenSsl];

    /// Who checked what, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Jose => "jose (node): signature, type, issuer, audience, expiry",
            Self::PyJwt => "PyJWT (python): signature, type, issuer, audience, expiry",
            Self::OpenSsl => "openssl: signature (type, issuer, audience and expiry checked by the demo)",
        }
    }

    /// Verifies `claim`; files of a moment go to `scratch`.
    pub(crate) fn verify(self, tidy: &Tidy, claim: &Claim<'_>, scratch: &Path) -> Result<(), NotVerified> {
        match self {
            Self::Jose => {
                let node = find_program("node").ok_or(NotVerified::Absent)?;
                let mut command = Command::new(node);
                command
                    .args(["--input-type=module", "-e", JOSE])
                    .current_dir(jose_folder().ok_or(NotVerified::Absent)?);
                script(tidy, &command, claim)
            }
            Self::PyJwt => {
                let python = find_program("python3").ok_or(NotVerified::Absent)?;
                let mut command = Command::new(python);
                command.args(["-I", "-c", PYJWT]);
                script(tidy, &command, claim)
            }
            Self::OpenSsl => openssl(tidy, claim, scratch),
        }
    }
}

/// The first verifier that is there, when it says yes.
pub(crate) fn verify(tidy: &Tidy, claim: &Claim<'_>, scratch: &Path) -> Result<Verifier, Failure> {
    for verifier in Verifier::ALL {
        match verifier.verify(tidy, claim, scratch) {
            Ok(()) => return Ok(verifier),
            Err(NotVerified::Absent) => {}
            Err(NotVerified::Refused(why)) => {
                return Err(Failure::new(format!("the token does not verify with {verifier:?}: {why}")));
            }
            Err(NotVerified::Broken(failure)) => return Err(failure),
        }
    }
    Err(Failure::new("no foreign verifier is here").hint("install openssl, or PyJWT with cryptography"))
}

/// The folder of the test provider, whose node modules hold jose, when this program lies in a checkout.
fn jose_folder() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let folder = own.ancestors().map(|folder| folder.join("tests/provider"));
    folder.into_iter().find(|folder| folder.join("node_modules/jose").is_dir())
}

/// Runs a script with the claim on its standard input, where no other process can read it.
fn script(tidy: &Tidy, command: &Command, claim: &Claim<'_>) -> Result<(), NotVerified> {
    let Claim { token, jwks, issuer, audience } = claim;
    let input = json!({"token": token, "jwks": jwks, "issuer": issuer, "audience": audience}).to_string();
    let output = tidy.run("the verifier", command, Some(input.as_bytes()), PATIENCE)?;
    match output.status.code() {
        Some(0) => Ok(()),
        Some(ABSENT) => Err(NotVerified::Absent),
        Some(1) if !output.stdout.trim().is_empty() => Err(NotVerified::Refused(output.stdout.trim().to_owned())),
        _ => Err(Failure::new(format!("the verifier fails: {}", output.stderr.trim())).into()),
    }
}

fn openssl(tidy: &Tidy, claim: &Claim<'_>, scratch: &Path) -> Result<(), NotVerified> {
    let refused = |why: &str| NotVerified::Refused(why.to_owned());
    let program = find_program("openssl").ok_or(NotVerified::Absent)?;
    let jwt = Jwt::parse(claim.token).ok_or_else(|| refused("it is no JWT"))?;
    check_claims(&jwt, claim, now()).map_err(NotVerified::Refused)?;
    let keys = claim.jwks["keys"].as_array().cloned().unwrap_or_default();
    let key =
        keys.iter().find(|key| key["kid"] == jwt.header["kid"]).ok_or_else(|| refused("its key is not published"))?;
    let coordinate =
        |name: &str| -> Option<[u8; 32]> { URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()?.try_into().ok() };
    let (Some(x), Some(y)) = (coordinate("x"), coordinate("y")) else { return Err(refused("its key is no P-256 key")) };
    let signature = der_signature(&jwt.signature).ok_or_else(|| refused("its signature has the wrong size"))?;
    let (key_file, signature_file) = (scratch.join("key.pem"), scratch.join("signature.der"));
    let unwritable = "the verifier's input cannot be written";
    std::fs::write(&key_file, dev_issuer::p256_spki_pem(&x, &y)).map_err(Failure::during(unwritable))?;
    std::fs::write(&signature_file, signature).map_err(Failure::during(unwritable))?;
    let mut command = Command::new(program);
    command.args(["dgst", "-sha256", "-verify"]).arg(key_file).arg("-signature").arg(signature_file);
    let output = tidy.run("openssl", &command, Some(jwt.signed.as_bytes()), PATIENCE)?;
    if output.status.success() && output.stdout.contains("Verified OK") {
        Ok(())
    } else {
        Err(refused("its signature is wrong"))
    }
}

/// A token taken apart.
pub(crate) struct Jwt<'a> {
    /// The header.
    pub(crate) header: Value,
    /// The claims.
    pub(crate) claims: Value,
    signature: Vec<u8>,
    signed: &'a str,
}

impl<'a> Jwt<'a> {
    /// Takes `token` apart; verifies nothing.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self {
            header: json(header)?,
            claims: json(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            signed,
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Checks what openssl does not know about; `now` in seconds since 1970.
fn check_claims(jwt: &Jwt<'_>, claim: &Claim<'_>, now: u64) -> Result<(), String> {
    let holds = |what: &str, fine: bool| if fine { Ok(()) } else { Err(format!("its {what} is wrong")) };
    holds("algorithm", jwt.header["alg"] == "ES256")?;
    holds("type", jwt.header["typ"] == "at+jwt")?;
    holds("issuer", jwt.claims["iss"] == claim.issuer)?;
    let audience = &jwt.claims["aud"];
    let named = audience.as_array().is_some_and(|all| all.iter().any(|one| one == claim.audience));
    holds("audience", audience == claim.audience || named)?;
    holds("end", jwt.claims["exp"].as_u64().is_some_and(|end| end > now))?;
    holds("start", jwt.claims["nbf"].as_u64().is_none_or(|start| start <= now + 60))
}

/// `r || s` (RFC 7518 §3.4) as an ECDSA-Sig-Value (RFC 3279 §2.2.3).
fn der_signature(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.len() != 64 {
        return None;
    }
    let (r, s) = raw.split_at(32);
    let body: Vec<u8> = [r, s].into_iter().flat_map(integer).collect();
    // At most 70 bytes, so one byte holds the length.
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len() - 1);
    let digits = &number[zeros..];
    let padding = usize::from(digits[0] & 0x80 != 0);
    let length = u8::try_from(digits.len() + padding).unwrap_or(u8::MAX);
    let mut der = vec![0x02, length];
    der.extend(std::iter::repeat_n(0, padding));
    der.extend_from_slice(digits);
    der
}

#[cfg(test)]
mod tests;
