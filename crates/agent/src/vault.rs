//! The keychain as the agent uses it: off the event loop, with a memory-only stand-in where there is none.
//!
//! Invariant: nothing secret goes anywhere else. In memory-only mode that is said, and nothing outlives the process.

use broker::{
    SecretString,
    ports::{Keychain, KeychainError},
};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Opens the system's keychain; blocking.
pub(crate) type Opener = Arc<dyn Fn() -> Result<Arc<dyn Keychain>, KeychainError> + Send + Sync>;

/// Where secrets are kept.
pub(crate) struct Vault {
    keychain: Mutex<Arc<dyn Keychain>>,
    system: AtomicBool,
    absent_because: Mutex<Option<String>>,
    opener: Opener,
    prefix: &'static str,
}

impl Vault {
    /// Opens the system's keychain, or memory where there is none; `test_mark` keeps test items apart from real ones.
    pub(crate) fn open(opener: Opener, memory: Arc<dyn Keychain>, test_mark: bool) -> Self {
        let (keychain, system, reason) = match opener() {
            Ok(keychain) => (keychain, true, None),
            Err(error) => (memory, false, Some(error.to_string())),
        };
        Self {
            keychain: Mutex::new(keychain),
            system: AtomicBool::new(system),
            absent_because: Mutex::new(reason),
            opener,
            prefix: if test_mark { "test-policy/" } else { "" },
        }
    }

    /// Whether what is written survives the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.system.load(Ordering::Relaxed)
    }

    /// Why there is no keychain, in memory-only mode.
    pub(crate) fn absent_because(&self) -> Option<String> {
        self.absent_because.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// In memory-only mode: looks whether a keychain has come up since. True when it just has.
    pub(crate) async fn look_again(&self) -> bool {
        if self.is_durable() {
            return false;
        }
        let opener = Arc::clone(&self.opener);
        match tokio::task::spawn_blocking(move || opener()).await {
            Ok(Ok(keychain)) => {
                *self.keychain.lock().unwrap_or_else(PoisonError::into_inner) = keychain;
                *self.absent_because.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.system.store(true, Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// Reads an item.
    pub(crate) async fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError> {
        self.call(item, |keychain, item| keychain.read(item)).await
    }

    /// Writes an item. `Ok(true)` when it is durable now, `Ok(false)` when it went to memory.
    pub(crate) async fn write(&self, item: &str, secret: SecretString) -> Result<bool, KeychainError> {
        let durable = self.is_durable();
        self.call(item, move |keychain, item| keychain.write(item, &secret)).await.map(|()| durable)
    }

    /// Deletes an item. `Ok(true)` when the system's keychain no longer has it, `Ok(false)` when only memory was asked.
    pub(crate) async fn delete(&self, item: &str) -> Result<bool, KeychainError> {
        let durable = self.is_durable();
        self.call(item, |keychain, item| keychain.delete(item)).await.map(|()| durable)
    }

    async fn call<T: Send + 'static>(
        &self,
        item: &str,
        call: impl FnOnce(&dyn Keychain, &str) -> Result<T, KeychainError> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let keychain = Arc::clone(&self.keychain.lock().unwrap_or_else(PoisonError::into_inner));
        let item = format!("{}{item}", self.prefix);
        tokio::task::spawn_blocking(move || call(keychain.as_ref(), &item))
            .await
            .unwrap_or_else(|_| Err(KeychainError::Failed("the keychain call ended unexpectedly".to_owned())))
    }
}
