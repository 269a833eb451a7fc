//! Bad input and bad circumstances: the contract's exit code, a next step, and a good command still works.

use e2e::{agent::Agent, home::Home, world};
use serde_json::Value;
use std::{os::unix::ffi::OsStrExt as _, process::Command, sync::Arc, time::Duration};

/// An agent with an account whose issuer nobody serves, and no keychain.
pub(super) fn lone_agent() -> (Agent, Arc<Home>) {
    let home = Arc::new(Home::new());
    home.write_profile(&format!(
        "{}{}",
        world::profile("http://127.0.0.1:9", world::free_port()),
        world::browser_command(&home)
    ));
    e2e::browser::Mode::default().write(&home.log("mode.json")).unwrap();
    (Agent::start(&home, None), home)
}

#[test]
fn every_refusal_has_its_exit_code_and_a_next_step() {
    let (_agent, home) = lone_agent();
    for (words, code) in [
        (&["token", "payments"][..], 4),
        (&["token", "https://payments.example.com"], 4),
        (&["token", "nothing"], 10),
        (&["token", "payments", "--scope", "payments.delete"], 10),
        (&["token", "payments", "--min-valid", "soon"], 2),
        (&["token", "payments", "--format", "yaml"], 2),
        (&["token", ""], 2),
        (&["token"], 2),
        (&["login", "nobody"], 2),
        (&["logout", "nobody"], 2),
        (&["login", "corp"], 7),
        (&["approve", "00000000"], 2),
        (&["deny", "00000000"], 2),
        (&["grants", "revoke", "00000000"], 2),
        (&["run", "payments", "--", "true"], 4),
        (&["frobnicate"], 2),
        (&["status", "--nonsense"], 2),
    ] {
        let output = home.daypass(words);
        let said = output.fails(code);
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        assert!(said.lines().count() >= 1 && !said.trim().is_empty(), "{words:?}: says nothing");
        if code != 2 {
            assert!(said.contains("hint: "), "{words:?}: no next step: {said}");
        }
        let status: Value = serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap();
        assert_eq!(status["accounts"][0]["state"], "sign_in_required", "after {words:?}");
    }
}

#[test]
fn the_status_has_the_shape_that_scripts_rely_on() {
    let (agent, home) = lone_agent();
    let output = home.daypass(&["status", "--json"]);
    assert_eq!(output.code, 4, "a sign-in is required");
    let status: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(status["agent"]["pid"], agent.id());
    assert_eq!(status["address"], home.address());
    assert_eq!(status["test_policy"], false);
    for name in ["version", "uptime"] {
        assert!(!status["agent"][name].is_null(), "agent.{name}");
    }
    for name in ["keychain", "profile", "lock_state"] {
        assert!(!status[name].is_null(), "{name}");
    }
    let account = &status["accounts"][0];
    assert_eq!((account["name"].as_str(), account["subject"].as_str()), (Some("corp"), None));
    assert_eq!(account["issuer"], "http://127.0.0.1:9");
    assert!(account.as_object().unwrap().contains_key("expires_at"));
    for listing in ["accounts", "resources", "requests", "grants"] {
        assert!(home.daypass(&[listing, "--json"]).json().is_array(), "{listing}");
    }
}

#[test]
fn without_a_runtime_folder_nothing_is_tried() {
    let home = Home::new();
    let mut command = Command::new(e2e::program("daypass"));
    home.prepare(command.args(["token", "payments"])).env_remove("XDG_RUNTIME_DIR");
    let said = e2e::process::run(&mut command, "", Duration::from_secs(10)).fails(3);
    assert!(said.contains("XDG_RUNTIME_DIR") && said.contains("hint: "), "{said}");
}

#[test]
fn a_folder_that_others_can_write_is_not_trusted() {
    let home = Arc::new(Home::new());
    let folder = home.folder("run/daypass");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::os::unix::net::UnixListener::bind(home.socket()).map(drop).unwrap();
    let said = home.daypass(&["token", "payments"]).fails(3);
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_agent_is_started_by_the_first_command_and_stops_when_told() {
    let home = Home::new();
    home.write_profile(&world::profile("http://127.0.0.1:9", world::free_port()));
    assert_eq!(home.agent_pid(), None);
    home.daypass(&["token", "payments"]).fails(4);
    let pid = home.agent_pid().expect("an agent runs now");
    let status: Value = serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["agent"]["pid"], pid);
    home.daypass(&["agent", "stop"]).ok();
    e2e::until("the agent to end", Duration::from_secs(10), || (!e2e::process::lives(pid)).then_some(()));
}

#[test]
fn a_second_agent_leaves_the_first_alone() {
    let (agent, home) = lone_agent();
    let second = home.run(e2e::program("daypass-agent"), &[], "", Duration::from_secs(20));
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(home.agent_pid(), Some(agent.id()));
}

#[test]
fn a_busy_port_is_told() {
    let home = Arc::new(Home::new());
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    home.write_profile(&world::profile("http://127.0.0.1:9", port));
    let _agent = Agent::start(&home, None);
    let status: Value = serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap();
    assert_ne!(home.address(), format!("http://127.0.0.1:{port}"));
    assert_eq!(status["address"], home.address());
    assert!(status.to_string().contains(&port.to_string()), "the busy port is named: {status}");
}

#[test]
fn a_bad_entry_of_the_profile_is_shown_with_its_line_and_voids_only_itself() {
    let home = Arc::new(Home::new());
    let profile = world::profile("http://127.0.0.1:9", world::free_port());
    home.write_profile(&format!("{profile}\n[resources.broken]\naccount = \"corp\"\ntoken = \"sometimes\"\n"));
    let _agent = Agent::start(&home, None);
    let status: Value = serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap();
    let diagnostics = status["profile"]["diagnostics"].to_string();
    let line = profile.lines().count() + 4;
    assert!(diagnostics.contains(&format!("profile.toml:{line}")), "line {line}: {diagnostics}");
    home.daypass(&["token", "broken"]).fails(9);
    home.daypass(&["token", "payments"]).fails(4);
}

#[test]
fn closed_outputs_and_odd_words_cause_no_panic() {
    let (_agent, home) = lone_agent();
    let daypass = e2e::program("daypass").display().to_string();
    for script in [
        format!("{daypass} status >&-"),
        format!("{daypass} status 2>&-"),
        format!("{daypass} status <&- >&- 2>&-"),
        format!("{daypass} --help | head -0"),
    ] {
        let output = home.run("sh", &["-c", &script], "", Duration::from_secs(20));
        assert!(!output.stderr.contains("panicked"), "{script}: {}", output.stderr);
        assert!(output.code < 128, "{script}: {output:?}");
    }
    let mut command = Command::new(e2e::program("daypass"));
    home.prepare(command.arg("token").arg(std::ffi::OsStr::from_bytes(b"pay\xffments")));
    let output = e2e::process::run(&mut command, "", Duration::from_secs(20));
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    assert!([2, 10].contains(&output.code), "{output:?}");
}
