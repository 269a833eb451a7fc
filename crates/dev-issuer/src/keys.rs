//! Signing keys: ES256 only, made at start, kept in memory.

use crate::fault::{JwtChange, patch};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The system gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct EntropyError;

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EntropyError)?;
    Ok(bytes)
}

/// One P-256 key pair.
pub struct Key {
    kid: String,
    signing: SigningKey,
}

impl Key {
    /// Makes a key pair named `kid`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(kid: &str) -> Result<Self, EntropyError> {
        // Fewer than one in 2^32 byte strings is no scalar; a second such draw means the randomness is none.
        for _ in 0..2 {
            if let Ok(signing) = SigningKey::from_slice(&random::<32>()?) {
                return Ok(Self { kid: kid.to_owned(), signing });
            }
        }
        Err(EntropyError)
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// Signs `claims` as a compact JWS (RFC 7515) with `typ`, changed as `change` says.
    pub fn sign(&self, typ: &str, mut claims: Map<String, Value>, change: &JwtChange) -> String {
        let mut header = Map::from_iter([
            ("alg".to_owned(), json!("ES256")),
            ("typ".to_owned(), json!(typ)),
            ("kid".to_owned(), json!(self.kid)),
        ]);
        if change.expired {
            for (name, ago) in [("iat", 7200), ("nbf", 7200), ("exp", 3600)] {
                if let Some(at) = claims.get("iat").and_then(Value::as_u64).filter(|_| claims.contains_key(name)) {
                    claims.insert(name.to_owned(), json!(at - ago));
                }
            }
        }
        patch(&mut header, &change.header);
        patch(&mut claims, &change.claims);
        let encode = |part: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part).to_string());
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
        let input = format!("{}.{}", encode(header), encode(claims));
        let mut signature = match algorithm.as_str() {
            "none" => Vec::new(),
            "HS256" => hmac_sha256(self.public_pem().as_bytes(), input.as_bytes()).to_vec(),
            _ => {
                let signature: Signature = self.signing.sign(input.as_bytes());
                signature.to_bytes().to_vec()
            }
        };
        if change.bad_signature
            && let Some(byte) = signature.last_mut()
        {
            *byte ^= 1;
        }
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn public_pem(&self) -> String {
        let (x, y) = self.coordinates();
        p256_spki_pem(&x, &y)
    }

    fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        let point = self.signing.verifying_key().to_encoded_point(false);
        let part = |at: usize| -> [u8; 32] {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(&point.as_bytes()[at..at + 32]);
            bytes
        };
        (part(1), part(33))
    }
}

/// A P-256 public key as `SubjectPublicKeyInfo` in PEM (RFC 5480 §2), for programs that read no JWK.
pub fn p256_spki_pem(x: &[u8; 32], y: &[u8; 32]) -> String {
    // SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of an uncompressed point }
    let mut der = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    der.extend_from_slice(x);
    der.extend_from_slice(y);
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem + "-----END PUBLIC KEY-----\n"
}

/// HMAC with SHA-256 (RFC 2104), for the one forged token that needs it.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

/// The keys of the JWKS; the last one signs.
pub(crate) struct KeySet {
    current: Key,
    old: Vec<Key>,
    made: u32,
}

impl KeySet {
    pub(crate) fn generate() -> Result<Self, EntropyError> {
        Ok(Self { current: Self::named(1)?, old: Vec::new(), made: 1 })
    }

    fn named(number: u32) -> Result<Key, EntropyError> {
        Key::generate(&format!("dev-{number}-{:08x}", u32::from_le_bytes(random()?)))
    }

    pub(crate) fn rotate(&mut self, keep_old: bool) -> Result<(), EntropyError> {
        let new = Self::named(self.made + 1)?;
        self.made += 1;
        let old = std::mem::replace(&mut self.current, new);
        if keep_old {
            self.old.push(old);
        } else {
            self.old.clear();
        }
        Ok(())
    }

    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<_> = std::iter::once(&self.current).chain(self.old.iter().rev()).map(Key::jwk).collect();
        json!({ "keys": keys })
    }

    pub(crate) fn sign(
        &self,
        typ: &str,
        claims: Map<String, Value>,
        change: &JwtChange,
    ) -> Result<String, EntropyError> {
        if change.foreign_key {
            return Ok(Key::generate(&self.current.kid)?.sign(typ, claims, change));
        }
        Ok(self.current.sign(typ, claims, change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_the_published_vectors() {
        // RFC 4231, test cases 2 and 6.
        let hex = |bytes: [u8; 32]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(
            hex(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn rotation_keeps_or_drops_the_old_keys() {
        let mut keys = KeySet::generate().unwrap();
        let kids = |keys: &KeySet| keys.jwks()["keys"].as_array().unwrap().len();
        assert_eq!(kids(&keys), 1);
        keys.rotate(true).unwrap();
        assert_eq!(kids(&keys), 2);
        keys.rotate(false).unwrap();
        assert_eq!(kids(&keys), 1);
    }
}
