//! Decides whether a local program may have a token, and runs the trip from the question to the answer through ports.
//!
//! Invariant: nothing in this crate reads a clock, a disk, the network, the environment or a process. What it needs to
//! know comes in as values ([`Peer`], [`Rules`], [`Grant`], [`Timestamp`]) or through the traits in [`ports`].
//! It protects the decision only; whether a [`Peer`] is told truthfully is the business of whoever looked it up.

mod block;
pub mod consent;
mod decide;
mod grant;
mod peer;
pub mod ports;
mod refusal;
mod rules;
mod step_up;
pub mod trip;
mod words;

pub use block::{Block, BlockKey};
pub use decide::{
    Authority, CachedToken, Decision, Facts, LEAST_LIFE, Wanted, decide, ends_on_lock, grant_stands, idle_limit,
    resolve,
};
pub use grant::{Choice, Grant, GrantId, ProgramKey};
pub use peer::{FileIdentity, Peer, ProcessInstance, Program};
pub use refusal::Refusal;
pub use rules::{
    Account, Audiences, AuditExport, AuditRules, BrokerRules, Consent, ConsentRule, DesktopRules, LockRule,
    NetworkRules, NotificationRules, Offline, PeerList, PeerRule, Peers, Proxy, RedirectUri, RequestAs, Resource,
    Rules, SignInAtStart, TerminalRule, TokenKind,
};
pub use secrecy::{ExposeSecret, SecretString};
pub use step_up::{EssentialClaim, Requirement, SignInFacts, WantedClaims};
pub use words::{AccountName, Issuer, ResourceName, Scope, ScopeSet, Span, Timestamp, WordError};
