//! The metadata document (OpenID Connect Discovery §3, RFC 8414), the signing keys, and userinfo.

use crate::{
    fault::{Endpoint, Fault, patch},
    server::{Asked, Refusal, Reply},
    state::{Shared, now},
};
use axum::http::header;
use serde_json::{Map, Value, json};

/// `GET /.well-known/openid-configuration`.
pub(crate) fn discovery(shared: &Shared, asked: &Asked) -> Reply {
    let at = |path: &str| format!("{}{path}", shared.address);
    let paths = &shared.quirks.paths;
    let mut document = json!({
        "issuer": shared.issuer,
        "authorization_endpoint": at(&paths.authorize),
        "token_endpoint": at(&paths.token),
        "jwks_uri": at(&paths.jwks),
        "userinfo_endpoint": at(&paths.userinfo),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", crate::device::GRANT_TYPE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": ["sub", "name", "preferred_username", "email", "email_verified", "auth_time", "acr", "amr"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
    });
    if shared.config.behaviour.iss_parameter {
        document["authorization_response_iss_parameter_supported"] = json!(true);
    }
    match &paths.revoke {
        Some(path) => document["revocation_endpoint"] = json!(at(path)),
        None => document["revocation_endpoint_auth_methods_supported"] = Value::Null,
    }
    if let Some(path) = &paths.device {
        document["device_authorization_endpoint"] = json!(at(path));
    }
    if let Some(document) = document.as_object_mut() {
        document.retain(|_, value| !value.is_null());
        (shared.quirks.metadata)(document);
    }
    patched(shared, asked, Endpoint::Discovery, document)
}

/// `GET /jwks`.
pub(crate) fn jwks(shared: &Shared, asked: &Asked) -> Reply {
    let keys = shared.lock().keys.jwks();
    patched(shared, asked, Endpoint::Jwks, keys)
}

/// `GET` or `POST /userinfo` with an opaque access token (OpenID Connect Core §5.3).
pub(crate) fn userinfo(shared: &Shared, asked: &Asked) -> Reply {
    let bearer =
        asked.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = bearer.and_then(|token| {
        let state = shared.lock();
        let access = state.store.access.get(token).filter(|access| access.expires > now())?;
        let family = state.store.living(access.family)?;
        let mut claims = Map::from_iter([("sub".to_owned(), json!(family.who.subject))]);
        claims.extend(profile_claims(&family.who.subject, &access.scope));
        Some(Value::Object(claims))
    });
    match claims {
        Some(claims) => patched(shared, asked, Endpoint::Userinfo, claims),
        None => Refusal { status: 401, ..Refusal::new("invalid_token", "no good access token") }
            .into_reply()
            .with(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""),
    }
}

/// What the scopes `profile` and `email` tell about a person (OpenID Connect Core §5.4).
pub(crate) fn profile_claims(subject: &str, scope: &[String]) -> Map<String, Value> {
    let mut claims = Map::new();
    let local = subject.split('@').next().unwrap_or_default();
    if scope.iter().any(|scope| scope == "profile") {
        let mut letters = local.chars();
        let name: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        claims.insert("name".to_owned(), json!(name));
        claims.insert("preferred_username".to_owned(), json!(subject));
    }
    if scope.iter().any(|scope| scope == "email") {
        let email = if subject.contains('@') { subject.to_owned() } else { format!("{subject}@example.com") };
        claims.insert("email".to_owned(), json!(email));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    claims
}

fn patched(shared: &Shared, asked: &Asked, endpoint: Endpoint, mut document: Value) -> Reply {
    if let Some(Fault::Fields { fields }) = shared.lock().faults.content(endpoint, asked.facts())
        && let Some(object) = document.as_object_mut()
    {
        patch(object, &fields);
    }
    Reply::json(200, &document)
}
