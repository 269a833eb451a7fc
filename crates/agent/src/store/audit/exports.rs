//! How far the log was exported: a cursor for each target, so that a restart neither leaves a line out nor repeats more
//! than the one that was being sent.

use crate::store::{Store, StoreError, lock};
use rusqlite::{OptionalExtension as _, params};

impl Store {
    /// The last line a target was given; `None` when it never was a target.
    pub(crate) fn exported(&self, target: &str) -> Result<Option<i64>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached("SELECT seq FROM audit_exports WHERE target = ?1")?;
        Ok(statement.query_row([target], |row| row.get(0)).optional()?)
    }

    /// Notes the last line a target was given.
    pub(crate) fn note_exported(&self, target: &str, seq: i64) -> Result<(), StoreError> {
        lock(&self.connection)
            .prepare_cached("INSERT OR REPLACE INTO audit_exports VALUES (?1, ?2)")?
            .execute(params![target, seq])?;
        Ok(())
    }
}
