//! The audit log proves itself, and its copies say no more than it does.

use e2e::{
    canary::contains,
    until,
    world::{Options, World},
};
use serde_json::Value;
use std::{collections::BTreeMap, fs, io, os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

/// One of the system's logs, as far as the agent can tell.
struct Log {
    socket: UnixDatagram,
    datagrams: Vec<Vec<u8>>,
}

impl Log {
    fn listen(path: &Path) -> Self {
        let _ = fs::remove_file(path);
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_nonblocking(true).expect("own socket");
        Self { socket, datagrams: Vec::new() }
    }

    /// Takes what has come; the lines by their number, each once.
    fn lines(&mut self) -> BTreeMap<i64, String> {
        let mut bytes = vec![0; 65_536];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(read) => self.datagrams.push(bytes[..read].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let mut lines = BTreeMap::new();
        for datagram in &self.datagrams {
            let text = String::from_utf8(datagram.clone()).expect("text");
            let seq = text.split_once("seq=").expect("a number").1.split(' ').next().expect("a number").to_owned();
            let before = lines.insert(seq.parse().expect("a number"), text);
            assert!(before.is_none(), "line {seq} came twice");
        }
        lines
    }
}

/// Waits until a log has every line the agent has.
fn complete(world: &World, log: &mut Log) -> BTreeMap<i64, String> {
    let newest = world.rows(&["audit"]).last().and_then(|row| row["seq"].as_i64()).expect("a line");
    until("the copies", Duration::from_secs(20), || {
        let lines = log.lines();
        (1..=newest).all(|seq| lines.contains_key(&seq)).then_some(lines)
    })
}

#[test]
fn every_line_is_copied_to_the_systems_logs_and_no_secret_with_it() {
    let managed = "version = 1\n[audit]\nexport = [\"journald\", \"syslog\"]\n";
    let mut world = World::new(Options { keyring: true, managed: Some(managed.to_owned()), ..Options::default() });
    let place = |name: &str| world.home.path().join("managed").join(name);
    let (journal, syslog) = (place("journald.socket"), place("syslog.socket"));
    let mut journald = Log::listen(&journal);
    let minted_canary = {
        world.sign_in();
        let minted = world.permit("local", &[]);
        world.permit("payments", &[]);
        world.daypass(&["token", "payments", "--refresh"]).ok();
        world.daypass(&["token", "payments", "--scope", "api.read"]).fails(10);
        minted
    };
    let copies = complete(&world, &mut journald);
    for row in world.rows(&["audit"]) {
        let copy = &copies[&row["seq"].as_i64().unwrap()];
        for (field, key) in [("EVENT", "event"), ("CODE", "code"), ("PROGRAM", "program"), ("HASH", "hash")] {
            if let Some(value) = row[key].as_str() {
                assert!(copy.contains(&format!("\nDAYPASS_{field}={value}\n")), "{copy}");
            }
        }
        assert!(copy.contains("\nSYSLOG_IDENTIFIER=daypass\n"), "{copy}");
    }

    // Nobody reads syslog yet: that is said, and costs no token.
    let doctor = |state: &str| {
        until("the doctor's line", Duration::from_secs(20), || {
            let checks: Value = serde_json::from_str(&world.daypass(&["doctor", "--json"]).stdout).ok()?;
            let mut of_syslog = checks.as_array()?.iter().filter(|check| {
                check["check"] == "audit_export" && check["finding"].as_str().is_some_and(|f| f.starts_with("syslog"))
            });
            of_syslog.next().filter(|check| check["state"] == state).cloned()
        })
    };
    let said = doctor("warning");
    assert!(said["finding"].as_str().unwrap().contains("nobody listens there"), "{said}");
    let notices = world.status()["notices"].to_string();
    assert!(notices.contains("not copied to syslog"), "{notices}");
    world.daypass(&["token", "payments"]).ok();

    // As soon as somebody does, it gets everything from the start; a kill in between doubles nothing.
    let mut syslog = Log::listen(&syslog);
    complete(&world, &mut syslog);
    doctor("ok");
    world.agent.kill();
    world.agent.restart();
    world.daypass(&["token", "local"]).ok();
    let of_syslog = complete(&world, &mut syslog);
    let started = of_syslog.values().filter(|line| line.starts_with("<86>") && line.contains("event=agent.started"));
    assert_eq!(started.count(), 2, "{of_syslog:#?}");
    complete(&world, &mut journald);

    let mut secrets = world.secrets();
    assert!(secrets.len() >= 4, "{}", secrets.len());
    secrets.push(minted_canary);
    for (index, secret) in secrets.iter().enumerate() {
        for datagram in journald.datagrams.iter().chain(&syslog.datagrams) {
            assert!(!contains(datagram, secret.as_bytes()), "secret {index} is in a copy");
        }
    }
}

/// Changes the database while no agent has it.
fn tamper(database: &Path, sql: &str) {
    let program = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
                   changed = sum(max(db.execute(s).rowcount, 0) for s in sys.argv[2].split(';'))\n\
                   db.commit()\ndb.close()\nsys.exit(0 if changed else 'nothing changed')";
    let output = Command::new("python3").args(["-c", program]).arg(database).arg(sql).output().expect("python3");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn edited_cut_and_reordered_lines_are_found() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.permit("payments", &[]);
    for _ in 0..4 {
        world.daypass(&["token", "payments"]).ok();
    }
    world.daypass(&["audit", "verify"]).ok();
    world.agent.stop();
    let database = world.home.database();
    let good = ["", "-wal", "-shm"].map(|end| {
        let file = database.with_file_name(format!("daypass.db{end}"));
        let bytes = fs::read(&file).ok();
        (file, bytes)
    });
    for (sql, place) in [
        ("UPDATE audit SET program = '/usr/bin/true' WHERE seq = 4", Some(4)),
        ("UPDATE audit SET time = '2020-01-01T00:00:00.000Z' WHERE seq = 3", Some(3)),
        ("DELETE FROM audit WHERE seq = 4", Some(4)),
        (
            "UPDATE audit SET seq = -1 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = -1",
            Some(4),
        ),
        // Off the end: the agent goes on from there, and the keychain knows better.
        ("DELETE FROM audit WHERE seq >= (SELECT max(seq) - 1 FROM audit)", None),
        // Off the start, without and with a made-up row that says so.
        ("DELETE FROM audit WHERE seq < 4", Some(1)),
        (
            "DELETE FROM audit WHERE seq < 4; \
             INSERT INTO audit_start SELECT 1, seq, prev FROM audit WHERE seq = 4",
            Some(4),
        ),
    ] {
        tamper(&database, sql);
        world.agent.restart();
        let output = world.daypass(&["audit", "verify"]);
        assert_eq!(output.code, 1, "{sql}: {output:?}");
        let found = output.stderr.lines().next().unwrap_or_default().to_owned();
        match place {
            Some(line) => {
                assert!(found.ends_with(&format!("the audit log is broken at line {line}")), "{sql}: {found}");
            }
            None => assert!(found.contains("the audit log is broken"), "{sql}: {found}"),
        }
        // Without warning, so that it anchors nothing of this.
        world.agent.kill();
        for (file, bytes) in &good {
            match bytes {
                Some(bytes) => fs::write(file, bytes).expect("write"),
                None => {
                    let _ = fs::remove_file(file);
                }
            }
        }
    }
    world.agent.restart();
    world.daypass(&["audit", "verify"]).ok();
}

#[test]
fn since_a_time_every_line_comes_and_follow_goes_on() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let all = world.rows(&["audit"]);
    let rows = world.rows(&["audit", "--since", "1h"]);
    assert_eq!(rows[..all.len()], all);
    let later = world.rows(&["audit", "--since", "2100-01-01"]);
    assert!(later.is_empty(), "{later:?}");
    let mut command = Command::new(e2e::program("daypass"));
    command.args(["audit", "--follow", "--json", "--since", "1h"]);
    let out = world.home.log("followed.jsonl");
    let file = fs::File::create(&out).expect("a file");
    let mut following = e2e::process::Running::start(world.home.prepare(command.stdout(file)));
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    until("the old lines", Duration::from_secs(10), || (lines() >= all.len()).then_some(()));
    let before = lines();
    world.daypass(&["token", "payments"]).ok();
    until("the new line", Duration::from_secs(10), || (lines() > before).then_some(()));
    following.stop();
    let seqs: Vec<i64> = fs::read_to_string(&out)
        .expect("lines")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_i64().expect("a number"))
        .collect();
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>(), "none twice, none left out");
}
