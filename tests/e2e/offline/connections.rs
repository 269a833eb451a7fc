//! The life of a connection to the agent, and paths nobody can read.

use super::nonsense::lone_agent;
use e2e::http;
use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

#[test]
fn requests_on_one_connection_are_answered_one_after_the_other() {
    let (_agent, home) = lone_agent();
    let authority = home.authority();
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let mut stream = http::connect(&authority).unwrap();
    let start = Instant::now();
    stream.write_all([one("/healthz"), one("/.well-known/jwks.json"), one("/nothing")].concat().as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    // A body has no end of line of its own.
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["204", "200", "404"], "{text}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn behind_a_chunked_request_nothing_is_looked_at() {
    let (_agent, home) = lone_agent();
    let authority = home.authority();
    let body = r#"{"resource":"payments"}"#;
    let head = format!("POST /v1/token HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for behind in ["", "GET /v1/token HTTP/1.1\r\nHost: evil.example\r\n\r\n", "\0\0\0 not even HTTP\n\n"] {
        let mut stream = http::connect(&authority).unwrap();
        stream.write_all(format!("{chunked}{behind}").as_bytes()).unwrap();
        let start = Instant::now();
        let answer = http::read_answer(&mut stream).unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("login_required")), "{behind:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{behind:?}");
        let mut rest = Vec::new();
        // Bytes nobody read may turn the end into a reset.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{behind:?}: {}", String::from_utf8_lossy(&rest));
        assert!(start.elapsed() < Duration::from_secs(5), "{behind:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_path_that_cannot_be_read_is_answered_as_any_unknown_one() {
    let (_agent, home) = lone_agent();
    let document = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let get = |path: &str| http::request(&home.authority(), "GET", path, &document, b"").unwrap();
    let constant = get("/");
    for path in ["/consent/%ff", "/open/%ff", "/consent/%c3%28/state", "/consent/%00"] {
        let answer = get(path);
        assert_eq!((answer.status, &answer.body), (constant.status, &constant.body), "{path}");
    }
    // To a stranger a path of the API says that he is one, whatever it holds.
    for (method, path) in [("POST", "/v1/requests/%ff"), ("DELETE", "/v1/grants/%ff"), ("GET", "/v1/sign-ins/%ff")] {
        let answer = http::request(&home.authority(), method, path, &[], b"").unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("not_first_party")), "{path}");
    }
}

#[test]
fn what_was_refused_before_a_handler_is_counted_for_the_program() {
    let (_agent, home) = lone_agent();
    for _ in 0..3 {
        let said = home.curl(&["-H", "Origin: http://evil.example", &format!("{}/v1/session", home.address())]).ok();
        assert!(said.contains("origin_refused"), "{said}");
    }
    home.daypass(&["agent", "stop"]).ok();
    home.daypass(&["token", "payments"]).fails(4);
    let lines = home.daypass(&["audit", "--json"]).ok();
    let counted: Vec<_> = lines.lines().filter(|line| line.contains("request.refused")).collect();
    assert!(counted.iter().all(|line| line.contains("origin_refused") && line.contains("/curl")), "{counted:#?}");
    let times: u64 = counted
        .iter()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["via"]
                .as_str()?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum();
    assert_eq!(times, 3, "each refusal once: {counted:#?}");
}
