//! Google. From public issue reports: a client secret demanded in spite of PKCE; `offline_access` refused on a page there,
//! `access_type=offline` with `prompt=consent` instead. Documented: any port on loopback; revocation. Assumed: opaque access
//! tokens, a refresh without a new refresh token whose `scope` is ignored, `hd` for Workspace accounts alone.

use super::Stage;
use dev_issuer::Imitation;
use e2e::browser::Mode;
use std::time::Duration;

fn stage() -> Stage {
    Stage::imitating(Imitation::Google, "google", |_| {})
}

#[test]
fn the_documented_profile_leads_to_tokens() {
    let stage = stage();
    let (first, second) = stage.first_tokens("google", "drive");
    assert!(!first.contains('.') && !second.contains('.'), "opaque");
    // Signed in again, there is a refresh token again: consent was asked for.
    stage.daypass(&["logout", "google"]).ok();
    assert_eq!(stage.issuer().counters().revocation, 1);
    stage.first_tokens("google", "drive");
}

#[test]
fn somebody_of_another_domain_is_turned_away_by_name() {
    for (user, named) in [("eve@gmail.com", "eve@gmail.com"), ("bob@elsewhere.example", "bob@elsewhere.example")] {
        let stage = stage();
        stage.behave(&Mode { user: user.to_owned(), ..Mode::default() });
        let refused = stage.daypass(&["login", "google"]).fails(4);
        assert!(refused.contains(named), "{refused}");
        assert!(!stage.signed_in());
    }
}

#[test]
fn without_the_secret_the_refusal_is_told() {
    let stage = stage();
    let line = stage.profile.lines().find(|line| line.starts_with("client_secret")).unwrap().to_owned();
    stage.change_profile(&line, "");
    let refused = stage.daypass(&["login", "google"]).fails(7);
    assert!(refused.contains("invalid_request"), "{refused}");
}

#[test]
fn the_scope_for_offline_access_ends_on_a_page_of_the_provider() {
    let stage = stage();
    stage.change_profile("offline = \"parameter\"", "offline = \"scope\"");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.daypass(&["login", "google"]));
        e2e::until("the page of the refusal", Duration::from_secs(20), || {
            stage.pages().into_iter().find(|page| page["status"] == 400)
        });
        stage.daypass(&["logout", "google"]).ok();
        assert_eq!(waiting.join().unwrap().code, 4);
    });
}

#[test]
fn a_refusal_for_one_resource_costs_nothing_but_itself() {
    let stage = stage();
    stage.first_tokens("google", "drive");
    let order = dev_issuer::Order::once(dev_issuer::Endpoint::Token, dev_issuer::Fault::InvalidGrant {});
    stage.issuer().order(order.for_grant_type("refresh_token"));
    let output = e2e::until("a renewal that is refused", Duration::from_secs(30), || {
        let output = stage.daypass(&["token", "drive", "--refresh"]);
        (output.code != 6).then_some(output)
    });
    output.fails(4);
    assert!(stage.signed_in(), "the account's own scopes were good: nothing was erased");
    stage.renew("drive");
}
