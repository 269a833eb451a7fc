//! How long a lock counts that nobody tells any more.
//!
//! Invariant: what was told as locked ends only by another word of the same source, or when the source is really gone: for
//! [`GONE_FOR`] together its bus has said that nobody owns the name, or nothing has listened at the address of the bus. A
//! source that is there and does not answer keeps the lock, [`LONGEST`] at most, so that nobody is locked out for ever.
//! Limit: an agent that is started anew remembers nothing, and time in which the machine sleeps does not count.

use std::time::Duration;
use tokio::time::Instant;

/// How long a source must have been gone before its lock is forgotten: longer than a restart of logind or of its bus takes.
pub(super) const GONE_FOR: Duration = Duration::from_secs(20);
/// How long a lock outlasts a source that does not answer: as long as the longest permission for today.
pub(super) const LONGEST: Duration = Duration::from_hours(12);
/// When to ask again meanwhile, and how long to wait before the bus is tried again.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It answered: locked, unlocked, or nothing to say.
    Says(Option<bool>),
    /// There is no such source: nobody owns the name, or there is no bus.
    Gone,
    /// No answer, or none that can be read.
    Silent,
}

/// What counts of one source.
#[derive(Debug, Default)]
pub(super) struct Hold {
    locked: bool,
    /// Since when it has not answered.
    quiet_since: Option<Instant>,
    /// Since when it has been gone without a break.
    gone_since: Option<Instant>,
}

impl Hold {
    /// What counts after this word: locked, unlocked, or nothing.
    pub(super) fn hear(&mut self, word: Word, now: Instant) -> Option<bool> {
        if let Word::Says(said) = word {
            *self = Self { locked: said == Some(true), ..Self::default() };
            return said;
        }
        if !self.locked {
            return None;
        }
        let quiet_since = *self.quiet_since.get_or_insert(now);
        let gone_since = match word {
            Word::Gone => Some(*self.gone_since.get_or_insert(now)),
            _ => self.gone_since.take().and(None),
        };
        let is_over = gone_since.is_some_and(|since| now >= since + GONE_FOR) || now >= quiet_since + LONGEST;
        if is_over {
            *self = Self::default();
        }
        self.locked.then_some(true)
    }

    /// Whether a lock counts that the source does not tell now.
    pub(super) fn is_holding(&self) -> bool {
        self.quiet_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_outlasts_silence_and_ends_with_a_word_or_when_its_source_is_really_gone() {
        const LOCKED: Option<bool> = Some(true);
        let (yes, no, nothing) = (Word::Says(LOCKED), Word::Says(Some(false)), Word::Says(None));
        let (gone, silent) = (Word::Gone, Word::Silent);
        for (what, words) in [
            ("a call that failed", vec![(0, yes, LOCKED), (5, silent, LOCKED), (9, yes, LOCKED), (9, no, Some(false))]),
            ("logind restarts", vec![(0, yes, LOCKED), (1, gone, LOCKED), (3, no, Some(false)), (4, gone, None)]),
            ("logind restarts, still locked", vec![(0, yes, LOCKED), (1, gone, LOCKED), (3, yes, LOCKED)]),
            ("gone for good", vec![(0, yes, LOCKED), (1, gone, LOCKED), (20, gone, LOCKED), (21, gone, None)]),
            (
                "gone, but not without a break",
                vec![(0, yes, LOCKED), (1, gone, LOCKED), (15, silent, LOCKED), (22, gone, LOCKED), (42, gone, None)],
            ),
            ("silent", vec![(0, yes, LOCKED), (1, silent, LOCKED), (43_200, silent, LOCKED), (43_201, silent, None)]),
            (
                "and then gone",
                vec![(0, yes, LOCKED), (1, silent, LOCKED), (43_201, gone, None), (43_202, silent, None)],
            ),
            ("nothing to say any more", vec![(0, yes, LOCKED), (1, nothing, None), (2, silent, None)]),
            ("it was not locked", vec![(0, silent, None), (1, no, Some(false)), (2, silent, None), (3, gone, None)]),
        ] {
            let (begin, mut hold) = (Instant::now(), Hold::default());
            for (second, word, expected) in words {
                let now = begin + Duration::from_secs(second);
                assert_eq!(hold.hear(word, now), expected, "{what}: {word:?} at {second}");
                let answered = matches!(word, Word::Says(_));
                assert_eq!(hold.is_holding(), expected == LOCKED && !answered, "{what}: {word:?} at {second}");
            }
        }
    }
}
