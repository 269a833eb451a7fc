//! Keycloak. Documented: `http://127.0.0.1` registered without a port is good for any; `aud` by a mapper; offline access by
//! a role; without it the refresh token ends with the idle session; a new refresh token each time, the old one stays good.
//! From public issue reports: `not_allowed`, "Session not active". Assumed: that `resource` is ignored.

use super::{Stage, documented};
use dev_issuer::{Config, Imitation};
use e2e::{claims, home::Home, keyring::Keyring};
use std::{sync::Arc, time::Duration};

fn stage() -> Stage {
    Stage::imitating(Imitation::Keycloak, "keycloak", |_| {})
}

#[test]
fn the_documented_profile_leads_to_tokens() {
    let stage = stage();
    let (first, second) = stage.first_tokens("keycloak", "payments");
    for token in [first, second] {
        assert_eq!(claims(&token)["aud"], serde_json::json!(["https://payments.example.com", "account"]));
    }
    let output = stage.daypass(&["logout", "keycloak"]);
    assert_eq!((output.code, stage.issuer().counters().revocation), (0, 1), "{output:?}");
}

#[test]
fn a_missing_role_is_told_and_the_documented_way_around_it_works() {
    let stage = Stage::imitating(Imitation::Keycloak, "keycloak", |config| config.refuse_offline = true);
    let refused = stage.daypass(&["login", "keycloak"]).fails(7);
    assert!(refused.contains("not_allowed"), "{refused}");
    stage.change_profile("offline = \"auto\"", "offline = \"none\"");
    stage.first_tokens("keycloak", "payments");
}

/// The end of the session is told with each refresh token, so the agent renews in time; nobody renews while it is off.
#[test]
fn an_idle_session_is_kept_while_the_agent_runs_and_ends_while_it_does_not() {
    let home = Arc::new(Home::new());
    let _keyring = Keyring::start(&home);
    let config = Config { online_idle: 4, ..Config::imitating(Imitation::Keycloak) };
    let profile = documented("keycloak").replace("offline = \"auto\"", "offline = \"none\"");
    let mut stage = Stage::with(home, config, &profile);
    stage.daypass(&["login", "keycloak"]).ok();
    std::thread::sleep(Duration::from_secs(9));
    assert!(stage.asked("refresh_token").len() >= 2, "{:?}", stage.asked("refresh_token"));
    stage.permit("payments");
    stage.agent.stop();
    std::thread::sleep(Duration::from_secs(6));
    stage.agent.restart();
    stage.daypass(&["token", "payments"]).fails(4);
    assert!(!stage.signed_in());
    stage.daypass(&["login", "keycloak"]).ok();
    assert!(stage.signed_in());
}

#[test]
fn a_session_ended_by_an_administrator_is_over_here_too() {
    let stage = stage();
    stage.first_tokens("keycloak", "payments");
    stage.issuer().revoke_all();
    let output = e2e::until("a renewal that is refused", Duration::from_secs(30), || {
        let output = stage.daypass(&["token", "payments", "--refresh"]);
        (output.code != 6).then_some(output)
    });
    output.fails(4);
    assert!(!stage.signed_in());
}

#[test]
fn a_scope_nobody_granted_costs_nothing_but_itself() {
    let stage = stage();
    stage.first_tokens("keycloak", "payments");
    let api = "\n[resources.api]\naccount = \"keycloak\"\nrequest = \"scope\"\nscopes = [\"api.read\"]\n\n[broker]";
    stage.change_profile("\n[broker]", api);
    stage.answer("today");
    let output = stage.daypass(&["token", "api", "--wait", "30s"]);
    assert!(output.code != 0, "{output:?}");
    assert!(stage.signed_in(), "nothing was erased");
    stage.renew("payments");
}
