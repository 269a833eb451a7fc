//! `daypass login` and `daypass logout`.

use crate::fake::{Asked, Ended, Home, Reply, begin, end, ok, refusal};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

fn account(name: &str, state: &str) -> Value {
    json!({"name": name, "issuer": "https://login.example.com", "subject": null, "state": state, "expires_at": null})
}

fn pending(asked: &Asked) -> Value {
    let opened = asked.body["open_browser"] == true;
    json!({"id": "s1", "account": "corp", "state": "pending", "address": "http://127.0.0.1:6174/start/t1",
        "browser_opened": opened, "expires_in": 300})
}

/// An agent with these accounts whose sign-ins end as `done` at the second look.
fn home(accounts: Vec<Value>, done: Value) -> Home {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    Home::with(move |asked| match asked.line().as_str() {
        "GET /v1/accounts" => ok(Value::Array(accounts.clone())),
        "GET /v1/sign-ins/s1?wait=25" => match looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2 {
            0 => ok(json!({"id": "s1", "account": "corp", "state": "pending"})),
            _ => ok(done.clone()),
        },
        _ => ok(pending(asked)),
    })
}

fn alice() -> Value {
    json!({"id": "s1", "account": "corp", "state": "signed_in", "subject": "248289", "display_name": "Alice",
        "notices": ["the sign-in ends with the agent"]})
}

#[test]
fn signing_in_says_who_it_was() {
    let home = home(vec![account("corp", "sign_in_required")], alice());
    let ended = home.run(&["login", "corp"]);
    ended.answered("");
    assert_eq!(
        ended.err,
        "daypass: opening your browser to sign in to corp (https://login.example.com)…\n\
         notice: the sign-in ends with the agent\n\
         daypass: signed in to corp as Alice (248289)\n"
    );
    assert_eq!(home.seen()[1].line(), "POST /v1/accounts/corp/sign-in");
    assert_eq!(home.seen()[1].body, json!({"open_browser": true}));
}

#[test]
fn without_a_browser_the_address_alone_is_on_stdout() {
    let home = home(vec![account("corp", "sign_in_required")], alice());
    let ended = home.run(&["login", "--no-browser"]);
    ended.answered("http://127.0.0.1:6174/start/t1\n");
    assert!(!ended.err.contains("opening"), "{}", ended.err);
    assert_eq!(home.seen()[1].body, json!({"open_browser": false}));
}

#[test]
fn over_ssh_nobody_is_thought_to_sit_at_the_screen() {
    let home = home(vec![account("corp", "sign_in_required")], alice());
    end(home.daypass(&["login", "corp"]).env("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")).answered("");
    assert_eq!(home.seen()[1].body, json!({"open_browser": true, "remote": true}));
    let mut here = home.daypass(&["login", "corp"]);
    end(here.env("SSH_CONNECTION", "x").env("WAYLAND_DISPLAY", "wayland-0")).answered("");
    let posts: Vec<_> = home.seen().into_iter().filter(|asked| asked.line().starts_with("POST")).collect();
    assert_eq!(posts[1].body, json!({"open_browser": true}));
}

#[test]
fn address_and_code_for_another_device_are_on_stdout_and_nothing_that_steers_a_terminal_is_shown() {
    let begun = |code: &str, address: &str| {
        let device = json!({"user_code": code, "verification_uri": address});
        let pending = json!({"id": "s1", "account": "corp", "state": "pending", "expires_in": 900, "device": device});
        let done = alice();
        Home::with(move |asked| match asked.line().as_str() {
            "GET /v1/accounts" => ok(json!([account("corp", "sign_in_required")])),
            "GET /v1/sign-ins/s1?wait=25" => ok(done.clone()),
            _ => ok(pending.clone()),
        })
    };
    let home = begun("WDJB-MJHT", "https://login.example.com/device");
    let ended = home.run(&["login", "corp", "--device", "--max-age", "5m", "--acr-values", "a b"]);
    ended.answered("https://login.example.com/device\nWDJB-MJHT\n");
    assert!(ended.err.contains("the code works for 15 minutes") && !ended.err.contains('\x1b'), "{}", ended.err);
    assert_eq!(home.seen()[1].body, json!({"open_browser": true, "device": true, "max_age": 300, "acr_values": "a b"}));
    for (code, address) in [("W\u{1b}[2J", "https://login.example.com/device"), ("WDJB-MJHT", "javascript:alert(1)")] {
        begun(code, address).run(&["login", "--device"]).failed(1, "no address and code");
    }
}

#[test]
fn an_address_that_is_not_our_own_is_not_shown() {
    let home = Home::with(|asked| match asked.path.as_str() {
        "/v1/accounts" => ok(json!([account("corp", "sign_in_required")])),
        _ => ok(
            json!({"id": "s1", "account": "corp", "state": "pending", "address": "https://evil.example/", "browser_opened": false}),
        ),
    });
    home.run(&["login", "--no-browser"]).failed(1, "no address");
}

#[test]
fn every_account_that_needs_it_is_signed_in() {
    let accounts =
        vec![account("a b", "sign_in_required"), account("b", "signed_in"), account("c", "sign_in_required")];
    let home = home(accounts, alice());
    home.run(&["login"]).answered("");
    let posts: Vec<String> = home.seen_lines().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, ["POST /v1/accounts/a%20b/sign-in", "POST /v1/accounts/c/sign-in"]);
}

#[test]
fn nothing_to_do_is_said() {
    let ended = home(vec![account("corp", "signed_in")], alice()).run(&["login"]);
    ended.answered("");
    assert!(ended.err.contains("every account is signed in"), "{}", ended.err);
    let home = home(Vec::new(), alice());
    for command in ["login", "logout"] {
        let ended = home.run(&[command]);
        ended.failed(9, "no account is configured");
        assert!(ended.err.contains("profile.toml"), "{}", ended.err);
    }
}

#[test]
fn a_failed_sign_in_has_the_code_of_its_error() {
    let error = json!({"error": "access_denied", "code": "wrong_account", "error_description": "bob may not"});
    let failed = json!({"id": "s1", "account": "corp", "state": "failed", "error": error});
    let home = home(vec![account("corp", "sign_in_required"), account("home", "sign_in_required")], failed);
    let ended = home.run(&["login"]);
    assert_eq!(ended.code, Some(4));
    // Both were tried, both are told.
    assert_eq!(ended.err.matches("bob may not (wrong_account)").count(), 2, "{}", ended.err);
    let home = Home::with(|asked| match asked.path.as_str() {
        "/v1/accounts" => ok(json!([account("corp", "signed_in")])),
        _ => refusal(localapi::Code::AccountUnknown),
    });
    home.run(&["login", "nobody"]).failed(2, "daypass: ");
}

#[test]
fn an_interrupt_cancels_the_sign_in() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1)] {
        let home = Home::with(|asked| match asked.line().as_str() {
            "GET /v1/accounts" => ok(json!([account("corp", "sign_in_required")])),
            "DELETE /v1/sign-ins/s1" => Reply::Nothing,
            line if line.starts_with("GET /v1/sign-ins") => Reply::Hang,
            _ => ok(pending(asked)),
        });
        let mut child = begin(&mut home.daypass(&["login", "--no-browser"]));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while !home.seen_lines().iter().any(|line| line.starts_with("GET /v1/sign-ins")) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number));
        assert!(home.seen_lines().contains(&"DELETE /v1/sign-ins/s1".to_owned()), "{:?}", home.seen_lines());
        assert!(Ended::from(output).err.contains("sign-in cancelled"));
    }
}

fn signed_out(revocation: &'static str) -> Home {
    Home::with(move |asked| match asked.line().as_str() {
        "GET /v1/accounts" => ok(json!([account("corp", "signed_in"), account("home", "signed_in")])),
        "DELETE /v1/accounts/home/sign-in" => ok(json!({"account": "home", "revocation": "done"})),
        _ => ok(json!({"account": "corp", "revocation": revocation, "detail": "timeout"})),
    })
}

#[test]
fn signing_out_says_what_the_provider_knows() {
    for (revocation, code, text) in [
        ("done", 0, "signed out of corp"),
        ("unsupported", 0, "no way to be told"),
        ("nothing", 0, "nobody was signed in to corp"),
        ("failed", 7, "signed out here, the provider was not told"),
    ] {
        let ended = signed_out(revocation).run(&["logout", "corp"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""));
        assert!(ended.err.contains(text), "{}", ended.err);
    }
}

#[test]
fn several_accounts_have_to_be_named() {
    let home = signed_out("failed");
    home.run(&["logout"]).failed(2, "hint: name one of corp, home, or use --all");
    let ended = home.run(&["logout", "--all"]);
    assert_eq!(ended.code, Some(7));
    assert!(ended.err.contains("signed out of home"), "{}", ended.err);
}
