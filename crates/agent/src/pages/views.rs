//! What the pages say: one plain structure a page, rendered by compile-time checked templates.
//!
//! Invariant: every value goes through [`PageText`], so no text from a program, an issuer or a profile becomes markup,
//! turns the direction of what stands beside it, or hides characters. No page holds an inline script, an inline event
//! handler or a style attribute, and none names another origin, except a support address from the profile.
//! Limit: this module shows what it is told. Whether it is true, and who may see it, is decided by its callers.

#[path = "views/activity.rs"]
mod activity;
#[path = "views/consent.rs"]
mod consent;
#[path = "views/lists.rs"]
mod lists;
#[path = "views/profile.rs"]
mod profile;
#[path = "views/program.rs"]
mod program;
#[path = "views/text.rs"]
mod text;
#[path = "views/words.rs"]
mod words;

#[cfg(test)]
#[path = "views/tests.rs"]
mod tests;

pub(crate) use activity::{ActivityPage, ActivityRow, Pick, Timeline};
use askama::Template;
pub(crate) use consent::{Ask, Asker, Blocking, ConsentPage, DecidedPage, Decision, Kind};
pub(crate) use lists::{AccountRow, AccountState, BlockRow, GrantRow, GrantsPage, HomePage, QuestionRow};
pub(crate) use profile::{Group, ProfilePage, SetBy, Setting};
pub(crate) use program::{ProgramPage, Standing};
pub(crate) use text::{Long, PageText, When, escape_query};
pub(crate) use words::{
    ago, event_in_words, for_the_next, in_words, setting_in_words, span_in_words, value_in_words, why_in_words,
};

/// `/assets/style.css`, `text/css; charset=utf-8`.
pub(crate) const STYLE: &str = include_str!("../../../../ui/style.css");
/// `/assets/consent.js`, `text/javascript; charset=utf-8`.
pub(crate) const CONSENT_JS: &str = include_str!("../../../../ui/consent.js");
/// `/assets/home.js`, `text/javascript; charset=utf-8`.
pub(crate) const HOME_JS: &str = include_str!("../../../../ui/home.js");
/// `/assets/mark.svg`, `image/svg+xml`.
pub(crate) const MARK: &str = include_str!("../../../../icons/mark.svg");
/// The whole content of the one `<style>` element of [`SignInDonePage`] and [`SignInFailedPage`]: its SHA-256 goes into
/// their Content-Security-Policy (CSP3 §2.3.1).
pub(crate) const DONE_STYLE: &str = include_str!("../../../../ui/done.css");
/// The page of whoever has no page session. Constant on purpose: it says nothing about this machine or the person.
pub(crate) const CONSTANT_PAGE: &str = include_str!("../../../../ui/templates/constant.html");

/// A small drawing that says the same as the word beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A disc with a tick: good.
    Tick,
    /// A triangle: look here.
    Warning,
    /// An octagon with a cross: bad.
    Cross,
    /// An empty ring: nothing there.
    Ring,
    /// A ring with a slash: refused, or out of reach.
    Slash,
    /// A ring with hands: under way.
    Waiting,
    /// A padlock: nobody here can change it.
    Lock,
}

/// How something is meant: chooses colour and shape together, so neither stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// Neither good nor bad.
    Plain,
    /// It is under way.
    Waiting,
    /// Refused, as it should be: no alarm.
    Refused,
    /// Worth a look.
    Warning,
    /// Broken or dangerous; the only red one.
    Bad,
}

impl Tone {
    /// The class that colours it.
    pub(crate) fn tone(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain | Self::Waiting | Self::Refused => "plain",
            Self::Warning => "warn",
            Self::Bad => "danger",
        }
    }

    /// The shape that goes with it.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Good => Shape::Tick,
            Self::Plain => Shape::Ring,
            Self::Waiting => Shape::Waiting,
            Self::Refused => Shape::Slash,
            Self::Warning => Shape::Warning,
            Self::Bad => Shape::Cross,
        }
    }
}

/// One line of a folded list of details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// What it is, in our words.
    pub(crate) label: String,
    /// The value; foreign text is welcome, secrets are not.
    pub(crate) value: String,
}

/// A way on: an address of our own (`/…`, or the sign-in's one-time loopback address) and the verb on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where it goes.
    pub(crate) address: String,
    /// What it says.
    pub(crate) words: String,
}

/// A place on the web that the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebLink {
    /// What it says.
    pub(crate) label: String,
    /// An `https:` address.
    pub(crate) address: String,
}

/// An address that may become a link to the web: `https:` or `mailto:`, and nothing else.
fn support_link(url: Option<&str>) -> Option<&str> {
    url.filter(|url| url.starts_with("https://") || url.starts_with("mailto:"))
}

/// Which part of a long list a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pager {
    /// The page, from 1.
    at: usize,
    /// How many lines there are in all.
    pub(crate) count: usize,
    /// The address of the list, with what it is filtered by: it ends with `?` or `&`.
    base: String,
}

impl Pager {
    /// Lines on one page.
    pub(crate) const LINES: usize = 50;

    /// Page `asked` (from 1) of `count` lines; the last one when there are not so many.
    pub(crate) fn new(asked: usize, count: usize, base: impl Into<String>) -> Self {
        let pages = count.div_ceil(Self::LINES).max(1);
        Self { at: asked.clamp(1, pages), count, base: base.into() }
    }

    /// The lines of this page.
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let first = (self.at - 1) * Self::LINES;
        first..(first + Self::LINES).min(self.count)
    }

    fn pages(&self) -> usize {
        self.count.div_ceil(Self::LINES).max(1)
    }

    fn newer(&self) -> Option<String> {
        (self.at > 1).then(|| format!("{}page={}", self.base, self.at - 1))
    }

    fn older(&self) -> Option<String> {
        (self.at < self.pages()).then(|| format!("{}page={}", self.base, self.at + 1))
    }
}

/// Any page that only has something to say: an error, a refusal, a notice.
#[derive(Debug, Clone, Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage {
    /// How it is meant.
    pub(crate) tone: Tone,
    /// The heading, in a few words.
    pub(crate) title: String,
    /// What happened.
    pub(crate) happened: String,
    /// What that means for the person.
    pub(crate) means: String,
    /// The one next step.
    pub(crate) next: String,
    /// The next step as a link, where it is one.
    pub(crate) link: Option<Link>,
    /// Folded away, copyable; never a secret.
    pub(crate) detail: Option<String>,
}

/// `GET /done/{nonce}` on the sign-in's own listener, when it went well. Self-contained: CSP
/// `default-src 'none'; style-src 'sha256-…'` with the hash of [`DONE_STYLE`].
#[derive(Debug, Clone, Template)]
#[template(path = "signed_in.html")]
pub(crate) struct SignInDonePage {
    /// Who is signed in, readable.
    pub(crate) who: Option<String>,
    /// The organisation, else the issuer.
    pub(crate) organisation: String,
    /// What a person should know, such as a sign-in that is not durable.
    pub(crate) notices: Vec<String>,
}

/// `GET /done/{nonce}` on the sign-in's own listener, when it did not go well. Self-contained as [`SignInDonePage`].
#[derive(Debug, Clone, Template)]
#[template(path = "sign_in_failed.html")]
pub(crate) struct SignInFailedPage {
    /// The organisation, else the issuer.
    pub(crate) organisation: String,
    /// What happened.
    pub(crate) happened: String,
    /// What that means for the person.
    pub(crate) means: String,
    /// The one next step.
    pub(crate) next: String,
    /// The way to another try, where one may help.
    pub(crate) again: Option<Link>,
    /// Our own technical detail, folded.
    pub(crate) detail: Option<String>,
    /// The provider's own words (error word, provider code, correlation id), folded and marked as such.
    pub(crate) provider_said: Vec<Fact>,
}
