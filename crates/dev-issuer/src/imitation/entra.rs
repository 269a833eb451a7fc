//! Microsoft Entra ID, v2.0 endpoints.
//!
//! Documented, all read 2026-11-23:
//! - "Redirect URI (reply URL) restrictions and limitations": the port of `http://localhost` is ignored, the path is not;
//!   `http://127.0.0.1` can be registered through the manifest only; `[::1]` is not supported.
//! - "Microsoft identity platform and OAuth 2.0 authorization code flow": `scope` of the authorization request may span
//!   several resources, that of a token request only one; `refresh_token` only with `offline_access`; the shape of an
//!   error (`error_codes`, `timestamp`, `trace_id`, `correlation_id`, `AADSTS…` first in `error_description`); a used
//!   refresh token is not revoked, a new one comes with each use.
//! - "Scopes and permissions in the Microsoft identity platform": a scope is the resource's identifier, a slash and the
//!   permission; `.default` stands for what was consented to and cannot be combined with others; a scope without a
//!   resource belongs to Microsoft Graph.
//! - "Access tokens in the Microsoft identity platform": an API that did not choose v2.0 tokens gets v1.0 ones, whose
//!   `aud` is its identifier and whose issuer is another; `scp` lists the permissions.
//! - "OpenID Connect on the Microsoft identity platform": the issuer is `…/{tenant}/v2.0`; there is no revocation
//!   endpoint in the metadata.
//! - Public issue reports: `resource` is refused with `AADSTS901002`, on a page of Microsoft's; a resource nobody
//!   consented to is `invalid_grant` with `suberror` `consent_required` and `AADSTS65001`.
//!
//! Assumed: which scopes `.default` stands for; that bad scopes are refused on a page too; that tokens without a resource
//! are for Graph and nobody else's to read; the words of descriptions; that what is asked for at a sign-in is consented to.

use super::{AccessClaims, Jwt, Paths, Quirks, Redirects, Renewal, Resources, object};
use crate::{
    keys::random,
    server::Refusal,
    state::{date_of, now},
};
use serde_json::{Map, Value, json};
use std::fmt::Write;

const TENANT: &str = "8f2b7c1e-3d4a-4b6f-9a0c-5e7d1f2a3b4c";
pub(super) const ISSUER_PATH: &str = "/8f2b7c1e-3d4a-4b6f-9a0c-5e7d1f2a3b4c/v2.0";
pub(super) const REDIRECT_URIS: &[&str] = &["http://localhost/callback", "http://127.0.0.1/callback"];

pub(super) const PROFILE: &str = r#"version = 1

[accounts.entra]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://localhost/callback"]
scopes = ["openid", "profile", "email"]
offline = "scope"
authorization_parameters = { prompt = "select_account" }

[resources.payments]
account = "entra"
audience = "api://payments.example.com"
request = "scope"
scopes = ["api://payments.example.com/payments.read"]
"#;

/// Scopes of OpenID Connect, which belong to no resource of ours.
const OWN: [&str; 4] = ["openid", "profile", "email", "offline_access"];

pub(super) fn quirks(plain: &Quirks) -> Quirks {
    let at = |path: &str| format!("/{TENANT}{path}");
    Quirks {
        paths: Paths {
            authorize: at("/oauth2/v2.0/authorize"),
            token: at("/oauth2/v2.0/token"),
            jwks: at("/discovery/v2.0/keys"),
            userinfo: "/oidc/userinfo".to_owned(),
            revoke: None,
            device: Some(at("/oauth2/v2.0/devicecode")),
            verification: at("/oauth2/deviceauth"),
        },
        redirects: Redirects::AnyPortButIpv6,
        resources: Resources::Refused,
        renewal: Renewal::New,
        code_takes_scope: true,
        refusals_stay: true,
        metadata,
        check_scopes,
        narrow,
        told,
        access,
        identity,
        dress,
        ..*plain
    }
}

fn metadata(document: &mut Map<String, Value>) {
    document.insert("tenant_region_scope".to_owned(), json!("EU"));
    document.insert("response_modes_supported".to_owned(), json!(["query", "fragment", "form_post"]));
    document.insert("subject_types_supported".to_owned(), json!(["pairwise"]));
    document
        .insert("token_endpoint_auth_methods_supported".to_owned(), json!(["client_secret_post", "private_key_jwt"]));
    // It does not say that it does PKCE, though it does.
    document.remove("code_challenge_methods_supported");
    document.remove("prompt_values_supported");
}

/// The resource a scope belongs to: what stands before its last slash.
fn resource_of(scope: &str) -> Option<&str> {
    let (resource, permission) = scope.rsplit_once('/')?;
    (resource.contains("://") && !permission.is_empty()).then_some(resource)
}

fn targets(scopes: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for resource in scopes.iter().filter_map(|scope| resource_of(scope)) {
        if !found.iter().any(|known| known == resource) {
            found.push(resource.to_owned());
        }
    }
    found
}

fn check_scopes(scopes: &[String]) -> Result<(), Refusal> {
    let invalid = |why: &str| Err(Refusal::new("invalid_scope", why).code(70011));
    if let Some(scope) = scopes.iter().find(|scope| !OWN.contains(&scope.as_str()) && resource_of(scope).is_none()) {
        return invalid(&format!("The scope {scope} does not exist on Microsoft Graph"));
    }
    let named: Vec<_> = scopes.iter().filter(|scope| !OWN.contains(&scope.as_str())).collect();
    if named.len() > 1 && named.iter().any(|scope| scope.ends_with("/.default")) {
        return invalid(".default scope can't be combined with resource-specific scopes");
    }
    Ok(())
}

/// One token is for one resource, the first when none is named.
fn narrow(granted: &[String], asked: Option<&[String]>) -> Result<Vec<String>, Refusal> {
    let consented = targets(granted);
    let wanted = match asked {
        Some(asked) => {
            check_scopes(asked)?;
            targets(asked)
        }
        None => consented.first().cloned().into_iter().collect(),
    };
    if wanted.len() > 1 {
        return Err(Refusal::new("invalid_request", "more than one resource").code(28000));
    }
    let own = |scopes: &[String]| -> Vec<String> {
        scopes.iter().filter(|scope| OWN.contains(&scope.as_str()) && granted.contains(scope)).cloned().collect()
    };
    let Some(resource) = wanted.first() else { return Ok(own(asked.unwrap_or(granted))) };
    let held: Vec<String> =
        granted.iter().filter(|scope| resource_of(scope) == Some(resource.as_str())).cloned().collect();
    let asks_more = asked.is_some_and(|asked| {
        asked.iter().any(|scope| resource_of(scope).is_some() && !scope.ends_with("/.default") && !covers(&held, scope))
    });
    if held.is_empty() || asks_more {
        let why = "The user or administrator has not consented to use the application. Send an interactive \
                   authorization request for this user and resource.";
        return Err(Refusal::new("invalid_grant", why).code(65001).with("suberror", "consent_required"));
    }
    let mut all = own(asked.unwrap_or(granted));
    all.extend(held);
    Ok(all)
}

fn covers(held: &[String], scope: &str) -> bool {
    held.iter().any(|known| known == scope || known.ends_with("/.default"))
}

/// `.default` is answered with the permissions it stands for, and `offline_access` is not repeated.
fn told(scopes: &[String]) -> Vec<String> {
    let permissions = |scope: &String| match scope.strip_suffix(".default") {
        Some(resource) => vec![format!("{resource}payments.read"), format!("{resource}payments.write")],
        None => vec![scope.clone()],
    };
    scopes.iter().filter(|scope| *scope != "offline_access").flat_map(permissions).collect()
}

fn access(token: &AccessClaims<'_>) -> Option<Jwt> {
    let audience = targets(token.scope).into_iter().next()?;
    let told = told(token.scope);
    let permissions = told.iter().filter(|scope| resource_of(scope).is_some());
    let permissions: Vec<_> = permissions.filter_map(|scope| scope.rsplit('/').next()).collect();
    let claims = object(json!({
        "iss": format!("https://sts.windows.net/{TENANT}/"), "aud": audience, "appid": token.client_id, "ver": "1.0",
        "tid": TENANT, "scp": permissions.join(" "), "upn": format!("{}@example.com", token.subject),
    }));
    Some(Jwt { typ: Some("JWT"), claims })
}

fn identity(subject: &str, claims: &mut Map<String, Value>) {
    let name = if subject.contains('@') { subject.to_owned() } else { format!("{subject}@example.com") };
    claims.extend(object(json!({ "tid": TENANT, "ver": "2.0", "preferred_username": name })));
    // Optional claims, which nobody asked for.
    for claim in ["auth_time", "acr", "amr", "at_hash", "email_verified"] {
        claims.remove(claim);
    }
}

fn dress(mut refusal: Refusal) -> Refusal {
    let code = refusal.code.unwrap_or(match refusal.error.as_str() {
        "invalid_client" => 700_016,
        "invalid_scope" => 70011,
        "invalid_grant" if refusal.description.contains("revoked") => 50173,
        "invalid_grant" if refusal.description.contains("code was used") => 54005,
        "invalid_grant" => 70000,
        "authorization_pending" => 70016,
        "expired_token" => 70020,
        _ => 90014,
    });
    if refusal.error == "invalid_client" {
        "unauthorized_client".clone_into(&mut refusal.error);
        refusal.status = 400;
    }
    let [trace, correlation] = [guid(), guid()];
    let seconds = date_of(now());
    refusal.description = format!(
        "AADSTS{code}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {seconds}",
        refusal.description
    );
    refusal.more.extend(object(json!({
        "error_codes": [code], "timestamp": seconds, "trace_id": trace, "correlation_id": correlation,
    })));
    refusal
}

/// Names one request; without randomness it names none.
fn guid() -> String {
    let mut text = String::new();
    for (at, byte) in random::<16>().unwrap_or_default().into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}
