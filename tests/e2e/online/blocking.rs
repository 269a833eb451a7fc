//! A program the user has blocked: it gets nothing, opens nothing, and does not let itself in again.

use e2e::{
    browser::Mode,
    html, navigate, process,
    world::{Options, World},
};
use serde_json::Value;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(40);

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn events(world: &World, event: &str) -> Vec<Value> {
    world.rows(&["audit"]).into_iter().filter(|line| line["event"] == event).collect()
}

/// Types one command at a prompt in a terminal, as a person does; returns its exit code.
fn typed(world: &World, line: &str) -> String {
    let code = world.home.log("typed.code");
    let daypass = e2e::program("daypass").display().to_string();
    let session = format!("stty -echo; PS1=; PS2=\n{daypass} {line}; echo $? >{}; exit\n", code.display());
    let mut command = Command::new("script");
    world.home.prepare(command.args(["--quiet", "/dev/null"])).env("SHELL", "/bin/bash").env("TERM", "dumb");
    let output = process::run(&mut command, &session, Duration::from_mins(1));
    let code = std::fs::read_to_string(code).unwrap_or_else(|_| panic!("{line}: {output:?}"));
    code.trim().to_owned()
}

#[test]
fn a_blocked_program_gets_nothing_and_asks_nothing_until_a_person_unblocks_it() {
    let world = World::signed_in(Options::default());
    let script = world.home.script("nuisance");
    let ask = |words: &[&str]| world.home.run(&script, words, "", LIMIT);
    world.answer("today");
    ask(&["token", "payments", "--wait", "30s"]).ok();
    world.answer("ignore");
    world.permit("api", &[]);
    let windows = world.windows();

    world.daypass(&["block", shown(&script)]).ok();
    let said = ask(&["token", "payments", "--wait", "30s"]);
    assert!(said.took < Duration::from_secs(5), "{:?}", said.took);
    let said = said.fails(5);
    assert!(said.contains("consent_denied") && said.contains("daypass unblock"), "{said}");
    ask(&["token", "api"]).fails(5);
    let text = std::fs::read_to_string(&script).unwrap();
    world.home.write("home/bin/nuisance", &format!("{text}# a new version\n"), 0o755);
    ask(&["token", "payments"]).fails(5);
    assert_eq!(world.windows(), windows, "nobody is asked");
    assert!(world.rows(&["requests"]).is_empty());
    let left: Vec<_> = world.rows(&["grants"]).iter().map(|grant| grant["resource"].clone()).collect();
    assert_eq!(left, ["api"], "its permission is over, another program's is not");
    world.daypass(&["token", "api"]).ok();

    let blocked = world.rows(&["block"]);
    assert_eq!((blocked.len(), blocked[0]["program"].as_str()), (1, Some(shown(&script))));
    world.daypass(&["block", shown(&script)]).ok();
    let lines = events(&world, "program.blocked");
    assert_eq!(lines.len(), 1, "one line, however often it is said: {lines:?}");
    assert_eq!((lines[0]["program"].as_str(), lines[0]["via"].as_str()), (Some(shown(&script)), Some("command")));

    // Neither the program itself nor something without a terminal lets it in again.
    let id = blocked[0]["id"].as_str().unwrap();
    assert!(ask(&["unblock", id]).fails(5).contains("consent_unavailable"));
    let daypass = e2e::program("daypass");
    let said = world.home.run("setsid", &["--wait", shown(&daypass), "unblock", id], "", LIMIT).fails(5);
    assert!(said.contains("terminal"), "{said}");
    assert!(events(&world, "program.unblocked").is_empty());
    ask(&["token", "payments"]).fails(5);

    assert_eq!(typed(&world, &format!("unblock {}", shown(&script))), "0");
    assert!(world.rows(&["block"]).is_empty());
    assert_eq!(events(&world, "program.unblocked").len(), 1);
    ask(&["token", "payments"]).fails(6);
}

#[test]
fn a_block_ends_the_question_that_waits_and_outlives_the_agent() {
    let mut world = World::signed_in(Options::default());
    let script = world.home.script("waiting");
    let ended = std::thread::scope(|scope| {
        let asking = scope.spawn(|| world.home.run(&script, &["token", "payments", "--wait", "60s"], "", LIMIT));
        let id = e2e::until("the question", Duration::from_secs(10), || {
            world.rows(&["requests"]).first().and_then(|request| request["id"].as_str().map(str::to_owned))
        });
        let start = Instant::now();
        world.daypass(&["block", &id]).ok();
        let ended = asking.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        ended
    });
    assert!(ended.fails(5).contains("consent_denied"), "{ended:?}");
    assert!(world.rows(&["requests"]).is_empty());
    world.agent.stop();
    world.agent.restart();
    world.home.run(&script, &["token", "payments"], "", LIMIT).fails(5);
}

#[test]
fn a_block_wins_over_a_program_that_it_lists() {
    let managed = r#"version = 1
[accounts.it]
issuer = "ISSUER"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid"]

[resources.wages]
account = "it"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]
consent = "preapproved"
peers = "any"
"#;
    let world = World::new(Options { managed: Some(managed.to_owned()), ..Options::default() });
    world.daypass(&["login", "it"]).ok();
    let script = world.home.script("listed");
    let ask = || world.home.run(&script, &["token", "wages"], "", LIMIT);
    ask().ok();
    world.daypass(&["block", shown(&script)]).ok();
    ask().fails(5);
    world.daypass(&["token", "wages"]).ok();
}

/// Sends the form of the page whose action ends so.
fn press(session: &mut navigate::Session, page: &navigate::Page, end: &str, more: &[(&str, &str)]) -> navigate::Page {
    let text = page.answer.text();
    let form = html::forms(&text).into_iter().find(|form| form.action.ends_with(end));
    let form = form.unwrap_or_else(|| panic!("no form that ends with {end}: {text}"));
    let mut fields: Vec<_> = form.inputs.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    session.submit(page, &form.action, &fields).unwrap()
}

#[test]
fn after_a_no_one_click_blocks_and_the_home_page_unblocks() {
    let world = World::signed_in(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    let script = world.home.script("pushy");
    let ask = || world.home.run(&script, &["token", "payments"], "", LIMIT);
    let before = world.windows();
    ask().fails(6);
    // This test is the browser: the script asks, which is another program.
    let mut session = navigate::Session::default();
    let question = session.go(&world.opened_after(before)).unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    let id = world.rows(&["requests"])[0]["id"].as_str().unwrap().to_owned();
    let denied = press(&mut session, &question, &format!("/consent/{id}"), &[("choice", "deny")]);
    assert!(denied.answer.text().contains("Block this program"), "{}", denied.answer.text());
    let done = press(&mut session, &denied, "/block", &[]);
    assert!(done.answer.text().contains("It is blocked"), "{}", done.answer.text());
    let windows = world.windows();
    ask().fails(5);
    assert_eq!(world.windows(), windows);
    let lines = events(&world, "program.blocked");
    assert_eq!((lines.len(), lines[0]["via"].as_str()), (1, Some("page")));

    let home = session.click(&done, "/").unwrap();
    assert!(home.answer.text().contains("Blocked programs"), "{}", home.answer.text());
    // A form counts once, and only with its token.
    let forged = session.submit(&home, &format!("/blocks/{}/unblock", 1), &[]).unwrap();
    assert_ne!(forged.answer.status, 200, "{}", forged.answer.text());
    assert_eq!(world.rows(&["block"]).len(), 1);
    let home = session.click(&done, "/").unwrap();
    press(&mut session, &home, "/unblock", &[]);
    assert!(world.rows(&["block"]).is_empty());
    // It may ask again, once the no it was given has worn off.
    e2e::until("another question", LIMIT, || (ask().code == 6 && !world.rows(&["requests"]).is_empty()).then_some(()));
}
