//! Whether the screen is locked.
//!
//! Invariant: "unknown" is never told as "unlocked"; the caller decides what unknown means (the contract: it counts as
//! unlocked and `status` says so). Locked is told when any source says so, unlocked when one speaks and none says locked.
//! A bus that is absent, slow or hanging makes a source silent, never the caller wait; a lock that was told outlasts that
//! silence until the same source says otherwise or is really gone (`screen/hold.rs` says what that is).
//! Limit: a source says what the desktop told it. A desktop that tells neither logind nor a screen-saver interface when it
//! locks is not known to be locked, and a process of the same user can own a screen-saver name nobody else owns. What
//! happened while no bus could be reached is not learned later.

#[cfg(all(target_os = "linux", feature = "screen"))]
mod bus;
#[cfg(all(target_os = "linux", feature = "screen"))]
mod hold;
#[cfg(all(target_os = "linux", feature = "screen"))]
mod logind;
#[cfg(all(target_os = "linux", feature = "screen"))]
mod savers;

use std::sync::{Mutex, PoisonError};

/// What is known about the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// Locked: nobody can be asked.
    Locked,
    /// Unlocked.
    Unlocked,
    /// It cannot be told here.
    Unknown,
}

impl LockState {
    /// The word `status` shows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Unknown => "unknown",
        }
    }

    /// What sources say together: `Some(true)` is locked, `Some(false)` unlocked, `None` silent.
    fn together(said: &[Option<bool>]) -> Self {
        if said.contains(&Some(true)) {
            Self::Locked
        } else if said.contains(&Some(false)) {
            Self::Unlocked
        } else {
            Self::Unknown
        }
    }
}

/// Who says something about the screen.
#[derive(Debug, Clone, Copy)]
enum Place {
    Logind,
    Savers,
}

/// What each source last said, and who is told when that changes the whole.
struct Board<T> {
    said: Mutex<[Option<bool>; 2]>,
    tell: T,
}

impl<T: Fn(LockState)> Board<T> {
    fn new(tell: T) -> Self {
        Self { said: Mutex::default(), tell }
    }

    /// Notes what a source says; tells the state when it is another than before. Changes are told in their order.
    fn say(&self, place: Place, word: Option<bool>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = LockState::together(&*said);
        said[place as usize] = word;
        let now = LockState::together(&*said);
        if now != before {
            (self.tell)(now);
        }
    }
}

/// Calls `tell` with every change of the state, which is [`LockState::Unknown`] at first. Never returns; to be spawned on
/// a tokio runtime with input, output and time. It starts no thread; the buses are
/// asked when they signal something, and again while somebody does not answer.
#[cfg(all(target_os = "linux", feature = "screen"))]
pub async fn watch(tell: impl Fn(LockState) + Send + Sync) {
    let board = Board::new(tell);
    let mut logind = logind::Logind::default();
    let mut savers = savers::Savers::default();
    tokio::join!(
        bus::attend(&mut logind, |word| board.say(Place::Logind, word)),
        bus::attend(&mut savers, |word| board.say(Place::Savers, word)),
    );
}

/// Never tells anything: on this system the state is not known.
#[cfg(not(all(target_os = "linux", feature = "screen")))]
pub async fn watch(tell: impl Fn(LockState) + Send + Sync) {
    let board = Board::new(tell);
    board.say(Place::Logind, None);
    board.say(Place::Savers, None);
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_source_locks_one_that_speaks_unlocks_and_silence_is_unknown() {
        let (yes, no, silent) = (Some(true), Some(false), None);
        for (logind, savers, expected) in [
            (silent, silent, LockState::Unknown),
            (no, silent, LockState::Unlocked),
            (silent, no, LockState::Unlocked),
            (no, no, LockState::Unlocked),
            (yes, silent, LockState::Locked),
            (silent, yes, LockState::Locked),
            (yes, no, LockState::Locked),
            (no, yes, LockState::Locked),
            (yes, yes, LockState::Locked),
        ] {
            assert_eq!(LockState::together(&[logind, savers]), expected, "{logind:?} {savers:?}");
        }
    }

    #[test]
    fn each_change_is_told_once_and_in_order() {
        let told = Mutex::new(Vec::new());
        let board = Board::new(|state: LockState| told.lock().unwrap().push(state.word()));
        board.say(Place::Logind, None);
        board.say(Place::Logind, Some(false));
        board.say(Place::Savers, Some(false));
        board.say(Place::Savers, Some(true));
        board.say(Place::Logind, Some(true));
        // The bus of one is gone; the other still says so.
        board.say(Place::Savers, None);
        board.say(Place::Logind, Some(false));
        board.say(Place::Logind, None);
        assert_eq!(*told.lock().unwrap(), ["unlocked", "locked", "unlocked", "unknown"]);
    }
}
