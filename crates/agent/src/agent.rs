//! The agent: everything it consists of, in one place.

use crate::{
    accounts::Accounts,
    audit::Audit,
    consents::Consents,
    lock_state::{Screen, Turns},
    minting::Mint,
    notices::Notices,
    pages::Pages,
    pause::Pause,
    profiles::{Profiles, Snapshot},
    sign_in::SignIns,
    store::{AuditEntry, Store},
    times,
    vault::Vault,
};
use broker::{
    Rules, Timestamp,
    ports::{Clock, Entropy},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// What listeners of `/v1/events` are told.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What changed, or `show`.
    pub(crate) name: &'static str,
    /// The page to show.
    pub(crate) page: Option<String>,
}

/// A running agent.
pub struct Agent {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) vault: Vault,
    pub(crate) accounts: Accounts,
    pub(crate) consents: Consents,
    pub(crate) oidc: oidc::Client,
    pub(crate) lookup: Arc<platform::peer::Lookup>,
    pub(crate) mint: Mint,
    pub(crate) profiles: Profiles,
    pub(crate) pages: Pages,
    pub(crate) sign_ins: SignIns,
    pub(crate) screen: Screen,
    pub(crate) pause: Pause,
    pub(crate) turns: Turns,
    /// What people are told by notifications.
    pub(crate) told: Notices,
    /// Base address, `http://127.0.0.1:PORT`.
    pub(crate) address: String,
    pub(crate) uid: u32,
    pub(crate) started: Instant,
    pub(crate) test_policy: bool,
    pub(crate) desktops: AtomicUsize,
    /// Held by whoever tends the records, so that one round does not overtake another.
    pub(crate) tending: tokio::sync::Mutex<()>,
    pub(crate) notices: Mutex<Vec<String>>,
    pub(crate) events: tokio::sync::broadcast::Sender<Event>,
    pub(crate) refusals: Mutex<std::collections::HashMap<(&'static str, String), u64>>,
}

impl Agent {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.profiles.current()
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.snapshot().rules)
    }

    /// Writes an audit line that nothing waits for; a failure is an error in the log.
    pub(crate) fn log(&self, entry: AuditEntry) {
        if let Err(error) = self.store.append(entry, times::rfc3339_millis(self.now())) {
            tracing::error!(%error, "an audit line could not be written");
        }
    }

    /// Tells whoever listens that something of this kind changed.
    pub(crate) fn changed(&self, what: &'static str) {
        // Nobody listening is fine.
        let _ = self.events.send(Event { name: what, page: None });
    }

    /// Brings one of our pages before the person: in a desktop's window, else in the browser. `page` is a word of
    /// `POST /v1/open`, `path` its address.
    pub(crate) fn show_page(&self, page: &str, path: &str) {
        if self.has_desktop() {
            let _ = self.events.send(Event { name: "show", page: Some(page.to_owned()) });
        } else {
            self.open_page(&self.rules(), path);
        }
    }

    /// Whether a desktop is attached that shows questions.
    pub(crate) fn has_desktop(&self) -> bool {
        self.desktops.load(Ordering::Relaxed) > 0
    }
}
