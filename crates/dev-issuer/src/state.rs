//! What the provider remembers. Everything is behind one lock, so a request takes effect completely or not at all.

use crate::{
    config::{Config, Registration},
    fault::Faults,
    imitation::Quirks,
    journal::Journal,
    keys::{EntropyError, KeySet, random},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time as Entra ID writes it: `2026-01-01 00:00:00Z`.
pub(crate) fn date_of(seconds: u64) -> String {
    let date = httpdate::HttpDate::from(UNIX_EPOCH + std::time::Duration::from_secs(seconds)).to_string();
    let parts: Vec<&str> = date.split(' ').collect();
    let [_, day, month, year, time, _] = parts.as_slice() else { return date };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| name == month).unwrap_or_default() + 1;
    format!("{year}-{month:02}-{day} {time}Z")
}

/// What every connection shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) address: String,
    pub(crate) issuer: String,
    pub(crate) quirks: Quirks,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(config: Config, address: String) -> Result<Self, EntropyError> {
        let issuer = format!("{address}{}", config.issuer_path);
        let state = State {
            store: Store { canary: config.canary, ..Store::default() },
            keys: KeySet::generate()?,
            faults: Faults::default(),
            journal: Journal::default(),
        };
        let quirks = Quirks::of(&config);
        Ok(Self { config, address, issuer, quirks, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<&Registration> {
        self.config.clients.iter().find(|client| client.client_id == client_id)
    }
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) keys: KeySet,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
}

/// An authorization request whose person has not signed in yet.
#[derive(Clone)]
pub(crate) struct Interaction {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) challenge: String,
    pub(crate) acr: Option<String>,
    /// Whether offline access is asked for by another parameter than a scope, and consent anew.
    pub(crate) access_type: bool,
    pub(crate) consent: bool,
    /// The device that waits for this, by its device code; then there is no redirect URI.
    pub(crate) device: Option<String>,
    pub(crate) expires: u64,
}

/// Who signed in, and when.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) subject: String,
    pub(crate) at: u64,
}

/// An authorization code.
pub(crate) struct Code {
    pub(crate) asked: Interaction,
    pub(crate) who: SignedIn,
    pub(crate) expires: u64,
    /// The family it was redeemed for.
    pub(crate) redeemed: Option<usize>,
    pub(crate) burnt: bool,
}

/// Everything that came from one authorization; it is revoked together.
#[derive(Clone)]
pub(crate) struct Family {
    pub(crate) client_id: String,
    pub(crate) who: SignedIn,
    pub(crate) scope: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) acr: Option<String>,
    pub(crate) revoked: bool,
}

/// What became of a device that waits (RFC 8628).
#[derive(Clone)]
pub(crate) enum Waiting {
    Pending,
    Approved(SignedIn),
    Denied,
}

/// A device that waits for a person elsewhere.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) client_id: String,
    pub(crate) user_code: String,
    pub(crate) scope: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) expires: u64,
    /// Seconds to leave between two polls, and the last one.
    pub(crate) interval: u64,
    pub(crate) polled: u64,
    pub(crate) state: Waiting,
}

/// A refresh token.
pub(crate) struct Refresh {
    pub(crate) family: usize,
    pub(crate) expires: u64,
    pub(crate) rotated: bool,
}

/// An opaque access token.
pub(crate) struct Access {
    pub(crate) family: usize,
    pub(crate) scope: Vec<String>,
    pub(crate) expires: u64,
}

/// Codes, tokens and browsers, by the secret that names them.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) canary: bool,
    pub(crate) interactions: HashMap<String, Interaction>,
    pub(crate) browsers: HashMap<String, SignedIn>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) devices: HashMap<String, Device>,
    /// Who consented to what client so far.
    pub(crate) consented: HashSet<(String, String)>,
    pub(crate) families: Vec<Family>,
    pub(crate) refresh: HashMap<String, Refresh>,
    pub(crate) access: HashMap<String, Access>,
    pub(crate) issued: Vec<SecretString>,
}

impl Store {
    /// A new random secret that says what it is, and is a canary where wanted.
    pub(crate) fn secret(&self, kind: &str) -> Result<String, EntropyError> {
        let canary = if self.canary { "CANARY-" } else { "" };
        Ok(format!("{kind}_{canary}{}", URL_SAFE_NO_PAD.encode(random::<32>()?)))
    }

    /// Remembers what left the house.
    pub(crate) fn note(&mut self, secret: &str) {
        self.issued.push(SecretString::from(secret.to_owned()));
    }

    pub(crate) fn revoke_family(&mut self, family: usize) {
        if let Some(family) = self.families.get_mut(family) {
            family.revoked = true;
        }
    }

    pub(crate) fn revoke_all(&mut self) {
        for family in &mut self.families {
            family.revoked = true;
        }
        self.browsers.clear();
        self.interactions.clear();
    }

    /// The family, unless it was revoked.
    pub(crate) fn living(&self, family: usize) -> Option<&Family> {
        self.families.get(family).filter(|family| !family.revoked)
    }
}
