//! A database as it is after years, for benchmarks: written by the store itself, only faster than by years.
//!
//! Nothing that is shipped calls this. The chain, the numbers and the times are as an agent would have left them.

use crate::{
    store::{AuditEntry, Store, StoreError},
    times,
};
use broker::{Choice, Grant, GrantId, ProgramKey, Timestamp};
use std::path::Path;

/// Grants of each program, those known so far included.
const EACH: u32 = 50;
/// Programs that lines are about.
const PROGRAMS: u32 = 200;
/// Days before `now` on which the first new line is.
const DAYS: i64 = 300;

/// Adds `grants` grants and `lines` audit lines to the database of a test policy, as written over 300 days before `now`
/// (seconds since the epoch). No agent may have it open.
///
/// # Errors
/// When the database cannot be written, with the reason in words.
pub fn fill(database: &Path, now: i64, grants: u32, lines: u32) -> Result<(), String> {
    fill_store(database, now, grants, lines).map_err(|error| error.to_string())
}

fn fill_store(database: &Path, now: i64, grants: u32, lines: u32) -> Result<(), StoreError> {
    let store = Store::open(database, true, "0a1b2c3d".to_owned())?;
    let begin = Timestamp::from_seconds(now - DAYS * 86_400);
    let mut known: Vec<ProgramKey> = store.all_grants().into_iter().map(|grant| grant.program).collect();
    known.dedup();
    let old = known.iter().flat_map(|program| (0..EACH).map(move |n| (program.clone(), n)));
    let new = (0..).map(|n: u32| (ProgramKey::new(format!("exe:{:064x}:{}", n / EACH, path(n / EACH))), n));
    for (program, n) in old.chain(new).take(grants as usize) {
        store.add_grant(Grant {
            id: GrantId(0),
            program,
            account: word("one"),
            resource: word(if n % 2 == 0 { "payments" } else { "wages" }),
            scopes: word(&format!("scope-{}", n % EACH)),
            choice: Choice::Always,
            created: begin,
            // Used now, so that none of them has ended.
            last_used: Timestamp::from_seconds(now),
            until: None,
            package: None,
        })?;
    }
    let step = DAYS * 86_400_000 / i64::from(lines.max(1));
    store.together(|| {
        for n in 0..lines {
            let entry = AuditEntry {
                event: if n % 20 == 0 { "token.refused" } else { "token.issued" },
                code: if n % 20 == 0 { "consent_denied".to_owned() } else { "ok".to_owned() },
                program: Some(path(n % PROGRAMS)),
                account: Some("one".to_owned()),
                resource: Some(if n % 2 == 0 { "payments".to_owned() } else { "wages".to_owned() }),
                scope: Some("read write".to_owned()),
                via: (n % 20 != 0).then(|| "grant".to_owned()),
            };
            let time = Timestamp::from_millis(begin.as_millis() + i64::from(n) * step);
            store.append(entry, times::rfc3339_millis(time))?;
        }
        Ok(())
    })?;
    while store.sum_up_lines()? {}
    store.settle()
}

fn path(n: u32) -> String {
    format!("/opt/vendor/tool-{n}/bin/tool-{n}")
}

/// Words of this file, which are well formed.
#[allow(clippy::expect_used, reason = "they are constants")]
fn word<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a well-formed word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_database_is_as_an_agent_left_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daypass.db");
        fill(&path, 1_800_000_000, 120, 3_000).unwrap();
        fill(&path, 1_800_000_000, 0, 10).unwrap();
        let store = Store::open(&path, true, "0a1b2c3d".to_owned()).unwrap();
        let programs: std::collections::BTreeSet<_> = store.all_grants().into_iter().map(|g| g.program).collect();
        assert_eq!((store.all_grants().len(), programs.len()), (120, 3));
        let verdict = store.verify_audit(None).unwrap();
        assert_eq!((verdict.ok, verdict.lines), (true, 3_010), "{}", verdict.detail);
    }
}
