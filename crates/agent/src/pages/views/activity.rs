//! The activity page: who got what.
//!
//! Limit: a list is as old as its page, and of a long log the newest part.

use super::{Long, PageText, Pager, Shape, Tone, When};
use askama::Template;

/// One audit line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActivityRow {
    /// When: "4 minutes ago".
    pub(crate) time: When,
    /// What happened: [`event_in_words`].
    pub(crate) what: String,
    /// How it went.
    pub(crate) outcome: Tone,
    /// Why, where it did not go well: [`why_in_words`].
    pub(crate) why: Option<String>,
    /// The program: [`Long::path`].
    pub(crate) program: Option<Long>,
    /// The program's own page: the end of its address.
    pub(crate) key: Option<String>,
    /// The service.
    pub(crate) service: Option<String>,
    /// The account.
    pub(crate) account: Option<String>,
}

/// One value a list can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    /// What the form sends.
    pub(crate) value: String,
    /// What it says.
    pub(crate) words: String,
    /// Whether the list is filtered by it now.
    pub(crate) chosen: bool,
}

/// One hour of the timeline, in the drawing's own units: given passes stand on the middle line, refused ones hang from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Left edge.
    pub(crate) x: usize,
    /// Height above the line.
    pub(crate) up: usize,
    /// Height below it.
    pub(crate) down: usize,
}

/// Passes of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// One for each hour with something in it, oldest first.
    bars: Vec<Bar>,
    /// How many were given.
    given: usize,
    /// How many were refused.
    refused: usize,
}

impl Timeline {
    const HOURS: usize = 24;
    const TALLEST: usize = 20;

    /// From how many hours ago each pass was given (`true`) or refused; `None` when nothing happened in a day.
    pub(crate) fn new(passes: impl Iterator<Item = (usize, bool)>) -> Option<Self> {
        let mut hours = [(0_usize, 0_usize); Self::HOURS];
        for (ago, given) in passes {
            if let Some(hour) = Self::HOURS.checked_sub(ago + 1).and_then(|at| hours.get_mut(at)) {
                if given { hour.0 += 1 } else { hour.1 += 1 }
            }
        }
        let most = hours.iter().map(|(up, down)| *up.max(down)).max().filter(|most| *most > 0)?;
        // Whatever happened can be seen.
        let height = |count: usize| (count * Self::TALLEST).div_ceil(most);
        let bars = hours.iter().enumerate().filter(|(_, (up, down))| up + down > 0);
        Some(Self {
            bars: bars.map(|(at, (up, down))| Bar { x: at * 10 + 1, up: height(*up), down: height(*down) }).collect(),
            given: hours.iter().map(|(up, _)| up).sum(),
            refused: hours.iter().map(|(_, down)| down).sum(),
        })
    }

    /// The same in words.
    pub(crate) fn words(&self) -> String {
        let passes = if self.given == 1 { "pass" } else { "passes" };
        format!(
            "In the last 24 hours: {} {passes} given (above the line), {} refused (below it).",
            self.given, self.refused
        )
    }
}

/// `GET /activity?q=…&program=…&service=…&outcome=…`.
#[derive(Debug, Clone, Template)]
#[template(path = "activity.html")]
pub(crate) struct ActivityPage {
    /// Words the list is filtered by; empty = everything.
    pub(crate) query: String,
    /// Programs to choose from, at most 100.
    pub(crate) programs: Vec<Pick>,
    /// Services to choose from, at most 100.
    pub(crate) services: Vec<Pick>,
    /// Outcomes to choose from.
    pub(crate) outcomes: Vec<Pick>,
    /// The last 24 hours of what the filter leaves.
    pub(crate) timeline: Option<Timeline>,
    /// One page of it, newest first.
    pub(crate) rows: Vec<ActivityRow>,
    /// Which page, of how many lines that fit.
    pub(crate) pager: Pager,
    /// Whether there are older lines than those that were looked at.
    pub(crate) more: bool,
}

impl ActivityPage {
    /// Whether the list shows less than everything.
    fn is_filtered(&self) -> bool {
        let picks = [&self.programs, &self.services, &self.outcomes];
        !self.query.is_empty() || picks.into_iter().flatten().any(|pick| pick.chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_shows_what_happened_within_a_day_and_nothing_else() {
        let passes = [(0, true), (0, true), (0, false), (23, false), (24, true), (900, false)];
        let timeline = Timeline::new(passes.into_iter()).unwrap();
        assert_eq!(timeline.bars, [Bar { x: 1, up: 0, down: 10 }, Bar { x: 231, up: 20, down: 10 }]);
        assert!(timeline.words().contains("2 passes given (above the line), 2 refused"), "{}", timeline.words());
        assert_eq!(Timeline::new([(24, true)].into_iter()), None);
        let uneven = Timeline::new((0..1000).map(|_| (3, true)).chain([(5, false)])).unwrap();
        assert_eq!(uneven.bars[0].down, 1, "one among many is still seen");
    }
}
