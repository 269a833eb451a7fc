//! A keychain that forgets everything when the process ends.
//!
//! Invariant: nothing written here reaches a disk of its own accord; values are zeroized when replaced, deleted or dropped.

use broker::{
    SecretString,
    ports::{Keychain, KeychainError},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Keeps items in memory: for machines without a keychain, and for tests.
#[derive(Debug, Default)]
pub struct Memory {
    items: Mutex<HashMap<String, SecretString>>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Keychain for Memory {
    fn read(&self, item: &str) -> Result<Option<SecretString>, KeychainError> {
        Ok(self.items.lock().unwrap_or_else(PoisonError::into_inner).get(item).cloned())
    }

    fn write(&self, item: &str, secret: &SecretString) -> Result<(), KeychainError> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).insert(item.to_owned(), secret.clone());
        Ok(())
    }

    fn delete(&self, item: &str) -> Result<(), KeychainError> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).remove(item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::ExposeSecret as _;

    #[test]
    fn what_is_written_is_read_until_deleted() {
        let memory = Memory::new();
        assert!(memory.read("a").unwrap().is_none());
        memory.write("a", &SecretString::from("1")).unwrap();
        memory.write("a", &SecretString::from("CANARY")).unwrap();
        assert_eq!(memory.read("a").unwrap().unwrap().expose_secret(), "CANARY");
        assert!(!format!("{memory:?}").contains("CANARY"));
        memory.delete("a").unwrap();
        memory.delete("a").unwrap();
        assert!(memory.read("a").unwrap().is_none());
    }
}
