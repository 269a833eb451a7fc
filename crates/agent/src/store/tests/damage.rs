//! S07, S08: a database that was cut, changed, or has no room. What is damaged is told; nothing new is made of it.

use super::{grant, line, open};
use crate::store::{AuditEntry, Store, lock};
use std::{collections::BTreeSet, fs, path::Path};

/// A database with three lines and two grants, closed.
fn written(dir: &Path) -> Vec<u8> {
    let store = open(dir, false);
    for event in ["one", "two", "three"] {
        line(&store, event);
    }
    for program in ["exe:a", "exe:b"] {
        store.add_grant(grant(program, "read")).unwrap();
    }
    drop(store);
    let path = dir.join("daypass.db");
    assert!(!path.with_extension("db-wal").exists(), "closed means one file");
    fs::read(path).unwrap()
}

/// Opens these bytes as a database. `None` = refused; else whether the log is whole, and how many grants there are.
fn reopened(bytes: &[u8]) -> Option<(bool, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daypass.db");
    fs::write(&path, bytes).unwrap();
    let store = Store::open(&path, false, "0a1b2c3d".into()).ok()?;
    let whole = store.verify_audit(None).is_ok_and(|verdict| verdict.ok) && store.head().0 == 3;
    Some((whole, store.all_grants().len()))
}

#[test]
fn a_database_that_was_cut_is_refused_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let good = written(dir.path());
    assert_eq!(reopened(&good), Some((true, 2)));
    // Every page's edge, every hundredth byte, and the first and last few.
    let edges = (0..good.len()).step_by(101).chain((0..good.len()).step_by(512)).chain(0..20);
    let ends: BTreeSet<_> = edges.chain(good.len() - 20..good.len()).collect();
    for end in ends {
        if let Some((whole, grants)) = reopened(&good[..end]) {
            // An empty file is a new database; anything else that opens must not pass for the old one.
            let same = whole && grants == 2;
            assert!(end == 0 && grants == 0 || !whole || same, "cut at {end}: {grants} grants");
            assert!(grants <= 2 && (end + 8192 > good.len() || !same), "cut at {end}: half a database is none");
        }
    }
}

#[test]
fn a_database_with_changed_bytes_grants_nothing_more_and_loses_no_line_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let good = written(dir.path());
    let anchor = {
        let store = open(dir.path(), false);
        store.head()
    };
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut told = 0;
    for _ in 0..600 {
        let mut bytes = good.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[at] ^= 1 << (state >> 20 & 7);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daypass.db");
        fs::write(&path, &bytes).unwrap();
        let Ok(store) = Store::open(&path, false, "0a1b2c3d".into()) else {
            told += 1;
            continue;
        };
        assert!(store.all_grants().len() <= 2, "no grant comes from nowhere");
        let lines = store.head();
        match store.verify_audit(Some(&anchor.clone().into())) {
            Ok(verdict) if verdict.ok => assert_eq!(lines, anchor, "what passes for whole is what was written"),
            Ok(_) | Err(_) => told += 1,
        }
    }
    assert!(told > 50, "damage of the log is found: {told} of 600");
}

#[test]
fn without_room_a_line_is_refused_and_the_chain_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    line(&store, "one");
    let pages: i64 = lock(&store.connection).pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    lock(&store.connection).pragma_update(None, "max_page_count", pages + 1).unwrap();
    let entry = || AuditEntry { event: "token.issued", code: "x".repeat(3000), ..AuditEntry::default() };
    let time = || "2026-01-01T00:00:00.000Z".to_owned();
    let kept = (0..100).take_while(|_| store.append(entry(), time()).is_ok()).count();
    assert!(kept < 100, "the room ends");
    let head = store.head();
    let many_scopes = (0..90).map(|n| format!("scope{n}-{}", "x".repeat(100))).collect::<Vec<_>>().join(" ");
    assert!(store.append(entry(), time()).is_err(), "and stays ended");
    assert!(store.add_grant(grant("exe:a", &many_scopes)).is_err(), "nor is there room for a grant");
    assert!(store.all_grants().is_empty(), "a grant that was not written does not count");
    assert_eq!(store.head(), head, "what was not written is no line");
    assert!(store.verify_audit(Some(&head.clone().into())).unwrap().ok);
    lock(&store.connection).pragma_update(None, "max_page_count", 1_000_000).unwrap();
    line(&store, "after");
    assert_eq!(store.head().0, head.0 + 1);
    assert!(store.verify_audit(Some(&head.clone().into())).unwrap().ok);
}
