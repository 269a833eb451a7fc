//! Cookie sessions of programs, kept as hashes.

use super::{Store, StoreError, lock};
use broker::{ProgramKey, Timestamp};
use rusqlite::params;

/// A cookie session between a program and the broker.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// SHA-256 of the cookie's value, hexadecimal.
    pub(crate) hash: String,
    /// The program it is bound to.
    pub(crate) program: ProgramKey,
    /// When it ends.
    pub(crate) expires: Timestamp,
}

impl Store {
    /// Keeps a new session.
    pub(crate) fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        lock(&self.connection).execute(
            "INSERT INTO sessions (hash, program, created, expires) VALUES (?1, ?2, ?3, ?4)",
            params![session.hash, session.program.as_str(), now.as_millis(), session.expires.as_millis()],
        )?;
        Ok(())
    }

    /// Finds a session that has not ended.
    pub(crate) fn session(&self, hash: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare_cached("SELECT program, expires FROM sessions WHERE hash = ?1 AND expires > ?2")?;
        let mut rows = statement.query(params![hash, now.as_millis()])?;
        Ok(rows
            .next()?
            .map(|row| {
                Ok::<_, rusqlite::Error>(Session {
                    hash: hash.to_owned(),
                    program: ProgramKey::new(row.get(0)?),
                    expires: Timestamp::from_millis(row.get(1)?),
                })
            })
            .transpose()?)
    }

    /// Ends a session.
    pub(crate) fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        lock(&self.connection).execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
        Ok(())
    }

    /// Forgets sessions that have ended.
    pub(crate) fn tidy_sessions(&self, now: Timestamp) -> Result<(), StoreError> {
        lock(&self.connection).execute("DELETE FROM sessions WHERE expires <= ?1", [now.as_millis()])?;
        Ok(())
    }
}
