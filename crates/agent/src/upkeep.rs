//! What goes on by itself: renewing tokens ahead of time, letting questions expire, reading profiles again, anchoring
//! the audit log, writing down what could not be written before.

use crate::{
    accounts::{Record, Target, TokenKey},
    agent::Agent,
    renewal::Need,
    store::{AuditEntry, lock},
};
use broker::{ExposeSecret, Span, Timestamp, ports::KeychainError};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_secs(1);
const PROFILE_EVERY: u64 = 2;
const KEEP_EVERY: u64 = 15;
const MINUTE: u64 = 60;
/// After a failed renewal ahead of time the next one waits at least this long, doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// What a changed profile would wipe is wiped only when the profile has stayed as it is this long.
const SETTLED: Duration = Duration::from_secs(20);
const ANCHOR: &str = "audit-anchor";

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
        agent.renew_ahead(&pauses);
        if ticks.is_multiple_of(PROFILE_EVERY) && agent.profiles.reload() {
            agent.profile_changed();
        }
        if ticks.is_multiple_of(KEEP_EVERY) {
            // Its own task: a keychain that hangs must not hold up anything else.
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.tend_records().await });
        }
        if ticks.is_multiple_of(MINUTE) {
            agent.minute();
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.write_anchor().await });
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
        self.keep_again().await;
        if self.profiles.settled_for() >= SETTLED {
            self.wipe_strangers().await;
        }
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

    fn profile_changed(self: &Arc<Self>) {
        let snapshot = self.snapshot();
        for line in &snapshot.diagnostics {
            tracing::warn!(line, "the profile");
        }
        self.log(AuditEntry {
            event: "profile.changed",
            code: if snapshot.rules.locked.is_some() { "profile_invalid".to_owned() } else { "ok".to_owned() },
            via: Some(format!(
                "{} accounts, {} resources, {} diagnostics",
                snapshot.rules.accounts.len(),
                snapshot.rules.resources.len(),
                snapshot.diagnostics.len()
            )),
            ..AuditEntry::default()
        });
        self.changed("profile");
        self.drop_tokens_of_strangers();
        self.end_stale_questions();
        let agent = Arc::clone(self);
        tokio::spawn(async move { agent.read_records().await });
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

    /// Anchors the head of the audit log in the keychain, where there is one.
    pub(crate) async fn write_anchor(&self) {
        let (seq, hash) = self.store.head();
        if !self.vault.is_durable() || seq == 0 {
            return;
        }
        let anchor = match self.read_anchor().await {
            Ok(anchor) => anchor,
            Err(error) => {
                tracing::warn!(%error, "the audit log is not anchored: the keychain cannot be read");
                return;
            }
        };
        if let Some((known, anchored)) = anchor {
            match self.store.hash_at(known) {
                Ok(Some(found)) if found == anchored && known < seq => {}
                Ok(Some(found)) if found == anchored => return,
                Ok(_) => {
                    // The anchor is the evidence: it stays where it is.
                    tracing::error!(
                        line = known,
                        "the audit log no longer holds the line that is anchored in the keychain"
                    );
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the audit log cannot be compared with its anchor");
                    return;
                }
            }
        }
        if let Err(error) = self.store.settle() {
            tracing::error!(%error, "the audit log could not be brought to the disk");
            return;
        }
        if let Err(error) = self.vault.write(ANCHOR, format!("{seq} {hash}").into()).await {
            tracing::warn!(%error, "the audit log could not be anchored");
        }
    }

    /// The anchored head.
    ///
    /// # Errors
    /// When the keychain cannot be read.
    pub(crate) async fn read_anchor(&self) -> Result<Option<(i64, String)>, KeychainError> {
        let Some(text) = self.vault.read(ANCHOR).await? else { return Ok(None) };
        let anchor =
            text.expose_secret().split_once(' ').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_owned())));
        anchor.map(Some).ok_or_else(|| KeychainError::Damaged("the anchor of the audit log".to_owned()))
    }

    /// The last things before the end; a renewal that is under way is waited for, so that nothing of it is lost.
    pub(crate) async fn wind_up(&self) {
        for entry in self.accounts.entries() {
            if tokio::time::timeout(Duration::from_secs(10), entry.renewing.lock()).await.is_err() {
                tracing::warn!(account = %entry.name, "a renewal is cut off");
            }
        }
        self.write_counts();
        if let Err(error) = self.store.save_use() {
            tracing::error!(%error, "the last use of grants could not be written");
        }
        let _ = tokio::time::timeout(Duration::from_secs(3), self.write_anchor()).await;
    }
}
