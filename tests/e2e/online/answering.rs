//! What an answer is worth: only what was shown, only while the profile still says so, never from the script that asks.

use e2e::{
    browser::Mode,
    world::{Options, World},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(1);

/// Waits until the browser has seen this many consent pages.
fn pages_seen(world: &World, count: usize) {
    e2e::until("a consent page", Duration::from_secs(15), || {
        (world.browser_log().iter().filter(|line| line["kind"] == "consent").count() == count).then_some(())
    });
}

#[test]
fn once_is_for_the_calls_that_were_shown() {
    let world = World::signed_in(Options::default());
    let before = world.windows();
    world.behave(&Mode { consent: "once".to_owned(), pause: 4000, ..Mode::default() });
    std::thread::scope(|scope| {
        let hold = || world.daypass(&["token", "payments", "--wait", "30s"]);
        let first = scope.spawn(hold);
        pages_seen(&world, 1);
        // It comes while the page without it is open, and is asked about on a page of its own.
        let late = scope.spawn(hold);
        first.join().unwrap().ok();
        assert!(!late.is_finished(), "nobody was shown the second call yet");
        late.join().unwrap().ok();
    });
    assert_eq!(world.windows(), before + 2, "one window for each");
    let onces = world.rows(&["audit"]).iter().filter(|line| line["event"] == "consent.once").count();
    assert_eq!(onces, 2, "one line for each answer");
}

#[test]
fn an_answer_to_what_the_profile_no_longer_says_decides_nothing() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { consent: "today".to_owned(), pause: 6000, ..Mode::default() });
    std::thread::scope(|scope| {
        let held = scope.spawn(|| world.daypass(&["token", "payments", "--wait", "30s"]));
        pages_seen(&world, 1);
        let file = world.home.path().join("home/.config/daypass/profile.toml");
        let profile = std::fs::read_to_string(file).unwrap();
        world.home.write_profile(&profile.replace("https://payments.example.com", "https://elsewhere.example.com"));
        held.join().unwrap().fails(6);
    });
    assert!(world.rows(&["grants"]).is_empty());
    let audit = world.rows(&["audit"]);
    assert!(
        !audit.iter().any(|line| line["event"] == "consent.today" || line["event"] == "token.issued"),
        "{audit:#?}"
    );
    assert_eq!(audit.iter().filter(|line| line["event"] == "consent.gone").count(), 1, "{audit:#?}");
}

/// Nobody but a terminal can answer here.
fn terminal_only() -> World {
    World::signed_in(Options { more_profile: "\n[consent]\nterminal = \"allow\"\n".to_owned(), ..Options::default() })
}

#[test]
fn a_script_cannot_ask_and_approve_in_sessions_of_their_own() {
    let world = terminal_only();
    world.behave(&Mode { visit: false, ..Mode::default() });
    let daypass = e2e::program("daypass").display().to_string();
    let id = format!(r#"$({daypass} requests --json | sed -nE 's/.*"id": ?"([^"]+)".*/\1/p' | head -n 1)"#);
    for (case, ask) in [
        ("asked by the script", format!("{daypass} token payments")),
        ("asked in another session", format!("setsid --wait {daypass} token payments")),
    ] {
        let text = format!(
            "#!/bin/sh\n{ask}\nid={id}\necho asked=$id\nscript --quiet --return --command \"{daypass} approve $id --for today\" /dev/null\necho approved=$?\n"
        );
        let script = world.home.write(&format!("home/bin/{}", case.replace(' ', "-")), &text, 0o755);
        let output = world.home.run(&script, &[], "", LIMIT);
        assert!(!output.stdout.contains("asked=\n"), "{case}: a question is open: {output:?}");
        assert!(output.stdout.contains("approved=") && !output.stdout.contains("approved=0"), "{case}: {output:?}");
        assert!(world.rows(&["grants"]).is_empty(), "{case}: {output:?}");
    }
}

#[test]
fn a_cookie_of_another_program_ends_the_session_wherever_it_is_shown() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    let address = world.home.address();
    let ask = ["-H", "Content-Type: application/json", "-d", r#"{"resource":"payments"}"#];
    let first = world.home.curl(&[&ask[..], &[&format!("{address}/v1/token")]].concat()).ok();
    assert!(first.starts_with("HTTP/1.1 401"), "{first}");
    let cookie = first.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a parked question has one");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let session = |headers: &[(&str, &str)], method: &str| {
        let answer = e2e::http::request(&world.home.authority(), method, "/v1/session", headers, b"").unwrap();
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let own = world.home.curl(&["-H", &format!("Cookie: {pair}"), &format!("{address}/v1/session")]).ok();
    assert!(own.contains(r#""session_until":"2"#), "{own}");
    let doubled = format!("{pair}; {pair}");
    let name = pair.split('=').next().unwrap();
    for method in ["GET", "DELETE"] {
        let two = session(&[("Cookie", &format!("{name}=x; {name}=y"))], method);
        assert_eq!(two, (401, "session_invalid".to_owned()), "{method} with two cookies");
    }
    assert_eq!(session(&[("Cookie", &pair)], "GET"), (401, "session_invalid".to_owned()), "this test is not curl");
    assert_ne!(session(&[("Cookie", &doubled)], "GET").0, 200);
    // The session is over and its question with it: what comes now is a new one.
    let own = world.home.curl(&["-H", &format!("Cookie: {pair}"), &format!("{address}/v1/session")]).ok();
    assert!(own.starts_with("HTTP/1.1 200") && own.contains(r#""session_until":null"#), "{own}");
    assert!(world.rows(&["requests"]).is_empty());
    // What is refused leaves no session behind.
    let refused = ["-H", "Content-Type: application/json", "-d", r#"{"resource":"nothing"}"#];
    let answer = world.home.curl(&[&refused[..], &[&format!("{address}/v1/token")]].concat()).ok();
    assert!(answer.starts_with("HTTP/1.1 400") && !answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
}
