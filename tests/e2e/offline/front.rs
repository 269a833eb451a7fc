//! The layer in front: what the agent refuses before any handler looks at it. Case numbers are those of the threat model.
//!
//! Every case is followed by a good request, which must be answered as if nothing had happened.

mod unheard;

use super::nonsense::lone_agent;
use e2e::{
    http::{self, Answer},
    world,
};
use localapi::Code;
use std::io;

const OK_JSON: &str = "Content-Type: application/json\r\n";

/// What a case may end in.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// One of these statuses.
    Status(&'a [u16]),
    /// One of these statuses, or the connection closed without an answer.
    StatusOrClosed(&'a [u16]),
    /// This code with its status.
    Code(Code),
}

struct Front {
    authority: String,
}

impl Front {
    fn check(&self, case: &str, bytes: impl AsRef<[u8]>, wanted: Wanted<'_>) -> Option<Answer> {
        let answer = http::send(&self.authority, bytes.as_ref());
        let answer = match (answer, wanted) {
            (Err(error), Wanted::StatusOrClosed(_)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            (Err(error), _) => panic!("{case}: no answer: {error}"),
            (Ok(answer), Wanted::Status(any) | Wanted::StatusOrClosed(any)) => {
                assert!(any.contains(&answer.status), "{case}: {} {}", answer.status, answer.text());
                Some(answer)
            }
            (Ok(answer), Wanted::Code(code)) => {
                assert_eq!(answer.status, code.status(), "{case}: {}", answer.text());
                let body = answer.json();
                assert_eq!(
                    (body["code"].as_str(), body["error"].as_str()),
                    (Some(code.as_str()), Some(code.error())),
                    "{case}"
                );
                Some(answer)
            }
        };
        if let Some(answer) = &answer {
            hardened(case, answer);
            let body = answer.text();
            assert!(!body.contains("attacker") && !body.contains("evil"), "{case}: the answer reflects the request");
        }
        self.still_serves(case);
        answer
    }

    fn still_serves(&self, case: &str) {
        let good = http::request(&self.authority, "GET", "/healthz", &[], b"");
        assert_eq!(good.unwrap_or_else(|error| panic!("after {case}: {error}")).status, 204, "after {case}");
    }

    /// A `POST /v1/token` that is good but for these header lines.
    fn ask(&self, headers: &str) -> Vec<u8> {
        let body = r#"{"resource":"payments"}"#;
        let length = body.len();
        format!(
            "POST /v1/token HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {length}\r\n\r\n{body}",
            self.authority
        )
        .into_bytes()
    }
}

/// The headers every answer carries, errors too.
fn hardened(case: &str, answer: &Answer) {
    let is =
        |name: &str, value: &str| assert_eq!(answer.header(name), Some(value), "{case}: {name} on {}", answer.status);
    is("cache-control", "no-store");
    is("x-content-type-options", "nosniff");
    is("cross-origin-resource-policy", "same-origin");
    is("cross-origin-opener-policy", "same-origin");
    is("x-frame-options", "DENY");
    let referrer = answer.header("referrer-policy");
    assert!(matches!(referrer, Some("no-referrer" | "same-origin")), "{case}: referrer-policy {referrer:?}");
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{case}: content-security-policy lacks {part} on {}", answer.status);
    }
    for (name, _) in &answer.headers {
        assert!(!name.starts_with("access-control-"), "{case}: {name}");
        assert!(name != "server" && name != "x-powered-by", "{case}: {name}");
    }
    for (name, value) in &answer.headers {
        let text = name == "content-type" && value.starts_with("text/");
        assert!(!text || value.contains("charset=utf-8"), "{case}: text without a charset");
    }
}

#[test]
fn a_wrong_host_is_refused() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let good = front.authority.clone();
    let port = good.rsplit_once(':').unwrap().1.to_owned();
    let with = |hosts: &[&str]| {
        let lines: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("GET /healthz HTTP/1.1\r\n{lines}\r\n")
    };
    front.check("H02 good, evil", with(&[&good, "evil.example"]), Wanted::Status(&[400]));
    front.check("H02 evil, good", with(&["evil.example", &good]), Wanted::Status(&[400]));
    front.check("H02 the same twice", with(&[&good, &good]), Wanted::Status(&[400]));
    front.check("no Host", with(&[]), Wanted::Status(&[400]));
    let evil = format!("attacker.example:{port}");
    front.check("H03 rebinding", with(&[&evil]), Wanted::Code(Code::WrongHost));
    let cookie = format!("GET /v1/session HTTP/1.1\r\nHost: {evil}\r\nCookie: daypass_00000000=x\r\n\r\n");
    front.check("H03 with a cookie", cookie, Wanted::Code(Code::WrongHost));
    for host in
        ["127.0.0.1".to_owned(), "127.0.0.1:1".to_owned(), format!("127.0.0.1:0{port}"), "127.0.0.1:".to_owned()]
    {
        front.check(&format!("H05 {host}"), with(&[&host]), Wanted::Status(&[400, 421]));
    }
    for host in
        [format!("x@{good}"), format!("{good} evil"), format!("{good}."), format!("localhost.:{port}"), String::new()]
    {
        front.check(&format!("H05 {host}"), with(&[&host]), Wanted::Status(&[400, 421]));
    }
    let absolute = format!("GET http://attacker.example/v1/token HTTP/1.1\r\nHost: {good}\r\n\r\n");
    front.check("H09 evil absolute form", absolute, Wanted::Status(&[400]));
    let absolute = format!("GET http://{good}/healthz HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
    front.check("H09 evil Host", absolute, Wanted::Status(&[400]));
    let old = &[400, 404, 421, 426, 505];
    front.check("H10 without Host", "GET /healthz HTTP/1.0\r\n\r\n", Wanted::StatusOrClosed(old));
    front.check("H10 with Host", format!("GET /healthz HTTP/1.0\r\nHost: {good}\r\n\r\n"), Wanted::StatusOrClosed(old));
}

#[test]
fn what_comes_from_a_web_page_is_refused() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let good = front.authority.clone();
    let refused = Wanted::Code(Code::OriginRefused);
    let origin = |value: &str| front.ask(&format!("{OK_JSON}Origin: {value}\r\n"));
    front.check("H13", origin("null"), refused);
    let app = format!(
        "{OK_JSON}Origin: http://127.0.0.1:3000\r\nSec-Fetch-Site: same-site\r\nCookie: daypass_00000000=x\r\n"
    );
    front.check("H14", front.ask(&app), refused);
    for value in [
        format!("http://{good}.attacker.example"),
        format!("http://{good}0"),
        format!("https://{good}"),
        format!("http://{good}/"),
        format!("http://{good}"),
    ] {
        front.check(&format!("H15 {value}"), origin(&value), refused);
    }
    let two = front.ask(&format!("{OK_JSON}Origin: http://{good}\r\nOrigin: http://evil.example\r\n"));
    front.check("H16", two, Wanted::Status(&[400]));
    for value in ["chrome-extension://x", "moz-extension://x", "tauri://localhost", "http://tauri.localhost"] {
        front.check(&format!("H19 {value}"), origin(value), refused);
    }
    for (case, headers) in [
        ("H21", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n"),
        ("H22", "Sec-Fetch-Site: none\r\n"),
        ("H23 unknown", "Sec-Fetch-Site: same-origin, cross-site\r\n"),
        ("H23 own origin", "Sec-Fetch-Site: same-origin\r\n"),
    ] {
        front.check(case, front.ask(&format!("{OK_JSON}{headers}")), Wanted::Status(&[400, 403]));
    }
    for destination in ["iframe", "embed", "object", "frame"] {
        let framed = format!(
            "GET /consent/x HTTP/1.1\r\nHost: {good}\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: {destination}\r\n\r\n"
        );
        front.check(&format!("H20 {destination}"), framed, Wanted::Status(&[403]));
    }
    let speculative = "Sec-Purpose: prefetch;prerender\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let early = format!("GET / HTTP/1.1\r\nHost: {good}\r\n{speculative}\r\n");
    front.check("H53", early, Wanted::Status(&[204, 403, 503]));
    let preflight = format!(
        "OPTIONS /v1/token HTTP/1.1\r\nHost: {good}\r\nOrigin: http://127.0.0.1:3000\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Private-Network: true\r\n\r\n"
    );
    front.check("H25", preflight, Wanted::Status(&[403, 405]));
    front.check("H25 bare", format!("OPTIONS /v1/token HTTP/1.1\r\nHost: {good}\r\n\r\n"), Wanted::Status(&[403, 405]));
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let socket = format!("GET /v1/events HTTP/1.1\r\nHost: {good}\r\nOrigin: http://evil.example\r\n{socket}\r\n");
    front.check("H31 websocket", socket, refused);
}

#[test]
fn only_the_exact_content_type_is_taken() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencodedx",
        "application/x-www-form-urlencoded",
        "application/json;x=y",
        "application/jsonx",
    ] {
        let ask = front.ask(&format!("Content-Type: {kind}\r\n"));
        front.check(&format!("H26 {kind}"), ask, Wanted::Code(Code::UnsupportedMediaType));
    }
    front.check("H26 none", front.ask(""), Wanted::Code(Code::UnsupportedMediaType));
}

#[test]
fn malformed_http_is_refused() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let good = front.authority.clone();
    let bad = Wanted::StatusOrClosed(&[400, 403, 404, 405, 413, 414, 421, 431, 501, 505]);
    for line in ["TRACE /healthz", "CONNECT 127.0.0.1:22", "OPTIONS *", "get /healthz"] {
        front.check(&format!("H30 {line}"), format!("{line} HTTP/1.1\r\nHost: {good}\r\n\r\n"), bad);
    }
    front.check("H30 PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bad);
    front.check("H30 long method", format!("{} /healthz HTTP/1.1\r\nHost: {good}\r\n\r\n", "A".repeat(10_240)), bad);
    front.check("H30 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", bad);
    let upgrade = format!(
        "GET /healthz HTTP/1.1\r\nHost: {good}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    );
    front.check("H31 h2c", upgrade, Wanted::Status(&[204, 400, 403]));
    front.check(
        "H36 line feeds only",
        format!("GET /healthz HTTP/1.1\nHost: {good}\n\n"),
        Wanted::StatusOrClosed(&[400]),
    );
    for (name, line) in
        [("bare CR", "X: a\rb"), ("NUL", "X: a\0b"), ("obs-fold", "X: a\r\n b"), ("space before colon", "X : a")]
    {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {good}\r\n{line}\r\n\r\n");
        front.check(&format!("H36 {name}"), request, Wanted::StatusOrClosed(&[400]));
    }
    let both = format!(
        "POST /v1/token HTTP/1.1\r\nHost: {good}\r\n{OK_JSON}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    front.check("H33 length and coding", both, Wanted::StatusOrClosed(&[400]));
    let chunk = format!(
        "POST /v1/token HTTP/1.1\r\nHost: {good}\r\n{OK_JSON}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"
    );
    front.check("H33 chunk size", chunk, Wanted::StatusOrClosed(&[400, 411, 413]));
    let large = format!("POST /v1/token HTTP/1.1\r\nHost: {good}\r\n{OK_JSON}Content-Length: 10485760\r\n\r\n");
    front.check("too large", large, Wanted::Code(Code::TooLarge));
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {good}\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    front.check("large head", head, Wanted::StatusOrClosed(&[400, 413, 431]));
}

#[test]
fn a_path_has_one_spelling() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let missing = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", front.authority);
    let plain = front.check("H41 plain", missing("/nothing"), Wanted::Code(Code::NotFound)).unwrap().body;
    for path in [
        "//v1/token",
        "/v1/./token",
        "/v1/x/../token",
        "/%76%31/token",
        "/v1/token/",
        "/V1/token",
        "/v1/token;a",
        "/v1/token%00",
    ] {
        let answer = front.check(&format!("H41 {path}"), missing(path), Wanted::Code(Code::NotFound)).unwrap();
        assert_eq!(answer.body, plain, "{path}: every missing page is the same");
    }
    front.check("H41 backslashes", missing(r"\v1\token"), Wanted::StatusOrClosed(&[400, 404]));
    let injected = front.check("H35", missing("/nothing%0d%0aSet-Cookie:x=1"), Wanted::Status(&[400, 404])).unwrap();
    assert_eq!(injected.header("set-cookie"), None);
    front.check("H43", missing("/v1/session?x=1&x=2"), Wanted::Code(Code::InvalidRequest));
}

#[test]
fn odd_json_is_refused() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let nested = format!(r#"{{"resource":"payments","name":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let utf16: Vec<u8> = r#"{"resource":"payments"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &[u8]); 12] = [
        ("duplicate key", br#"{"resource":"payments","resource":"api"}"#),
        ("nesting", nested.as_bytes()),
        ("1e400", br#"{"resource":"payments","wait":1e400}"#),
        ("1e18", br#"{"resource":"payments","min_valid":1e18}"#),
        ("negative", br#"{"resource":"payments","wait":-1}"#),
        ("byte order mark", b"\xef\xbb\xbf{\"resource\":\"payments\"}"),
        ("trailing garbage", br#"{"resource":"payments"} x"#),
        ("UTF-16", &utf16),
        ("__proto__", br#"{"resource":"payments","__proto__":{"admin":true}}"#),
        ("not UTF-8", b"{\"resource\":\"\xff\"}"),
        ("no object", b"[]"),
        ("nothing", b""),
    ];
    for (case, body) in cases {
        let head = format!(
            "POST /v1/token HTTP/1.1\r\nHost: {}\r\n{OK_JSON}Content-Length: {}\r\n\r\n",
            front.authority,
            body.len()
        );
        front.check(&format!("H45 {case}"), [head.as_bytes(), body].concat(), Wanted::Code(Code::InvalidRequest));
    }
}

#[test]
fn every_kind_of_answer_carries_the_security_headers() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let good = front.authority.clone();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {good}\r\n\r\n");
    front.check("204", get("/healthz"), Wanted::Status(&[204]));
    front.check("200", get("/.well-known/jwks.json"), Wanted::Status(&[200]));
    front.check("403", get("/v1/status"), Wanted::Code(Code::NotFirstParty));
    front.check("404", get("/nothing"), Wanted::Code(Code::NotFound));
    front.check("405", get("/v1/token"), Wanted::Code(Code::MethodNotAllowed));
    let unauthorized = front.check("401", front.ask(OK_JSON), Wanted::Code(Code::LoginRequired)).unwrap();
    let challenge = unauthorized.header("www-authenticate").unwrap_or_default();
    assert_eq!(challenge, r#"Daypass realm="daypass", error="login_required""#);
    for path in ["/", "/consent/nothing", "/open/nothing"] {
        let headers = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
        let page = format!("GET {path} HTTP/1.1\r\nHost: {good}\r\n{headers}\r\n");
        let page = front.check(path, page, Wanted::Status(&[200, 403, 404])).unwrap();
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}: a page");
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("form-action 'self'"), "{path}: {policy}");
    }
}

#[test]
fn without_a_page_session_every_page_is_the_same() {
    let (_agent, home) = lone_agent();
    let headers = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let body = |path: &str| http::request(&home.authority(), "GET", path, &headers, b"").unwrap().body;
    let home_page = body("/");
    for path in ["/consent/00000000", "/consent/..%2f..%2fetc", "/consent/%E2%80%AE", "/open/00000000"] {
        assert_eq!(body(path), home_page, "{path}");
    }
    assert!(!String::from_utf8_lossy(&home_page).contains("0.1.0"), "no version for strangers");
}

#[test]
fn a_head_request_uses_nothing_up() {
    let (_agent, home) = lone_agent();
    let front = Front { authority: home.authority() };
    let good = front.authority.clone();
    let head = |path: &str| format!("HEAD {path} HTTP/1.1\r\nHost: {good}\r\n\r\n");
    let mut stream = http::connect(&good).unwrap();
    io::Write::write_all(&mut stream, head("/v1/token").as_bytes()).unwrap();
    let mut first = [0; 16];
    io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first[..12], b"HTTP/1.1 405", "H28");
    // The ticket of the home page still works after a HEAD on it.
    let mode = e2e::browser::Mode { visit: false, ..Default::default() };
    mode.write(&home.log("mode.json")).unwrap();
    home.daypass(&["open"]).ok();
    let log = e2e::until("a window", std::time::Duration::from_secs(5), || {
        std::fs::read_to_string(home.log("browser.jsonl")).ok()
    });
    let log: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let address = log["opened"].as_str().unwrap();
    let path = address.strip_prefix(&format!("http://{good}")).expect("our own address");
    let mut stream = http::connect(&good).unwrap();
    io::Write::write_all(&mut stream, head(path).as_bytes()).unwrap();
    io::Read::read_exact(&mut stream, &mut first).unwrap();
    let mode = e2e::browser::Mode::default();
    mode.write(&home.log("mode.json")).unwrap();
    world::visit(&home, address).ok();
    let log = std::fs::read_to_string(home.log("browser.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["status"].as_u64(), last["url"].as_str()),
        (Some(200), Some(format!("http://{good}/").as_str())),
        "{log}"
    );
}
