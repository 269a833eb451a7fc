//! Following the files while the agent runs: another profile in force, and what ends with it.
//!
//! Invariant: whoever sees the new snapshot finds no grant that was given for what a resource no longer is, and no token
//! of another issuer or client, and no question about it. What a spoilt file hides is not wiped; what was removed is, once
//! that has settled. An end the disk does not take is made up for before the change it belongs to counts as known, and
//! while issuers cannot be reached as the profile says, none but those on this machine are.

use super::{
    Profiles, Snapshot,
    change::{Found, Known},
    options,
};
use crate::{
    agent::Agent,
    store::{AuditEntry, lock},
};
use broker::{AccountName, consent::Question};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(1800);
/// How often for a while after a change: one seldom comes alone.
const QUICKLY: Duration = Duration::from_millis(10);
/// How long that while is.
const WHILE: Duration = Duration::from_secs(2);
/// How long after a change good copies are kept.
const CALM: Duration = Duration::from_millis(200);
/// How the notice begins that the way out is closed.
const NO_NETWORK: &str = "the network cannot be used as the profile says";
/// What a changed profile would wipe is wiped only when it has stayed as it is this long.
const SETTLED: Duration = Duration::from_secs(20);

impl Profiles {
    /// Compares the first snapshot with what an earlier agent knew, given the resources there are grants for. Returns what
    /// was known, the resources that are not what they were, and what to write in the audit log.
    fn take_up(&self, found: Found, granted: BTreeSet<String>) -> (Known, BTreeSet<String>, Option<String>) {
        let snapshot = self.current();
        let upgraded = matches!(found, Found::Upgraded);
        // On a fresh machine only IT's word is news.
        let news = matches!(found, Found::Known(_)) || snapshot.is_managed || snapshot.rules.locked.is_some();
        let before = if let Found::Known(known) = found { known } else { Known::default() };
        let after = before.after(&snapshot);
        let mut changed = before.changed(&after);
        // What a grant was given for is not known: it may be anything.
        changed.extend(granted.into_iter().filter(|resource| !upgraded && !before.knows(resource)));
        let difference = before.difference(&after).filter(|_| news);
        (before, changed, difference)
    }

    /// What is known from here on, `changed` included, unless grants of these could not be ended: then that is to be done
    /// again, by whichever agent is next.
    fn know(&self, before: &Known, changed: &BTreeSet<String>, ended: bool) {
        let mut after = before.after(&self.current());
        if !ended {
            after.hold_back(before, changed);
            self.owing.store(true, Ordering::Relaxed);
        }
        *lock(&self.known) = after;
    }

    /// The snapshot in force, if it has settled and hides nothing: what it lacks was taken away on purpose.
    fn settled(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.current();
        (self.settled_for() >= SETTLED && !snapshot.may_hide_accounts).then_some(snapshot)
    }

    /// Whether a file is to be looked at again soon.
    fn is_waiting(&self) -> bool {
        lock(&self.good).is_waiting()
    }
}

/// Follows the files until aborted.
pub(crate) async fn follow(agent: Arc<Agent>) {
    let mut last = Instant::now();
    let (mut kept, mut settled) = (false, false);
    loop {
        tokio::time::sleep(if last.elapsed() < WHILE || agent.profiles.is_waiting() { QUICKLY } else { EVERY }).await;
        if agent.follow_profile().await {
            last = Instant::now();
            (kept, settled) = (false, false);
            continue;
        }
        let due = (!kept && last.elapsed() >= CALM, !settled && agent.profiles.settled_for() >= SETTLED);
        if due != (false, false) {
            kept |= due.0;
            settled |= due.1;
            // Their own task: a keychain or an issuer that hangs must not keep the next change waiting.
            let agent = Arc::clone(&agent);
            tokio::spawn(async move {
                agent.keep_copies().await;
                agent.wipe_what_is_gone().await;
            });
        }
    }
}

impl Agent {
    /// At start: ends the grants of resources that became others while no agent ran, and says what changed.
    pub(crate) fn take_up_profile(&self) {
        let granted = self.store.all_grants().into_iter().map(|grant| grant.resource.to_string()).collect();
        let (before, changed, difference) = self.profiles.take_up(Known::read(&self.store), granted);
        if options(&self.snapshot()) != oidc::Options::default() {
            self.use_network(&self.snapshot());
        }
        let ended = self.end_grants_of(&changed);
        self.profiles.know(&before, &changed, ended);
        if let Some(difference) = difference {
            self.log_change(&self.snapshot(), difference);
        }
        self.note_profile();
    }

    /// Reads the files again and puts what they say in force; whether that is something else than before.
    async fn follow_profile(self: &Arc<Self>) -> bool {
        let _turn = self.profiles.turn.lock().await;
        let agent = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || agent.profiles.look()).await;
        let Ok(Some(fresh)) = looked else { return false };
        self.put_in_force(fresh);
        true
    }

    fn put_in_force(self: &Arc<Self>, fresh: Snapshot) {
        let former = self.snapshot();
        for line in fresh.diagnostics.iter().filter(|line| !former.diagnostics.contains(line)) {
            tracing::warn!(line, "the profile");
        }
        // The way out first: who sees the new accounts reaches them as the profile says.
        if options(&fresh) != options(&former) {
            self.use_network(&fresh);
        }
        let known = lock(&self.profiles.known).clone();
        let after = known.after(&fresh);
        let changed = known.changed(&after);
        let difference = known.difference(&after).unwrap_or_else(|| "no value changed".to_owned());
        // With the questions in hand nobody gives a grant by the old profile once those of the old are ended, and none of
        // the answers to what was asked about the old is left to be come back for.
        let about = |question: &Question| changed.contains(question.ask.resource.as_str());
        let (fresh, ended) = self.end_questions_while("consent_gone", about, || {
            let ended = self.end_grants_of(&changed);
            (self.profiles.put_in_force(fresh), ended)
        });
        self.profiles.know(&known, &changed, ended);
        self.log_change(&fresh, difference);
        self.note_profile();
        self.changed("profile");
        self.forget_failures(&former, &fresh);
        self.drop_tokens_of_strangers();
        self.end_stale_questions();
        let agent = Arc::clone(self);
        tokio::spawn(async move { agent.read_records().await });
    }

    fn log_change(&self, snapshot: &Snapshot, difference: String) {
        self.log(AuditEntry {
            event: "profile.changed",
            code: if snapshot.rules.locked.is_some() { "profile_invalid".to_owned() } else { "ok".to_owned() },
            via: Some(difference),
            ..AuditEntry::default()
        });
    }

    fn note_profile(&self) {
        let known = lock(&self.profiles.known).clone();
        if let Err(error) = known.write(&self.store) {
            tracing::error!(%error, "what the profile says could not be noted");
            self.profiles.owing.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the grants for these resources are over for good.
    fn end_grants_of(&self, resources: &BTreeSet<String>) -> bool {
        if resources.is_empty() {
            return true;
        }
        let ended = self.revoke_grants("grant.ended", |grant| resources.contains(grant.resource.as_str()));
        if let Err(error) = &ended {
            tracing::error!(error = error.0.error_description, "grants could not be ended");
        }
        ended.is_ok()
    }

    /// Reaches issuers as the profile says; what is under way goes on as it began. Where that is not possible none is
    /// reached but on this machine: the former way may be one the profile forbids.
    fn use_network(&self, fresh: &Snapshot) {
        let done = self.reach_by(&options(fresh));
        self.profiles.unreached.store(!done, Ordering::Relaxed);
    }

    /// Never by another way than this: when it cannot be put in force, nothing but loopback is reached, and status and
    /// doctor say so. Whether it is in force.
    fn reach_by(&self, options: &oidc::Options) -> bool {
        let reached = self.oidc.reach_by(options);
        let mut notices = lock(&self.notices);
        notices.retain(|notice| !notice.starts_with(NO_NETWORK));
        if let Err(error) = &reached {
            // What the profile names was looked at before; this is for what the system itself lacks.
            let why = format!("{NO_NETWORK} ({error}): no issuer is reached until IT has corrected [network]");
            tracing::error!(why);
            self.oidc.reach_only_loopback(&why);
            notices.push(why);
        }
        reached.is_ok()
    }

    /// Does again what a change of the profile could not do.
    async fn make_up(&self) {
        let Profiles { owing, unreached, turn, .. } = &self.profiles;
        if !owing.load(Ordering::Relaxed) && !unreached.load(Ordering::Relaxed) {
            return;
        }
        let _turn = turn.lock().await;
        if unreached.load(Ordering::Relaxed) {
            self.use_network(&self.snapshot());
        }
        if !owing.load(Ordering::Relaxed) {
            return;
        }
        // In memory they are over: what is left is on the disk, and goes with any end.
        if let Err(error) = self.revoke_grants("grant.ended", |_| false) {
            tracing::error!(error = error.0.error_description, "grants could not be ended");
            return;
        }
        owing.store(false, Ordering::Relaxed);
        let known = lock(&self.profiles.known).clone();
        self.profiles.know(&known, &BTreeSet::new(), true);
        self.note_profile();
    }

    /// A failure at another issuer, or on another way, says nothing about the one now in force.
    fn forget_failures(&self, former: &Snapshot, fresh: &Snapshot) {
        let rerouted = options(former) != options(fresh);
        for entry in self.accounts.entries() {
            let of = |snapshot: &Snapshot| {
                snapshot.rules.accounts.get(&entry.name).map(|a| (a.issuer.clone(), a.client_id.clone()))
            };
            if rerouted || of(former) != of(fresh) {
                lock(&entry.failures).clear();
                *lock(&entry.unreachable) = None;
            }
        }
    }

    /// Keeps a good copy of the managed files for the next agent; asks for the copies of earlier ones where the keychain
    /// could not be asked before.
    pub(crate) async fn keep_copies(self: &Arc<Self>) {
        self.make_up().await;
        if self.profiles.recall(&self.vault).await {
            self.follow_profile().await;
        }
        self.profiles.keep_copies(&self.vault).await;
    }

    /// Wipes what belongs to another issuer or client than the profile names, or to an account it no longer has; never
    /// while a fault may be the reason, and not before the profile has settled.
    pub(crate) async fn wipe_what_is_gone(self: &Arc<Self>) {
        if self.profiles.settled().is_none() {
            return;
        }
        self.wipe_strangers().await;
        let known = self.store.who_is_signed_in().unwrap_or_else(|error| {
            tracing::error!(%error, "it cannot be told who is signed in");
            Vec::new()
        });
        // Each is looked at anew: much may happen while one is retired.
        for name in known.iter().filter_map(|name| name.parse::<AccountName>().ok()) {
            if !self.rules().accounts.contains_key(&name) {
                self.retire(&name).await;
            }
        }
        let Some((_turn, snapshot)) = self.while_settled().await else { return };
        let gone = lock(&self.profiles.known).gone(&snapshot.rules);
        if !gone.is_empty() && self.end_grants_of(&gone) {
            lock(&self.profiles.known).forget(&gone);
            self.note_profile();
        }
    }

    /// The settled snapshot in force, and no other takes its place as long as the guard is held; `None` when what is in
    /// force has not settled, or may hide something.
    pub(crate) async fn while_settled(&self) -> Option<(tokio::sync::MutexGuard<'_, ()>, Arc<Snapshot>)> {
        let turn = self.profiles.turn.lock().await;
        self.profiles.settled().map(|snapshot| (turn, snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use broker::{Choice, consent::Outcome};
    use std::{fs, path::Path};

    fn file(room: &tempfile::TempDir) -> std::path::PathBuf {
        room.path().join("managed/10.toml")
    }

    fn change(file: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Looks until what the files say counts.
    async fn followed(agent: &Arc<Agent>) {
        for _ in 0..200 {
            if agent.follow_profile().await {
                return;
            }
            tokio::time::sleep(QUICKLY).await;
        }
        panic!("the change does not count");
    }

    fn settle(agent: &Agent) {
        *lock(&agent.profiles.changed) = Instant::now().checked_sub(SETTLED).unwrap();
    }

    #[tokio::test]
    async fn no_question_and_no_answer_outlives_another_client_kind_or_request() {
        for (from, to) in [
            ("client_id = \"daypass\"", "client_id = \"other\""),
            (
                "audience = \"https://payments.example\"",
                "audience = \"https://payments.example\"\nrequest = \"audience\"",
            ),
        ] {
            let (room, agent) = testing::agent().await;
            let (peer, _) = testing::peer("/usr/bin/tool");
            let (other, _) = testing::peer("/usr/bin/other");
            let ask = testing::ask(&peer);
            agent.open_for_test(ask.clone(), "answered");
            agent.open_for_test(testing::ask(&other), "open");
            agent.take_for_test("answered", Choice::Once);
            change(&file(&room), from, to);
            followed(&agent).await;
            assert_ne!(agent.consents.get("open").unwrap().state, broker::consent::State::Pending, "{to}");
            assert_eq!(agent.claim_for_test(&ask), None::<Outcome>, "{to}: a once is for what was asked about");
        }
    }

    #[tokio::test]
    async fn grants_the_disk_keeps_end_before_the_change_counts_as_known() {
        let (room, agent) = testing::agent().await;
        let (_, program) = testing::peer("/usr/bin/tool");
        agent.store.add_grant(testing::grant(&agent, &program)).unwrap();
        agent.store.refuse_deletes(true);
        change(&file(&room), "https://payments.example", "https://elsewhere.example");
        followed(&agent).await;
        assert!(agent.store.all_grants().is_empty());
        let before = lock(&agent.profiles.known).clone();
        // The next agent finds the grant again, and what was known says that it has to end.
        let Found::Known(noted) = Known::read(&agent.store) else { panic!("it was noted") };
        assert_eq!(noted.changed(&noted.after(&agent.snapshot())).into_iter().collect::<Vec<_>>(), ["payments"]);
        agent.make_up().await;
        assert_eq!(*lock(&agent.profiles.known), before, "the disk still refuses");
        agent.store.refuse_deletes(false);
        agent.make_up().await;
        let Found::Known(noted) = Known::read(&agent.store) else { panic!("it was noted") };
        assert!(noted.changed(&noted.after(&agent.snapshot())).is_empty());
        assert_eq!(agent.store.grants_on_disk(), 0);
    }

    #[tokio::test]
    async fn grants_for_what_nothing_is_known_of_end_at_the_start_but_not_after_an_upgrade() {
        for (noted, stays) in [("upgraded", true), ("", false), ("{", false), ("{\"told\":{}}", false)] {
            let (_room, agent) = testing::agent().await;
            let (_, program) = testing::peer("/usr/bin/tool");
            agent.store.add_grant(testing::grant(&agent, &program)).unwrap();
            agent.store.know("profile", noted).unwrap();
            agent.take_up_profile();
            assert_eq!(!agent.store.all_grants().is_empty(), stays, "{noted:?}");
            // From then on it is known.
            agent.store.add_grant(testing::grant(&agent, &program)).unwrap();
            agent.take_up_profile();
            assert!(!agent.store.all_grants().is_empty(), "{noted:?}");
        }
    }

    #[tokio::test]
    async fn what_has_come_back_is_neither_retired_nor_forgotten() {
        let (room, agent) = testing::agent().await;
        let whole = fs::read_to_string(file(&room)).unwrap();
        let (_, program) = testing::peer("/usr/bin/tool");
        fs::write(file(&room), "version = 1\n[broker]\nport = 0\n").unwrap();
        followed(&agent).await;
        settle(&agent);
        agent.store.add_grant(testing::grant(&agent, &program)).unwrap();
        let name: AccountName = "corp".parse().unwrap();
        // It comes back while the wiping waits for its turn.
        let turn = agent.profiles.turn.lock().await;
        let wiping = tokio::spawn({
            let agent = Arc::clone(&agent);
            async move {
                agent.retire(&"corp".parse().unwrap()).await;
                agent.wipe_what_is_gone().await;
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        fs::write(file(&room), whole).unwrap();
        agent.profiles.look();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let fresh = agent.profiles.look().expect("it counts by now");
        agent.put_in_force(fresh);
        // Even if nothing had changed for long.
        settle(&agent);
        let era = agent.accounts.entry(&name).era();
        drop(turn);
        wiping.await.unwrap();
        assert_eq!(agent.accounts.entry(&name).era(), era, "nobody was signed out");
        assert_eq!(agent.store.all_grants().len(), 1);
        assert!(lock(&agent.profiles.known).knows("payments"));
    }

    #[tokio::test]
    async fn a_network_that_cannot_be_used_leads_nowhere_until_it_can() {
        let (_room, agent) = testing::agent().await;
        let issuer = "https://issuer.example".parse().unwrap();
        let mut impossible = Snapshot::nothing();
        impossible.roots = vec![b"no certificate".to_vec()];
        agent.use_network(&impossible);
        let told = agent.oidc.probe(&issuer).await.unwrap_err().to_string();
        assert!(told.contains("cannot be used as the profile says"), "{told}");
        agent.make_up().await;
        assert!(!agent.profiles.unreached.load(Ordering::Relaxed), "it was tried again, with what is in force");
    }

    #[tokio::test]
    async fn rules_that_cannot_be_put_in_force_close_the_way_and_say_so() {
        let (_room, agent) = testing::agent().await;
        let issuer = "https://issuer.invalid".parse().unwrap();
        let told = || lock(&agent.notices).iter().filter(|notice| notice.starts_with(NO_NETWORK)).count();
        let bad =
            oidc::Options { proxy: broker::Proxy::Url("http://user:CANARY@[".to_owned()), ..oidc::Options::default() };
        agent.reach_by(&bad);
        agent.reach_by(&bad);
        assert_eq!(told(), 1);
        assert!(!lock(&agent.notices).iter().any(|notice| notice.contains("CANARY")));
        let error = agent.oidc.look(&issuer).await.unwrap_err().to_string();
        assert!(error.contains(NO_NETWORK), "{error}");
        let found = agent.oidc.diagnose(&issuer, Duration::from_secs(1)).await;
        assert!(format!("{:?}", found.document).contains(NO_NETWORK), "{found:?}");
        // The machine itself is not the network.
        let local = agent.oidc.look(&"http://127.0.0.1:9".parse().unwrap()).await.unwrap_err().to_string();
        assert!(!local.contains(NO_NETWORK), "{local}");
        agent.reach_by(&oidc::Options::default());
        assert_eq!(told(), 0);
    }
}
