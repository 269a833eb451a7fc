//! `daypass doctor` with agents that tell, refuse, are of another version, or hang.

use crate::fake::{Home, Reply, ok, refusal};
use localapi::Code;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

fn told(version: &str, checks: &Value) -> Value {
    json!({"agent": {"version": version, "pid": 4242, "uptime": 60}, "test_policy": false, "checks": checks})
}

fn checks() -> Value {
    json!([
        {"check": "port", "state": "ok", "finding": "http://127.0.0.1:6174"},
        {"check": "keychain", "state": "ok", "finding": "it is open, and keeps the sign-ins"},
        {"check": "issuer", "state": "ok", "account": "corp", "finding": "https://login.example.com answers in 34 ms"},
        {"check": "sign_in", "state": "failed", "account": "corp", "finding": "nobody is signed in\u{1b}[2J",
         "hint": "daypass login corp"},
    ])
}

/// Writes an address file that leads to somebody who answers `/healthz` with this status.
fn serve_healthz(home: &Home, status: &'static str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}\n", listener.local_addr().unwrap());
    std::fs::write(home.path("runtime/daypass/address"), address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes());
        }
    });
}

#[test]
fn what_the_agent_found_is_printed_line_by_line_and_as_a_list() {
    let home = Home::with(|_| ok(told("0.1.0", &checks())));
    serve_healthz(&home, "204 No Content");
    let ended = home.run(&["doctor"]);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let lines: Vec<_> = ended.out.lines().collect();
    assert!(
        lines[0].starts_with("ok    socket        ") && lines[0].ends_with("agent.sock, for you alone"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        [
            "ok    agent         0.1.0, pid 4242, up 60 s",
            "ok    port          http://127.0.0.1:6174",
            "ok    keychain      it is open, and keeps the sign-ins",
            "ok    issuer corp   https://login.example.com answers in 34 ms",
            "FAIL  sign-in corp  nobody is signed in[2J",
            "      next: daypass login corp",
        ]
    );
    assert_eq!(ended.err, "daypass: 1 failure\n");
    let ended = home.run(&["doctor", "--json"]);
    let list: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (Some(4), ""));
    assert_eq!(list.as_array().unwrap()[2..], checks().as_array().unwrap()[..]);
    assert_eq!((&list[0]["check"], &list[1]["check"]), (&json!("socket"), &json!("agent")));
}

#[test]
fn a_port_that_is_somebody_elses_is_found_from_here() {
    let home = Home::with(|_| ok(told("0.1.0", &json!([checks()[0]]))));
    serve_healthz(&home, "200 OK");
    let ended = home.run(&["doctor"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.out.contains("FAIL  port") && ended.out.contains("something else answers"), "{}", ended.out);
}

#[test]
fn an_agent_that_does_not_tell_is_a_failure_and_the_profile_is_looked_at_all_the_same() {
    for (code, words) in [
        (Code::NotFound, "older than this command"),
        (Code::NotFirstParty, "does not take this command for its own"),
        (Code::RateLimited, "busy with somebody else's look"),
        (Code::Internal, "this is internal"),
    ] {
        let ended = Home::with(move |_| refusal(code)).run(&["doctor"]);
        assert_eq!(ended.code, Some(3), "{words}: {ended:?}");
        assert!(ended.out.contains(words) && ended.out.contains("no account is configured"), "{}", ended.out);
        assert!(!ended.out.contains("is taken"), "whose port it is cannot be told then: {}", ended.out);
    }
    let ended = Home::with(|_| ok(told("0.0.9", &json!([])))).run(&["doctor"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("warn  agent") && ended.out.contains("0.0.9"), "{}", ended.out);
    assert_eq!(ended.err, "daypass: it works, with 1 warning\n");
}

#[test]
fn an_agent_that_hangs_is_noticed_soon() {
    let home = Home::with(|_| Reply::Hang);
    let began = Instant::now();
    let ended = home.run(&["doctor"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(ended.code, Some(3));
    assert!(ended.out.contains("FAIL  agent") && ended.out.contains("next: restart it"), "{}", ended.out);
}
