//! Who may have what, and who says so.

use e2e::{
    browser::Mode,
    http,
    navigate::Session,
    process,
    world::{Options, World},
};
use serde_json::Value;
use std::time::{Duration, Instant};

fn hold(world: &World) -> process::Output {
    world.daypass(&["token", "payments", "--wait", "20s"])
}

#[test]
fn deny_is_final_and_slows_the_program_down() {
    let world = World::signed_in(Options::default());
    world.answer("deny");
    let denied = hold(&world);
    denied.fails(5);
    let windows = world.windows();
    let again = hold(&world);
    assert!([5, 6].contains(&again.code), "{again:?}");
    assert_eq!(again.stdout, "");
    assert_eq!(world.windows(), windows, "a denied program opens no window at once");
}

#[test]
fn once_is_one_token() {
    let world = World::signed_in(Options::default());
    world.answer("once");
    hold(&world).ok();
    assert!(world.rows(&["grants"]).is_empty());
    world.answer("ignore");
    world.daypass(&["token", "payments"]).fails(6);
}

#[test]
fn today_holds_until_it_is_taken_back() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let windows = world.windows();
    world.daypass(&["token", "payments"]).ok();
    assert_eq!(world.windows(), windows);
    let grants = world.rows(&["grants"]);
    assert_eq!(grants.len(), 1, "{grants:?}");
    assert_eq!((grants[0]["resource"].as_str(), grants[0]["choice"].as_str()), (Some("payments"), Some("today")));
    assert!(grants[0]["until"].as_str().is_some_and(|until| until.ends_with('Z')));
    world.daypass(&["grants", "revoke", grants[0]["id"].as_str().unwrap()]).ok();
    assert!(world.rows(&["grants"]).is_empty());
    world.daypass(&["token", "payments"]).fails(6);
}

#[test]
fn always_outlives_the_agent() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.answer("always");
    hold(&world).ok();
    world.answer("ignore");
    assert!(world.rows(&["grants"])[0]["until"].is_null());
    world.agent.stop();
    world.agent.restart();
    world.daypass(&["token", "payments"]).ok();
}

#[test]
fn a_permission_is_for_one_program_one_resource_and_its_scopes() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    world.daypass(&["token", "api"]).fails(6);
    world.daypass(&["token", "payments", "--scope", "payments.write"]).fails(6);
    let limit = Duration::from_secs(30);
    let other = world.home.script("other-tool");
    world.home.run(&other, &["token", "payments"], "", limit).fails(6);
    world.daypass(&["token", "payments"]).ok();
}

#[test]
fn a_changed_script_asks_again() {
    let world = World::signed_in(Options::default());
    let script = world.home.script("tool");
    let limit = Duration::from_secs(40);
    world.answer("today");
    world.home.run(&script, &["token", "payments", "--wait", "20s"], "", limit).ok();
    world.answer("ignore");
    world.home.run(&script, &["token", "payments"], "", limit).ok();
    let text = std::fs::read_to_string(&script).unwrap();
    world.home.write("home/bin/tool", &format!("{text}# changed\n"), 0o755);
    world.home.run(&script, &["token", "payments"], "", limit).fails(6);
}

#[test]
fn an_unanswered_question_ends_without_a_token() {
    let world = World::signed_in(Options::default());
    let start = Instant::now();
    let output = world.daypass(&["token", "payments", "--wait", "3s"]);
    output.fails(6);
    assert!(
        start.elapsed() >= Duration::from_secs(3) && start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_question_opens_one_window_and_is_not_asked_again_for_a_while() {
    let world = World::signed_in(Options::default());
    let before = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    world.opened_after(before);
    for _ in 0..5 {
        world.daypass(&["token", "payments"]).fails(6);
    }
    assert_eq!(world.windows(), before + 1);
    assert_eq!(
        world.rows(&["requests"]).len(),
        1,
        "parallel requests of one program for one resource are one question"
    );
}

/// The profile names no browser any more, and there is no display; `terminal` says who else may answer.
fn without_browser(terminal: &str) -> World {
    let world = World::signed_in(Options::default());
    let changes = || world.rows(&["audit"]).iter().filter(|line| line["event"] == "profile.changed").count();
    let before = changes();
    let file = world.home.path().join("home/.config/daypass/profile.toml");
    let profile = std::fs::read_to_string(file).unwrap();
    let profile = profile.replace(&e2e::world::browser_command(&world.home), "");
    world.home.write_profile(&format!("{profile}\n[consent]\nterminal = \"{terminal}\"\n"));
    e2e::until("the new profile", Duration::from_secs(10), || (changes() > before).then_some(()));
    world
}

#[test]
fn nobody_to_ask_means_no_at_once() {
    let world = without_browser("never");
    let output = world.daypass(&["token", "payments", "--wait", "30s"]);
    assert!(output.fails(5).contains("consent_unavailable"), "{output:?}");
    assert!(output.took < Duration::from_secs(3), "{:?}", output.took);
    world.daypass(&["token", "payments"]).fails(5);
}

#[test]
fn a_person_at_one_prompt_can_ask_and_answer() {
    let world = without_browser("fallback");
    let daypass = e2e::program("daypass").display().to_string();
    let session = format!(
        "stty -echo; PS1=; PS2=\n\
         {daypass} token payments --wait 0s; echo first=$?\n\
         id=$({daypass} requests --json | sed -nE 's/.*\"id\": ?\"([^\"]+)\".*/\\1/p' | head -n 1)\n\
         {daypass} approve $id --for today; echo approved=$?\n\
         {daypass} token payments --format header | cut -c 1-22; exit\n"
    );
    let mut command = std::process::Command::new("script");
    world.home.prepare(command.args(["--quiet", "/dev/null"])).env("SHELL", "/bin/bash").env("TERM", "dumb");
    let output = process::run(&mut command, &session, Duration::from_mins(1));
    for part in ["first=6", "approved=0", "Authorization: Bearer "] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    let audit = world.rows(&["audit"]);
    assert!(audit.iter().any(|line| line["via"] == "terminal"), "audited as answered in a terminal: {audit:#?}");
    // The permission is for that terminal session, not for this test.
    world.daypass(&["token", "payments"]).fails(6);
}

#[test]
fn strangers_approve_nothing() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    world.daypass(&["token", "payments"]).fails(6);
    let request = &world.rows(&["requests"])[0];
    let id = request["id"].as_str().unwrap();
    let answer = format!(r#"{{"choice":"today","digest":{}}}"#, request["digest"]);
    let socket = world.home.socket().display().to_string();
    let json = ["--unix-socket", &socket, "-H", "Content-Type: application/json"];
    for (method, path) in [
        ("POST", format!("/v1/requests/{id}")),
        ("DELETE", "/v1/grants/1".to_owned()),
        ("POST", "/v1/open".to_owned()),
        ("POST", "/v1/accounts/corp/sign-in".to_owned()),
    ] {
        let address = format!("http://localhost{path}");
        let words = [&json[..], &["-X", method, "-d", &answer, &address]].concat();
        let said = world.home.curl(&words).ok();
        assert!(said.contains("403") && said.contains("not_first_party"), "{method} {path}: {said}");
    }
    for path in ["status", "accounts", "requests", "grants", "audit"] {
        let said = world.home.curl(&["--unix-socket", &socket, &format!("http://localhost/v1/{path}")]).ok();
        assert!(said.contains("not_first_party"), "{path}: {said}");
    }
    // Without a page session the id of a question opens nothing.
    let page = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let page = http::request(&world.home.authority(), "GET", &format!("/consent/{id}"), &page, b"").unwrap();
    assert!(!page.text().contains("payments"), "the page of a stranger says nothing");
    let form = [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = format!("choice=today&digest={}&page_token=x", request["digest"].as_str().unwrap());
    let posted =
        http::request(&world.home.authority(), "POST", &format!("/consent/{id}"), &form, body.as_bytes()).unwrap();
    assert!(posted.status >= 400 || !posted.text().contains("payments"), "{}", posted.status);
    assert!(world.rows(&["grants"]).is_empty());
    world.daypass(&["token", "payments"]).fails(6);
}

#[test]
fn the_asking_program_cannot_redeem_its_own_ticket() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    let before = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    let address = world.opened_after(before);
    // This test asked (through `daypass`), and now tries to be the browser too.
    let page = Session::default().go(&address).unwrap();
    assert!(page.consent_form().is_none(), "the asker sees no form");
    assert!(world.rows(&["grants"]).is_empty());
}

#[test]
fn an_answer_within_the_first_second_decides_nothing() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { consent: "today".to_owned(), pause: 0, ..Mode::default() });
    let output = world.daypass(&["token", "payments", "--wait", "6s"]);
    output.fails(6);
    let answered = world.browser_log().into_iter().find(|line| line["kind"] == "answered");
    assert!(answered.is_some(), "the form was posted");
    assert!(world.rows(&["grants"]).is_empty());
}

#[test]
fn a_script_cannot_ask_and_approve_in_a_terminal() {
    let world = World::signed_in(Options::default());
    world.daypass(&["token", "payments"]).fails(6);
    let id = world.rows(&["requests"])[0]["id"].as_str().unwrap().to_owned();
    let output = world.daypass(&["approve", &id, "--for", "today"]);
    assert!([5, 10].contains(&output.code), "{output:?}");
    assert!(world.rows(&["grants"]).is_empty());
    world.daypass(&["deny", &id]);
    let state: Vec<Value> = world.rows(&["requests"]);
    assert!(state.iter().all(|request| request["state"] != "approved"), "{state:?}");
}

#[test]
fn code_on_the_command_line_may_only_hold_a_question_open() {
    let world = World::signed_in(Options::default());
    let daypass = e2e::program("daypass").display().to_string();
    let limit = Duration::from_secs(40);
    let parked = format!("{daypass} token payments; exit $?");
    let said = world.home.run("sh", &["-c", &parked], "", limit).fails(5);
    assert!(said.contains("--wait"), "{said}");
    world.answer("once");
    let held = format!("{daypass} token payments --wait 20s; exit $?");
    world.home.run("sh", &["-c", &held], "", limit).ok();
    world.answer("today");
    let output = world.home.run("sh", &["-c", &held], "", limit);
    assert!(world.rows(&["grants"]).is_empty(), "code without a file has no lasting identity: {output:?}");
}

#[test]
fn a_program_that_ends_takes_its_held_question_with_it() {
    let world = World::signed_in(Options::default());
    let script = world.home.script("short-lived");
    let mut command = std::process::Command::new(&script);
    world.home.prepare(command.args(["token", "payments", "--wait", "60s"]));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = process::Running::start(&mut command);
    e2e::until("the question", Duration::from_secs(10), || (world.rows(&["requests"]).len() == 1).then_some(()));
    child.kill();
    // Killing the script leaves its `daypass`, whose connection stays: it is the asker's end that counts.
    e2e::until("the question to be gone", Duration::from_secs(10), || {
        world.rows(&["requests"]).iter().all(|request| request["state"] != "pending").then_some(())
    });
}
