//! What survives in SQLite: grants, blocked programs, sessions, the audit chain, and which sign-ins and refresh attempts exist.
//!
//! Invariant: there is no secret in here; sessions and refresh tokens appear as hashes only. A database written by a
//! newer version is refused untouched. State made under a test policy and real state never share a file: whichever is
//! not in use is set aside under another name.

mod attempts;
mod audit;
mod blocks;
mod grants;
mod profile;
mod sessions;
mod sign_ins;

pub(crate) use audit::{Anchor, AuditEntry, AuditQuery, Start, TrimError, severity};
pub(crate) use grants::Rebound;
pub(crate) use sessions::Session;
pub(crate) use sign_ins::{Person, Standing};

use rusqlite::{Connection, OpenFlags, params};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const SCHEMA: i64 = 4;

/// How long a write waits for another program that holds the database. Nobody but the agent writes to it, and while it
/// waits nobody is answered: the command that waits for it must hear a refusal before it takes the agent for dead.
const BUSY: Duration = Duration::from_millis(500);

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
    grants: Mutex<grants::Grants>,
    blocks: Mutex<blocks::Blocks>,
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
        let mine = path.with_extension(format!("{mark}.db"));
        if !path.exists() {
            // An earlier exchange of the two may have been cut short.
            take_back(path, &mine)?;
        }
        let mut connection = open_file(path)?;
        let found: Option<String> = stored_mark(&connection)?;
        if let Some(found) = found.filter(|found| found != mark) {
            connection.pragma_update(None, "journal_mode", "DELETE")?;
            drop(connection);
            rename(path, &path.with_extension(format!("{found}.db")))?;
            take_back(path, &mine)?;
            connection = open_file(path)?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        // The token path touches the newest page of the log; what else is read goes through connections of its own.
        connection.pragma_update(None, "cache_size", -256)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        migrate(&mut connection, mark, &fresh_installation)?;
        let installation = meta(&connection, "installation")?.unwrap_or(fresh_installation);
        let grants = grants::load(&connection)?;
        let blocks = blocks::load(&connection)?;
        let head = audit::load_head(&connection)?;
        connection.busy_timeout(BUSY)?;
        let (lines, _) = tokio::sync::watch::channel(head.seq);
        Ok(Self {
            connection: Mutex::new(connection),
            grants: Mutex::new(grants),
            blocks: Mutex::new(blocks),
            head: Mutex::new(head),
            lines,
            installation,
        })
    }

    /// Another connection, for reading only: long reads must not hold up the token path.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        let path = lock(&self.connection).path().map(str::to_owned).unwrap_or_default();
        Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
    }
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

/// Puts a database that was set aside back in its place.
fn take_back(path: &Path, aside: &Path) -> Result<(), StoreError> {
    if aside.exists() { rename(aside, path) } else { Ok(()) }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    if to.exists() {
        let reason = format!("{} is in the way", to.display());
        return Err(StoreError::File { path: from.to_owned(), reason });
    }
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
    }
    if found < 2 {
        transaction.execute_batch(include_str!("schema_2.sql"))?;
    }
    if found < 3 {
        transaction.execute_batch(include_str!("schema_3.sql"))?;
    }
    if found < 4 {
        transaction.execute_batch(include_str!("schema_4.sql"))?;
    }
    if (1..4).contains(&found) {
        // Of the profile nothing was noted before: that is no damage.
        transaction.execute(profile::UPGRADED, [])?;
    }
    if found < SCHEMA {
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
