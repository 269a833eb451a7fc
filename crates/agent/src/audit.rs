//! The audit log over time: anchored in the keychain, freed of what is too old, copied to the system's logs.
//!
//! Invariant: nothing here is on the way of a token, and nothing here is lost for good by an end at any moment: what was not
//! done is done by the next run. Writing, reading and proving the log itself is [`crate::store`]'s.

mod anchor;
mod export;
mod retention;

pub(crate) use export::{Exports, Standing};

use crate::store::lock;
use std::{path::PathBuf, sync::Mutex};

/// What looking after the log remembers.
pub(crate) struct Audit {
    /// Held by whoever anchors the log, takes lines out of it or proves it, so that none sees half of another's work.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// The way to the system's logs.
    pub(crate) exports: Exports,
    /// Why lines that are too old are still there.
    stuck: Mutex<Option<String>>,
}

impl Audit {
    /// With the directory of the test policy, where there is one, and the newest line there was when the log was opened.
    pub(crate) fn new(test_dir: Option<PathBuf>, newest: i64) -> Self {
        Self { turn: tokio::sync::Mutex::default(), exports: Exports::new(test_dir, newest), stuck: Mutex::default() }
    }

    /// Why lines that are too old are still there.
    pub(crate) fn stuck(&self) -> Option<String> {
        lock(&self.stuck).clone()
    }
}

#[cfg(test)]
mod tests;
