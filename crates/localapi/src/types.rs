//! Shapes of requests and answers. Times are RFC 3339 UTC; durations are whole seconds.

use crate::code::Code;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Reserved (OpenID Connect Core §5.5); refused while reserved.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub claims: Option<serde_json::Value>,
    /// Reserved (RFC 9470 §4); refused while reserved.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<serde_json::Value>,
    /// Reserved (RFC 9470 §4); refused while reserved.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<serde_json::Value>,
}

/// A member that is there counts as there, even when it is `null`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
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

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The agent's process.
    pub agent: AgentStatus,
    /// Base address of the loopback broker.
    pub address: String,
    /// State of the keychain.
    pub keychain: KeychainStatus,
    /// State of the profile.
    pub profile: ProfileStatus,
    /// Whether managed layers come from a test directory.
    pub test_policy: bool,
    /// `unlocked`, `locked` or `unknown`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["unlocked", "locked", "unknown"])))]
    pub lock_state: String,
    /// Configured accounts.
    pub accounts: Vec<AccountStatus>,
    /// What a person should know, such as a port that was taken or a write that is not durable.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// The agent's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: i64,
}

/// State of the keychain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeychainStatus {
    /// `ok`, `locked`, `unavailable` or `memory` (no keychain: tokens live in memory only).
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ok", "locked", "unavailable", "memory"])))]
    pub state: String,
    /// What that means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// State of the profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProfileStatus {
    /// `ok`, `warnings` (some entries are void) or `locked` (nothing may be issued). Diagnostics may be there in any of them.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ok", "warnings", "locked"])))]
    pub state: String,
    /// The organisation's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where people find help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_url: Option<String>,
    /// Each diagnostic as `file:line: text`.
    #[serde(default)]
    pub diagnostics: Vec<String>,
}

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountStatus {
    /// Its name in the profile.
    pub name: String,
    /// Its issuer.
    pub issuer: String,
    /// `sub` of who is signed in.
    pub subject: Option<String>,
    /// A readable name of who is signed in, where the issuer gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// `signed_in`, `sign_in_required`, `signing_in`, `unreachable` (signed in, the issuer does not answer),
    /// `keychain_locked` or `keychain_unavailable`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["signed_in", "sign_in_required", "signing_in", "unreachable", "keychain_locked", "keychain_unavailable"])))]
    pub state: String,
    /// When the sign-in ends, where that is known; else when the access token at hand ends; null when signed out.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires_at: Option<String>,
    /// Whether the sign-in would survive the agent.
    #[serde(default)]
    pub durable: bool,
    /// Configured client.
    #[serde(default)]
    pub client_id: String,
    /// Where the account was configured.
    #[serde(default)]
    pub origin: String,
}

/// One resource, as `GET /v1/resources` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceInfo {
    /// Its name in the profile.
    pub name: String,
    /// The account it draws on.
    pub account: String,
    /// `access`, `id` or `minted`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["access", "id", "minted"])))]
    pub token: String,
    /// Its audience.
    pub audience: Option<String>,
    /// Default scopes, space-separated.
    pub scope: String,
    /// The ceiling, space-separated.
    pub allowed_scope: String,
    /// `ask`, `preapproved` or `denied`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ask", "preapproved", "denied"])))]
    pub consent: String,
    /// Whether it is sensitive.
    pub sensitive: bool,
    /// What the asking program would get now: `token`, `question` or `nothing`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["token", "question", "nothing"])))]
    pub access: String,
    /// Where it was configured.
    pub origin: String,
}

/// One open consent request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestInfo {
    /// Its name; never a capability.
    pub id: String,
    /// The asking program, for people: path of its file.
    pub program: String,
    /// Resource asked for.
    pub resource: String,
    /// Scopes asked for, space-separated.
    pub scope: String,
    /// `pending`, `approved`, `denied`, `expired` or `gone`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["pending", "approved", "denied", "expired", "gone"])))]
    pub state: String,
    /// When it ends unanswered.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires_at: String,
    /// Account it draws on.
    #[serde(default)]
    pub account: String,
    /// Who started the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// What the program calls itself, unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says_it_is: Option<String>,
    /// The answers it may be given.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Digest of what is shown here; an answer names it.
    #[serde(default)]
    pub digest: String,
}

/// `POST /v1/requests/{id}`: the answer, given in a terminal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestAnswer {
    /// `deny`, `once`, `today` or `always`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["deny", "once", "today", "always"])))]
    pub choice: String,
    /// Digest of the request as it was shown.
    pub digest: String,
}

/// One grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrantInfo {
    /// Its name.
    pub id: String,
    /// The program, for people.
    pub program: String,
    /// Account it draws on.
    pub account: String,
    /// Resource it is for.
    pub resource: String,
    /// Scopes it covers.
    pub scope: String,
    /// `today` or `always`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["today", "always"])))]
    pub choice: String,
    /// When it ends; null for always.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub until: Option<String>,
}

/// `POST /v1/blocks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// Absolute path of the program's file (of an interpreter: everything it runs), or the ID of a request or a grant.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 8192)))]
    pub program: String,
}

/// One blocked program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockInfo {
    /// Its name.
    pub id: String,
    /// The program, for people.
    pub program: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub since: String,
}

/// `GET /v1/session`: how the agent sees this peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionInfo {
    /// The program, for people.
    pub program: String,
    /// `executable`, `script`, `inline` or `terminal`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["executable", "script", "inline", "terminal"])))]
    pub kind: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Owning package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Pid of the connected process.
    pub pid: u32,
    /// Whether it is one of Daypass's own programs.
    pub first_party: bool,
    /// Its grants.
    pub grants: Vec<GrantInfo>,
    /// When its cookie session ends; null without one.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub session_until: Option<String>,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditLine {
    /// 1, 2, 3, … without a gap.
    pub seq: i64,
    /// When.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub time: String,
    /// What happened, such as `token.issued`.
    pub event: String,
    /// Stable code, `ok` when it went well.
    pub code: String,
    /// The program, for people.
    pub program: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// Resource.
    pub resource: Option<String>,
    /// Scopes.
    pub scope: Option<String>,
    /// How: `grant`, `preapproved`, `page`, `terminal`, …
    pub via: Option<String>,
    /// Hash of the line before.
    pub prev: String,
    /// Hash of this line.
    pub hash: String,
}

/// `GET /v1/audit/verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditVerdict {
    /// Whether the chain is whole.
    pub ok: bool,
    /// Lines read.
    pub lines: i64,
    /// First line that does not fit, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<i64>,
    /// In words.
    pub detail: String,
}

/// `POST /v1/accounts/{name}/sign-in`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// Whether the agent opens the browser itself; otherwise the address is only returned.
    #[serde(default)]
    pub open_browser: bool,
}

/// State of a sign-in: answer of `POST /v1/accounts/{name}/sign-in` and `GET /v1/sign-ins/{id}?wait=SECONDS`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignInState {
    /// Its name.
    pub id: String,
    /// Account.
    pub account: String,
    /// `pending`, `signed_in` or `failed`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["pending", "signed_in", "failed"])))]
    pub state: String,
    /// One-time local address that starts it in a browser; only in the answer to the POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether a browser was opened.
    #[serde(default)]
    pub browser_opened: bool,
    /// `sub` once signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A readable name once signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// Seconds until it is given up.
    #[serde(default)]
    pub expires_in: i64,
    /// What a person should know, such as a sign-in that is not durable.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// `DELETE /v1/accounts/{name}/sign-in`: how a sign-out went.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SignedOut {
    /// Account.
    pub account: String,
    /// `done`, `failed` (signed out here, the provider was not told), `unsupported` (the provider offers no
    /// revocation) or `nothing` (nobody was signed in).
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["done", "failed", "unsupported", "nothing"])))]
    pub revocation: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `POST /v1/open`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// `home`, `permissions`, `activity` or `consent/ID`.
    pub page: String,
    /// Whether the agent opens the browser itself; otherwise the address is only returned.
    #[serde(default)]
    pub open_browser: bool,
}

/// Answer of `POST /v1/open`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Opened {
    /// One-time local address.
    pub address: String,
    /// Whether a browser was opened.
    pub browser_opened: bool,
}

/// `GET /v1/profile`: what is in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EffectiveProfile {
    /// Every value by its key, such as `resources.payments.audience`.
    pub values: BTreeMap<String, ProfileValue>,
    /// Each diagnostic as `file:line: text`.
    pub diagnostics: Vec<String>,
}

/// One value of the effective profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProfileValue {
    /// The value; a secret is the text `[redacted]`.
    pub value: serde_json::Value,
    /// Where it was set.
    pub origin: String,
}

/// `GET /.well-known/jwks.json`: the public keys of minted tokens (RFC 7517 §5).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeySet {
    /// The present key first, then those whose last tokens may still live.
    pub keys: Vec<PublicKey>,
}

/// One public key (RFC 7517 §4, RFC 7518 §6.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PublicKey {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// First coordinate, base64url.
    pub x: String,
    /// Second coordinate, base64url.
    pub y: String,
    /// Names the key: its thumbprint (RFC 7638).
    pub kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub use_for: String,
    /// `ES256`.
    pub alg: String,
}

/// `GET /v1/doctor`: what the agent finds when it looks at itself and at the way to its issuers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Doctor {
    /// The agent's process.
    pub agent: AgentStatus,
    /// Whether managed layers come from a test directory.
    pub test_policy: bool,
    /// Each check, in the order in which one rests on the other.
    pub checks: Vec<DoctorCheck>,
}

/// One check of `daypass doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoctorCheck {
    /// Its stable name: `port`, `keychain`, `profile`, `audit`, `screen`, and for each account `proxy`, `name`,
    /// `connection`, `tls`, `issuer`, `clock` and `sign_in`. The command adds `socket` and `agent`. There may be others.
    pub check: String,
    /// `ok`, `warning` (it works, but not as it should), `failed` or `skipped` (not looked at).
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["ok", "warning", "failed", "skipped"])))]
    pub state: String,
    /// The account it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What was found, for people, in one line; no secret in it.
    pub finding: String,
    /// The next step, for people, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
