//! `daypass run`.

use crate::fake::{CANARY, Home, Reply, end, ok, refusal, token_answer};
use localapi::Code;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;

fn home() -> Home {
    Home::with(|asked| match asked.body["resource"].as_str() {
        Some("denied") => refusal(Code::ConsentDenied),
        Some(name) => ok(token_answer(name)),
        None => refusal(Code::InvalidRequest),
    })
}

#[test]
fn tokens_are_in_the_environment_of_the_command() {
    let home = home();
    home.run(&["run", "payments", "--", "sh", "-c", "printf %s \"$PAYMENTS_TOKEN\""])
        .answered(&format!("{CANARY}.payments"));
    home.run(&["run", "payments=API", "build-cache", "x", "--", "sh", "-c", "echo $API $BUILD_CACHE_TOKEN $X_TOKEN"])
        .answered(&format!("{CANARY}.payments {CANARY}.build-cache {CANARY}.x\n"));
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let home = home();
    assert_eq!(home.run(&["run", "payments", "--", "sh", "-c", "exit 42"]).code, Some(42));
    let mut child = crate::fake::begin(&mut home.daypass(&["run", "payments", "--", "sh", "-c", "kill -TERM $$"]));
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn the_command_keeps_its_arguments_and_our_pid() {
    let home = home();
    let child =
        crate::fake::begin(&mut home.daypass(&["run", "a", "--", "sh", "-c", "echo $$ $1 $2", "sh", "--wait", "-x"]));
    let pid = child.id();
    crate::fake::Ended::from(child.wait_with_output().unwrap()).answered(&format!("{pid} --wait -x\n"));
}

#[test]
fn what_cannot_be_run_ends_as_in_a_shell() {
    let home = home();
    home.run(&["run", "a", "--", "no-such-command-here"]).failed(127, "no-such-command-here: command not found");
    home.run(&["run", "a", "--", ""]).failed(127, "command not found");
    home.run(&["run", "a", "--", "/etc"]).failed(126, "/etc: permission denied");
}

#[test]
fn without_every_token_nothing_runs() {
    let home = home();
    let marker = home.path("ran");
    let touch = ["--", "touch", marker.to_str().unwrap()];
    home.run(&[&["run", "denied"][..], &touch].concat()).failed(5, "consent_denied");
    home.run(&[&["run", "a", "denied", "b"][..], &touch].concat()).failed(5, "consent_denied");
    home.run(&[&["run", "a=X", "b=X"][..], &touch].concat()).failed(2, "two tokens for the variable X");
    home.run(&[&["run", "a=1"][..], &touch].concat()).failed(2, "no name for a variable");
    assert!(!marker.exists());
}

#[test]
fn arguments_of_the_command_need_not_be_utf_8() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let home = home();
    let mut command = home.daypass(&["run", "a", "--", "sh", "-c", "printf %s \"$1\" | wc -c", "sh"]);
    let ended = end(command.arg(OsStr::from_bytes(b"\xff\xfe\xfd")));
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "3"));
}

fn resource(name: &str, access: &str) -> Value {
    json!({"name": name, "account": "corp", "token": "access", "audience": format!("https://{name}.example.com"), "scope": "a",
        "allowed_scope": "a", "consent": "ask", "sensitive": false, "access": access, "origin": "user"})
}

/// An agent that asks about every resource but `ready`, and parks the questions.
fn asking() -> Home {
    Home::with(|asked| match (asked.line().as_str(), asked.body["resource"].as_str()) {
        ("GET /v1/resources", _) => {
            ok(json!([resource("ready", "token"), resource("one", "question"), resource("two", "question")]))
        }
        (_, Some("ready")) => ok(token_answer("ready")),
        (_, Some(name)) if name.contains("one") || name.contains("two") => Reply::Json(
            401,
            json!({"error": "consent_required", "code": "consent_required", "consent_id": format!("c-{name}"),
                "error_description": "waiting for consent"}),
        ),
        _ => refusal(Code::ResourceUnknown),
    })
}

#[test]
fn what_fails_without_a_question_fails_before_one_is_opened() {
    let home = asking();
    home.run(&["run", "one", "https://two.example.com=X", "unknown", "--", "true"]).failed(10, "resource_unknown");
    assert_eq!(home.seen_lines(), ["GET /v1/resources", "POST /v1/token"]);
    assert_eq!(home.seen()[1].body["resource"], "unknown");
}

#[test]
fn every_parked_question_is_told() {
    let home = asking();
    let ended = home.run(&["run", "ready", "one", "two", "--", "true"]);
    ended.failed(6, "waiting for consent (consent_required)");
    for part in ["daypass approve c-one", "daypass approve c-two"] {
        assert!(ended.err.contains(part), "{}", ended.err);
    }
    assert_eq!(ended.err.matches("hint: ").count(), 2, "{}", ended.err);
}
