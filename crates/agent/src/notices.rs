//! What people are told by notifications of the desktop.
//!
//! Invariant: what is so is looked at anew each time; each cause is told once for as long as it lasts, and taken back when
//! it is over. A notification approves nothing: acting on it brings a page before the person. What a program or an issuer
//! says about itself stands in quotes, on one line; no secret is in it.
//! Limit: without a notification service nobody is told; the pages, `daypass status` and the desktop say the same.

use crate::{accounts::Record, agent::Agent, store::lock, times, trip::printable};
use broker::{
    AccountName, Program, Refusal, Rules, Span, Timestamp,
    consent::{Question, State},
    ports::KeychainError,
};
use platform::notifications::Notification;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};
use tokio::sync::watch;

/// How long an issuer may be out of reach while a token is wanted of it before anybody is told.
const OUT_OF_REACH: Span = Span::minutes(10);
/// Most characters of a name that is not ours.
const LONGEST_NAME: usize = 60;

/// What is told now, and what programs could not have.
pub(crate) struct Notices {
    wanted: watch::Sender<Arc<[Notification]>>,
    missed: Mutex<HashMap<AccountName, Missed>>,
}

/// What programs were refused for want of a person or an issuer.
#[derive(Debug, Clone, Copy, Default)]
struct Missed {
    /// Nobody was signed in, or the issuer wanted the person, last at this time.
    sign_in: Option<Timestamp>,
    /// The issuer did not answer, first at this time.
    answer: Option<Timestamp>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { wanted: watch::channel(Arc::from([])).0, missed: Mutex::default() }
    }
}

/// Shows what is told until aborted.
pub(crate) async fn run(agent: Arc<Agent>) {
    let acted = |cause: &str| match cause.split_once('/') {
        Some(("consent", id)) if agent.consents.get(id).is_some_and(|question| question.state == State::Pending) => {
            agent.show_page(cause, &format!("/{cause}"));
        }
        _ => agent.show_page("home", "/"),
    };
    platform::notifications::serve(agent.told.wanted.subscribe(), acted).await;
}

/// A name that is not ours, in quotes.
fn quoted(name: &str) -> String {
    let name: String = printable(name).replace(['“', '”', '"'], "'");
    let count = name.chars().count();
    let short = if count <= LONGEST_NAME { name } else { name.chars().take(LONGEST_NAME - 1).chain(['…']).collect() };
    format!("“{}”", short.trim())
}

/// The name of a program's file; of a terminal that it is one.
fn program_name(program: &Program) -> String {
    match program {
        Program::Terminal { .. } => "A terminal window".to_owned(),
        program => quoted(&program.file().path.file_name().unwrap_or_default().to_string_lossy()),
    }
}

/// Whether one should be told that a sign-in ends: not further ahead than `ahead`, and when two thirds of its life are
/// gone, so that one that is renewed at half its life is never told of.
fn ends_soon(since: Timestamp, now: Timestamp, end: Timestamp, ahead: Span) -> bool {
    let (left, whole) = (now.until(end).as_seconds(), since.until(end).as_seconds());
    left > 0 && left <= ahead.as_seconds() && left * 3 <= whole
}

/// Whether an issuer has been out of reach since then for so long that one should be told.
fn is_long(since: Timestamp, now: Timestamp) -> bool {
    since.until(now) > OUT_OF_REACH
}

impl Agent {
    /// Remembers why a program got nothing, where a person could do something about it.
    pub(crate) fn note_refusal(&self, account: &AccountName, refusal: &Refusal) {
        let now = self.now();
        let mut missed = lock(&self.told.missed);
        match refusal {
            Refusal::LoginRequired(_) | Refusal::InteractionRequired(_) => {
                missed.entry(account.clone()).or_default().sign_in = Some(now);
            }
            Refusal::IssuerUnavailable(_) => {
                missed.entry(account.clone()).or_default().answer.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// Looks at what people should be told now.
    pub(crate) fn tend_notices(&self) {
        let rules = self.rules();
        let before = self.told.wanted.borrow().clone();
        let known = |cause: &str| before.iter().find(|notification| notification.cause == cause).cloned();
        let mut causes: BTreeMap<String, Notification> = BTreeMap::new();
        if rules.notifications.enabled {
            for (cause, notification) in self.causes(&rules) {
                // What was told stays as it was told.
                let told = known(&cause).unwrap_or(notification);
                causes.insert(cause, told);
            }
        }
        let wanted: Arc<[Notification]> = causes.into_values().collect();
        self.told.wanted.send_if_modified(|now| {
            let news = **now != *wanted;
            *now = wanted;
            news
        });
    }

    fn causes(&self, rules: &Rules) -> Vec<(String, Notification)> {
        let mut causes = Vec::new();
        let mut add = |cause: String, title: String, body: String, action: &str| {
            let notification = Notification { cause: cause.clone(), title, body, action: action.to_owned() };
            causes.push((cause, notification));
        };
        for question in self.consents.list().iter().filter(|q| q.state == State::Pending) {
            if self.consents.is_announced(&question.id) {
                add(format!("consent/{}", question.id), "A program wants a pass".to_owned(), asks(question), "Review");
            }
        }
        let now = self.now();
        let mut missed = lock(&self.told.missed);
        missed.retain(|name, _| rules.accounts.contains_key(name));
        for account in rules.accounts.values() {
            let name = &account.name;
            let shown = account.title.as_deref().map_or_else(|| quoted(name.as_str()), quoted);
            let entry = self.accounts.entry(name);
            let mut locked = false;
            let signed_in = match &*lock(&entry.record) {
                Record::SignedIn(sign_in) => Some((sign_in.signed_in_at, sign_in.refreshed_at)),
                Record::Unreadable(error) => {
                    locked = *error == KeychainError::Locked;
                    None
                }
                _ => None,
            };
            if locked {
                // One for all accounts.
                let body = "Daypass cannot read your sign-ins. Unlock the keychain; Daypass goes on by itself.";
                add("keychain".to_owned(), "Your keychain is locked".to_owned(), body.to_owned(), "Open Daypass");
                continue;
            }
            let lost = lock(&entry.ended_because).filter(|_| signed_in.is_none());
            let missed = missed.entry(name.clone()).or_default();
            let stands = |asked: Timestamp| signed_in.is_some_and(|(at, _)| at > asked);
            missed.sign_in = missed.sign_in.filter(|asked| !stands(*asked));
            if (lost.is_some() || missed.sign_in.is_some()) && !self.sign_ins.is_pending(name) {
                let why = match lost {
                    Some(why) => format!("Your sign-in to {shown} has ended: {why}."),
                    None => format!("A program wants a pass for {shown}, and needs you to sign in first."),
                };
                let body = format!("{why} Programs get no passes from it until you do.");
                add(format!("sign-in/{name}"), "Please sign in".to_owned(), body, "Open Daypass");
            }
            if let (Some((_, refreshed)), Some(end)) = (signed_in, self.sign_in_ends(name))
                && ends_soon(refreshed, now, end, rules.notifications.expiry_ahead)
            {
                let left = crate::pages::span_in_words(now.until(end).as_seconds());
                let body = format!(
                    "Your sign-in to {shown} ends at {}. Sign in again before that, and your programs go on.",
                    times::local_clock(end)
                );
                let cause = format!("expiry/{name}/{}", end.as_seconds());
                add(cause, format!("Your sign-in ends in {left}"), body, "Open Daypass");
            }
            let silent = lock(&entry.unreachable).is_some();
            missed.answer = missed.answer.filter(|_| silent);
            if missed.answer.is_some_and(|since| is_long(since, now)) {
                let body = format!(
                    "{shown} has not answered for a while, and a program wants a pass from it. Daypass keeps trying; \
                     check your network, or ask whoever runs it."
                );
                add(format!("unreachable/{name}"), "Your provider does not answer".to_owned(), body, "Open Daypass");
            }
        }
        causes
    }
}

/// What a question asks, in a sentence.
fn asks(question: &Question) -> String {
    let (program, service) = (program_name(&question.ask.program), quoted(question.ask.resource.as_str()));
    format!("{program} wants a pass for {service}. If you do nothing, it gets nothing.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_short_and_on_one_line() {
        assert_eq!(quoted("git"), "“git”");
        assert_eq!(quoted("a” says “<b>\u{202e}\nx"), "“a' says '<b>\u{fffd}\u{fffd}x”");
        assert_eq!(quoted(&"x".repeat(300)).chars().count(), LONGEST_NAME + 2);
    }

    #[test]
    fn an_issuer_may_be_silent_for_ten_minutes() {
        let at = Timestamp::from_seconds;
        for (seconds, told) in [(0, false), (600, false), (601, true), (-5, false)] {
            assert_eq!(is_long(at(1000), at(1000 + seconds)), told, "{seconds}");
        }
    }

    #[test]
    fn an_end_is_told_ahead_and_only_when_nothing_renewed_it() {
        let at = |minutes: i64| Timestamp::from_seconds(minutes * 60);
        let ahead = Span::minutes(30);
        for (since, now, end, told) in [
            (0, 0, 600, false),
            (0, 569, 600, false),
            (0, 570, 600, true),
            (0, 599, 600, true),
            (0, 600, 600, false),
            // Short lives are renewed at half; only what is left over is told of.
            (0, 10, 30, false),
            (0, 20, 30, true),
        ] {
            assert_eq!(ends_soon(at(since), at(now), at(end), ahead), told, "{since} {now} {end}");
        }
    }
}
