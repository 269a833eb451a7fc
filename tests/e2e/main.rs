//! The end-to-end tests, in one binary so that they link once.
//!
//! `offline` needs neither node nor a browser nor a keychain, `online` needs all three, `root_cases` needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly, its helpers too")]
#![allow(clippy::format_collect, reason = "plain to read, and speed does not matter here")]

mod offline;
mod online;
mod root_cases;
