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
    for file in ["no-such-file.toml", "/dev", "/dev/zero", "-"] {
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

#[test]
fn a_directory_is_checked_as_a_whole() {
    let home = Home::new();
    let dir = home.path("profile.d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("10-account.toml"), GOOD).unwrap();
    fs::write(
        dir.join("20-resource.json"),
        r#"{"version": 1, "resources": {"payments": {"account": "corp", "title": "Payments"}}}"#,
    )
    .unwrap();
    fs::write(dir.join(".hidden.toml"), "x").unwrap();
    fs::write(dir.join("notes.txt"), "x").unwrap();
    let name = dir.to_str().unwrap();
    let ok = |file: &str| format!("{name}/{file}: ok (as a managed layer, with the others)\n");
    home.run(&["profile", "check", name]).answered(&(ok("10-account.toml") + &ok("20-resource.json")));
    fs::write(dir.join("10-account.toml"), GOOD.replace("client_id =", "clinet_id =")).unwrap();
    let ended = home.run(&["profile", "check", name]);
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert!(ended.out.contains("10-account.toml:4: accounts.corp.clinet_id is not a known key"), "{}", ended.out);
    assert!(ended.out.contains("hint: did you mean client_id?"), "{}", ended.out);
    let empty = home.path("empty");
    fs::create_dir(&empty).unwrap();
    home.run(&["profile", "check", empty.to_str().unwrap()]).failed(2, "holds no *.toml or *.json");
}

#[test]
fn diff_tells_what_a_change_comes_to_and_no_secret() {
    let home = Home::new();
    let (old, new, dir) = (home.path("old.toml"), home.path("new.toml"), home.path("profile.d"));
    let [old, new] = [&old, &new].map(|path| path.to_str().unwrap().to_owned());
    fs::write(&old, format!("{GOOD}client_secret = \"CANARY-1\"\n[consent]\nidle = \"2h\"\n")).unwrap();
    fs::write(&new, format!("{GOOD}client_secret = \"CANARY-2\"\n[resources.a]\naccount = \"corp\"\n")).unwrap();
    home.run(&["profile", "diff", &old, &old]).answered("no difference\n");
    let ended = home.run(&["profile", "diff", &old, &new]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[..2], ["~ accounts.corp.client_secret: changed", "~ consent.idle: \"2h\" -> \"12h\""]);
    assert!(lines.contains(&"+ resources.a.account = \"corp\"") && !ended.out.contains("CANARY"), "{}", ended.out);
    home.run(&["profile", "diff", &new, &old]);
    let ended = home.run(&["profile", "diff", &new, &old, "--json"]);
    let changes: Value = serde_json::from_str(&ended.out).unwrap();
    let gone = changes.as_array().unwrap().iter().find(|change| change["key"] == "resources.a").unwrap();
    assert!(gone["new"].is_null() && gone["line"] == "- resources.a" && !ended.out.contains("CANARY"));

    // A directory beside a file, and what cannot be compared.
    fs::create_dir(&dir).unwrap();
    fs::copy(&old, dir.join("10.toml")).unwrap();
    fs::write(dir.join("20.toml"), "version = 1\n[consent]\nidle = \"1h\"\n").unwrap();
    let dir = dir.to_str().unwrap();
    home.run(&["profile", "diff", &old, dir]).answered("~ consent.idle: \"2h\" -> \"1h\"\n");
    fs::write(&new, "version = 1\n[accounts").unwrap();
    let ended = home.run(&["profile", "diff", dir, &new]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(9), ""));
    assert!(ended.err.contains("new.toml:2: is not TOML"), "{}", ended.err);
    home.run(&["profile", "diff", dir, "/no/such"]).failed(2, "cannot be read");
    fs::write(&new, GOOD.replace("issuer", "isuer")).unwrap();
    let ended = home.run(&["profile", "diff", &old, &new]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("accounts.corp counts for nothing") && ended.out.contains("- accounts.corp\n"));
}
