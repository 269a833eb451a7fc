//! Taking old lines out of the log so that the rest still proves itself.
//!
//! Invariant: lines leave from the start only, oldest first, and not before the keychain (where there is one) and a line of
//! the chain itself say up to where. Each step moves the recorded start and deletes in one transaction, so that an end in
//! the middle leaves a log that verifies, and the next run goes on. A part that does not verify is evidence: it stays.
//!
//! Limit: how old a line is says its own time. A clock that jumps ahead is believed slowly only ([`Store::believe`]); a line
//! that claims to be from the future holds back what came after it until that time has come.

use super::{AuditEntry, COLUMNS, GENESIS, hash_of, read, since::BLOCK};
use crate::{
    store::{Store, StoreError, lock, meta},
    times,
};
use broker::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::fmt;

/// Newest lines that are kept however old they are.
pub(crate) const KEPT: i64 = 1_000;
/// Most lines that one run takes out.
pub(crate) const BATCH: i64 = 2_000;
/// Most lines one transaction takes out: less than a millisecond in which no token is given.
const STEP: i64 = 200;
/// Fewer lines than a batch wait until the oldest is this much over its time, so that a run is worth its line.
const OVERDUE: Span = Span::hours(24);
/// A clock that went ahead is believed by so much in one run.
const BELIEVED: Span = Span::hours(4);

/// Where the log begins: its first line, and the hash of the line before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// `seq` of the first line that is left.
    pub(crate) first: i64,
    /// What that line has as `prev`.
    pub(crate) prev: String,
}

impl Start {
    /// The event that announces one.
    pub(crate) const EVENT: &'static str = "audit.trimmed";

    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, prev) = text.strip_prefix("goes on at line ")?.split_once(" after ")?;
        Some(Self { first: first.parse().ok()?, prev: prev.to_owned() })
    }

    /// Whether a log of which this much may go may begin there.
    pub(super) fn allows(&self, start: &Self) -> bool {
        start.first < self.first || start == self
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goes on at line {} after {}", self.first, self.prev)
    }
}

/// Where the log begins, when it is not with line 1.
pub(super) fn load_start(connection: &Connection) -> Result<Option<Start>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT first, prev FROM audit_start WHERE first > 1")?;
    Ok(statement.query_row([], |row| Ok(Start { first: row.get(0)?, prev: row.get(1)? })).optional()?)
}

/// Why nothing is taken out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrimError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The part that would go does not verify.
    #[error(
        "line {0} of the audit log does not fit the one before it: nothing is taken out, so that it can be looked into"
    )]
    Broken(i64),
}

impl From<rusqlite::Error> for TrimError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// The time as far as the log believes it: a clock that jumps ahead is followed by four hours a call, one that goes back
    /// at once. Kept in the database, so that starting again does not help a wrong clock.
    pub(crate) fn believe(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let connection = lock(&self.connection);
        let known = meta(&connection, "audit_clock")?.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
        let known = if let Some(known) = known {
            known
        } else {
            // The first time: no further than the log itself has come.
            let mut statement = connection.prepare("SELECT time FROM audit ORDER BY seq DESC LIMIT 1")?;
            let newest: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
            newest.and_then(|text| times::parse(&text)).unwrap_or(now)
        };
        let believed = now.min(Timestamp::from_millis(known.as_millis().saturating_add(BELIEVED.as_millis())));
        connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('audit_clock', ?1)",
            [believed.as_millis().to_string()],
        )?;
        Ok(believed)
    }

    /// Up to where lines should go now, when enough of them are older than `retention`; at most a batch.
    pub(crate) fn plan_trim(&self, now: Timestamp, retention: Span) -> Result<Option<Start>, TrimError> {
        let last_to_go = lock(&self.head).seq - KEPT;
        let before = |more: Span| {
            let millis = now.as_millis().saturating_sub(retention.as_millis()).saturating_sub(more.as_millis());
            times::rfc3339_millis(Timestamp::from_millis(millis.max(0)))
        };
        let (old, overdue) = (before(Span::seconds(0)), before(OVERDUE));
        let reader = self.reader()?;
        let snapshot = reader.unchecked_transaction()?;
        let start = load_start(&snapshot)?;
        let (mut expected, mut prev) = start.map_or_else(|| (1, GENESIS.to_owned()), |start| (start.first, start.prev));
        let mut statement = snapshot.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq LIMIT ?1"))?;
        let mut rows = statement.query([BATCH])?;
        let (mut lines, mut worth) = (0, false);
        while let Some(row) = rows.next()? {
            let line = read(row).map_err(|_| TrimError::Broken(expected))?;
            if line.time >= old || line.seq > last_to_go {
                break;
            }
            if line.seq != expected || line.prev != prev || hash_of(&line) != line.hash {
                return Err(TrimError::Broken(expected));
            }
            worth |= line.time < overdue;
            (expected, prev, lines) = (line.seq + 1, line.hash, lines + 1);
        }
        Ok((lines == BATCH || worth).then_some(Start { first: expected, prev }))
    }

    /// Takes the next lines before `to` out; whether there are more. `to` was announced in the chain and, where there is
    /// one, in the keychain.
    pub(crate) fn trim_step(&self, to: &Start) -> Result<bool, StoreError> {
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        let first: Option<i64> = transaction.query_row("SELECT min(seq) FROM audit", [], |row| row.get(0))?;
        let Some(first) = first.filter(|first| *first < to.first) else { return Ok(false) };
        let until = to.first.min(first + STEP);
        let prev: String =
            transaction.query_row("SELECT hash FROM audit WHERE seq = ?1", [until - 1], |row| row.get(0))?;
        transaction.execute("INSERT OR REPLACE INTO audit_start VALUES (1, ?1, ?2)", params![until, prev])?;
        transaction.execute("DELETE FROM audit WHERE seq < ?1", [until])?;
        transaction.execute("DELETE FROM audit_blocks WHERE block < ?1", [until / BLOCK])?;
        transaction.commit()?;
        Ok(until < to.first)
    }

    /// Remembers that the keychain holds an anchor of this log: from then on nothing is taken out without it.
    pub(crate) fn note_anchored(&self) -> Result<(), StoreError> {
        lock(&self.connection).execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('audit_anchored', '1')", [])?;
        Ok(())
    }

    /// Writes a line about the anchor being gone from the keychain, once for each time.
    pub(crate) fn note_anchor_gone(&self, line: AuditEntry, time: String) -> Result<(), StoreError> {
        if meta(&lock(&self.connection), "audit_anchored")?.as_deref() == Some("gone") {
            return Ok(());
        }
        self.append_with(line, time, |connection| {
            connection.execute("UPDATE meta SET value = 'gone' WHERE key = 'audit_anchored'", [])?;
            Ok(())
        })
    }

    /// The keychain holds the anchor that was noted before.
    pub(crate) fn note_anchor_there(&self) -> Result<(), StoreError> {
        let update = "UPDATE meta SET value = '1' WHERE key = 'audit_anchored' AND value <> '1'";
        lock(&self.connection).execute(update, [])?;
        Ok(())
    }

    /// Where the log begins, when it is not with line 1.
    pub(crate) fn audit_start(&self) -> Result<Option<Start>, StoreError> {
        load_start(&lock(&self.connection))
    }

    /// Whether the keychain has ever held an anchor of this log.
    pub(crate) fn was_anchored(&self) -> Result<bool, StoreError> {
        Ok(meta(&lock(&self.connection), "audit_anchored")?.is_some())
    }
}
