//! I21: signing in with a code on another device.

use super::{
    assert_clean,
    server::Reply,
    world::{NOW, World},
};
use crate::{DeviceAnswer, DevicePending, OidcError, Target, TokenAsk};
use broker::{Span, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

fn offer(world: &World) {
    let mut metadata = world.metadata();
    metadata["device_authorization_endpoint"] = json!(format!("{}/device", world.server.base()));
    world.publish(&metadata);
}

fn codes() -> Value {
    json!({
        "device_code": "CANARY-device", "user_code": "WDJB-MJHT", "verification_uri": "https://login.example.com/device",
        "verification_uri_complete": "https://login.example.com/device?user_code=WDJB-MJHT", "expires_in": 900, "interval": 5,
    })
}

async fn begun() -> (World, DevicePending) {
    let world = World::new().await;
    offer(&world);
    world.server.set("/device", Reply::json(200, &codes()));
    let pending = world.client.begin_device(world.ask()).await.unwrap();
    (world, pending)
}

/// Waits until the next question is due and asks it.
async fn poll(world: &World, pending: &mut DevicePending) -> Result<DeviceAnswer, OidcError> {
    let due = world.now().until(pending.next());
    if due.as_seconds() > 0 {
        world.pass(due);
    }
    world.client.poll_device(pending).await
}

#[tokio::test]
async fn the_request_says_what_a_sign_in_asks_for_and_the_person_gets_code_and_address() {
    let world = World::new().await;
    offer(&world);
    world.server.set("/device", Reply::json(200, &codes()));
    let mut ask = world.ask();
    ask.resources = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
    ask.requirement.max_age = Some(Span::minutes(5));
    let pending = world.client.begin_device(ask).await.unwrap();
    assert_eq!((pending.user_code(), pending.verification_uri()), ("WDJB-MJHT", "https://login.example.com/device"));
    assert_eq!(pending.verification_uri_complete(), Some("https://login.example.com/device?user_code=WDJB-MJHT"));
    assert_eq!(pending.expires_at(), Timestamp::from_seconds(NOW + 900));
    let seen = world.server.seen("/device").remove(0);
    assert_eq!(seen.field("client_id"), ["daypass"]);
    assert_eq!(seen.field("scope"), ["offline_access openid payments.read profile"]);
    assert_eq!(seen.field("resource"), ["https://a.example", "https://b.example"]);
    assert_eq!(seen.field("max_age"), ["300"]);
    for absent in ["redirect_uri", "nonce", "state", "prompt", "code_challenge", "response_type"] {
        assert!(seen.field(absent).is_empty(), "{absent}");
    }
    assert_clean(&format!("{pending:?}"));
}

#[tokio::test]
async fn an_issuer_without_the_endpoint_is_told_apart() {
    let world = World::new().await;
    assert!(matches!(world.client.begin_device(world.ask()).await, Err(OidcError::NotOffered(_))));
}

#[tokio::test]
async fn odd_answers_are_refused_and_short_intervals_clamped() {
    // What the member says, and the pause before the first question; none = refused.
    for (member, value, pause) in [
        ("interval", json!(0), Some(5)),
        ("interval", json!(-1), Some(5)),
        ("interval", json!(null), Some(5)),
        ("interval", json!(7), Some(7)),
        ("interval", json!(5.5), Some(5)),
        ("interval", json!(1e9), None),
        ("interval", json!(1e300), None),
        ("interval", json!("5"), None),
        ("expires_in", json!(0), None),
        ("expires_in", json!(-1), None),
        ("expires_in", json!(null), None),
        ("expires_in", json!(4), None),
        ("expires_in", json!(1e12), Some(5)),
        ("device_code", json!(""), None),
        ("user_code", json!(null), None),
        ("user_code", json!("A\u{1b}[2JB"), None),
        ("user_code", json!("ABCD\u{202e}"), None),
        ("user_code", json!(" ABCD"), None),
        ("user_code", json!("X".repeat(41)), None),
        ("user_code", json!("AB CD"), Some(5)),
        ("verification_uri", json!("javascript:alert(1)"), None),
        ("verification_uri", json!("http://login.example.com/device"), None),
        ("verification_uri", json!("https://u:p@login.example.com/"), None),
        ("verification_uri", json!("https://login.example.com/\n"), None),
        ("verification_uri", json!("file:///etc/passwd"), None),
        ("verification_uri", json!("https://login.example.com/#/device"), Some(5)),
        ("verification_uri", json!("http://127.0.0.1:4711/device"), Some(5)),
        ("verification_uri", json!(null), None),
        ("verification_uri_complete", json!(null), Some(5)),
        ("verification_uri_complete", json!("javascript:alert(1)"), None),
        ("error", json!("invalid_client"), None),
    ] {
        let world = World::new().await;
        offer(&world);
        let mut codes = codes();
        codes[member] = value.clone();
        world.server.set("/device", Reply::json(200, &codes));
        let begun = world.client.begin_device(world.ask()).await;
        let found = begun.as_ref().ok().map(|pending| world.now().until(pending.next()).as_seconds());
        assert_eq!(found, pause, "{member}: {value}: {begun:?}");
        if let Err(error) = begun {
            assert_clean(&format!("{error} {error:?}"));
        }
    }
    let world = World::new().await;
    offer(&world);
    world.server.set(
        "/device",
        Reply::json(200, &{
            let mut codes = codes();
            codes["expires_in"] = json!(1e12);
            codes
        }),
    );
    let pending = world.client.begin_device(world.ask()).await.unwrap();
    assert_eq!(world.now().until(pending.expires_at()), Span::minutes(30), "no code counts for ever");
}

#[tokio::test]
async fn polling_follows_the_rules() {
    let (world, mut pending) = begun().await;
    let told = |word: &str| Reply::json(400, &json!({"error": word}));
    // Before its time nothing is asked at all.
    assert!(matches!(world.client.poll_device(&mut pending).await, Ok(DeviceAnswer::Waiting)));
    assert!(world.server.seen("/token").is_empty());

    for (reply, pause) in [
        (told("authorization_pending"), 5),
        (told("slow_down"), 10),
        // It stays slower.
        (told("authorization_pending"), 10),
        (Reply::json(429, &json!({"error": "slow_down"})), 15),
        // Trouble on the way backs off, and what is not trouble any more goes back to what the issuer wants.
        (Reply::with(503, "", ""), 30),
        (Reply::Reset, 60),
        (Reply::html(200), 60),
        (Reply::Hang, 60),
        (told("authorization_pending"), 15),
    ] {
        world.server.set("/token", reply);
        let answer = poll(&world, &mut pending).await.unwrap();
        assert!(matches!(answer, DeviceAnswer::Waiting));
        assert_eq!(world.now().until(pending.next()).as_seconds(), pause);
    }
    let seen = world.server.seen("/token").remove(0);
    assert_eq!(seen.field("grant_type"), ["urn:ietf:params:oauth:grant-type:device_code"]);
    assert_eq!(
        (seen.field("device_code"), seen.field("client_id")),
        (vec!["CANARY-device".to_owned()], vec!["daypass".to_owned()])
    );

    // slow_down for ever ends with the code.
    world.server.set("/token", told("slow_down"));
    let before = world.server.seen("/token").len();
    let error = loop {
        if let Err(error) = poll(&world, &mut pending).await {
            break error;
        }
    };
    assert!(matches!(error, OidcError::Expired), "{error:?}");
    let asked = world.server.seen("/token").len() - before;
    assert!((3..16).contains(&asked), "{asked} questions in the minutes that were left");
    assert!(world.now() >= pending.expires_at());
}

#[tokio::test]
async fn a_refusal_ends_it_whatever_its_status_is() {
    type Is = fn(&OidcError) -> bool;
    let ends: [(&str, u16, Is); 7] = [
        ("access_denied", 400, |e| matches!(e, OidcError::AccessDenied(_))),
        ("authorization_declined", 400, |e| matches!(e, OidcError::AccessDenied(_))),
        ("expired_token", 400, |e| matches!(e, OidcError::Expired)),
        ("expired_token", 200, |e| matches!(e, OidcError::Expired)),
        ("invalid_grant", 400, |e| matches!(e, OidcError::Rejected(_))),
        ("invalid_client", 401, |e| matches!(e, OidcError::Rejected(_))),
        ("unsupported_grant_type", 400, |e| matches!(e, OidcError::Rejected(_))),
    ];
    for (word, status, is) in ends {
        let (world, mut pending) = begun().await;
        world.server.set("/token", Reply::json(status, &json!({"error": word})));
        let error = poll(&world, &mut pending).await.unwrap_err();
        assert!(is(&error), "{word}: {error:?}");
    }
}

#[tokio::test]
async fn a_person_who_finished_is_verified_in_full() {
    let world = World::new().await;
    offer(&world);
    world.server.set("/device", Reply::json(200, &codes()));
    let mut ask = world.ask();
    let target = Target::Resource("https://a.example".to_owned());
    ask.redeem_for = Some(TokenAsk { scopes: Some("payments.read".parse().unwrap()), target });
    let mut pending = world.client.begin_device(ask).await.unwrap();
    world.pass(Span::seconds(5));
    world.server.set("/token", Reply::json(200, &World::answer(Some(&world.id_token(&world.claims(None))))));
    let DeviceAnswer::SignedIn(signed_in) = world.client.poll_device(&mut pending).await.unwrap() else {
        panic!("still waiting")
    };
    assert_eq!((signed_in.identity.subject.as_str(), signed_in.identity.nonce), ("subject", None));
    assert!(signed_in.tokens.refresh_token.is_some());
    let seen = world.server.seen("/token").remove(0);
    assert_eq!(
        (seen.field("resource"), seen.field("scope")),
        (vec!["https://a.example".to_owned()], vec!["payments.read".to_owned()])
    );
}

#[tokio::test]
async fn somebody_else_and_foreign_tokens_are_refused() {
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("nonce", json!("of another sign-in")),
        ("exp", json!(NOW - 600)),
        ("email", json!("mallory@example.com")),
    ] {
        let mut world = World::new().await;
        world.account.required_claims.insert("email".to_owned(), "zoe@example.com".to_owned());
        world.account.client_secret = Some(SecretString::from("CANARY secret"));
        offer(&world);
        world.server.set("/device", Reply::json(200, &codes()));
        let mut pending = world.client.begin_device(world.ask()).await.unwrap();
        let mut claims = world.claims(None);
        claims[claim] = value;
        world.server.set("/token", Reply::json(200, &World::answer(Some(&world.id_token(&claims)))));
        let error = poll(&world, &mut pending).await.unwrap_err();
        assert!(matches!(error, OidcError::BadIdToken(_) | OidcError::WrongAccount { .. }), "{claim}: {error:?}");
        assert_clean(&format!("{error} {error:?}"));
    }
}
