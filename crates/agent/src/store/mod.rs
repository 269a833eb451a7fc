//! What survives in SQLite: grants, sessions, the audit chain, and which sign-ins and refresh attempts exist.
//!
//! Invariant: there is no secret in here; sessions and refresh tokens appear as hashes only. A database written by a
//! newer version is refused untouched. State made under a test policy and real state never share a file: whichever is
//! not in use is set aside under another name.

mod attempts;
mod audit;
mod grants;
mod sessions;

pub(crate) use audit::{AuditEntry, AuditQuery};
pub(crate) use sessions::Session;

use broker::Grant;
use rusqlite::{Connection, OpenFlags, params};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const SCHEMA: i64 = 1;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It was written by a newer Daypass.
    #[error("the database {path} was written by a newer Daypass (schema {found}, this one knows {SCHEMA})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// The file cannot be moved aside or is not a regular file.
    #[error("the database {path} cannot be used: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The open database, with what the token path needs kept in memory.
pub(crate) struct Store {
    connection: Mutex<Connection>,
    grants: Mutex<Vec<Grant>>,
    head: Mutex<audit::Head>,
    lines: tokio::sync::watch::Sender<i64>,
    /// Eight hexadecimal digits, fixed per installation: the tail of cookie names.
    pub(crate) installation: String,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or creates the database at `path`; `test_mark` says which of the two worlds it belongs to.
    pub(crate) fn open(path: &Path, test_mark: bool, fresh_installation: String) -> Result<Self, StoreError> {
        let mark = if test_mark { "test" } else { "real" };
        let mut connection = open_file(path)?;
        let found: Option<String> = stored_mark(&connection)?;
        if let Some(found) = found.filter(|found| found != mark) {
            connection.pragma_update(None, "journal_mode", "DELETE")?;
            drop(connection);
            let aside = path.with_extension(format!("{found}.db"));
            let mine = path.with_extension(format!("{mark}.db"));
            rename(path, &aside)?;
            if mine.exists() {
                rename(&mine, path)?;
            }
            connection = open_file(path)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.busy_timeout(Duration::from_secs(5))?;
        migrate(&mut connection, mark, &fresh_installation)?;
        let installation = meta(&connection, "installation")?.unwrap_or(fresh_installation);
        let grants = grants::load(&connection)?;
        let head = audit::load_head(&connection)?;
        let (lines, _) = tokio::sync::watch::channel(head.seq);
        Ok(Self {
            connection: Mutex::new(connection),
            grants: Mutex::new(grants),
            head: Mutex::new(head),
            lines,
            installation,
        })
    }

    /// The sign-in known to exist for an account: issuer, client and subject.
    pub(crate) fn known_sign_in(&self, account: &str) -> Result<Option<KnownSignIn>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement =
            connection.prepare_cached("SELECT issuer, client_id, subject FROM sign_ins WHERE account = ?1")?;
        let mut rows = statement.query([account])?;
        rows.next()?
            .map(|row| Ok(KnownSignIn { issuer: row.get(0)?, client_id: row.get(1)?, subject: row.get(2)? }))
            .transpose()
    }

    /// Notes that a sign-in exists.
    pub(crate) fn note_sign_in(&self, account: &str, known: &KnownSignIn) -> Result<(), StoreError> {
        lock(&self.connection).execute(
            "INSERT INTO sign_ins (account, issuer, client_id, subject) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (account) DO UPDATE SET issuer = ?2, client_id = ?3, subject = ?4",
            params![account, known.issuer, known.client_id, known.subject],
        )?;
        Ok(())
    }

    /// Notes that a sign-in is no more.
    pub(crate) fn forget_sign_in(&self, account: &str) -> Result<(), StoreError> {
        let connection = lock(&self.connection);
        connection.execute("DELETE FROM sign_ins WHERE account = ?1", [account])?;
        connection.execute("DELETE FROM attempts WHERE account = ?1", [account])?;
        Ok(())
    }
}

/// A sign-in that exists, as far as can be said without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownSignIn {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) subject: String,
}

fn open_file(path: &Path) -> Result<Connection, StoreError> {
    if let Ok(found) = std::fs::symlink_metadata(path)
        && !found.is_file()
    {
        return Err(StoreError::File { path: path.to_owned(), reason: "it is not a regular file".to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // SQLite refuses any symbolic link on the way with NOFOLLOW, so the directory is resolved first.
    let resolved = match (path.parent().and_then(|dir| dir.canonicalize().ok()), path.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => path.to_owned(),
    };
    let connection = Connection::open_with_flags(resolved, flags)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA {
        return Err(StoreError::Newer { path: path.to_owned(), found });
    }
    Ok(connection)
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(|e| StoreError::File { path: from.to_owned(), reason: e.to_string() })
}

fn stored_mark(connection: &Connection) -> Result<Option<String>, StoreError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 { Ok(None) } else { meta(connection, "mark") }
}

fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut rows = statement.query([key])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

fn migrate(connection: &mut Connection, mark: &str, installation: &str) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found < 1 {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute(
            "INSERT INTO meta (key, value) VALUES ('mark', ?1), ('installation', ?2)",
            params![mark, installation],
        )?;
        transaction.pragma_update(None, "user_version", 1)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
