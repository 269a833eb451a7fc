//! The demo ends with the commands that do again what it showed, and they do.

use e2e::{agent::Agent, browser::Mode, home::Home, process::Running, world::browser_command};
use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

#[test]
fn the_demo_shows_a_token_and_its_last_words_go_as_written() {
    let home = Arc::new(Home::new());
    let shown = home.run(e2e::program("daypass-demo"), &["--headless"], "", Duration::from_mins(3)).ok();
    for part in ["✓ sign-in", "✓ token", "✓ verified", "✓ audit", "✓ gone"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let again = shown.split_once("Again, at your own pace:").expect("what to do next").1;
    let commands: Vec<&str> = again
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once("   # ").map(|(command, _)| command))
        .collect();
    assert_eq!(commands.len(), 10, "{again}");
    // The port of the printed profile is fixed; a provider of somebody else may have it.
    let port = e2e::world::free_port();
    let put = |command: &str| command.replace("--imitate keycloak", &format!("--imitate keycloak --port {port}"));
    let run = |command: &str| home.run("sh", &["-c", &put(command)], "", Duration::from_mins(1));

    let mut provider = Command::new("sh");
    let words = put(commands[0].strip_suffix(" &").expect("a provider that stays"));
    provider.args(["-c", &format!("exec {words}")]).stdout(Stdio::null());
    let _provider = Running::start(home.prepare(&mut provider));
    for command in &commands[1..3] {
        run(command).ok();
    }
    let file = home.path().join("home/.config/daypass/profile.toml");
    let profile = fs::read_to_string(&file).expect("the profile was written");
    run(commands[2]).ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), profile, "a profile that is there stays");
    // The one thing a test has and a person has not: a browser that answers by itself.
    home.write_profile(&format!("{profile}\n[broker]\nport = 0\n{}", browser_command(&home)));
    Mode { consent: "once".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    let _agent = Agent::start(&home, None);
    e2e::until("the provider", Duration::from_secs(10), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(())
    });
    for (command, part) in commands[3..].iter().zip(["", "signed in", "ey", "", "token", "", ""]) {
        let command = command.replace("token payments", "token payments --wait 30s");
        // `sh -c` may have a token once, where a person's own shell could have it for the day.
        let output = run(&command);
        assert_eq!(output.code, 0, "{command}: {output:?}");
        assert!(output.stdout.contains(part), "{command}: {output:?}");
    }
    assert!(home.agent_pid().is_none());
}
