//! Answers to questions: who may give them, and what they leave behind.
//!
//! Invariants: an answer counts only for what was shown (its digest, and for `once` the calls listed with it) and only
//! while that is still what the rules say; its audit line and its grant are stored before anybody wakes up. Whoever asks
//! does not answer: not the same program, and not the script that runs both.
//! Limit: a process that lets go of its parent before it answers in a terminal is not seen to come from the asking one.

use super::entry;
use crate::{agent::Agent, random, store::lock, times};
use broker::{
    Choice, ConsentRule, Grant, GrantId, Peer, ProcessInstance, Program, Refusal, Rules, Span, Timestamp,
    consent::{AnswerError, Ask, Question, State, Waiter},
};
use platform::peer::{Common, Lineage, Lookup};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, sync::Arc};

/// Who answers a question, and where.
pub(crate) enum Answerer<'a> {
    /// On a page of the agent, which listed these calls.
    Page(&'a Peer, &'a BTreeSet<Waiter>),
    /// In a terminal.
    Terminal(&'a Peer),
}

/// Why an answer was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Unknown,
    Over(State),
    Refused(Refusal),
}

impl From<AnswerError> for NotTaken {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Unknown => Self::Unknown,
            AnswerError::Over(state) => Self::Over(state),
            AnswerError::NotPossible => refused("this program cannot be given that answer", Refusal::InvalidRequest),
        }
    }
}

fn refused(why: &str, kind: impl Fn(String) -> Refusal) -> NotTaken {
    NotTaken::Refused(kind(why.to_owned()))
}

fn unavailable(why: &str) -> NotTaken {
    refused(why, Refusal::ConsentUnavailable)
}

/// Digest of what a person is shown; an approval names it.
pub(crate) fn digest(question: &Question) -> String {
    let ask = &question.ask;
    let mut hasher = Sha256::new();
    for part in [
        question.id.as_str(),
        question.key.as_str(),
        ask.account.as_str(),
        ask.issuer.as_str(),
        ask.resource.as_str(),
        ask.audience.as_deref().unwrap_or_default(),
        &ask.scopes.to_string(),
        ask.says_it_is.as_deref().unwrap_or_default(),
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    random::hex(&hasher.finalize())
}

/// Whether the rules no longer say what the question asks about.
fn is_stale(rules: &Rules, ask: &Ask) -> bool {
    let resource = rules.resources.get(&ask.resource).filter(|resource| {
        resource.consent != ConsentRule::Denied
            && resource.account == ask.account
            && resource.audience == ask.audience
            && ask.scopes.is_subset(&resource.allowed_scopes)
    });
    let account = rules.accounts.get(&ask.account).filter(|account| account.issuer == ask.issuer);
    rules.locked.is_some() || resource.is_none() || account.is_none()
}

impl Agent {
    /// Takes an answer.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(crate) async fn answer(&self, id: &str, choice: Choice, answerer: &Answerer<'_>) -> Result<Question, NotTaken> {
        let question = self.consents.get(id).ok_or(NotTaken::Unknown)?;
        let rules = self.rules();
        let (via, shown) = match answerer {
            Answerer::Page(peer, shown) => {
                if asks_itself(&question.ask.program, peer.program.as_ref()) {
                    return Err(unavailable("a program cannot answer its own question"));
                }
                ("page", Some(*shown))
            }
            Answerer::Terminal(peer) => {
                self.may_answer_in_terminal(&question, peer, &rules).await?;
                ("terminal", None)
            }
        };
        if is_stale(&rules, &question.ask) {
            self.end_stale_questions();
            return Err(NotTaken::Over(State::Gone));
        }
        // A held question dies with its processes; a parked one is claimed only by the same program later.
        if !question.is_parked() && question.state == State::Pending {
            let waiting: Vec<Peer> =
                lock(&self.consents.around).get(id).map(|a| a.waiting.values().cloned().collect()).unwrap_or_default();
            if !self.any_alive(waiting).await {
                self.end_questions("consent_gone", |q| q.id == id);
                return Err(NotTaken::Over(State::Gone));
            }
        }
        let answered = self.take(id, choice, via, shown)?;
        self.consents.bump();
        self.changed("requests");
        self.changed("grants");
        Ok(answered)
    }

    /// Grant, audit line and answer as one: nobody can look at the question meanwhile, and what fails leaves it open.
    fn take(
        &self,
        id: &str,
        choice: Choice,
        via: &'static str,
        shown: Option<&BTreeSet<Waiter>>,
    ) -> Result<Question, NotTaken> {
        let internal = |error: crate::store::StoreError| NotTaken::Refused(Refusal::Internal(error.to_string()));
        let now = self.now();
        let mut table = lock(&self.consents.table);
        // Looked at with the table in hand: a lock, a pause or a block that comes now ends what is given here.
        if choice != Choice::Deny && self.screen.is_locked() {
            return Err(unavailable("the screen is locked"));
        }
        if choice != Choice::Deny
            && let Some(refusal) = self.paused()
        {
            return Err(NotTaken::Refused(refusal));
        }
        let question = table.get(id).cloned().ok_or(NotTaken::Unknown)?;
        if choice != Choice::Deny && self.store.is_blocked(&question.ask.program) {
            return Err(NotTaken::Refused(Refusal::ProgramBlocked));
        }
        // With the table in hand no other profile comes into force: what is given here is given by the one that is.
        let rules = &*self.rules();
        if is_stale(rules, &question.ask) {
            return Err(NotTaken::Over(State::Gone));
        }
        let sensitive = rules.resources.get(&question.ask.resource).is_none_or(|r| r.sensitive);
        table.may_answer(id, choice, sensitive, now)?;
        let lasting = matches!(choice, Choice::Today | Choice::Always);
        let grant = lasting.then(|| self.grant(&question, choice, rules, now)).transpose().map_err(internal)?;
        let (event, code) = match choice {
            Choice::Deny => ("consent.denied", "consent_denied"),
            Choice::Once => ("consent.once", "ok"),
            Choice::Today => ("consent.today", "ok"),
            Choice::Always => ("consent.always", "ok"),
        };
        let line = entry(event, code, &question, Some(via));
        if let Err(error) = self.store.append(line, times::rfc3339_millis(now)) {
            // In memory the grant ends whatever the disk says.
            let _ = self.store.end_grants(|g| Some(g.id) == grant);
            return Err(internal(error));
        }
        Ok(table.answer(id, choice, sensitive, via, shown, now)?.clone())
    }

    fn grant(
        &self,
        question: &Question,
        choice: Choice,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<GrantId, crate::store::StoreError> {
        let today = Span::hours(12).min(rules.consent.absolute);
        self.store.add_grant(Grant {
            id: GrantId(0),
            program: question.key.clone(),
            account: question.ask.account.clone(),
            resource: question.ask.resource.clone(),
            scopes: question.ask.scopes.clone(),
            choice,
            created: now,
            last_used: now,
            until: (choice == Choice::Today).then_some(now + today),
            package: package_to_follow(&self.lookup, &question.ask),
        })
    }

    async fn may_answer_in_terminal(&self, question: &Question, peer: &Peer, rules: &Rules) -> Result<(), NotTaken> {
        if !peer.first_party {
            return Err(NotTaken::Refused(Refusal::NotFirstParty));
        }
        if !self.terminal_allowed(rules) {
            return Err(unavailable("questions are answered in a window here, not in a terminal"));
        }
        let is_prompt = matches!(question.ask.program, Program::Terminal { .. });
        // Of `daypass` the program is its parent's: the script or program that runs it.
        if !is_prompt && asks_itself(&question.ask.program, peer.program.as_ref()) {
            return Err(unavailable("a program cannot answer its own question"));
        }
        let askers = lock(&self.consents.around).get(&question.id).map(|a| a.askers.clone()).unwrap_or_default();
        let (lookup, from) = (Arc::clone(&self.lookup), peer.instance);
        let verdict = tokio::task::spawn_blocking(move || {
            let own = lookup.lineage(from);
            (own.has_terminal(), !askers.is_empty() && are_apart(&lookup, &own, &askers, is_prompt))
        });
        match verdict.await {
            Ok((true, true)) => Ok(()),
            Ok((false, _)) => Err(unavailable("an answer needs a terminal with a person at it")),
            _ => Err(unavailable(
                "the script that asks cannot answer: answer from the prompt itself or another terminal",
            )),
        }
    }

    /// Whether the page of a question may be given to whoever came for it.
    pub(crate) fn may_redeem(&self, path: &str, redeemer: &Peer) -> bool {
        match path.strip_prefix("/consent/").and_then(|id| self.consents.get(id)) {
            Some(question) => !asks_itself(&question.ask.program, redeemer.program.as_ref()),
            None => true,
        }
    }

    /// Ends the questions about what the rules no longer say.
    pub(crate) fn end_stale_questions(&self) {
        let rules = self.rules();
        self.end_questions("consent_gone", |question| is_stale(&rules, &question.ask));
    }
}

#[cfg(test)]
impl Agent {
    /// Answers on a page.
    pub(crate) fn take_for_test(&self, id: &str, choice: Choice) {
        self.take(id, choice, "page", None).unwrap();
    }
}

/// The package whose updates of the program a grant may follow: one that owns a file only root can write.
fn package_to_follow(lookup: &Lookup, ask: &Ask) -> Option<String> {
    let Program::Executable { file, .. } = &ask.program else { return None };
    ask.peer.package.clone().filter(|package| lookup.may_follow(file, package))
}

/// Whether nothing but a person's prompt, or the system itself, started both the answer and each of the askers.
fn are_apart(lookup: &Lookup, own: &Lineage, askers: &[(Lineage, ProcessInstance)], is_prompt: bool) -> bool {
    askers.iter().all(|(asker, subject)| match own.common_with(asker) {
        Common::Nothing => true,
        Common::Process => false,
        Common::Leader(leader) => (is_prompt || leader != *subject) && !lookup.is_scripted(leader),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use broker::BlockKey;

    #[tokio::test]
    async fn a_block_that_comes_first_leaves_only_no_for_an_answer() {
        let (_room, agent) = testing::agent().await;
        let (peer, program) = testing::peer("/usr/bin/tool");
        let (opened, _) = agent.open_in_table(testing::ask(&peer), "one".to_owned(), None).unwrap();
        agent.store.add_block(&BlockKey::of(&program), agent.now()).unwrap();
        for choice in [Choice::Once, Choice::Today, Choice::Always] {
            let taken = agent.take(&opened.id, choice, "page", None).map(|question| question.id);
            assert_eq!(taken, Err(NotTaken::Refused(Refusal::ProgramBlocked)), "{choice:?}");
        }
        assert!(agent.store.all_grants().is_empty());
        assert_eq!(agent.take(&opened.id, Choice::Deny, "page", None).unwrap().state, State::Answered(Choice::Deny));
    }
}
