//! The screen's lock: what is known of it, and what locking it ends.
//!
//! Invariants: the state is read without waiting, on the way of every token. When locking has been told, nothing it ends
//! yields a token any more, and each of those has one line in the audit log. An answer that is being taken at that moment
//! either sees the lock, or what it gave is ended by it.
//! Limit: an agent that was not running when the screen was locked does not know of it; unknown counts as unlocked.

use crate::agent::Agent;
use broker::{Authority, ends_on_lock};
use platform::screen::LockState;
use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

const STATES: [LockState; 3] = [LockState::Unknown, LockState::Unlocked, LockState::Locked];

/// What is known of the screen; unknown at first.
#[derive(Debug, Default)]
pub(crate) struct Screen(AtomicU8);

impl Screen {
    /// The state.
    pub(crate) fn state(&self) -> LockState {
        STATES[usize::from(self.0.load(Ordering::SeqCst)) % STATES.len()]
    }

    /// Whether it is known to be locked; unknown counts as unlocked.
    pub(crate) fn is_locked(&self) -> bool {
        self.state() == LockState::Locked
    }

    /// Notes another state; false when it is the one before.
    pub(crate) fn becomes(&self, state: LockState) -> bool {
        let number = match state {
            LockState::Unknown => 0,
            LockState::Unlocked => 1,
            LockState::Locked => 2,
        };
        self.0.swap(number, Ordering::SeqCst) != number
    }
}

/// Counts locks, pauses and blocks: a trip that sees another number at its end than when its answer was spent knows that
/// one came in between, even if it is over.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU64);

impl Turns {
    /// The number now.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// One more. To be called when its state is set, so that whoever sees the old number sees that state or came before.
    pub(crate) fn next(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether what was given in one turn is over in another: a `once`, which nothing else can take back, and whatever is
/// sensitive. Grants end by themselves, and what IT lists begins again when the state is over.
pub(crate) fn is_over(authority: &Authority, sensitive: bool, turn: u64, now: u64) -> bool {
    (sensitive || matches!(authority, Authority::Once(_))) && turn != now
}

/// Follows the screen until aborted.
pub(crate) async fn watch(agent: Arc<Agent>) {
    platform::screen::watch(|state| agent.screen_is(state)).await;
}

impl Agent {
    /// The screen is in this state now.
    pub(crate) fn screen_is(&self, state: LockState) {
        if !self.screen.becomes(state) {
            return;
        }
        tracing::info!(state = state.word(), "the screen's lock");
        if state == LockState::Locked {
            self.turns.next();
            self.end_by_lock();
        }
        self.changed("status");
    }

    /// Questions first: whoever was about to answer one has its table in hand, and what that gave is there afterwards.
    fn end_by_lock(&self) {
        let rules = self.rules();
        self.end_questions("consent_gone", |question| ends_on_lock(&rules, &question.ask.resource, None));
        let over = |grant: &broker::Grant| ends_on_lock(&rules, &grant.resource, Some(grant.choice));
        if let Err(error) = self.revoke_grants("grant.ended", over) {
            tracing::error!(
                error = error.0.error_description,
                "permissions that locking the screen ends could not be ended on the disk"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_lock_counts() {
        let screen = Screen::default();
        assert_eq!((screen.state(), screen.is_locked()), (LockState::Unknown, false));
        for (state, news, locked) in [
            (LockState::Unknown, false, false),
            (LockState::Unlocked, true, false),
            (LockState::Locked, true, true),
            (LockState::Locked, false, true),
            (LockState::Unknown, true, false),
        ] {
            assert_eq!(screen.becomes(state), news, "{state:?}");
            assert_eq!((screen.state(), screen.is_locked()), (state, locked));
        }
    }
}
