//! A Keycloak realm, with a public client.
//!
//! Documented, all read 2026-11-23:
//! - "Securing applications and services guide", redirect URIs: `http://127.0.0.1` registered without a port is good for
//!   any port; everything else has to fit as registered.
//! - The same guide, endpoints: the issuer is `…/realms/NAME`, the endpoints lie under `…/protocol/openid-connect`.
//! - "Server Administration Guide", offline access: `offline_access` needs the role of that name; an offline token ends
//!   only when it is not used for long; without it the refresh token ends with the session, after `SSO Session Idle`
//!   (30 minutes here).
//! - The same guide, audience support: `aud` names a resource only where a mapper (of a client scope) says so.
//! - The same guide, session and token timeouts: with *Revoke Refresh Token* a refresh token is good once; here it is off, so
//!   an old one stays good, and a new one comes each time.
//! - Public issue reports and tests: `not_allowed`, "Offline tokens not allowed for the user or client", from the token
//!   endpoint where the role is missing; `invalid_grant`, "Session not active", for a session that is over;
//!   `refresh_expires_in` 0 for an offline token.
//!
//! Assumed: that `resource` is not looked at; that the mapper of scope `payments.read` says
//! `https://payments.example.com`; that a refresh for a scope that was not granted is `invalid_scope`. Refresh tokens are
//! opaque here; Keycloak's are JWTs, which no client may read.

use super::{AccessClaims, Jwt, Lasting, Paths, Quirks, Redirects, Renewal, Resources, object};
use crate::server::Refusal;
use serde_json::{Map, Value, json};

pub(super) const ISSUER_PATH: &str = "/realms/example";
pub(super) const REDIRECT_URIS: &[&str] = &["http://127.0.0.1/callback"];

pub(super) const PROFILE: &str = r#"version = 1

[accounts.keycloak]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
offline = "auto"

[resources.payments]
account = "keycloak"
audience = "https://payments.example.com"
request = "scope"
scopes = ["payments.read"]
"#;

/// The client scopes of this realm, each with the audience its mapper adds.
const SCOPES: [(&str, Option<&str>); 7] = [
    ("openid", None),
    ("profile", None),
    ("email", None),
    ("offline_access", None),
    ("payments.read", Some("https://payments.example.com")),
    ("payments.write", Some("https://payments.example.com")),
    ("api.read", Some("https://api.example.com")),
];

pub(super) fn quirks(plain: &Quirks) -> Quirks {
    let at = |path: &str| format!("{ISSUER_PATH}/protocol/openid-connect{path}");
    Quirks {
        paths: Paths {
            authorize: at("/auth"),
            token: at("/token"),
            jwks: at("/certs"),
            userinfo: at("/userinfo"),
            revoke: Some(at("/revoke")),
            device: Some(at("/auth/device")),
            verification: format!("{ISSUER_PATH}/device"),
        },
        redirects: Redirects::AnyPortOfAddress,
        resources: Resources::Ignored,
        lasting: Lasting::OnlineToo,
        renewal: Renewal::New,
        metadata,
        check_scopes,
        access: |token| Some(access(token)),
        identity,
        dress,
        callback,
        ..*plain
    }
}

fn metadata(document: &mut Map<String, Value>) {
    document.insert("scopes_supported".to_owned(), json!(SCOPES.map(|(scope, _)| scope)));
    document.insert("code_challenge_methods_supported".to_owned(), json!(["plain", "S256"]));
    document.insert(
        "token_endpoint_auth_methods_supported".to_owned(),
        json!(["private_key_jwt", "client_secret_basic", "client_secret_post", "tls_client_auth", "client_secret_jwt"]),
    );
}

fn check_scopes(scopes: &[String]) -> Result<(), Refusal> {
    if scopes.iter().all(|scope| SCOPES.iter().any(|(known, _)| known == scope)) {
        return Ok(());
    }
    Err(Refusal::new("invalid_scope", &format!("Invalid scopes: {}", scopes.join(" "))))
}

fn access(token: &AccessClaims<'_>) -> Jwt {
    let mapped = SCOPES.iter().filter(|(scope, _)| token.scope.iter().any(|asked| asked == scope));
    let mut audience: Vec<&str> = mapped.filter_map(|(_, audience)| *audience).collect();
    audience.dedup();
    audience.push("account");
    let claims = object(json!({
        "aud": audience, "typ": "Bearer", "azp": token.client_id, "scope": token.scope.join(" "),
        "preferred_username": token.subject, "realm_access": { "roles": ["default-roles-example"] },
    }));
    Jwt { typ: Some("JWT"), claims }
}

fn identity(_: &str, claims: &mut Map<String, Value>) {
    claims.extend(object(json!({ "typ": "ID", "acr": "1" })));
    claims.remove("amr");
}

fn callback(_: &str, _: &[String], answer: &mut Map<String, Value>) {
    answer.insert("session_state".to_owned(), json!("5b1f0f7e-6f9d-4a0b-8a57-3a1d6a0f5a11"));
}

fn dress(mut refusal: Refusal) -> Refusal {
    if refusal.error == "invalid_grant" && refusal.description.contains("refresh token") {
        let over = refusal.description.contains("revoked");
        if over { "Session not active" } else { "Invalid refresh token" }.clone_into(&mut refusal.description);
    }
    refusal
}
