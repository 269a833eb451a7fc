//! Each way to fail is found at its stage, in time, and without a secret.

use super::{
    assert_clean, certificates as der,
    server::{Reply, Server},
    tls,
    world::World,
};
use crate::{Client, Diagnosis, Fault, OidcError, Options, Stage, Way};
use broker::{Issuer, Span};
use serde_json::json;
use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

const PLACE: &str = "/.well-known/openid-configuration";
const WITHIN: Duration = Duration::from_secs(2);

async fn look(world: &World) -> Diagnosis {
    world.client.diagnose(&world.account.issuer, WITHIN).await
}

/// The only fault there is, as one text with its stage.
fn fault(found: &Diagnosis) -> String {
    let Diagnosis { name, connection, tunnel, tls, document, .. } = found;
    let stages = [
        ("name", text(name)),
        ("connection", text(connection)),
        ("tunnel", text(tunnel)),
        ("tls", text(tls)),
        ("document", text(document)),
    ];
    let all: Vec<String> =
        stages.into_iter().filter_map(|(stage, fault)| Some(format!("{stage}: {}", fault?))).collect();
    assert!(all.len() <= 1, "more than one stage failed: {all:?}");
    assert_clean(&format!("{found:?}"));
    all.into_iter().next().unwrap_or_default()
}

fn text<T>(stage: &Stage<T>) -> Option<String> {
    match stage {
        Stage::Failed(fault) => Some(fault.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn a_healthy_issuer_is_healthy_at_every_stage_and_is_not_remembered() {
    let world = World::new().await;
    let found = look(&world).await;
    assert_eq!(fault(&found), "");
    assert_eq!((&found.way, &found.name, &found.tunnel), (&Way::Loopback, &Stage::Needless, &Stage::Needless));
    assert_eq!(
        (found.place.as_str(), &found.tls),
        (world.server.base().trim_start_matches("http://"), &Stage::Needless)
    );
    assert!(matches!(found.document, Stage::Good(_)) && found.clock.is_none(), "{found:?}");
    world.client.discover(&world.account.issuer).await.unwrap();
    assert_eq!(world.server.seen(PLACE).len(), 2, "a look leaves nothing behind");
}

#[tokio::test]
async fn the_clock_is_compared_with_the_date_of_the_answer() {
    // The clock of these tests stands still at Mon, 21 Sep 2026 14:13:20 GMT.
    for (date, age, by, ahead) in [
        ("Mon, 21 Sep 2026 14:13:20 GMT", "", 1, false),
        ("Mon, 21 Sep 2026 14:13:19 GMT", "", 1, true),
        ("Mon, 21 Sep 2026 14:08:20 GMT", "", 300, true),
        ("Mon, 21 Sep 2026 14:18:20 GMT", "", 301, false),
        ("Mon, 21 Sep 2026 13:13:20 GMT", "Age: 3600\r\n", 1, false),
    ] {
        let world = World::new().await;
        let headers = format!("Date: {date}\r\n{age}");
        world.server.set(PLACE, Reply::with(200, &headers, &world.metadata().to_string()));
        let skew = look(&world).await.clock.unwrap();
        assert_eq!((skew.by, skew.ahead), (Span::seconds(by), ahead), "{date}");
    }
    let world = World::new().await;
    world.server.set(PLACE, Reply::with(200, "Date: Mon, 21 Sep 2020 14:13:20 GMT\r\n", "<html>"));
    assert_eq!(look(&world).await.clock, None, "the clock of a captive portal counts for nothing");
}

#[tokio::test]
async fn each_fault_of_the_document_is_told() {
    let named = |issuer: &str| Reply::json(200, &json!({"issuer": issuer}));
    for (reply, want) in [
        (Reply::html(200), "document: a web page came instead of the discovery document"),
        (Reply::with(403, "", ""), "document: the issuer refused: http_403"),
        (Reply::with(404, "", ""), "document: the issuer's metadata cannot be used: there is no discovery document"),
        (Reply::with(503, "", ""), "document: the issuer is unavailable: status 503"),
        (Reply::redirect(302, "https://portal.example/?CANARY"), "document: the issuer is unavailable: a redirect"),
        (
            named("https://other.example/"),
            "document: the discovery document names another issuer: https://other.example/",
        ),
        (named("https://x.example/{tenantid}"), "document: the issuer's metadata cannot be used: it serves several"),
        (Reply::Hang, "document: "),
    ] {
        let world = World::new().await;
        world.server.set(PLACE, reply);
        let found = fault(&look(&world).await);
        assert!(found.starts_with(want), "{found:?} is not {want:?}");
    }
}

#[tokio::test]
async fn names_and_connections_that_fail_are_told() {
    let world = World::new().await;
    // No label may have more than 63 characters, so nobody is even asked.
    let issuer: Issuer = format!("https://{}.example", "x".repeat(64)).parse().unwrap();
    let found = world.client.diagnose(&issuer, WITHIN).await;
    assert!(matches!(found.name, Stage::Failed(Fault::NoAddress(_))), "{found:?}");
    assert_eq!((&found.connection, &found.document), (&Stage::Untried, &Stage::Untried));

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let issuer: Issuer = format!("http://127.0.0.1:{port}").parse().unwrap();
    let found = world.client.diagnose(&issuer, WITHIN).await;
    assert_eq!((&found.connection, &found.tls), (&Stage::Failed(Fault::Refused), &Stage::Untried));
}

#[tokio::test]
async fn certificates_that_are_refused_are_told_with_their_issuer() {
    for (certificate, host, trusted, want) in [
        (der::LEAF, "127.0.0.1", true, ""),
        (der::LEAF, "127.0.0.1", false, "tls: the certificate is not trusted: it was issued by \"test root\""),
        (der::LEAF, "localhost", true, "tls: the certificate is for another host: 127.0.0.1"),
        (der::EXPIRED, "127.0.0.1", true, "tls: the certificate has expired"),
        (
            der::SELF_ISSUED,
            "127.0.0.1",
            true,
            "tls: the certificate is not trusted: it is its own issuer, \"inspecting proxy\" of \"Example Corp\"",
        ),
    ] {
        let issuer = tls::issuer(certificate, host);
        let found = tls::client(trusted).diagnose(&issuer, WITHIN).await;
        let told = fault(&found);
        assert_eq!(told, want, "{found:?}");
        if want.is_empty() {
            let Stage::Good(handshake) = &found.tls else { panic!("{found:?}") };
            assert_eq!((handshake.version, handshake.issued_by.as_deref()), ("1.3", Some("\"test root\"")));
        }
    }
    let plain = Server::start().await;
    plain.set("/", Reply::with(200, "", ""));
    let issuer: Issuer = format!("https://127.0.0.1:{}", plain.port).parse().unwrap();
    let found = tls::client(true).diagnose(&issuer, WITHIN).await;
    assert!(fault(&found).starts_with("tls: "), "{found:?}");
}

/// A proxy that answers each request with these bytes and keeps what it was asked.
fn proxy(answer: &'static [u8]) -> (u16, Arc<std::sync::Mutex<String>>) {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen: Arc<std::sync::Mutex<String>> = Arc::default();
    let asked = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            asked.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            let _ = stream.write_all(answer);
        }
    });
    (port, seen)
}

fn behind(proxy: String) -> Client {
    let options = Options { proxy: broker::Proxy::Url(proxy), ..Options::default() };
    Client::new(&options, Arc::new(tls::Fixed), Arc::new(tls::Fixed)).unwrap()
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_and_its_password_is_not() {
    let issuer: Issuer = "https://login.nowhere.invalid".parse().unwrap();
    for (answer, want) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], Fault::ProxyWantsPassword),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", Fault::ProxyRefuses(403)),
        (b"SSH-2.0-x\r\n", Fault::NoProxy),
        (b"", Fault::Broken("the other side closes it".to_owned())),
    ] {
        let (port, seen) = proxy(answer);
        let found = behind(format!("http://ann:CANARY@127.0.0.1:{port}")).diagnose(&issuer, WITHIN).await;
        assert_eq!(found.tunnel, Stage::Failed(want), "{found:?}");
        let way = Way::Proxy { address: format!("http://127.0.0.1:{port}"), from: "profile", signs_in: true };
        assert_eq!(found.way, way);
        assert_clean(&format!("{found:?}"));
        let asked = seen.lock().unwrap().clone();
        assert!(asked.starts_with("CONNECT login.nowhere.invalid:443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("Proxy-Authorization: Basic "), "{asked}");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = behind(format!("http://127.0.0.1:{port}")).diagnose(&issuer, WITHIN).await;
    assert_eq!((found.connection, found.tls), (Stage::Failed(Fault::Refused), Stage::Untried));
    let (port, _) = proxy(b"");
    let found = behind(format!("socks5://127.0.0.1:{port}")).diagnose(&issuer, WITHIN).await;
    assert_eq!(found.tunnel, Stage::Failed(Fault::Socks));
}

#[tokio::test]
async fn a_look_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let began = Instant::now();
    for issuer in [format!("https://127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")] {
        let found = tls::client(false).diagnose(&issuer.parse().unwrap(), Duration::from_millis(300)).await;
        let timed_out = fault(&found);
        assert!(timed_out.ends_with("there was no answer in time"), "{timed_out}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn faults_of_the_document_keep_their_own_words() {
    let fault = Fault::from(OidcError::CaptivePortal { at: "the discovery document" });
    assert!(fault.to_string().starts_with("a web page came instead of the discovery document"));
}
