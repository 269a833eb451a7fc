//! The shape of a profile file, as serde types: the schema and the help texts are made from these.
//!
//! Invariant: a field here is a key of the contract, with its contract name; the words of the word keys are read through
//! these enums. Reading a file does not go through the structs, because one bad key must void only itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A profile file: what IT or the user configures. Files of several layers merge into one effective profile.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Version of the format; always 1.
    #[schemars(extend("const" = 1))]
    pub version: u8,
    /// Whether this managed file is above the user's own profile or below it.
    #[schemars(extend("default" = "mandatory"))]
    pub level: Option<Level>,
    /// Name of the organisation, shown to people.
    pub name: Option<String>,
    /// Where people find help; an https:// address.
    #[schemars(extend("pattern" = "^https://"))]
    pub support_url: Option<String>,
    /// Versions of Daypass that may read this file, such as ">=1.2"; older ones refuse it. Several comparisons (>=, >,
    /// =) are joined by commas.
    pub requires: Option<String>,
    /// Accounts by name: an issuer, a client registered there, and how to sign in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, Account>,
    /// Resources by name: the places where tokens are used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Resource>,
    /// Limits of consent.
    pub consent: Option<Consent>,
    /// How addresses are opened.
    pub browser: Option<Browser>,
    /// The loopback broker.
    pub broker: Option<Broker>,
    /// How authorization servers are reached.
    pub network: Option<Network>,
    /// The audit log.
    pub audit: Option<Audit>,
    /// Notifications of the desktop.
    pub notifications: Option<Notifications>,
    /// The desktop shell.
    pub desktop: Option<Desktop>,
    /// Links shown to people: label and https:// address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            version: 1,
            level: None,
            name: None,
            support_url: None,
            requires: None,
            accounts: BTreeMap::new(),
            resources: BTreeMap::new(),
            consent: None,
            browser: None,
            broker: None,
            network: None,
            audit: None,
            notifications: None,
            desktop: None,
            links: BTreeMap::new(),
        }
    }
}

impl File {
    /// The file as TOML text, for writing a profile.
    ///
    /// # Errors
    /// Only when a value cannot be written as TOML; none of today's can fail.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// An issuer, a client registered there, and how to sign in.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What people call it; shown beside its name.
    pub title: Option<String>,
    /// The issuer identifier, https://…, exactly as its discovery document says it. The issuer of a single tenant; a
    /// multi-tenant one ("common") is refused.
    pub issuer: Option<String>,
    /// The client identifier registered at the issuer.
    pub client_id: Option<String>,
    /// The "secret" some providers insist on for desktop clients. Not confidential; never shown.
    pub client_secret: Option<String>,
    /// Loopback redirect URIs, tried in order: plain http on the host 127.0.0.1, `[::1]` or localhost, with any path.
    /// Without a port a free one is taken; a port is exact.
    #[schemars(extend("default" = ["http://127.0.0.1/callback"]))]
    pub redirect_uri: Option<OneOrMany>,
    /// Scopes of the sign-in; openid is always among them.
    #[schemars(extend("default" = ["openid"]))]
    pub scopes: Option<Vec<String>>,
    /// How a refresh token is asked for.
    #[schemars(extend("default" = "auto"))]
    pub offline: Option<Offline>,
    /// More parameters of the authorization request, such as prompt. Protocol parameters are refused here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_parameters: BTreeMap<String, String>,
    /// Claims the ID token must carry with exactly this value; otherwise the sign-in is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
}

/// A place where a token is used.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What people call it; shown beside its name.
    pub title: Option<String>,
    /// What it is for, in a sentence for people.
    pub description: Option<String>,
    /// Name of the account it draws on.
    pub account: Option<String>,
    /// Which token is handed out.
    #[schemars(extend("default" = "access"))]
    pub token: Option<TokenKind>,
    /// The audience the token is for. Needed by minted tokens and to ask for an audience at the issuer.
    pub audience: Option<String>,
    /// How the audience is asked for at the issuer. Without an audience the default is scope.
    #[schemars(extend("default" = "resource"))]
    pub request: Option<RequestAs>,
    /// Scopes asked for by default.
    #[schemars(extend("default" = []))]
    pub scopes: Option<Vec<String>>,
    /// The ceiling of what programs may ask for. Without it the ceiling is what scopes says.
    pub allowed_scopes: Option<Vec<String>>,
    /// How long a minted token lives: 1m to 1h.
    #[schemars(extend("default" = "5m", "pattern" = "^[0-9]{1,10}[smhd]$"))]
    pub lifetime: Option<String>,
    /// Whether people are asked before a program gets a token.
    #[schemars(extend("default" = "ask"))]
    pub consent: Option<ConsentRule>,
    /// Stricter handling: 10 minutes idle, ends on lock, no "always".
    #[schemars(extend("default" = false))]
    pub sensitive: Option<bool>,
    /// Programs that are preapproved when consent says so: a list of programs, or "any".
    #[schemars(extend("default" = []))]
    pub peers: Option<Peers>,
}

/// One preapproved program. Every criterion named must hold.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Absolute path of the executable.
    pub path: Option<String>,
    /// Absolute path of the script an interpreter runs.
    pub script: Option<String>,
    /// SHA-256 of the program's file (the script's where there is one), 64 hexadecimal digits.
    #[schemars(extend("pattern" = "^[0-9A-Fa-f]{64}$"))]
    pub sha256: Option<String>,
    /// The package that owns the file, deb:NAME or rpm:NAME.
    #[schemars(extend("pattern" = "^(deb|rpm):"))]
    pub package: Option<String>,
    /// Signer of the executable (macOS, Windows).
    pub signer: Option<String>,
    /// Operating system this entry is for; elsewhere it is passed over.
    pub os: Option<Os>,
}

/// Limits of consent.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// How long a grant for today may lie unused: 1m to 30d.
    #[schemars(extend("default" = "12h", "pattern" = "^[0-9]{1,10}[smhd]$"))]
    pub idle: Option<String>,
    /// How long a grant for today lasts at most: 1m to 30d.
    #[schemars(extend("default" = "12h", "pattern" = "^[0-9]{1,10}[smhd]$"))]
    pub absolute: Option<String>,
    /// What locking the screen does to grants for today.
    #[schemars(extend("default" = "pause"))]
    pub on_lock: Option<LockRule>,
    /// When a person may answer in a terminal.
    #[schemars(extend("default" = "fallback"))]
    pub terminal: Option<TerminalRule>,
}

/// How addresses are opened.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Browser {
    /// The command and its arguments; the address is added as one more argument. Without it the system's opener is used.
    pub command: Option<Vec<String>>,
}

/// The loopback broker.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// TCP port on 127.0.0.1; 0 takes any free one.
    #[schemars(extend("default" = 6174))]
    pub port: Option<u16>,
}

/// How authorization servers are reached. Loopback never goes through a proxy.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Which proxy is used: "system" (what the system, or the agent's environment, says), "none", or http://host:port,
    /// without user and password.
    #[schemars(extend("default" = "system", "pattern" = "^(system|none|http://[^/@]+:[0-9]{1,5}/?)$"))]
    pub proxy: Option<String>,
    /// Hosts reached directly: a host, a .suffix of hosts, or a network such as 10.0.0.0/8.
    #[schemars(extend("default" = []))]
    pub no_proxy: Option<Vec<String>>,
    /// More certification authorities than the system's: each a certificate as PEM text, or the absolute path of a PEM
    /// file that root alone can write.
    #[schemars(extend("default" = []))]
    pub ca: Option<Vec<String>>,
}

/// The audit log.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How long lines are kept: 30d to 3650d. A value that cannot be read keeps them for 3650d.
    #[schemars(extend("default" = "400d", "pattern" = "^[0-9]{1,10}[smhd]$"))]
    pub retention: Option<String>,
    /// Where each line is copied to as well.
    #[schemars(extend("default" = []))]
    pub export: Option<Vec<AuditExport>>,
}

/// Notifications of the desktop.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// Whether there are any.
    #[schemars(extend("default" = true))]
    pub enabled: Option<bool>,
    /// How long before a sign-in ends one says so: 1m to 1d.
    #[schemars(extend("default" = "30m", "pattern" = "^[0-9]{1,10}[smhd]$"))]
    pub expiry_ahead: Option<String>,
}

/// The desktop shell.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Desktop {
    /// Whether it starts with the desktop session.
    #[schemars(extend("default" = true))]
    pub autostart: Option<bool>,
    /// Whether it opens a sign-in by itself when it starts.
    #[schemars(extend("default" = "first"))]
    pub sign_in_at_start: Option<SignInAtStart>,
}

/// One text or a list of texts.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several, in order.
    Many(Vec<String>),
}

/// Which programs are listed.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Peers {
    /// Every program.
    Any(AnyPeer),
    /// These.
    Listed(Vec<Peer>),
}

/// A type of words, written in lower case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }
    };
}

words! {
    /// Where a managed file stands.
    Level {
        /// Above the user's own profile.
        Mandatory,
        /// Below the user's own profile.
        Recommended,
    }
}
words! {
    /// How a refresh token is asked for.
    Offline {
        /// The scope `offline_access` when discovery lists it.
        Auto,
        /// Always the scope `offline_access`.
        Scope,
        /// The parameter `access_type=offline`.
        Parameter,
        /// Not at all.
        None,
    }
}
words! {
    /// Which token a resource hands out.
    TokenKind {
        /// The issuer's access token.
        Access,
        /// The issuer's ID token.
        Id,
        /// A token signed by the agent, for verifiers of the same user on this machine.
        Minted,
    }
}
words! {
    /// How the audience is asked for.
    RequestAs {
        /// The parameter resource (RFC 8707).
        Resource,
        /// The parameter audience.
        Audience,
        /// Not at all: the scopes alone decide.
        Scope,
    }
}
words! {
    /// Whether people are asked.
    ConsentRule {
        /// Ask.
        Ask,
        /// Listed programs are not asked, others are; managed layers only.
        Preapproved,
        /// Nobody gets a token.
        Denied,
    }
}
words! {
    /// What locking the screen does.
    LockRule {
        /// No answers while locked.
        Pause,
        /// No answers while locked either, and the grants end.
        End,
    }
}
words! {
    /// When a person may answer in a terminal.
    TerminalRule {
        /// Only while no desktop or browser can ask.
        Fallback,
        /// Always.
        Allow,
        /// Never.
        Never,
    }
}
words! {
    /// Every program.
    AnyPeer {
        /// Every program.
        Any,
    }
}
words! {
    /// An operating system.
    Os {
        /// Linux.
        Linux,
        /// macOS.
        Macos,
        /// Windows.
        Windows,
    }
}
words! {
    /// Where audit lines are copied to.
    AuditExport {
        /// The systemd journal.
        Journald,
        /// The system log.
        Syslog,
    }
}
words! {
    /// Whether a sign-in is opened at start.
    SignInAtStart {
        /// When an account was never signed in here.
        First,
        /// Whenever an account needs it.
        Always,
        /// Never.
        Never,
    }
}
