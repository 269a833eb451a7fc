//! One program's page: what it may do, what it got lately, and how to stop it.
//!
//! Limit: a program is named by what people are shown of it, the path of its file; another file at that path is shown here too.

use super::{ActivityRow, GrantRow, Long, PageText, Shape, When};
use askama::Template;

/// Whether a program is blocked, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may ask.
    Free,
    /// It is blocked: the block's name, and since when.
    Blocked(String, When),
    /// What is shown of it does not name one file, so that it cannot be blocked here.
    Unclear,
}

/// `GET /program/{key}`.
#[derive(Debug, Clone, Template)]
#[template(path = "program.html")]
pub(crate) struct ProgramPage {
    /// Token for the forms on this page.
    pub(crate) page_token: String,
    /// What the last action did, one sentence.
    pub(crate) said: Option<String>,
    /// The end of this page's address.
    pub(crate) key: String,
    /// Its name: [`Long::name`].
    pub(crate) name: Long,
    /// What is shown of it: [`Long::path`].
    pub(crate) path: Long,
    /// Whether it is blocked.
    pub(crate) standing: Standing,
    /// What it may have without asking, newest first.
    pub(crate) grants: Vec<GrantRow>,
    /// Services the settings give to it without asking.
    pub(crate) by_settings: Vec<String>,
    /// What it did lately, newest first.
    pub(crate) rows: Vec<ActivityRow>,
    /// All of it: an address of ours.
    pub(crate) all: String,
}
