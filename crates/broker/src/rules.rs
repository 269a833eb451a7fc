//! What the effective profile says, as the rest of the house needs it: parsed, complete, nothing left to check.

mod audiences;
mod machine;
mod peer_list;

pub use machine::{AuditExport, AuditRules, DesktopRules, NetworkRules, NotificationRules, Proxy, SignInAtStart};

pub use audiences::Audiences;
pub(crate) use peer_list::Marks;
pub use peer_list::PeerList;

use crate::words::{AccountName, Issuer, ResourceName, ScopeSet, Span};
use secrecy::SecretString;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// The whole of the effective profile that steers decisions. One immutable snapshot serves one request.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The organisation's name, shown to people.
    pub organisation: Option<String>,
    /// Where people find help.
    pub support_url: Option<String>,
    /// Configured accounts by name.
    pub accounts: BTreeMap<AccountName, Arc<Account>>,
    /// Configured resources by name.
    pub resources: BTreeMap<ResourceName, Arc<Resource>>,
    /// Finds resources by their audience; nothing to set.
    pub audiences: Audiences,
    /// Limits of consent.
    pub consent: Consent,
    /// The command that opens an address; `None` = the system's opener.
    pub browser_command: Option<Vec<String>>,
    /// The loopback broker.
    pub broker: BrokerRules,
    /// How authorization servers are reached.
    pub network: NetworkRules,
    /// The audit log.
    pub audit: AuditRules,
    /// Notifications.
    pub notifications: NotificationRules,
    /// The desktop shell.
    pub desktop: DesktopRules,
    /// Links shown to people, at most 8: label and https address.
    pub links: Vec<(String, String)>,
    /// Resources that are configured but count for nothing because of a fault in the profile, and why.
    pub void: BTreeMap<String, String>,
    /// Set when nothing may be issued (a mandatory file that cannot be parsed and has no good copy): why.
    pub locked: Option<String>,
}

impl Rules {
    /// Finds a resource by its name or its exact audience.
    pub fn resource(&self, wanted: &str) -> Option<&Arc<Resource>> {
        let by_name = wanted.parse().ok().and_then(|name: ResourceName| self.resources.get(&name));
        by_name.or_else(|| self.audiences.look_up(&self.resources, wanted))
    }
}

/// The loopback broker's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerRules {
    /// TCP port on 127.0.0.1; 0 = any free one.
    pub port: u16,
    /// Whether a managed layer fixed the port: then a busy port is a failure instead of a reason to take another.
    pub port_is_fixed: bool,
}

impl Default for BrokerRules {
    fn default() -> Self {
        Self { port: 6174, port_is_fixed: false }
    }
}

/// A configured issuer and client.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name in the profile.
    pub name: AccountName,
    /// What people call it; shown beside the name, never instead of it where something is decided.
    pub title: Option<String>,
    /// The issuer, compared as a string.
    pub issuer: Issuer,
    /// `client_id` (RFC 6749 §2.2).
    pub client_id: String,
    /// The "secret" some providers insist on for desktop clients; not confidential, still never printed.
    pub client_secret: Option<SecretString>,
    /// Redirect URIs, tried in order; never empty.
    pub redirect_uris: Vec<RedirectUri>,
    /// Scopes of the sign-in.
    pub scopes: ScopeSet,
    /// How a refresh token is asked for.
    pub offline: Offline,
    /// Additional authorization request parameters; no protocol parameters among them.
    pub authorization_parameters: BTreeMap<String, String>,
    /// Claims the ID token must carry with exactly this value.
    pub required_claims: BTreeMap<String, String>,
}

/// A loopback redirect URI (RFC 8252 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    /// `127.0.0.1`, `[::1]` or `localhost`.
    pub host: String,
    /// `None` = any free port.
    pub port: Option<u16>,
    /// Absolute path, beginning with `/`, without query and fragment; `/` when none was written.
    pub path: String,
    /// The path exactly as written (may be empty), for rebuilding the URI to the letter.
    pub written_path: String,
}

impl RedirectUri {
    /// The URI as sent to the issuer, with the port that was bound.
    pub fn with_port(&self, port: u16) -> String {
        format!("http://{}:{port}{}", self.host, self.written_path)
    }
}

/// How a refresh token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offline {
    /// `offline_access` when discovery lists it.
    #[default]
    Auto,
    /// Always the scope `offline_access`.
    Scope,
    /// The parameter `access_type=offline`.
    Parameter,
    /// Not at all.
    None,
}

/// A named place where a token is used.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name in the profile.
    pub name: ResourceName,
    /// What people call it; shown beside the name, never instead of it where something is decided.
    pub title: Option<String>,
    /// What it is for, in a sentence for people.
    pub description: Option<String>,
    /// The account it draws on.
    pub account: AccountName,
    /// Which token is handed out.
    pub token: TokenKind,
    /// The `aud` it is for. Always there for `Minted`.
    pub audience: Option<String>,
    /// How the audience is asked for.
    pub request: RequestAs,
    /// Scopes asked for by default.
    pub scopes: ScopeSet,
    /// The ceiling.
    pub allowed_scopes: ScopeSet,
    /// Life of a minted token.
    pub lifetime: Span,
    /// Whether people are asked.
    pub consent: ConsentRule,
    /// 10 minutes idle, ends on lock, no "always".
    pub sensitive: bool,
    /// Which programs are preapproved (with [`ConsentRule::Preapproved`]).
    pub peers: Peers,
}

/// Which token a resource hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The issuer's access token.
    Access,
    /// The issuer's ID token.
    Id,
    /// A token signed by the agent, for verifiers of the same user on this machine.
    Minted,
}

/// How the audience is asked for at the issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestAs {
    /// `resource` (RFC 8707).
    Resource,
    /// `audience`.
    Audience,
    /// Not at all: the scopes alone decide.
    Scope,
}

/// Whether people are asked before a resource's token is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentRule {
    /// Ask.
    Ask,
    /// Listed programs are not asked, others are.
    Preapproved,
    /// Nobody gets it.
    Denied,
}

/// Programs listed with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Any program.
    Any,
    /// These.
    Listed(PeerList),
}

/// One listed program. Every criterion that is there must hold; a rule without any criterion matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerRule {
    /// Canonical path of the executable.
    pub path: Option<PathBuf>,
    /// Canonical path of the script an interpreter runs.
    pub script: Option<PathBuf>,
    /// SHA-256 of the program's file (the script's where there is one), 64 hexadecimal digits.
    pub sha256: Option<[u8; 32]>,
    /// Owning package, `deb:NAME` or `rpm:NAME`.
    pub package: Option<String>,
    /// Signer (macOS, Windows); never matches on Linux.
    pub signer: Option<String>,
}

/// Limits of consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// How long a grant for today may lie unused.
    pub idle: Span,
    /// How long a grant for today lasts at most.
    pub absolute: Span,
    /// What locking the screen does.
    pub on_lock: LockRule,
    /// When a person may answer in a terminal.
    pub terminal: TerminalRule,
}

impl Default for Consent {
    fn default() -> Self {
        Self {
            idle: Span::hours(12),
            absolute: Span::hours(12),
            on_lock: LockRule::Pause,
            terminal: TerminalRule::Fallback,
        }
    }
}

/// What locking the screen does. Nothing is answered while it is locked in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockRule {
    /// No more: grants and open questions go on when it is unlocked.
    Pause,
    /// Grants for today and open questions end.
    End,
}

/// When a person may answer in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminalRule {
    /// Only while no desktop or browser can ask.
    Fallback,
    /// Always.
    Allow,
    /// Never.
    Never,
}

impl Resource {
    /// The scopes a request gets: its own, else the default. Refused above the ceiling.
    ///
    /// # Errors
    /// The scopes that are above the ceiling.
    pub fn scopes_for(&self, asked: &ScopeSet) -> Result<ScopeSet, ScopeSet> {
        let scopes = if asked.is_empty() { &self.scopes } else { asked };
        let above = scopes.difference(&self.allowed_scopes);
        if above.is_empty() { Ok(scopes.clone()) } else { Err(above) }
    }
}

impl Rules {
    /// The scopes and resource indicators a sign-in to `account` asks for: its own and all its resources'.
    pub fn sign_in_scopes(&self, account: &Account) -> ScopeSet {
        self.resources
            .values()
            .filter(|r| r.account == account.name && r.token == TokenKind::Access && r.consent != ConsentRule::Denied)
            .fold(account.scopes.clone(), |all, r| all.union(&r.allowed_scopes))
    }

    /// The resources of `account` whose tokens come from the issuer's token endpoint, in name order.
    pub fn issuer_resources<'a>(&'a self, account: &'a AccountName) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.resources
            .values()
            .filter(move |r| &r.account == account && r.token == TokenKind::Access && r.consent != ConsentRule::Denied)
    }
}
