//! Each fault does what it says, as often as it says, and leaves the provider good again.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint knows only inside test functions")]

mod program;

use dev_issuer::{Config, Endpoint, Fault, JwtChange, Order};
use program::{CLIENT, PATIENCE, Program, decode, header, read};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

const PAYMENTS: &str = "https://payments.example.com";

/// Whether an answer is what the fault promised.
type Fits = fn(u16, &dev_issuer::wire::Answer) -> bool;

/// A program that is signed in, and its refresh token.
fn signed_in() -> (Program, String) {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    (program, refresh)
}

fn refresh_fields(token: &str) -> [(&'static str, &str); 3] {
    [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token)]
}

#[test]
fn faults_of_the_transport_spoil_one_answer_and_change_nothing() {
    let (program, mut token) = signed_in();
    let table: Vec<(Value, Fits)> = vec![
        (json!({"kind": "status", "status": 500}), |status, answer| status == 500 && answer.body.is_empty()),
        (json!({"kind": "status", "status": 403, "body": "{\"error\":\"odd\"}"}), |status, answer| {
            status == 403 && answer.text() == "{\"error\":\"odd\"}"
        }),
        (json!({"kind": "html"}), |status, answer| {
            status == 200
                && answer.header("content-type").unwrap().starts_with("text/html")
                && answer.text().contains("<form")
        }),
        (json!({"kind": "gzip", "bytes": 1_000_000}), |status, answer| {
            status == 200 && answer.header("content-encoding") == Some("gzip") && answer.body.len() < 8000
        }),
        (json!({"kind": "big_body", "bytes": 3_000_000}), |status, answer| {
            status == 200 && answer.body.len() == 3_000_000
        }),
        (json!({"kind": "empty_body"}), |status, answer| status == 200 && answer.body.is_empty()),
        (json!({"kind": "redirect", "to": "http://127.0.0.1:9/x"}), |status, answer| {
            status == 307 && answer.header("location") == Some("http://127.0.0.1:9/x")
        }),
        (json!({"kind": "error", "status": 401, "error": "no_way", "description": "d"}), |status, answer| {
            status == 401 && answer.text().contains("no_way")
        }),
        (json!({"kind": "invalid_grant"}), |status, answer| status == 400 && answer.text().contains("invalid_grant")),
    ];
    for (fault, fits) in table {
        assert_eq!(program.control(&json!({"endpoint": "token", "fault": fault, "times": 1})), 200, "{fault}");
        let answer = program.post("/token", &refresh_fields(&token), &[]).unwrap();
        assert!(fits(answer.status, &answer), "{fault}: {} {:.200}", answer.status, answer.text());
        let good = program.refresh(&token, &[]).unwrap_or_else(|refused| panic!("{fault}: then {refused:?}"));
        good["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    assert_eq!(program.issuer.counters().reuses, 0);
}

#[test]
fn a_hanging_endpoint_delays_no_other_and_ends_with_the_caller() {
    let (program, token) = signed_in();
    program.issuer.order(Order::once(Endpoint::Token, Fault::Hang {}));
    let body = format!("grant_type=refresh_token&client_id={CLIENT}&refresh_token={token}");
    let begun = Instant::now();
    let hung = program.post_with_patience("/token", &body, Duration::from_millis(300));
    assert!(hung.is_err() && begun.elapsed() >= Duration::from_millis(300));
    assert!(program.refresh(&token, &[]).is_ok());
    let entry = program.issuer.journal().requests.into_iter().rev().find(|entry| entry.fault.is_some()).unwrap();
    assert_eq!((entry.result.as_str(), entry.fault.as_deref()), ("unanswered", Some("hang")));
}

#[test]
fn a_delay_is_a_good_answer_later() {
    let (program, token) = signed_in();
    program.issuer.order(Order::once(Endpoint::Token, Fault::Delay { ms: 300 }));
    let begun = Instant::now();
    assert!(program.refresh(&token, &[]).is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_connection_dropped_after_the_commit_leaves_a_used_refresh_token() {
    for (after_commit, refreshes) in [(true, 1), (false, 0)] {
        let (program, token) = signed_in();
        let mut order = Order::once(Endpoint::Token, Fault::Drop {});
        order.after_commit = after_commit;
        program.issuer.order(order);
        assert_eq!(program.refresh(&token, &[]).unwrap_err().0, 0, "no answer at all");
        assert_eq!(program.issuer.counters().refreshes, refreshes);
        assert_eq!(program.refresh(&token, &[]).is_ok(), !after_commit);
        assert_eq!(program.issuer.counters().reuses, u64::from(after_commit));
    }
}

#[test]
fn a_content_coding_can_be_a_lie() {
    let (program, token) = signed_in();
    program.issuer.order(Order::once(Endpoint::Token, Fault::GzipHeader {}));
    let answer = program.post("/token", &refresh_fields(&token), &[]).unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
}

#[test]
fn the_date_can_be_another_than_it_is() {
    let (program, token) = signed_in();
    for (ahead, date) in [(i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"), (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT")] {
        program.issuer.order(Order::once(Endpoint::Discovery, Fault::Date { ahead }));
        let url = format!("{}/.well-known/openid-configuration", program.issuer.issuer()).parse().unwrap();
        let answer = dev_issuer::wire::exchange("GET", &url, &[], None, PATIENCE).unwrap();
        assert_eq!(answer.header("date"), Some(date));
        assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
    }
    assert!(program.refresh(&token, &[]).is_ok());
}

#[test]
fn invalid_grant_can_hit_one_resource_only() {
    let (program, token) = signed_in();
    let order = json!({"endpoint": "token", "fault": {"kind": "invalid_grant"}, "only": {"resource": PAYMENTS}});
    assert_eq!(program.control(&order), 200);
    for _ in 0..2 {
        assert_eq!(program.refresh(&token, &[("resource", PAYMENTS)]).unwrap_err(), (400, "invalid_grant".to_owned()));
    }
    let good = program.refresh(&token, &[]).unwrap();
    let token = good["refresh_token"].as_str().unwrap();
    assert_eq!(program.control(&json!({"do": "reset"})), 200);
    assert!(program.refresh(token, &[("resource", PAYMENTS)]).is_ok());
}

#[test]
fn members_of_answers_can_be_wrong_or_gone() {
    let (program, token) = signed_in();
    let fields = json!({"token_type": null, "expires_in": -5, "refresh_token": null});
    program.control(&json!({"endpoint": "token", "fault": {"kind": "fields", "fields": fields}, "times": 1}));
    let odd = program.refresh(&token, &[]).unwrap();
    assert!(odd.get("token_type").is_none() && odd.get("refresh_token").is_none());
    assert_eq!(odd["expires_in"], -5);
    assert_eq!(program.refresh(&token, &[]).unwrap_err().1, "invalid_grant", "it was rotated all the same");
    let metadata = |program: &Program| {
        program::fetch(&format!("{}/.well-known/openid-configuration", program.issuer.issuer())).unwrap()
    };
    program.issuer.order(Order::once(Endpoint::Discovery, Fault::field("revocation_endpoint", Value::Null)));
    assert!(metadata(&program).get("revocation_endpoint").is_none());
    program.issuer.order(Order::once(Endpoint::Discovery, Fault::field("issuer", json!("https://evil.example.com"))));
    assert_eq!(metadata(&program)["issuer"], "https://evil.example.com");
    assert_eq!(metadata(&program)["issuer"], program.issuer.issuer());
    program.issuer.order(Order::once(Endpoint::Jwks, Fault::field("keys", json!([]))));
    assert_eq!(program::fetch(&format!("{}/jwks", program.issuer.issuer())).unwrap()["keys"], json!([]));
}

#[test]
fn no_new_refresh_token_leaves_the_old_one_good() {
    let (program, token) = signed_in();
    program.issuer.order(Order::once(Endpoint::Token, Fault::NoNewRefreshToken {}));
    assert!(program.refresh(&token, &[]).unwrap().get("refresh_token").is_none());
    assert!(program.refresh(&token, &[]).unwrap().get("refresh_token").is_some());
    assert_eq!(program.issuer.counters().reuses, 0);
}

#[test]
fn id_tokens_can_lie_in_every_way() {
    let mut program = Program::new(Config::default());
    let changes = [
        json!({"claims": {"iss": "https://evil.example.com"}}),
        json!({"claims": {"iss": null}}),
        json!({"claims": {"aud": "somebody"}}),
        json!({"header": {"alg": "none"}}),
        json!({"header": {"alg": "HS256"}}),
        json!({"header": {"kid": "unknown"}}),
        json!({"expired": true}),
        json!({"bad_signature": true}),
        json!({"foreign_key": true}),
    ];
    for change in changes {
        let (token, verified) = odd_id_token(&mut program, &change);
        assert!(verified.is_err(), "{change}: {:?} {:?}", header(&token), decode(&token));
    }
    for (change, claim, value) in [
        (json!({"claims": {"nonce": "other"}}), "nonce", json!("other")),
        (json!({"claims": {"at_hash": "AAAA"}}), "at_hash", json!("AAAA")),
        (json!({"claims": {"sub": "bob"}}), "sub", json!("bob")),
    ] {
        let (token, verified) = odd_id_token(&mut program, &change);
        assert_eq!(decode(&token)[claim], value);
        assert!(verified.is_ok(), "{change}: the signature is right, the claim is wrong");
    }
    let (token, _) = odd_id_token(&mut program, &json!({"header": {"alg": "none"}}));
    assert!(token.ends_with('.'));
    assert!(odd_id_token(&mut program, &json!({})).1.is_ok(), "no change, no lie");
}

/// The ID token of a sign-in with `change`, and whether it verifies.
fn odd_id_token(program: &mut Program, change: &Value) -> (String, Result<Value, String>) {
    let mut fault = change.clone();
    fault["kind"] = json!("id_token");
    assert_eq!(program.control(&json!({"endpoint": "token", "fault": fault, "times": 1})), 200, "{change}");
    let (verifier, callback) = program.sign_in(&[("nonce", "n-1"), ("prompt", "login")]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let token = tokens["id_token"].as_str().unwrap().to_owned();
    let verified = program.verified(&token, CLIENT);
    (token, verified)
}

#[test]
fn access_tokens_can_be_for_somebody_else() {
    let (program, token) = signed_in();
    let change =
        JwtChange { claims: Map::from_iter([("aud".to_owned(), json!("https://other"))]), ..JwtChange::default() };
    program.issuer.order(Order::once(Endpoint::Token, Fault::AccessToken(change)));
    let tokens = program.refresh(&token, &[("resource", PAYMENTS)]).unwrap();
    assert_eq!(decode(tokens["access_token"].as_str().unwrap())["aud"], "https://other");
}

#[test]
fn the_authorization_response_can_lie_refuse_and_go_elsewhere() {
    let mut program = Program::new(Config::default());
    program.issuer.order(Order::once(Endpoint::Authorize, Fault::field("iss", json!("https://evil.example.com"))));
    assert_eq!(program.sign_in(&[]).1["iss"], "https://evil.example.com");
    program.issuer.order(Order::once(Endpoint::Authorize, Fault::field("state", Value::Null)));
    assert!(!program.authorization_answer(&[]).contains_key("state"));
    let order = json!({"endpoint": "authorize", "fault": {"kind": "error", "error": "temporarily_odd"}, "times": 1});
    assert_eq!(program.control(&order), 200);
    let answer = program.authorization_answer(&[]);
    assert_eq!((answer["error"].as_str(), answer["state"].as_str()), ("temporarily_odd", "state-1"));
    program.issuer.order(Order::once(
        Endpoint::Authorize,
        Fault::Status { status: 503, body: String::new(), content_type: None },
    ));
    assert_eq!(program.open_authorization(&[]).1.status, 503);
    assert!(program.authorization_answer(&[]).contains_key("code"));
}

#[test]
fn revocation_can_refuse_after_it_took_effect() {
    let (program, token) = signed_in();
    let fault = Fault::Status { status: 401, body: String::new(), content_type: None };
    program.issuer.order(Order::once(Endpoint::Revocation, fault).after_commit());
    assert_eq!(program.revoke(&token).0, 401);
    assert_eq!(program.refresh(&token, &[]).unwrap_err().1, "invalid_grant");
}

#[test]
fn keys_rotate_with_and_without_the_old_one() {
    let mut program = Program::new(Config::default());
    let (verifier, callback) = program.sign_in(&[]);
    let tokens = program.redeem(&callback["code"], &verifier, &[]).unwrap();
    let old = tokens["id_token"].as_str().unwrap();
    program.issuer.rotate_key(true).unwrap();
    assert!(program.verified(old, CLIENT).is_ok());
    let new = program.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).unwrap();
    assert_ne!(header(old)["kid"], header(new["id_token"].as_str().unwrap())["kid"]);
    assert_eq!(program.control(&json!({"do": "rotate_key", "old": "drop_old"})), 200);
    assert!(program.verified(old, CLIENT).is_err());
}

#[test]
fn everything_can_be_revoked_at_once() {
    let (program, token) = signed_in();
    assert_eq!(program.control(&json!({"do": "revoke_all"})), 200);
    assert_eq!(program.refresh(&token, &[]).unwrap_err().1, "invalid_grant");
}

#[test]
fn nonsense_at_the_control_endpoint_changes_nothing() {
    let (program, token) = signed_in();
    for nonsense in [json!({}), json!([]), json!({"endpoint": "token"}), json!({"do": "dance"}), json!("hang")] {
        assert_eq!(program.control(&nonsense), 400, "{nonsense}");
    }
    let url = url::Url::parse(&format!("{}/control", program.issuer.address())).unwrap();
    let body = br#"{"endpoint":"token","fault":{"kind":"drop"}}"#;
    let page = dev_issuer::wire::exchange("POST", &url, &[("content-type", "text/plain")], Some(body), PATIENCE);
    assert_eq!(read(page).unwrap_err().0, 400, "a web page could send this without asking");
    assert!(program.refresh(&token, &[]).is_ok());
}
