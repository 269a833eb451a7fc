//! The agent is killed at each step of a refresh, by itself, and comes back.
//!
//! A debug build ends itself with SIGKILL at the step `DAYPASS_FAILPOINT` names, so these tests run the very agent all
//! others run. They need a keychain that outlives the agent, and an issuer that counts: the development issuer, which ends
//! the whole sign-in when a rotated refresh token is shown again.

use dev_issuer::{Behaviour, Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    keyring::Keyring,
    process::Output,
    world::{browser_command, free_port, profile},
};
use serde_json::Value;
use std::sync::Arc;

/// 128 + SIGKILL.
const KILLED: i32 = 137;

/// What the issuer saw of a refresh: whether it named a resource, and how it went.
type Seen = (bool, &'static str);

const RESOURCE: Seen = (true, "ok");
/// The account's own scopes: the check after an answer that may be lost.
const CHECK: Seen = (false, "ok");
const REFUSED_CHECK: Seen = (false, "invalid_grant");

struct Killed {
    agent: Agent,
    issuer: DevIssuer,
    _keyring: Keyring,
    home: Arc<Home>,
}

impl Killed {
    /// Alice is signed in, and the test may have `payments` today.
    fn start(rotate_refresh_tokens: bool) -> Self {
        let behaviour = Behaviour { rotate_refresh_tokens, ..Behaviour::default() };
        let issuer = DevIssuer::start(Config { canary: true, behaviour, ..Config::default() }).unwrap();
        let home = Arc::new(Home::new());
        let keyring = Keyring::start(&home);
        Mode { consent: "today".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
        home.write_profile(&format!("{}{}", profile(issuer.issuer(), free_port()), browser_command(&home)));
        let world = Self { agent: Agent::start(&home, None), issuer, _keyring: keyring, home };
        world.home.daypass(&["login", "corp"]).ok();
        world.token().ok();
        world
    }

    fn token(&self) -> Output {
        self.home.daypass(&["token", "payments", "--wait", "30s"])
    }

    /// Restarts the agent, which has no token at hand then, so that it dies at `step` of its next refresh; and starts it
    /// again without that wish.
    fn die_at(&mut self, step: &str) {
        self.agent.stop();
        self.home.set_variable("DAYPASS_FAILPOINT", step);
        self.agent.restart();
        let output = self.token();
        assert_ne!(output.code, 0, "{step}: {output:?}");
        assert_eq!(output.stdout, "", "{step}");
        assert_eq!(self.agent.end(), KILLED, "{step}");
        self.home.set_variable("DAYPASS_FAILPOINT", "");
        self.agent.restart();
    }

    /// Refreshes the issuer saw, from the one at `from`.
    fn refreshes(&self, from: usize) -> Vec<(bool, String)> {
        let requests = self.issuer.journal().requests;
        let refreshes = requests.iter().filter(|r| r.grant_type.as_deref() == Some("refresh_token"));
        refreshes.skip(from).map(|r| (!r.resource.is_empty(), r.result.clone())).collect()
    }

    fn saw(&self, from: usize, wanted: &[Seen], step: &str) {
        let wanted: Vec<_> = wanted.iter().map(|(resource, result)| (*resource, (*result).to_owned())).collect();
        assert_eq!(self.refreshes(from), wanted, "{step}");
    }

    /// Windows opened so far.
    fn windows(&self) -> usize {
        let text = std::fs::read_to_string(self.home.log("browser.jsonl")).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"opened\"")).count()
    }

    /// Lines of the audit log whose event begins so.
    fn lines(&self, event: &str) -> usize {
        let text = self.home.daypass(&["audit", "--json"]).ok();
        let rows: Vec<Value> = match serde_json::from_str(&text) {
            Ok(Value::Array(rows)) => rows,
            _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        };
        rows.iter().filter(|row| row["event"].as_str().is_some_and(|name| name.starts_with(event))).count()
    }
}

#[test]
fn killed_at_any_step_of_a_refresh_it_comes_back_signed_in() {
    let mut world = Killed::start(true);
    let windows = world.windows();
    for (step, wanted) in [
        ("refresh.before", [RESOURCE].as_slice()),
        // Whether it was sent is not known any more: the check first.
        ("refresh.noted", &[CHECK, RESOURCE]),
        // The use counts against the old token only, which the keychain no longer has.
        ("refresh.stored", &[RESOURCE, RESOURCE]),
        ("refresh.kept", &[RESOURCE, RESOURCE]),
    ] {
        let (before, tokens) = (world.refreshes(0).len(), world.lines("token."));
        world.die_at(step);
        world.token().ok();
        world.saw(before, wanted, step);
        assert_eq!(world.lines("token."), tokens + 1, "{step}: the token that was given, and no other");
        // The use is crossed out: the next refresh is no check.
        let before = world.refreshes(0).len();
        world.home.daypass(&["token", "payments", "--refresh"]).ok();
        world.saw(before, &[RESOURCE], step);
    }
    assert_eq!(world.issuer.counters().reuses, 0, "no refresh token was shown after it was rotated");
    assert_eq!(world.windows(), windows, "neither a sign-in nor a question");
    assert_eq!(world.lines("sign_in.lost"), 0);
    world.home.daypass(&["audit", "verify"]).ok();
}

#[test]
fn killed_with_the_answer_in_its_hands_it_shows_the_old_token_once_more() {
    let mut world = Killed::start(true);
    let before = world.refreshes(0).len();
    world.die_at("refresh.answered");
    // The issuer has rotated and forbids the old token: then, and only then, a person is needed.
    let output = world.token();
    assert_eq!(output.code, 4, "{output:?}");
    assert_eq!(world.token().code, 4);
    world.saw(before, &[RESOURCE, REFUSED_CHECK], "no third use");
    assert_eq!((world.issuer.counters().reuses, world.lines("sign_in.lost")), (1, 1));
    world.home.daypass(&["login", "corp"]).ok();
    world.token().ok();
    assert_eq!(world.issuer.counters().reuses, 1);
    world.home.daypass(&["audit", "verify"]).ok();
}

#[test]
fn killed_with_the_answer_in_its_hands_it_goes_on_where_the_issuer_allows() {
    let mut world = Killed::start(false);
    let (before, windows) = (world.refreshes(0).len(), world.windows());
    world.die_at("refresh.answered");
    world.token().ok();
    world.saw(before, &[RESOURCE, CHECK, RESOURCE], "the retry was the check");
    assert_eq!((world.windows(), world.lines("sign_in.lost")), (windows, 0));
}

#[test]
fn killed_twice_before_an_answer_it_asks_for_a_sign_in() {
    let mut world = Killed::start(true);
    let before = world.refreshes(0).len();
    world.die_at("refresh.noted");
    world.die_at("refresh.noted");
    // Two uses are written down; that neither was sent nobody can know.
    assert_eq!(world.token().code, 4);
    world.saw(before, &[], "nothing was sent");
    assert_eq!(world.lines("sign_in.lost"), 1);
    world.home.daypass(&["login", "corp"]).ok();
    world.token().ok();
    assert_eq!(world.issuer.counters().reuses, 0);
}
