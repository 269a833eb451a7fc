//! What the desktop's screen-saver interfaces say, for desktops that do not tell logind.
//!
//! A screen saver that is active counts as locked: whether it asks for a password is not told, and nobody is looking.
//! Invariant: each name is asked and believed by itself. One that does not answer delays the others by
//! [`super::bus::PATIENCE`] at most, takes nothing of what they said, and keeps the lock it told ([`super::hold`]).

use super::{
    bus::{LONGEST_PAUSE, Owners, Source, call, owner_changes, refused_or},
    hold::{ASK_AGAIN, Hold, Word},
};
use tokio::time::Instant;
use zbus::{Connection, connection::Builder, message::Message};

/// Names, which are their interfaces too.
const NAMES: [&str; 5] = [
    "org.freedesktop.ScreenSaver",
    "org.gnome.ScreenSaver",
    "org.cinnamon.ScreenSaver",
    "org.mate.ScreenSaver",
    "org.xfce.ScreenSaver",
];
/// Where they lie.
const PATHS: [&str; 5] = [
    "/org/freedesktop/ScreenSaver",
    "/org/gnome/ScreenSaver",
    "/org/cinnamon/ScreenSaver",
    "/org/mate/ScreenSaver",
    "/org/xfce/ScreenSaver",
];

/// The screen savers of the session bus.
#[derive(Default)]
pub(super) struct Savers {
    holds: [Hold; 5],
    again_at: Option<Instant>,
}

impl Savers {
    /// What they say together; when to ask again without a signal is noted.
    fn judge(&mut self, words: [Word; 5], now: Instant) -> Option<bool> {
        let mut said = None;
        self.again_at = words.contains(&Word::Silent).then(|| now + LONGEST_PAUSE);
        for (hold, word) in self.holds.iter_mut().zip(words) {
            if let Some(active) = hold.hear(word, now) {
                said = Some(said.unwrap_or(false) || active);
            }
            if hold.is_holding() {
                self.again_at = Some(now + ASK_AGAIN);
            }
        }
        said
    }
}

impl Source for Savers {
    fn bus() -> zbus::Result<Builder<'static>> {
        Builder::session()
    }

    fn names() -> &'static [&'static str] {
        &NAMES
    }

    fn matches() -> Vec<String> {
        let rules =
            |name: &str| [format!("type='signal',interface='{name}',member='ActiveChanged'"), owner_changes(name)];
        NAMES.into_iter().flat_map(rules).collect()
    }

    async fn read(&mut self, bus: &Connection, owners: &Owners) -> zbus::Result<Word> {
        let of = |index| ask(bus, owners, index);
        let words: [Word; 5] = tokio::join!(of(0), of(1), of(2), of(3), of(4)).into();
        Ok(Word::Says(self.judge(words, Instant::now())))
    }

    fn see(&mut self, _: &Message) {}

    fn again_at(&self) -> Option<Instant> {
        self.again_at
    }
}

async fn ask(bus: &Connection, owners: &Owners, index: usize) -> Word {
    let Some(owner) = owners.of(NAMES[index]) else { return Word::Gone };
    match refused_or(call(bus, owner, PATHS[index], NAMES[index], "GetActive", &()).await) {
        Ok(Some(answer)) => answer.body().deserialize::<bool>().map_or(Word::Silent, |active| Word::Says(Some(active))),
        // Some own the name for other reasons and do not know.
        Ok(None) => Word::Says(None),
        Err(_) => Word::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_answer_takes_nothing_of_what_the_others_say() {
        let (yes, no, gone, silent) = (Word::Says(Some(true)), Word::Says(Some(false)), Word::Gone, Word::Silent);
        let now = Instant::now();
        for (what, before, after, expected) in [
            ("another is active", [gone; 5], [silent, yes, gone, gone, gone], Some(true)),
            ("another is not", [gone; 5], [silent, no, gone, gone, gone], Some(false)),
            ("it was active", [yes, no, gone, gone, gone], [silent, no, gone, gone, gone], Some(true)),
            ("the active one left just now", [yes, no, gone, gone, gone], [gone, no, gone, gone, gone], Some(true)),
            ("it was not", [no, no, gone, gone, gone], [silent, no, gone, gone, gone], Some(false)),
            ("nobody else is there", [gone; 5], [silent, gone, gone, gone, gone], None),
        ] {
            let mut savers = Savers::default();
            savers.judge(before, now);
            assert_eq!(savers.judge(after, now), expected, "{what}");
            assert!(savers.again_at.is_some(), "{what}: it is asked again");
            assert_eq!(savers.judge([no; 5], now), Some(false), "{what}: all answer again");
            assert_eq!(savers.again_at, None, "{what}");
        }
    }
}
