//! stdin, stdout and stderr that are closed, full, or not what one expects.

use crate::fake::{CANARY, Ended, Home, begin, begin_as_is, end, ok, token_answer};
use serde_json::{Value, json};
use std::{fs::File, process::Stdio};

fn home() -> Home {
    let lines: Vec<Value> = (0..3)
        .map(|n| {
            json!({"name": format!("r{n}"), "account": "corp", "token": "access",
        "audience": null, "scope": "a", "allowed_scope": "a", "consent": "ask", "sensitive": false, "access": "token",
        "origin": "x"})
        })
        .collect();
    Home::with(move |asked| match asked.path.as_str() {
        "/v1/resources" => ok(Value::Array(lines.clone())),
        _ => ok(token_answer("payments")),
    })
}

/// A pipe whose reader is gone.
fn broken_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn into(home: &Home, arguments: &[&str], stdout: Stdio) -> Ended {
    begin_as_is(home.daypass(arguments).stdout(stdout).stderr(Stdio::piped())).wait_with_output().unwrap().into()
}

#[test]
fn a_token_nobody_reads_is_a_failure() {
    let home = home();
    for format in ["raw", "json", "header"] {
        into(&home, &["token", "payments", "--format", format], broken_pipe()).failed(1, "stdout");
    }
    into(&home, &["token", "payments"], File::create("/dev/full").unwrap().into()).failed(1, "stdout");
}

#[test]
fn a_listing_cut_short_is_none() {
    let home = home();
    for arguments in [&["resources"][..], &["resources", "--json"], &["--help"], &["--version"], &["profile", "schema"]]
    {
        let ended = into(&home, arguments, broken_pipe());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
    into(&home, &["resources"], File::create("/dev/full").unwrap().into()).failed(1, "stdout");
}

#[test]
fn closed_streams_do_not_panic() {
    let home = home();
    for (closed, out) in [("<&-", true), (">&-", false), ("2>&-", true), ("<&- >&- 2>&-", false), ("</", true)] {
        let line = format!("exec {} token payments {closed}", env!("CARGO_BIN_EXE_daypass"));
        let ended = end(home.command("/bin/sh").args(["-c", &line]));
        assert_eq!(ended.code, Some(0), "{closed}: {ended:?}");
        assert_eq!(ended.out, if out { format!("{CANARY}.payments\n") } else { String::new() }, "{closed}");
        assert_eq!(ended.err, "", "{closed}");
    }
    let line = format!("exec {} frobnicate 2>&-", env!("CARGO_BIN_EXE_daypass"));
    assert_eq!(end(home.command("/bin/sh").args(["-c", &line])).code, Some(2));
}

#[test]
fn a_dumb_terminal_and_no_colour_change_nothing() {
    let home = home();
    let plain = home.run(&["resources"]);
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "xterm-256color")] {
        let ended = end(home.daypass(&["resources"]).env(name, value));
        assert_eq!((ended.code, ended.out), (plain.code, plain.out.clone()));
    }
    assert!(!plain.out.contains('\x1b'));
}

#[test]
fn the_token_is_in_no_argument_and_no_environment() {
    let home = Home::with(|asked| match asked.path.as_str() {
        "/healthz" => crate::fake::Reply::Nothing,
        _ => crate::fake::Reply::Late(std::time::Duration::from_millis(400), Box::new(ok(token_answer("payments")))),
    });
    let child = begin(&mut home.daypass(&["token", "payments"]));
    std::thread::sleep(std::time::Duration::from_millis(150));
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
        assert!(!bytes.is_empty() && !String::from_utf8_lossy(&bytes).contains(CANARY));
    }
    Ended::from(child.wait_with_output().unwrap()).answered(&format!("{CANARY}.payments\n"));
}
