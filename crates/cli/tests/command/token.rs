//! `daypass token`.

use crate::fake::{CANARY, Home, Reply, begin_as_is, ok, token_answer};
use serde_json::{Value, json};
use std::{fs::File, io::Read, process::Stdio, time::Duration};

fn home() -> Home {
    Home::with(|asked| {
        assert_eq!(asked.line(), "POST /v1/token");
        ok(token_answer(asked.body["resource"].as_str().unwrap()))
    })
}

#[test]
fn raw_is_the_token_and_a_line_feed() {
    home().run(&["token", "payments"]).answered(&format!("{CANARY}.payments\n"));
}

#[test]
fn json_is_the_answer_as_one_document() {
    let ended = home().run(&["token", "payments", "--format", "json"]);
    assert_eq!(ended.code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), token_answer("payments"));
    assert_eq!(ended.out.lines().count(), 1);
}

#[test]
fn header_is_an_authorization_header() {
    home()
        .run(&["token", "payments", "--format", "header"])
        .answered(&format!("Authorization: Bearer {CANARY}.payments\n"));
}

#[test]
fn an_id_token_is_no_header() {
    let home = Home::with(|_| {
        let mut answer = token_answer("payments");
        answer["token_type"] = json!("N_A");
        answer["issued_token_type"] = json!(localapi::ID_TOKEN_TYPE);
        ok(answer)
    });
    home.run(&["token", "payments", "--format", "header"]).failed(2, "ID token");
    home.run(&["token", "payments"]).answered(&format!("{CANARY}.payments\n"));
}

#[test]
fn what_is_typed_is_what_is_asked() {
    let home = home();
    home.run(&["token", "payments"]);
    home.run(&[
        "token",
        "https://a/?b",
        "--scope",
        "r",
        "--scope",
        "w x",
        "--min-valid",
        "10m",
        "--refresh",
        "--wait",
        "90s",
    ]);
    let bodies: Vec<Value> = home.seen().into_iter().map(|asked| asked.body).collect();
    // Without a terminal on stderr nobody is waited for.
    assert_eq!(bodies[0], json!({"resource": "payments", "wait": 0}));
    assert_eq!(
        bodies[1],
        json!({"resource": "https://a/?b", "scope": "r w x", "min_valid": 600, "wait": 90, "refresh": true})
    );
}

#[test]
fn longer_waits_than_there_are_become_the_longest() {
    let home = home();
    let ended = home.run(&["token", "payments", "--wait", "1h"]);
    assert!(ended.err.contains("2m"), "{}", ended.err);
    assert_eq!(home.seen()[0].body["wait"], 120);
}

#[test]
fn what_is_no_token_is_not_printed() {
    for text in ["", "a b", "a\nb", "a\r\nX-Evil: 1", "\u{1b}[2J", "é"] {
        let home = Home::with(move |_| {
            let mut answer = token_answer("payments");
            answer["access_token"] = json!(text);
            ok(answer)
        });
        for format in ["raw", "header", "json"] {
            home.run(&["token", "payments", "--format", format]).failed(1, "no token");
        }
    }
}

#[test]
fn a_parked_question_says_how_it_is_answered() {
    let home = Home::with(|_| {
        let body = json!({
            "error": "consent_required", "code": "consent_required", "consent_id": "c17", "expires_in": 120,
            "error_description": "a person has to allow this first",
        });
        Reply::Json(401, body)
    });
    let ended = home.run(&["token", "payments"]);
    ended.failed(6, "daypass: a person has to allow this first (consent_required)\nhint: ");
    assert!(ended.err.contains("daypass approve c17") && ended.err.contains("daypass requests"), "{}", ended.err);
}

/// Both ends of a new terminal.
fn terminal() -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let end = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (master.into(), end)
}

#[test]
fn a_person_at_a_terminal_is_told_what_is_waited_for() {
    let home = Home::with(|asked| match asked.path.as_str() {
        "/v1/requests" => {
            ok(json!([{"id": "c17", "program": "/usr/bin/git\u{1b}[8m", "resource": "payments", "scope": "a",
            "state": "pending", "expires_at": "2099-01-01T00:00:00Z"}]))
        }
        _ => Reply::Late(Duration::from_millis(1500), Box::new(ok(token_answer("payments")))),
    });
    let (mut master, end) = terminal();
    let child = begin_as_is(home.daypass(&["token", "payments"]).stdout(Stdio::piped()).stderr(end));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, format!("{CANARY}.payments\n").into_bytes());
    assert_eq!(home.seen()[0].body["wait"], 120);
    let mut shown = [0; 1024];
    let read = master.read(&mut shown).unwrap();
    let shown = String::from_utf8_lossy(&shown[..read]);
    assert!(shown.contains("waiting for your answer: /usr/bin/git[8m wants payments"), "{shown}");
    assert!(shown.contains("daypass requests") && shown.contains("c17") && shown.lines().count() == 1, "{shown}");
}
