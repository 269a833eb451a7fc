//! The open questions: one state machine for everything that can happen between a question and its answer.
//!
//! Invariant: a question leaves `Pending` exactly once. Whoever asks is told through [`Table::outcome`] or
//! [`Table::claim`]; an answer spent once is gone. The table knows no clock: every call brings the time.
//! It does not check who answers; that is done before [`Table::answer`] is called.

use crate::{
    grant::{Choice, ProgramKey},
    peer::{Peer, ProcessInstance, Program},
    refusal::Refusal,
    words::{AccountName, ResourceName, ScopeSet, Span, Timestamp},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long a parked question stays open, and how long an answer waits to be fetched.
pub const PARKED: Span = Span::seconds(120);
/// No second window for a program within this time after one was left unanswered.
pub const WINDOW_PAUSE: Span = Span::minutes(15);
const MOST_PER_PROGRAM: usize = 10;
const MOST_AT_ALL: usize = 200;
const FIRST_BACK_OFF: i64 = 10;
const LONGEST_BACK_OFF: i64 = 15 * 60;

/// Where a question belongs besides its program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// Held on a connection: it belongs to the callers waiting on it.
    Held,
    /// Parked by a program on the user socket: the leader of its session.
    Leader(Option<ProcessInstance>),
    /// Parked over TCP: the cookie session (its hash).
    Session(String),
}

/// Names a caller that waits on its connection.
pub type Waiter = u64;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks, as identified.
    pub peer: Peer,
    /// The program.
    pub program: Program,
    /// Where it belongs.
    pub anchor: Anchor,
    /// Account it draws on.
    pub account: AccountName,
    /// Resource.
    pub resource: ResourceName,
    /// Scopes.
    pub scopes: ScopeSet,
    /// What the program calls itself; unverified.
    pub says_it_is: Option<String>,
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered.
    Pending,
    /// Answered.
    Answered(Choice),
    /// Nobody answered in time.
    Expired,
    /// The program or its last connection ended.
    Gone,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its name; never a capability.
    pub id: String,
    /// What is asked, by whom.
    pub ask: Ask,
    /// The program's key.
    pub key: ProgramKey,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends unanswered.
    pub expires: Timestamp,
    /// Where it stands.
    pub state: State,
    /// How it was answered (`page`, `terminal`).
    pub via: Option<&'static str>,
    /// Callers waiting on their connections.
    waiters: BTreeSet<Waiter>,
    /// Waiters that were there when the answer `once` was given, and parked callers: each may take one token.
    once: BTreeSet<Waiter>,
    /// Whether a parked caller may take one token.
    once_parked: bool,
}

impl Question {
    /// The answers that may be given.
    pub fn choices(&self, sensitive: bool) -> Vec<Choice> {
        let mut choices = vec![Choice::Deny, Choice::Once];
        if self.ask.program.may_hold_today() {
            choices.push(Choice::Today);
        }
        if self.ask.program.may_hold_always() && !sensitive {
            choices.push(Choice::Always);
        }
        choices
    }

    /// How many calls wait on it now.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }
}

/// What came of opening a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub id: String,
    /// Whether it is new (audited, announced), or joined one that was open already.
    pub fresh: bool,
    /// Whether a window should be opened for it.
    pub window: bool,
    /// When it ends unanswered.
    pub expires: Timestamp,
}

/// What a caller finds when it looks at its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Still open.
    Pending,
    /// A yes. `Once` has been spent by looking.
    Yes(Choice, &'static str),
    /// A no.
    Denied,
    /// Over without an answer.
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct BackOff {
    until: Timestamp,
    step: i64,
}

/// Why an answer was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// There is no such question.
    #[error("there is no such question")]
    Unknown,
    /// It was answered or is over.
    #[error("the question is over")]
    Over(State),
    /// This program cannot be given that answer.
    #[error("this program cannot be given that answer")]
    NotPossible,
}

/// All questions.
#[derive(Debug, Default)]
pub struct Table {
    questions: BTreeMap<String, Question>,
    back_off: HashMap<(ProgramKey, ResourceName), BackOff>,
    window_pause: HashMap<ProgramKey, Timestamp>,
    next_waiter: Waiter,
}

impl Table {
    /// Opens a question or joins the open one of the same program for the same thing.
    ///
    /// `fresh_id` names it if it is new; `wait` is how long a held caller waits.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] while the program backs off after a no, or has too many questions open.
    pub fn open(
        &mut self,
        ask: Ask,
        fresh_id: String,
        wait: Option<Span>,
        now: Timestamp,
    ) -> Result<(Opened, Waiter), Refusal> {
        self.tidy(now);
        let key = ask.program.key();
        if let Some(back_off) = self.back_off.get(&(key.clone(), ask.resource.clone()))
            && now < back_off.until
        {
            return Err(Refusal::RateLimited { retry_after: now.until(back_off.until).max(Span::seconds(1)) });
        }
        self.next_waiter += 1;
        let waiter = self.next_waiter;
        let span = wait.unwrap_or(PARKED).min(PARKED);
        let joined = self.questions.values_mut().find(|q| {
            q.state == State::Pending
                && q.key == key
                && q.ask.anchor == ask.anchor
                && q.ask.account == ask.account
                && q.ask.resource == ask.resource
                && q.ask.scopes == ask.scopes
        });
        if let Some(question) = joined {
            if wait.is_some() {
                question.waiters.insert(waiter);
                question.expires = question.expires.max(now + span);
            }
            let (id, expires) = (question.id.clone(), question.expires);
            return Ok((Opened { id, fresh: false, window: false, expires }, waiter));
        }
        let open_now = |q: &&Question| q.state == State::Pending;
        if self.questions.values().filter(open_now).count() >= MOST_AT_ALL
            || self.questions.values().filter(open_now).filter(|q| q.key == key).count() >= MOST_PER_PROGRAM
        {
            return Err(Refusal::RateLimited { retry_after: PARKED });
        }
        let window = self.window_pause.get(&key).is_none_or(|until| now >= *until)
            && !self.questions.values().any(|q| q.state == State::Pending && q.key == key);
        let question = Question {
            id: fresh_id.clone(),
            key,
            opened: now,
            expires: now + span,
            state: State::Pending,
            via: None,
            waiters: wait.map(|_| waiter).into_iter().collect(),
            once: BTreeSet::new(),
            once_parked: false,
            ask,
        };
        let expires = question.expires;
        self.questions.insert(fresh_id.clone(), question);
        Ok((Opened { id: fresh_id, fresh: true, window, expires }, waiter))
    }

    /// Answers a question. The first answer wins.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn answer(
        &mut self,
        id: &str,
        choice: Choice,
        sensitive: bool,
        via: &'static str,
        now: Timestamp,
    ) -> Result<&Question, AnswerError> {
        self.tidy(now);
        let question = self.questions.get_mut(id).ok_or(AnswerError::Unknown)?;
        if question.state != State::Pending {
            return Err(AnswerError::Over(question.state));
        }
        if !question.choices(sensitive).contains(&choice) {
            return Err(AnswerError::NotPossible);
        }
        question.state = State::Answered(choice);
        question.via = Some(via);
        question.expires = now + PARKED;
        question.once.clone_from(&question.waiters);
        question.once_parked = question.ask.anchor != Anchor::Held;
        let back_off_key = (question.key.clone(), question.ask.resource.clone());
        self.window_pause.remove(&back_off_key.0);
        if choice == Choice::Deny {
            let step = self.back_off.get(&back_off_key).map_or(FIRST_BACK_OFF, |b| (b.step * 2).min(LONGEST_BACK_OFF));
            self.back_off.insert(back_off_key, BackOff { until: now + Span::seconds(step), step });
        } else {
            self.back_off.remove(&back_off_key);
        }
        Ok(&self.questions[id])
    }

    /// Looks at a held caller's question; spends a `once`.
    pub fn outcome(&mut self, id: &str, waiter: Waiter, now: Timestamp) -> Outcome {
        self.tidy(now);
        let Some(question) = self.questions.get_mut(id) else { return Outcome::Gone };
        match question.state {
            State::Pending => Outcome::Pending,
            State::Answered(Choice::Deny) => Outcome::Denied,
            State::Answered(Choice::Once) if !question.once.remove(&waiter) => Outcome::Gone,
            State::Answered(choice) => Outcome::Yes(choice, question.via.unwrap_or("page")),
            State::Expired | State::Gone => Outcome::Gone,
        }
    }

    /// Looks for the answer to a parked question when its program comes back; spends a `once` or a `deny`.
    pub fn claim(&mut self, ask: &Ask, now: Timestamp) -> Option<(String, Outcome)> {
        self.tidy(now);
        let key = ask.program.key();
        let id = self
            .questions
            .values()
            .find(|q| {
                matches!(q.state, State::Answered(Choice::Once | Choice::Deny))
                    && q.once_parked
                    && q.key == key
                    && q.ask.anchor == ask.anchor
                    && q.ask.account == ask.account
                    && q.ask.resource == ask.resource
                    && ask.scopes.is_subset(&q.ask.scopes)
            })
            .map(|q| q.id.clone())?;
        let question = self.questions.get_mut(&id)?;
        question.once_parked = false;
        let outcome = match question.state {
            State::Answered(Choice::Deny) => Outcome::Denied,
            State::Answered(choice) => Outcome::Yes(choice, question.via.unwrap_or("page")),
            _ => Outcome::Pending,
        };
        Some((id, outcome))
    }

    /// A held caller is gone. Without another one its question is over; returns it then.
    pub fn leave(&mut self, id: &str, waiter: Waiter, now: Timestamp) -> Option<Question> {
        let question = self.questions.get_mut(id)?;
        question.waiters.remove(&waiter);
        question.once.remove(&waiter);
        if question.state == State::Pending && question.waiters.is_empty() && question.ask.anchor == Anchor::Held {
            question.state = State::Gone;
            question.expires = now + PARKED;
            return Some(question.clone());
        }
        None
    }

    /// Ends every open question for which `over` holds (sign-out, lock, session ended, process gone); returns them.
    pub fn end(&mut self, now: Timestamp, over: impl Fn(&Question) -> bool) -> Vec<Question> {
        let mut ended = Vec::new();
        for question in self.questions.values_mut() {
            if question.state == State::Pending && over(question) {
                question.state = State::Gone;
                question.expires = now + PARKED;
                ended.push(question.clone());
            } else if matches!(question.state, State::Answered(_)) && over(question) {
                question.once.clear();
                question.once_parked = false;
            }
        }
        ended
    }

    /// Moves on with time: open questions past their end expire (returned), old ones are forgotten.
    pub fn tidy(&mut self, now: Timestamp) -> Vec<Question> {
        let mut expired = Vec::new();
        for question in self.questions.values_mut() {
            if question.state == State::Pending && now >= question.expires {
                question.state = State::Expired;
                question.expires = now + PARKED;
                self.window_pause.insert(question.key.clone(), now + WINDOW_PAUSE);
                expired.push(question.clone());
            }
        }
        self.questions.retain(|_, q| q.state == State::Pending || now < q.expires);
        self.window_pause.retain(|_, until| now < *until);
        self.back_off.retain(|_, b| now < b.until + Span::seconds(b.step * 4));
        expired
    }

    /// One question.
    pub fn get(&self, id: &str) -> Option<&Question> {
        self.questions.get(id)
    }

    /// All questions that are remembered, oldest first.
    pub fn list(&self) -> Vec<&Question> {
        let mut all: Vec<_> = self.questions.values().collect();
        all.sort_by_key(|q| (q.opened, q.id.clone()));
        all
    }
}

#[cfg(test)]
mod tests;
