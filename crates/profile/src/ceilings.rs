//! The built-in ceilings: what no profile can lift, whoever wrote it.
//!
//! Invariant: every limit of a profile value is one constant of this table; the reader applies it, and help, schema and
//! documents print it from here. A value outside is brought into its range, or what is too much of it is void.

use broker::Span;
use std::fmt;

/// A built-in limit of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceiling {
    /// A duration from the first to the second; what lies outside is brought inside.
    Span(Span, Span),
    /// So many entries; more are void.
    Count(usize),
    /// So many characters (bytes of UTF-8); a longer text is void.
    Length(usize),
}

impl fmt::Display for Ceiling {
    /// As a part of a sentence: `1m to 30d`, `at most 8 entries`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(least, most) => write!(f, "{least} to {most}"),
            Self::Count(most) => write!(f, "at most {most} entries"),
            Self::Length(most) => write!(f, "at most {most} characters"),
        }
    }
}

/// Durations: shortest and longest.
pub(crate) type Spans = (Span, Span);

/// `consent.idle` and `consent.absolute`.
pub(crate) const CONSENT: Spans = (Span::minutes(1), Span::hours(30 * 24));
/// `resources.*.lifetime`, of minted tokens.
pub(crate) const LIFETIME: Spans = (Span::minutes(1), Span::hours(1));
/// `audit.retention`.
pub(crate) const RETENTION: Spans = (Span::hours(30 * 24), Span::hours(3650 * 24));
/// `notifications.expiry_ahead`.
pub(crate) const EXPIRY_AHEAD: Spans = (Span::minutes(1), Span::hours(24));

/// Accounts of all layers together.
pub(crate) const ACCOUNTS: usize = 250;
/// Resources of all layers together.
pub(crate) const RESOURCES: usize = 10_000;
/// Programs listed with one resource.
pub(crate) const PEERS: usize = 20_000;
/// Scopes of one list.
pub(crate) const SCOPES: usize = 100;
/// Redirect URIs of one account.
pub(crate) const REDIRECTS: usize = 32;
/// Words of the browser command.
pub(crate) const COMMAND: usize = 64;
/// Links shown to people.
pub(crate) const LINKS: usize = 8;
/// Additional certification authorities.
pub(crate) const AUTHORITIES: usize = 32;
/// Hosts reached without the proxy.
pub(crate) const NO_PROXY: usize = 256;

/// Names and titles for people.
pub(crate) const LABEL: usize = 100;
/// Descriptions for people.
pub(crate) const DESCRIPTION: usize = 500;
/// Addresses and audiences.
pub(crate) const ADDRESS: usize = 2048;
/// One certificate as text.
pub(crate) const PEM: usize = 64 * 1024;
