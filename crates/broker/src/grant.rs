//! The user's or IT's yes to one program for one resource and scope set.

use crate::{
    peer::Program,
    words::{AccountName, ResourceName, ScopeSet, Timestamp},
};
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

    /// Where the file of an ordinary program lies; `None` for any other, and where the path was not text.
    pub fn executable_path(&self) -> Option<&str> {
        let (digest, path) = self.0.strip_prefix("exe:")?.split_once(':')?;
        (digest.len() == 64 && !path.contains(char::REPLACEMENT_CHARACTER)).then_some(path)
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
    /// The package that owned the program's file when the grant was given, if only root could write that file.
    pub package: Option<String>,
}

impl Grant {
    /// Whether this program is the one it was given to, brought up to date by the package that owned it then and owns it
    /// now: another digest at the same path. Whoever goes by it checks that only root can write the file.
    pub fn follows(&self, program: &Program, package: Option<&str>) -> bool {
        let Program::Executable { file, .. } = program else { return false };
        self.package.is_some()
            && self.package.as_deref() == package
            && self.program.executable_path().is_some_and(|path| file.path.to_str() == Some(path))
            && self.program != program.key()
            && (self.choice != Choice::Always || program.may_hold_always())
    }

    /// Whether it still stands at `now`, given how long it may lie unused.
    pub fn stands(&self, now: Timestamp, idle: crate::Span) -> bool {
        match self.choice {
            Choice::Always => true,
            Choice::Today => self.until.is_some_and(|until| now < until) && now < self.last_used + idle,
            Choice::Once | Choice::Deny => false,
        }
    }
}
