//! What a locked screen does: nobody is asked, nobody gets anything, and what the profile says ends.

use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    bus::Bus,
    home::Home,
    process::{self, Output},
    screen::{Logind, ScreenSaver},
    until,
    world::{browser_command, free_port, profile, visit},
};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const SENSITIVE: &str = r#"
[resources.payroll]
account = "corp"
token = "minted"
audience = "http://localhost:8081"
sensitive = true
"#;

/// A home with an agent, a system bus with logind, and alice at the unlocked screen, signed in.
struct Desk {
    _agent: Agent,
    logind: Logind,
    _issuer: DevIssuer,
    home: Arc<Home>,
}

impl Desk {
    fn start(more_profile: &str) -> Self {
        let issuer = DevIssuer::start(Config { canary: true, ..Config::default() }).unwrap();
        let home = Arc::new(Home::new());
        let logind = Logind::start(&home);
        answer(&home, "today");
        let base = profile(issuer.issuer(), free_port());
        home.write_profile(&format!("{base}{}{more_profile}", browser_command(&home)));
        let desk = Self { _agent: Agent::start(&home, None), logind, _issuer: issuer, home };
        wait_for(&desk.home, "unlocked");
        desk.home.daypass(&["login", "corp"]).ok();
        desk
    }

    fn permit(&self, resource: &str, choice: &str) {
        answer(&self.home, choice);
        self.home.daypass(&["token", resource, "--wait", "30s"]).ok();
        answer(&self.home, "ignore");
    }

    fn lock(&self, locked: bool) {
        self.logind.lock(locked);
        wait_for(&self.home, if locked { "locked" } else { "unlocked" });
    }

    /// A call that waits for an answer, on a thread; its question is open when this returns.
    fn hold(&self, resource: &'static str) -> thread::JoinHandle<Output> {
        let home = self.home.clone();
        let before = self.open().len();
        let call = thread::spawn(move || home.daypass(&["token", resource, "--wait", "40s"]));
        until("the question", Duration::from_secs(10), || (self.open().len() > before).then_some(()));
        call
    }

    fn rows(&self, words: &[&str]) -> Vec<Value> {
        let text = self.home.daypass(&[words, &["--json"]].concat()).ok();
        match serde_json::from_str(&text) {
            Ok(Value::Array(rows)) => rows,
            _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }

    fn open(&self) -> Vec<Value> {
        self.rows(&["requests"]).into_iter().filter(|request| request["state"] == "pending").collect()
    }

    /// The resources somebody may have, with how long.
    fn grants(&self) -> Vec<(String, String)> {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        self.rows(&["grants"]).iter().map(|row| (text(row, "resource"), text(row, "choice"))).collect()
    }

    /// How often the audit log says this of a resource.
    fn audited(&self, event: &str, resource: &str) -> usize {
        let rows = self.rows(&["audit"]);
        rows.iter().filter(|row| row["event"] == event && row["resource"] == resource).count()
    }
}

fn answer(home: &Home, consent: &str) {
    Mode { consent: consent.to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
}

fn state(home: &Home) -> String {
    // Its exit code speaks of accounts.
    let status = home.daypass(&["status", "--json"]);
    let told: Value = serde_json::from_str(&status.stdout).unwrap_or_else(|_| panic!("no status: {status:?}"));
    told["lock_state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_for(home: &Home, expected: &str) {
    wait_at_most(home, expected, Duration::from_secs(30));
}

/// As long as a lock outlasts a source that is gone, and some more.
#[track_caller]
fn wait_for_long(home: &Home, expected: &str) {
    wait_at_most(home, expected, Duration::from_secs(90));
}

#[track_caller]
fn wait_at_most(home: &Home, expected: &str, patience: Duration) {
    until(&format!("the screen to be {expected}"), patience, || (state(home) == expected).then_some(()));
}

/// State and finding of the doctor's line.
fn doctor(home: &Home) -> (String, String) {
    let checks: Value = serde_json::from_str(&home.daypass(&["doctor", "--json"]).stdout).unwrap();
    let check = checks.as_array().unwrap().iter().find(|check| check["check"] == "screen").unwrap();
    (check["state"].as_str().unwrap().to_owned(), check["finding"].as_str().unwrap().to_owned())
}

fn windows(home: &Home) -> Vec<String> {
    let text = fs::read_to_string(home.log("browser.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| line["opened"].as_str().map(str::to_owned)).collect()
}

fn pair(resource: &str, choice: &str) -> (String, String) {
    (resource.to_owned(), choice.to_owned())
}

#[test]
fn a_locked_screen_pauses_everything_until_it_is_unlocked() {
    let desk = Desk::start("");
    assert_eq!(doctor(&desk.home), ("ok".to_owned(), "it is unlocked".to_owned()));
    desk.permit("payments", "today");
    // A question whose page somebody will open only when the screen is locked.
    Mode { visit: false, ..Mode::default() }.write(&desk.home.log("mode.json")).unwrap();
    let before = windows(&desk.home).len();
    desk.home.daypass(&["token", "api"]).fails(6);
    let page = until("a window", Duration::from_secs(10), || windows(&desk.home).get(before).cloned());
    desk.lock(true);
    assert_eq!(doctor(&desk.home).0, "warning");
    for resource in ["payments", "api", "local"] {
        let start = Instant::now();
        let refused = desk.home.daypass(&["token", resource, "--wait", "20s"]).fails(5);
        assert!(refused.contains("the screen is locked"), "{resource}: {refused}");
        assert!(start.elapsed() < Duration::from_secs(5), "{resource}: at once");
    }
    answer(&desk.home, "today");
    visit(&desk.home, &page);
    assert_eq!(desk.grants(), [pair("payments", "today")], "no yes is taken while it is locked");
    let refused = |row: &Value| row["event"] == "consent.refused" && row["code"] == "consent_unavailable";
    assert_eq!(desk.rows(&["audit"]).iter().filter(|row| refused(row)).count(), 1, "{:?}", desk.rows(&["audit"]));
    assert_eq!(desk.open().len(), 1, "the question waits");
    assert_eq!(windows(&desk.home).len(), before + 2, "the page was visited, and no window opened by itself");
    answer(&desk.home, "ignore");
    desk.lock(false);
    desk.home.daypass(&["token", "payments"]).ok();
    assert_eq!(desk.audited("grant.ended", "payments"), 0);
}

#[test]
fn a_held_question_outlives_a_lock_that_only_pauses() {
    let desk = Desk::start("");
    Mode { consent: "once".to_owned(), pause: 5000, ..Mode::default() }.write(&desk.home.log("mode.json")).unwrap();
    let call = desk.hold("local");
    desk.lock(true);
    desk.lock(false);
    call.join().unwrap().ok();
}

#[test]
fn locking_ends_what_the_profile_says_and_tells_it_once() {
    let desk = Desk::start("\n[consent]\non_lock = \"end\"\n");
    desk.permit("payments", "today");
    desk.permit("api", "always");
    let call = desk.hold("local");
    desk.lock(true);
    let ended = call.join().unwrap();
    assert!([5, 6].contains(&ended.code) && ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.took < Duration::from_secs(30), "it ended with the lock: {ended:?}");
    let refused = desk.home.daypass(&["token", "api"]).fails(5);
    assert!(refused.contains("the screen is locked"), "ending more gives no more: {refused}");
    for _ in 0..2 {
        desk.lock(false);
        assert_eq!(desk.grants(), [pair("api", "always")]);
        desk.home.daypass(&["token", "api"]).ok();
        desk.lock(true);
    }
    desk.lock(false);
    desk.home.daypass(&["token", "payments"]).fails(6);
    for (event, resource) in [("grant.ended", "payments"), ("consent.gone", "local")] {
        assert_eq!(desk.audited(event, resource), 1, "{event} {resource}: {:?}", desk.rows(&["audit"]));
    }
    assert_eq!(desk.audited("grant.ended", "api"), 0);
}

#[test]
fn what_is_sensitive_ends_with_every_lock() {
    let desk = Desk::start(SENSITIVE);
    desk.permit("payments", "today");
    desk.permit("payroll", "today");
    desk.home.daypass(&["token", "payroll"]).ok();
    desk.lock(true);
    desk.lock(false);
    assert_eq!(desk.grants(), [pair("payments", "today")]);
    assert_eq!(desk.audited("grant.ended", "payroll"), 1);
    desk.home.daypass(&["token", "payroll"]).fails(6);
    desk.home.daypass(&["token", "payments"]).ok();
}

#[test]
fn leaving_the_screen_is_as_locking_it() {
    let desk = Desk::start(SENSITIVE);
    for (what, leave, back) in [
        (
            "a switch of users",
            (|logind| logind.switch(false)) as fn(&Logind),
            (|logind| logind.switch(true)) as fn(&Logind),
        ),
        ("a log-out", |logind| logind.log_in(false), |logind| logind.log_in(true)),
        // It passes by itself: this desktop does not tell that it locked.
        ("a request to lock", Logind::ask_to_lock, |_| ()),
    ] {
        desk.permit("payroll", "today");
        leave(&desk.logind);
        wait_for(&desk.home, "locked");
        back(&desk.logind);
        wait_for(&desk.home, "unlocked");
        assert_eq!(desk.grants(), [], "{what}");
    }
    assert_eq!(desk.audited("grant.ended", "payroll"), 3);
}

#[test]
fn a_screen_saver_is_believed_where_there_is_no_logind() {
    let home = Arc::new(Home::new());
    let bus = Bus::start(&home, "bus");
    home.use_bus(Some(bus.address().to_owned()));
    let _agent = Agent::start(&home, None);
    assert_eq!(state(&home), "unknown");
    let saver = ScreenSaver::start(&bus);
    wait_for(&home, "unlocked");
    saver.cover(true);
    wait_for(&home, "locked");
    saver.cover(false);
    wait_for(&home, "unlocked");
    drop(saver);
    wait_for(&home, "unknown");
}

#[test]
fn nobody_but_logind_is_believed_and_a_flood_of_others_holds_up_nothing() {
    let desk = Desk::start(SENSITIVE);
    desk.permit("payroll", "today");
    // Many more than any queue holds, while the real one speaks too.
    desk.logind.pretend_to_lock(3000);
    assert_eq!(state(&desk.home), "unlocked");
    desk.home.daypass(&["token", "payroll"]).ok();
    assert_eq!(desk.audited("grant.ended", "payroll"), 0);
    thread::scope(|scope| {
        scope.spawn(|| desk.logind.pretend_to_lock(3000));
        desk.lock(true);
        desk.lock(false);
    });
    assert_eq!(state(&desk.home), "unlocked");
}

#[test]
fn a_lock_outlasts_whoever_told_it_until_he_is_really_gone() {
    let mut desk = Desk::start("");
    desk.permit("payments", "today");
    desk.lock(true);
    // It restarts: not a word, and then it is still locked, or it is unlocked.
    desk.logind.leave();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(state(&desk.home), "locked");
    desk.home.daypass(&["token", "payments"]).fails(5);
    desk.logind.join();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&desk.home), "locked");
    desk.lock(false);
    desk.home.daypass(&["token", "payments"]).ok();
    // It does not answer.
    desk.lock(true);
    process::signal(desk.logind.bus.id(), Signal::STOP);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(state(&desk.home), "locked");
    process::signal(desk.logind.bus.id(), Signal::CONT);
    // What is gone for good locks nobody out.
    desk.logind.leave();
    let left = Instant::now();
    wait_for_long(&desk.home, "unknown");
    assert!(left.elapsed() > Duration::from_secs(15), "{:?}", left.elapsed());
    desk.home.daypass(&["token", "payments"]).ok();
}

#[test]
fn without_a_word_from_anybody_it_is_unknown_and_counts_as_unlocked() {
    let mut desk = Desk::start("");
    desk.permit("payments", "today");
    desk.logind.leave();
    wait_for(&desk.home, "unknown");
    desk.home.daypass(&["token", "payments"]).ok();
    desk.logind.join();
    desk.lock(true);
    desk.home.daypass(&["token", "payments"]).fails(5);
    desk.logind.bus.kill();
    wait_for_long(&desk.home, "unknown");
    desk.home.daypass(&["token", "payments"]).ok();
    assert_eq!(doctor(&desk.home).0, "skipped");
}

#[test]
fn a_bus_that_hangs_delays_nobody() {
    let home = Arc::new(Home::new());
    let logind = Logind::start(&home);
    process::signal(logind.bus.id(), Signal::STOP);
    let start = Instant::now();
    let _agent = Agent::start(&home, None);
    assert_eq!(state(&home), "unknown");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    process::signal(logind.bus.id(), Signal::CONT);
    wait_for(&home, "unlocked");
}
