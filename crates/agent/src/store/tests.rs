mod damage;

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
        package: None,
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
        let anchor = Some(Anchor::from(store.head()));
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

fn tool(path: &str) -> broker::Program {
    let file = broker::FileIdentity { path: path.into(), device: 1, inode: 2, digest: [1; 32] };
    broker::Program::Executable { file, generic_client: false }
}

#[test]
fn blocks_survive_and_are_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let (bad, good) = (tool("/opt/bad"), tool("/opt/good"));
    let (first, fresh) = store.add_block(&broker::BlockKey::of(&bad), Timestamp::from_seconds(9)).unwrap();
    assert!(fresh && store.is_blocked(&bad) && !store.is_blocked(&good));
    let again = store.add_block(&first.key, Timestamp::from_seconds(10)).unwrap();
    assert_eq!(again, (first.clone(), false), "blocked once");
    drop(store);
    let store = open(dir.path(), false);
    assert_eq!(store.all_blocks(), std::slice::from_ref(&first));
    assert!(store.is_blocked(&bad));
    store.remove_block(&first).unwrap();
    assert!(!store.is_blocked(&bad) && store.block(first.id).is_none());
    let (second, _) = store.add_block(&first.key, Timestamp::from_seconds(11)).unwrap();
    assert_ne!(second.id, first.id, "numbers are not used again");
    store.remove_block(&second).unwrap();
    drop(store);
    assert!(open(dir.path(), false).all_blocks().is_empty());
}

#[test]
fn a_block_the_disk_does_not_take_counts_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), false);
    let key = broker::BlockKey::of(&tool("/opt/bad"));
    lock(&store.connection).execute_batch("ALTER TABLE blocks RENAME TO away").unwrap();
    assert!(store.add_block(&key, Timestamp::from_seconds(9)).is_err());
    assert!(store.is_blocked(&tool("/opt/bad")));
    lock(&store.connection).execute_batch("ALTER TABLE away RENAME TO blocks").unwrap();
    assert!(store.add_block(&key, Timestamp::from_seconds(9)).unwrap().1, "and it is kept as soon as that works");
    drop(store);
    assert!(open(dir.path(), false).is_blocked(&tool("/opt/bad")));
}

#[test]
fn a_database_of_version_1_is_brought_forward_with_all_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daypass.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("schema.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO meta VALUES ('mark', 'real'), ('installation', 'old1');
         INSERT INTO grants (program, account, resource, scopes, choice, created, last_used, until)
             VALUES ('exe:a', 'corp', 'payments', 'read', 'always', 1, 1, NULL);
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let store = open(dir.path(), false);
    assert_eq!((store.installation.as_str(), store.all_grants().len()), ("old1", 1));
    assert!(store.all_blocks().is_empty());
    store.add_block(&broker::BlockKey::of(&tool("/opt/bad")), Timestamp::from_seconds(9)).unwrap();
    let version: i64 = lock(&store.connection).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, SCHEMA);
    drop(store);
    assert_eq!(open(dir.path(), false).all_blocks().len(), 1, "and is not brought forward twice");
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
