//! Lines that are older than the profile keeps them leave, a bounded number at a time.
//!
//! Invariant: first the keychain and then the chain itself say up to where lines go, and only then they go
//! ([`crate::store`]: `audit/trim.rs`). Nothing goes while nobody knows how long lines are kept, while a keychain that once
//! had an anchor is away, or where what would go does not verify.

use super::anchor::Anchored;
use crate::{
    agent::Agent,
    store::{AuditEntry, Start, StoreError, TrimError, lock},
};
use std::{sync::Arc, time::Duration};

/// Between two transactions that take lines out, so that tokens get their turn.
const BREATH: Duration = Duration::from_millis(20);

impl Agent {
    /// Once a minute: the anchor, and the times of whole blocks of lines.
    pub(crate) async fn tend_audit(self: &Arc<Self>) {
        let _turn = self.audit.turn.lock().await;
        self.anchor(None).await;
        if let Err(error) = self.sum_up().await {
            tracing::error!(error, "the times of the audit log could not be summed up");
        }
    }

    async fn sum_up(self: &Arc<Self>) -> Result<(), String> {
        let summed_up = self.blocking(|agent| {
            while agent.store.sum_up_lines()? {}
            Ok(())
        });
        summed_up.await?.map_err(|error: StoreError| error.to_string())
    }

    /// One run: at most a batch of lines. Whoever comes while one is under way is let off.
    pub(crate) async fn trim_audit(self: Arc<Self>) {
        let Ok(_turn) = self.audit.turn.try_lock() else { return };
        let outcome = self.trim().await;
        if let Err(why) = &outcome {
            tracing::warn!(why, "old lines stay in the audit log");
        }
        *lock(&self.audit.stuck) = outcome.err();
    }

    async fn trim(self: &Arc<Self>) -> Result<(), String> {
        let rules = self.rules();
        if rules.locked.is_some() {
            return Ok(());
        }
        let (now, retention) = (self.now(), rules.audit.retention);
        self.sum_up().await?;
        let planned = self.blocking(move |agent| agent.store.plan_trim(agent.store.believe(now)?, retention)).await?;
        let Some(start) = planned.map_err(|error: TrimError| error.to_string())? else { return Ok(()) };
        match self.anchor(Some(&start)).await {
            Anchored::Yes => {}
            Anchored::NoKeychain if !self.store.was_anchored().map_err(|error| error.to_string())? => {}
            Anchored::NoKeychain => return Err("the keychain that anchors it is not there".to_owned()),
            Anchored::No => return Err("the keychain could not be told up to where they go".to_owned()),
        }
        let said = AuditEntry {
            event: Start::EVENT,
            code: "ok".to_owned(),
            via: Some(start.to_string()),
            ..AuditEntry::default()
        };
        let time = crate::times::rfc3339_millis(now);
        self.store.append(said, time).map_err(|error| error.to_string())?;
        loop {
            let to = start.clone();
            let more = self.blocking(move |agent| agent.store.trim_step(&to)).await?;
            if !more.map_err(|error| error.to_string())? {
                return Ok(());
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, String> {
        let agent = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&agent)).await.map_err(|error| error.to_string())
    }
}
