//! A pause: a person wants peace, so nothing is issued and nobody is asked until a time or until it is taken back.
//!
//! Invariant: once the pause has been told, no token leaves and no question opens or is answered with yes before its end.
//! It lasts a day at most and as long as this agent: another one starts without it. Sign-ins are kept fresh meanwhile.
//! Limit: it is peace, not protection: any program of the user may run `daypass resume`, and the audit log says so.

use crate::{
    agent::Agent,
    store::{AuditEntry, lock},
    times,
};
use broker::{Refusal, Span, Timestamp};
use std::sync::Mutex;

/// Longest pause.
pub(crate) const LONGEST: Span = Span::hours(24);

/// Until when everything is paused, if it is.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Option<Timestamp>>);

impl Pause {
    pub(crate) fn begin(&self, until: Timestamp) {
        *lock(&self.0) = Some(until);
    }
}

impl Agent {
    /// Until when everything is paused, if it is now.
    pub(crate) fn paused_until(&self) -> Option<Timestamp> {
        let now = self.now();
        lock(&self.pause.0).filter(|until| now < *until)
    }

    /// What every request is answered while it is paused.
    pub(crate) fn paused(&self) -> Option<Refusal> {
        let until = self.paused_until()?;
        Some(Refusal::ConsentUnavailable(format!("Daypass is paused until {}", times::local_clock(until))))
    }

    /// Pauses everything for `span`, a day at most; open questions end. Returns the end.
    pub(crate) fn pause(&self, span: Span, via: &str, program: Option<String>) -> Timestamp {
        let until = self.now() + span.min(LONGEST);
        self.pause.begin(until);
        self.turns.next();
        self.end_questions("consent_unavailable", |_| true);
        self.log_pause("pause.begun", &format!("{via}, {}", span.min(LONGEST)), program);
        until
    }

    /// Ends the pause; nothing to do when there is none.
    pub(crate) fn resume(&self, via: &str, program: Option<String>) {
        if lock(&self.pause.0).take().is_some() {
            self.log_pause("pause.ended", via, program);
        }
    }

    /// Ends a pause whose time is over.
    pub(crate) fn tidy_pause(&self) {
        let now = self.now();
        let over = lock(&self.pause.0).take_if(|until| now >= *until).is_some();
        if over {
            self.log_pause("pause.ended", "time", None);
        }
    }

    fn log_pause(&self, event: &'static str, via: &str, program: Option<String>) {
        self.log(AuditEntry {
            event,
            code: "ok".to_owned(),
            program,
            via: Some(via.to_owned()),
            ..AuditEntry::default()
        });
        self.changed("status");
    }
}
