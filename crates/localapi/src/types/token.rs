//! What any program may say and hear: a request for a token, the token, an error.

use crate::code::Code;
use serde::{Deserialize, Serialize};

/// `POST /v1/token`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Name or exact audience of the resource.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2048)))]
    pub resource: String,
    /// Scopes, space-separated; absent = the resource's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Seconds the token must still live; at least 60 are always given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 86_400)))]
    pub min_valid: Option<u32>,
    /// Seconds to wait for consent on this connection, at most 120; 0 or absent = park the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = 120)))]
    pub wait: Option<u32>,
    /// Ask the issuer for a new token even if a good one is at hand (rate-limited).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
    /// What the program calls itself; shown as unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 8192)))]
    pub name: Option<String>,
    /// What the sign-in has to show (OpenID Connect Core §5.5): essential claims of `id_token` are checked, everything
    /// else must have been asked for by that sign-in. At most 4096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>"))]
    pub claims: Option<serde_json::Value>,
    /// Authentication context classes, space-separated, one of which the sign-in must have (RFC 9470 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub acr_values: Option<String>,
    /// Seconds since the person was authenticated at the issuer, at most; 60 more are let pass for clocks that differ
    /// (RFC 9470 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// A token on the wire: prints as `[redacted]`, serialises as itself, is zeroized.
#[derive(Clone)]
pub struct WireToken(secrecy::SecretString);

impl WireToken {
    /// Wraps a token.
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    /// The token itself.
    pub fn expose_secret(&self) -> &str {
        secrecy::ExposeSecret::expose_secret(&self.0)
    }
}

impl std::fmt::Debug for WireToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for WireToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose_secret())
    }
}

impl<'de> Deserialize<'de> for WireToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for WireToken {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WireToken".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string"})
    }
}

/// `urn:ietf:params:oauth:token-type:access_token` (RFC 8693 §3): the issuer's access token.
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// `urn:ietf:params:oauth:token-type:id_token`: the issuer's ID token.
pub const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// `urn:ietf:params:oauth:token-type:jwt`: a token minted by the agent.
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// 200 of `POST /v1/token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenAnswer {
    /// The token.
    pub access_token: WireToken,
    /// `Bearer`, or `N_A` for an ID token.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["Bearer", "N_A"])))]
    pub token_type: String,
    /// Seconds it still lives.
    pub expires_in: i64,
    /// When it ends.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires_at: String,
    /// Scopes it carries, space-separated.
    pub scope: String,
    /// Name of the resource.
    pub resource: String,
    /// What kind of token it is.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = [ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE])))]
    pub issued_token_type: String,
}

/// Body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// The standard's error word.
    pub error: String,
    /// The stable code.
    pub code: Code,
    /// For people; no secret in it.
    pub error_description: String,
    /// The next step, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Names the open question (`consent_required`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent_id: Option<String>,
    /// Seconds until the question expires (`consent_required`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
    /// Seconds to wait before asking again (`rate_limited`, `issuer_unavailable`); also in `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<i64>,
    /// What the issuer said: sanitised error word, provider code, correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
