//! Profile bytes of all layers in, one effective profile out: each value with its origin, and what was wrong on the way.
//!
//! Invariant: nothing here reads a disk, a clock, the network or the environment, nothing panics whatever the bytes are,
//! and a bad value never grants more than the good one would have: it is read as strictly as its key allows, or what
//! depends on it is void. The limit: whether a managed file really comes from IT is for whoever read it to find out.

mod ceilings;
mod diagnostic;
mod diff;
mod effective;
mod file;
pub mod format;
mod keys;
mod merge;
mod parse;
mod read;
mod redirect;
mod resource;
mod schema;
mod scopes;
mod version;

#[cfg(test)]
mod tests;

pub use ceilings::Ceiling;
pub use diagnostic::{Diagnostic, Severity};
pub use diff::{Change, diff};
pub use keys::{Counts, KeyHelp, explain, explain_all};
pub use merge::{Layer, Origin};
pub use schema::schema;

use broker::ExposeSecret as _;
use std::collections::BTreeMap;

/// Who a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// The user's own profile.
    User,
    /// IT's; the file states its level itself, mandatory when it does not.
    Managed,
}

/// One file, already read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path for people; the ending `.toml` or `.json` tells the format, the file name its place within its level.
    pub file: String,
    /// Who it comes from.
    pub kind: SourceKind,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// One leaf of the effective profile.
#[derive(Debug, Clone)]
pub struct Value {
    /// The value as JSON; a client secret is the text `[redacted]`.
    pub json: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
    /// The secret itself, for telling whether it changed.
    secret: Option<broker::SecretString>,
}

impl Value {
    /// Whether two values are the same, secrets included; where they come from is not compared.
    pub fn is(&self, other: &Self) -> bool {
        let secret = |value: &Self| value.secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        self.json == other.json && secret(self) == secret(other)
    }
}

/// The effective profile.
#[derive(Debug, Clone)]
pub struct Effective {
    /// What steers decisions.
    pub rules: broker::Rules,
    /// What was wrong, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Every leaf in force by its dotted key, such as `resources.payments.scopes`.
    pub values: BTreeMap<String, Value>,
    /// Accounts and resources that are configured but count for nothing, such as `accounts.corp`, and why.
    pub void: BTreeMap<String, String>,
}

/// Merges all files into the effective profile: built-in < recommended < user < mandatory, and within one level by file
/// name. `agent_version` (such as `1.2.0`) is what the files' `requires` is held against.
///
/// A managed file that is no profile at all sets [`broker::Rules::locked`]; a caller that has its last good copy passes
/// those bytes instead.
pub fn resolve(sources: &[Source], agent_version: &str) -> Effective {
    effective::resolve(sources, agent_version, false)
}

/// Whether a file is a profile at all, so that [`resolve`] would not lock for it; quicker than resolving it.
///
/// # Errors
/// What is wrong. Its key is `requires` when the file is for another version than this one.
pub fn is_profile(source: &Source, agent_version: &str) -> Result<(), Diagnostic> {
    read::is_profile(source, agent_version)
}

/// What is wrong with one file alone. What another file may still add is a warning here, not an error.
pub fn check(source: &Source, agent_version: &str) -> Vec<Diagnostic> {
    effective::resolve(std::slice::from_ref(source), agent_version, true).diagnostics
}
