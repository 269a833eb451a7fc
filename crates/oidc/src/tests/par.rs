//! Pushed authorization requests (RFC 9126).

use super::{
    server::Reply,
    world::{World, parameter},
};
use crate::{OidcError, Pending};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

fn offer(world: &World, required: bool) {
    let mut metadata = world.metadata();
    metadata["pushed_authorization_request_endpoint"] = json!(format!("{}/par", world.server.base()));
    metadata["require_pushed_authorization_requests"] = json!(required);
    world.publish(&metadata);
}

async fn address(world: &World, pending: &Pending) -> Result<String, OidcError> {
    let address = world.client.authorization_address(&pending.request()).await?;
    Ok(address.expose_secret().to_owned())
}

#[tokio::test]
async fn the_browser_carries_only_the_name_of_the_request() {
    let world = World::new().await;
    offer(&world, false);
    world.server.set(
        "/par",
        Reply::json(201, &json!({"request_uri": "urn:ietf:params:oauth:request_uri:a+b/c", "expires_in": 60})),
    );
    let mut ask = world.ask();
    ask.resources = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
    let pending = world.client.begin(ask).await.unwrap();
    let address = url::Url::parse(&address(&world, &pending).await.unwrap()).unwrap();
    let pairs: Vec<(String, String)> =
        address.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let want =
        [("p", "one policy"), ("client_id", "daypass"), ("request_uri", "urn:ietf:params:oauth:request_uri:a+b/c")];
    assert_eq!(pairs, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let seen = world.server.seen("/par").remove(0);
    assert!(seen.field("p").is_empty(), "what the endpoint's own query says is not pushed");
    assert_eq!(seen.field("resource"), ["https://a.example", "https://b.example"]);
    for name in ["client_id", "state", "nonce", "code_challenge", "redirect_uri", "scope", "response_type"] {
        assert_eq!(seen.field(name), parameter(&pending, name), "{name}");
    }
}

#[tokio::test]
async fn a_client_with_a_secret_authenticates() {
    let mut world = World::new().await;
    world.account.client_secret = Some(SecretString::from("CANARY secret"));
    offer(&world, true);
    world.server.set("/par", Reply::json(201, &json!({"request_uri": "urn:x", "expires_in": 60})));
    let pending = world.begin().await;
    address(&world, &pending).await.unwrap();
    let seen = world.server.seen("/par").remove(0);
    assert!(seen.head.to_ascii_lowercase().contains("authorization: basic "));
    assert_eq!(seen.field("client_id"), ["daypass"]);
    assert!(seen.field("client_secret").is_empty());
}

#[tokio::test]
async fn only_trouble_with_pushing_itself_makes_the_request_plain() {
    let told = |status, word: &str| Reply::json(status, &json!({"error": word}));
    for (name, reply, plain) in [
        ("reset", Reply::Reset, true),
        ("hangs", Reply::Hang, true),
        ("busy", Reply::with(503, "", ""), true),
        ("moved", Reply::redirect(307, "http://127.0.0.1:1/par"), true),
        ("gone", Reply::with(404, "", ""), true),
        ("no POST", Reply::with(405, "", ""), true),
        ("page", Reply::html(200), true),
        ("busy, in words", told(400, "temporarily_unavailable"), true),
        ("wrong", told(400, "invalid_request"), false),
        ("redirect", told(400, "invalid_redirect_uri"), false),
        ("scope", told(400, "invalid_scope"), false),
        ("client", told(401, "invalid_client"), false),
        ("client, unspoken", Reply::with(401, "", ""), false),
        ("forbidden", Reply::with(403, "", ""), false),
        ("empty", Reply::json(201, &json!({"expires_in": 60})), false),
        ("control", Reply::json(201, &json!({"request_uri": "urn:\u{1b}", "expires_in": 60})), false),
    ] {
        for required in [false, true] {
            let world = World::new().await;
            offer(&world, required);
            world.server.set("/par", reply.clone());
            let pending = world.begin().await;
            let found = address(&world, &pending).await;
            assert_eq!(found.is_ok(), plain && !required, "{name}, required {required}: {:?}", found.as_ref().err());
            if let Ok(found) = found {
                assert_eq!(found, pending.request().address.expose_secret(), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn an_issuer_that_took_a_pushed_request_is_never_sent_a_plain_one() {
    let world = World::new().await;
    offer(&world, false);
    world.server.set("/par", Reply::json(201, &json!({"request_uri": "urn:x", "expires_in": 60})));
    let pending = world.begin().await;
    address(&world, &pending).await.unwrap();
    for reply in [Reply::Reset, Reply::Hang, Reply::with(503, "", ""), Reply::with(404, "", "")] {
        world.server.set("/par", reply);
        let pending = world.begin().await;
        assert!(address(&world, &pending).await.is_err(), "somebody may be keeping the packets back");
    }
}
