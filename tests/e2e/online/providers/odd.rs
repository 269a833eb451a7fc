//! Habits that providers have besides the four: each alone, against the development provider.
//!
//! Elsewhere in this folder: no `iss` and redirect addresses to the letter (okta), `typ: JWT` (keycloak, entra), no revocation
//! endpoint (entra), issuers with a path (entra, okta, keycloak, glewlwyd), no rotation (google, okta), RS512 (glewlwyd).

use super::{Stage, documented};
use dev_issuer::{Behaviour, Config, Endpoint, Fault, Order};
use e2e::home::Home;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const AUDIENCE: &str = "https://payments.example.com";

fn stage(behaviour: Behaviour) -> Stage {
    let config = Config { issuer_path: "/tenant".to_owned(), behaviour, ..Config::default() };
    Stage::with(Arc::new(Home::new()), config, &documented("generic"))
}

#[test]
fn the_documented_profile_leads_to_tokens() {
    let stage = stage(Behaviour::default());
    let (first, _) = stage.first_tokens("corp", "payments");
    assert_eq!(e2e::claims(&first)["aud"], AUDIENCE);
    let output = stage.daypass(&["logout", "corp"]);
    assert_eq!((output.code, stage.issuer().counters().revocation), (0, 1), "{output:?}");
}

#[test]
fn an_answer_that_comes_backwards_with_signs_in_its_code_is_read() {
    let stage = stage(Behaviour { odd_callback: true, ..Behaviour::default() });
    stage.first_tokens("corp", "payments");
}

#[test]
fn a_provider_without_iss_and_without_rotation_is_a_provider() {
    let stage = stage(Behaviour { iss_parameter: false, rotate_refresh_tokens: false, ..Behaviour::default() });
    stage.first_tokens("corp", "payments");
    stage.renew("payments");
}

#[test]
fn a_time_of_sign_in_with_a_fraction_is_a_time() {
    let stage = stage(Behaviour::default());
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let fraction = (time * 1000.0).round() / 1000.0;
    stage.issuer().order(Order::always(Endpoint::Token, Fault::id_token_claim("auth_time", json!(fraction))));
    stage.daypass(&["login", "corp"]).ok();
    assert!(stage.signed_in());
}

/// Refusals that say nothing about the refresh token: the sign-in stays, and a later renewal is good.
#[test]
fn odd_refusals_of_a_refresh_erase_nothing() {
    let stage = stage(Behaviour::default());
    stage.first_tokens("corp", "payments");
    let status = |status, body: &str, kind: &str| Fault::Status {
        status,
        body: body.to_owned(),
        content_type: Some(kind.to_owned()),
    };
    for fault in [
        Fault::Error { status: 403, error: "computer_says_no".to_owned(), description: None },
        status(400, "", "application/json"),
        status(403, "{\"errorCode\":\"E0000006\"}", "application/json"),
        status(400, "<html>Bad Request</html>", "text/html"),
        Fault::Error { status: 200, error: "internal_oops".to_owned(), description: None },
    ] {
        stage.issuer().order(Order::once(Endpoint::Token, fault.clone()).for_resource(AUDIENCE));
        let output = e2e::until("an answer", Duration::from_secs(40), || {
            let output = stage.daypass(&["token", "payments", "--refresh"]);
            (output.code != 6).then_some(output)
        });
        assert!([4, 7].contains(&output.code), "{fault:?}: {output:?}");
        assert!(stage.signed_in(), "{fault:?} erased the sign-in");
        stage.issuer().reset_faults();
        e2e::until("a good renewal again", Duration::from_mins(1), || {
            (stage.daypass(&["token", "payments", "--refresh"]).code == 0).then_some(())
        });
    }
    assert_eq!(stage.issuer().counters().reuses, 0);
}

#[test]
fn a_revocation_refused_to_public_clients_is_told() {
    let stage = stage(Behaviour::default());
    stage.daypass(&["login", "corp"]).ok();
    let fault = Fault::Error { status: 401, error: "invalid_client".to_owned(), description: None };
    stage.issuer().order(Order::always(Endpoint::Revocation, fault));
    let told = stage.daypass(&["logout", "corp"]).fails(7);
    assert!(told.contains("signed out here, the provider was not told"), "{told}");
    assert!(!stage.signed_in());
}
