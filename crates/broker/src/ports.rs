//! The outside world, as small traits. Implementations live in `platform`, `oidc` and `agent`; fakes live in tests.

use crate::words::Timestamp;
use secrecy::SecretString;

/// Wall-clock time that goes on while the machine sleeps.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Randomness fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's keychain. Blocking: call it on a thread that may wait.
///
/// Items are named by a short ASCII string such as `account/corp`. An implementation keeps what is written under one
/// name whole: a torn write is seen as [`KeychainError::Damaged`], never as another value.
pub trait Keychain: Send + Sync {
    /// Reads an item; `Ok(None)` only when the keychain answered that there is none.
    ///
    /// # Errors
    /// See [`KeychainError`].
    fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError>;

    /// Writes an item, replacing what was there. When it returns `Ok` the item is durable.
    ///
    /// # Errors
    /// See [`KeychainError`].
    fn write(&self, item: &str, secret: &SecretString) -> Result<(), KeychainError>;

    /// Deletes an item; deleting what is not there is fine.
    ///
    /// # Errors
    /// See [`KeychainError`].
    fn delete(&self, item: &str) -> Result<(), KeychainError>;
}

/// Why the keychain did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    /// There is no keychain service at all.
    #[error("no keychain service: {0}")]
    Absent(String),
    /// It is locked and nobody unlocked it in time.
    #[error("the keychain is locked")]
    Locked,
    /// The person dismissed the prompt, or access was denied.
    #[error("access to the keychain was denied")]
    Denied,
    /// It did not answer in time.
    #[error("the keychain did not answer in time")]
    TimedOut,
    /// The item is there but is not what was written.
    #[error("the keychain item is damaged: {0}")]
    Damaged(String),
    /// Anything else.
    #[error("the keychain failed: {0}")]
    Failed(String),
}
