//! Each imitation does what its module says, as a small program of our own sees it.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint knows only inside test functions")]

mod program;

use dev_issuer::{Config, DevIssuer, Imitation};
use program::{PATIENCE, decode, header};
use serde_json::Value;
use std::collections::HashMap;

/// A signed-in client of an imitation: requests go where the metadata says.
struct Client {
    issuer: DevIssuer,
    metadata: Value,
    redirect_uri: &'static str,
    secret: Option<&'static str>,
}

const VERIFIER: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJK";
const CHALLENGE: &str = "p3ic1oxbIaP-82HZhYmV69KnKxq1S1TXUUwK-TjzMk8";

impl Client {
    fn new(config: Config, redirect_uri: &'static str, secret: Option<&'static str>) -> Self {
        let issuer = DevIssuer::start(config).unwrap();
        let metadata = program::fetch(&format!("{}/.well-known/openid-configuration", issuer.issuer())).unwrap();
        assert_eq!(metadata["issuer"], issuer.issuer());
        Self { issuer, metadata, redirect_uri, secret }
    }

    fn at(&self, endpoint: &str) -> url::Url {
        self.metadata[endpoint].as_str().unwrap_or_else(|| panic!("no {endpoint}")).parse().unwrap()
    }

    /// Opens the authorization endpoint and signs in; status and page, or parameters of the answer.
    fn authorize(&self, scope: &str, more: &[(&str, &str)]) -> Result<HashMap<String, String>, (u16, String)> {
        let mut url = self.at("authorization_endpoint");
        url.query_pairs_mut().extend_pairs([
            ("client_id", "daypass"),
            ("redirect_uri", self.redirect_uri),
            ("response_type", "code"),
            ("scope", scope),
            ("state", "s"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        url.query_pairs_mut().extend_pairs(more);
        let page = dev_issuer::wire::exchange("GET", &url, &[], None, PATIENCE).unwrap();
        let mut answer = page;
        if answer.status == 200 {
            let form = answer.text();
            let name =
                form.split("name=\"interaction\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            let action = form.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
            let url = format!("{}{action}", self.issuer.address()).parse().unwrap();
            let body = format!("interaction={name}&username=alice&password=x&action=sign-in");
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            answer = dev_issuer::wire::exchange("POST", &url, &headers, Some(body.as_bytes()), PATIENCE).unwrap();
        }
        match answer.header("location") {
            Some(location) => Ok(location.parse::<url::Url>().unwrap().query_pairs().into_owned().collect()),
            None => Err((answer.status, answer.text())),
        }
    }

    fn ask(&self, endpoint: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let secret = self.secret.map(|secret| ("client_secret", secret));
        let pairs = fields.iter().copied().chain([("client_id", "daypass")]).chain(secret);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer =
            dev_issuer::wire::exchange("POST", &self.at(endpoint), &headers, Some(body.as_bytes()), PATIENCE).unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    fn redeem(&self, code: &str, more: &[(&str, &str)]) -> (u16, Value) {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", self.redirect_uri),
        ];
        self.ask("token_endpoint", &[&fields, more].concat())
    }

    fn refresh(&self, token: &Value, more: &[(&str, &str)]) -> (u16, Value) {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
        self.ask("token_endpoint", &[&fields, more].concat())
    }

    fn tokens(&self, scope: &str, more: &[(&str, &str)]) -> Value {
        let answer = self.authorize(scope, more).unwrap();
        let (status, tokens) = self.redeem(&answer["code"], &[]);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

fn imitation(of: Imitation) -> Config {
    Config::imitating(of)
}

#[test]
fn entra_knows_resources_by_their_scopes_only() {
    const READ: &str = "api://payments.example.com/payments.read";
    let client = Client::new(imitation(Imitation::Entra), "http://localhost:4711/callback", None);
    assert!(client.issuer.issuer().ends_with("/v2.0"));
    assert!(client.metadata.get("revocation_endpoint").is_none());
    assert!(client.metadata["device_authorization_endpoint"].is_string());
    let (status, page) = client.authorize(READ, &[("resource", "https://payments.example.com")]).unwrap_err();
    assert!(status == 400 && page.contains("AADSTS901002"), "{page}");
    for bad in ["openid payments.read", "api://a/.default api://b/read"] {
        assert!(client.authorize(bad, &[]).unwrap_err().1.contains("AADSTS70011"), "{bad}");
    }
    let scope = format!("openid offline_access {READ} api://other/x");
    let tokens = client.tokens(&scope, &[]);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(decode(access)["aud"], "api://payments.example.com");
    assert_eq!((&decode(access)["scp"], &header(access)["typ"]), (&"payments.read".into(), &"JWT".into()));
    assert_ne!(decode(access)["iss"], client.issuer.issuer(), "a v1.0 token");
    let first = &tokens["refresh_token"];
    let (_, other) = client.refresh(first, &[("scope", "api://other/x")]);
    assert_eq!(decode(other["access_token"].as_str().unwrap())["aud"], "api://other");
    let (status, refused) = client.refresh(first, &[("scope", "api://third/.default")]);
    assert_eq!(
        (status, &refused["error"], &refused["suberror"]),
        (400, &"invalid_grant".into(), &"consent_required".into())
    );
    assert_eq!(refused["error_codes"], serde_json::json!([65001]));
    assert!(refused["error_description"].as_str().unwrap().starts_with("AADSTS65001: "));
    assert!(refused["correlation_id"].as_str().unwrap().len() == 36);
    assert_eq!(client.refresh(first, &[]).0, 200, "a used refresh token stays good");
    assert!(client.tokens("openid", &[]).get("refresh_token").is_none());
    let tokens = client.tokens("openid api://payments.example.com/.default", &[]);
    assert!(tokens["scope"].as_str().unwrap().contains(READ), "{tokens}");
}

#[test]
fn okta_has_one_audience_and_exact_redirects() {
    let client = Client::new(imitation(Imitation::Okta), "http://127.0.0.1:8400/callback", None);
    assert!(client.issuer.issuer().ends_with("/oauth2/default"));
    let answer = client.authorize("openid nonsense", &[]).unwrap();
    assert_eq!(answer["error"], "invalid_scope");
    let tokens = client.tokens("openid offline_access payments.read", &[("resource", "https://ignored.example.com")]);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!((&decode(access)["aud"], header(access).get("typ")), (&"api://default".into(), None));
    let (status, renewed) = client.refresh(&tokens["refresh_token"], &[("scope", "payments.read")]);
    assert_eq!((status, &renewed["refresh_token"]), (200, &tokens["refresh_token"]));
    assert_eq!(client.refresh(&tokens["refresh_token"], &[("scope", "api.read")]).1["error"], "invalid_scope");
    let other = Client { redirect_uri: "http://127.0.0.1:8402/callback", ..client };
    assert_eq!(other.authorize("openid", &[]).unwrap_err().0, 400);
}

#[test]
fn google_wants_its_secret_and_its_own_word_for_offline() {
    let secret = Some("daypass-desktop-secret");
    let client = Client::new(imitation(Imitation::Google), "http://127.0.0.1:4711/any/path", secret);
    assert!(client.authorize("openid offline_access", &[]).unwrap_err().1.contains("offline_access"));
    let offline = [("access_type", "offline")];
    let tokens = client.tokens("openid email", &offline);
    assert!(tokens["refresh_token"].is_string(), "the first consent");
    assert!(client.tokens("openid email", &offline).get("refresh_token").is_none());
    assert!(
        client.tokens("openid email", &[("access_type", "offline"), ("prompt", "consent")])["refresh_token"]
            .is_string()
    );
    assert!(!tokens["access_token"].as_str().unwrap().contains('.'), "opaque");
    assert!(tokens["scope"].as_str().unwrap().contains("userinfo.email"));
    let identity = decode(tokens["id_token"].as_str().unwrap());
    assert_eq!(identity["hd"], "example.com");
    let (status, renewed) = client.refresh(&tokens["refresh_token"], &[]);
    assert!(status == 200 && renewed.get("refresh_token").is_none());
    let answer = client.authorize("openid", &[]).unwrap();
    assert!(answer.contains_key("authuser") && answer.contains_key("scope") && !answer.contains_key("iss"));
    let without = Client { secret: None, ..client };
    let (status, refused) = without.redeem(&answer["code"], &[]);
    assert_eq!((status, &refused["error"]), (400, &"invalid_request".into()));
    assert_eq!(without.ask("device_authorization_endpoint", &[("scope", "openid")]).0, 401);
}

#[test]
fn keycloak_sessions_end_and_offline_access_may_be_refused() {
    let redirect = "http://127.0.0.1:4711/callback";
    let client = Client::new(Config { online_idle: 1, ..imitation(Imitation::Keycloak) }, redirect, None);
    assert!(client.issuer.issuer().ends_with("/realms/example"));
    let online = client.tokens("openid payments.read", &[]);
    let access = online["access_token"].as_str().unwrap();
    assert_eq!(decode(access)["aud"], serde_json::json!(["https://payments.example.com", "account"]));
    assert_eq!(header(access)["typ"], "JWT");
    assert_eq!(online["refresh_expires_in"], 1);
    let offline = client.tokens("openid offline_access", &[]);
    assert_eq!(offline["refresh_expires_in"], 0);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let over = client.refresh(&online["refresh_token"], &[]).1;
    assert_eq!((&over["error"], &over["error_description"]), (&"invalid_grant".into(), &"Session not active".into()));
    assert_eq!(client.refresh(&offline["refresh_token"], &[]).0, 200);
    let client = Client::new(Config { refuse_offline: true, ..imitation(Imitation::Keycloak) }, redirect, None);
    let answer = client.authorize("openid offline_access", &[]).unwrap();
    assert_eq!(client.redeem(&answer["code"], &[]).1["error"], "not_allowed");
    assert_eq!(client.authorize("openid nonsense", &[]).unwrap()["error"], "invalid_scope");
}

#[test]
fn a_device_waits_until_somebody_answers_elsewhere() {
    let client = Client::new(Config::default(), "http://127.0.0.1:1/callback", None);
    for (answer, error) in [("sign-in", None), ("cancel", Some("access_denied"))] {
        let (_, begun) = client.ask("device_authorization_endpoint", &[("scope", "openid offline_access")]);
        let code = begun["device_code"].as_str().unwrap();
        let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", code)];
        let poll = || client.ask("token_endpoint", &fields).1;
        assert_eq!(poll()["error"], "authorization_pending");
        assert_eq!(poll()["error"], "slow_down", "at once again");
        let mut browser = dev_issuer::user_agent::UserAgent::new(PATIENCE);
        let page = browser.open(&begun["verification_uri"].as_str().unwrap().parse().unwrap()).unwrap();
        let mut form = page.forms().remove(0);
        form.fill("user_code", "WRONG");
        assert!(browser.send(&page, &form, None).unwrap().html.contains("No device"));
        form.fill("user_code", &begun["user_code"].as_str().unwrap().to_lowercase());
        let page = browser.send(&page, &form, None).unwrap();
        let mut form = page.forms().remove(0);
        form.fill("username", "alice");
        form.fill("password", "x");
        assert_eq!(browser.send(&page, &form, Some(("action", answer))).unwrap().status, 200);
        let tokens = poll();
        assert_eq!(tokens.get("error").and_then(Value::as_str), error, "{tokens}");
        if error.is_none() {
            assert_eq!(decode(tokens["id_token"].as_str().unwrap())["sub"], "alice");
            assert_eq!(client.refresh(&tokens["refresh_token"], &[]).0, 200);
        }
        assert_eq!(poll()["error"], "invalid_grant", "once only");
    }
    assert_eq!(client.issuer.counters().device, 2);
}
