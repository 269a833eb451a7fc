//! What becomes of a sign-in when the issuer misbehaves: the erase rule, and how often a refresh token may be used.

use dev_issuer::{Config, DevIssuer, Endpoint, Fault, Order};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    process::Output,
    world::{browser_command, free_port, profile},
};
use serde_json::{Value, json};
use std::{sync::Arc, thread, time::Duration};

/// A home, an agent and the issuer that can misbehave; alice is signed in and may have `payments` and `api` today.
/// Tokens live 63 s, so that three seconds after it was obtained a token has to be renewed.
struct Small {
    _agent: Agent,
    issuer: DevIssuer,
    home: Arc<Home>,
}

impl Small {
    fn start() -> Self {
        let config = Config { canary: true, access_lifetime: 63, ..Config::default() };
        let issuer = DevIssuer::start(config).unwrap();
        let home = Arc::new(Home::new());
        Mode { consent: "today".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
        home.write_profile(&format!("{}{}", profile(issuer.issuer(), free_port()), browser_command(&home)));
        let small = Self { _agent: Agent::start(&home, None), issuer, home };
        small.home.daypass(&["login", "corp"]).ok();
        small.token("payments").ok();
        small.token("api").ok();
        thread::sleep(Duration::from_millis(3500));
        small
    }

    fn token(&self, resource: &str) -> Output {
        self.home.daypass(&["token", resource, "--wait", "30s"])
    }

    fn state(&self) -> String {
        let status = serde_json::from_str::<Value>(&self.home.daypass(&["status", "--json"]).stdout).unwrap();
        status["accounts"][0]["state"].as_str().unwrap().to_owned()
    }

    /// The refresh requests since `from`: whether each named a resource, and how it went.
    fn refreshes(&self, from: usize) -> Vec<(bool, String)> {
        let requests = self.issuer.journal().requests;
        let refreshes = requests.iter().filter(|r| r.grant_type.as_deref() == Some("refresh_token"));
        refreshes.skip(from).map(|r| (!r.resource.is_empty(), r.result.clone())).collect()
    }
}

#[test]
fn answers_that_are_no_tokens_lose_nothing() {
    let small = Small::start();
    let token = |fault| Order::once(Endpoint::Token, fault);
    for (what, order, exit) in [
        ("500", token(Fault::Status { status: 500, body: "x".into(), content_type: None }), 7),
        ("a web page", token(Fault::Html {}), 7),
        ("a redirect", token(Fault::Redirect { to: "http://127.0.0.1:9/".into(), status: 307 }), 7),
        ("no token type", token(Fault::field("token_type", Value::Null)), 7),
        ("another token type", token(Fault::field("token_type", json!("mac"))), 7),
        ("a negative life", token(Fault::field("expires_in", json!(-5))), 7),
        ("no token", token(Fault::field("access_token", Value::Null)), 7),
        ("no metadata", Order::once(Endpoint::Discovery, Fault::Html {}), 0),
    ] {
        small.issuer.order(order);
        let output = small.token("payments");
        assert_eq!(output.code, exit, "{what}: {output:?}");
        assert!(!output.stderr.contains("CANARY"), "{what}: {}", output.stderr);
        small.issuer.reset_faults();
        e2e::until(&format!("a token after {what}"), Duration::from_secs(40), || {
            let output = small.token("payments");
            assert_ne!(output.code, 4, "{what} ended the sign-in: {output:?}");
            (output.code == 0).then_some(())
        });
        thread::sleep(Duration::from_millis(3500));
    }
    assert_eq!(small.issuer.counters().reuses, 0, "no rotated refresh token was used again");
}

#[test]
fn one_refused_resource_is_not_the_end_of_the_sign_in() {
    let small = Small::start();
    let refused = Fault::InvalidGrant {};
    small.issuer.order(Order::always(Endpoint::Token, refused).for_resource("https://api.example.com"));
    let before = small.refreshes(0).len();
    let output = small.token("api");
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("interaction_required"), "{}", output.stderr);
    let asked = small.refreshes(before);
    assert_eq!(asked.iter().map(|(resource, _)| *resource).collect::<Vec<_>>(), [true, false], "{asked:?}");
    small.token("payments").ok();
    assert_eq!(small.state(), "signed_in");
}

#[test]
fn a_refusal_of_the_accounts_own_scopes_ends_it() {
    let small = Small::start();
    small.issuer.order(Order::always(Endpoint::Token, Fault::InvalidGrant {}));
    let output = small.token("payments");
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("login_required"), "{}", output.stderr);
    assert_eq!(small.state(), "sign_in_required");
}

#[test]
fn an_answer_lost_after_a_rotation_is_checked_once_and_never_a_third_time() {
    let small = Small::start();
    let before = small.refreshes(0).len();
    small.issuer.order(Order::once(Endpoint::Token, Fault::Drop {}).after_commit());
    let output = small.token("payments");
    assert_eq!(output.code, 4, "the issuer saw its old token again and ended the family: {output:?}");
    let asked = small.refreshes(before);
    assert_eq!(asked.iter().map(|(resource, _)| *resource).collect::<Vec<_>>(), [true, false], "{asked:?}");
    assert_eq!(small.token("payments").code, 4);
    assert_eq!(small.refreshes(before).len(), 2, "no third use");
    small.home.daypass(&["login", "corp"]).ok();
    small.token("payments").ok();
}

#[test]
fn an_answer_lost_before_a_rotation_costs_one_check() {
    let small = Small::start();
    let before = small.refreshes(0).len();
    small.issuer.order(Order::once(Endpoint::Token, Fault::Drop {}));
    let output = small.token("payments");
    assert_eq!(output.code, 7, "{output:?}");
    let asked = small.refreshes(before);
    assert_eq!(asked.iter().map(|(resource, _)| *resource).collect::<Vec<_>>(), [true, false], "{asked:?}");
    e2e::until("a token", Duration::from_secs(20), || (small.token("payments").code == 0).then_some(()));
    assert_eq!(small.issuer.counters().reuses, 0);
}

#[test]
fn a_new_refresh_token_is_kept_even_if_the_rest_of_the_answer_is_no_good() {
    let small = Small::start();
    small.issuer.order(Order::once(Endpoint::Token, Fault::field("token_type", Value::Null)).after_commit());
    assert_eq!(small.token("payments").code, 7);
    e2e::until("a token", Duration::from_secs(20), || (small.token("payments").code == 0).then_some(()));
    assert_eq!(small.issuer.counters().reuses, 0);
}

#[test]
fn an_issuer_that_is_away_costs_no_use_of_the_refresh_token() {
    let small = Small::start();
    let before = small.refreshes(0).len();
    for _ in 0..3 {
        small.issuer.order(Order::always(Endpoint::Discovery, Fault::Drop {}));
        small.issuer.order(Order::always(Endpoint::Token, Fault::Drop {}));
        // The metadata known from before still leads to the token endpoint once; after that the way is tried first.
        assert_eq!(small.token("payments").code, 7);
        thread::sleep(Duration::from_millis(5200));
    }
    assert!(small.refreshes(before).len() <= 1, "{:?}", small.refreshes(before));
    small.issuer.reset_faults();
    e2e::until("a token", Duration::from_secs(30), || (small.token("payments").code == 0).then_some(()));
}
