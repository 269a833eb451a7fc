//! The system's keychain, tried against a real gnome-keyring on a session bus of its own.
//!
//! The test starts itself again inside `dbus-run-session`, with a home and a runtime directory that are thrown away.
#![cfg(all(target_os = "linux", feature = "keychain"))]
#![allow(clippy::unwrap_used)]

use broker::{
    ExposeSecret as _, SecretString,
    ports::{Keychain, KeychainError},
};
use platform::keychain::{self, SystemKeychain};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const SERVICE: &str = "daypass-test";
const INSIDE: &str = "KEYCHAIN_TEST_INSIDE";
const PATIENCE: Duration = Duration::from_secs(20);

fn has(program: &str) -> bool {
    platform::process::find_program(program.as_ref()).is_some()
}

/// Runs one test of this file again with these variables; `true` when it was run and passed.
fn again(test: &str, prefix: &[&str], variables: &[(&str, &Path)]) {
    let own = std::env::current_exe().unwrap();
    let mut words = prefix.iter().map(std::ffi::OsStr::new).chain([own.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, test);
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "GNOME_KEYRING_CONTROL"] {
        command.env_remove(name);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && text.contains("1 passed"), "{test} failed inside:\n{text}");
}

fn is_inside(test: &str) -> bool {
    std::env::var_os(INSIDE).is_some_and(|inside| inside == test)
}

/// In a throw-away home on a bus that starts nothing by itself.
fn on_own_bus(test: &str) {
    let room = tempfile::tempdir().unwrap();
    let run = room.path().join("run");
    platform::paths::prepare_private_dir(&run).unwrap();
    let home = room.path();
    let config = home.join("bus.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>unix:dir={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
        home.display()
    );
    std::fs::write(&config, text).unwrap();
    let config = format!("--config-file={}", config.display());
    again(
        test,
        &["dbus-run-session", &config, "--"],
        &[
            ("HOME", home),
            ("XDG_RUNTIME_DIR", &run),
            ("XDG_DATA_HOME", &home.join("data")),
            ("XDG_CONFIG_HOME", &home.join("config")),
        ],
    );
}

struct Daemon(Child);

impl Daemon {
    fn run(arguments: &[&str]) -> Self {
        let mut command = Command::new("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"pw").unwrap();
        Self(child)
    }

    fn start() -> Self {
        let daemon = Self::run(&["--unlock"]);
        let deadline = Instant::now() + PATIENCE;
        while keychain::open(SERVICE, PATIENCE).and_then(|keychain| keychain.status()).is_err() {
            assert!(Instant::now() < deadline, "gnome-keyring does not come up");
            thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap(), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tool(arguments: &[&str]) -> String {
    let output = Command::new("secret-tool").args(arguments).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

fn read(keychain: &SystemKeychain, item: &str) -> Result<Option<String>, KeychainError> {
    Ok(keychain.read(item)?.map(|secret| secret.expose_secret().to_owned()))
}

/// Every call answers this, and soon.
#[track_caller]
fn all_answer(keychain: &SystemKeychain, wanted: &KeychainError, within: Duration) {
    let secret = SecretString::from("CANARY");
    for (name, call) in [
        ("read", &(|| keychain.read("account/corp").map(drop)) as &dyn Fn() -> Result<(), KeychainError>),
        ("read of nothing", &|| keychain.read("account/none").map(drop)),
        ("write", &|| keychain.write("account/corp", &secret)),
        ("write of a new one", &|| keychain.write("account/new", &secret)),
        ("delete", &|| keychain.delete("account/corp")),
        ("status", &|| keychain.status()),
    ] {
        let started = Instant::now();
        let answer = call().unwrap_err();
        assert_eq!(std::mem::discriminant(&answer), std::mem::discriminant(wanted), "{name}: {answer:?}");
        assert!(started.elapsed() < within, "{name} took {:?}", started.elapsed());
        assert!(!format!("{answer:?} {answer}").contains("CANARY"));
    }
}

#[test]
fn a_real_keyring() {
    const TEST: &str = "a_real_keyring";
    if !is_inside(TEST) {
        if ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"].iter().all(|program| has(program)) {
            on_own_bus(TEST);
        } else {
            println!("SKIPPED {TEST}: dbus-run-session, gnome-keyring-daemon or secret-tool is missing");
        }
        return;
    }
    let absent = keychain::open(SERVICE, PATIENCE).unwrap_err();
    let text = absent.to_string();
    assert!(
        matches!(absent, KeychainError::Absent(_)) && text.contains("no secret service on the session bus"),
        "{text}"
    );
    without_a_collection();

    let daemon = Daemon::start();
    let keychain = keychain::open(SERVICE, Duration::from_secs(5)).unwrap();
    values_are_kept(&keychain);
    items_are_found_by_other_programs(&keychain);
    copies_are_damaged_until_written(&keychain);
    hanging(&daemon, &keychain);
    locked(&keychain);
    restarted(daemon, &keychain);
}

/// A service that runs but has no keyring yet: nothing is created behind the person's back.
fn without_a_collection() {
    let _daemon = Daemon::run(&[]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = keychain::open(SERVICE, PATIENCE).unwrap_err().to_string();
        if error.contains("no default collection") && error.contains("hint:") {
            break;
        }
        assert!(Instant::now() < deadline, "{error}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn values_are_kept(keychain: &SystemKeychain) {
    assert_eq!(read(keychain, "account/corp"), Ok(None));
    keychain.delete("account/corp").unwrap();
    let large = "CANARY-".repeat(3000);
    for value in ["first", "", "two\nlines \u{1f511}", &large, "last"] {
        keychain.write("account/corp", &SecretString::from(value)).unwrap();
        assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some(value));
    }
    assert_eq!(read(keychain, "account/cor"), Ok(None), "names are whole");
    let marked = keychain::open("daypass-test-marked", PATIENCE).unwrap();
    assert_eq!(read(&marked, "account/corp"), Ok(None), "services never mix");
    marked.write("account/corp", &SecretString::from("other")).unwrap();
    assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some("last"));
    marked.delete("account/corp").unwrap();
    assert_eq!(read(&marked, "account/corp"), Ok(None));
    keychain.write("large", &SecretString::from(large.clone())).unwrap();
    assert_eq!(read(keychain, "large").unwrap(), Some(large), "21 kB");
    keychain.delete("large").unwrap();
    assert_eq!(read(keychain, "large"), Ok(None));
    assert!(keychain.write("a b", &SecretString::from("x")).is_err());
}

fn items_are_found_by_other_programs(keychain: &SystemKeychain) {
    keychain.write("account/corp", &SecretString::from("seen")).unwrap();
    let shown = tool(&["search", "--all", "service", SERVICE]);
    for wanted in
        ["label = Daypass: account/corp", "secret = seen", "username = account/corp", "service = daypass-test"]
    {
        assert!(shown.contains(wanted), "{wanted:?} in {shown}");
    }
    assert_eq!(shown.matches("secret = ").count(), 1, "one item for one name: {shown}");
}

fn copies_are_damaged_until_written(keychain: &SystemKeychain) {
    let mut store = Command::new("secret-tool")
        .args(["store", "--label=copy", "service", SERVICE, "username", "account/corp", "more", "x"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    store.stdin.take().unwrap().write_all(b"copied").unwrap();
    assert!(store.wait().unwrap().success());
    assert!(matches!(keychain.read("account/corp"), Err(KeychainError::Damaged(_))));
    keychain.write("account/corp", &SecretString::from("mended")).unwrap();
    assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some("mended"));
    keychain.write("twice", &SecretString::from("x")).unwrap();
    let mut store = Command::new("secret-tool")
        .args(["store", "--label=copy", "service", SERVICE, "username", "twice", "more", "x"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    store.stdin.take().unwrap().write_all(&[0xff, 0xfe]).unwrap();
    assert!(store.wait().unwrap().success());
    keychain.delete("twice").unwrap();
    assert_eq!(read(keychain, "twice"), Ok(None));
}

fn hanging(daemon: &Daemon, keychain: &SystemKeychain) {
    let hasty = keychain::open(SERVICE, Duration::from_millis(300)).unwrap();
    daemon.signal(Signal::STOP);
    let started = Instant::now();
    for _ in 0..8 {
        let answer = hasty.read("account/corp").unwrap_err();
        assert_eq!(answer, KeychainError::TimedOut);
    }
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let late = hasty.write("account/corp", &SecretString::from("late")).unwrap_err();
    assert_eq!(late, KeychainError::TimedOut);
    daemon.signal(Signal::CONT);
    let deadline = Instant::now() + PATIENCE;
    while hasty.read("account/corp").is_err() {
        assert!(Instant::now() < deadline, "it works again once the service does");
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        read(keychain, "account/corp").unwrap().as_deref(),
        Some("mended"),
        "what timed out is not written later"
    );
}

fn locked(keychain: &SystemKeychain) {
    let before = prompters();
    tool(&["lock", "--collection=login"]);
    all_answer(keychain, &KeychainError::Locked, Duration::from_secs(1));
    let fresh = keychain::open(SERVICE, Duration::from_secs(5)).unwrap();
    all_answer(&fresh, &KeychainError::Locked, Duration::from_secs(1));
    assert_eq!(prompters(), before, "no prompt was started");
    // Here no prompter can be started, so asking for one ends in an answer, not in waiting.
    let started = Instant::now();
    assert!(keychain.unlock(Duration::from_secs(3)).is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    all_answer(keychain, &KeychainError::Locked, Duration::from_secs(1));
}

fn prompters() -> usize {
    let is_prompter = |entry: std::fs::DirEntry| {
        std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.starts_with("gcr-prompter"))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(|_| true).map(is_prompter).filter(|is| *is).count()
}

fn restarted(mut daemon: Daemon, keychain: &SystemKeychain) {
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    all_answer(keychain, &KeychainError::Absent(String::new()), Duration::from_secs(2));
    let daemon = Daemon::start();
    assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some("mended"), "unlocked again by the new daemon");
    keychain.write("account/corp", &SecretString::from("after")).unwrap();
    assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some("after"));
    drop(daemon);
    // Restarted between two calls, without one that fails in between.
    let _daemon = Daemon::start();
    keychain.write("account/corp", &SecretString::from("once more")).unwrap();
    assert_eq!(read(keychain, "account/corp").unwrap().as_deref(), Some("once more"));
}

#[test]
fn no_bus_is_no_keychain() {
    const TEST: &str = "no_bus_is_no_keychain";
    if !is_inside(TEST) {
        let room = tempfile::tempdir().unwrap();
        let nothing = room.path().join("nothing");
        again(TEST, &[], &[("XDG_RUNTIME_DIR", &nothing), ("HOME", room.path())]);
        let address = format!("unix:path={}", nothing.display());
        again(TEST, &[], &[("DBUS_SESSION_BUS_ADDRESS", Path::new(&address)), ("HOME", room.path())]);
        again(TEST, &[], &[("DBUS_SESSION_BUS_ADDRESS", Path::new("nonsense")), ("HOME", room.path())]);
        return;
    }
    let started = Instant::now();
    let error = keychain::open(SERVICE, PATIENCE).unwrap_err();
    assert!(matches!(error, KeychainError::Absent(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_silent_bus_times_out() {
    const TEST: &str = "a_silent_bus_times_out";
    if !is_inside(TEST) {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("bus");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let address = format!("unix:path={}", path.display());
        again(TEST, &[], &[("DBUS_SESSION_BUS_ADDRESS", Path::new(&address)), ("HOME", room.path())]);
        return;
    }
    let started = Instant::now();
    assert_eq!(keychain::open(SERVICE, Duration::from_millis(400)).unwrap_err(), KeychainError::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
