//! Home and permissions: accounts, open questions, what programs may do.
//!
//! Invariant: every form that changes something posts and carries the page token. Limit: a list is as old as its page.

use super::{Long, PageText, Pager, Shape, Tone, WebLink, When};
use askama::Template;

/// State of an account, by the words of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountState {
    /// Signed in.
    SignedIn,
    /// Nobody is signed in, or the issuer wants the person again.
    SignInRequired,
    /// A sign-in is under way.
    SigningIn,
    /// Signed in, but the issuer does not answer.
    Unreachable,
    /// The keychain is locked.
    KeychainLocked,
    /// A sign-in known to exist cannot be read.
    KeychainUnavailable,
}

impl AccountState {
    /// Reads the word of the API; `None` for a word this version does not know.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "signed_in" => Self::SignedIn,
            "sign_in_required" => Self::SignInRequired,
            "signing_in" => Self::SigningIn,
            "unreachable" => Self::Unreachable,
            "keychain_locked" => Self::KeychainLocked,
            "keychain_unavailable" => Self::KeychainUnavailable,
            _ => return None,
        })
    }

    /// The word on the chip.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::SignedIn => "Signed in",
            Self::SignInRequired => "Signed out",
            Self::SigningIn => "Signing in",
            Self::Unreachable => "Not reachable",
            Self::KeychainLocked => "Keychain locked",
            Self::KeychainUnavailable => "Keychain not available",
        }
    }

    /// What the person can do about it, beyond the button.
    pub(crate) fn next_step(self) -> Option<&'static str> {
        match self {
            Self::SignedIn | Self::SignInRequired => None,
            Self::SigningIn => Some("Finish it in the browser tab that opened, or start again here."),
            Self::Unreachable => {
                Some("The provider does not answer. Passes already at hand still work; Daypass keeps trying.")
            }
            Self::KeychainLocked => Some("Unlock your keychain; Daypass goes on by itself."),
            Self::KeychainUnavailable => Some("The keychain does not answer. Run daypass doctor in a terminal."),
        }
    }

    /// The class that colours the chip.
    pub(crate) fn tone(self) -> &'static str {
        match self {
            Self::SignedIn => "good",
            Self::SignInRequired | Self::SigningIn => "plain",
            Self::Unreachable | Self::KeychainLocked | Self::KeychainUnavailable => "warn",
        }
    }

    /// The shape on the chip.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::SignedIn => Shape::Tick,
            Self::SignInRequired => Shape::Ring,
            Self::SigningIn => Shape::Waiting,
            Self::Unreachable => Shape::Slash,
            Self::KeychainLocked | Self::KeychainUnavailable => Shape::Warning,
        }
    }

    /// Whether the page offers to sign in.
    pub(crate) fn may_sign_in(self) -> bool {
        matches!(self, Self::SignInRequired | Self::SigningIn)
    }

    /// Whether the page offers to sign out.
    pub(crate) fn may_sign_out(self) -> bool {
        !matches!(self, Self::SignInRequired | Self::SigningIn)
    }

    /// The verb on the sign-in button.
    pub(crate) fn sign_in_verb(self) -> &'static str {
        match self {
            Self::SigningIn => "Start again",
            _ => "Sign in",
        }
    }
}

/// One account on the home page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountRow {
    /// Its name in the profile; part of the forms' actions.
    pub(crate) name: String,
    /// What the settings call it.
    pub(crate) title: Option<String>,
    /// Who is signed in, readable.
    pub(crate) who: Option<String>,
    /// Its issuer.
    pub(crate) issuer: String,
    /// Its state.
    pub(crate) state: AccountState,
    /// Until when: "signed in until tomorrow, 09:00".
    pub(crate) until: Option<When>,
    /// What else a person should know.
    pub(crate) detail: Option<String>,
}

/// One open question on the home page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuestionRow {
    /// Its name; part of the link.
    pub(crate) id: String,
    /// The program: [`Long::name`].
    pub(crate) program: Long,
    /// The service.
    pub(crate) service: String,
    /// The account, readable.
    pub(crate) account: String,
    /// When it closes: "in 2 minutes".
    pub(crate) closes: When,
}

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantRow {
    /// Its name; part of the form's action.
    pub(crate) id: String,
    /// The program's own page: the end of its address.
    pub(crate) key: String,
    /// The program: [`Long::name`].
    pub(crate) program: Long,
    /// Its path: [`Long::path`].
    pub(crate) path: Long,
    /// The service.
    pub(crate) service: String,
    /// Scopes it covers.
    pub(crate) scopes: Vec<String>,
    /// The account, readable.
    pub(crate) account: String,
    /// Until when: "21:40, in 12 hours"; `None` = until revoked.
    pub(crate) until: Option<When>,
}

/// One blocked program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockRow {
    /// Its name; part of the form's action.
    pub(crate) id: String,
    /// The program's own page: the end of its address.
    pub(crate) key: String,
    /// The program: [`Long::name`].
    pub(crate) program: Long,
    /// Its path: [`Long::path`].
    pub(crate) path: Long,
    /// Since when: "4 minutes ago".
    pub(crate) since: When,
}

/// `GET /`.
#[derive(Debug, Clone, Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage {
    /// Token for the forms on this page.
    pub(crate) page_token: String,
    /// What the last action did, one sentence.
    pub(crate) said: Option<String>,
    /// Whether the profile forbids all issuing until repaired.
    pub(crate) locked: bool,
    /// Until when everything is paused: "until 21:40".
    pub(crate) paused: Option<When>,
    /// The organisation's name.
    pub(crate) organisation: Option<String>,
    /// Where people find help; a link only when it is `https:` or `mailto:`.
    pub(crate) support_url: Option<String>,
    /// More places the settings name.
    pub(crate) links: Vec<WebLink>,
    /// Profile diagnostics, `file:line: text`.
    pub(crate) diagnostics: Vec<String>,
    /// What a person should know, one sentence each.
    pub(crate) notices: Vec<String>,
    /// Open questions.
    pub(crate) questions: Vec<QuestionRow>,
    /// Configured accounts.
    pub(crate) accounts: Vec<AccountRow>,
    /// The first five permissions, newest first.
    pub(crate) grants: Vec<GrantRow>,
    /// How many there are.
    pub(crate) grants_in_all: usize,
    /// Blocked programs, newest first.
    pub(crate) blocks: Vec<BlockRow>,
    /// Base address of the agent.
    pub(crate) address: String,
    /// Its version.
    pub(crate) version: String,
    /// Whether managed layers come from a test directory.
    pub(crate) test_policy: bool,
}

impl HomePage {
    /// Nothing is set up yet, and nothing broken keeps it so.
    fn is_new(&self) -> bool {
        self.accounts.is_empty() && !self.locked
    }

    fn settings(&self) -> Tone {
        if self.locked { Tone::Bad } else { Tone::Warning }
    }

    fn support_link(&self) -> Option<&str> {
        super::support_link(self.support_url.as_deref())
    }
}

/// `GET /permissions`.
#[derive(Debug, Clone, Template)]
#[template(path = "permissions.html")]
pub(crate) struct GrantsPage {
    /// Token for the forms on this page.
    pub(crate) page_token: String,
    /// What the last action did, one sentence.
    pub(crate) said: Option<String>,
    /// One page of the permissions, newest first.
    pub(crate) grants: Vec<GrantRow>,
    /// Words the list is filtered by; empty = everything.
    pub(crate) query: String,
    /// How many there are, of all that fit.
    pub(crate) pager: Pager,
    /// Blocked programs, newest first.
    pub(crate) blocks: Vec<BlockRow>,
}
