//! The open questions: one state machine for everything that can happen between a question and its answer.
//!
//! Invariant: a question leaves `Pending` exactly once. Whoever asks is told through [`Table::outcome`] or
//! [`Table::claim`]; an answer spent once is gone. Each question that expired is told exactly once, by [`Table::tidy`].
//! The table knows no clock: every call brings the time. Whatever a program does, what is remembered is bounded.
//! It does not check who answers; that is done before [`Table::answer`] is called.

use crate::{
    grant::{Choice, ProgramKey},
    peer::{Peer, ProcessInstance, Program},
    refusal::Refusal,
    words::{AccountName, Issuer, ResourceName, ScopeSet, Span, Timestamp},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// How long a parked question stays open, and how long an answer waits to be fetched.
pub const PARKED: Span = Span::seconds(120);
/// No second window for a program within this time after one was left unanswered.
pub const WINDOW_PAUSE: Span = Span::minutes(15);
const MOST_PARKED: usize = 64;
const MOST_PER_PROGRAM: usize = 10;
const MOST_AT_ALL: usize = 200;
/// Questions remembered, open and over: of one program, and of all.
const MOST_REMEMBERED_PER_PROGRAM: usize = 20;
const MOST_REMEMBERED: usize = 400;
/// Calls of one program that wait on their connections.
const MOST_WAITING_PER_PROGRAM: usize = 128;
/// New questions of one program within [`FRESH_WINDOW`].
const MOST_FRESH: usize = 30;
const FRESH_WINDOW: Span = Span::minutes(1);
const FIRST_BACK_OFF: i64 = 10;
const LONGEST_BACK_OFF: i64 = 15 * 60;

/// Where a question belongs besides its program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// Held on a connection: it belongs to the callers waiting on it.
    Held,
    /// Parked by a program on the user socket: the leader of its session.
    Leader(ProcessInstance),
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
    /// The account's issuer when the question was opened.
    pub issuer: Issuer,
    /// Resource.
    pub resource: ResourceName,
    /// The resource's audience when the question was opened.
    pub audience: Option<String>,
    /// Scopes.
    pub scopes: ScopeSet,
    /// What the program calls itself; unverified.
    pub says_it_is: Option<String>,
}

impl Ask {
    /// Whether both are for the same thing: account with its issuer, resource with its audience.
    fn is_for_the_same(&self, other: &Self) -> bool {
        self.account == other.account
            && self.issuer == other.issuer
            && self.resource == other.resource
            && self.audience == other.audience
    }
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
    /// Waiters on the page that was answered with `once`: each may take one token.
    once: BTreeSet<Waiter>,
    /// Waiters that came too late for that page: they ask again.
    late: BTreeSet<Waiter>,
    /// Whether a window was opened for it.
    window: bool,
    /// Where callers parked it, each with a number of its own.
    parked: Vec<(Anchor, Waiter)>,
    /// Parked callers that may come back for its answer, once each.
    to_claim: Vec<Anchor>,
}

impl Question {
    /// Whether a window should be shown for it.
    pub fn wants_window(&self) -> bool {
        self.window
    }

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

    /// The calls it stands for now, held and parked: what a page shows.
    pub fn calls(&self) -> BTreeSet<Waiter> {
        self.waiters.iter().copied().chain(self.parked.iter().map(|(_, waiter)| *waiter)).collect()
    }

    /// Whether somebody may come back for it.
    pub fn is_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Whether nobody waits on a connection or comes back for it.
    fn is_deserted(&self) -> bool {
        self.waiters.is_empty() && self.parked.is_empty()
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
    /// Answered with `once` for others, by somebody who was not shown this caller: ask again.
    Again,
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
    fresh: HashMap<ProgramKey, VecDeque<Timestamp>>,
    /// Expired, and not told yet.
    expired: Vec<Question>,
    next_waiter: Waiter,
}

impl Table {
    /// Opens a question or joins the open one of the same program for the same thing.
    ///
    /// `fresh_id` names it if it is new; `wait` is how long a held caller waits.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] while the program backs off after a no, or has too many questions or calls waiting.
    pub fn open(
        &mut self,
        ask: Ask,
        fresh_id: String,
        wait: Option<Span>,
        now: Timestamp,
    ) -> Result<(Opened, Waiter), Refusal> {
        self.advance(now);
        let key = ask.program.key();
        if let Some(back_off) = self.back_off.get(&(key.clone(), ask.resource.clone()))
            && now < back_off.until
        {
            return Err(Refusal::RateLimited { retry_after: now.until(back_off.until).max(Span::seconds(1)) });
        }
        let of_program = self.questions.values().filter(|q| q.state == State::Pending && q.key == key);
        if wait.is_some() && of_program.map(Question::waiting).sum::<usize>() >= MOST_WAITING_PER_PROGRAM {
            return Err(Refusal::RateLimited { retry_after: Span::seconds(1) });
        }
        self.next_waiter += 1;
        let waiter = self.next_waiter;
        let span = wait.unwrap_or(PARKED).min(PARKED);
        let joined = self.questions.values_mut().find(|q| {
            q.state == State::Pending && q.key == key && q.ask.is_for_the_same(&ask) && q.ask.scopes == ask.scopes
        });
        if let Some(question) = joined {
            if wait.is_some() {
                question.waiters.insert(waiter);
                question.expires = question.expires.max(now + span);
            } else if !question.parked.iter().any(|(anchor, _)| *anchor == ask.anchor) {
                if question.parked.len() >= MOST_PARKED {
                    return Err(Refusal::RateLimited { retry_after: PARKED });
                }
                question.parked.push((ask.anchor, waiter));
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
        let fresh = self.fresh.entry(key.clone()).or_default();
        if let Some(first) = fresh.front()
            && fresh.len() >= MOST_FRESH
        {
            return Err(Refusal::RateLimited { retry_after: now.until(*first + FRESH_WINDOW).max(Span::seconds(1)) });
        }
        fresh.push_back(now);
        let window = self.window_pause.get(&key).is_none_or(|until| now >= *until);
        let parked = if wait.is_none() { vec![(ask.anchor.clone(), waiter)] } else { Vec::new() };
        let question = Question {
            id: fresh_id.clone(),
            key,
            opened: now,
            expires: now + span,
            state: State::Pending,
            via: None,
            waiters: wait.map(|_| waiter).into_iter().collect(),
            once: BTreeSet::new(),
            late: BTreeSet::new(),
            window,
            parked,
            to_claim: Vec::new(),
            ask,
        };
        let expires = question.expires;
        self.forget_for(&question.key);
        self.questions.insert(fresh_id.clone(), question);
        Ok((Opened { id: fresh_id, fresh: true, window, expires }, waiter))
    }

    /// Makes room for one more question of this program: the oldest that are over are forgotten.
    fn forget_for(&mut self, key: &ProgramKey) {
        let oldest = |questions: &BTreeMap<String, Question>, of: Option<&ProgramKey>| {
            let over = questions.values().filter(|q| q.state != State::Pending && of.is_none_or(|key| q.key == *key));
            over.min_by_key(|q| q.expires).map(|q| q.id.clone())
        };
        while self.questions.values().filter(|q| q.key == *key).count() >= MOST_REMEMBERED_PER_PROGRAM
            && let Some(id) = oldest(&self.questions, Some(key))
        {
            self.questions.remove(&id);
        }
        while self.questions.len() >= MOST_REMEMBERED
            && let Some(id) = oldest(&self.questions, None)
        {
            self.questions.remove(&id);
        }
    }

    /// Whether [`Table::answer`] would take this answer now.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn may_answer(&mut self, id: &str, choice: Choice, sensitive: bool, now: Timestamp) -> Result<(), AnswerError> {
        self.advance(now);
        let question = self.questions.get(id).ok_or(AnswerError::Unknown)?;
        if question.state != State::Pending {
            return Err(AnswerError::Over(question.state));
        }
        if !question.choices(sensitive).contains(&choice) {
            return Err(AnswerError::NotPossible);
        }
        Ok(())
    }

    /// Answers a question. The first answer wins. `shown` are the calls listed on the page that was answered (`None`:
    /// all that wait); `once` is one token for each of those that still wait, the others are told to ask again.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn answer(
        &mut self,
        id: &str,
        choice: Choice,
        sensitive: bool,
        via: &'static str,
        shown: Option<&BTreeSet<Waiter>>,
        now: Timestamp,
    ) -> Result<&Question, AnswerError> {
        self.may_answer(id, choice, sensitive, now)?;
        let question = self.questions.get_mut(id).ok_or(AnswerError::Unknown)?;
        question.state = State::Answered(choice);
        question.via = Some(via);
        question.expires = now + PARKED;
        let was_shown = |waiter: &Waiter| shown.is_none_or(|shown| shown.contains(waiter));
        (question.once, question.late) = question.waiters.iter().copied().partition(was_shown);
        question.to_claim =
            question.parked.iter().filter(|(_, waiter)| was_shown(waiter)).map(|(anchor, _)| anchor.clone()).collect();
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
        self.advance(now);
        let Some(question) = self.questions.get_mut(id) else { return Outcome::Gone };
        match question.state {
            State::Pending => Outcome::Pending,
            State::Answered(Choice::Deny) => Outcome::Denied,
            State::Answered(Choice::Once) if question.late.remove(&waiter) => Outcome::Again,
            State::Answered(Choice::Once) if !question.once.remove(&waiter) => Outcome::Gone,
            State::Answered(choice) => Outcome::Yes(choice, question.via.unwrap_or("page")),
            State::Expired | State::Gone => Outcome::Gone,
        }
    }

    /// Looks for the answer to a parked question when its program comes back; spends a `once` or a `deny`.
    pub fn claim(&mut self, ask: &Ask, now: Timestamp) -> Option<(String, Outcome)> {
        self.advance(now);
        let key = ask.program.key();
        let id = self
            .questions
            .values()
            .find(|q| {
                matches!(q.state, State::Answered(Choice::Once | Choice::Deny))
                    && q.to_claim.contains(&ask.anchor)
                    && q.key == key
                    && q.ask.is_for_the_same(ask)
                    && ask.scopes.is_subset(&q.ask.scopes)
            })
            .map(|q| q.id.clone())?;
        let question = self.questions.get_mut(&id)?;
        question.to_claim.retain(|anchor| *anchor != ask.anchor);
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
        if question.state == State::Pending && question.is_deserted() {
            question.state = State::Gone;
            question.expires = now + PARKED;
            if question.window {
                self.window_pause.insert(question.key.clone(), now + WINDOW_PAUSE);
            }
            return Some(question.clone());
        }
        None
    }

    /// A place to park is no more (its session ended): nobody comes back from there. Questions nobody waits for any more
    /// are over; returns them.
    pub fn unpark(&mut self, anchor: &Anchor, now: Timestamp) -> Vec<Question> {
        for question in self.questions.values_mut() {
            question.parked.retain(|(parked, _)| parked != anchor);
            question.to_claim.retain(|parked| parked != anchor);
        }
        self.end(now, Question::is_deserted)
    }

    /// Ends every open question for which `over` holds (sign-out, lock, session ended, process gone); returns them.
    pub fn end(&mut self, now: Timestamp, over: impl Fn(&Question) -> bool) -> Vec<Question> {
        let mut ended = Vec::new();
        for question in self.questions.values_mut() {
            if question.state == State::Pending && over(question) {
                question.state = State::Gone;
                question.expires = now + PARKED;
                if question.window {
                    self.window_pause.insert(question.key.clone(), now + WINDOW_PAUSE);
                }
                ended.push(question.clone());
            } else if matches!(question.state, State::Answered(_)) && over(question) {
                question.once.clear();
                question.late.clear();
                question.to_claim.clear();
            }
        }
        ended
    }

    /// Moves on with time: open questions past their end expire, old ones are forgotten. Returns those that expired and
    /// were not told yet, whichever call noticed it.
    pub fn tidy(&mut self, now: Timestamp) -> Vec<Question> {
        self.advance(now);
        std::mem::take(&mut self.expired)
    }

    fn advance(&mut self, now: Timestamp) {
        for question in self.questions.values_mut() {
            if question.state == State::Pending && now >= question.expires {
                question.state = State::Expired;
                question.expires = now + PARKED;
                self.window_pause.insert(question.key.clone(), now + WINDOW_PAUSE);
                self.expired.push(question.clone());
            }
        }
        self.questions.retain(|_, q| q.state == State::Pending || now < q.expires);
        self.window_pause.retain(|_, until| now < *until);
        self.back_off.retain(|_, b| now < b.until + Span::seconds(b.step * 4));
        self.fresh.retain(|_, times| {
            times.retain(|time| now < *time + FRESH_WINDOW);
            !times.is_empty()
        });
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
