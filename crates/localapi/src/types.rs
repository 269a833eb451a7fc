//! Shapes of requests and answers. Times are RFC 3339 UTC; durations are whole seconds.

use crate::code::Code;
use serde::{Deserialize, Serialize};

/// `POST /v1/token`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Name or exact audience of the resource.
    pub resource: String,
    /// Scopes, space-separated; absent = the resource's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Seconds the token must still live; at least 60 are always given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_valid: Option<u32>,
    /// Seconds to wait for consent on this connection, at most 120; 0 or absent = park the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<u32>,
    /// Ask the issuer for a new token even if a good one is at hand (rate-limited).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
    /// What the program calls itself; shown as unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// `urn:ietf:params:oauth:token-type:access_token` (RFC 8693 §3): the issuer's access token.
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// `urn:ietf:params:oauth:token-type:id_token`: the issuer's ID token.
pub const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// `urn:ietf:params:oauth:token-type:jwt`: a token minted by the agent.
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// 200 of `POST /v1/token`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: WireToken,
    /// `Bearer`, or `N_A` for an ID token.
    pub token_type: String,
    /// Seconds it still lives.
    pub expires_in: i64,
    /// When it ends.
    pub expires_at: String,
    /// Scopes it carries, space-separated.
    pub scope: String,
    /// Name of the resource.
    pub resource: String,
    /// What kind of token it is.
    pub issued_token_type: String,
}

/// Body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub lock_state: String,
    /// Configured accounts.
    pub accounts: Vec<AccountStatus>,
    /// What a person should know, such as a port that was taken or a write that is not durable.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// The agent's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
pub struct KeychainStatus {
    /// `ok`, `locked`, `unavailable` or `memory` (no keychain: tokens live in memory only).
    pub state: String,
    /// What that means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// State of the profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProfileStatus {
    /// `ok`, `warnings` (some entries are void) or `locked` (nothing may be issued). Diagnostics may be there in any of them.
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
    pub state: String,
    /// When the sign-in ends, where that is known; else when the access token at hand ends; null when signed out.
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
pub struct ResourceInfo {
    /// Its name in the profile.
    pub name: String,
    /// The account it draws on.
    pub account: String,
    /// `access`, `id` or `minted`.
    pub token: String,
    /// Its audience.
    pub audience: Option<String>,
    /// Default scopes, space-separated.
    pub scope: String,
    /// The ceiling, space-separated.
    pub allowed_scope: String,
    /// `ask`, `preapproved` or `denied`.
    pub consent: String,
    /// Whether it is sensitive.
    pub sensitive: bool,
    /// What the asking program would get now: `token`, `question` or `nothing`.
    pub access: String,
    /// Where it was configured.
    pub origin: String,
}

/// One open consent request.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    pub state: String,
    /// When it ends unanswered.
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
#[serde(deny_unknown_fields)]
pub struct RequestAnswer {
    /// `deny`, `once`, `today` or `always`.
    pub choice: String,
    /// Digest of the request as it was shown.
    pub digest: String,
}

/// One grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    pub choice: String,
    /// When it ends; null for always.
    pub until: Option<String>,
}

/// `GET /v1/session`: how the agent sees this peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionInfo {
    /// The program, for people.
    pub program: String,
    /// `executable`, `script`, `inline` or `terminal`.
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
    pub session_until: Option<String>,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// 1, 2, 3, … without a gap.
    pub seq: i64,
    /// When.
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
#[serde(deny_unknown_fields)]
pub struct SignInRequest {
    /// Whether the agent opens the browser itself; otherwise the address is only returned.
    #[serde(default)]
    pub open_browser: bool,
}

/// State of a sign-in: answer of `POST /v1/accounts/{name}/sign-in` and `GET /v1/sign-ins/{id}?wait=SECONDS`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignInState {
    /// Its name.
    pub id: String,
    /// Account.
    pub account: String,
    /// `pending`, `signed_in` or `failed`.
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
pub struct SignedOut {
    /// Account.
    pub account: String,
    /// `done`, `failed` (signed out here, the provider was not told), `unsupported` (the provider offers no
    /// revocation) or `nothing` (nobody was signed in).
    pub revocation: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `POST /v1/open`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// `home` or `consent/ID`.
    pub page: String,
    /// Whether the agent opens the browser itself; otherwise the address is only returned.
    #[serde(default)]
    pub open_browser: bool,
}

/// Answer of `POST /v1/open`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// One-time local address.
    pub address: String,
    /// Whether a browser was opened.
    pub browser_opened: bool,
}
