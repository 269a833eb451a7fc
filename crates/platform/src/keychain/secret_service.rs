//! The Secret Service of the Linux desktop (gnome-keyring and its like) through its `keyring-core` store.
//!
//! Invariant: before the store is asked for anything, the bus is asked whether the items and the default collection are
//! unlocked, because the store itself would open a prompt window and wait for it. A lost connection or session is made
//! anew once for each call.
//! Limit: a keychain locked between the question and the act can still prompt; the caller's timeout ends that.
//! Items are named by the attributes `service` and `username` and lie in the default collection.

use super::{Cancelled, Store};
use broker::ports::KeychainError;
use keyring::Error;
use keyring_core::{Entry, api::CredentialStoreApi as _};
use std::{collections::HashMap, error::Error as StdError, sync::Arc, time::Duration};
use zbus::{
    blocking::{Connection, Proxy, connection::Builder},
    zvariant::{OwnedObjectPath, OwnedValue},
};
use zbus_secret_service_keyring_store::Store as SystemStore;
use zeroize::Zeroizing;

const NAME: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const PROMPT: &str = "org.freedesktop.Secret.Prompt";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const NOTHING: &str = "/";
/// Longest error text of the bus that is passed on, in characters.
const LONGEST_TEXT: usize = 200;

pub(super) struct SecretService {
    service: String,
    timeout: Duration,
    bus: Option<Connection>,
    store: Option<Arc<SystemStore>>,
}

/// Why one attempt failed, and whether a new connection could change that.
struct Failure {
    error: KeychainError,
    worth_another: bool,
}

impl From<KeychainError> for Failure {
    fn from(error: KeychainError) -> Self {
        Self { error, worth_another: false }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Self {
        bus_failure(&error)
    }
}

impl From<zbus::zvariant::Error> for Failure {
    fn from(_: zbus::zvariant::Error) -> Self {
        KeychainError::Failed("the secret service's answer cannot be understood".to_owned()).into()
    }
}

fn bus_failure(error: &zbus::Error) -> Failure {
    let text = || plain(&error.to_string());
    match error {
        zbus::Error::MethodError(name, ..) => {
            let name = name.as_str();
            let last = name.rsplit('.').next().unwrap_or_default();
            match last {
                "ServiceUnknown" | "NameHasNoOwner" => {
                    KeychainError::Absent("no secret service on the session bus".to_owned()).into()
                }
                _ if name.contains(".Spawn.") => KeychainError::Absent(text()).into(),
                "IsLocked" => KeychainError::Locked.into(),
                "AccessDenied" | "AuthFailed" => KeychainError::Denied.into(),
                _ => Failure { error: KeychainError::Failed(text()), worth_another: true },
            }
        }
        zbus::Error::InputOutput(cause) => match cause.kind() {
            std::io::ErrorKind::TimedOut => KeychainError::TimedOut.into(),
            _ => Failure { error: KeychainError::Failed(text()), worth_another: true },
        },
        _ => Failure { error: KeychainError::Failed(text()), worth_another: true },
    }
}

/// The store wraps the errors of the bus; the cause is what counts.
fn store_failure(error: &Error) -> Failure {
    let cause: Option<&(dyn StdError + 'static)> = match error {
        Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => Some(&**cause),
        _ => None,
    };
    let mut next = cause;
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<zbus::Error>() {
            return bus_failure(error);
        }
        next = cause.source();
    }
    let text = cause.map(|cause| plain(&cause.to_string())).unwrap_or_default();
    match error {
        Error::NoStorageAccess(_) if text.contains("prompt") => KeychainError::Denied.into(),
        Error::NoStorageAccess(_) => KeychainError::Locked.into(),
        Error::PlatformFailure(_) if text.contains("no secret service provider") => KeychainError::Absent(text).into(),
        Error::PlatformFailure(_) => Failure { error: KeychainError::Failed(text), worth_another: true },
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::BadStoreFormat(_) => {
            KeychainError::Damaged("it is not what was written".to_owned()).into()
        }
        Error::Ambiguous(_) => KeychainError::Damaged("there are several items of that name".to_owned()).into(),
        _ => KeychainError::Failed("the store refused".to_owned()).into(),
    }
}

fn plain(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl SecretService {
    pub(super) fn new(service: &str, timeout: Duration) -> Self {
        Self { service: service.to_owned(), timeout, bus: None, store: None }
    }

    /// Runs an attempt, and once more over a new connection when the old one seems lost.
    fn attempt<T>(&mut self, act: impl Fn(&mut Self) -> Result<T, Failure>) -> Result<T, KeychainError> {
        match act(self) {
            Ok(value) => Ok(value),
            Err(failure) if failure.worth_another => {
                (self.bus, self.store) = (None, None);
                act(self).map_err(|failure| failure.error)
            }
            Err(failure) => Err(failure.error),
        }
    }

    fn bus(&mut self) -> Result<Connection, Failure> {
        if let Some(bus) = &self.bus {
            return Ok(bus.clone());
        }
        let built = Builder::session().and_then(|builder| builder.method_timeout(self.timeout).build());
        let bus = built.map_err(|error| match bus_failure(&error) {
            Failure { error: KeychainError::TimedOut, .. } => KeychainError::TimedOut,
            _ => KeychainError::Absent("no session bus".to_owned()),
        })?;
        self.bus = Some(bus.clone());
        Ok(bus)
    }

    fn default_collection(&mut self) -> Result<Option<OwnedObjectPath>, Failure> {
        let answer = self.bus()?.call_method(Some(NAME), PATH, Some(SERVICE), "ReadAlias", &("default",))?;
        let path: OwnedObjectPath = answer.body().deserialize()?;
        Ok((path.as_str() != NOTHING).then_some(path))
    }

    fn is_locked(&mut self, collection: &OwnedObjectPath) -> Result<bool, Failure> {
        let bus = self.bus()?;
        let answer = bus.call_method(Some(NAME), collection, Some(PROPERTIES), "Get", &(COLLECTION, "Locked"))?;
        let value: OwnedValue = answer.body().deserialize()?;
        Ok(bool::try_from(value)?)
    }

    /// The default collection, unlocked; [`KeychainError::Locked`] otherwise. None where there is no such collection.
    fn unlocked_collection(&mut self) -> Result<Option<OwnedObjectPath>, Failure> {
        match self.default_collection()? {
            Some(collection) if self.is_locked(&collection)? => Err(KeychainError::Locked.into()),
            other => Ok(other),
        }
    }

    /// How many items of this name there are; an error when any of them, or the place where they would be, is locked.
    fn count(&mut self, item: &str) -> Result<usize, Failure> {
        let bus = self.bus()?;
        let attributes = HashMap::from([("service", self.service.as_str()), ("username", item)]);
        let answer = bus.call_method(Some(NAME), PATH, Some(SERVICE), "SearchItems", &(attributes,))?;
        let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = answer.body().deserialize()?;
        if !locked.is_empty() {
            return Err(KeychainError::Locked.into());
        }
        if unlocked.is_empty() {
            self.unlocked_collection()?;
        }
        Ok(unlocked.len())
    }

    fn entry(&mut self, item: &str) -> Result<Entry, Failure> {
        let store = if let Some(store) = &self.store {
            Arc::clone(store)
        } else {
            let store = SystemStore::new().map_err(|error| store_failure(&error))?;
            Arc::clone(self.store.insert(store))
        };
        let label = format!("Daypass: {item}");
        let modifiers = HashMap::from([("label", label.as_str())]);
        store.build(&self.service, item, Some(&modifiers)).map_err(|error| store_failure(&error))
    }
}

impl Store for SecretService {
    fn check(&mut self, _: &Cancelled) -> Result<(), KeychainError> {
        self.attempt(|this| this.unlocked_collection()?.map(drop).ok_or_else(no_collection))
    }

    fn read(&mut self, item: &str, cancelled: &Cancelled) -> Result<Option<Zeroizing<Vec<u8>>>, KeychainError> {
        self.attempt(|this| {
            if this.count(item)? == 0 {
                return Ok(None);
            }
            cancelled.check()?;
            match this.entry(item)?.get_secret() {
                Ok(secret) => Ok(Some(Zeroizing::new(secret))),
                Err(Error::NoEntry) => Ok(None),
                Err(error) => Err(store_failure(&error)),
            }
        })
    }

    fn write(&mut self, item: &str, secret: &[u8], cancelled: &Cancelled) -> Result<(), KeychainError> {
        self.attempt(|this| {
            if this.count(item)? == 0 && this.unlocked_collection()?.is_none() {
                return Err(no_collection());
            }
            cancelled.check()?;
            let entry = this.entry(item)?;
            match entry.set_secret(secret) {
                Ok(()) => Ok(()),
                // Somebody copied the item: one gets the value, the others go.
                Err(Error::Ambiguous(entries)) => {
                    let mut entries = entries.into_iter();
                    let first = entries.next().map_or(Ok(()), |first| first.set_secret(secret));
                    first
                        .and_then(|()| entries.try_for_each(|entry| entry.delete_credential()))
                        .map_err(|error| store_failure(&error))
                }
                Err(error) => Err(store_failure(&error)),
            }
        })
    }

    fn delete(&mut self, item: &str, cancelled: &Cancelled) -> Result<(), KeychainError> {
        self.attempt(|this| {
            if this.count(item)? == 0 {
                return Ok(());
            }
            cancelled.check()?;
            match this.entry(item)?.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => Ok(()),
                Err(Error::Ambiguous(entries)) => {
                    entries.iter().try_for_each(Entry::delete_credential).map_err(|error| store_failure(&error))
                }
                Err(error) => Err(store_failure(&error)),
            }
        })
    }

    fn unlock(&mut self, cancelled: &Cancelled) -> Result<(), KeychainError> {
        self.attempt(|this| {
            let Some(collection) = this.default_collection()? else { return Err(no_collection()) };
            if !this.is_locked(&collection)? {
                return Ok(());
            }
            cancelled.check()?;
            let bus = this.bus()?;
            let answer = bus.call_method(Some(NAME), PATH, Some(SERVICE), "Unlock", &(vec![&collection],))?;
            let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = answer.body().deserialize()?;
            if prompt.as_str() != NOTHING {
                let proxy = Proxy::new(&bus, NAME, prompt, PROMPT)?;
                let mut completed = proxy.receive_signal("Completed")?;
                proxy.call_method("Prompt", &("",))?;
                let signal = completed.next().ok_or(KeychainError::TimedOut)?;
                let (dismissed, _): (bool, OwnedValue) = signal.body().deserialize()?;
                if dismissed {
                    return Err(KeychainError::Denied.into());
                }
            }
            if this.is_locked(&collection)? { Err(KeychainError::Locked.into()) } else { Ok(()) }
        })
    }
}

fn no_collection() -> Failure {
    let text = "the secret service has no default collection\nhint: create a default keyring in your desktop's password \
                application";
    KeychainError::Absent(text.to_owned()).into()
}
