//! What is known of the profile last in force, for the next agent to compare with.

use super::{Store, StoreError, lock, meta};

/// Says in a database of an earlier version that nothing is known of the profile.
pub(super) const UPGRADED: &str = "INSERT OR IGNORE INTO meta (key, value) VALUES ('profile', 'upgraded')";

impl Store {
    /// A value noted under this key.
    pub(crate) fn known(&self, key: &str) -> Result<Option<String>, StoreError> {
        meta(&lock(&self.connection), key)
    }

    /// Notes a value under this key, in place of an earlier one.
    pub(crate) fn know(&self, key: &str, value: &str) -> Result<(), StoreError> {
        lock(&self.connection)
            .prepare_cached("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")?
            .execute([key, value])?;
        Ok(())
    }
}
