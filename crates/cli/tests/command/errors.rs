//! The error table, and agents that are absent, foreign, hung or of another kind.

use crate::fake::{CANARY, Home, Reply, ok, refusal, token_answer};
use localapi::Code;
use serde_json::json;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

#[test]
fn every_code_has_its_exit_code() {
    let home = Home::with(|asked| {
        let name = asked.body["resource"].as_str().unwrap();
        refusal(*Code::ALL.iter().find(|code| code.as_str() == name).unwrap())
    });
    for &code in Code::ALL {
        let text = format!("daypass: this is {0} ({0})\n", code.as_str());
        home.run(&["token", code.as_str()]).failed(code.exit() as i32, &text);
    }
}

#[test]
fn the_agents_hint_and_detail_are_shown_without_controls() {
    let home = Home::with(|_| {
        let body = json!({
            "error": "server_error", "code": "issuer_rejected", "error_description": "the issuer \u{1b}[31mrefused",
            "hint": "tell IT", "detail": "invalid_client\nAADSTS7000215",
        });
        Reply::Json(502, body)
    });
    home.run(&["token", "x"]).failed(
        7,
        "daypass: the issuer [31mrefused (issuer_rejected)\nhint: tell IT\ndetail: invalid_client AADSTS7000215\n",
    );
}

#[test]
fn without_an_agent_looking_starts_none() {
    let home = Home::new();
    let marker = home.path("started");
    let daypass = home.beside(Some(&format!("touch {}", marker.display())));
    for arguments in [&["status"][..], &["agent", "stop"]] {
        let ended = crate::fake::end(home.command(&daypass).args(arguments));
        ended.failed(3, "daypass: no agent is running\nhint: start it: daypass agent\n");
    }
    assert!(!marker.exists());
}

#[test]
fn a_socket_nobody_listens_at_is_no_agent() {
    let home = Home::new();
    drop(std::os::unix::net::UnixListener::bind(home.path("runtime/daypass/agent.sock")).unwrap());
    home.run(&["status"]).failed(3, "no agent is running");
}

#[test]
fn without_a_runtime_directory_there_is_a_next_step() {
    let home = Home::new();
    for command in ["token", "login"] {
        let mut line = home.daypass(&[command, "payments"]);
        line.env_remove("XDG_RUNTIME_DIR");
        let ended = crate::fake::end(&mut line);
        ended.failed(3, "XDG_RUNTIME_DIR");
        assert!(ended.err.contains("hint: "), "{}", ended.err);
    }
}

#[test]
fn a_place_others_can_write_to_is_not_spoken_to() {
    let home = Home::with(|_| ok(token_answer("payments")));
    fs::set_permissions(home.path("runtime/daypass"), Permissions::from_mode(0o777)).unwrap();
    let ended = home.run(&["token", "payments"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{ended:?}");
    assert!(home.seen().is_empty());
}

#[test]
fn a_hung_agent_is_noticed_in_two_seconds() {
    let home = Home::with(|_| Reply::Hang);
    for arguments in
        [&["token", "payments", "--wait", "2m"][..], &["status"], &["login", "corp"], &["audit", "--follow"]]
    {
        let begun = Instant::now();
        home.run(arguments).failed(3, "daypass: the agent does not answer\nhint: ");
        assert!(begun.elapsed() < Duration::from_millis(2600), "{arguments:?} took {:?}", begun.elapsed());
    }
}

#[test]
fn a_slow_answer_of_a_living_agent_is_waited_for() {
    let home = Home::with(|asked| match asked.path.as_str() {
        "/healthz" => Reply::Nothing,
        _ => Reply::Late(Duration::from_millis(2500), Box::new(ok(token_answer("payments")))),
    });
    home.run(&["token", "payments"]).answered(&format!("{CANARY}.payments\n"));
    assert_eq!(home.seen_lines(), ["POST /v1/token", "GET /healthz"]);
}

#[test]
fn what_is_no_answer_is_exit_code_3() {
    for (bytes, text) in [
        (&b""[..], "closed the connection"),
        (b"SSH-2.0-x\r\n", "cannot be understood"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "cannot be understood"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "cannot be understood"),
        (b"HTTP/1.1 500 x\r\ncontent-length: 2\r\n\r\n{}", "cannot be understood"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort", "closed the connection"),
    ] {
        let home = Home::with(move |_| Reply::Raw(bytes.to_vec()));
        home.run(&["token", "payments"]).failed(3, text);
    }
}
