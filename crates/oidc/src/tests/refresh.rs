//! I-cases of the token endpoint: what each answer means for the refresh token.

use super::{
    assert_clean,
    server::{Reply, Server},
    world::{ACCESS, NOW, Signing, World},
};
use crate::{OidcError, RefreshError, Target, TokenAnswer, TokenAsk};
use broker::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Is = fn(&RefreshError) -> bool;

/// A refresh whose token endpoint answers like this.
async fn refreshed(reply: Reply) -> Result<TokenAnswer, RefreshError> {
    let world = World::new().await;
    world.server.set("/token", reply);
    let ask = TokenAsk { scopes: Some("a b".parse().unwrap()), target: Target::None };
    let result = world.refresh(&ask).await;
    assert_eq!(world.server.seen("/token").len(), 1, "the refresh token is sent once, never again");
    match &result {
        Ok(tokens) => assert_clean(&format!("{tokens:?}")),
        Err(error) => assert_clean(&format!("{error} {error:?}")),
    }
    result
}

/// A good answer with some members changed; null takes one away.
fn answer(changes: &Value) -> Reply {
    let mut answer = World::answer(None);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            answer.as_object_mut().unwrap().remove(name);
        } else {
            answer[name] = value.clone();
        }
    }
    Reply::json(200, &answer)
}

#[tokio::test]
async fn a_good_refresh_sends_what_was_asked_and_brings_tokens() {
    let world = World::new().await;
    world.server.set("/token", answer(&json!({"scope": "b a"})));
    let ask = TokenAsk { scopes: Some("a b".parse().unwrap()), target: Target::Audience("api".to_owned()) };
    let tokens = world.refresh(&ask).await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), ACCESS);
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "CANARY-new-refresh");
    assert!(!tokens.broader && tokens.id_token.is_none());
    let seen = world.server.seen("/token").remove(0);
    for (name, want) in [
        ("grant_type", "refresh_token"),
        ("refresh_token", "CANARY-refresh-token"),
        ("scope", "a b"),
        ("audience", "api"),
        ("client_id", "daypass"),
    ] {
        assert_eq!(seen.field(name), [want], "{name}");
    }
    world.refresh(&TokenAsk::default()).await.unwrap();
    assert!(world.server.seen("/token")[1].field("scope").is_empty());
}

#[tokio::test]
async fn what_is_missing_gets_the_safe_meaning() {
    for (changes, lives) in [
        (json!({"expires_in": null}), 300),
        (json!({"expires_in": "3600"}), 3600),
        (json!({"expires_in": 9.9}), 9),
        (json!({"expires_in": 9_223_372_036_854_775_808_u64}), 30 * 86_400),
        (json!({"expires_in": 1e300}), 30 * 86_400),
        (json!({"expires_in": 0}), 0),
        (json!({"token_type": "BEARER"}), 600),
    ] {
        let tokens = refreshed(answer(&changes)).await.unwrap();
        assert_eq!(tokens.expires_at, Timestamp::from_seconds(NOW + lives), "{changes}");
    }
    for (changes, scopes, broader) in [
        (json!({}), "a b", false),
        (json!({"scope": "a"}), "a", false),
        (json!({"scope": "a b admin"}), "a admin b", true),
        (json!({"scope": ""}), "a b", false),
        (json!({"scope": "a \u{1b}[31m"}), "a", false),
        (json!({"scope": ["a", "c"]}), "a c", true),
    ] {
        let tokens = refreshed(answer(&changes)).await.unwrap();
        assert_eq!((tokens.scopes.to_string().as_str(), tokens.broader), (scopes, broader), "{changes}");
    }
    for absent in [json!({"refresh_token": null}), json!({"refresh_token": ""})] {
        assert!(refreshed(answer(&absent)).await.unwrap().refresh_token.is_none());
    }
    for (changes, want) in [
        (json!({"refresh_expires_in": 60}), Some(60)),
        (json!({"refresh_token_expires_in": "60"}), Some(60)),
        (json!({"refresh_expires_in": 0}), None),
        (json!({"refresh_expires_in": -1}), None),
        (json!({}), None),
    ] {
        let tokens = refreshed(answer(&changes)).await.unwrap();
        assert_eq!(tokens.refresh_expires_at, want.map(|s| Timestamp::from_seconds(NOW + s)), "{changes}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_rules_is_refused_without_losing_a_rotation() {
    for changes in [
        json!({"token_type": null}),
        json!({"token_type": "mac"}),
        json!({"token_type": 1}),
        json!({"access_token": null}),
        json!({"access_token": ""}),
        json!({"access_token": 7}),
        json!({"access_token": "CANARY\r\nx: y"}),
        json!({"expires_in": -1}),
        json!({"expires_in": "soon"}),
        json!({"expires_in": true}),
        json!({"expires_in": "-5"}),
        json!({"scope": 7}),
        json!({"error": "server_error"}),
    ] {
        match refreshed(answer(&changes)).await {
            Err(RefreshError::Malformed { error: OidcError::BadAnswer(_), refresh_token: Some(token) }) => {
                assert_eq!(token.expose_secret(), "CANARY-new-refresh");
            }
            other => panic!("{changes}: {other:?}"),
        }
    }
    let none = refreshed(answer(&json!({"token_type": null, "refresh_token": null}))).await;
    assert!(matches!(none, Err(RefreshError::Malformed { refresh_token: None, .. })), "{none:?}");
}

#[tokio::test]
async fn invalid_grant_is_known_by_its_body() {
    let said = json!({"error": "invalid_grant", "suberror": "consent_required", "error_description": "\u{1b}[2J AADSTS65001: x"});
    for status in [200, 400, 401, 403, 500] {
        let typed_as_html = Reply::with(status, "Content-Type: text/html\r\n", &said.to_string());
        for reply in [Reply::json(status, &said), typed_as_html] {
            match refreshed(reply).await {
                Err(RefreshError::InvalidGrant { detail }) => {
                    assert_eq!(detail.to_string(), "invalid_grant (consent_required, AADSTS65001)");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_says_whether_asking_again_helps() {
    let table: [(Reply, Is); 15] = [
        (Reply::with(500, "", ""), |e| matches!(e, RefreshError::Answered(OidcError::Unavailable { .. }))),
        (
            Reply::with(429, "Retry-After: 99999999\r\n", "slow down"),
            |e| matches!(e, RefreshError::Answered(OidcError::Unavailable { retry_after: Some(s), .. }) if s.as_seconds() == 3600),
        ),
        (Reply::with(503, "Retry-After: -1\r\n", ""), |e| {
            matches!(e, RefreshError::Answered(OidcError::Unavailable { retry_after: None, .. }))
        }),
        (Reply::html(200), |e| matches!(e, RefreshError::Answered(OidcError::CaptivePortal { .. }))),
        (Reply::html(503), |e| matches!(e, RefreshError::Answered(OidcError::Unavailable { .. }))),
        (Reply::with(400, "", ""), |e| matches!(e, RefreshError::Answered(OidcError::Rejected(_)))),
        (Reply::json(500, &json!({"error": "unknown_xyz"})), |e| {
            matches!(e, RefreshError::Answered(OidcError::Unavailable { .. }))
        }),
        (Reply::json(400, &json!({"error": "temporarily_unavailable"})), |e| {
            matches!(e, RefreshError::Answered(OidcError::Unavailable { .. }))
        }),
        (Reply::json(401, &json!({"error": "invalid_client"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::Rejected(_)))
        }),
        (Reply::json(403, &json!({"error": "unknown_xyz"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::Rejected(_)))
        }),
        (Reply::json(400, &json!({"error": "invalid_target"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::InvalidTarget(_)))
        }),
        (Reply::json(400, &json!({"error": "invalid_scope"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::InvalidScope(_)))
        }),
        (Reply::json(400, &json!({"error": "interaction_required"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::InteractionRequired(_)))
        }),
        (Reply::json(400, &json!({"error": "login_required"})), |e| {
            matches!(e, RefreshError::Refused(OidcError::LoginRequired(_)))
        }),
        (Reply::json(403, &json!({"error": {"code": 7}})), |e| {
            matches!(e, RefreshError::Answered(OidcError::Rejected(_)))
        }),
    ];
    for (number, (reply, is)) in table.into_iter().enumerate() {
        let error = refreshed(reply).await.unwrap_err();
        assert!(is(&error), "{number}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_never_fully_came_counts_as_lost() {
    let good = World::answer(None).to_string();
    let cut = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{good}", good.len() + 1);
    let cut_error = "HTTP/1.1 400 X\r\nContent-Length: 99\r\n\r\n{\"error\":\"invalid_grant\"}";
    for (name, reply) in [
        ("hang", Reply::Hang),
        ("drip", Reply::Drip(cut.clone().into_bytes())),
        ("reset", Reply::Reset),
        ("closed", Reply::Raw(Vec::new())),
        ("garbage", Reply::Raw(b"SSH-2.0-x\r\n".to_vec())),
        ("truncated", Reply::Raw(cut.into_bytes())),
        ("truncated error", Reply::Raw(cut_error.into())),
        ("empty", Reply::with(200, "", "")),
        ("no content", Reply::with(204, "", "")),
        ("no json", Reply::with(200, "", "access_token=CANARY")),
        ("half json", Reply::with(200, "", &good[..40])),
        ("packed", Reply::with(200, "Content-Encoding: gzip\r\n", &good)),
        ("twice", Reply::with(200, "", r#"{"access_token":"CANARY1","access_token":"CANARY2","token_type":"Bearer"}"#)),
        ("oversize", Reply::with(200, "", &format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)))),
    ] {
        let error = refreshed(reply).await.unwrap_err();
        assert!(matches!(error, RefreshError::Lost(_)), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_refresh_token_nowhere() {
    let elsewhere = Server::start().await;
    for status in [301, 302, 303, 307, 308] {
        let error = refreshed(Reply::redirect(status, &format!("{}/token", elsewhere.base()))).await.unwrap_err();
        assert!(matches!(error, RefreshError::Answered(OidcError::Unavailable { .. })), "{error:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_refresh_that_never_left_says_so() {
    let world = World::new().await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut metadata = world.metadata();
    metadata["token_endpoint"] = json!(format!("http://127.0.0.1:{port}/token"));
    world.publish(&metadata);
    let error = world.refresh(&TokenAsk::default()).await.unwrap_err();
    assert!(matches!(error, RefreshError::NotSent(OidcError::Unavailable { .. })), "{error:?}");

    // Nobody speaks TLS there: the handshake fails, and no byte of the request leaves.
    let plain = Server::start().await;
    metadata["token_endpoint"] = json!(format!("https://127.0.0.1:{}/token", plain.port));
    let world = World::new().await;
    metadata["issuer"] = json!(world.server.base());
    world.publish(&metadata);
    let error = world.refresh(&TokenAsk::default()).await.unwrap_err();
    assert!(matches!(error, RefreshError::NotSent(_) | RefreshError::Lost(OidcError::Timeout(_))), "{error:?}");
    assert!(plain.seen("/token").is_empty());

    let world = World::new().await;
    world.server.set("/.well-known/openid-configuration", Reply::html(200));
    let error = world.refresh(&TokenAsk::default()).await.unwrap_err();
    assert!(matches!(error, RefreshError::NotSent(OidcError::CaptivePortal { .. })), "{error:?}");
    assert!(world.server.seen("/token").is_empty());
}

#[tokio::test]
async fn a_refreshed_id_token_must_fit_the_sign_in() {
    let table: [(&str, Value, bool); 12] = [
        ("name", json!("Other"), true),
        ("auth_time", json!(NOW - 10), true),
        ("nonce", json!("the nonce"), true),
        ("nonce", json!("another"), false),
        ("nonce", json!(""), false),
        ("nonce", json!(7), false),
        ("sub", json!("other"), false),
        ("sub", json!(null), false),
        ("iss", json!("https://evil.example"), false),
        ("aud", json!("other"), false),
        ("aud", json!(["daypass", "other"]), false),
        ("hd", json!("evil.example"), false),
    ];
    for (name, value, good) in table {
        let mut world = World::new().await;
        world.account.required_claims.insert("hd".to_owned(), "example.com".to_owned());
        let mut claims = world.claims(None);
        claims[name] = value.clone();
        world.server.set("/token", Reply::json(200, &World::answer(Some(&world.id_token(&claims)))));
        match world.refresh(&TokenAsk::default()).await {
            Ok(tokens) => assert!(good && tokens.id_token.is_some(), "{name}={value}"),
            Err(RefreshError::Unverified { error, refresh_token }) => {
                assert!(!good, "{name}={value}: {error}");
                assert!(matches!(error, OidcError::BadIdToken(_) | OidcError::WrongAccount { .. }), "{error:?}");
                assert_eq!(refresh_token.unwrap().expose_secret(), "CANARY-new-refresh");
            }
            Err(error) => panic!("{name}={value}: {error:?}"),
        }
    }
    // A wrong clock or a key not yet published says nothing against the refresh token: nothing is used, but it is kept.
    let world = World::new().await;
    let forged = Signing::ec(9).token(r#"{"alg":"ES256","kid":"k1"}"#, &world.claims(None).to_string());
    let mut claims = world.claims(None);
    claims["exp"] = json!(NOW - 61);
    // Neither does another authentication, which the sign-in here knows nothing of.
    let mut anew = world.claims(None);
    anew["auth_time"] = json!(NOW - 1);
    for id_token in [forged, world.id_token(&claims), world.id_token(&anew)] {
        world.server.set("/token", Reply::json(200, &World::answer(Some(&id_token))));
        match world.refresh(&TokenAsk::default()).await {
            Err(RefreshError::Malformed { error: OidcError::BadIdToken(_), refresh_token: Some(token) }) => {
                assert_eq!(token.expose_secret(), "CANARY-new-refresh");
            }
            other => panic!("{other:?}"),
        }
    }

    // Without the keys there is no verdict, and a rotation must not be lost.
    let world = World::new().await;
    world.server.set("/keys", Reply::with(503, "Retry-After: 7\r\n", ""));
    let id_token = world.id_token(&world.claims(None));
    world.server.set("/token", Reply::json(200, &World::answer(Some(&id_token))));
    match world.refresh(&TokenAsk::default()).await {
        Err(RefreshError::Malformed { error, refresh_token: Some(token) }) => {
            assert!(error.is_unavailable() && error.retry_after().is_some_and(|s| s.as_seconds() == 7), "{error:?}");
            assert_eq!(token.expose_secret(), "CANARY-new-refresh");
        }
        other => panic!("{other:?}"),
    }
}
