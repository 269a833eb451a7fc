//! The menu of the tray: a pure function of what is known.
//!
//! Invariant: on Linux the menu is all a tray icon can say, so its first lines tell the whole state in words. Text that
//! comes from programs or profiles is one short line without control characters.

use crate::view::{Up, View};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use localapi::AccountStatus;
use serde::{Deserialize, Serialize};

/// Most accounts and open questions that get lines of their own.
const MOST_LINES: usize = 6;
/// Longest text of others, in characters.
const LONGEST: usize = 48;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Only words.
    Line(String),
    /// Something to do.
    Do(Action, String),
    /// More of it.
    Sub(String, Vec<Item>),
    /// A line between.
    Gap,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Opens a window on this page.
    Open(String),
    /// Begins a sign-in in the browser.
    SignIn(String),
    SignOut(String),
    /// Pauses for so many seconds.
    Pause(u32),
    Resume,
    /// Opens a link in the browser.
    Link(String),
    /// Looks for the agent again, at once.
    Retry,
    Quit,
}

impl Action {
    /// As the name of an entry, which comes back when it is clicked: what is done is what was shown.
    pub(crate) fn id(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The action of that name.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        serde_json::from_str(id).ok()
    }
}

/// The menu, at a time and place.
pub(crate) fn menu(view: &View, now: Timestamp, zone: &TimeZone) -> Vec<Item> {
    let clock = Clock { now, zone };
    let mut items = match view {
        View::Starting => vec![Item::Line("Starting…".to_owned())],
        View::Down(why) => vec![
            Item::Line("Daypass is not running".to_owned()),
            Item::Line(plain(why, 90)),
            Item::Do(Action::Retry, "Start it again".to_owned()),
        ],
        View::Up(up) => clock.up(up),
    };
    items.push(Item::Gap);
    items.push(Item::Do(Action::Quit, "Quit".to_owned()));
    items
}

struct Clock<'a> {
    now: Timestamp,
    zone: &'a TimeZone,
}

impl Clock<'_> {
    fn up(&self, up: &Up) -> Vec<Item> {
        let status = &up.status;
        let mut items = Vec::new();
        if status.accounts.is_empty() {
            items.push(Item::Line("No account is set up yet".to_owned()));
        }
        items.extend(status.accounts.iter().take(MOST_LINES).map(|account| Item::Line(self.account(account))));
        if status.profile.state == "locked" {
            items.push(Item::Line("The settings from IT cannot be read: nothing is handed out".to_owned()));
        }
        if let Some(until) = &status.paused_until {
            let until = self.until(until).map_or_else(String::new, |until| format!(" {until}"));
            items.push(Item::Line(format!("Paused{until}: nothing is handed out")));
            items.push(Item::Do(Action::Resume, "Resume".to_owned()));
        }
        if !up.requests.is_empty() {
            items.push(Item::Gap);
        }
        for request in up.requests.iter().take(MOST_LINES) {
            let words = format!("Answer: {} wants {}…", short(&request.program), short(&request.resource));
            items.push(Item::Do(Action::Open(format!("consent/{}", request.id)), words));
        }
        items.push(Item::Gap);
        items.push(Item::Do(Action::Open("home".to_owned()), "Open Daypass".to_owned()));
        for account in status.accounts.iter().take(MOST_LINES) {
            let name = short(&account.name);
            items.extend(match account.state.as_str() {
                "sign_in_required" => {
                    Some(Item::Do(Action::SignIn(account.name.clone()), format!("Sign in to {name}")))
                }
                "signing_in" => {
                    Some(Item::Do(Action::SignIn(account.name.clone()), format!("Sign in to {name} again")))
                }
                "signed_in" | "unreachable" => {
                    Some(Item::Do(Action::SignOut(account.name.clone()), format!("Sign out of {name}")))
                }
                _ => None,
            });
        }
        items.push(Item::Sub("Recent passes".to_owned(), self.recent(up)));
        if status.paused_until.is_none() {
            let pauses = [(3600, "For an hour"), (4 * 3600, "For 4 hours"), (24 * 3600, "For a day")];
            let pauses = pauses.map(|(seconds, words)| Item::Do(Action::Pause(seconds), words.to_owned()));
            items.push(Item::Sub("Pause".to_owned(), pauses.to_vec()));
        }
        let links = status.desktop.links.iter().take(8);
        let mut links: Vec<_> =
            links.map(|link| Item::Do(Action::Link(link.address.clone()), short(&link.label))).collect();
        if let Some(address) = &status.profile.support_url {
            let from = status.profile.name.as_ref().map_or_else(String::new, |name| format!(" from {}", short(name)));
            links.push(Item::Do(Action::Link(address.clone()), format!("Get help{from}")));
        }
        if !links.is_empty() {
            items.push(Item::Gap);
            items.append(&mut links);
        }
        items
    }

    fn account(&self, account: &AccountStatus) -> String {
        let name = short(&account.name);
        let who = account.display_name.as_ref().or(account.subject.as_ref());
        let who = who.map_or_else(|| name.clone(), |who| format!("{} · {name}", short(who)));
        let state = match account.state.as_str() {
            "signed_in" => match account.ends_at.as_ref().and_then(|end| self.until(end)) {
                Some(until) => format!("signed in {until}"),
                None => "signed in".to_owned(),
            },
            "sign_in_required" => "not signed in".to_owned(),
            "signing_in" => "go on in your browser".to_owned(),
            "unreachable" => format!("offline, {} does not answer", short(host(&account.issuer))),
            "keychain_locked" => "the keychain is locked".to_owned(),
            "keychain_unavailable" => "the keychain does not answer".to_owned(),
            other => short(other),
        };
        format!("{who}: {state}")
    }

    fn recent(&self, up: &Up) -> Vec<Item> {
        let given = up.recent.0.iter();
        let mut items: Vec<_> = given
            .map(|given| {
                let at = self.clock(&given.at.to_zoned(self.zone.clone()));
                Item::Line(format!("{} for {}, {at}", short(&given.resource), short(&given.program)))
            })
            .collect();
        if items.is_empty() {
            items.push(Item::Line("None yet".to_owned()));
        }
        items.push(Item::Gap);
        items.push(Item::Do(Action::Open("activity".to_owned()), "Everything".to_owned()));
        items
    }

    /// `for 40 more minutes`, `until 21:40`, `until Tue 21:40`, `until 3 December`.
    fn until(&self, time: &str) -> Option<String> {
        let time: Timestamp = time.parse().ok()?;
        let left = time.as_second() - self.now.as_second();
        if left <= 0 {
            return None;
        }
        let minutes = (left + 59) / 60;
        Some(match minutes {
            1 => "for one more minute".to_owned(),
            2..60 => format!("for {minutes} more minutes"),
            _ => format!("until {}", self.clock(&time.to_zoned(self.zone.clone()))),
        })
    }

    /// A time of day, with as much of the date as is needed.
    fn clock(&self, time: &Zoned) -> String {
        let today = self.now.to_zoned(self.zone.clone());
        let far = (time.timestamp().as_second() - self.now.as_second()).abs() >= 6 * 86_400;
        let format = match (time.date() == today.date(), far) {
            (true, _) => "%H:%M",
            (false, false) => "%a %H:%M",
            (false, true) => "%-d %B",
        };
        time.strftime(format).to_string()
    }
}

fn host(issuer: &str) -> &str {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// A path's last part, or the text itself; one short line.
fn short(text: &str) -> String {
    let last = if text.starts_with('/') { text.rsplit('/').find(|part| !part.is_empty()) } else { None };
    plain(last.unwrap_or(text), LONGEST)
}

/// One line of at most so many characters, without anything that could pretend to be more than text.
fn plain(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut line: String = text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
