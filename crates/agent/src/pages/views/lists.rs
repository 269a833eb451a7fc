//! The pages with a top bar that list what is so: home, permissions, activity.
//!
//! Invariant: every form that changes something posts and carries the page token. Limit: a list is as old as its page.

use super::{Long, PageText, Shape, Tone, When};
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
    /// The organisation's name.
    pub(crate) organisation: Option<String>,
    /// Where people find help; a link only when it is `https:` or `mailto:`.
    pub(crate) support_url: Option<String>,
    /// Profile diagnostics, `file:line: text`.
    pub(crate) diagnostics: Vec<String>,
    /// What a person should know, one sentence each.
    pub(crate) notices: Vec<String>,
    /// Open questions.
    pub(crate) questions: Vec<QuestionRow>,
    /// Configured accounts.
    pub(crate) accounts: Vec<AccountRow>,
    /// Permissions, newest first; the page shows the first five.
    pub(crate) grants: Vec<GrantRow>,
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
    fn first_grants(&self) -> &[GrantRow] {
        &self.grants[..self.grants.len().min(5)]
    }

    fn settings(&self) -> Tone {
        if self.locked { Tone::Bad } else { Tone::Warning }
    }

    fn support_link(&self) -> Option<&str> {
        self.support_url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("mailto:"))
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
    /// Permissions, newest first.
    pub(crate) grants: Vec<GrantRow>,
    /// Blocked programs, newest first.
    pub(crate) blocks: Vec<BlockRow>,
}

/// One audit line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActivityRow {
    /// When: "4 minutes ago".
    pub(crate) time: When,
    /// What happened: [`event_in_words`].
    pub(crate) what: String,
    /// How it went.
    pub(crate) outcome: Tone,
    /// Why, where it did not go well: [`why_in_words`].
    pub(crate) why: Option<String>,
    /// The program: [`Long::path`].
    pub(crate) program: Option<Long>,
    /// The service.
    pub(crate) service: Option<String>,
    /// The account.
    pub(crate) account: Option<String>,
}

/// One value a list can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// What the form sends.
    pub(crate) value: String,
    /// What it says.
    pub(crate) words: String,
    /// Whether the list is filtered by it now.
    pub(crate) chosen: bool,
}

/// One hour of the timeline, in the drawing's own units: given passes stand on the middle line, refused ones hang from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Left edge.
    pub(crate) x: usize,
    /// Height above the line.
    pub(crate) up: usize,
    /// Height below it.
    pub(crate) down: usize,
}

/// Passes of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// One for each hour with something in it, oldest first.
    bars: Vec<Bar>,
    /// How many were given.
    given: usize,
    /// How many were refused.
    refused: usize,
}

impl Timeline {
    const HOURS: usize = 24;
    const TALLEST: usize = 20;

    /// From how many hours ago each pass was given (`true`) or refused; `None` when nothing happened in a day.
    pub(crate) fn new(passes: impl Iterator<Item = (usize, bool)>) -> Option<Self> {
        let mut hours = [(0_usize, 0_usize); Self::HOURS];
        for (ago, given) in passes {
            if let Some(hour) = Self::HOURS.checked_sub(ago + 1).and_then(|at| hours.get_mut(at)) {
                if given { hour.0 += 1 } else { hour.1 += 1 }
            }
        }
        let most = hours.iter().map(|(up, down)| *up.max(down)).max().filter(|most| *most > 0)?;
        // Whatever happened can be seen.
        let height = |count: usize| (count * Self::TALLEST).div_ceil(most);
        let bars = hours.iter().enumerate().filter(|(_, (up, down))| up + down > 0);
        Some(Self {
            bars: bars.map(|(at, (up, down))| Bar { x: at * 10 + 1, up: height(*up), down: height(*down) }).collect(),
            given: hours.iter().map(|(up, _)| up).sum(),
            refused: hours.iter().map(|(_, down)| down).sum(),
        })
    }

    /// The same in words.
    pub(crate) fn words(&self) -> String {
        let passes = if self.given == 1 { "pass" } else { "passes" };
        format!(
            "In the last 24 hours: {} {passes} given (above the line), {} refused (below it).",
            self.given, self.refused
        )
    }
}

/// `GET /activity?q=…&program=…&service=…&outcome=…`.
#[derive(Debug, Clone, Template)]
#[template(path = "activity.html")]
pub(crate) struct ActivityPage {
    /// Words the list is filtered by; empty = everything.
    pub(crate) query: String,
    /// Programs to choose from, at most 100.
    pub(crate) programs: Vec<Pick>,
    /// Services to choose from, at most 100.
    pub(crate) services: Vec<Pick>,
    /// Outcomes to choose from.
    pub(crate) outcomes: Vec<Pick>,
    /// The last 24 hours of what the filter leaves.
    pub(crate) timeline: Option<Timeline>,
    /// Newest first, at most 200.
    pub(crate) rows: Vec<ActivityRow>,
    /// Whether there are older lines than these.
    pub(crate) more: bool,
}

impl ActivityPage {
    /// Whether the list shows less than everything.
    fn is_filtered(&self) -> bool {
        let picks = [&self.programs, &self.services, &self.outcomes];
        !self.query.is_empty() || picks.into_iter().flatten().any(|pick| pick.chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_shows_what_happened_within_a_day_and_nothing_else() {
        let passes = [(0, true), (0, true), (0, false), (23, false), (24, true), (900, false)];
        let timeline = Timeline::new(passes.into_iter()).unwrap();
        assert_eq!(timeline.bars, [Bar { x: 1, up: 0, down: 10 }, Bar { x: 231, up: 20, down: 10 }]);
        assert!(timeline.words().contains("2 passes given (above the line), 2 refused"), "{}", timeline.words());
        assert_eq!(Timeline::new([(24, true)].into_iter()), None);
        let uneven = Timeline::new((0..1000).map(|_| (3, true)).chain([(5, false)])).unwrap();
        assert_eq!(uneven.bars[0].down, 1, "one among many is still seen");
    }
}
