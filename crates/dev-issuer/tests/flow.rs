//! The provider as a small program of our own sees it: the whole code flow, rotation, revocation, and its refusals.

mod program;

use dev_issuer::{Behaviour, Config, Counters, Endpoint, Fault, Order, Registration};
use program::{CLIENT, Program, REDIRECT, decode};
use secrecy::ExposeSecret;
use serde_json::json;

const PAYMENTS: &str = "https://payments.example.com";

#[test]
fn a_sign_in_gives_verifiable_tokens_and_a_second_one_shows_no_form() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[("scope", "openid profile email offline_access"), ("nonce", "n-1")]);
    assert_eq!(callback.get("iss").unwrap(), program.issuer.issuer());
    assert_eq!(callback.get("state").unwrap(), "state-1");
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 300);
    assert_eq!(tokens["scope"], "openid profile email offline_access");
    let claims = program.verified(tokens["id_token"].as_str().unwrap(), CLIENT).unwrap();
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("alice"), &json!("n-1")));
    assert_eq!((&claims["email"], &claims["name"]), (&json!("alice@example.com"), &json!("Alice")));
    assert_eq!(claims["at_hash"], program::at_hash(tokens["access_token"].as_str().unwrap()));
    assert!(claims["auth_time"].is_u64() && claims["acr"].is_string() && claims["amr"].is_array());
    let userinfo = program.userinfo(tokens["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(userinfo["sub"], "alice");
    let page = program.open_authorization(&[]).1;
    assert!(page.url.as_str().starts_with(REDIRECT), "the browser is remembered");
    let page = program.open_authorization(&[("prompt", "login")]).1;
    assert_eq!(page.forms().len(), 1, "unless the program insists");
}

#[test]
fn a_code_works_once_and_its_reuse_takes_the_tokens_along() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    assert_eq!(program.redeem(&callback["code"], &verifier, &[]).unwrap_err(), (400, "invalid_grant".to_owned()));
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(program.refresh(refresh, &[]).unwrap_err().1, "invalid_grant");
    assert_eq!(program.userinfo(tokens["access_token"].as_str().unwrap()).unwrap_err().0, 401);
    assert_eq!(program.issuer.counters().code_reuses, 1);
}

#[test]
fn a_wrong_verifier_redirect_or_client_burns_the_code() {
    for (name, value) in [
        ("code_verifier", "A".repeat(43)),
        ("redirect_uri", "http://127.0.0.1:9/callback".to_owned()),
        ("client_id", "daypass-demo".to_owned()),
    ] {
        let mut program = Program::new(Config::default());
        let (verifier, callback) = program.sign_in(&[]);
        let wrong = program.redeem(&callback["code"], &verifier, &[(name, &value)]);
        assert_eq!(wrong.unwrap_err(), (400, "invalid_grant".to_owned()), "{name}");
        assert_eq!(program.redeem(&callback["code"], &verifier, &[]).unwrap_err().1, "invalid_grant", "{name}");
    }
}

#[test]
fn a_code_grows_old() {
    let mut program = Program::new(Config { code_lifetime: 0, ..Config::default() });
    let (verifier, callback) = program.sign_in(&[]);
    assert_eq!(program.redeem(&callback["code"], &verifier, &[]).unwrap_err().1, "invalid_grant");
}

#[test]
fn refresh_tokens_rotate_and_reuse_revokes_the_family() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[("nonce", "n")]);
    let first = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let old = first["refresh_token"].as_str().unwrap();
    let second = program.refresh(old, &[]).unwrap();
    let new = second["refresh_token"].as_str().unwrap();
    assert_ne!(old, new);
    let (before, after) = (decode(first["id_token"].as_str().unwrap()), decode(second["id_token"].as_str().unwrap()));
    assert_eq!((&before["sub"], &before["auth_time"]), (&after["sub"], &after["auth_time"]));
    assert!(after.get("nonce").is_none());
    assert_eq!(program.refresh(old, &[]).unwrap_err(), (400, "invalid_grant".to_owned()));
    assert_eq!(program.refresh(new, &[]).unwrap_err().1, "invalid_grant", "the family is gone");
    let counters = program.issuer.counters();
    assert_eq!((counters.refreshes, counters.reuses), (1, 1));
}

#[test]
fn resources_and_audiences_give_jwts_for_them_and_nothing_else_does() {
    let mut program = Program::new(Config::default());
    let asked = [
        ("resource", PAYMENTS),
        ("audience", "https://mail.example.com"),
        ("scope", "openid offline_access payments.read"),
    ];
    let (verifier, callback) = program.sign_in(&asked);
    let tokens = program.redeem(&callback["code"], &verifier, &[("resource", PAYMENTS)]).unwrap();
    let claims = program.verified(tokens["access_token"].as_str().unwrap(), PAYMENTS).unwrap();
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!(PAYMENTS), &json!(CLIENT)));
    assert_eq!(claims["scope"], "openid offline_access payments.read");
    let header = program::header(tokens["access_token"].as_str().unwrap());
    assert_eq!(header["typ"], "at+jwt");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let narrow = [("audience", "https://mail.example.com"), ("scope", "payments.read")];
    let tokens = program.refresh(refresh, &narrow).unwrap();
    let claims = decode(tokens["access_token"].as_str().unwrap());
    assert_eq!((&claims["aud"], &claims["scope"]), (&json!("https://mail.example.com"), &json!("payments.read")));
    assert!(tokens.get("id_token").is_none(), "openid was not asked for");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let other = program.refresh(refresh, &[("resource", "https://other.example.com")]);
    assert_eq!(other.unwrap_err(), (400, "invalid_target".to_owned()));
    assert_eq!(program.refresh(refresh, &[("resource", "payments")]).unwrap_err().1, "invalid_target");
    assert_eq!(program.refresh(refresh, &[("scope", "admin")]).unwrap_err().1, "invalid_scope");
    let opaque = program.refresh(refresh, &[]).unwrap();
    assert!(opaque["access_token"].as_str().unwrap().starts_with("at_"), "refusals used nothing up");
}

#[test]
fn a_refresh_token_needs_offline_access_and_a_living_client() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[("scope", "openid")]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    assert!(tokens.get("refresh_token").is_none());
    let lasting = Behaviour { offline_access_required: false, rotate_refresh_tokens: false, ..Behaviour::default() };
    let mut program = Program::new(Config { behaviour: lasting, ..Config::default() });
    let (verifier, callback) = program.sign_in(&[("scope", "openid")]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for _ in 0..2 {
        assert!(program.refresh(refresh, &[]).unwrap().get("refresh_token").is_none());
    }
    let stranger = program.refresh(refresh, &[("client_id", "daypass-demo")]);
    assert_eq!(stranger.unwrap_err().1, "invalid_grant");
}

#[test]
fn revocation_takes_the_family_or_one_access_token() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(program.revoke("nonsense").0, 200);
    assert_eq!(program.revoke(access).0, 200);
    assert_eq!(program.userinfo(access).unwrap_err().0, 401);
    let tokens = program.refresh(refresh, &[]).unwrap();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert!(program.userinfo(access).is_ok());
    assert_eq!(program.revoke(refresh).0, 200);
    assert_eq!(program.refresh(refresh, &[]).unwrap_err().1, "invalid_grant");
    assert_eq!(program.userinfo(access).unwrap_err().0, 401);
    assert_eq!(program.issuer.counters().revocation, 3);
}

#[test]
fn a_secret_that_is_registered_is_required() {
    let confidential = Registration { client_secret: Some("s&=crêt".to_owned()), ..Registration::public(CLIENT) };
    let mut program = Program::new(Config { clients: vec![confidential], ..Config::default() });
    let (verifier, callback) = program.sign_in(&[]);
    for wrong in [vec![], vec![("client_secret", "wrong")], vec![("client_id", "unknown")]] {
        let refused = program.redeem(&callback["code"], &verifier, &wrong).unwrap_err();
        assert_eq!(refused, (401, "invalid_client".to_owned()));
    }
    assert!(program.redeem(&callback["code"], &verifier, &[("client_secret", "s&=crêt")]).is_ok());
}

#[test]
fn bad_authorization_requests_are_answered_where_they_may_be() {
    let mut program = Program::new(Config::default());
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("scope", "a\"b"), "invalid_scope"),
        (("resource", "not-absolute"), "invalid_target"),
        (("resource", "https://a.example.com/#f"), "invalid_target"),
        (("prompt", "none"), "login_required"),
        (("prompt", "none login"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("request", "x.y.z"), "request_not_supported"),
    ] {
        let answer = program.authorization_answer(&[change]);
        assert_eq!(answer.get("error").map(String::as_str), Some(error), "{change:?}");
        assert_eq!(answer["state"], "state-1");
        assert_eq!(answer["iss"], program.issuer.issuer());
    }
    for change in [("redirect_uri", "http://127.0.0.1:9/elsewhere"), ("client_id", "unknown"), ("redirect_uri", "")] {
        let page = program.open_authorization(&[change]).1;
        assert_eq!(page.status, 400, "{change:?}");
        assert!(page.url.as_str().starts_with(program.issuer.issuer()), "nothing is sent to {change:?}");
    }
}

#[test]
fn forms_end_with_cancel_expire_after_use_and_want_a_name() {
    let mut program = Program::new(Config::default());
    let page = program.open_authorization(&[]).1;
    let mut form = page.forms().remove(0);
    form.fill("username", "<b>\"mallory\"</b>");
    let again = program.browser.send(&page, &form, None).unwrap();
    assert!(again.html.contains("&lt;b&gt;&quot;mallory"), "no password: the form comes back, escaped");
    let form = again.forms().remove(0);
    assert_eq!(form.fields[1].1, "<b>\"mallory\"</b>");
    let answer = program.answer_form(&again, &form, ("action", "cancel"));
    assert_eq!(answer["error"], "access_denied");
    assert_eq!(program.browser.send(&again, &form, None).unwrap().status, 400, "a form is good for one answer");
}

#[test]
fn a_token_request_with_a_doubled_or_missing_parameter_is_refused() {
    let program = Program::new(Config::default());
    for (body, error) in [
        ("grant_type=authorization_code&grant_type=refresh_token&client_id=daypass", "invalid_request"),
        ("client_id=daypass", "invalid_request"),
        ("grant_type=refresh_token&client_id=daypass", "invalid_request"),
        ("grant_type=password&client_id=daypass", "unsupported_grant_type"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x&client_id=daypass", "invalid_grant"),
    ] {
        assert_eq!(
            program.post_raw("/token", "application/x-www-form-urlencoded", body),
            (400, error.to_owned()),
            "{body}"
        );
    }
    let json = program.post_raw("/token", "application/json", r#"{"grant_type":"refresh_token"}"#);
    assert_eq!(json, (400, "invalid_request".to_owned()));
}

#[test]
fn an_issuer_with_a_path_serves_both_forms_of_metadata() {
    let mut program = Program::new(Config { issuer_path: "/tenant/v2".to_owned(), ..Config::default() });
    let issuer = program.issuer.issuer().to_owned();
    assert_eq!(issuer, format!("{}/tenant/v2", program.issuer.address()));
    for address in [
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{}/.well-known/oauth-authorization-server/tenant/v2", program.issuer.address()),
    ] {
        let document = program::fetch(&address).unwrap();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["token_endpoint"], format!("{issuer}/token"));
    }
    assert!(program::fetch(&format!("{}/.well-known/openid-configuration", program.issuer.address())).is_err());
    let (verifier, callback) = program.sign_in(&[]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    assert!(program.verified(tokens["id_token"].as_str().unwrap(), CLIENT).is_ok());
}

#[test]
fn every_secret_is_a_canary_on_request_and_none_is_in_the_journal() {
    let mut program = Program::new(Config { canary: true, ..Config::default() });
    let (verifier, callback) = program.sign_in(&[("resource", PAYMENTS)]);
    let tokens = program.redeem(&callback["code"], &verifier, &[("resource", PAYMENTS)]).unwrap();
    let opaque = program.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).unwrap();
    program.issuer.order(Order::once(Endpoint::Token, Fault::Drop {}).after_commit());
    assert!(program.refresh(opaque["refresh_token"].as_str().unwrap(), &[]).is_err());
    for secret in
        [&callback["code"], tokens["refresh_token"].as_str().unwrap(), opaque["access_token"].as_str().unwrap()]
    {
        assert!(secret.contains("CANARY-"), "{secret}");
    }
    for jwt in [&tokens["id_token"], &tokens["access_token"]] {
        assert!(decode(jwt.as_str().unwrap()).to_string().contains("CANARY-"));
    }
    let log = program::fetch(&format!("{}/log", program.issuer.address())).unwrap();
    let text = log.to_string();
    assert!(!text.contains("CANARY"), "{text}");
    let issued = program.issuer.issued();
    assert!(issued.iter().any(|secret| secret.expose_secret() == callback["code"]));
    assert!(issued.iter().all(|secret| !text.contains(secret.expose_secret())));
    let counters: Counters = serde_json::from_value(log["counters"].clone()).unwrap();
    assert_eq!((counters.codes, counters.redemptions, counters.refreshes, counters.faults), (1, 1, 2, 1));
    let last = log["requests"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["result"], &last["fault"]), (&json!("ok"), &json!("drop")));
    assert_eq!(last["grant_type"], "refresh_token");
}
