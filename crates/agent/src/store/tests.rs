use super::*;
use broker::{Choice, Grant, GrantId, ProgramKey, Timestamp};

fn open(dir: &Path, test: bool) -> Store {
    Store::open(&dir.join("daypass.db"), test, "0a1b2c3d".into()).unwrap()
}

fn line(store: &Store, event: &'static str) {
    store
        .append(AuditEntry { event, code: "ok".into(), ..AuditEntry::default() }, "2026-01-01T00:00:00.000Z".into())
        .unwrap();
}

fn grant(program: &str, scopes: &str) -> Grant {
    Grant {
        id: GrantId(0),
        program: ProgramKey::new(program.into()),
        account: "corp".parse().unwrap(),
        resource: "payments".parse().unwrap(),
        scopes: scopes.parse().unwrap(),
        choice: Choice::Always,
        created: Timestamp::from_seconds(1),
        last_used: Timestamp::from_seconds(1),
        until: None,
    }
}

#[test]
fn the_chain_shows_edits_holes_and_a_cut_end() {
    for (edit, at) in [
        ("UPDATE audit SET program = 'other' WHERE seq = 2", 2),
        ("UPDATE audit SET code = 'x', hash = 'y' WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 3", 3),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), false);
        for event in ["one", "two", "three"] {
            line(&store, event);
        }
        let anchor = Some(store.head());
        assert!(store.verify_audit(anchor.as_ref()).unwrap().ok);
        lock(&store.connection).execute(edit, []).unwrap();
        let verdict = store.verify_audit(anchor.as_ref()).unwrap();
        assert_eq!((verdict.ok, verdict.broken_at), (false, Some(at)), "{edit}");
    }
}

#[test]
fn grants_survive_and_ended_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let first = store.add_grant(grant("exe:a", "read")).unwrap();
    let wider = store.add_grant(grant("exe:a", "read write")).unwrap();
    assert!(!store.use_grant(first, Timestamp::from_seconds(5)), "a covered grant is replaced");
    assert!(store.use_grant(wider, Timestamp::from_seconds(5)));
    store.save_use().unwrap();
    drop(store);
    let store = open(dir.path(), false);
    assert_eq!(store.all_grants().len(), 1);
    assert_eq!(store.all_grants()[0].last_used, Timestamp::from_seconds(5));
    store.end_grants(|g| g.id == wider).unwrap();
    assert!(!store.use_grant(wider, Timestamp::from_seconds(6)));
    drop(store);
    assert!(open(dir.path(), false).all_grants().is_empty());
}

#[test]
fn test_state_and_real_state_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), false).add_grant(grant("exe:real", "read")).unwrap();
    let test = open(dir.path(), true);
    assert!(test.all_grants().is_empty());
    test.add_grant(grant("exe:test", "read")).unwrap();
    drop(test);
    let real = open(dir.path(), false);
    assert_eq!(real.all_grants()[0].program.as_str(), "exe:real");
    drop(real);
    assert_eq!(open(dir.path(), true).all_grants()[0].program.as_str(), "exe:test");
}

#[test]
fn a_newer_schema_a_symlink_and_rubbish_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daypass.db");
    drop(open(dir.path(), false));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Store::open(&path, false, "x".into()), Err(StoreError::Newer { found: 99, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let rubbish = dir.path().join("rubbish.db");
    std::fs::write(&rubbish, vec![7_u8; 5000]).unwrap();
    assert!(Store::open(&rubbish, false, "x".into()).is_err());

    let planted = dir.path().join("planted.db");
    std::os::unix::fs::symlink(&path, &planted).unwrap();
    assert!(Store::open(&planted, false, "x".into()).is_err());
}

#[test]
fn attempts_are_counted_per_refresh_token() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    store.set_attempts("corp", "f1", 1, Timestamp::from_seconds(9)).unwrap();
    assert_eq!(store.attempt("corp", "f1").unwrap().unwrap().uses, 1);
    assert_eq!(store.attempt("corp", "f2").unwrap(), None);
    store.set_attempts("corp", "f1", 0, Timestamp::from_seconds(9)).unwrap();
    assert_eq!(store.attempt("corp", "f1").unwrap(), None);
}
