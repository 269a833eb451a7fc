//! Asking people: opens questions, opens one window for each, waits or parks, takes answers.
//!
//! The states are in [`broker::consent`]; here is what surrounds them: who can be asked, who may answer, and what an
//! answer leaves behind (a grant, an audit line, a waiting caller that wakes up).

use crate::{
    agent::{Agent, screen_locked},
    random,
    server::{Connection, Side},
    store::{AuditEntry, lock},
    trip::{cut, shown},
};
use broker::{
    Authority, Choice, Grant, GrantId, LockRule, Peer, Program, Refusal, Rules, Span, TerminalRule, Timestamp, Wanted,
    consent::{Anchor, AnswerError, Ask, Outcome, Question, State, Table, Waiter},
    trip::Request,
};
use platform::peer::Lineage;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Longest a call may wait on its connection.
pub(crate) const LONGEST_WAIT: Span = Span::seconds(120);

/// The questions and what is known around them.
pub(crate) struct Consents {
    table: Mutex<Table>,
    lineages: Mutex<HashMap<String, Lineage>>,
    changed: tokio::sync::watch::Sender<u64>,
}

impl Default for Consents {
    fn default() -> Self {
        Self { table: Mutex::default(), lineages: Mutex::default(), changed: tokio::sync::watch::channel(0).0 }
    }
}

/// A call that needs a yes.
pub(crate) struct Asking<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) session: Option<&'a str>,
    pub(crate) peer: &'a Peer,
    pub(crate) wanted: &'a Wanted,
    pub(crate) request: &'a Request,
}

/// Who answers a question, and where.
pub(crate) enum Answerer<'a> {
    /// On a page of the agent.
    Page(&'a Peer),
    /// In a terminal.
    Terminal(&'a Peer, Lineage),
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Unknown,
    Over(State),
    Refused(Refusal),
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

    /// One question.
    pub(crate) fn get(&self, id: &str) -> Option<Question> {
        lock(&self.table).get(id).cloned()
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

/// Opens an address of ours; false when nothing could be started.
pub(crate) fn open_address(rules: &Rules, address: &str) -> bool {
    let opener = opener(rules);
    if !opener.can_open() {
        return false;
    }
    let opened = opener.open(address, |why| tracing::warn!(why, "the browser command failed"));
    opened.inspect_err(|error| tracing::warn!(%error, "the browser could not be opened")).is_ok()
}

/// Digest of what a person is shown; an approval names it.
pub(crate) fn digest(question: &Question) -> String {
    let ask = &question.ask;
    let mut hasher = Sha256::new();
    for part in [
        question.id.as_str(),
        question.key.as_str(),
        ask.account.as_str(),
        ask.resource.as_str(),
        &ask.scopes.to_string(),
        ask.says_it_is.as_deref().unwrap_or_default(),
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    random::hex(&hasher.finalize())
}

impl Agent {
    /// Whether a window of ours can reach a person.
    pub(crate) fn can_show(&self, rules: &Rules) -> bool {
        !screen_locked() && (self.has_desktop() || opener(rules).can_open())
    }

    /// Whether a person may answer in a terminal.
    pub(crate) fn terminal_allowed(&self, rules: &Rules) -> bool {
        match rules.consent.terminal {
            TerminalRule::Allow => true,
            TerminalRule::Fallback => !(self.has_desktop() || opener(rules).can_open()),
            TerminalRule::Never => false,
        }
    }

    /// Gets a yes, or says why there is none.
    ///
    /// # Errors
    /// [`Refusal::ConsentRequired`] when parked, otherwise the no.
    pub(crate) async fn consent(self: &Arc<Self>, asking: &Asking<'_>) -> Result<Authority, Refusal> {
        let Some(program) = asking.peer.program.clone() else { return Err(Refusal::PeerUnidentified) };
        let wait = asking.request.wait.map(|w| w.min(LONGEST_WAIT));
        if wait.is_none() && !program.may_park() {
            return Err(Refusal::ConsentUnavailable(
                "a command without a program file can only ask while it waits".to_owned(),
            ));
        }
        let parked_at = match asking.connection.side() {
            Side::Socket => Anchor::Leader(asking.peer.session_leader),
            Side::Tcp { .. } => Anchor::Session(asking.session.unwrap_or_default().to_owned()),
        };
        let mut ask = Ask {
            peer: asking.peer.clone(),
            program,
            anchor: parked_at,
            account: asking.wanted.account.name.clone(),
            resource: asking.wanted.resource.name.clone(),
            scopes: asking.wanted.scopes.clone(),
            says_it_is: asking.request.says_it_is.as_deref().map(|name| cut(name).chars().take(120).collect()),
        };
        let now = self.now();
        let claimed = lock(&self.consents.table).claim(&ask, now);
        match claimed {
            Some((_, Outcome::Yes(_, via))) => return Ok(Authority::Once(via.to_owned())),
            Some((_, Outcome::Denied)) => return Err(Refusal::ConsentDenied),
            _ => {}
        }
        let rules = self.rules();
        let (show, terminal) = (self.can_show(&rules), self.terminal_allowed(&rules));
        if screen_locked() || !(show || terminal) {
            return Err(Refusal::ConsentUnavailable("there is nobody here who could be asked".to_owned()));
        }
        if wait.is_some() {
            ask.anchor = Anchor::Held;
        }
        let id = random::hex_name::<8>(self.entropy.as_ref());
        let (opened, waiter) = lock(&self.consents.table).open(ask, id, wait, now)?;
        if opened.fresh {
            lock(&self.consents.lineages).insert(opened.id.clone(), self.lookup.lineage(asking.peer.instance.pid));
            self.consents.bump();
            self.changed("requests");
            if opened.window && show && !self.has_desktop() {
                self.open_page(&rules, &format!("/consent/{}", opened.id));
            }
        }
        let Some(wait) = wait else {
            return Err(Refusal::ConsentRequired { consent_id: opened.id, expires_in: now.until(opened.expires) });
        };
        let waiting = Waiting { agent: self, id: opened.id, waiter };
        self.wait_for_answer(asking, &waiting, now + wait).await
    }

    async fn wait_for_answer(
        self: &Arc<Self>,
        asking: &Asking<'_>,
        waiting: &Waiting<'_>,
        until: Timestamp,
    ) -> Result<Authority, Refusal> {
        let mut changed = self.consents.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let now = self.now();
            let outcome = lock(&self.consents.table).outcome(&waiting.id, waiting.waiter, now);
            match outcome {
                Outcome::Yes(_, via) => return Ok(Authority::Once(via.to_owned())),
                Outcome::Denied => return Err(Refusal::ConsentDenied),
                Outcome::Gone => return Err(Refusal::ConsentGone),
                Outcome::Pending if now >= until => return Err(Refusal::ConsentGone),
                Outcome::Pending => {}
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = asking.connection.hung_up() => return Err(Refusal::ConsentGone),
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if !asking.connection.still_same(self, asking.peer).await {
                        return Err(Refusal::ConsentGone);
                    }
                }
            }
        }
    }

    /// Opens one of our pages through a one-time ticket; whether it opened is only logged.
    pub(crate) fn open_page(&self, rules: &Rules, path: &str) {
        let address = self.ticket_address(path);
        open_address(rules, &address);
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) async fn answer(&self, id: &str, choice: Choice, answerer: &Answerer<'_>) -> Result<Question, NotTaken> {
        let now = self.now();
        let question = self.consents.get(id).ok_or(NotTaken::Unknown)?;
        let rules = self.rules();
        let via = self.may_answer(&question, answerer, &rules).map_err(NotTaken::Refused)?;
        if choice != Choice::Deny && screen_locked() && rules.consent.on_lock == LockRule::Pause {
            return Err(NotTaken::Refused(Refusal::ConsentUnavailable("the screen is locked".to_owned())));
        }
        // A held question dies with its process; a parked one is claimed only by the same program later.
        let asker = question.ask.peer.clone();
        if question.ask.anchor == Anchor::Held && question.waiting() > 0 && question.state == State::Pending {
            let lookup = Arc::clone(&self.lookup);
            let same = tokio::task::spawn_blocking(move || lookup.recheck(&asker)).await.unwrap_or(false);
            if !same && question.waiting() == 1 {
                let ended = lock(&self.consents.table).end(now, |q| q.id == id);
                for question in &ended {
                    self.log_question("consent.gone", "consent_gone", question, None);
                }
                self.consents.bump();
                return Err(NotTaken::Over(State::Gone));
            }
        }
        let resource = rules.resources.get(&question.ask.resource);
        let sensitive = resource.is_none_or(|r| r.sensitive);
        let answered = lock(&self.consents.table).answer(id, choice, sensitive, via, now).cloned();
        let answered = answered.map_err(|error| match error {
            AnswerError::Unknown => NotTaken::Unknown,
            AnswerError::Over(state) => NotTaken::Over(state),
            AnswerError::NotPossible => {
                NotTaken::Refused(Refusal::InvalidRequest("this program cannot be given that answer".to_owned()))
            }
        })?;
        if matches!(choice, Choice::Today | Choice::Always)
            && let Err(refusal) = self.grant(&answered, choice, &rules, now)
        {
            // Without its grant the yes is worth nothing: whoever waits finds no authority and is refused.
            lock(&self.consents.table).end(now, |q| q.id == id);
            return Err(NotTaken::Refused(refusal));
        }
        let (event, code) = match choice {
            Choice::Deny => ("consent.denied", "consent_denied"),
            Choice::Once => ("consent.once", "ok"),
            Choice::Today => ("consent.today", "ok"),
            Choice::Always => ("consent.always", "ok"),
        };
        self.log_question(event, code, &answered, Some(via));
        self.consents.bump();
        self.changed("requests");
        self.changed("grants");
        Ok(answered)
    }

    fn grant(&self, question: &Question, choice: Choice, rules: &Rules, now: Timestamp) -> Result<GrantId, Refusal> {
        let today = Span::hours(12).min(rules.consent.absolute);
        self.store
            .add_grant(Grant {
                id: GrantId(0),
                program: question.key.clone(),
                account: question.ask.account.clone(),
                resource: question.ask.resource.clone(),
                scopes: question.ask.scopes.clone(),
                choice,
                created: now,
                last_used: now,
                until: (choice == Choice::Today).then_some(now + today),
            })
            .map_err(|e| Refusal::Internal(e.to_string()))
    }

    fn may_answer(&self, question: &Question, answerer: &Answerer<'_>, rules: &Rules) -> Result<&'static str, Refusal> {
        match answerer {
            Answerer::Page(peer) => {
                if asks_itself(&question.ask.program, peer.program.as_ref()) {
                    return Err(Refusal::ConsentUnavailable("a program cannot answer its own question".to_owned()));
                }
                Ok("page")
            }
            Answerer::Terminal(peer, lineage) => {
                if !peer.first_party {
                    return Err(Refusal::NotFirstParty);
                }
                if !self.terminal_allowed(rules) {
                    return Err(Refusal::ConsentUnavailable(
                        "questions are answered in a window here, not in a terminal".to_owned(),
                    ));
                }
                if !lineage.has_terminal() {
                    return Err(Refusal::ConsentUnavailable(
                        "an answer needs a terminal with a person at it".to_owned(),
                    ));
                }
                let asker = lock(&self.consents.lineages).get(&question.id).cloned();
                if asker.is_none_or(|asker| asker.shares_process_with(lineage)) {
                    return Err(Refusal::ConsentUnavailable(
                        "the script that asks cannot answer: answer from the prompt itself or another terminal"
                            .to_owned(),
                    ));
                }
                Ok("terminal")
            }
        }
    }

    /// Whether the page of a question may be given to whoever came for it.
    pub(crate) fn may_redeem(&self, path: &str, redeemer: &Peer) -> bool {
        match path.strip_prefix("/consent/").and_then(|id| self.consents.get(id)) {
            Some(question) => !asks_itself(&question.ask.program, redeemer.program.as_ref()),
            None => true,
        }
    }

    /// Ends questions for which `over` holds.
    pub(crate) fn end_questions(&self, code: &'static str, over: impl Fn(&Question) -> bool) {
        let ended = lock(&self.consents.table).end(self.now(), over);
        for question in &ended {
            self.log_question("consent.gone", code, question, None);
        }
        if !ended.is_empty() {
            self.consents.bump();
            self.changed("requests");
        }
    }

    /// Lets time pass for questions.
    pub(crate) fn tidy_questions(&self) {
        let (expired, known) = {
            let mut table = lock(&self.consents.table);
            let expired = table.tidy(self.now());
            (expired, table.list().into_iter().map(|q| q.id.clone()).collect::<Vec<_>>())
        };
        lock(&self.consents.lineages).retain(|id, _| known.contains(id));
        for question in &expired {
            self.log_question("consent.expired", "consent_gone", question, None);
        }
        if !expired.is_empty() {
            self.consents.bump();
            self.changed("requests");
        }
    }

    fn log_question(&self, event: &'static str, code: &str, question: &Question, via: Option<&str>) {
        self.log(AuditEntry {
            event,
            code: code.to_owned(),
            program: Some(shown(Some(&question.ask.program), &question.ask.peer)),
            account: Some(question.ask.account.to_string()),
            resource: Some(question.ask.resource.to_string()),
            scope: Some(question.ask.scopes.to_string()),
            via: via.map(str::to_owned),
        });
    }
}

/// Whether the asking program is the answering one: same executable identity and script.
fn asks_itself(asker: &Program, answerer: Option<&Program>) -> bool {
    let Some(answerer) = answerer else { return false };
    match (asker, answerer) {
        (Program::Executable { file: a, .. }, Program::Executable { file: b, .. })
        | (Program::Script { script: a, .. }, Program::Script { script: b, .. }) => a.digest == b.digest,
        (a, b) => a.key() == b.key(),
    }
}
