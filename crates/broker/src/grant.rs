//! The user's or IT's yes to one program for one resource and scope set.

use crate::words::{AccountName, ResourceName, ScopeSet, Timestamp};
use std::fmt;

/// Names a program for grants and sessions; made by [`crate::Program::key`], compared for equality only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramKey(String);

impl ProgramKey {
    /// Wraps a key read back from storage or made by [`crate::Program::key`].
    pub fn new(key: String) -> Self {
        Self(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProgramKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a grant; never reused within one installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub i64);

/// What a person answered to a consent request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Choice {
    /// No.
    Deny,
    /// One token to each request on the page that was shown.
    Once,
    /// For twelve hours or until sign-out.
    Today,
    /// Until revoked; only programs with an executable identity.
    Always,
}

impl Choice {
    /// The word of the API and the pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Once => "once",
            Self::Today => "today",
            Self::Always => "always",
        }
    }

    /// Reads the word of the API and the pages.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deny, Self::Once, Self::Today, Self::Always].into_iter().find(|c| c.as_str() == text)
    }
}

/// A lasting yes (`today` or `always`); `once` is spent on its question and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// The program it was given to.
    pub program: ProgramKey,
    /// The account it draws on.
    pub account: AccountName,
    /// The resource it is for.
    pub resource: ResourceName,
    /// The scopes it covers; a request for a subset is covered.
    pub scopes: ScopeSet,
    /// `Today` or `Always`.
    pub choice: Choice,
    /// When it was given.
    pub created: Timestamp,
    /// When it was last used for a token; the idle limit counts from here.
    pub last_used: Timestamp,
    /// When it ends whatever happens; `None` for `Always`.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Whether it still stands at `now`, given how long it may lie unused.
    pub fn stands(&self, now: Timestamp, idle: crate::Span) -> bool {
        match self.choice {
            Choice::Always => true,
            Choice::Today => self.until.is_some_and(|until| now < until) && now < self.last_used + idle,
            Choice::Once | Choice::Deny => false,
        }
    }
}
