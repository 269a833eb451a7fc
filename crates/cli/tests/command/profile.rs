//! `daypass profile`, without any agent.

use crate::fake::{Home, end};
use serde_json::Value;
use std::fs;

const GOOD: &str = "version = 1\n[accounts.corp]\nissuer = \"https://login.example.com\"\nclient_id = \"daypass\"\n";

fn home(text: &str) -> Home {
    let home = Home::new();
    fs::create_dir(home.path("config/daypass")).unwrap();
    fs::write(home.path("config/daypass/profile.toml"), text).unwrap();
    home
}

#[test]
fn show_names_values_and_origins() {
    let home = home(GOOD);
    let ended = home.run(&["profile", "show"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert!(
        ended.out.contains("accounts.corp.issuer") && ended.out.contains("\"https://login.example.com\""),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("profile.toml"));
    let ended = home.run(&["profile", "show", "--origin"]);
    assert!(ended.out.contains("daypass/profile.toml:3"), "{}", ended.out);
    let ended = home.run(&["profile", "show", "--json"]);
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(shown["values"]["accounts.corp.client_id"]["value"], "daypass");
    assert!(shown["values"]["accounts.corp.client_id"]["origin"].as_str().unwrap().starts_with("user "));
}

#[test]
fn show_needs_neither_agent_nor_runtime_directory_nor_file() {
    let ended = end(Home::new().daypass(&["profile", "show"]).env_remove("XDG_RUNTIME_DIR"));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let ended = home("version = 1\n[accounts.corp]\nclient_idd = 3\n").run(&["profile", "show"]);
    assert!(ended.code == Some(0) && ended.err.contains("profile.toml:3: "), "{}", ended.err);
}

#[test]
fn check_says_ok_or_where_it_is_wrong() {
    let home = home(GOOD);
    let own = home.path("config/daypass/profile.toml");
    let ended = home.run(&["profile", "check", own.to_str().unwrap()]);
    ended.answered(&format!("{}: ok (as a user's own profile)\n", own.display()));
    let other = home.path("corp.toml");
    fs::write(&other, GOOD).unwrap();
    let other = other.to_str().unwrap();
    home.run(&["profile", "check", other]).answered(&format!("{other}: ok (as a managed layer)\n"));
    home.run(&["profile", "check", "--as", "user", other])
        .answered(&format!("{other}: ok (as a user's own profile)\n"));
    fs::write(other, format!("{GOOD}clinet_secret = \"x\"\n")).unwrap();
    let ended = home.run(&["profile", "check", other, own.to_str().unwrap()]);
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.out.contains(&format!("{other}:5: ")) && ended.out.contains("hint: "), "{}", ended.out);
    let ended = home.run(&["profile", "check", other, "--json"]);
    assert_eq!(ended.code, Some(9));
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()[0]["line"], 5);
}

#[test]
fn what_cannot_be_checked_is_a_usage_error() {
    let home = Home::new();
    for file in ["no-such-file.toml", "/", "/dev/zero", "-"] {
        home.run(&["profile", "check", file]).failed(2, "cannot be read");
    }
}

#[test]
fn keys_are_explained_and_the_schema_is_json() {
    let home = Home::new();
    let ended = home.run(&["profile", "explain", "resources.payments.consent"]);
    assert!(ended.code == Some(0) && ended.out.contains("preapproved"), "{}", ended.out);
    home.run(&["profile", "explain", "resources.payments.colour"]).failed(2, "there is no key");
    assert!(home.run(&["profile", "explain"]).out.lines().count() > 30);
    let ended = home.run(&["profile", "schema"]);
    assert!(serde_json::from_str::<Value>(&ended.out).unwrap()["properties"]["accounts"].is_object());
}
