use super::*;
use broker::{Span, Timestamp};
use std::path::Path;

const DAY: i64 = 86_400;
/// A day on which the tests take place, in seconds.
const TODAY: i64 = 1_800_000_000;

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("daypass.db"), false, "0a1b2c3d".into()).unwrap()
}

fn at(day: i64) -> String {
    crate::times::rfc3339_millis(Timestamp::from_seconds(TODAY + day * DAY))
}

/// Writes a line for each of these days, counted from today.
fn write(store: &Store, days: impl IntoIterator<Item = i64>) {
    for day in days {
        let entry = AuditEntry { event: "token.issued", code: "ok".into(), ..AuditEntry::default() };
        store.append(entry, at(day)).unwrap();
    }
}

fn anchor(store: &Store, start: Option<&Start>) -> Anchor {
    let (seq, hash) = store.head();
    Anchor { seq, hash, start: start.cloned() }
}

fn plan(store: &Store, retention_days: i64) -> Result<Option<Start>, TrimError> {
    store.plan_trim(Timestamp::from_seconds(TODAY), Span::hours(24 * retention_days))
}

/// Announces a start, as the agent does.
fn announce(store: &Store, start: &Start) {
    let entry =
        AuditEntry { event: Start::EVENT, code: "ok".into(), via: Some(start.to_string()), ..AuditEntry::default() };
    store.append(entry, at(0)).unwrap();
}

/// A log of `old` lines a hundred days old and 1,100 of today, with a planned start.
fn with_old_lines(dir: &Path, old: usize) -> (Store, Start) {
    let store = open(dir);
    write(&store, std::iter::repeat_n(-100, old).chain(std::iter::repeat_n(0, 1_100)));
    let start = plan(&store, 30).unwrap().expect("there is something to take out");
    (store, start)
}

#[test]
fn an_anchor_reads_back() {
    let anchor = Anchor { seq: 7, hash: "ab".into(), start: None };
    assert_eq!(anchor.to_string(), "7 ab");
    let with_start = Anchor { start: Some(Start { first: 3, prev: "cd".into() }), ..anchor.clone() };
    for one in [anchor, with_start] {
        assert_eq!(Anchor::parse(&one.to_string()), Some(one));
    }
    for bad in ["", "7", "x ab", "7 ab 3", "7 ab x cd", "7 ab 3 cd e"] {
        assert_eq!(Anchor::parse(bad), None, "{bad}");
    }
    let start = Start { first: 12, prev: "cd".into() };
    assert_eq!(Start::parse(&start.to_string()), Some(start));
}

#[test]
fn old_lines_leave_and_the_rest_proves_itself_at_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, start) = with_old_lines(dir.path(), 700);
    assert_eq!(start.first, 701);
    announce(&store, &start);
    let anchor = anchor(&store, Some(&start));
    let mut steps = 0;
    loop {
        let verdict = store.verify_audit(Some(&anchor)).unwrap();
        assert!(verdict.ok, "after {steps} steps: {}", verdict.detail);
        assert!(store.verify_audit(None).unwrap().ok, "without a keychain too");
        // As if the agent had been killed here.
        drop(store);
        store = open(dir.path());
        steps += 1;
        if !store.trim_step(&start).unwrap() {
            break;
        }
    }
    assert!(steps >= 4, "it went in steps: {steps}");
    let verdict = store.verify_audit(Some(&anchor)).unwrap();
    assert_eq!((verdict.ok, verdict.lines), (true, 1_101), "{}", verdict.detail);
    assert!(verdict.detail.starts_with("1101 lines from line 701 on, whole"), "{}", verdict.detail);
    assert_eq!(store.audit_count().unwrap(), 1_101);
    // It goes on, and a second run knows where the first ended.
    write(&store, [0]);
    assert!(plan(&store, 30).unwrap().is_none());
    assert!(store.verify_audit(Some(&anchor)).unwrap().ok);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.head().0, 1_802);
    assert!(store.verify_audit(Some(&anchor)).unwrap().ok);
}

#[test]
fn a_cut_start_is_whole_only_as_announced() {
    const CUT_ONE_MORE: &str = "DELETE FROM audit WHERE seq = 701";
    const MOVE_ONE: &str = "UPDATE audit_start SET first = 702, prev = (SELECT prev FROM audit WHERE seq = 702)";
    for (edits, place, what) in [
        (&["DELETE FROM audit_start"][..], 1, "a line is missing"),
        (&[CUT_ONE_MORE], 701, "a line is missing"),
        (&[MOVE_ONE], 702, "more was cut off"),
        (&[CUT_ONE_MORE, MOVE_ONE], 702, "more was cut off"),
        (&["UPDATE audit_start SET prev = 'ff'"], 701, "more was cut off"),
        (&["UPDATE audit SET via = 'goes on at line 702 after ff' WHERE event = 'audit.trimmed'"], 1801, "was changed"),
        (&["UPDATE audit SET program = 'x' WHERE seq = 701"], 701, "was changed"),
        (&["DELETE FROM audit WHERE seq = 1801"], 1801, "the end of the log was cut off"),
        (&["UPDATE audit_blocks SET newest = '2020' WHERE block = 1"], 1024, "times of its lines"),
        (&["INSERT INTO audit_blocks VALUES (77, '2020')"], 1802, "times of lines"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, start) = with_old_lines(dir.path(), 700);
        announce(&store, &start);
        let anchor = anchor(&store, Some(&start));
        while store.trim_step(&start).unwrap() {}
        // What is about the end of the log needs it there.
        write(&store, std::iter::repeat_n(0, if place > 1_800 { 0 } else { 300 }));
        while store.sum_up_lines().unwrap() {}
        assert!(store.verify_audit(Some(&anchor)).unwrap().ok);
        for edit in edits {
            store.tamper(edit);
        }
        let verdict = store.verify_audit(Some(&anchor)).unwrap();
        assert!(!verdict.ok && verdict.detail.contains(what), "{edits:?}: {}", verdict.detail);
        assert_eq!(verdict.broken_at, Some(place), "{edits:?}: {}", verdict.detail);
    }
}

#[test]
fn without_a_keychain_the_chain_itself_must_say_what_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, start) = with_old_lines(dir.path(), 300);
    // Not announced: somebody else did it.
    while store.trim_step(&start).unwrap() {}
    let verdict = store.verify_audit(None).unwrap();
    assert_eq!((verdict.ok, verdict.broken_at), (false, Some(301)), "{}", verdict.detail);
    assert!(verdict.detail.contains("no line says so"), "{}", verdict.detail);
    announce(&store, &Start { first: 300, prev: start.prev.clone() });
    assert!(!store.verify_audit(None).unwrap().ok, "less was announced");
    announce(&store, &start);
    assert!(store.verify_audit(None).unwrap().ok);
    // A keychain that knows of no cut, or of a smaller one.
    for known in [None, Some(Start { first: 300, prev: start.prev.clone() })] {
        let verdict = store.verify_audit(Some(&anchor(&store, known.as_ref()))).unwrap();
        assert!(!verdict.ok && verdict.detail.contains("more was cut off"), "{}", verdict.detail);
    }
}

#[test]
fn only_old_lines_at_the_start_go_and_never_the_newest_thousand() {
    for (days, retention, first) in [
        // Too few are too old, and not by a day.
        (vec![-31; 10], 31, None),
        (vec![-33; 10], 31, Some(11)),
        (vec![-29; 10], 30, None),
        // The oldest alone is overdue: all that are too old go.
        ([vec![-40; 3], vec![-30; 5], vec![-29; 5]].concat(), 30, Some(4)),
        // A line from the future holds back what is behind it.
        ([vec![-40; 3], vec![400], vec![-40; 9]].concat(), 30, Some(4)),
        // A line from the past lets nothing go that came before it.
        ([vec![-29; 3], vec![-20_000], vec![-29; 3]].concat(), 30, None),
        (vec![-40; 2_500], 30, Some(2_001)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        write(&store, days.iter().copied().chain(std::iter::repeat_n(0, 1_000)));
        let start = plan(&store, retention).unwrap();
        assert_eq!(start.map(|start| start.first), first, "{} lines, {retention} d", days.len());
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, std::iter::repeat_n(-4_000, 1_005));
    assert_eq!(plan(&store, 30).unwrap().map(|start| start.first), Some(6), "the newest thousand stay");
}

#[test]
fn what_does_not_verify_is_not_taken_out() {
    for edit in [
        "UPDATE audit SET program = 'x' WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 5",
        "UPDATE audit SET hash = 'x' WHERE seq = 4",
        "DELETE FROM audit WHERE seq < 5",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = with_old_lines(dir.path(), 10);
        store.tamper(edit);
        assert!(matches!(plan(&store, 30), Err(TrimError::Broken(1 | 4 | 5))), "{edit}");
    }
}

#[test]
fn a_clock_that_jumps_is_believed_by_hours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, [0]);
    let now = |days: i64| Timestamp::from_seconds(TODAY + days * DAY);
    let hours = |hours: i64| Timestamp::from_seconds(TODAY + hours * 3600);
    assert_eq!(store.believe(now(0)).unwrap(), now(0));
    assert_eq!(store.believe(now(365)).unwrap(), hours(4), "a year ahead");
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.believe(now(365)).unwrap(), hours(8), "starting again does not help it");
    assert_eq!(store.believe(hours(6)).unwrap(), hours(6), "back at once");
    assert_eq!(store.believe(hours(7)).unwrap(), hours(7));
    // A log that was never looked after is believed as far as it has come.
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, [-50]);
    assert_eq!(store.believe(now(0)).unwrap(), Timestamp::from_seconds(TODAY - 50 * DAY + 4 * 3600));
}

#[test]
fn since_finds_every_line_whatever_the_clock_did() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    // Two steps forward, one back, with a jump into the future and one into the past.
    let days: Vec<i64> = (0..4_000)
        .map(|n| {
            if n == 700 {
                300
            } else if n == 2_500 {
                -300
            } else {
                n / 2 - n % 7 * 10
            }
        })
        .collect();
    write(&store, days.iter().copied());
    for summed_up in [false, true] {
        if summed_up {
            while store.sum_up_lines().unwrap() {}
            let blocks: i64 =
                lock(&store.connection).query_row("SELECT count(*) FROM audit_blocks", [], |r| r.get(0)).unwrap();
            assert_eq!(blocks, 3, "whole blocks only");
        }
        for since in [-400, 0, 299, 300, 301, 1_000, 1_990, 3_000] {
            let want: Vec<i64> = (1..).zip(&days).filter(|(_, day)| **day >= since).map(|(seq, _)| seq).collect();
            let (mut got, mut after) = (Vec::new(), None);
            loop {
                let lines = store.audit_lines(&AuditQuery { after, since: Some(at(since)), limit: 333 }).unwrap();
                let Some(last) = lines.last() else { break };
                after = Some(last.seq);
                got.extend(lines.iter().map(|line| line.seq));
            }
            assert_eq!(got, want, "since {since}, summed up: {summed_up}");
        }
    }
    let seqs = |after, limit| -> Vec<i64> {
        let lines = store.audit_lines(&AuditQuery { after, since: None, limit }).unwrap();
        lines.iter().map(|line| line.seq).collect()
    };
    assert_eq!(seqs(None, 3), [3_998, 3_999, 4_000], "the newest");
    assert_eq!(seqs(Some(5), 3), [6, 7, 8], "the next");
    assert_eq!(seqs(Some(3_999), 3), [4_000]);
    assert!(seqs(Some(4_000), 3).is_empty());
}

#[test]
fn a_page_reads_no_more_than_it_shows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, (0..5_000).map(|n| n / 10));
    while store.sum_up_lines().unwrap() {}
    // What was passed over need not even be readable.
    store.tamper("UPDATE audit SET event = CAST(x'ff' AS TEXT) WHERE seq < 4096");
    assert_eq!(store.audit_lines(&AuditQuery { after: None, since: Some(at(450)), limit: 10 }).unwrap()[0].seq, 4_501);
    assert!(store.audit_lines(&AuditQuery { after: Some(4_990), since: None, limit: 100 }).unwrap().len() == 10);
    assert!(store.audit_lines(&AuditQuery { after: None, since: None, limit: 500 }).unwrap().len() == 500);
    assert!(store.audit_lines(&AuditQuery { after: None, since: Some(at(0)), limit: 10 }).is_err(), "it was spoilt");
}

#[test]
fn the_cursor_of_an_export_survives() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.exported("syslog").unwrap(), None);
    store.note_exported("syslog", 3).unwrap();
    store.note_exported("syslog", 4).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.exported("syslog").unwrap(), Some(4));
    // It shows a cut end too.
    write(&store, [0; 4]);
    assert!(store.verify_audit(None).unwrap().ok);
    store.tamper("DELETE FROM audit WHERE seq = 4");
    let verdict = store.verify_audit(None).unwrap();
    assert_eq!((verdict.ok, verdict.broken_at), (false, Some(4)), "{}", verdict.detail);
}

#[test]
fn severities_are_those_of_the_table() {
    for (event, code, severity_) in [
        ("token.issued", "ok", 6),
        ("token.refused", "consent_required", 6),
        ("token.refused", "consent_denied", 5),
        ("token.refused", "program_blocked", 4),
        ("profile.changed", "profile_invalid", 3),
        ("sign_in.lost", "refresh.invalid_grant", 4),
        ("something.new", "ok", 5),
    ] {
        assert_eq!(severity(event, code), severity_, "{event} {code}");
    }
}
