//! Starting and stopping the agent, and `daypass open`.

use crate::fake::{CANARY, Home, end, ok, token_answer};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn an_agent_is_started_when_none_runs() {
    let home = Home::new();
    // Detaches something that keeps stderr open, as a careless agent might: nobody waits for that.
    let script = "echo \"$@\" > \"$XDG_RUNTIME_DIR/arguments\"\n\
        while [ ! -S \"$XDG_RUNTIME_DIR/daypass/agent.sock\" ]; do sleep 0.02; done\nsleep 4 &\nexit 0";
    let daypass = home.beside(Some(script));
    let begun = Instant::now();
    let ended = std::thread::scope(|scope| {
        let command = scope.spawn(|| end(home.command(&daypass).args(["token", "payments"])));
        while !home.path("runtime/arguments").exists() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        home.serve(|_| ok(token_answer("payments")));
        command.join().unwrap()
    });
    ended.answered(&format!("{CANARY}.payments\n"));
    assert_eq!(std::fs::read_to_string(home.path("runtime/arguments")).unwrap(), "--detach\n");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn what_keeps_the_agent_from_starting_is_shown() {
    let home = Home::new();
    let daypass =
        home.beside(Some("echo 'daypass-agent: port 6174 is taken' >&2; echo 'hint: choose another' >&2; exit 9"));
    let ended = end(home.command(&daypass).args(["accounts"]));
    ended.failed(9, "daypass: the agent cannot be started\nhint: choose another\ndaypass-agent: port 6174 is taken\n");
}

#[test]
fn an_agent_is_never_looked_for_elsewhere() {
    let home = Home::new();
    let daypass = home.beside(Some("touch \"$XDG_RUNTIME_DIR/planted\""));
    let other = home.path("config/daypass");
    std::fs::rename(&daypass, &other).unwrap();
    let mut command = home.command(&other);
    command.args(["accounts"]).env("PATH", home.path("bin")).current_dir(home.path("bin"));
    end(&mut command).failed(3, "daypass-agent is not beside daypass");
    end(home.command(&other).args(["agent"]).current_dir(home.path("bin"))).failed(3, "not beside");
    assert!(!home.path("runtime/planted").exists());
}

#[test]
fn the_agent_in_the_foreground_takes_our_place() {
    let home = Home::new();
    let daypass = home.beside(Some("echo \"$$ $@\"; exit 5"));
    let child = crate::fake::begin(home.command(&daypass).args(["agent", "--managed-dir", "/x"]));
    let pid = child.id();
    let ended = crate::fake::Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.out), (Some(5), format!("{pid} --managed-dir /x\n")));
}

#[test]
fn only_an_agent_is_ever_stopped() {
    // This test's own process holds the socket, and survives.
    let home = Home::with(|_| ok(json!(null)));
    home.run(&["agent", "stop"]).failed(3, "is no daypass-agent\nhint: it was left alone");
    home.run(&["agent", "stop", "now"]).failed(2, "takes no arguments");
    assert!(home.seen().is_empty());
}

/// Runs this test's own executable under the agent's name: there it listens, never answers, and ends when told to.
#[test]
fn a_running_agent_is_stopped_even_if_it_hangs() {
    const SOCKET: &str = "LISTEN_AT";
    if let Some(socket) = std::env::var_os(SOCKET) {
        let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        std::thread::sleep(Duration::from_secs(30));
        panic!("nobody stopped this process");
    }
    let home = Home::new();
    let socket = home.path("runtime/daypass/agent.sock");
    let agent = home.own_executable_as("bin/daypass-agent");
    let mut command = home.command(&agent);
    command.args(["--exact", "agent::a_running_agent_is_stopped_even_if_it_hangs"]).env(SOCKET, &socket);
    let mut child = crate::fake::begin(&mut command);
    let begun = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = home.run(&["agent", "stop"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.err.contains("the agent has ended"), "{}", ended.err);
    // It had ended before the command said so.
    let status = child.try_wait().unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    home.run(&["agent", "stop"]).failed(3, "no agent is running");
}

#[test]
fn opening_prints_the_address_where_no_browser_can() {
    let opened = |browser_opened: bool, address: &'static str| {
        Home::with(move |_| ok(json!({"address": address, "browser_opened": browser_opened})))
    };
    let home = opened(true, "http://127.0.0.1:6174/open/t");
    home.run(&["open"]).answered("");
    assert_eq!(home.seen()[0].body, json!({"page": "home", "open_browser": true}));
    opened(false, "http://127.0.0.1:6174/open/t").run(&["open"]).answered("http://127.0.0.1:6174/open/t\n");
    opened(false, "file:///etc/passwd").run(&["open"]).failed(1, "no address");
}
