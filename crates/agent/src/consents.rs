//! Asking people: opens questions, opens one window for each, waits or parks.
//!
//! The states are in [`broker::consent`], answers in [`answering`]; here is what surrounds a question: who can be asked,
//! which processes wait for it, and how a waiting caller learns of the answer. Calls that wait are bounded, for each
//! program and together, so that they never take up all connections.

mod answering;
mod ends;

pub(crate) use answering::{Answerer, NotTaken, digest};

use crate::{
    agent::Agent,
    random,
    server::{Connection, Side},
    store::{AuditEntry, lock},
    trip::{cut, shown},
};
use broker::{
    Authority, Choice, Peer, ProcessInstance, Refusal, Rules, Span, TerminalRule, Timestamp, Wanted,
    consent::{Anchor, Ask, Opened, Outcome, Question, State, Table, Waiter},
    trip::Request,
};
use platform::peer::Lineage;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Longest a call may wait on its connection.
pub(crate) const LONGEST_WAIT: Span = Span::seconds(120);

/// Most calls of all programs that wait at once: well below the connections of one listener.
const MOST_HELD: usize = 384;
/// Most askers of one question whose descent is remembered; one more, and it cannot be answered in a terminal.
const MOST_LINEAGES: usize = 256;

/// The questions and what is known around them.
pub(crate) struct Consents {
    table: Mutex<Table>,
    around: Mutex<HashMap<String, Around>>,
    held: AtomicUsize,
    changed: tokio::sync::watch::Sender<u64>,
}

/// The processes around one question.
#[derive(Default)]
struct Around {
    /// Where everybody who asked comes from, and the process each question is attributed to.
    askers: Vec<(Lineage, ProcessInstance)>,
    /// Those that wait on their connections.
    waiting: HashMap<Waiter, Peer>,
    /// Whether a person is to be told of it.
    announced: bool,
    /// Whether its page was given to somebody.
    seen: bool,
    /// Whether the program did not show up in the log before.
    is_new: bool,
}

impl Default for Consents {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            around: Mutex::default(),
            held: AtomicUsize::new(0),
            changed: tokio::sync::watch::channel(0).0,
        }
    }
}

/// Counts a call that waits, for as long as it does.
struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that needs a yes.
pub(crate) struct Asking<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) session: Option<&'a str>,
    pub(crate) peer: &'a Peer,
    pub(crate) wanted: &'a Wanted,
    pub(crate) request: &'a Request,
    /// Set to the turn in which an answer was spent on this call: from there on it counts as in flight.
    pub(crate) turn: &'a AtomicU64,
}

/// Leaves the question when the call ends, however it ends.
struct Waiting<'a> {
    agent: &'a Agent,
    id: String,
    waiter: Waiter,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.agent.now();
        let gone = lock(&self.agent.consents.table).leave(&self.id, self.waiter, now);
        if let Some(around) = lock(&self.agent.consents.around).get_mut(&self.id) {
            around.waiting.remove(&self.waiter);
        }
        if let Some(question) = gone {
            self.agent.log_question("consent.gone", "consent_gone", &question, None);
            self.agent.consents.bump();
            self.agent.changed("requests");
        }
    }
}

impl Consents {
    fn bump(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Does something while nobody can answer a question.
    #[cfg(test)]
    pub(crate) fn while_still<T>(&self, work: impl FnOnce() -> T) -> T {
        let _table = lock(&self.table);
        work()
    }

    /// See [`Agent::end_questions_while`]; returns what was open.
    fn while_ending<T>(
        &self,
        now: Timestamp,
        over: impl Fn(&Question) -> bool,
        work: impl FnOnce() -> T,
    ) -> (Vec<Question>, T) {
        let mut table = lock(&self.table);
        let done = work();
        (table.end(now, over), done)
    }

    /// One question.
    pub(crate) fn get(&self, id: &str) -> Option<Question> {
        lock(&self.table).get(id).cloned()
    }

    /// Takes a place among the calls that wait.
    fn hold(&self) -> Result<Held<'_>, Refusal> {
        let held = Held(&self.held);
        if self.held.fetch_add(1, Ordering::Relaxed) >= MOST_HELD {
            drop(held);
            return Err(Refusal::RateLimited { retry_after: Span::seconds(1) });
        }
        Ok(held)
    }

    /// Remembers who asks a question, and who waits for it.
    fn note(&self, id: &str, waiter: Option<Waiter>, peer: &Peer, lineage: Lineage) {
        let mut around = lock(&self.around);
        let around = around.entry(id.to_owned()).or_default();
        let asker = (lineage, peer.subject);
        if !around.askers.contains(&asker) {
            match around.askers.len() {
                0..MOST_LINEAGES => around.askers.push(asker),
                MOST_LINEAGES => around.askers.push((Lineage::default(), peer.subject)),
                _ => {}
            }
        }
        if let Some(waiter) = waiter {
            around.waiting.insert(waiter, peer.clone());
        }
    }

    /// Whether a person is told of this question: a window opens for it, a notification is raised.
    pub(crate) fn is_announced(&self, id: &str) -> bool {
        lock(&self.around).get(id).is_some_and(|around| around.announced)
    }

    /// Whether the log did not know the program when this question opened.
    pub(crate) fn is_new(&self, id: &str) -> bool {
        lock(&self.around).get(id).is_some_and(|around| around.is_new)
    }

    /// The page of this question was given to somebody.
    pub(crate) fn note_seen(&self, id: &str) {
        if let Some(around) = lock(&self.around).get_mut(id) {
            around.seen = true;
        }
    }

    /// All questions that are remembered.
    pub(crate) fn list(&self) -> Vec<Question> {
        lock(&self.table).list().into_iter().cloned().collect()
    }
}

/// What opens addresses, by the profile.
fn opener(rules: &Rules) -> platform::browser::Opener {
    platform::browser::Opener { command: rules.browser_command.clone() }
}

/// Whether a browser could be started here.
pub(crate) fn can_open(rules: &Rules) -> bool {
    opener(rules).can_open()
}

/// Opens an address of ours; false when nothing could be started.
pub(crate) fn open_address(rules: &Rules, address: &str) -> bool {
    let opener = opener(rules);
    if !opener.can_open() {
        return false;
    }
    let opened = opener.open(address, |why| tracing::warn!(why, "the browser command failed"));
    opened.inspect_err(|error| tracing::warn!(%error, "the browser could not be opened")).is_ok()
}

#[cfg(test)]
impl Agent {
    /// Opens a question under this name.
    pub(crate) fn open_for_test(&self, ask: Ask, id: &str) {
        self.open_in_table(ask, id.to_owned(), None).unwrap();
    }

    /// What somebody finds who comes back.
    pub(crate) fn claim_for_test(&self, ask: &Ask) -> Option<Outcome> {
        lock(&self.consents.table).claim(ask, self.now()).map(|(_, outcome)| outcome)
    }
}

impl Agent {
    /// Whether a window of ours can reach a person.
    pub(crate) fn can_show(&self, rules: &Rules) -> bool {
        !self.screen.is_locked() && (self.has_desktop() || opener(rules).can_open())
    }

    /// Whether a person may answer in a terminal.
    pub(crate) fn terminal_allowed(&self, rules: &Rules) -> bool {
        match rules.consent.terminal {
            TerminalRule::Allow => true,
            TerminalRule::Fallback => !(self.has_desktop() || opener(rules).can_open()),
            TerminalRule::Never => false,
        }
    }

    /// The next step for whoever was told that a question is open.
    pub(crate) fn where_to_answer(&self, id: &str) -> String {
        let rules = self.rules();
        match (self.can_show(&rules), self.terminal_allowed(&rules)) {
            (true, true) => format!("answer on the page (daypass open), or run: daypass approve {id}; then ask again"),
            (false, true) => format!("run: daypass approve {id}; then ask again"),
            _ => "answer on the page that opened (or: daypass open), then ask again".to_owned(),
        }
    }

    /// Gets a yes, or says why there is none.
    ///
    /// # Errors
    /// [`Refusal::ConsentRequired`] when parked, otherwise the no.
    pub(crate) async fn consent(self: &Arc<Self>, asking: &Asking<'_>) -> Result<Authority, Refusal> {
        let Some(program) = asking.peer.program.clone() else { return Err(Refusal::PeerUnidentified) };
        let wait = asking.request.wait.map(|w| w.min(LONGEST_WAIT));
        let only_waiting = |who: &str| Err(Refusal::ConsentUnavailable(format!("{who} can only ask while it waits")));
        if wait.is_none() && !program.may_park() {
            return only_waiting("a command without a program file");
        }
        let parked_at = match asking.connection.side() {
            Side::Socket { .. } => asking.peer.session_leader.map(Anchor::Leader),
            Side::Tcp { .. } => asking.session.map(|session| Anchor::Session(session.to_owned())),
        };
        if wait.is_none() && parked_at.is_none() {
            return only_waiting("a program whose session cannot be told");
        }
        let mut ask = Ask {
            peer: asking.peer.clone(),
            program,
            anchor: parked_at.clone().unwrap_or(Anchor::Held),
            account: asking.wanted.account.name.clone(),
            issuer: asking.wanted.account.issuer.clone(),
            resource: asking.wanted.resource.name.clone(),
            audience: asking.wanted.resource.audience.clone(),
            scopes: asking.wanted.scopes.clone(),
            says_it_is: asking.request.says_it_is.as_deref().map(|name| cut(name).chars().take(120).collect()),
        };
        asking.turn.store(self.turns.now(), Ordering::SeqCst);
        let claimed = parked_at.and_then(|_| lock(&self.consents.table).claim(&ask, self.now()));
        match claimed {
            Some((_, Outcome::Yes(_, via))) => return Ok(Authority::Once(via.to_owned())),
            Some((_, Outcome::Denied)) => return Err(Refusal::ConsentDenied),
            _ => {}
        }
        let rules = self.rules();
        if self.screen.is_locked() || !(self.can_show(&rules) || self.terminal_allowed(&rules)) {
            return Err(Refusal::ConsentUnavailable("there is nobody here who could be asked".to_owned()));
        }
        self.fill_package(&mut ask.peer).await;
        let Some(wait) = wait else {
            let (opened, _) = self.open_question(ask, None).await?;
            let expires_in = self.now().until(opened.expires);
            return Err(Refusal::ConsentRequired { consent_id: opened.id, expires_in });
        };
        ask.anchor = Anchor::Held;
        let _held = self.consents.hold()?;
        let until = self.now() + wait;
        loop {
            let left = self.now().until(until);
            if left <= Span::seconds(0) {
                return Err(Refusal::ConsentGone);
            }
            let (_, waiting) = self.open_question(ask.clone(), Some(left)).await?;
            if let Some(authority) = self.wait_for_answer(asking, &waiting, until).await? {
                return Ok(authority);
            }
        }
    }

    /// What takes its time: where the asking process comes from, and whether the log does not know its program (looked up
    /// only for what may become a new question).
    async fn look_into(self: &Arc<Self>, ask: &Ask) -> (Lineage, bool) {
        let (agent, from, key) = (Arc::clone(self), ask.peer.instance, ask.program.key());
        let is_open = lock(&self.consents.table).list().iter().any(|q| q.key == key && q.state == State::Pending);
        let program = (!is_open).then(|| shown(Some(&ask.program), &ask.peer));
        let work = move || {
            let is_new = program.is_some_and(|program| !agent.store.has_asked_before(&program));
            (agent.lookup.lineage(from), is_new)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }

    /// Opens a question or joins the one that is open, and shows a new one.
    async fn open_question(self: &Arc<Self>, ask: Ask, wait: Option<Span>) -> Result<(Opened, Waiting<'_>), Refusal> {
        let peer = ask.peer.clone();
        let (lineage, is_new) = self.look_into(&ask).await;
        let id = random::hex_name::<8>(self.entropy.as_ref());
        let (opened, waiter) = self.open_in_table(ask, id, wait)?;
        let waiting = Waiting { agent: self, id: opened.id.clone(), waiter };
        self.consents.note(&opened.id, wait.map(|_| waiter), &peer, lineage);
        if opened.fresh {
            let rules = self.rules();
            let announced = opened.window && self.can_show(&rules);
            if let Some(around) = lock(&self.consents.around).get_mut(&opened.id) {
                (around.announced, around.is_new) = (announced, is_new);
            }
            self.consents.bump();
            self.changed("requests");
            if announced && !self.has_desktop() {
                self.consents.note_seen(&opened.id);
                self.open_page(&rules, &format!("/consent/{}", opened.id));
            }
            self.tend_notices();
        }
        Ok((opened, waiting))
    }

    /// Locked, paused or blocked meanwhile: a question opened now would not be ended by that. Looked at with the table in
    /// hand, so that whatever comes later finds the question and ends it.
    fn open_in_table(&self, ask: Ask, id: String, wait: Option<Span>) -> Result<(Opened, Waiter), Refusal> {
        let mut table = lock(&self.consents.table);
        if self.screen.is_locked() {
            return Err(Refusal::ConsentUnavailable("the screen is locked".to_owned()));
        }
        if let Some(refusal) = self.paused() {
            return Err(refusal);
        }
        if self.store.is_blocked(&ask.program) {
            return Err(Refusal::ProgramBlocked);
        }
        table.open(ask, id, wait, self.now())
    }

    /// `None`: the question was answered for others, before this call was shown; it has to be asked again.
    async fn wait_for_answer(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        waiting: &Waiting<'_>,
        until: Timestamp,
    ) -> Result<Option<Authority>, Refusal> {
        let mut changed = self.consents.changed.subscribe();
        let ends = ends::Ends::of(&self.lookup, asking.peer);
        loop {
            changed.mark_unchanged();
            let now = self.now();
            asking.turn.store(self.turns.now(), Ordering::SeqCst);
            let outcome = lock(&self.consents.table).outcome(&waiting.id, waiting.waiter, now);
            match outcome {
                Outcome::Yes(Choice::Once, via) => return Ok(Some(Authority::Once(via.to_owned()))),
                // A lasting yes is worth what its grant is worth.
                Outcome::Yes(..) => return self.standing(asking).map(Some).ok_or(Refusal::ConsentGone),
                Outcome::Denied => return Err(Refusal::ConsentDenied),
                Outcome::Again => return Ok(None),
                Outcome::Gone => return Err(Refusal::ConsentGone),
                Outcome::Pending if now >= until => return Err(Refusal::ConsentGone),
                Outcome::Pending => {}
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = asking.connection.hung_up() => return Err(Refusal::ConsentGone),
                () = ends.first() => return Err(Refusal::ConsentGone),
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    // The process alone; that it still holds the connection is looked at before delivery.
                    if !self.any_alive(vec![asking.peer.clone()]).await {
                        return Err(Refusal::ConsentGone);
                    }
                }
            }
        }
    }

    /// The grant that covers a request now.
    fn standing(&self, asking: &Asking<'_>) -> Option<Authority> {
        let (rules, now, wanted) = (self.rules(), self.now(), asking.wanted);
        let grants = self.store.grants_of(&asking.peer.program.as_ref()?.key());
        let covers = grants.iter().find(|grant| {
            grant.account == wanted.account.name
                && grant.resource == wanted.resource.name
                && wanted.scopes.is_subset(&grant.scopes)
                && broker::grant_stands(grant, &rules, &wanted.resource, now)
        });
        covers.map(|grant| Authority::Grant(grant.id))
    }

    /// Opens one of our pages through a one-time ticket; whether it opened is only logged.
    pub(crate) fn open_page(&self, rules: &Rules, path: &str) {
        let address = self.ticket_address(path);
        open_address(rules, &address);
    }

    /// The last desktop is gone: what it was to show and has not shown goes to the browser.
    pub(crate) fn show_what_is_unseen(&self) {
        let rules = self.rules();
        if self.has_desktop() || !self.can_show(&rules) {
            return;
        }
        let unseen = |id: &str| lock(&self.consents.around).get(id).is_some_and(|a| a.announced && !a.seen);
        for question in self.consents.list().iter().filter(|q| q.state == State::Pending && unseen(&q.id)) {
            self.consents.note_seen(&question.id);
            self.open_page(&rules, &format!("/consent/{}", question.id));
        }
    }

    /// A cookie session is over: nobody comes back with it.
    pub(crate) fn unpark(&self, anchor: &Anchor) {
        let ended = lock(&self.consents.table).unpark(anchor, self.now());
        for question in &ended {
            self.log_question("consent.gone", "session_invalid", question, None);
        }
        if !ended.is_empty() {
            self.consents.bump();
            self.changed("requests");
        }
    }

    /// Ends questions for which `over` holds.
    pub(crate) fn end_questions(&self, code: &'static str, over: impl Fn(&Question) -> bool) {
        self.end_questions_while(code, over, || {});
    }

    /// Does something while nobody can answer a question, and ends the questions for which `over` holds before anybody can
    /// again: those that were answered and not come back for, too.
    pub(crate) fn end_questions_while<T>(
        &self,
        code: &'static str,
        over: impl Fn(&Question) -> bool,
        work: impl FnOnce() -> T,
    ) -> T {
        let (ended, done) = self.consents.while_ending(self.now(), over, work);
        for question in &ended {
            self.log_question("consent.gone", code, question, None);
        }
        if !ended.is_empty() {
            self.consents.bump();
            self.changed("requests");
        }
        done
    }

    /// Lets time pass for questions.
    pub(crate) fn tidy_questions(&self) {
        let (expired, known) = {
            let mut table = lock(&self.consents.table);
            let expired = table.tidy(self.now());
            (expired, table.list().into_iter().map(|q| q.id.clone()).collect::<Vec<_>>())
        };
        lock(&self.consents.around).retain(|id, _| known.contains(id));
        for question in &expired {
            self.log_question("consent.expired", "consent_gone", question, None);
        }
        if !expired.is_empty() {
            self.consents.bump();
            self.changed("requests");
        }
    }

    fn log_question(&self, event: &'static str, code: &str, question: &Question, via: Option<&str>) {
        self.log(entry(event, code, question, via));
    }
}

/// What the log says of a question.
fn entry(event: &'static str, code: &str, question: &Question, via: Option<&str>) -> AuditEntry {
    AuditEntry {
        event,
        code: code.to_owned(),
        program: Some(shown(Some(&question.ask.program), &question.ask.peer)),
        account: Some(question.ask.account.to_string()),
        resource: Some(question.ask.resource.to_string()),
        scope: Some(question.ask.scopes.to_string()),
        via: via.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lock_state, testing};
    use broker::BlockKey;
    use platform::screen::LockState;

    #[tokio::test]
    async fn no_question_opens_behind_a_block_a_pause_or_a_lock_that_came_while_it_was_about_to() {
        type Begin = fn(&Agent, &Peer);
        let begins: [(&str, Begin); 3] = [
            ("a block", |agent, peer| {
                agent.store.add_block(&BlockKey::of(peer.program.as_ref().unwrap()), agent.now()).unwrap();
            }),
            ("a pause", |agent, _| agent.pause.begin(agent.now() + Span::hours(1))),
            ("a lock", |agent, _| assert!(agent.screen.becomes(LockState::Locked))),
        ];
        for (what, begin) in begins {
            let (_room, agent) = testing::agent().await;
            let (peer, _) = testing::peer("/usr/bin/tool");
            let other = Arc::clone(&agent);
            let ask = testing::ask(&peer);
            // It comes with the table in hand, as the end of the questions it is about to bring.
            let opening = agent.consents.while_still(|| {
                let opening = std::thread::spawn(move || other.open_in_table(ask, "one".to_owned(), None).is_ok());
                std::thread::sleep(Duration::from_millis(300));
                begin(&agent, &peer);
                opening
            });
            assert!(!opening.join().unwrap(), "{what}");
            assert!(agent.consents.list().is_empty(), "{what}");
        }
    }

    #[tokio::test]
    async fn a_once_in_flight_does_not_outlive_what_came_and_went() {
        let (_room, agent) = testing::agent().await;
        let (_, program) = testing::peer("/usr/bin/other");
        let (once, grant) = (Authority::Once("page".to_owned()), Authority::Grant(broker::GrantId(1)));
        let passes: [(&str, &dyn Fn()); 3] = [
            ("a lock", &|| {
                agent.screen_is(LockState::Locked);
                agent.screen_is(LockState::Unlocked);
            }),
            ("a pause", &|| {
                agent.pause(Span::hours(1), "test", None);
                agent.resume("test", None);
            }),
            ("a block", &|| {
                let block = agent.block(&BlockKey::of(&program), "test").unwrap();
                agent.unblock(&block, "test").unwrap();
            }),
        ];
        for (what, passes) in passes {
            let turn = agent.turns.now();
            let over = |authority, sensitive| lock_state::is_over(authority, sensitive, turn, agent.turns.now());
            assert!(!over(&once, false) && !over(&Authority::Preapproved, true), "before {what}");
            passes();
            assert!(agent.paused().is_none() && !agent.screen.is_locked() && agent.store.all_blocks().is_empty());
            assert!(over(&once, false), "{what}");
            assert!(over(&Authority::Preapproved, true) && over(&grant, true), "{what}, for what is sensitive");
            assert!(!over(&grant, false) && !over(&Authority::Preapproved, false), "{what}: ended or kept by itself");
        }
    }
}
