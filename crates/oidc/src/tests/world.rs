//! An issuer, an account at it, a clock and the crate under test.

use super::{
    rsa,
    server::{Reply, Server},
};
use crate::{
    Client, Code, KnownSubject, OidcError, Options, Pending, RefreshError, SignInAsk, SignedIn, TokenAnswer, TokenAsk,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use broker::{
    Account, Offline, Span, Timestamp,
    ports::{Clock, Entropy},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The time at which every test begins, in seconds.
pub(crate) const NOW: i64 = 1_790_000_000;
pub(crate) const ACCESS: &str = "CANARY-access-token";
pub(crate) const REFRESH: &str = "CANARY-refresh-token";

pub(crate) struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::SeqCst))
    }
}

/// Bytes whose base64url form begins with `CANARY` and is different each time.
struct FakeEntropy(AtomicU64);

impl Entropy for FakeEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let text = format!("CANARY{:0>36}0", self.0.fetch_add(1, Ordering::SeqCst));
        buffer.copy_from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap());
    }
}

/// What signs ID tokens.
#[derive(Clone)]
pub(crate) enum Signing {
    Ec(SigningKey),
    Rsa(&'static str, Algorithm),
}

impl Signing {
    pub(crate) fn ec(seed: u8) -> Self {
        Self::Ec(SigningKey::from_bytes(&[seed; 32].into()).unwrap())
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ec(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": part(point.x().unwrap()), "y": part(point.y().unwrap())})
            }
            Self::Rsa(key, _) => {
                let n = if *key == rsa::RSA_2048 { rsa::RSA_2048_N } else { rsa::RSA_1024_N };
                json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB"})
            }
        }
    }

    fn signature(&self, signed: &str) -> String {
        match self {
            Self::Ec(key) => {
                let signature: Signature = key.sign(signed.as_bytes());
                URL_SAFE_NO_PAD.encode(signature.to_bytes())
            }
            Self::Rsa(key, algorithm) => {
                let key = EncodingKey::from_rsa_der(&STANDARD.decode(key).unwrap());
                jsonwebtoken::crypto::sign(signed.as_bytes(), &key, *algorithm).unwrap()
            }
        }
    }

    /// A signed token of header and claims given as JSON text, so that they may be odd.
    pub(crate) fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{signed}.{}", self.signature(&signed))
    }
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) account: Account,
    pub(crate) key: Signing,
    clock: Arc<FakeClock>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let server = Server::start().await;
        let clock = Arc::new(FakeClock(AtomicI64::new(NOW)));
        let options = Options { total_timeout: Duration::from_millis(400), ..Options::default() };
        let entropy = Arc::new(FakeEntropy(AtomicU64::new(0)));
        let client = Client::new(&options, Arc::clone(&clock) as Arc<dyn Clock>, entropy).unwrap();
        let account = Account {
            name: "corp".parse().unwrap(),
            title: None,
            issuer: server.base().parse().unwrap(),
            client_id: "daypass".to_owned(),
            client_secret: None,
            redirect_uris: Vec::new(),
            scopes: "openid profile".parse().unwrap(),
            offline: Offline::Auto,
            authorization_parameters: BTreeMap::new(),
            required_claims: BTreeMap::new(),
        };
        let world = Self { server, client, account, key: Signing::ec(7), clock };
        world.publish(&world.metadata());
        world.publish_keys(&[world.key.jwk("k1")]);
        world
    }

    pub(crate) fn metadata(&self) -> Value {
        let base = self.server.base();
        json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}/authorize?p=one%20policy"),
            "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/keys"),
            "revocation_endpoint": format!("{base}/revoke"),
            "scopes_supported": ["openid", "offline_access"],
        })
    }

    pub(crate) fn publish(&self, metadata: &Value) {
        self.server.set("/.well-known/openid-configuration", Reply::json(200, metadata));
    }

    pub(crate) fn publish_keys(&self, keys: &[Value]) {
        self.server.set("/keys", Reply::json(200, &json!({ "keys": keys })));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn pass(&self, span: Span) {
        self.clock.0.fetch_add(span.as_seconds(), Ordering::SeqCst);
    }

    /// Good claims of this moment; with the nonce of a sign-in where there is one.
    pub(crate) fn claims(&self, nonce: Option<&str>) -> Value {
        let now = self.clock.now().as_seconds();
        let mut claims = json!({
            "iss": self.server.base(), "sub": "subject", "aud": "daypass",
            "exp": now + 3600, "iat": now, "auth_time": 1_789_999_990.5, "acr": "urn:mfa", "amr": ["pwd", "otp"],
            "name": "Zoë \u{202e}Example", "email": "zoe@example.com",
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        claims
    }

    pub(crate) fn id_token(&self, claims: &Value) -> String {
        self.key.token(r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#, &claims.to_string())
    }

    /// A good token answer with this ID token.
    pub(crate) fn answer(id_token: Option<&str>) -> Value {
        let mut answer = json!({
            "access_token": ACCESS, "token_type": "bearer", "expires_in": 600, "refresh_token": "CANARY-new-refresh",
        });
        if let Some(token) = id_token {
            answer["id_token"] = json!(token);
        }
        answer
    }

    pub(crate) fn ask(&self) -> SignInAsk {
        SignInAsk {
            account: Arc::new(self.account.clone()),
            redirect_uri: "http://127.0.0.1:4711/callback".to_owned(),
            scopes: "openid profile payments.read".parse().unwrap(),
            resources: vec![],
            audiences: vec![],
            redeem_for: None,
            prompt: None,
            requirement: broker::Requirement::default(),
        }
    }

    pub(crate) async fn begin(&self) -> Pending {
        self.client.begin(self.ask()).await.unwrap()
    }

    /// The code of a good callback to this sign-in.
    pub(crate) fn code(pending: &Pending) -> Code {
        let state = parameter(pending, "state").remove(0);
        pending.check_callback(&format!("code=CANARY-code%2B%2F&state={state}")).unwrap()
    }

    /// A sign-in whose ID token is made by `token` from its nonce.
    pub(crate) async fn sign_in_with(&self, token: impl Fn(&str) -> String) -> Result<SignedIn, OidcError> {
        let pending = self.begin().await;
        self.server.set("/token", Reply::json(200, &Self::answer(Some(&token(&pending.nonce)))));
        let code = Self::code(&pending);
        self.client.redeem(pending, code).await
    }

    pub(crate) async fn sign_in(&self) -> Result<SignedIn, OidcError> {
        self.sign_in_with(|nonce| self.id_token(&self.claims(Some(nonce)))).await
    }

    pub(crate) async fn refresh(&self, ask: &TokenAsk) -> Result<TokenAnswer, RefreshError> {
        let (subject, nonce) = ("subject".to_owned(), Some("the nonce".to_owned()));
        let known = KnownSubject { subject, nonce, auth_time: Some(NOW - 10) };
        self.client.refresh(&self.account, &SecretString::from(REFRESH), ask, &known).await
    }
}

/// The values of a parameter of the authorization request.
pub(crate) fn parameter(pending: &Pending, name: &str) -> Vec<String> {
    let address = url::Url::parse(pending.request().address.expose_secret()).unwrap();
    address.query_pairs().filter(|(n, _)| n == name).map(|(_, v)| v.into_owned()).collect()
}
