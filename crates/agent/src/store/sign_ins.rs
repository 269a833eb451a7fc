//! Who is, or was last, signed in to which account, as far as can be said without secrets.

use super::{Store, StoreError, lock};
use rusqlite::params;

/// Where a sign-in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The keychain has it.
    Kept,
    /// This agent alone has it.
    Memory,
    /// Its keychain item is still to be deleted and counts for nothing.
    Erasing,
    /// It is gone.
    Ended,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Memory => "memory",
            Self::Erasing => "erasing",
            Self::Ended => "ended",
        }
    }
}

/// The person of a sign-in, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

impl Store {
    /// Who is, or was last, signed in, and where that stands.
    pub(crate) fn sign_in(&self, account: &str) -> Result<Option<(Person, Standing)>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare_cached("SELECT issuer, subject, state FROM sign_ins WHERE account = ?1")?;
        let mut rows = statement.query([account])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let state: String = row.get(2)?;
        let all = [Standing::Kept, Standing::Memory, Standing::Erasing, Standing::Ended];
        let standing = all.into_iter().find(|s| s.as_str() == state).unwrap_or(Standing::Ended);
        Ok(Some((Person { issuer: row.get(0)?, subject: row.get(1)? }, standing)))
    }

    /// Notes who is signed in now.
    pub(crate) fn note_sign_in(&self, account: &str, person: &Person, standing: Standing) -> Result<(), StoreError> {
        lock(&self.connection).execute(
            "INSERT INTO sign_ins (account, issuer, subject, state) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account) DO UPDATE SET issuer = ?2, subject = ?3, state = ?4",
            params![account, person.issuer, person.subject, standing.as_str()],
        )?;
        Ok(())
    }

    /// Notes how far the end of a sign-in has come. Who it was is remembered, so that nobody else inherits anything.
    pub(crate) fn note_end(&self, account: &str, standing: Standing) -> Result<(), StoreError> {
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        // The last step ends only what the first one began: a new sign-in may have taken the place.
        transaction.execute(
            "UPDATE sign_ins SET state = ?2 WHERE account = ?1 AND (?2 <> 'ended' OR state = 'erasing')",
            [account, standing.as_str()],
        )?;
        if standing == Standing::Ended {
            transaction.execute("DELETE FROM attempts WHERE account = ?1", [account])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Whether the last sign-in to this account ended because a person signed out.
    pub(crate) fn signed_out(&self, account: &str) -> Result<bool, StoreError> {
        let connection = lock(&self.connection);
        Ok(super::meta(&connection, &signed_out_key(account))?.is_some())
    }

    /// Notes that a person signed out of this account, or in again.
    pub(crate) fn note_sign_out(&self, account: &str, signed_out: bool) -> Result<(), StoreError> {
        let connection = lock(&self.connection);
        if signed_out {
            let add = "INSERT INTO meta (key, value) VALUES (?1, '1') ON CONFLICT (key) DO NOTHING";
            connection.execute(add, [signed_out_key(account)])?;
        } else {
            connection.execute("DELETE FROM meta WHERE key = ?1", [signed_out_key(account)])?;
        }
        Ok(())
    }

    /// Accounts somebody is signed in to, as far as is known.
    pub(crate) fn who_is_signed_in(&self) -> Result<Vec<String>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare_cached("SELECT account FROM sign_ins WHERE state IN ('kept', 'memory')")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Accounts whose keychain item is still to be deleted.
    pub(crate) fn to_be_erased(&self) -> Result<Vec<String>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached("SELECT account FROM sign_ins WHERE state = 'erasing'")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Names the note in `meta`.
fn signed_out_key(account: &str) -> String {
    format!("signed_out/{account}")
}
