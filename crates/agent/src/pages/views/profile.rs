//! The settings page: what is in force, and who said so.
//!
//! Limit: it shows; nothing can be changed here, because the settings are files of the person and of the organisation.

use super::{PageText, Shape, WebLink};
use askama::Template;

/// Who set a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// The organisation, and nobody else can.
    Locked,
    /// The organisation, as a suggestion.
    Suggested,
    /// The person.
    You,
    /// Nobody: what Daypass does by itself.
    BuiltIn,
}

impl SetBy {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Locked => "locked by your organisation",
            Self::Suggested => "suggested by your organisation",
            Self::You => "set by you",
            Self::BuiltIn => "built in",
        }
    }
}

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// What it is, in our words, or its key.
    pub(crate) label: String,
    /// Its key, for people who write settings.
    pub(crate) key: String,
    /// Its value, readable; a secret is not.
    pub(crate) value: String,
    /// Who set it.
    pub(crate) by: SetBy,
    /// Where: file and line; empty = built in.
    pub(crate) place: String,
}

/// Values that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// A heading in our words, such as "Account".
    pub(crate) heading: String,
    /// The name of what it is about, where there are several.
    pub(crate) name: Option<String>,
    /// What the settings call it.
    pub(crate) title: Option<String>,
    /// Its values.
    pub(crate) settings: Vec<Setting>,
}

/// `GET /profile`.
#[derive(Debug, Clone, Template)]
#[template(path = "profile.html")]
pub(crate) struct ProfilePage {
    /// Whether all issuing is forbidden until the settings are repaired.
    pub(crate) locked: bool,
    /// Whether a file of the organisation is in force.
    pub(crate) is_managed: bool,
    /// The organisation's name.
    pub(crate) organisation: Option<String>,
    /// Where people find help.
    pub(crate) support_url: Option<String>,
    /// More places the settings name.
    pub(crate) links: Vec<WebLink>,
    /// What does not count, `file:line: text`.
    pub(crate) faults: Vec<String>,
    /// What counts, but perhaps not as meant.
    pub(crate) remarks: Vec<String>,
    /// Accounts and everything that is there once.
    pub(crate) groups: Vec<Group>,
    /// Services.
    pub(crate) services: Vec<Group>,
    /// How many services are not listed.
    pub(crate) more_services: usize,
    /// The person's own file.
    pub(crate) own_file: String,
    /// Whether managed layers come from a test directory.
    pub(crate) test_policy: bool,
}

impl ProfilePage {
    fn support_link(&self) -> Option<&str> {
        super::support_link(self.support_url.as_deref())
    }
}
