//! A desktop that is attached: questions go to its windows, and back to the browser when it is gone.

use e2e::{
    browser::Mode,
    process::Running,
    until,
    world::{Options, World},
};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

fn world() -> World {
    let world = World::signed_in(Options { desktop: true, ..Options::default() });
    world.behave(&Mode { visit: false, ..Mode::default() });
    world
}

/// Listens to events, as the desktop does while it runs.
fn attach(world: &World) -> Running {
    let log = fs::File::create(world.home.log("events")).unwrap();
    let mut command = Command::new(world.home.program("daypass-desktop"));
    command.arg(world.home.socket()).arg("events").stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
    let running = Running::start(world.home.prepare(&mut command));
    until("the head of the events", LIMIT, || events(world).starts_with("HTTP/1.1 200").then_some(()));
    running
}

fn events(world: &World) -> String {
    fs::read_to_string(world.home.log("events")).unwrap_or_default()
}

/// One call of the desktop: status and body.
fn desktop(world: &World, words: &[&str]) -> (u16, Value) {
    let socket = world.home.socket().display().to_string();
    let said = world.home.run(world.home.program("daypass-desktop"), &[&[&socket[..]], words].concat(), "", LIMIT).ok();
    let (status, body) = said.split_once('\n').unwrap_or((&said, ""));
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

fn open(world: &World, page: &str) -> (u16, Value) {
    desktop(world, &["POST", "/v1/open", &format!(r#"{{"page":"{page}"}}"#)])
}

#[test]
fn an_attached_desktop_is_asked_and_the_browser_when_it_is_gone() {
    let world = world();
    let mut shell = attach(&world);
    let windows = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    until("the news", LIMIT, || events(&world).contains("event: requests\ndata: {}").then_some(()));
    let request = world.rows(&["requests"]).remove(0);
    let id = request["id"].as_str().unwrap().to_owned();
    assert_eq!(request["window"], true, "the desktop is to raise a window: {request}");
    assert_eq!(world.windows(), windows, "no browser opens while a desktop is attached");

    let (status, opened) = open(&world, &format!("consent/{id}"));
    assert_eq!(status, 200, "{opened}");
    world.answer("today");
    world.visit(opened["address"].as_str().unwrap()).ok();
    until("the answer", LIMIT, || events(&world).contains("event: grants").then_some(()));
    world.daypass(&["token", "payments"]).ok();

    shell.kill();
    world.behave(&Mode { visit: false, ..Mode::default() });
    let windows = world.windows();
    world.daypass(&["token", "api"]).fails(6);
    world.opened_after(windows);
}

#[test]
fn a_question_a_desktop_left_behind_goes_to_the_browser() {
    let world = world();
    let mut shell = attach(&world);
    let windows = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    assert_eq!(world.windows(), windows);
    // It ends before it has shown anything.
    shell.kill();
    let address = world.opened_after(windows);
    world.answer("today");
    world.visit(&address).ok();
    world.daypass(&["token", "payments"]).ok();

    // One whose page was fetched is in somebody's hands.
    let mut shell = attach(&world);
    world.daypass(&["token", "api"]).fails(6);
    let id = world.rows(&["requests"])[0]["id"].as_str().unwrap().to_owned();
    let address = open(&world, &format!("consent/{id}")).1["address"].as_str().unwrap().to_owned();
    world.answer("ignore");
    world.visit(&address).ok();
    let windows = world.windows();
    shell.kill();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.windows(), windows);
}

#[test]
fn the_desktop_is_told_what_changes_and_gets_any_page() {
    let world = world();
    let _shell = attach(&world);
    let script = world.home.script("noisy");
    world.daypass(&["block", script.to_str().unwrap()]).ok();
    until("the block", LIMIT, || events(&world).contains("event: blocks\ndata: {}").then_some(()));
    let (status, paused) = desktop(&world, &["POST", "/v1/pause", r#"{"for":60}"#]);
    assert_eq!((status, paused["paused_until"].is_string()), (200, true), "{paused}");
    until("the pause", LIMIT, || events(&world).contains("event: status\ndata: {}").then_some(()));
    assert_eq!(desktop(&world, &["GET", "/v1/status"]).1["paused_until"], paused["paused_until"]);
    assert_eq!(desktop(&world, &["DELETE", "/v1/pause"]).0, 204);
    for (page, title) in [
        ("home", "Home"),
        ("activity", "Activity"),
        ("permissions", "Permissions"),
        ("profile", "Settings"),
        // base64url of /usr/bin/git
        ("program/L3Vzci9iaW4vZ2l0", "git"),
    ] {
        let (status, opened) = open(&world, page);
        assert_eq!(status, 200, "{page}: {opened}");
        let mut session = e2e::navigate::Session::default();
        let shown = session.go(opened["address"].as_str().unwrap()).unwrap();
        assert_eq!(shown.answer.status, 200, "{page}");
        let text = shown.answer.text();
        assert!(e2e::html::title(&text).contains(title), "{page}: {text}");
    }
    for page in ["nothing", "consent/unknown", "program/%2e%2e", "../etc", "program/"] {
        assert_eq!(open(&world, page).0, 400, "{page}");
    }
}

#[test]
fn a_program_that_only_has_the_name_is_no_desktop() {
    let world = world();
    let impostor = world.home.path().join("home/bin/daypass-desktop");
    fs::copy(e2e::program("e2e-desktop"), &impostor).unwrap();
    let socket = world.home.socket().display().to_string();
    let ask = |program: &std::path::Path, words: &[&str]| {
        let said = world.home.run(program, &[&[&socket[..]], words].concat(), "", LIMIT).ok();
        said.lines().next().unwrap().to_owned()
    };
    for words in [&["GET", "/v1/events"][..], &["POST", "/v1/pause", r#"{"for":60}"#], &["DELETE", "/v1/pause"]] {
        assert_eq!(ask(&impostor, words), "403", "{words:?}");
    }
    assert!(world.status()["paused_until"].is_null());
    // It listened, or tried to, and changed nothing: the browser is asked.
    let windows = world.windows();
    world.daypass(&["token", "payments"]).fails(6);
    world.opened_after(windows);
    assert_eq!(ask(&world.home.program("daypass-desktop"), &["GET", "/v1/status"]), "200", "the real one is let in");
}
