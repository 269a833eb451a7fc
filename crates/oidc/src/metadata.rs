//! What an issuer says about itself (OpenID Connect Discovery §3, RFC 8414 §2), checked before anything believes it.
//!
//! Invariant: the document's `issuer` equals the configured one byte for byte, every address in it is one that secrets
//! may be sent to, and PKCE with S256 is not ruled out.

use crate::{error::OidcError, http, json};
use broker::Issuer;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use url::Url;

/// Signature algorithms accepted for ID tokens. No `none`, nothing symmetric.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Parameters of the authorization request that are ours alone.
pub(crate) const PROTOCOL_PARAMETERS: [&str; 15] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "audience",
    "request",
    "request_uri",
    "dpop_jkt",
];

/// An issuer's metadata that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub(crate) issuer: Issuer,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) jwks_uri: Url,
    pub(crate) revocation_endpoint: Option<Url>,
    /// RFC 8628 §4.
    pub(crate) device_authorization_endpoint: Option<Url>,
    /// RFC 9126 §5.
    pub(crate) pushed_authorization_request_endpoint: Option<Url>,
    /// `require_pushed_authorization_requests` (RFC 9126 §5): a plain request is refused.
    pub(crate) requires_pushing: bool,
    /// `prompt_values_supported` (Initiating User Registration via OpenID Connect §4); `None` = it does not say.
    pub(crate) prompts: Option<Vec<String>>,
    /// Whether a client secret goes into the form (`client_secret_post`) instead of a Basic header.
    pub(crate) secret_in_form: bool,
    pub(crate) algorithms: Vec<Algorithm>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 §3).
    pub(crate) names_itself: bool,
    pub(crate) scopes: Vec<String>,
}

impl Metadata {
    /// The issuer, exactly as configured and as the document says.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The authorization endpoint's address, with its own query where it has one.
    pub fn authorization_endpoint(&self) -> &str {
        self.authorization_endpoint.as_str()
    }

    /// The token endpoint's address.
    pub fn token_endpoint(&self) -> &str {
        self.token_endpoint.as_str()
    }

    /// Whether refresh tokens can be revoked (RFC 7009).
    pub fn can_revoke(&self) -> bool {
        self.revocation_endpoint.is_some()
    }

    /// Whether a person can sign in with a code on another device (RFC 8628).
    pub fn offers_device_sign_in(&self) -> bool {
        self.device_authorization_endpoint.is_some()
    }

    /// Whether authorization requests are pushed to it ahead of the browser (RFC 9126).
    pub fn takes_pushed_requests(&self) -> bool {
        self.pushed_authorization_request_endpoint.is_some()
    }

    /// The scopes it lists (`scopes_supported`); a document may leave out some, or all of them.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether `offline_access` is among the scopes it lists.
    pub fn lists_offline_access(&self) -> bool {
        self.scopes.iter().any(|s| s == "offline_access")
    }

    /// Reads the document that was found for `issuer`.
    pub(crate) fn read(issuer: &Issuer, body: &[u8]) -> Result<Self, OidcError> {
        let document = json::object(body).ok_or_else(|| bad("the document is no unambiguous JSON object"))?;
        let said = json::text(&document, "issuer").ok_or_else(|| bad("it names no issuer"))?;
        if said != issuer.as_str() {
            return Err(bad(if said.contains('{') {
                "it serves several tenants: configure the issuer of your own tenant"
            } else {
                "it names another issuer: configure the issuer exactly as the provider writes it, with or without a slash at the end"
            }));
        }
        let required = |name: &'static str| {
            let text =
                json::text(&document, name).ok_or_else(|| OidcError::BadMetadata(format!("{name} is missing")))?;
            endpoint(issuer, name, text)
        };
        let authorization_endpoint = required("authorization_endpoint")?;
        if authorization_endpoint.query_pairs().any(|(name, _)| PROTOCOL_PARAMETERS.contains(&name.as_ref())) {
            return Err(bad("authorization_endpoint has a protocol parameter in its query"));
        }
        let optional =
            |name: &'static str| json::text(&document, name).map(|text| endpoint(issuer, name, text)).transpose();
        let pushed_authorization_request_endpoint = optional("pushed_authorization_request_endpoint")?;
        let requires_pushing = document.get("require_pushed_authorization_requests") == Some(&Value::Bool(true));
        if requires_pushing && pushed_authorization_request_endpoint.is_none() {
            return Err(bad("it requires pushed authorization requests and says nowhere where to push them"));
        }
        if list(&document, "code_challenge_methods_supported")?.is_some_and(|methods| !methods.contains(&"S256")) {
            return Err(bad("it does not support PKCE with S256"));
        }
        let algorithms: Vec<Algorithm> = match list(&document, "id_token_signing_alg_values_supported")? {
            Some(names) => ALGORITHMS.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, a)| a).collect(),
            None => ALGORITHMS.into_iter().map(|(_, algorithm)| algorithm).collect(),
        };
        if algorithms.is_empty() {
            return Err(bad("it signs ID tokens with no algorithm that is accepted here"));
        }
        // RFC 8414 §2: without the list it is client_secret_basic. Of a list the first of the two counts.
        let secret_in_form = list(&document, "token_endpoint_auth_methods_supported")?.is_some_and(|methods| {
            methods.iter().find(|m| m.starts_with("client_secret_") && !m.ends_with("_jwt"))
                != Some(&"client_secret_basic")
        });
        Ok(Self {
            issuer: issuer.clone(),
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            authorization_endpoint,
            revocation_endpoint: optional("revocation_endpoint")?,
            device_authorization_endpoint: optional("device_authorization_endpoint")?,
            pushed_authorization_request_endpoint,
            requires_pushing,
            prompts: list(&document, "prompt_values_supported")?
                .map(|values| values.into_iter().map(str::to_owned).collect()),
            secret_in_form,
            algorithms,
            names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            scopes: list(&document, "scopes_supported")?.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        })
    }
}

fn bad(why: &str) -> OidcError {
    OidcError::BadMetadata(why.to_owned())
}

/// An array of strings; `None` when it is missing or null.
fn list<'a>(document: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, OidcError> {
    let wrong = || OidcError::BadMetadata(format!("{name} is no list of words"));
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            items.iter().map(|i| i.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

/// An address that secrets may be sent to: https, or http on a loopback literal when the issuer itself is one; no user
/// name, no fragment, nothing a parser would have to repair.
fn endpoint(issuer: &Issuer, name: &str, text: &str) -> Result<Url, OidcError> {
    if text.contains('#') {
        return Err(OidcError::BadMetadata(format!("{name} has a fragment")));
    }
    address(issuer, name, text)
}

/// An address that a person is sent to: as an endpoint, but a fragment may be part of it.
pub(crate) fn address(issuer: &Issuer, name: &str, text: &str) -> Result<Url, OidcError> {
    let wrong = |why: &str| OidcError::BadMetadata(format!("{name} {why}"));
    let plain =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    if text.len() > 2048 || !text.bytes().all(plain) {
        return Err(wrong("is no plain address"));
    }
    let url = Url::parse(text).map_err(|_| wrong("is no address"))?;
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err(wrong("has a user name"));
    }
    match url.scheme() {
        "https" if text.starts_with("https://") && url.host_str().is_some() => Ok(url),
        "http" if issuer.is_development() && text.starts_with("http://") && http::is_loopback(&url) => {
            // The parser turns 0x7f000001 and 127.1 into 127.0.0.1: only the written forms count.
            let written = authority(text);
            let host = written.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
            let host = host.map_or(written, |(host, _)| host);
            if matches!(host, "127.0.0.1" | "[::1]" | "localhost") { Ok(url) } else { Err(wrong("is not https")) }
        }
        _ => Err(wrong("is not https")),
    }
}

/// What stands between `//` and the next `/` or `?`.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Where the metadata of an issuer may be, in the order to try (OpenID Connect Discovery §4, RFC 8414 §3.1).
pub(crate) fn addresses(issuer: &Issuer) -> Result<[Url; 2], OidcError> {
    let text = issuer.as_str().strip_suffix('/').unwrap_or(issuer.as_str());
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("the issuer is no address"))?;
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let parse = |text: String| Url::parse(&text).map_err(|_| bad("the issuer is no address"));
    Ok([
        parse(format!("{text}/.well-known/openid-configuration"))?,
        parse(format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "issuer": "https://login.example.com/a",
            "authorization_endpoint": "https://login.example.com/authorize?p=policy",
            "token_endpoint": "https://tokens.example.com/token",
            "jwks_uri": "https://login.example.com/keys",
            "code_challenge_methods_supported": ["plain", "S256"],
            "id_token_signing_alg_values_supported": ["none", "HS256", "ES256"],
            "scopes_supported": ["openid", "offline_access"],
        })
    }

    fn read(issuer: &str, document: &Value) -> Result<Metadata, OidcError> {
        Metadata::read(&issuer.parse().unwrap(), document.to_string().as_bytes())
    }

    #[test]
    fn a_good_document_is_read_and_unsafe_algorithms_are_left_out() {
        let metadata = read("https://login.example.com/a", &document()).unwrap();
        assert_eq!(metadata.algorithms, [Algorithm::ES256]);
        assert_eq!(metadata.authorization_endpoint(), "https://login.example.com/authorize?p=policy");
        assert!(metadata.lists_offline_access() && !metadata.can_revoke() && !metadata.names_itself);
        assert!(!metadata.secret_in_form, "basic is the default");
        for (methods, want) in [
            (json!(["client_secret_post", "client_secret_basic"]), true),
            (json!(["client_secret_basic"]), false),
            (json!(["none"]), true),
            (json!(["client_secret_jwt", "client_secret_basic"]), false),
        ] {
            let mut document = document();
            document["token_endpoint_auth_methods_supported"] = methods.clone();
            assert_eq!(read("https://login.example.com/a", &document).unwrap().secret_in_form, want, "{methods}");
        }
    }

    #[test]
    fn an_issuer_that_differs_in_anything_is_refused() {
        for issuer in [
            "https://login.example.com/a/",
            "https://login.example.com/A",
            "https://LOGIN.example.com/a",
            "https://login.example.com:443/a",
            "https://login.example.com",
            "http://127.0.0.1:1/a",
        ] {
            assert!(matches!(read(issuer, &document()), Err(OidcError::BadMetadata(_))), "{issuer}");
        }
        let mut tenants = document();
        tenants["issuer"] = json!("https://login.example.com/{tenantid}/v2.0");
        let error = read("https://login.example.com/a", &tenants).unwrap_err();
        assert!(error.to_string().contains("your own tenant"), "{error}");
    }

    #[test]
    fn odd_documents_are_refused() {
        let table = [
            ("issuer", json!(null)),
            ("issuer", json!(["https://login.example.com/a"])),
            ("authorization_endpoint", json!(null)),
            ("token_endpoint", json!("http://login.example.com/token")),
            ("token_endpoint", json!("http://127.0.0.1:1/token")),
            ("token_endpoint", json!("https://u@login.example.com/t")),
            ("token_endpoint", json!("https://@login.example.com/t")),
            ("token_endpoint", json!("https://login.example.com/t#")),
            ("token_endpoint", json!("ht\ntps://login.example.com/t")),
            ("token_endpoint", json!("https:\\\\login.example.com/t")),
            ("token_endpoint", json!("https:/login.example.com/t")),
            ("authorization_endpoint", json!("https://x/\" --proxy-server=http://evil")),
            ("authorization_endpoint", json!("-flag")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("authorization_endpoint", json!("https://x/a?client_id=evil")),
            ("authorization_endpoint", json!("file:///etc/passwd")),
            ("jwks_uri", json!("data:application/json,{}")),
            ("revocation_endpoint", json!("http://login.example.com/revoke")),
            ("device_authorization_endpoint", json!("http://login.example.com/device")),
            ("pushed_authorization_request_endpoint", json!("https://login.example.com/par#x")),
            ("require_pushed_authorization_requests", json!(true)),
            ("prompt_values_supported", json!("none")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("code_challenge_methods_supported", json!([])),
            ("code_challenge_methods_supported", json!("S256")),
            ("id_token_signing_alg_values_supported", json!(["none", "HS256"])),
            ("scopes_supported", json!({})),
        ];
        for (name, value) in table {
            let mut document = document();
            document[name] = value.clone();
            assert!(
                matches!(read("https://login.example.com/a", &document), Err(OidcError::BadMetadata(_))),
                "{name} {value}"
            );
        }
        let twice = document().to_string().replacen('{', r#"{"issuer":"https://login.example.com/a","#, 1);
        assert!(Metadata::read(&"https://login.example.com/a".parse().unwrap(), twice.as_bytes()).is_err());
    }

    #[test]
    fn plain_http_is_for_loopback_issuers_and_their_literal_loopback_endpoints() {
        let mut document = json!({
            "issuer": "http://127.0.0.1:4010", "authorization_endpoint": "http://127.0.0.1:4010/a",
            "token_endpoint": "http://[::1]:4010/t", "jwks_uri": "http://localhost:4010/k",
        });
        assert!(read("http://127.0.0.1:4010", &document).is_ok());
        for address in [
            "http://login.example.com/t",
            "http://127.1:4010/t",
            "http://0x7f000001/t",
            "http://2130706433/t",
            "http://127.0.0.1.evil.example/t",
            "http://127.0.0.1:80@evil.example/t",
            "http://localhost./t",
            "http://127.0.0.2/t",
        ] {
            document["token_endpoint"] = json!(address);
            assert!(read("http://127.0.0.1:4010", &document).is_err(), "{address}");
        }
    }

    #[test]
    fn both_well_known_places_are_known() {
        for (issuer, first, second) in [
            (
                "https://a.example/r/x/",
                "https://a.example/r/x/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/r/x",
            ),
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
        ] {
            let [a, b] = addresses(&issuer.parse().unwrap()).unwrap();
            assert_eq!((a.as_str(), b.as_str()), (first, second));
        }
    }
}
