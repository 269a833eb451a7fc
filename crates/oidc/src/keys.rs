//! An issuer's public keys (RFC 7517), and which of them may verify a signature.
//!
//! Invariant: a key is used only with the algorithms its type, curve, `alg`, `use` and `key_ops` allow; short RSA keys,
//! symmetric keys and keys published with their private part are not used at all. `kid` is compared, never interpreted.
//! Limit: the first 100 entries count; RSA moduli above 4096 bits are not supported by the library and fail to verify.

use crate::{json, metadata::ALGORITHMS};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

/// How many entries of a key set are looked at.
const MOST_KEYS: usize = 100;

struct Key {
    kid: Option<String>,
    /// The algorithms it may be used with; never empty.
    fits: Vec<Algorithm>,
    public: DecodingKey,
}

/// The usable keys of an issuer.
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a key set; keys that cannot be used are left out. `None` when it is no key set.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let document = json::object(body)?;
        let entries = document.get("keys")?.as_array()?;
        Some(Self(entries.iter().take(MOST_KEYS).filter_map(|e| Key::read(e.as_object()?)).collect()))
    }

    /// Whether one of the fitting keys made this signature. With a `kid` only keys of that name are tried.
    pub(crate) fn verify(&self, algorithm: Algorithm, kid: Option<&str>, signed: &str, signature: &str) -> bool {
        self.0.iter().filter(|key| key.fits.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid)).any(
            |key| {
                matches!(jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.public, algorithm), Ok(true))
            },
        )
    }
}

impl Key {
    fn read(entry: &Map<String, Value>) -> Option<Self> {
        if entry.contains_key("d") || entry.get("use").is_some_and(|u| u != "sig") {
            return None;
        }
        if let Some(operations) = entry.get("key_ops") {
            operations.as_array()?.iter().find(|o| *o == "verify")?;
        }
        let kid = match entry.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        let (public, by_type): (DecodingKey, &[Algorithm]) = match json::text(entry, "kty")? {
            "RSA" => {
                let (n, e) = (bytes(entry, "n")?, bytes(entry, "e")?);
                if bits(&n) < 2048 {
                    return None;
                }
                (
                    DecodingKey::from_rsa_raw_components(&n, &e),
                    &[
                        Algorithm::RS256,
                        Algorithm::RS384,
                        Algorithm::RS512,
                        Algorithm::PS256,
                        Algorithm::PS384,
                        Algorithm::PS512,
                    ],
                )
            }
            "EC" => {
                let (length, algorithms): (usize, &[Algorithm]) = match json::text(entry, "crv")? {
                    "P-256" => (32, &[Algorithm::ES256]),
                    "P-384" => (48, &[Algorithm::ES384]),
                    _ => return None,
                };
                let (x, y) = (bytes(entry, "x")?, bytes(entry, "y")?);
                if x.len() != length || y.len() != length {
                    return None;
                }
                (DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()), algorithms)
            }
            "OKP" if json::text(entry, "crv")? == "Ed25519" => {
                let x = bytes(entry, "x")?;
                if x.len() != 32 {
                    return None;
                }
                (DecodingKey::from_ed_der(&x), &[Algorithm::EdDSA])
            }
            _ => return None,
        };
        let fits: Vec<Algorithm> = match entry.get("alg") {
            None => by_type.to_vec(),
            Some(name) => ALGORITHMS
                .into_iter()
                .filter(|(known, algorithm)| name == known && by_type.contains(algorithm))
                .map(|(_, algorithm)| algorithm)
                .collect(),
        };
        (!fits.is_empty()).then_some(Self { kid, fits, public })
    }
}

fn bytes(entry: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(json::text(entry, name)?).ok()
}

/// The length of a big-endian number in bits.
fn bits(number: &[u8]) -> usize {
    let Some(first) = number.iter().position(|b| *b != 0) else { return 0 };
    (number.len() - first) * 8 - number[first].leading_zeros() as usize
}
