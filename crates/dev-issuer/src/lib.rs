//! A small OpenID Provider for development and tests: it behaves like a real one until told to misbehave.
//!
//! It serves authorization code with PKCE, device authorization, refresh with rotation, revocation and userinfo on loopback
//! http, and any user name with any password signs in. It keeps one invariant that tests lean on: a request either changes its state
//! completely or not at all, and every request shows in the journal, which holds no secret.
//!
//! It protects nothing: its keys and tokens live in memory, whoever reaches its port commands it. Never use it for a
//! real account. Particular providers are imitated by an [`Imitation`]; what goes wrong is an [`Order`].

mod authorize;
mod config;
mod device;
mod fault;
mod imitation;
mod journal;
mod keys;
mod metadata;
mod page;
mod server;
mod state;
mod token;
pub mod user_agent;
pub mod wire;

pub use config::{Behaviour, Config, Registration, StartError};
pub use fault::{Action, Command, Endpoint, Fault, JwtChange, KeyChange, Only, Order};
pub use imitation::{Imitation, UnknownImitation};
pub use journal::{Counters, Entry, Journal};
pub use keys::{EntropyError, Key, p256_spki_pem};

use secrecy::SecretString;
use state::Shared;
use std::{net::Ipv4Addr, sync::Arc, thread::JoinHandle};
use tokio::sync::oneshot;

/// A running provider. Dropping it closes its port and every connection.
pub struct DevIssuer {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DevIssuer {
    /// Starts the provider on a thread of its own, on 127.0.0.1; it answers as soon as this returns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))
            .map_err(|error| StartError::Bind { port: config.port, error })?;
        listener.set_nonblocking(true).map_err(StartError::Runtime)?;
        let address = listener.local_addr().map_err(StartError::Runtime)?;
        let shared = Arc::new(Shared::new(config, format!("http://{address}"))?);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(StartError::Runtime)?
        };
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("dev-issuer".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = server::serve(listener, served) => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(StartError::Runtime)?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The issuer identifier, with its path where one was configured.
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Address of the server, `http://127.0.0.1:PORT`; `/control` and `/log` are here.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Makes something go wrong, as `POST /control` does.
    pub fn order(&self, order: Order) {
        self.shared.lock().faults.push(order);
    }

    /// Forgets every order that is still open. What was issued stays.
    pub fn reset_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Signs with a new key from now on; with `keep_old` the JWKS still lists the old ones.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn rotate_key(&self, keep_old: bool) -> Result<(), EntropyError> {
        self.shared.lock().keys.rotate(keep_old)
    }

    /// Revokes every refresh token and opaque access token, and forgets every browser.
    pub fn revoke_all(&self) {
        self.shared.lock().store.revoke_all();
    }

    /// What was asked so far, and how often. No secret in it.
    pub fn journal(&self) -> Journal {
        self.shared.lock().journal.clone()
    }

    /// How often what happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.lock().journal.counters.clone()
    }

    /// Every code, access token, refresh token and ID token issued so far, for tests that search where they must not be.
    pub fn issued(&self) -> Vec<SecretString> {
        self.shared.lock().store.issued.clone()
    }
}

impl Drop for DevIssuer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may be gone already; then there is nothing to stop.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
