//! A managed layer that goes bad, through the test flag.

use e2e::{
    agent::Agent,
    home::Home,
    world::{free_port, profile},
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

const POLICY: &str = "version = 1\nname = \"Example Corp\"\n[resources.payments]\nconsent = \"denied\"\n";

fn status(home: &Home) -> Value {
    serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap()
}

/// Waits until the profile is shown to have a fault that says this.
fn shows(home: &Home, words: &str) {
    e2e::until(&format!("status to say {words:?}"), Duration::from_secs(10), || {
        status(home)["profile"]["diagnostics"].to_string().contains(words).then_some(())
    });
}

#[test]
fn a_spoilt_managed_file_loosens_nothing() {
    let home = Arc::new(Home::new());
    home.write_profile(&profile("http://127.0.0.1:9", free_port()));
    let folder = home.folder("managed");
    let file = home.write("managed/10-corp.toml", POLICY, 0o644);
    let mut agent = Agent::start(&home, Some(folder.clone()));
    let denied = || home.daypass(&["token", "payments"]).fails(10);
    denied();

    // Not a profile any more, and open to others: what it said stays in force, and the fault is shown.
    fs::write(&file, "[[[").unwrap();
    shows(&home, "stays in force");
    denied();
    // Another file that tightens is not held up by it.
    home.write("managed/20-api.toml", "version = 1\n[resources.api]\nconsent = \"denied\"\n", 0o644);
    e2e::until("the other file to count", Duration::from_secs(10), || {
        (home.daypass(&["token", "api"]).code == 10).then_some(())
    });
    denied();
    fs::write(&file, POLICY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    shows(&home, "10-corp.toml");
    denied();

    // An agent that starts with such a file issues nothing at all.
    agent.restart_after_stop();
    home.daypass(&["token", "payments"]).fails(9);
    home.daypass(&["token", "api"]).fails(9);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    e2e::until("the repaired profile", Duration::from_secs(10), || {
        (home.daypass(&["token", "payments"]).code == 10).then_some(())
    });
}

#[test]
fn a_managed_directory_that_is_not_there_is_no_policy_by_mistake() {
    let home = Home::new();
    let output = home.run(e2e::program("daypass-agent"), &["--managed-dir", "/nowhere"], "", Duration::from_secs(10));
    assert_eq!(output.code, 9, "{output:?}");
    assert!(output.stderr.contains("--managed-dir /nowhere"), "{}", output.stderr);
}

#[test]
fn a_users_profile_that_others_may_write_to_is_not_read_and_its_directory_may_be_a_link() {
    let home = Arc::new(Home::new());
    let text = profile("http://127.0.0.1:9", free_port());
    home.folder("dotfiles/daypass");
    let real = home.write("dotfiles/daypass/profile.toml", &text, 0o664);
    let linked = home.path().join("home/.config/daypass");
    fs::remove_dir_all(&linked).ok();
    fs::create_dir_all(linked.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(real.parent().unwrap(), &linked).unwrap();
    let _agent = Agent::start(&home, None);
    home.daypass(&["token", "payments"]).fails(4);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o666)).unwrap();
    shows(&home, "another user owns it or may write to it");
    home.daypass(&["token", "payments"]).fails(10);
}
