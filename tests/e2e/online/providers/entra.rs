//! Entra ID. Documented: scopes that begin with the API's URI and decide about `aud`; any port of `http://localhost`; a new
//! refresh token at each use; no revocation endpoint; one resource for one token request. From public issue reports:
//! `resource` refused with AADSTS901002, and AADSTS65001 with its suberror. Assumed: that the refusal stays on a page there.

use super::Stage;
use dev_issuer::Imitation;
use e2e::claims;
use std::time::Duration;

fn stage() -> Stage {
    Stage::imitating(Imitation::Entra, "entra-id", |_| {})
}

#[test]
fn the_documented_profile_leads_to_tokens() {
    let stage = stage();
    let (first, second) = stage.first_tokens("entra", "payments");
    for token in [first, second] {
        let claims = claims(&token);
        assert_eq!((&claims["aud"], &claims["ver"]), (&"api://payments.example.com".into(), &"1.0".into()));
        assert!(claims["scp"].as_str().unwrap().contains("payments.read"), "{claims}");
    }
    let requests = stage.issuer().journal().requests;
    assert!(requests.iter().all(|entry| entry.resource.is_empty()), "`resource` is not sent");
    assert_eq!(stage.issuer().counters().authorize, 2, "the request and its form: no consent page besides");
}

#[test]
fn a_resource_without_consent_costs_nothing_but_itself() {
    let stage = stage();
    stage.first_tokens("entra", "payments");
    let ledger =
        "\n[resources.ledger]\naccount = \"entra\"\nrequest = \"scope\"\nscopes = [\"api://ledger/read\"]\n\n[broker]";
    stage.change_profile("\n[broker]", ledger);
    stage.answer("today");
    let refused = stage.daypass(&["token", "ledger", "--wait", "30s"]).fails(4);
    assert!(refused.contains("ledger") || refused.contains("sign in"), "{refused}");
    assert!(stage.asked("refresh_token").iter().any(|entry| entry.result == "invalid_grant"));
    assert!(stage.signed_in(), "nothing was erased");
    stage.renew("payments");
    // A new sign-in asks for both, and then there is a token.
    stage.daypass(&["login", "entra"]).ok();
    assert_eq!(claims(&stage.permit("ledger"))["aud"], "api://ledger");
}

#[test]
fn sign_out_says_that_the_provider_was_not_told() {
    let stage = stage();
    stage.daypass(&["login", "entra"]).ok();
    let output = stage.daypass(&["logout", "entra"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("no way to be told"), "{}", output.stderr);
    assert!(!stage.signed_in());
}

#[test]
fn the_parameter_resource_is_refused_where_daypass_cannot_see_it() {
    let stage = stage();
    stage.change_profile("request = \"scope\"", "request = \"resource\"");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.daypass(&["login", "entra"]));
        let page = e2e::until("the page of the refusal", Duration::from_secs(20), || {
            stage.pages().into_iter().find(|page| page["status"] == 400)
        });
        assert!(page["url"].as_str().unwrap().ends_with("/oauth2/v2.0/authorize"), "{page}");
        // The way out that the guide names: sign out, or start again.
        stage.daypass(&["logout", "entra"]).ok();
        assert_eq!(waiting.join().unwrap().code, 4);
    });
}
