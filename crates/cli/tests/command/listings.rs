//! Listings, consent answers, grants and the audit log.

use crate::fake::{Home, Reply, begin, ok, refusal};
use localapi::Code;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

fn status(accounts: &Value) -> Value {
    json!({"agent": {"version": "0.1.0", "pid": 4242, "uptime": 60}, "address": "http://127.0.0.1:6174",
        "keychain": {"state": "ok"}, "profile": {"state": "ok", "diagnostics": []}, "test_policy": false,
        "lock_state": "unlocked", "accounts": accounts, "notices": [],
        "desktop": {"autostart": true, "sign_in_at_start": "first", "links": []}})
}

fn account(state: &str) -> Value {
    json!({"name": "corp", "issuer": "https://login.example.com", "subject": "248289", "state": state,
        "expires_at": "2099-01-01T00:00:00Z", "durable": true, "client_id": "daypass", "origin": "user profile"})
}

#[test]
fn status_ends_with_4_when_a_sign_in_is_required() {
    for (state, code) in [("signed_in", 0), ("unreachable", 0), ("keychain_locked", 0), ("sign_in_required", 4)] {
        let body = status(&json!([account(state)]));
        let home = Home::with(move |_| ok(body.clone()));
        let ended = home.run(&["status"]);
        assert_eq!(ended.code, Some(code), "{state}");
        assert!(ended.out.contains("http://127.0.0.1:6174") && ended.out.contains("corp"), "{}", ended.out);
        assert_eq!(ended.err.contains("daypass login corp"), code == 4, "{}", ended.err);
        let ended = home.run(&["status", "--json"]);
        assert_eq!((ended.code, ended.err.as_str()), (Some(code), ""));
        assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), status(&json!([account(state)])));
    }
}

#[test]
fn status_without_accounts_says_how_to_begin() {
    let ended = Home::with(|_| ok(status(&json!([])))).run(&["status"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("hint: ") && ended.err.contains("profile.toml"), "{}", ended.err);
}

fn question(id: &str) -> Value {
    json!({"id": id, "program": "/usr/bin/git", "resource": "payments", "scope": "payments.read", "state": "pending",
        "expires_at": "2099-01-01T00:00:00Z", "account": "corp", "choices": ["deny", "once", "today"], "digest": format!("d-{id}"),
        "window": false})
}

fn grant(id: &str, until: &Value) -> Value {
    json!({"id": id, "program": "/usr/bin/git", "account": "corp", "resource": "payments", "scope": "payments.read",
        "choice": "today", "until": until})
}

fn agent() -> Home {
    agent_with(json!([]))
}

fn agent_with(resources: Value) -> Home {
    Home::with(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/requests") => ok(json!([question("c17"), question("c18"), question("d1")])),
        ("POST", _) => {
            let mut answered = question("c17");
            answered["state"] = json!(if asked.body["choice"] == "deny" { "denied" } else { "approved" });
            ok(answered)
        }
        ("GET", "/v1/grants") => ok(json!([grant("g1", &Value::Null), grant("g2", &json!("2099-01-01T00:00:00Z"))])),
        ("DELETE", _) => Reply::Nothing,
        ("GET", "/v1/resources") => ok(resources.clone()),
        _ => ok(json!([])),
    })
}

#[test]
fn listings_have_words_and_json() {
    let home = agent();
    for (command, first, json) in [
        ("requests", "ID   PROGRAM       RESOURCE", json!([question("c17"), question("c18"), question("d1")])),
        (
            "grants",
            "ID  PROGRAM       ACCOUNT",
            json!([grant("g1", &Value::Null), grant("g2", &json!("2099-01-01T00:00:00Z"))]),
        ),
    ] {
        let ended = home.run(&[command]);
        assert!(ended.code == Some(0) && ended.out.starts_with(first), "{}", ended.out);
        let ended = home.run(&[command, "--json"]);
        let printed: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(printed, json, "{command}");
    }
    for command in ["accounts", "resources"] {
        home.run(&[command, "--json"]).answered("[]\n");
        let ended = home.run(&[command]);
        ended.answered("");
        assert!(ended.err.contains("configured"), "{}", ended.err);
    }
}

#[test]
fn an_answer_names_the_digest_of_what_was_shown() {
    let resource = |name: &str, audience: &str| {
        json!({"name": name, "account": "corp", "token": "access", "audience": audience, "scope": "payments.read",
            "allowed_scope": "payments.read", "consent": "ask", "sensitive": false, "access": "question", "origin": "user"})
    };
    let home = agent_with(json!([
        resource("api", "https://api.example.com"),
        resource("payments", "https://pay.example.com")
    ]));
    for (arguments, path, body) in [
        (&["approve", "c17"][..], "/v1/requests/c17", json!({"choice": "once", "digest": "d-c17"})),
        (&["approve", "d", "--for", "today"], "/v1/requests/d1", json!({"choice": "today", "digest": "d-d1"})),
        (&["deny", "c18"], "/v1/requests/c18", json!({"choice": "deny", "digest": "d-c18"})),
    ] {
        let ended = home.run(arguments);
        ended.answered("");
        for shown in ["/usr/bin/git", "payments.read", "corp", "2099-01-01", "audience    https://pay.example.com\n"] {
            assert!(ended.err.contains(shown), "{}", ended.err);
        }
        let asked = home.seen().pop().unwrap();
        assert_eq!((asked.path.as_str(), asked.body), (path, body));
    }
}

#[test]
fn what_cannot_be_answered_is_not() {
    let home = agent();
    home.run(&["approve", "x"]).failed(2, "(not_found)\nhint: see: daypass requests");
    home.run(&["deny", "c1"]).failed(2, "more than one");
    home.run(&["deny", ""]).failed(2, "(not_found)");
    let ended = home.run(&["approve", "c17", "--for", "always"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("choose one of: once, today"), "{}", ended.err);
    assert!(home.seen().iter().all(|asked| asked.method == "GET"));
    let home = Home::with(|asked| match asked.line().as_str() {
        "GET /v1/requests" => ok(json!([question("c17")])),
        "GET /v1/resources" => ok(json!([])),
        _ => refusal(Code::ConsentUnavailable),
    });
    assert_eq!(home.run(&["approve", "c17"]).code, Some(5));
}

#[test]
fn grants_are_revoked_by_name_or_all_at_once() {
    let home = agent();
    home.run(&["grants", "revoke", "g1"]).answered("");
    assert_eq!(home.seen_lines().pop().unwrap(), "DELETE /v1/grants/g1");
    home.run(&["grants", "revoke", "--all"]).answered("");
    assert_eq!(home.seen_lines().pop().unwrap(), "DELETE /v1/grants");
    home.run(&["grants", "revoke", "g9"]).failed(2, "(not_found)\nhint: see: daypass grants");
}

#[test]
fn programs_are_blocked_by_path_or_id_and_unblocked() {
    let blocked = || json!([{"id": "3", "program": "/usr/bin/git", "since": "2026-01-01T00:00:00Z"}]);
    let home = Home::with(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/requests") => ok(json!([question("c17"), question("c18")])),
        ("GET", "/v1/grants") => ok(json!([grant("7", &Value::Null)])),
        ("GET", "/v1/blocks") => ok(blocked()),
        ("POST", "/v1/blocks") => ok(blocked()[0].clone()),
        ("DELETE", _) => Reply::Nothing,
        _ => refusal(Code::NotFound),
    });
    for (named, sent) in [("/usr/bin/git", "/usr/bin/git"), ("7", "7"), ("c17", "c17")] {
        let ended = home.run(&["block", named]);
        ended.answered("");
        assert!(ended.err.contains("/usr/bin/git gets nothing"), "{}", ended.err);
        let asked = home.seen().pop().unwrap();
        assert_eq!((asked.line().as_str(), asked.body), ("POST /v1/blocks", json!({"program": sent})));
    }
    home.run(&["block", "./tool"]).answered("");
    let sent = home.seen().pop().unwrap().body["program"].as_str().unwrap().to_owned();
    assert!(sent.starts_with('/') && sent.ends_with("/tool") && !sent.contains("/./"), "{sent}");
    home.run(&["block", "c1"]).failed(2, "more than one");
    home.run(&["block", "git"]).failed(2, "(not_found)\nhint: name the program's file");
    for named in ["3", "/usr/bin/git"] {
        home.run(&["unblock", named]).answered("");
        assert_eq!(home.seen_lines().pop().unwrap(), "DELETE /v1/blocks/3");
    }
    home.run(&["unblock", "git"]).failed(2, "(not_found)\nhint: see: daypass block");
    let ended = home.run(&["block", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), blocked());
    for words in [&["block"][..], &["grants"]] {
        let ended = home.run(words);
        assert!(ended.out.contains("ID  BLOCKED PROGRAM  SINCE\n3   /usr/bin/git     "), "{}", ended.out);
    }
    assert!(serde_json::from_str::<Value>(&home.run(&["grants", "--json"]).out).unwrap()[0].get("choice").is_some());
}

fn line(seq: i64) -> Value {
    json!({"seq": seq, "time": "2026-01-01T00:00:00Z", "event": "token.issued", "code": "ok", "program": "/usr/bin/git",
        "account": "corp", "resource": "payments", "scope": "payments.read", "via": "grant", "prev": "a", "hash": "b"})
}

/// A log of `length` lines that answers pages as the agent does, and hangs where it would wait.
fn log(length: i64) -> Home {
    Home::with(move |asked| {
        if asked.path == "/healthz" {
            return Reply::Nothing;
        }
        let number = |name: &str| -> i64 {
            let query = asked.path.split_once('?').unwrap().1;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
        };
        let after = if asked.path.contains("after=") { number("after") } else { 0 };
        let lines: Vec<Value> = (after + 1..=length.min(after + number("limit"))).map(line).collect();
        if lines.is_empty() && number("wait") > 0 { Reply::Hang } else { ok(Value::Array(lines)) }
    })
}

#[test]
fn the_audit_log_comes_whole_and_in_order() {
    let home = log(1203);
    let ended = home.run(&["audit", "--json", "--since", "2026-01-01"]);
    assert_eq!(ended.code, Some(0));
    let seqs: Vec<i64> =
        ended.out.lines().map(|line| serde_json::from_str::<localapi::AuditLine>(line).unwrap().seq).collect();
    assert_eq!(seqs, (1..=1203).collect::<Vec<_>>());
    assert!(
        home.seen_lines().iter().all(|line| line.contains("&since=2026-01-01T00:00:00Z")),
        "{:?}",
        home.seen_lines()
    );
    let ended = home.run(&["audit"]);
    assert_eq!(ended.out.lines().count(), 1203);
    assert!(ended.out.contains("token.issued") && ended.out.contains("program=/usr/bin/git"));
    home.run(&["audit", "--since", "yesterday"]).failed(2, "--since");
}

#[test]
fn following_prints_lines_as_they_come() {
    let home = log(3);
    let mut child = begin(&mut home.daypass(&["audit", "--follow", "--json"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for seq in 1..=3 {
        assert_eq!(serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap(), line(seq));
    }
    // Silence is no reason to end while the agent is alive.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_broken_chain_is_a_failure() {
    Home::with(|_| ok(json!({"ok": true, "lines": 9, "detail": "anchored"})))
        .run(&["audit", "verify"])
        .answered("ok: anchored\n");
    let home = Home::with(|_| ok(json!({"ok": false, "lines": 9, "broken_at": 4, "detail": "hash differs"})));
    home.run(&["audit", "verify"]).failed(1, "the audit log is broken at line 4");
    let ended = home.run(&["audit", "verify", "--json"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["broken_at"], 4);
}
