//! What goes on by itself: renewing tokens ahead of time, letting questions expire, anchoring the audit log,
//! writing down what could not be written before.

use crate::{
    accounts::{Record, Target, TokenKey},
    agent::Agent,
    renewal::Need,
    store::{AuditEntry, lock},
};
use broker::{Span, Timestamp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_secs(1);
const KEEP_EVERY: u64 = 15;
const MINUTE: u64 = 60;
/// After a failed renewal ahead of time the next one waits at least this long, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// Old lines leave the audit log this often, the first time as long after the start: a clock that is set late is right by then.
const TRIM_EVERY: u64 = 10 * MINUTE;

/// Renewals ahead of time that failed: when to try again.
#[derive(Default)]
struct Pauses(Mutex<HashMap<TokenKey, (Instant, Duration)>>);

impl Pauses {
    fn may(&self, key: &TokenKey) -> bool {
        lock(&self.0).get(key).is_none_or(|(until, _)| Instant::now() >= *until)
    }

    fn hold(&self, key: &TokenKey) {
        let mut pauses = lock(&self.0);
        let last = pauses.get(key).map_or(FIRST_PAUSE / 2, |(_, last)| *last);
        pauses.insert(key.clone(), (Instant::now() + FIRST_PAUSE, last));
    }

    fn note(&self, key: &TokenKey, ok: bool, jitter: u8) {
        let mut pauses = lock(&self.0);
        if ok {
            pauses.remove(key);
            return;
        }
        let pause = pauses.get(key).map_or(FIRST_PAUSE, |(_, last)| (*last * 2).min(LONGEST_PAUSE));
        let jittered = pause.mul_f64(0.9 + f64::from(jitter) / 255.0 * 0.2);
        pauses.insert(key.clone(), (Instant::now() + jittered, pause));
    }
}

/// Runs until aborted.
pub(crate) async fn run(agent: Arc<Agent>) {
    let pauses = Arc::new(Pauses::default());
    let mut ticks: u64 = 0;
    loop {
        tokio::time::sleep(TICK).await;
        ticks += 1;
        agent.tidy_questions();
        agent.tidy_pause();
        agent.tend_notices();
        agent.renew_ahead(&pauses);
        if ticks.is_multiple_of(KEEP_EVERY) {
            agent.look_for_issuers();
            // Its own task: a keychain that hangs must not hold up anything else.
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.tend_records().await });
        }
        if ticks.is_multiple_of(MINUTE) {
            agent.minute();
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.tend_audit().await });
        }
        agent.export_audit();
        if ticks.is_multiple_of(TRIM_EVERY) {
            tokio::spawn(Arc::clone(&agent).trim_audit());
        }
    }
}

impl Agent {
    async fn tend_records(self: &Arc<Self>) {
        let Ok(_turn) = self.tending.try_lock() else { return };
        if self.vault.look_again().await {
            tracing::info!("a keychain has come up: what was kept in memory is written to it");
            for entry in self.accounts.entries() {
                let mut record = lock(&entry.record);
                if matches!(*record, Record::Unreadable(_)) {
                    *record = Record::Unread;
                }
            }
        }
        let unread = |entry: &Arc<crate::accounts::Entry>| matches!(*lock(&entry.record), Record::Unreadable(_));
        if self.accounts.entries().iter().any(unread) {
            // Unlocked meanwhile? Looking opens no window.
            self.read_records().await;
            self.changed("status");
        }
        self.keep_again().await;
        self.keep_copies().await;
        self.wipe_what_is_gone().await;
    }

    /// Looks at every account once, so that what is in the keychain is tended from the start.
    pub(crate) async fn read_records(&self) {
        for account in self.rules().accounts.values() {
            if let Err(refusal) = self.sign_in_of(account).await {
                tracing::debug!(account = %account.name, %refusal, "no sign-in");
            }
        }
    }

    fn renew_ahead(self: &Arc<Self>, pauses: &Arc<Pauses>) {
        let rules = self.rules();
        let now = self.now();
        let mut due = self.accounts.due(now);
        due.extend(self.sign_ins_near_their_end(now));
        for key in due {
            let Some(account) = rules.accounts.get(&key.account) else { continue };
            let entry = self.accounts.entry(&key.account);
            if !pauses.may(&key) || entry.renewing.try_lock().is_err() {
                continue;
            }
            let resource = rules.issuer_resources(&key.account).find(|r| TokenKey::of(r, &key.scopes) == key).cloned();
            if resource.is_none() && !matches!(key.target, Target::Own | Target::IdToken) {
                // The profile no longer has it.
                continue;
            }
            let need = Need {
                account: account.clone(),
                key: key.clone(),
                resource,
                min_valid: Span::seconds(0),
                forced: false,
                ahead: true,
            };
            let (agent, pauses) = (Arc::clone(self), Arc::clone(pauses));
            // Held back at once, so that the next tick does not start another.
            pauses.hold(&key);
            tokio::spawn(async move {
                let renewed = agent.renew(need).await;
                let mut jitter = [0_u8; 1];
                agent.entropy.fill(&mut jitter);
                pauses.note(&key, renewed.is_ok(), jitter[0]);
                if let Err(refusal) = renewed {
                    tracing::info!(account = %key.account, %refusal, "a token could not be renewed ahead of time");
                }
            });
        }
    }

    /// Looks whether an issuer that did not answer does so again, so that people need not try. Uses no token up.
    fn look_for_issuers(self: &Arc<Self>) {
        let rules = self.rules();
        for entry in self.accounts.entries() {
            let Some(account) = rules.accounts.get(&entry.name).cloned() else { continue };
            let Some(why) = lock(&entry.unreachable).clone() else { continue };
            let agent = Arc::clone(self);
            tokio::spawn(async move {
                if agent.oidc.probe(&account.issuer).await.is_err() {
                    return;
                }
                let mut unreachable = lock(&entry.unreachable);
                // What has failed since is not what was looked at.
                if unreachable.as_ref() == Some(&why) {
                    *unreachable = None;
                    drop(unreachable);
                    agent.changed("accounts");
                }
            });
        }
    }

    /// Sign-ins whose refresh token would expire: due when half of its life is gone.
    fn sign_ins_near_their_end(&self, now: Timestamp) -> Vec<TokenKey> {
        let rules = self.rules();
        let mut keys = Vec::new();
        for entry in self.accounts.entries() {
            let Record::SignedIn(sign_in) = &*lock(&entry.record) else { continue };
            let (Some(end), Some(account)) = (sign_in.refresh_expires_at, rules.accounts.get(&entry.name)) else {
                continue;
            };
            let (left, whole) = (now.until(end).as_seconds(), sign_in.refreshed_at.until(end).as_seconds());
            if sign_in.refresh_token.is_some() && left > 0 && left * 2 < whole {
                keys.push(TokenKey {
                    account: entry.name.clone(),
                    target: Target::Own,
                    scopes: account.scopes.clone(),
                });
            }
        }
        keys
    }

    fn minute(&self) {
        self.write_counts();
        let now = self.now();
        if let Err(error) = self.store.save_use().and_then(|()| self.store.tidy_sessions(now)) {
            tracing::error!(%error, "the database could not be tidied");
        }
        if let Err(error) = self.store.end_grants(|g| g.until.is_some_and(|until| until <= now)) {
            tracing::error!(%error, "grants that are over could not be tidied away");
        }
    }

    fn write_counts(&self) {
        let counts: Vec<_> = lock(&self.refusals).drain().collect();
        for ((reason, who), count) in counts {
            self.log(AuditEntry {
                event: "request.refused",
                code: reason.to_owned(),
                program: Some(who),
                via: Some(format!("{count} times")),
                ..AuditEntry::default()
            });
        }
    }

    /// The last things before the end; a renewal that is under way is waited for, so that nothing of it is lost.
    pub(crate) async fn wind_up(self: &Arc<Self>) {
        for entry in self.accounts.entries() {
            if tokio::time::timeout(Duration::from_secs(10), entry.renewing.lock()).await.is_err() {
                tracing::warn!(account = %entry.name, "a renewal is cut off");
            }
        }
        self.write_counts();
        if let Err(error) = self.store.save_use() {
            tracing::error!(%error, "the last use of grants could not be written");
        }
        self.export_rest().await;
        let _ = tokio::time::timeout(Duration::from_secs(3), self.profiles.keep_copies(&self.vault)).await;
        let _ = tokio::time::timeout(Duration::from_secs(3), self.write_anchor()).await;
    }
}
