//! The audit log: hash-chained lines, each committed before what it tells of leaves.
//!
//! The chain shows edits and holes; what was cut off its end, or off its start beyond what was announced, shows against what
//! is anchored in the keychain.

mod events;
mod exports;
mod since;
mod trim;
mod verify;

pub(crate) use events::severity;
pub(crate) use trim::{Start, TrimError};

use super::{Store, StoreError, lock};
use crate::random::hex;
use localapi::AuditLine;
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};
use std::fmt;

const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a line says, before it gets its place in the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditEntry {
    pub(crate) event: &'static str,
    pub(crate) code: String,
    pub(crate) program: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) via: Option<String>,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditQuery {
    /// Only lines after this one.
    pub(crate) after: Option<i64>,
    /// Only lines at or after this time (RFC 3339 with milliseconds).
    pub(crate) since: Option<String>,
    /// At most so many: the first ones with `after` or `since`, else the newest.
    pub(crate) limit: i64,
}

/// What the keychain knows of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// A line that was the newest once.
    pub(crate) seq: i64,
    /// Its hash.
    pub(crate) hash: String,
    /// How much of the start may have been taken out; `None` = nothing.
    pub(crate) start: Option<Start>,
}

impl Anchor {
    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (seq, hash) = (words.next()?.parse().ok()?, words.next()?.to_owned());
        let start = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some(first), Some(prev), None) => Some(Start { first: first.parse().ok()?, prev: prev.to_owned() }),
            _ => return None,
        };
        Some(Self { seq, hash, start })
    }
}

/// A head, as [`Store::head`] tells it.
impl From<(i64, String)> for Anchor {
    fn from((seq, hash): (i64, String)) -> Self {
        Self { seq, hash, start: None }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)?;
        match &self.start {
            Some(start) => write!(f, " {} {}", start.first, start.prev),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: String,
}

pub(super) fn load_head(connection: &Connection) -> Result<Head, StoreError> {
    let mut statement = connection.prepare("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(Head { seq: row.get(0)?, hash: row.get(1)? }),
        None => Ok(Head { seq: 0, hash: GENESIS.to_owned() }),
    }
}

/// SHA-256 over the line without its own hash, each field with its length in front so that none can run into the next.
fn hash_of(line: &AuditLine) -> String {
    let mut hasher = Sha256::new();
    let mut field = |text: Option<&str>| match text {
        Some(text) => {
            hasher.update((text.len() as u64 + 1).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        None => hasher.update(0_u64.to_be_bytes()),
    };
    field(Some(&line.seq.to_string()));
    for text in [&line.time, &line.event, &line.code] {
        field(Some(text));
    }
    for text in [&line.program, &line.account, &line.resource, &line.scope, &line.via] {
        field(text.as_deref());
    }
    field(Some(&line.prev));
    hex(&hasher.finalize())
}

const COLUMNS: &str = "seq, time, event, code, program, account, resource, scope, via, prev, hash";

fn read(row: &Row<'_>) -> rusqlite::Result<AuditLine> {
    Ok(AuditLine {
        seq: row.get(0)?,
        time: row.get(1)?,
        event: row.get(2)?,
        code: row.get(3)?,
        program: row.get(4)?,
        account: row.get(5)?,
        resource: row.get(6)?,
        scope: row.get(7)?,
        via: row.get(8)?,
        prev: row.get(9)?,
        hash: row.get(10)?,
    })
}

/// Writes the next line of the chain.
fn insert(connection: &Connection, head: &Head, entry: AuditEntry, time: String) -> Result<AuditLine, StoreError> {
    let mut line = AuditLine {
        seq: head.seq + 1,
        time,
        event: entry.event.to_owned(),
        code: entry.code,
        program: entry.program,
        account: entry.account,
        resource: entry.resource,
        scope: entry.scope,
        via: entry.via,
        prev: head.hash.clone(),
        hash: String::new(),
    };
    line.hash = hash_of(&line);
    connection.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?.execute(
        params![
            line.seq,
            line.time,
            line.event,
            line.code,
            line.program,
            line.account,
            line.resource,
            line.scope,
            line.via,
            line.prev,
            line.hash
        ],
    )?;
    Ok(line)
}

impl Store {
    /// Appends a line. When this returns `Ok` the line is committed.
    pub(crate) fn append(&self, entry: AuditEntry, time: String) -> Result<AuditLine, StoreError> {
        let mut head = lock(&self.head);
        let line = insert(&lock(&self.connection), &head, entry, time)?;
        self.now_ends_with(&mut head, &line);
        Ok(line)
    }

    /// Appends a line and does something else with the database, both or neither.
    pub(super) fn append_with(
        &self,
        entry: AuditEntry,
        time: String,
        work: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut head = lock(&self.head);
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        let line = insert(&transaction, &head, entry, time)?;
        work(&transaction)?;
        transaction.commit()?;
        drop(connection);
        self.now_ends_with(&mut head, &line);
        Ok(())
    }

    fn now_ends_with(&self, head: &mut Head, line: &AuditLine) {
        *head = Head { seq: line.seq, hash: line.hash.clone() };
        self.lines.send_replace(line.seq);
    }

    /// Tells when lines were added.
    pub(crate) fn watch_lines(&self) -> tokio::sync::watch::Receiver<i64> {
        self.lines.subscribe()
    }

    /// Number and hash of the newest line.
    pub(crate) fn head(&self) -> (i64, String) {
        let head = lock(&self.head);
        (head.seq, head.hash.clone())
    }

    /// Hash of one line.
    pub(crate) fn hash_at(&self, seq: i64) -> Result<Option<String>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached("SELECT hash FROM audit WHERE seq = ?1")?;
        let mut rows = statement.query([seq])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    }

    /// Brings what was committed to the disk itself, so that an anchor never names a line a power cut could take.
    ///
    /// # Errors
    /// Also when somebody who reads or writes the database kept it from getting there.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let busy: i64 = lock(&self.connection).query_row("PRAGMA wal_checkpoint(FULL)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(());
        }
        let why = "it is in use: not everything is on the disk yet".to_owned();
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), Some(why)).into())
    }

    /// Whether a program shows up among the newest 20 000 lines; `true` when that cannot be told. Reads them all through a
    /// connection of its own: not for the event loop.
    pub(crate) fn has_asked_before(&self, program: &str) -> bool {
        let oldest = lock(&self.head).seq - 20_000;
        let look = |reader: Connection| {
            let found: bool = reader.query_row(
                "SELECT EXISTS (SELECT 1 FROM audit WHERE seq > ?2 AND program = ?1)",
                params![program, oldest],
                |row| row.get(0),
            )?;
            Ok::<_, StoreError>(found)
        };
        self.reader().and_then(look).unwrap_or(true)
    }
}

#[cfg(any(test, feature = "filling"))]
impl Store {
    /// Everything `work` writes, in one transaction.
    pub(crate) fn together(&self, work: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
        lock(&self.connection).execute_batch("BEGIN")?;
        work()?;
        Ok(lock(&self.connection).execute_batch("COMMIT")?)
    }
}

#[cfg(test)]
impl Store {
    /// Changes the database behind the log's back.
    pub(crate) fn tamper(&self, sql: &str) {
        assert!(lock(&self.connection).execute(sql, []).unwrap() > 0, "{sql} changes something");
    }
}

#[cfg(test)]
mod tests;
