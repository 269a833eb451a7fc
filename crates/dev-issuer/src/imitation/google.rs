//! Google, with a client of the type "Desktop app".
//!
//! Documented, all read 2026-11-23:
//! - "OAuth 2.0 for Mobile & Desktop Apps": installed programs come back to a local address; the client secret is not
//!   assumed to be confidential.
//! - "OpenID Connect": the metadata, at well-known addresses; there is a revocation endpoint.
//! - "OAuth 2.0 for TV and Limited-Input Device Applications": a flow of its own for devices, and not for computers.
//! - "Using OAuth 2.0 to Access Google APIs": the ends of refresh tokens.
//! - Public issue reports: without the secret the token endpoint says `invalid_request`, "`client_secret` is missing.", in
//!   spite of PKCE; `offline_access` is `invalid_scope` on a page of Google's ("Some requested scopes were invalid"), and
//!   `access_type=offline` with `prompt=consent` brings the refresh token instead.
//!
//! Assumed: that `scope` of a refresh is not looked at and every access token holds all that was granted; that access tokens
//! are opaque and a refresh brings no new refresh token; `hd` for Workspace domains only; that `resource` is not looked at;
//! which further parameters come with the authorization response; that any path of a loopback address is taken; which
//! client and which scopes the device flow refuses, and how. A client of the TV type is one whose name begins with `tv-`
//! here.

use super::{Lasting, Paths, Quirks, Redirects, Renewal, Resources, object};
use crate::server::Refusal;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Not confidential, as Google says itself.
pub(super) const CLIENT_SECRET: &str = "daypass-desktop-secret";
pub(super) const REDIRECT_URIS: &[&str] = &["http://127.0.0.1/callback"];

pub(super) const PROFILE: &str = r#"version = 1

[accounts.google]
issuer = "ISSUER"
client_id = "daypass"
client_secret = "daypass-desktop-secret"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
offline = "parameter"
required_claims = { hd = "example.com" }

[resources.drive]
account = "google"
request = "scope"
scopes = ["https://www.googleapis.com/auth/drive.readonly"]
"#;

/// Where the scopes of Google's interfaces begin.
const PREFIX: &str = "https://www.googleapis.com/auth/";
/// What the device flow may ask for.
const DEVICE_SCOPES: [&str; 5] = [
    "openid",
    "email",
    "profile",
    "https://www.googleapis.com/auth/drive.file",
    "https://www.googleapis.com/auth/youtube.readonly",
];

pub(super) fn quirks(plain: &Quirks) -> Quirks {
    let text = str::to_owned;
    Quirks {
        paths: Paths {
            authorize: text("/o/oauth2/v2/auth"),
            token: text("/token"),
            jwks: text("/oauth2/v3/certs"),
            userinfo: text("/v1/userinfo"),
            revoke: Some(text("/revoke")),
            device: Some(text("/device/code")),
            verification: text("/device"),
        },
        redirects: Redirects::AnyLoopback,
        resources: Resources::Ignored,
        lasting: Lasting::AccessType,
        renewal: Renewal::Nothing,
        refusals_stay: true,
        metadata,
        check_scopes,
        narrow: |granted, _| Ok(granted.to_vec()),
        told,
        identity,
        dress,
        callback,
        device,
        ..*plain
    }
}

fn metadata(document: &mut Map<String, Value>) {
    document.insert("scopes_supported".to_owned(), json!(["openid", "email", "profile"]));
    document.insert(
        "token_endpoint_auth_methods_supported".to_owned(),
        json!(["client_secret_post", "client_secret_basic"]),
    );
    document.insert("code_challenge_methods_supported".to_owned(), json!(["plain", "S256"]));
    for name in ["prompt_values_supported", "revocation_endpoint_auth_methods_supported"] {
        document.remove(name);
    }
}

fn check_scopes(scopes: &[String]) -> Result<(), Refusal> {
    let known = |scope: &&String| scope.starts_with(PREFIX) || ["openid", "email", "profile"].contains(&scope.as_str());
    let (valid, invalid): (Vec<&String>, Vec<&String>) = scopes.iter().partition(known);
    if invalid.is_empty() {
        return Ok(());
    }
    let list = |scopes: &[&String]| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    let why = format!("Some requested scopes were invalid. {{valid=[{}], invalid=[{}]}}", list(&valid), list(&invalid));
    Err(Refusal::new("invalid_scope", &why))
}

/// The short names come back as the long ones.
fn told(scopes: &[String]) -> Vec<String> {
    let long = |scope: &String| match scope.as_str() {
        "email" | "profile" => format!("{PREFIX}userinfo.{scope}"),
        _ => scope.clone(),
    };
    scopes.iter().map(long).collect()
}

/// The Workspace domain somebody belongs to; consumers have none.
fn domain(subject: &str) -> Option<&str> {
    match subject.split_once('@') {
        None => Some("example.com"),
        Some((_, "gmail.com")) => None,
        Some((_, domain)) => Some(domain),
    }
}

fn identity(subject: &str, claims: &mut Map<String, Value>) {
    let digest = Sha256::digest(subject.as_bytes());
    let number =
        u64::from_le_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]]);
    claims.insert("sub".to_owned(), json!(format!("1{number:020}")));
    if let Some(domain) = domain(subject) {
        claims.insert("hd".to_owned(), json!(domain));
    }
    for claim in ["auth_time", "acr", "amr", "preferred_username"] {
        claims.remove(claim);
    }
}

fn callback(subject: &str, scope: &[String], answer: &mut Map<String, Value>) {
    answer.extend(object(json!({ "scope": told(scope).join(" "), "authuser": "0", "prompt": "consent" })));
    if let Some(domain) = domain(subject) {
        answer.insert("hd".to_owned(), json!(domain));
    }
}

fn device(client_id: &str, scope: &[String]) -> Result<(), Refusal> {
    if !client_id.starts_with("tv-") {
        let why = "Only clients of type 'TVs and Limited Input devices' can use the OAuth 2.0 flow for TV and \
                   Limited-Input Devices. Please create and use an appropriate client.";
        return Err(Refusal { status: 401, ..Refusal::new("invalid_client", why) });
    }
    match scope.iter().find(|scope| !DEVICE_SCOPES.contains(&scope.as_str())) {
        None => Ok(()),
        Some(scope) => Err(Refusal::new("invalid_scope", &format!("Invalid device flow scope: {scope}"))),
    }
}

fn dress(mut refusal: Refusal) -> Refusal {
    if refusal.error == "invalid_grant" && refusal.description.contains("refresh token") {
        "Token has been expired or revoked.".clone_into(&mut refusal.description);
    }
    if refusal.error == "invalid_client" && refusal.description.starts_with("client_secret") {
        "invalid_request".clone_into(&mut refusal.error);
        refusal.status = 400;
    }
    if refusal.error == "authorization_pending" {
        refusal.status = 428;
    }
    refusal
}
