//! The keychains of macOS and Windows through the `keyring` crate. Untested: nothing here has run on those systems.
//!
//! Invariant: an error that is not understood is a failure, never "no such item".

use super::{Cancelled, Store};
use broker::ports::KeychainError;
use keyring::{Entry, Error};
use zeroize::Zeroizing;

pub(super) struct Native {
    service: String,
}

impl Native {
    pub(super) fn new(service: &str) -> Self {
        Self { service: service.to_owned() }
    }

    fn entry(&self, item: &str) -> Result<Entry, KeychainError> {
        Entry::new(&self.service, item).map_err(told)
    }
}

fn told(error: Error) -> KeychainError {
    match error {
        Error::NoStorageAccess(_) => KeychainError::Locked,
        Error::NoDefaultStore => KeychainError::Absent("the system's store could not be opened".to_owned()),
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::BadStoreFormat(_) => {
            KeychainError::Damaged("it is not what was written".to_owned())
        }
        Error::Ambiguous(_) => KeychainError::Damaged("there are several items of that name".to_owned()),
        Error::TooLong(..) => KeychainError::Failed("the secret is too large for this keychain".to_owned()),
        _ => KeychainError::Failed("the system's store refused".to_owned()),
    }
}

impl Store for Native {
    fn check(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
        match Entry::store_status() {
            Ok(()) => Ok(()),
            Err(_) => Err(KeychainError::Absent("the system's store could not be opened".to_owned())),
        }
    }

    fn read(&mut self, item: &str, cancelled: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        cancelled.check()?;
        match self.entry(item)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    fn write(&mut self, item: &str, secret: &[u8], cancelled: &Cancelled) -> Result<(), KeychainError> {
        cancelled.check()?;
        self.entry(item)?.set_secret(secret).map_err(told)
    }

    fn delete(&mut self, item: &str, cancelled: &Cancelled) -> Result<(), KeychainError> {
        cancelled.check()?;
        match self.entry(item)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(told(error)),
        }
    }

    fn unlock(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
        Err(KeychainError::Failed("this system unlocks its keychain itself".to_owned()))
    }
}
