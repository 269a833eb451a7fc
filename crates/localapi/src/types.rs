//! Shapes of requests and answers. Times are RFC 3339 UTC; durations are whole seconds.

mod token;

pub use token::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Until when everything is paused; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub paused_until: Option<String>,
    /// What the profile says about the desktop.
    #[serde(default)]
    pub desktop: DesktopStatus,
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

/// What the profile says about the desktop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DesktopStatus {
    /// Whether the tray starts at login.
    pub autostart: bool,
    /// When the tray offers to sign in by itself: `first` (the first time it starts), `always` or `never`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["first", "always", "never"])))]
    pub sign_in_at_start: String,
    /// Links for the tray's menu, in the profile's order.
    #[serde(default)]
    pub links: Vec<LinkInfo>,
}

impl Default for DesktopStatus {
    fn default() -> Self {
        Self { autostart: true, sign_in_at_start: "first".to_owned(), links: Vec::new() }
    }
}

/// One link of the tray's menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LinkInfo {
    /// Its words.
    pub label: String,
    /// Where it leads, https.
    pub address: String,
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
    /// When the sign-in itself ends and somebody has to sign in again; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub ends_at: Option<String>,
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
    /// Whether it is worth a window: false after one for the same program was left unanswered a short while ago.
    #[serde(default)]
    pub window: bool,
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
    /// 1, 2, 3, … without a gap; where old lines were taken out, it begins later.
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
    /// Whether the person signs in with a code on another device (RFC 8628); absent = when a browser was to be opened, none
    /// can be, and the provider offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<bool>,
    /// Whether the person is not at this machine's screen: then only a configured `[browser] command` is opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remote: bool,
    /// Whether the provider is to let the person choose another account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_account: bool,
    /// What the sign-in has to show, as in `POST /v1/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>"))]
    pub claims: Option<serde_json::Value>,
    /// Authentication context classes, as in `POST /v1/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub acr_values: Option<String>,
    /// Seconds since the person was authenticated, as in `POST /v1/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// What a person needs to sign in on another device (RFC 8628 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceCode {
    /// What to enter there: 1 to 40 printable ASCII characters.
    pub user_code: String,
    /// Where to enter it: an https address (http on the loopback only).
    pub verification_uri: String,
    /// The same address with the code in it, where the provider gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
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
    /// The redirect address the provider has to know; absent for a device sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What a person enters on another device; only while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceCode>,
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
    /// `home`, `permissions`, `activity`, `profile`, `program/KEY` or `consent/ID`.
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

/// `POST /v1/discover`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DiscoverRequest {
    /// The issuer identifier; at most 2048 characters.
    pub issuer: String,
}

/// Answer of `POST /v1/discover`: what an issuer says it can do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IssuerInfo {
    /// The issuer identifier, as its document says it.
    pub issuer: String,
    /// Whether it lists the scope `offline_access`.
    pub offline_access: bool,
    /// Which of `openid`, `profile` and `email` it lists; empty = it lists no scopes.
    pub scopes: Vec<String>,
    /// Whether it offers sign-in with a code on another device (RFC 8628).
    pub device: bool,
    /// Whether it can be told of a sign-out (RFC 7009).
    pub revocation: bool,
}

/// `POST /v1/pause`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For how many seconds nothing is issued and nobody is asked.
    #[serde(rename = "for")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86400)))]
    pub seconds: i64,
}

/// Answer of `POST /v1/pause`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Paused {
    /// Until when.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub paused_until: String,
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
    /// Its stable name: `port`, `keychain`, `profile`, `audit`, `audit_export`, `screen`, and for each account `proxy`,
    /// `name`, `connection`, `tls`, `issuer`, `clock` and `sign_in`. The command adds `socket` and `agent`. There may be
    /// others.
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
