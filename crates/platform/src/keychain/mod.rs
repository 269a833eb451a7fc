//! The operating system's keychain.
//!
//! Invariant: every call ends within its timeout; a locked keychain answers [`KeychainError::Locked`] at once and no
//! prompt window opens unless [`SystemKeychain::unlock`] was asked for; "there is no such item" is said only when the
//! keychain was unlocked and said so. Secrets live in zeroized buffers and appear in no error.
//! Limit: any process of the same user may read an unlocked keychain. A write that hangs inside the keychain service when
//! its time is up may still happen later.

mod chunk;
mod memory;
#[cfg(not(target_os = "linux"))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;
mod worker;

pub use memory::Memory;

use broker::{
    ExposeSecret as _, SecretString,
    ports::{Keychain, KeychainError},
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use worker::Workers;
use zeroize::Zeroizing;

/// Longest name of a service or an item, in bytes.
const LONGEST_NAME: usize = 128;

/// Set when nobody waits for a call any more: what has not begun must not begin.
#[derive(Debug, Default)]
struct Cancelled(AtomicBool);

impl Cancelled {
    fn check(&self) -> Result<(), KeychainError> {
        if self.0.load(Ordering::Acquire) { Err(KeychainError::TimedOut) } else { Ok(()) }
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One system's items, as bytes. Lives on its worker thread; may block.
trait Store {
    /// Whether it can be used now, without reading anything.
    fn check(&mut self, cancelled: &Cancelled) -> Result<(), KeychainError>;
    fn read(&mut self, item: &str, cancelled: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError>;
    fn write(&mut self, item: &str, secret: &[u8], cancelled: &Cancelled) -> Result<(), KeychainError>;
    fn delete(&mut self, item: &str, cancelled: &Cancelled) -> Result<(), KeychainError>;
    /// Asks the person to unlock it.
    fn unlock(&mut self, cancelled: &Cancelled) -> Result<(), KeychainError>;
}

/// The system's keychain under one service name.
pub struct SystemKeychain {
    service: String,
    timeout: Duration,
    workers: Workers,
}

impl std::fmt::Debug for SystemKeychain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemKeychain").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Opens the system's keychain for `service`: `daypass`, or that with a test mark. Items of one service are never seen
/// under another.
///
/// Answers [`KeychainError::Absent`] when there is no keychain service, and `Ok` when there is one, locked or not.
/// `timeout` holds for this and every later call, [`SystemKeychain::unlock`] excepted. A service that comes, goes or
/// restarts later is noticed by later calls.
pub fn open(service: &str, timeout: Duration) -> Result<SystemKeychain, KeychainError> {
    check_name(service)?;
    let name = service.to_owned();
    let workers = Workers::new(move || system_store(&name, timeout));
    let keychain = SystemKeychain { service: service.to_owned(), timeout, workers };
    match keychain.status() {
        Ok(()) | Err(KeychainError::Locked) => Ok(keychain),
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn system_store(service: &str, timeout: Duration) -> Box<dyn Store> {
    Box::new(secret_service::SecretService::new(service, timeout))
}

#[cfg(not(target_os = "linux"))]
fn system_store(service: &str, _: Duration) -> Box<dyn Store> {
    let store = native::Native::new(service);
    if cfg!(windows) { Box::new(chunk::Chunked::new(store, chunk::WINDOWS_LIMIT)) } else { Box::new(store) }
}

impl SystemKeychain {
    /// Whether the keychain can be used now: `Ok`, [`KeychainError::Locked`], [`KeychainError::Absent`] and so on.
    /// Reads no item and opens no prompt.
    pub fn status(&self) -> Result<(), KeychainError> {
        self.workers.run(self.timeout, |store, cancelled| store.check(cancelled))
    }

    /// Asks the person to unlock the keychain, by the system's own prompt window, and waits at most `patience` for it.
    /// Call it only because the person asked for it.
    pub fn unlock(&self, patience: Duration) -> Result<(), KeychainError> {
        self.workers.run(patience, |store, cancelled| store.unlock(cancelled))
    }
}

impl Keychain for SystemKeychain {
    fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError> {
        check_name(item)?;
        let item = item.to_owned();
        self.workers.run(self.timeout, move |store, cancelled| match store.read(&item, cancelled)? {
            Some(bytes) => secret_text(bytes).map(Some),
            None => Ok(None),
        })
    }

    fn write(&self, item: &str, secret: &SecretString) -> Result<(), KeychainError> {
        check_name(item)?;
        let (item, secret) = (item.to_owned(), secret.clone());
        self.workers
            .run(self.timeout, move |store, cancelled| store.write(&item, secret.expose_secret().as_bytes(), cancelled))
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        check_name(item)?;
        let item = item.to_owned();
        self.workers.run(self.timeout, move |store, cancelled| store.delete(&item, cancelled))
    }
}

fn secret_text(mut bytes: Zeroizing<Vec<u8>>) -> Result<SecretString, KeychainError> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(KeychainError::Damaged("it is not text".to_owned()))
        }
    }
}

fn check_name(name: &str) -> Result<(), KeychainError> {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain) {
        Ok(())
    } else {
        Err(KeychainError::Failed("the name of a keychain item is 1 to 128 printable ASCII characters".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["daypass", "account/corp", "a"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "a b", "a\n", "\u{e9}", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_text_is_damaged() {
        assert!(matches!(secret_text(Zeroizing::new(vec![0xff])), Err(KeychainError::Damaged(_))));
        assert_eq!(secret_text(Zeroizing::new(b"x".to_vec())).unwrap().expose_secret(), "x");
    }
}
