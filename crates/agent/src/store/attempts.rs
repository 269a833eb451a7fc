//! How often a refresh token was used without a durable answer: written before the token is sent, so that a crash at
//! any moment is counted.

use super::{Store, StoreError, lock};
use broker::Timestamp;
use rusqlite::params;

/// A refresh that may have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Uses so far without a durable answer.
    pub(crate) uses: u32,
    /// When the last one began.
    pub(crate) started: Timestamp,
}

impl Store {
    /// Attempts known for the refresh token with this fingerprint.
    pub(crate) fn attempt(&self, account: &str, fingerprint: &str) -> Result<Option<Attempt>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare_cached("SELECT uses, started FROM attempts WHERE account = ?1 AND fingerprint = ?2")?;
        let mut rows = statement.query([account, fingerprint])?;
        Ok(rows
            .next()?
            .map(|row| {
                Ok::<_, rusqlite::Error>(Attempt { uses: row.get(0)?, started: Timestamp::from_millis(row.get(1)?) })
            })
            .transpose()?)
    }

    /// Sets how often this refresh token was used without a durable answer; zero forgets it.
    pub(crate) fn set_attempts(
        &self,
        account: &str,
        fingerprint: &str,
        uses: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let connection = lock(&self.connection);
        if uses == 0 {
            connection
                .execute("DELETE FROM attempts WHERE account = ?1 AND fingerprint = ?2", [account, fingerprint])?;
        } else {
            connection.execute(
                "INSERT INTO attempts (account, fingerprint, uses, started) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account, fingerprint) DO UPDATE SET uses = ?3, started = ?4",
                params![account, fingerprint, uses, now.as_millis()],
            )?;
        }
        Ok(())
    }
}
