use super::*;
use crate::view::{Face, Recent};
use localapi::{AuditLine, RequestInfo, Status};
use serde_json::{Value, json};

const NOW: &str = "2026-11-23T12:00:00Z";

/// What the agent says, with these changes.
fn up(change: impl FnOnce(&mut Value)) -> Up {
    let mut status = json!({
        "agent": {"version": "0.1.0", "pid": 1, "uptime": 1},
        "address": "http://127.0.0.1:6174",
        "keychain": {"state": "ok"},
        "profile": {"state": "ok"},
        "test_policy": false,
        "lock_state": "unlocked",
        "accounts": [account("corp", "signed_in")],
    });
    change(&mut status);
    let status: Status = serde_json::from_value(status).unwrap();
    Up { status, requests: Vec::new(), recent: Recent::default() }
}

fn account(name: &str, state: &str) -> Value {
    let signed_in = matches!(state, "signed_in" | "unreachable");
    json!({
        "name": name, "issuer": "https://login.example.com/x", "state": state, "expires_at": null,
        "subject": signed_in.then_some("248289761001"), "display_name": signed_in.then_some("Alice Example"),
    })
}

fn request(program: &str) -> RequestInfo {
    let request = json!({"id": "c1", "program": program, "resource": "payments", "scope": "", "state": "pending", "expires_at": NOW});
    serde_json::from_value(request).unwrap()
}

/// The menu as it looks, an entry a line.
fn shown(view: &View) -> Vec<String> {
    fn line(item: &Item) -> String {
        match item {
            Item::Line(words) => words.clone(),
            Item::Do(action, words) => {
                format!("[{words}] {}", action.id().replace(['{', '}', '"'], "").replacen(':', " ", 1))
            }
            Item::Sub(words, items) => format!("{words} > {}", items.iter().map(line).collect::<Vec<_>>().join(" | ")),
            Item::Gap => "--".to_owned(),
        }
    }
    menu(view, NOW.parse().unwrap(), &TimeZone::UTC).iter().map(line).collect()
}

fn view(up: Up) -> View {
    View::Up(Box::new(up))
}

#[test]
fn a_calm_day() {
    let mut up = up(|status| {
        status["profile"] =
            json!({"state": "ok", "name": "Example Corp", "support_url": "https://it.example.com/help"});
        status["desktop"] = json!({"autostart": true, "sign_in_at_start": "first",
            "links": [{"label": "Payroll & more", "address": "https://pay.example.com/"}]});
        status["accounts"][0]["ends_at"] = json!("2026-11-23T21:40:00Z");
    });
    let line = json!({"seq": 1, "time": "2026-11-23T11:58:00.123Z", "event": "token.issued", "code": "ok",
        "program": "/usr/bin/git", "account": "corp", "resource": "payments", "scope": null, "via": "grant", "prev": "", "hash": ""});
    up.recent.take(&[serde_json::from_value(line).unwrap()]);
    let view = view(up);
    assert_eq!(view.face(), Face::SignedIn);
    assert_eq!(
        shown(&view),
        [
            "Alice Example · corp: signed in until 21:40",
            "--",
            "[Open Daypass] open home",
            "[Sign out of corp] sign_out corp",
            "Recent passes > payments for git, 11:58 | -- | [Everything] open activity",
            "Pause > [For an hour] pause 3600 | [For 4 hours] pause 14400 | [For a day] pause 86400",
            "--",
            "[Payroll & more] link https://pay.example.com/",
            "[Get help from Example Corp] link https://it.example.com/help",
            "--",
            "[Quit] quit",
        ]
    );
}

#[test]
fn every_state_has_its_face_and_its_words() {
    let accounts = |states: &[&str]| {
        let list: Vec<_> = states.iter().enumerate().map(|(n, state)| account(&format!("a{n}"), state)).collect();
        up(|status| status["accounts"] = Value::Array(list))
    };
    let paused = up(|status| status["paused_until"] = json!("2026-11-23T12:20:00Z"));
    let locked = up(|status| status["profile"] = json!({"state": "locked"}));
    let mut asked = up(|_| {});
    asked.requests.push(request("/opt/pay/payments-cli"));
    for (view, face, words) in [
        (View::Starting, Face::SignedOut, "Starting…"),
        (View::Down("it has ended".to_owned()), Face::Attention, "Daypass is not running"),
        (view(accounts(&[])), Face::SignedOut, "No account is set up yet"),
        (view(accounts(&["sign_in_required"])), Face::SignedOut, "a0: not signed in"),
        (view(accounts(&["sign_in_required"])), Face::SignedOut, "[Sign in to a0] sign_in a0"),
        (view(accounts(&["signing_in"])), Face::SignedOut, "a0: go on in your browser"),
        (view(accounts(&["signed_in", "signed_in"])), Face::SignedIn, "Alice Example · a1: signed in"),
        (view(accounts(&["signed_in", "sign_in_required"])), Face::Attention, "a1: not signed in"),
        (
            view(accounts(&["unreachable"])),
            Face::Offline,
            "Alice Example · a0: offline, login.example.com does not answer",
        ),
        (view(accounts(&["signed_in", "unreachable"])), Face::SignedIn, "Alice Example · a0: signed in"),
        (view(accounts(&["keychain_locked"])), Face::Attention, "a0: the keychain is locked"),
        (view(accounts(&["keychain_unavailable"])), Face::Attention, "a0: the keychain does not answer"),
        (view(paused.clone()), Face::Attention, "Paused for 20 more minutes: nothing is handed out"),
        (view(paused), Face::Attention, "[Resume] resume"),
        (view(locked), Face::Attention, "The settings from IT cannot be read: nothing is handed out"),
        (view(asked.clone()), Face::Asking, "[Answer: payments-cli wants payments…] open consent/c1"),
    ] {
        let lines = shown(&view);
        assert_eq!(view.face(), face, "{lines:?}");
        assert!(lines.iter().any(|line| line == words), "{words:?} is not in {lines:?}");
        assert_eq!(lines.last().unwrap(), "[Quit] quit", "there is always a way out");
    }
}

#[test]
fn a_sign_in_that_ends_tells_when() {
    for (end, words) in [
        ("2026-11-23T12:00:30Z", "signed in for one more minute"),
        ("2026-11-23T12:39:10Z", "signed in for 40 more minutes"),
        ("2026-11-23T13:00:00Z", "signed in until 13:00"),
        ("2026-11-25T09:05:00Z", "signed in until Wed 09:05"),
        ("2026-12-24T09:05:00Z", "signed in until 24 December"),
        ("2026-11-23T11:00:00Z", "signed in"),
        ("nonsense", "signed in"),
    ] {
        let view = view(up(|status| status["accounts"][0]["ends_at"] = json!(end)));
        assert_eq!(shown(&view)[0], format!("Alice Example · corp: {words}"), "{end}");
    }
}

#[test]
fn what_programs_say_stays_one_short_line() {
    let mut up = up(|status| status["accounts"][0]["display_name"] = json!("A\u{202e}lice\nQuit"));
    up.requests.push(request(&format!("/opt/{}", "x".repeat(300))));
    let lines = shown(&view(up));
    assert_eq!(lines[0], "A\u{fffd}lice\u{fffd}Quit · corp: signed in");
    let question = lines.iter().find(|line| line.contains("wants")).unwrap();
    assert!(question.contains(&format!("{}…", "x".repeat(LONGEST - 1))) && !question.contains(&"x".repeat(LONGEST)));
}

#[test]
fn the_last_tokens_are_the_last_ones() {
    let line = |seq: i64, event: &str, program: &str| -> AuditLine {
        let line = json!({"seq": seq, "time": format!("2026-11-23T11:{seq:02}:00Z"), "event": event, "code": "ok",
            "program": program, "account": null, "resource": "payments", "scope": null, "via": null, "prev": "", "hash": ""});
        serde_json::from_value(line).unwrap()
    };
    let mut recent = Recent::default();
    recent.take(&[line(1, "token.issued", "/a"), line(2, "token.refused", "/b"), line(3, "token.issued", "/c")]);
    recent.take(&[line(4, "token.issued", "/a")]);
    let programs: Vec<_> = recent.0.iter().map(|given| (given.program.as_str(), given.at.to_string())).collect();
    assert_eq!(programs, [("/a", "2026-11-23T11:04:00Z".to_owned()), ("/c", "2026-11-23T11:03:00Z".to_owned())]);
    recent.take(&(5..30).map(|seq| line(seq, "token.issued", &format!("/p{seq}"))).collect::<Vec<_>>());
    assert_eq!(recent.0.len(), 5, "the menu stays short");
}

#[test]
fn a_click_names_what_was_shown() {
    for action in [
        Action::Open("consent/1".to_owned()),
        Action::SignIn("corp eu".to_owned()),
        Action::SignOut("corp".to_owned()),
        Action::Pause(3600),
        Action::Resume,
        Action::Link("https://a.example/b c".to_owned()),
        Action::Retry,
        Action::Quit,
    ] {
        assert_eq!(Action::parse(&action.id()), Some(action.clone()));
    }
    assert_eq!((Action::parse("{\"pause\":\"x\"}"), Action::parse("nonsense"), Action::parse("")), (None, None, None));
}
