//! I-cases of discovery: a lying, slow, redirecting or absent issuer.

use super::{
    server::{Reply, Server},
    world::World,
};
use crate::OidcError;
use broker::{Issuer, Span};
use serde_json::json;
use std::time::{Duration, Instant};

type Is = fn(&OidcError) -> bool;

const PLACE: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn metadata_is_kept_and_fetched_once_for_many() {
    let world = World::new().await;
    let (a, b, c) = tokio::join!(
        world.client.discover(&world.account.issuer),
        world.client.discover(&world.account.issuer),
        world.client.discover(&world.account.issuer),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(world.server.seen(PLACE).len(), 1);
    world.pass(Span::minutes(59));
    world.client.discover(&world.account.issuer).await.unwrap();
    assert_eq!(world.server.seen(PLACE).len(), 1);
    world.pass(Span::minutes(2));
    world.client.discover(&world.account.issuer).await.unwrap();
    assert_eq!(world.server.seen(PLACE).len(), 2);
}

#[tokio::test]
async fn an_issuer_that_differs_by_a_slash_or_path_is_refused() {
    let world = World::new().await;
    for issuer in [format!("{}/", world.server.base()), format!("http://localhost:{}", world.server.port)] {
        let issuer: Issuer = issuer.parse().unwrap();
        let error = world.client.discover(&issuer).await.unwrap_err();
        assert!(matches!(error, OidcError::BadMetadata(_)), "{issuer}: {error:?}");
    }
}

#[tokio::test]
async fn the_place_of_rfc_8414_is_the_second_to_be_tried() {
    let world = World::new().await;
    let issuer: Issuer = format!("{}/realms/x", world.server.base()).parse().unwrap();
    let mut metadata = world.metadata();
    metadata["issuer"] = json!(issuer.as_str());
    world.server.set("/.well-known/oauth-authorization-server/realms/x", Reply::json(200, &metadata));
    assert_eq!(world.client.discover(&issuer).await.unwrap().issuer(), &issuer);
    let nowhere: Issuer = format!("{}/nowhere", world.server.base()).parse().unwrap();
    assert!(matches!(world.client.discover(&nowhere).await, Err(OidcError::BadMetadata(_))));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start().await;
    for status in [301, 302, 303, 307, 308] {
        let world = World::new().await;
        elsewhere.set("/x", Reply::json(200, &world.metadata()));
        world.server.set(PLACE, Reply::redirect(status, &format!("{}/x", elsewhere.base())));
        let error = world.client.discover(&world.account.issuer).await.unwrap_err();
        assert!(matches!(&error, OidcError::Unavailable { detail, .. } if detail.contains("redirect")), "{error:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn each_misbehaviour_has_its_error() {
    let big = format!("{{\"issuer\":\"{}\"}}", "x".repeat(1 << 20));
    let chunked = format!("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{big}\r\n0\r\n\r\n", big.len());
    let unavailable: Is = |e| matches!(e, OidcError::Unavailable { .. });
    let table: [(&str, Reply, Is); 12] = [
        ("html", Reply::html(200), |e| matches!(e, OidcError::CaptivePortal { .. })),
        ("network sign-in", Reply::with(511, "", ""), |e| matches!(e, OidcError::CaptivePortal { .. })),
        ("empty", Reply::with(200, "", ""), |e| matches!(e, OidcError::BadMetadata(_))),
        ("broken", Reply::with(200, "", "{\"issuer\":"), |e| matches!(e, OidcError::BadMetadata(_))),
        (
            "busy",
            Reply::with(503, "Retry-After: 5\r\n", ""),
            |e| matches!(e, OidcError::Unavailable { retry_after: Some(after), .. } if after.as_seconds() == 5),
        ),
        ("forbidden", Reply::with(403, "", ""), |e| matches!(e, OidcError::Rejected(_))),
        ("oversize", Reply::with(200, "", &big), unavailable),
        ("oversize in chunks", Reply::Raw(chunked.into_bytes()), unavailable),
        ("packed", Reply::with(200, "Content-Encoding: gzip\r\n", "{}"), unavailable),
        ("reset", Reply::Reset, unavailable),
        ("hang", Reply::Hang, |e| matches!(e, OidcError::Timeout(_))),
        ("drip", Reply::Drip(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{".to_vec()), |e| {
            matches!(e, OidcError::Timeout(_))
        }),
    ];
    for (name, reply, is) in table {
        let world = World::new().await;
        world.server.set(PLACE, reply);
        let error = world.client.discover(&world.account.issuer).await.unwrap_err();
        assert!(is(&error), "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_hanging_issuer_holds_up_nobody_else_and_a_failure_is_soon_forgotten() {
    let (slow, good) = (World::new().await, World::new().await);
    slow.server.set(PLACE, Reply::Hang);
    let started = Instant::now();
    let client = &slow.client;
    let (failed, again, found) =
        tokio::join!(client.discover(&slow.account.issuer), client.discover(&slow.account.issuer), async {
            let found = client.discover(&good.account.issuer).await;
            assert!(started.elapsed() < Duration::from_millis(300), "it waited for the other issuer");
            found
        },);
    assert!(failed.is_err() && again.is_err() && found.is_ok());
    assert_eq!(slow.server.seen(PLACE).len(), 1, "who waited shares the failure");
    slow.publish(&slow.metadata());
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert!(slow.client.discover(&slow.account.issuer).await.is_ok());
}

#[tokio::test]
async fn a_look_keeps_nothing_and_only_so_many_issuers_are_remembered() {
    let world = World::new().await;
    world.client.look(&world.account.issuer).await.unwrap();
    assert_eq!(world.client.0.discovery.len(), 0);
    for number in 0..200 {
        let issuer = format!("http://127.0.0.1:1/{number}").parse().unwrap();
        assert!(world.client.discover(&issuer).await.is_err());
    }
    assert!(world.client.0.discovery.len() <= 64, "{}", world.client.0.discovery.len());
    world.client.discover(&world.account.issuer).await.unwrap();
}
