//! The real thing once: Chromium signs in at the provider, sees the consent page and answers it.

use e2e::{
    claims,
    world::{Options, World},
};
use serde_json::Value;
use std::time::Duration;

fn clean(page: &Value) {
    assert_eq!(page["errors"], serde_json::json!([]), "errors or policy violations on {}", page["url"]);
}

#[test]
fn chromium_signs_in_and_answers_the_question() {
    let world = World::new(Options { robot: true, keyring: true, ..Options::default() });
    let robot = world.robot.as_ref().unwrap();
    world.answer("today");
    world.sign_in();
    let done = e2e::until("the page after the sign-in", Duration::from_secs(10), || {
        robot.pages_of("page").into_iter().find(|page| page["url"].as_str().unwrap_or_default().contains("/done/"))
    });
    clean(&done);
    assert_eq!(robot.pages_of("sign-in").len(), 1);
    let token = world.daypass(&["token", "payments", "--wait", "30s"]).ok();
    assert_eq!(claims(&token)["aud"], "https://payments.example.com");
    let consent = robot.pages_of("consent").pop().expect("the consent page was seen");
    clean(&consent);
    assert_eq!(
        (consent["armed_at_once"].as_bool(), consent["armed_later"].as_bool()),
        (Some(false), Some(true)),
        "buttons wait a second"
    );
    let text = consent["text"].as_str().unwrap();
    for part in ["payments", "Allow once", "Allow today", "Deny", "https://payments.example.com"] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part} is on the page: {text}");
    }
    let artefacts = e2e::repository().join("tests/artefacts");
    e2e::until("the pictures", Duration::from_secs(5), || artefacts.join("consent.png").is_file().then_some(()));
    // The home page, with the permission just given.
    world.daypass(&["open"]).ok();
    let home = e2e::until("the home page", Duration::from_secs(10), || {
        robot
            .pages_of("page")
            .into_iter()
            .find(|page| page["url"].as_str().is_some_and(|url| url.trim_end_matches('/') == world.home.address()))
    });
    clean(&home);
    assert!(home["text"].as_str().unwrap().to_lowercase().contains("payments"), "{home}");
}

#[test]
fn chromium_denies() {
    let world = World::new(Options { robot: true, ..Options::default() });
    world.answer("deny");
    world.sign_in();
    world.daypass(&["token", "payments", "--wait", "30s"]).fails(5);
    assert!(world.rows(&["grants"]).is_empty());
}

#[test]
fn escape_denies_and_enter_answers_nothing() {
    let world = World::new(Options { robot: true, ..Options::default() });
    world.answer("Enter");
    world.sign_in();
    let ask = |name: &str, wait: &str| {
        let script = world.home.script(name);
        world.home.run(&script, &["token", "payments", "--wait", wait], "", Duration::from_mins(1))
    };
    ask("enter", "6s").fails(6);
    assert!(world.rows(&["grants"]).is_empty());
    world.answer("Escape");
    ask("escape", "30s").fails(5);
    let lines = world.rows(&["audit"]);
    let answers: Vec<_> = lines.iter().filter(|line| line["event"] == "consent.denied").collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0]["program"].as_str().unwrap().ends_with("/escape"), "{answers:?}");
}
