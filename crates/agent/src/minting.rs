//! Minted tokens: short-lived JWTs signed by the agent, for verifiers of the same user on this machine.
//!
//! Issuer and key are one pair: another base address means a new key. With any free port the key lives in memory only.

use crate::{agent::Agent, random, store::lock, vault::Vault};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use broker::{ExposeSecret, SecretString, Span, Timestamp, Wanted, ports::Entropy};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Mutex;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const ITEM: &str = "minting-key";
/// How long an old public key stays published: longer than any minted token lives.
const RETIRED_FOR: Span = Span::hours(2);

/// Signs minted tokens for one base address.
pub(crate) struct Mint {
    issuer: String,
    key: SigningKey,
    kid: String,
    retired: Mutex<Vec<Retired>>,
}

#[derive(Clone, Serialize, Deserialize, Zeroize)]
struct Retired {
    jwk: String,
    until: i64,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct Stored {
    version: u32,
    issuer: String,
    key: String,
    retired: Vec<Retired>,
}

fn public_jwk(key: &SigningKey) -> (String, Value) {
    let point = key.verifying_key().to_encoded_point(false);
    let (x, y) =
        (point.x().map(|x| B64.encode(x)).unwrap_or_default(), point.y().map(|y| B64.encode(y)).unwrap_or_default());
    // RFC 7638 §3: the required members in lexicographic order, no white space.
    let kid = B64.encode(Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes()));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256"});
    (kid, jwk)
}

fn fresh_key(entropy: &dyn Entropy) -> SigningKey {
    loop {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        entropy.fill(bytes.as_mut());
        if let Ok(key) = SigningKey::from_slice(bytes.as_ref()) {
            return key;
        }
    }
}

impl Mint {
    /// Takes the key of this base address from the keychain, or makes one. `lasting` is false with any free port.
    pub(crate) async fn open(
        issuer: String,
        lasting: bool,
        vault: &Vault,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Self {
        // A keychain that cannot be read may hold a key: it is left alone, and this agent's key lives in memory.
        let (stored, lasting) = match if lasting { vault.read(ITEM).await } else { Ok(None) } {
            Ok(stored) => (stored, lasting),
            Err(error) => {
                tracing::warn!(%error, "the minting key cannot be read: minted tokens end with this agent");
                (None, false)
            }
        };
        let stored: Option<Stored> = stored.and_then(|secret| serde_json::from_str(secret.expose_secret()).ok());
        let old_key = stored.as_ref().filter(|s| s.version == 1).and_then(|s| {
            let bytes = Zeroizing::new(B64.decode(&s.key).ok()?);
            SigningKey::from_slice(&bytes).ok()
        });
        let mut retired = stored.as_ref().map(|s| s.retired.clone()).unwrap_or_default();
        retired.retain(|r| now < Timestamp::from_millis(r.until));
        let same = stored.as_ref().is_some_and(|s| s.issuer == issuer) && old_key.is_some();
        let key = match old_key {
            Some(key) if same => key,
            other => {
                if let Some(old) = other {
                    let until = (now + RETIRED_FOR).as_millis();
                    retired.push(Retired { jwk: public_jwk(&old).1.to_string(), until });
                }
                fresh_key(entropy)
            }
        };
        let kid = public_jwk(&key).0;
        let mint = Self { issuer, key, kid, retired: Mutex::new(retired) };
        if lasting && !same {
            let written = vault.write(ITEM, mint.to_secret()).await;
            if let Err(error) = written {
                tracing::warn!(%error, "the minting key is not durable: minted tokens end with this agent");
            }
        }
        mint
    }

    fn to_secret(&self) -> SecretString {
        let stored = Stored {
            version: 1,
            issuer: self.issuer.clone(),
            key: B64.encode(Zeroizing::new(self.key.to_bytes().to_vec()).as_slice()),
            retired: lock(&self.retired).clone(),
        };
        serde_json::to_string(&stored).unwrap_or_default().into()
    }

    /// The public keys (RFC 7517 §5).
    pub(crate) fn jwks(&self, now: Timestamp) -> Value {
        let mut keys = vec![public_jwk(&self.key).1];
        let retired = lock(&self.retired);
        keys.extend(
            retired
                .iter()
                .filter(|r| now < Timestamp::from_millis(r.until))
                .filter_map(|r| serde_json::from_str::<Value>(&r.jwk).ok()),
        );
        json!({ "keys": keys })
    }

    fn sign(&self, claims: &Value) -> SecretString {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": self.kid});
        let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature: Signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", B64.encode(signature.to_bytes())).into()
    }
}

impl Agent {
    /// Mints a token (RFC 9068 §2) for a signed-in account.
    pub(crate) fn mint(
        &self,
        wanted: &Wanted,
        sign_in: &crate::accounts::SignIn,
        client_id: &str,
    ) -> (SecretString, Timestamp) {
        let now = self.now();
        let expires = now + wanted.resource.lifetime;
        let mut claims = json!({
            "iss": self.mint.issuer,
            "sub": sign_in.subject,
            "aud": wanted.resource.audience,
            "exp": expires.as_seconds(),
            "iat": now.as_seconds(),
            "nbf": now.as_seconds(),
            "jti": random::hex_name::<16>(self.entropy.as_ref()),
            "client_id": client_id,
            "scope": wanted.scopes.to_string(),
        });
        if let Value::Object(map) = &mut claims {
            if let Some(time) = sign_in.auth_time {
                map.insert("auth_time".to_owned(), time.into());
            }
            if let Some(acr) = &sign_in.acr {
                map.insert("acr".to_owned(), acr.as_str().into());
            }
            if !sign_in.amr.is_empty() {
                map.insert("amr".to_owned(), sign_in.amr.clone().into());
            }
        }
        (self.mint.sign(&claims), Timestamp::from_seconds(expires.as_seconds()))
    }
}
