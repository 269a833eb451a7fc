//! What the effective profile says about the machine around the decisions: network, audit log, notifications, desktop.
//!
//! Invariant: every value here is inside its built-in ceiling. None of them decides who may have a token.

use crate::words::Span;

/// How the agent reaches authorization servers. Managed layers only. Loopback never goes through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkRules {
    /// Which proxy is used.
    pub proxy: Proxy,
    /// Hosts that are reached directly: `host`, `.suffix` or `10.0.0.0/8`, in the order written.
    pub no_proxy: Vec<String>,
    /// More certification authorities than the system's: each a PEM text (RFC 7468 §5) or the absolute path of a PEM file,
    /// which counts only where root alone can write it.
    pub ca: Vec<String>,
}

/// Which proxy is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// What the system, or the agent's environment, says.
    #[default]
    System,
    /// None.
    None,
    /// This one: `http://host:port`, without user and password.
    Url(String),
}

/// How long the audit log is kept and where it is copied to. Managed layers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRules {
    /// Lines younger than this are kept: 30 to 3650 days.
    pub retention: Span,
    /// Where each line is copied to, without doubles.
    pub export: Vec<AuditExport>,
}

impl Default for AuditRules {
    fn default() -> Self {
        Self { retention: Span::hours(400 * 24), export: Vec::new() }
    }
}

/// A place audit lines are copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditExport {
    /// The systemd journal.
    Journald,
    /// The system log (`/dev/log`).
    Syslog,
}

/// Notifications of the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotificationRules {
    /// Whether there are any.
    pub enabled: bool,
    /// How long before a sign-in ends one says so: 1 minute to 24 hours.
    pub expiry_ahead: Span,
}

impl Default for NotificationRules {
    fn default() -> Self {
        Self { enabled: true, expiry_ahead: Span::minutes(30) }
    }
}

/// The desktop shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesktopRules {
    /// Whether it starts with the desktop session.
    pub autostart: bool,
    /// Whether it opens a sign-in by itself when it starts.
    pub sign_in_at_start: SignInAtStart,
}

impl Default for DesktopRules {
    fn default() -> Self {
        Self { autostart: true, sign_in_at_start: SignInAtStart::First }
    }
}

/// Whether a sign-in is opened at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignInAtStart {
    /// When an account was never signed in here.
    #[default]
    First,
    /// Whenever an account needs it.
    Always,
    /// Never.
    Never,
}
