//! Okta, with the custom authorization server `default` and a native application.
//!
//! Documented, all read 2026-11-23:
//! - "Create an authorization server": the issuer is `https://…/oauth2/default`; the audience is a setting of the
//!   authorization server (`api://default`), and every access token is for it.
//! - "Refresh access tokens and rotate refresh tokens": a refresh token needs `offline_access`; a native application's is
//!   persistent by default, and the same one comes back with each refresh; rotation is a setting.
//! - "Configure device authorization": the endpoint `/v1/device/authorize`; the person goes to `/activate`.
//! - "Request user consent": `prompt=consent` wants consent to be set up for the application and its scopes.
//! - Examples of access tokens in several guides: `cid`, `scp`.
//! - Public issue reports: the port of a redirect address on loopback has to be registered too; an unknown scope comes
//!   back to the redirect address as `invalid_scope`, "One or more scopes are not configured for the authorization server
//!   resource."
//!
//! Assumed: the other paths; that `resource` and `audience` are not looked at; that no `iss` comes with the authorization response; that a
//! refresh for a scope that was not granted is `invalid_scope`; the words of descriptions not named above.

use super::{AccessClaims, Jwt, Paths, Quirks, Redirects, Renewal, Resources, object};
use crate::server::Refusal;
use serde_json::{Map, Value, json};

pub(super) const ISSUER_PATH: &str = "/oauth2/default";
pub(super) const REDIRECT_URIS: &[&str] = &["http://127.0.0.1:8400/callback", "http://127.0.0.1:8401/callback"];
const AUDIENCE: &str = "api://default";

pub(super) const PROFILE: &str = r#"version = 1

[accounts.okta]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1:8400/callback", "http://127.0.0.1:8401/callback"]
scopes = ["openid", "profile", "email"]
offline = "scope"
authorization_parameters = { prompt = "login" }

[resources.payments]
account = "okta"
audience = "api://default"
request = "scope"
scopes = ["payments.read"]
"#;

/// The scopes this authorization server knows; the last ones were added to it.
const SCOPES: [&str; 8] =
    ["openid", "profile", "email", "offline_access", "device_sso", "payments.read", "payments.write", "api.read"];

pub(super) fn quirks(plain: &Quirks) -> Quirks {
    let at = |path: &str| format!("{ISSUER_PATH}/v1{path}");
    Quirks {
        paths: Paths {
            authorize: at("/authorize"),
            token: at("/token"),
            jwks: at("/keys"),
            userinfo: at("/userinfo"),
            revoke: Some(at("/revoke")),
            device: Some(at("/device/authorize")),
            verification: "/activate".to_owned(),
        },
        redirects: Redirects::Exact,
        resources: Resources::Ignored,
        renewal: Renewal::Same,
        metadata,
        check_scopes,
        access: |token| Some(access(token)),
        identity,
        dress,
        ..*plain
    }
}

fn metadata(document: &mut Map<String, Value>) {
    document.insert("scopes_supported".to_owned(), json!(SCOPES[..5]));
    document.insert("prompt_values_supported".to_owned(), json!(["none", "login", "consent", "login consent"]));
}

fn check_scopes(scopes: &[String]) -> Result<(), Refusal> {
    if scopes.iter().all(|scope| SCOPES.contains(&scope.as_str())) {
        return Ok(());
    }
    let why = "One or more scopes are not configured for the authorization server resource.";
    Err(Refusal::new("invalid_scope", why))
}

fn access(token: &AccessClaims<'_>) -> Jwt {
    let claims = object(json!({
        "aud": AUDIENCE, "cid": token.client_id, "uid": format!("00u{}", token.subject), "ver": 1, "scp": token.scope,
    }));
    Jwt { typ: None, claims }
}

fn identity(_: &str, claims: &mut Map<String, Value>) {
    claims.extend(object(json!({ "ver": 1, "idp": "00o1example" })));
}

fn dress(mut refusal: Refusal) -> Refusal {
    if refusal.error == "invalid_grant" && refusal.description.contains("refresh token") {
        "The refresh token is invalid or expired.".clone_into(&mut refusal.description);
    }
    refusal
}
