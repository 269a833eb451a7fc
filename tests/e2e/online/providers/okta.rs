//! Okta. Documented: the audience belongs to the authorization server; the issuer has a path; a persistent refresh token
//! that comes back unchanged. From public issue reports: each port registered, and `invalid_scope` sent back. Assumed: that
//! `resource` is ignored and no `iss` comes with the answer.

use super::Stage;
use dev_issuer::Imitation;
use e2e::claims;

fn stage() -> Stage {
    Stage::imitating(Imitation::Okta, "okta", |_| {})
}

#[test]
fn the_documented_profile_leads_to_tokens() {
    let stage = stage();
    let (first, second) = stage.first_tokens("okta", "payments");
    for token in [first, second] {
        assert_eq!(claims(&token)["aud"], "api://default");
        assert_eq!(claims(&token)["scp"], serde_json::json!(["payments.read"]));
    }
    assert!(stage.issuer().issuer().ends_with("/oauth2/default"));
}

#[test]
fn a_scope_nobody_granted_costs_nothing_but_itself() {
    let stage = stage();
    stage.first_tokens("okta", "payments");
    let api = "\n[resources.api]\naccount = \"okta\"\nrequest = \"scope\"\nscopes = [\"api.read\"]\n\n[broker]";
    stage.change_profile("\n[broker]", api);
    stage.answer("today");
    let output = stage.daypass(&["token", "api", "--wait", "30s"]);
    assert!(output.code != 0 && output.stderr.contains("scope"), "{output:?}");
    assert!(stage.asked("refresh_token").iter().any(|entry| entry.result == "invalid_scope"));
    assert!(stage.signed_in(), "nothing was erased");
    stage.renew("payments");
    stage.daypass(&["login", "okta"]).ok();
    stage.permit("api");
}

#[test]
fn an_unknown_scope_fails_the_sign_in_with_its_word() {
    let stage = stage();
    stage.change_profile("\"payments.read\", \"payments.write\"", "\"payments.read\", \"payments.erase\"");
    let refused = stage.daypass(&["login", "okta"]).fails(7);
    assert!(refused.contains("invalid_scope"), "{refused}");
}

#[test]
fn the_second_registered_port_is_taken_when_the_first_is_busy() {
    let stage = stage();
    let ports: Vec<u16> = stage
        .profile
        .lines()
        .find(|line| line.starts_with("redirect_uri"))
        .unwrap()
        .split("127.0.0.1:")
        .skip(1)
        .map(|rest| rest.split('/').next().unwrap().parse().unwrap())
        .collect();
    let _busy = std::net::TcpListener::bind(("127.0.0.1", ports[0])).unwrap();
    stage.daypass(&["login", "okta"]).ok();
    assert!(stage.signed_in());
}

#[test]
fn sign_out_tells_the_provider() {
    let stage = stage();
    stage.first_tokens("okta", "payments");
    let output = stage.daypass(&["logout", "okta"]);
    assert_eq!((output.code, stage.issuer().counters().revocation), (0, 1), "{output:?}");
    assert!(!output.stderr.contains("not told"), "{}", output.stderr);
}
