//! A program that speaks plain HTTP: curl over the socket, and over TCP with a cookie jar.

use e2e::world::{Options, World};
use serde_json::Value;
use std::time::Duration;

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.rsplit("\r\n\r\n").next().unwrap_or_default()).unwrap_or_default()
}

const JSON: [&str; 4] = ["-H", "Content-Type: application/json", "-d", r#"{"resource":"payments"}"#];

#[test]
fn over_the_socket_no_cookie_is_needed() {
    let world = World::signed_in(Options::default());
    let socket = world.home.socket().display().to_string();
    let held = r#"{"resource":"payments","wait":30,"name":"Sync Helper"}"#;
    let base = ["--unix-socket", &socket, "-H", "Content-Type: application/json", "http://localhost/v1/token", "-d"];
    world.answer("today");
    let answer = world.home.curl(&[&base[..], &[held]].concat()).ok();
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", body(&answer)["code"]);
    assert_eq!(body(&answer)["token_type"], "Bearer");
    assert!(answer.to_ascii_lowercase().contains("cache-control: no-store"));
    world.answer("ignore");
    let answer = world.home.curl(&[&base[..], &[r#"{"resource":"payments"}"#]].concat()).ok();
    assert!(answer.starts_with("HTTP/1.1 200"), "the permission holds for today");
    let session = world.home.curl(&["--unix-socket", &socket, "http://localhost/v1/session"]).ok();
    assert!(body(&session)["program"].as_str().is_some_and(|program| program.ends_with("/curl")), "{session}");
    assert_eq!(body(&session)["first_party"], false);
}

#[test]
fn over_tcp_the_second_call_with_the_cookie_gets_the_token() {
    let world = World::signed_in(Options::default());
    world.answer("today");
    let jar = world.home.path().join("home/jar").display().to_string();
    let address = format!("{}/v1/token", world.home.address());
    let words = [&["--cookie-jar", &jar, "--cookie", &jar, &address][..], &JSON].concat();
    let first = world.home.curl(&words).ok();
    assert!(first.starts_with("HTTP/1.1 401"), "{first}");
    let asked = body(&first);
    assert_eq!((asked["code"].as_str(), asked["error"].as_str()), (Some("consent_required"), Some("consent_required")));
    assert!(
        asked["consent_id"].is_string() && asked["expires_in"].as_i64().is_some_and(|left| (60..=120).contains(&left)),
        "{asked}"
    );
    assert!(first.contains(r#"Daypass realm="daypass", error="consent_required""#), "{first}");
    let cookie =
        first.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie: daypass_")).expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{part}");
    }
    assert!(!cookie.contains("Secure"));
    e2e::until("the approval", Duration::from_secs(20), || (!world.rows(&["grants"]).is_empty()).then_some(()));
    let second = world.home.curl(&words).ok();
    assert!(second.starts_with("HTTP/1.1 200"), "{}", body(&second)["code"]);
    assert_eq!(body(&second)["resource"], "payments");
    // The same cookie shown by another program is refused and ends the session.
    let value = std::fs::read_to_string(&jar).unwrap();
    let pair = value
        .lines()
        .rfind(|line| line.contains("daypass_"))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .expect("the jar has it");
    let stolen = format!("{}={}", pair[5], pair[6]);
    let headers = [("Content-Type", "application/json"), ("Cookie", stolen.as_str())];
    let thief =
        e2e::http::request(&world.home.authority(), "POST", "/v1/token", &headers, br#"{"resource":"payments"}"#)
            .unwrap();
    assert_eq!((thief.status, thief.json()["code"].as_str()), (401, Some("session_invalid")));
}

#[test]
fn two_cookies_of_one_name_are_refused() {
    let world = World::signed_in(Options::default());
    world.answer("today");
    let jar = world.home.path().join("home/jar").display().to_string();
    let address = format!("{}/v1/token", world.home.address());
    world.home.curl(&[&["--cookie-jar", &jar, &address][..], &JSON].concat()).ok();
    let text = std::fs::read_to_string(&jar).unwrap();
    let line: Vec<_> = text.lines().find(|line| line.contains("daypass_")).unwrap().split('\t').collect();
    let doubled = format!("Cookie: {0}=x; {0}={1}", line[5], line[6]);
    let answer = world.home.curl(&[&["-H", &doubled, &address][..], &JSON].concat()).ok();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(!answer.contains("access_token"));
}

#[test]
fn once_gives_one_token_to_a_parked_question() {
    let world = World::signed_in(Options::default());
    world.answer("once");
    let socket = world.home.socket().display().to_string();
    // One session leader for both calls, as at a prompt: the test's own.
    let words = [&["--unix-socket", &socket, "http://localhost/v1/token"][..], &JSON].concat();
    let before = world.windows();
    assert!(world.home.curl(&words).ok().starts_with("HTTP/1.1 401"));
    // Whoever looks at the page knows his answer by then.
    world.opened_after(before);
    world.answer("ignore");
    e2e::until("the one token", Duration::from_secs(15), || {
        world.home.curl(&words).ok().starts_with("HTTP/1.1 200").then_some(())
    });
    assert!(world.home.curl(&words).ok().starts_with("HTTP/1.1 401"), "once is once");
}
