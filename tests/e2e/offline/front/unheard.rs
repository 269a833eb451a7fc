//! What the agent does not listen to: words of proxies, other spellings of a method, identifiers that are paths.

use super::{Front, OK_JSON, Wanted, hardened, lone_agent};
use e2e::http;
use localapi::Code;

#[test]
fn words_of_proxies_and_overrides_change_nothing() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let page = |more: &str| {
        let headers = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
        format!("GET / HTTP/1.1\r\nHost: {}\r\n{headers}{more}\r\n", front.authority)
    };
    let plain = front.check("plain", page(""), Wanted::Status(&[200, 403])).unwrap();
    for line in [
        "X-Forwarded-Host: attacker.example",
        "Forwarded: host=attacker.example;proto=https",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Original-URL: /v1/status",
        "X-Rewrite-URL: /v1/status",
    ] {
        let answer = front.check(&format!("H11 {line}"), page(&format!("{line}\r\n")), Wanted::Status(&[plain.status]));
        assert_eq!(answer.unwrap().body, plain.body, "H11 {line}");
    }
    for line in ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"] {
        // A POST to what only GET and DELETE know stays one.
        let body = r#"{"_method":"DELETE"}"#;
        let ask = format!(
            "POST /v1/session HTTP/1.1\r\nHost: {}\r\n{OK_JSON}{line}\r\nContent-Length: {}\r\n\r\n{body}",
            front.authority,
            body.len()
        );
        front.check(&format!("H29 {line}"), ask, Wanted::Code(Code::MethodNotAllowed));
    }
}

#[test]
fn no_answer_lets_another_origin_read_it_or_tells_it_who_we_are() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let large = format!("{OK_JSON}Content-Length: 10485760\r\n");
    for (method, path, more) in [
        ("GET", "/", ""),
        ("GET", "/healthz", ""),
        ("GET", "/.well-known/jwks.json", ""),
        ("GET", "/nothing", ""),
        ("GET", "/v1/token", ""),
        ("GET", "/v1/status", ""),
        ("GET", "/v1/events", "Accept: text/event-stream\r\n"),
        ("POST", "/v1/token", large.as_str()),
        ("OPTIONS", "/healthz", "Access-Control-Request-Method: GET\r\n"),
    ] {
        for origin in ["https://attacker.example", "http://127.0.0.1:3000", "http://localhost:3000", "null"] {
            // H27, H49, H54: `hardened` looks for the headers that would open it.
            let case = format!("H27 {method} {path} from {origin}");
            let host = &front.authority;
            let ask = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{more}\r\n");
            let answer = http::send(host, ask.as_bytes()).unwrap_or_else(|error| panic!("{case}: {error}"));
            hardened(&case, &answer);
            let told = answer.text().to_ascii_lowercase();
            for word in [env!("CARGO_PKG_VERSION"), "corp", "payments", "alice"] {
                assert!(!told.contains(word), "{case}: tells {word}");
            }
            if path.starts_with("/v1/") {
                assert!(matches!(answer.status, 403 | 405 | 413), "{case}: {}", answer.status);
            }
        }
    }
}

#[test]
fn an_identifier_is_never_a_path_and_never_doubled() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let long = "a".repeat(10 * 1024);
    for id in ["..%2f..%2fetc%2fpasswd", "a%00b", "%E2%80%AE", "%ff", "%2e%2e", "a%0d%0aX:y", &long, ""] {
        for (method, place) in
            [("GET", "/consent/"), ("GET", "/open/"), ("DELETE", "/v1/grants/"), ("POST", "/v1/requests/")]
        {
            let body = if method == "POST" { "{}" } else { "" };
            let ask = format!(
                "{method} {place}{id} HTTP/1.1\r\nHost: {}\r\n{OK_JSON}Content-Length: {}\r\n\r\n{body}",
                front.authority,
                body.len()
            );
            let case = format!("H42 {method} {place}{}", id.get(..30).unwrap_or(id));
            let answer = front.check(&case, ask, Wanted::Status(&[400, 403, 404, 405, 414, 431])).unwrap();
            assert!(!answer.text().contains("passwd") && answer.header("x").is_none(), "{case}");
        }
    }
    let log = std::fs::read_to_string(home.log("agent.log")).unwrap_or_default();
    assert!(!log.contains('\u{202e}') && !log.contains("\nX:y"), "H42: nothing reaches the log unescaped");
    // H43: a parameter that comes twice is asked of a first-party program too, so the command cannot be misled.
    let twice = "/v1/audit?since=1&since=2";
    let socket = home.socket().display().to_string();
    let said = home.curl(&["--unix-socket", &socket, &format!("http://localhost{twice}")]).ok();
    assert!(said.starts_with("HTTP/1.1 4"), "H43 {said}");
}
