//! Whether the log is whole: every hash, every number, its start, its end.
//!
//! Invariant: a log that begins later than with its first line is whole only if three agree on where it begins: the row of
//! the database, a line of the chain that says so (`audit.trimmed`), and, where there is a keychain, what was written there
//! before anything was taken out. A log that was anchored is not called whole without its anchor. Limit: without a keychain, whoever writes the database can make all of it up.

use super::{Anchor, COLUMNS, GENESIS, Start, hash_of, read, since::BLOCK, trim::load_start};
use crate::store::{Store, StoreError, meta};
use localapi::AuditVerdict;
use rusqlite::Connection;
use std::collections::BTreeMap;

impl Store {
    /// Reads the whole chain and compares it with what is anchored, where there is something.
    pub(crate) fn verify_audit(&self, anchor: Option<&Anchor>) -> Result<AuditVerdict, StoreError> {
        let reader = self.reader()?;
        // One state of the file, however long the reading takes.
        let snapshot = reader.unchecked_transaction()?;
        let start = load_start(&snapshot)?;
        let begins = start.as_ref().map_or(1, |start| start.first);
        let broken =
            |at, lines, detail: &str| AuditVerdict { ok: false, lines, broken_at: Some(at), detail: detail.to_owned() };
        if let (Some(start), Some(anchor)) = (&start, anchor) {
            if !anchor.start.as_ref().is_some_and(|known| known.allows(start)) {
                return Ok(broken(begins, 0, "more was cut off the start of the log than the keychain knows of"));
            }
            if anchor.seq < begins {
                return Ok(broken(begins, 0, "the line that is anchored in the keychain was cut off"));
            }
        }
        let mut newest = blocks(&snapshot)?;
        let mut statement = snapshot.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        let mut prev = start.as_ref().map_or_else(|| GENESIS.to_owned(), |start| start.prev.clone());
        let (mut lines, mut expected, mut announced) = (0, begins, None);
        let mut anchored = anchor.is_none_or(|anchor| anchor.seq == 0);
        while let Some(row) = rows.next()? {
            let Ok(line) = read(row) else { return Ok(broken(expected, lines, "a line cannot be read")) };
            if line.seq != expected {
                return Ok(broken(expected, lines, "a line is missing"));
            }
            if line.prev != prev || hash_of(&line) != line.hash {
                return Ok(broken(line.seq, lines, "a line was changed"));
            }
            if let Some(anchor) = anchor.filter(|anchor| anchor.seq == line.seq) {
                anchored = anchor.hash == line.hash;
                if !anchored {
                    return Ok(broken(
                        line.seq,
                        lines,
                        "the log is not the one whose head is anchored in the keychain",
                    ));
                }
            }
            if newest.get(&(line.seq / BLOCK)).is_some_and(|newest| *newest < line.time) {
                return Ok(broken(line.seq, lines, "what the database says of the times of its lines was changed"));
            }
            if line.seq % BLOCK == BLOCK - 1 {
                newest.remove(&(line.seq / BLOCK));
            }
            if line.event == Start::EVENT {
                announced = line.via.as_deref().and_then(Start::parse);
            }
            lines += 1;
            expected += 1;
            prev = line.hash;
        }
        if !anchored {
            return Ok(broken(expected, lines, "the end of the log was cut off"));
        }
        let copied: i64 =
            snapshot.query_row("SELECT coalesce(max(seq), 0) FROM audit_exports", [], |row| row.get(0))?;
        if copied >= expected {
            return Ok(broken(expected, lines, "lines that were copied to the system's logs are missing at the end"));
        }
        if !newest.is_empty() {
            return Ok(broken(expected, lines, "the database speaks of times of lines that are not there"));
        }
        if let Some(start) = &start
            && !announced.is_some_and(|announced| announced.allows(start))
        {
            return Ok(broken(begins, lines, "the start of the log was cut off, and no line says so"));
        }
        let whole = match &start {
            Some(start) => format!("{lines} lines from line {} on, whole", start.first),
            None => format!("{lines} lines, whole"),
        };
        if anchor.is_none() && meta(&snapshot, "audit_anchored")?.is_some() {
            let detail = format!(
                "{whole} by themselves; but the head of this log was anchored in the keychain, which has no anchor of it now: \
                whether its end was cut off cannot be told"
            );
            return Ok(AuditVerdict { ok: false, lines, broken_at: None, detail });
        }
        let detail = match anchor {
            Some(anchor) => format!("{whole}; anchored up to line {}", anchor.seq),
            None => format!("{whole}; no anchor in the keychain to compare with"),
        };
        Ok(AuditVerdict { ok: true, lines, broken_at: None, detail })
    }
}

fn blocks(snapshot: &Connection) -> Result<BTreeMap<i64, String>, StoreError> {
    let mut statement = snapshot.prepare("SELECT block, newest FROM audit_blocks")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
