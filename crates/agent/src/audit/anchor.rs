//! The head of the log in the keychain, and how much of its start may be gone.
//!
//! Invariant: an anchor that no longer fits is evidence and stays. An anchor never names a line a power cut could take, and
//! says that lines may be gone before they are.

use crate::{
    agent::Agent,
    store::{Anchor, AuditEntry, Start, StoreError},
    times,
};
use broker::{ExposeSecret, ports::KeychainError};

const ITEM: &str = "audit-anchor";

/// What became of anchoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchored {
    /// The keychain has it.
    Yes,
    /// There is no keychain.
    NoKeychain,
    /// It failed; the agent's log says why.
    No,
}

impl Agent {
    /// Anchors the head of the audit log in the keychain, where there is one.
    pub(crate) async fn write_anchor(&self) {
        let _turn = self.audit.turn.lock().await;
        self.anchor(None).await;
    }

    /// Anchors the head, and where a `start` is given, that lines before it may be gone. For whoever has the turn.
    pub(super) async fn anchor(&self, start: Option<&Start>) -> Anchored {
        if !self.vault.is_durable() || self.store.head().0 == 0 {
            return Anchored::NoKeychain;
        }
        let known = match self.read_anchor().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "the audit log is not anchored: the keychain cannot be read");
                return Anchored::No;
            }
        };
        if known.is_none()
            && let Err(error) = self.say_the_anchor_is_gone()
        {
            tracing::error!(%error, "the audit log is not anchored: nothing can be written about its anchor");
            return Anchored::No;
        }
        let (seq, hash) = self.store.head();
        if let Some(known) = &known {
            match self.store.hash_at(known.seq) {
                Ok(Some(found)) if found == known.hash && (known.seq < seq || start.is_some()) => {}
                Ok(Some(found)) if found == known.hash => return Anchored::Yes,
                Ok(_) => {
                    // The anchor is the evidence: it stays where it is.
                    tracing::error!(
                        line = known.seq,
                        "the audit log no longer holds the line that is anchored in the keychain"
                    );
                    return Anchored::No;
                }
                Err(error) => {
                    tracing::error!(%error, "the audit log cannot be compared with its anchor");
                    return Anchored::No;
                }
            }
        }
        // A database that cannot note it would take lines out without a keychain later: rather no anchor.
        if let Err(error) = self.store.settle().and_then(|()| self.store.note_anchored()) {
            tracing::error!(%error, "the audit log could not be brought to the disk");
            return Anchored::No;
        }
        // Without an anchor so far, how much is gone is what the log itself says, and what the chain has to bear out.
        let before = match known {
            Some(known) => Ok(known.start),
            None => self.store.audit_start(),
        };
        let before = match before {
            Ok(before) => before,
            Err(error) => {
                tracing::error!(%error, "it cannot be told where the audit log begins");
                return Anchored::No;
            }
        };
        let start = start.cloned().or(before);
        let anchor = Anchor { start, ..Anchor::from((seq, hash)) };
        match self.vault.write(ITEM, anchor.to_string().into()).await {
            Ok(true) => {
                if let Err(error) = self.store.note_anchor_there() {
                    tracing::warn!(%error, "that the audit log is anchored again could not be noted");
                }
                Anchored::Yes
            }
            Ok(false) => Anchored::NoKeychain,
            Err(error) => {
                tracing::warn!(%error, "the audit log could not be anchored");
                Anchored::No
            }
        }
    }

    /// A log that was anchored and whose anchor is gone says so before it is anchored anew: what was cut off in between
    /// would not be seen.
    fn say_the_anchor_is_gone(&self) -> Result<(), StoreError> {
        if !self.store.was_anchored()? {
            return Ok(());
        }
        let line = AuditEntry { event: "audit.unanchored", code: "ok".to_owned(), ..AuditEntry::default() };
        self.store.note_anchor_gone(line, times::rfc3339_millis(self.now()))
    }

    /// The anchored head.
    ///
    /// # Errors
    /// When the keychain cannot be read.
    pub(crate) async fn read_anchor(&self) -> Result<Option<Anchor>, KeychainError> {
        let Some(text) = self.vault.read(ITEM).await? else { return Ok(None) };
        let anchor = Anchor::parse(text.expose_secret());
        anchor.map(Some).ok_or_else(|| KeychainError::Damaged("the anchor of the audit log".to_owned()))
    }
}
