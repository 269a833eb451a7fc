//! Reading the log: pages of it, and where a time begins.
//!
//! Invariant: no line that fits is left out, whatever the clock did while the log was written: a block of lines is passed over
//! only if the newest time in it is too old. Blocks are summed up off the token path, and `verify` compares each with
//! its lines. Limit: what was not summed up yet is read line by line.

use super::{AuditQuery, COLUMNS, read};
use crate::store::{Store, StoreError, lock};
use localapi::AuditLine;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Lines of a block.
pub(super) const BLOCK: i64 = 1024;
/// Blocks that are summed up in one go: some milliseconds of work.
const AT_ONCE: usize = 16;

impl Store {
    /// Lines in ascending order. With `after` or `since` the first `limit` that fit, else the newest `limit`.
    pub(crate) fn audit_lines(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, StoreError> {
        let reader = self.reader()?;
        let Some(since) = &query.since else {
            return match query.after {
                Some(after) => lines(&reader, after, i64::MAX, "", query.limit),
                None => newest(&reader, query.limit),
            };
        };
        // One state of the file for all of it.
        let reader = reader.unchecked_transaction()?;
        let (mut found, mut after) = (Vec::new(), query.after.unwrap_or(0));
        let mut next =
            reader.prepare("SELECT block FROM audit_blocks WHERE block >= ?1 AND newest >= ?2 ORDER BY block")?;
        let mut blocks = next.query(params![(after + 1) / BLOCK, since])?;
        while let Some(row) = blocks.next()? {
            let first = row.get::<_, i64>(0)? * BLOCK;
            let left = query.limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                return Ok(found);
            }
            found.extend(lines(&reader, after.max(first - 1), first + BLOCK, since, left)?);
        }
        after = after.max(summed_up(&reader)?.map_or(0, |block| (block + 1) * BLOCK - 1));
        let left = query.limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
        found.extend(lines(&reader, after, i64::MAX, since, left)?);
        Ok(found)
    }

    /// Sums up whole blocks of lines, some at a time; whether there are more. Off the token path.
    pub(crate) fn sum_up_lines(&self) -> Result<bool, StoreError> {
        let head = lock(&self.head).seq;
        let reader = self.reader()?;
        let first: i64 = reader.query_row("SELECT coalesce(min(seq), 0) FROM audit", [], |row| row.get(0))?;
        let from = summed_up(&reader)?.map_or(first / BLOCK, |block| block + 1);
        let whole = (head + 1) / BLOCK;
        for block in (from..whole).take(AT_ONCE) {
            let newest: Option<String> = reader.query_row(
                "SELECT max(time) FROM audit WHERE seq >= ?1 AND seq < ?2",
                params![block * BLOCK, (block + 1) * BLOCK],
                |row| row.get(0),
            )?;
            lock(&self.connection)
                .prepare_cached("INSERT OR REPLACE INTO audit_blocks VALUES (?1, ?2)")?
                .execute(params![block, newest.unwrap_or_default()])?;
        }
        Ok(from + i64::try_from(AT_ONCE).unwrap_or(i64::MAX) < whole)
    }

    /// How many lines are there.
    pub(crate) fn audit_count(&self) -> Result<i64, StoreError> {
        let head = lock(&self.head).seq;
        let connection = lock(&self.connection);
        let first: Option<i64> =
            connection.prepare_cached("SELECT min(seq) FROM audit")?.query_row([], |row| row.get(0))?;
        Ok(first.map_or(0, |first| head - first + 1))
    }
}

/// The last block that was summed up.
fn summed_up(reader: &Connection) -> Result<Option<i64>, StoreError> {
    let mut statement = reader.prepare_cached("SELECT max(block) FROM audit_blocks")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.flatten())
}

/// Lines after one and before another, of a time or later.
fn lines(reader: &Connection, after: i64, before: i64, since: &str, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
    let mut statement = reader.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit WHERE seq > ?1 AND seq < ?2 AND time >= ?3 ORDER BY seq LIMIT ?4"
    ))?;
    let rows = statement.query_map(params![after, before, since, limit], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn newest(reader: &Connection, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
    let mut statement = reader.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq DESC LIMIT ?1"))?;
    let mut lines: Vec<AuditLine> = statement.query_map([limit], read)?.collect::<Result<_, _>>()?;
    lines.reverse();
    Ok(lines)
}
