//! A small OAuth client: PKCE, redirect caught without a listener, tokens verified with `jsonwebtoken`.
#![allow(dead_code, reason = "two test programs share it and each uses a part")]
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint knows only inside test functions")]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use dev_issuer::{
    Config, DevIssuer,
    user_agent::{Form, Page, UserAgent},
    wire::{self, Answer, WireError},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};
use url::Url;

/// Our `client_id`.
pub(crate) const CLIENT: &str = "daypass";
/// Our redirect URI but for the port.
pub(crate) const REDIRECT: &str = "http://127.0.0.1:";
/// Longest wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Status and error word of a refusal; 0 where there was no answer.
pub(crate) type Refused = (u16, String);

/// The client, its browser and its provider.
pub(crate) struct Program {
    pub(crate) issuer: DevIssuer,
    pub(crate) browser: UserAgent,
    pub(crate) redirect_uri: String,
    port: u16,
}

impl Program {
    pub(crate) fn new(config: Config) -> Self {
        let issuer = DevIssuer::start(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Whoever comes to the redirect URI is told it went well.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 8192]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let redirect_uri = format!("{REDIRECT}{port}/callback");
        Self { issuer, browser: UserAgent::new(PATIENCE), redirect_uri, port }
    }

    /// Opens the authorization endpoint with `changes` to a good request; gives the verifier and where that led.
    pub(crate) fn open_authorization(&mut self, changes: &[(&str, &str)]) -> (String, Page) {
        let (verifier, url) = self.authorization_url(changes);
        (verifier, self.browser.open(&url).unwrap())
    }

    pub(crate) fn authorization_url(&self, changes: &[(&str, &str)]) -> (String, Url) {
        let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(self.issuer.issuer()));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut parameters = vec![
            ("client_id", CLIENT),
            ("response_type", "code"),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid offline_access"),
            ("state", "state-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        parameters.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        parameters.extend(changes);
        let mut url = Url::parse(&format!("{}/authorize", self.issuer.issuer())).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        (verifier, url)
    }

    /// Signs alice in; gives the verifier and the parameters of the callback.
    pub(crate) fn sign_in(&mut self, changes: &[(&str, &str)]) -> (String, HashMap<String, String>) {
        let (verifier, page) = self.open_authorization(changes);
        let mut form = page.forms().remove(0);
        form.fill("username", "alice");
        form.fill("password", "any");
        (verifier, self.answer_form(&page, &form, ("action", "sign-in")))
    }

    /// Sends the form and gives the parameters of the callback.
    pub(crate) fn answer_form(&mut self, page: &Page, form: &Form, button: (&str, &str)) -> HashMap<String, String> {
        let last = self.browser.send(page, form, Some(button)).unwrap();
        self.callback(&last)
    }

    /// The parameters of the callback a request without a form leads to.
    pub(crate) fn authorization_answer(&mut self, changes: &[(&str, &str)]) -> HashMap<String, String> {
        let page = self.open_authorization(changes).1;
        self.callback(&page)
    }

    fn callback(&self, page: &Page) -> HashMap<String, String> {
        assert_eq!(page.url.port(), Some(self.port), "{}: {}", page.url, page.html);
        page.url.query_pairs().into_owned().collect()
    }

    pub(crate) fn redeem(&self, code: &str, verifier: &str, changes: &[(&str, &str)]) -> Result<Value, Refused> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", &self.redirect_uri),
        ];
        read(self.post("/token", &fields, changes))
    }

    pub(crate) fn refresh(&self, token: &str, changes: &[(&str, &str)]) -> Result<Value, Refused> {
        let fields = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)];
        read(self.post("/token", &fields, changes))
    }

    pub(crate) fn revoke(&self, token: &str) -> Refused {
        let answer = self.post("/revoke", &[("client_id", CLIENT), ("token", token)], &[]).unwrap();
        (answer.status, answer.text())
    }

    /// Posts `fields`, with those named in `changes` replaced.
    pub(crate) fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        changes: &[(&str, &str)],
    ) -> Result<Answer, WireError> {
        let mut fields = fields.to_vec();
        fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        fields.extend(changes);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.post_with_patience(path, &body, PATIENCE)
    }

    pub(crate) fn post_with_patience(&self, path: &str, body: &str, patience: Duration) -> Result<Answer, WireError> {
        let url = Url::parse(&format!("{}{path}", self.issuer.issuer())).unwrap();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        wire::exchange("POST", &url, &headers, Some(body.as_bytes()), patience)
    }

    pub(crate) fn post_raw(&self, path: &str, content_type: &str, body: &str) -> Refused {
        let url = Url::parse(&format!("{}{path}", self.issuer.issuer())).unwrap();
        let answer = wire::exchange("POST", &url, &[("content-type", content_type)], Some(body.as_bytes()), PATIENCE);
        read(answer).unwrap_err()
    }

    pub(crate) fn control(&self, body: &Value) -> u16 {
        let url = Url::parse(&format!("{}/control", self.issuer.address())).unwrap();
        let headers = [("content-type", "application/json")];
        wire::exchange("POST", &url, &headers, Some(body.to_string().as_bytes()), PATIENCE).unwrap().status
    }

    pub(crate) fn userinfo(&self, token: &str) -> Result<Value, Refused> {
        let url = Url::parse(&format!("{}/userinfo", self.issuer.issuer())).unwrap();
        let bearer = format!("Bearer {token}");
        read(wire::exchange("GET", &url, &[("authorization", &bearer)], None, PATIENCE))
    }

    /// The claims of a JWT whose signature, issuer, audience and end a library of its own finds right.
    pub(crate) fn verified(&self, token: &str, audience: &str) -> Result<Value, String> {
        let keys = fetch(&format!("{}/jwks", self.issuer.issuer())).map_err(|refused| refused.1)?;
        let keys: JwkSet = serde_json::from_value(keys).unwrap();
        let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
        let key = keys.find(header.kid.as_deref().unwrap_or_default()).ok_or("unknown key")?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[self.issuer.issuer()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let data = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation);
        data.map(|data| data.claims).map_err(|error| error.to_string())
    }
}

/// The JSON at `address`.
pub(crate) fn fetch(address: &str) -> Result<Value, Refused> {
    read(wire::exchange("GET", &Url::parse(address).unwrap(), &[], None, PATIENCE))
}

/// The JSON of a good answer, or status and error word.
pub(crate) fn read(answer: Result<Answer, WireError>) -> Result<Value, Refused> {
    let answer = answer.map_err(|error| (0, error.to_string()))?;
    let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, value) {
        (200, Some(value)) => Ok(value),
        (status, value) => {
            let word = value.and_then(|value| value["error"].as_str().map(str::to_owned));
            Err((status, word.unwrap_or_else(|| answer.text())))
        }
    }
}

fn part(token: &str, number: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(number).unwrap()).unwrap()).unwrap()
}

/// The claims, unverified.
pub(crate) fn decode(token: &str) -> Value {
    part(token, 1)
}

/// The header, unverified.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

/// OpenID Connect Core §3.1.3.6.
pub(crate) fn at_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(token)[..16])
}
