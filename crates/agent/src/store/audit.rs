//! The audit log: hash-chained lines, each committed before what it tells of leaves.
//!
//! The chain shows edits and holes; what was cut off its end shows against the head anchored in the keychain.

use super::{Store, StoreError, lock};
use crate::random::hex;
use localapi::{AuditLine, AuditVerdict};
use rusqlite::{Connection, Row, params};
use sha2::{Digest as _, Sha256};

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
    pub(crate) after: i64,
    /// Only lines at or after this time (RFC 3339 with milliseconds).
    pub(crate) since: Option<String>,
    /// At most so many, the newest ones.
    pub(crate) limit: i64,
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

impl Store {
    /// Appends a line. When this returns `Ok` the line is committed.
    pub(crate) fn append(&self, entry: AuditEntry, time: String) -> Result<AuditLine, StoreError> {
        let mut head = lock(&self.head);
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
        lock(&self.connection)
            .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?
            .execute(params![
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
            ])?;
        *head = Head { seq: line.seq, hash: line.hash.clone() };
        self.lines.send_replace(line.seq);
        Ok(line)
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
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        lock(&self.connection).query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Lines in ascending order: the newest `limit` that fit.
    pub(crate) fn audit_lines(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, StoreError> {
        let connection = lock(&self.connection);
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND time >= ?2 ORDER BY seq DESC LIMIT ?3"
        ))?;
        let since = query.since.as_deref().unwrap_or_default();
        let rows = statement.query_map(params![query.after, since, query.limit], read)?;
        let mut lines: Vec<AuditLine> = rows.collect::<Result<_, _>>()?;
        lines.reverse();
        Ok(lines)
    }

    /// Whether a program shows up among the newest 20 000 lines, before a time; `true` when that cannot be told.
    pub(crate) fn has_asked_before(&self, program: &str, before: &str) -> bool {
        let oldest = lock(&self.head).seq - 20_000;
        let connection = lock(&self.connection);
        let found = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM audit WHERE seq > ?3 AND program = ?1 AND time < ?2)")
            .and_then(|mut statement| statement.query_row(params![program, before, oldest], |row| row.get(0)));
        found.unwrap_or(true)
    }

    /// Reads the whole chain and compares it with the anchored head, where there is one.
    pub(crate) fn verify_audit(&self, anchor: Option<&(i64, String)>) -> Result<AuditVerdict, StoreError> {
        let connection = self.reader()?;
        let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        let (mut lines, mut prev, mut expected) = (0, GENESIS.to_owned(), 1);
        let mut anchored = anchor.is_none_or(|(seq, _)| *seq == 0);
        let broken =
            |at, lines, detail: &str| AuditVerdict { ok: false, lines, broken_at: Some(at), detail: detail.to_owned() };
        while let Some(row) = rows.next()? {
            let Ok(line) = read(row) else { return Ok(broken(expected, lines, "a line cannot be read")) };
            if line.seq != expected {
                return Ok(broken(expected, lines, "a line is missing"));
            }
            if line.prev != prev || hash_of(&line) != line.hash {
                return Ok(broken(line.seq, lines, "a line was changed"));
            }
            if let Some((seq, hash)) = anchor
                && *seq == line.seq
            {
                anchored = *hash == line.hash;
                if !anchored {
                    return Ok(broken(
                        line.seq,
                        lines,
                        "the log is not the one whose head is anchored in the keychain",
                    ));
                }
            }
            lines += 1;
            expected += 1;
            prev = line.hash;
        }
        if !anchored {
            return Ok(broken(expected, lines, "the end of the log was cut off"));
        }
        let detail = match anchor {
            Some((seq, _)) => format!("{lines} lines, whole; anchored up to line {seq}"),
            None => format!("{lines} lines, whole; no anchor in the keychain to compare with"),
        };
        Ok(AuditVerdict { ok: true, lines, broken_at: None, detail })
    }
}
