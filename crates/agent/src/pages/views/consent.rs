//! The question, and what followed.
//!
//! Invariant: what the system knows about the program and what it says about itself are different fields, and the page
//! marks the second. Limit: the page binds nothing; the digest and the page token do, and their maker checks them.

use super::{Fact, Long, PageText, Shape, Tone, When};
use askama::Template;

/// What kind of program asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An ordinary executable.
    Executable,
    /// A script.
    Script {
        /// Path of the interpreter that runs it.
        interpreter: String,
    },
    /// A command given to an interpreter, without a file; name and path are the interpreter's.
    Inline,
    /// A person's terminal window; name and path are the shell's.
    Terminal {
        /// The terminal, such as `pts/3`.
        tty: String,
    },
}

/// The program that asks, as the system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    /// File name of its path: [`Long::name`].
    pub(crate) name: Long,
    /// Its whole path: [`Long::path`].
    pub(crate) path: Long,
    /// What kind of program it is.
    pub(crate) kind: Kind,
    /// The package that owns its file, as the domain writes it: `deb:git`.
    pub(crate) package: Option<String>,
    /// Who started it, such as `bash`.
    pub(crate) started_by: Option<String>,
    /// What it calls itself, unverified: [`Long::name`].
    pub(crate) says_it_is: Option<Long>,
}

impl Asker {
    /// The one-line name, for the title of the page.
    pub(crate) fn heading(&self) -> String {
        match self.kind {
            Kind::Executable | Kind::Script { .. } => self.name.short(),
            Kind::Inline => format!("A command given to {}", self.name.short()),
            Kind::Terminal { .. } => "A terminal window".to_owned(),
        }
    }

    /// The kind of package in words, and its name.
    pub(crate) fn package_words(&self) -> Option<(&'static str, &str)> {
        let package = self.package.as_deref()?;
        Some(match package.split_once(':') {
            Some(("deb", name)) => ("Debian package", name),
            Some(("rpm", name)) => ("RPM package", name),
            Some(("pacman", name)) => ("Arch package", name),
            Some(("flatpak", name)) => ("Flatpak", name),
            Some(("snap", name)) => ("Snap", name),
            _ => ("package", package),
        })
    }
}

/// One open request on a consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The service: name of the resource.
    pub(crate) service: String,
    /// What the settings call it.
    pub(crate) title: Option<String>,
    /// Its address: the audience, where there is one.
    pub(crate) address: Option<String>,
    /// The account, readable: `Alice · Example Corp`.
    pub(crate) account: String,
    /// Scopes asked for.
    pub(crate) scopes: Vec<String>,
}

/// `GET /consent/{id}` while the question is open: one page for one program and all it lists.
#[derive(Debug, Clone, Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage {
    /// Name of the question; part of the form's action.
    pub(crate) id: String,
    /// Digest of what is shown.
    pub(crate) digest: String,
    /// One-time token of this very page.
    pub(crate) page_token: String,
    /// Who asks.
    pub(crate) asker: Asker,
    /// For what; at least one.
    pub(crate) asks: Vec<Ask>,
    /// What is unusual, one sentence each; empty = nothing.
    pub(crate) unusual: Vec<String>,
    /// Whether "Allow once" may be chosen.
    pub(crate) once: bool,
    /// Whether "Allow today" may be chosen, and what it means: "for the next 12 hours, until 21:40".
    pub(crate) today: Option<When>,
    /// Whether "Always allow" may be chosen.
    pub(crate) always: bool,
    /// When the question closes unanswered: "at 09:42".
    pub(crate) closes: When,
    /// Further folded details, such as the digest of the file.
    pub(crate) facts: Vec<Fact>,
    /// Whether an answer came under a second after the page, and decided nothing.
    pub(crate) too_quick: bool,
    /// Whether this is Daypass's own window, which closes by itself once the question is over.
    pub(crate) window: bool,
}

/// How a consent request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No.
    Denied,
    /// One token to each request.
    Once,
    /// Until then: "for the next 12 hours, until 21:40".
    Today(When),
    /// Until revoked.
    Always,
    /// Nobody answered in time.
    Expired,
    /// The program ended first.
    Gone,
    /// It had been answered before.
    Answered,
}

impl Decision {
    /// The heading.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Denied => "Denied",
            Self::Once => "Allowed once",
            Self::Today(_) => "Allowed today",
            Self::Always => "Always allowed",
            Self::Expired => "The question has expired",
            Self::Gone => "The program has ended",
            Self::Answered => "Already answered",
        }
    }

    fn meaning(&self) -> Tone {
        match self {
            Self::Once | Self::Today(_) | Self::Always => Tone::Good,
            Self::Denied => Tone::Refused,
            Self::Gone | Self::Answered => Tone::Plain,
            Self::Expired => Tone::Waiting,
        }
    }

    /// The class that colours it.
    pub(crate) fn tone(&self) -> &'static str {
        self.meaning().tone()
    }

    /// The shape that goes with it.
    pub(crate) fn shape(&self) -> Shape {
        self.meaning().shape()
    }
}

/// What the page says about blocking the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// Nothing.
    Nothing,
    /// A button that does it, with its page token.
    Offered(String),
    /// It is done.
    Done,
}

/// `GET /consent/{id}` once the question is over.
#[derive(Debug, Clone, Template)]
#[template(path = "decided.html")]
pub(crate) struct DecidedPage {
    /// How it ended.
    pub(crate) decision: Decision,
    /// The program: [`Long::name`].
    pub(crate) program: Long,
    /// The services it asked for.
    pub(crate) services: Vec<String>,
    /// Name of the question; part of the form's action.
    pub(crate) id: String,
    /// Whether the program is blocked, or may be with one click.
    pub(crate) blocking: Blocking,
    /// Whether this is Daypass's own window, which closes by itself.
    pub(crate) window: bool,
}
