//! I15: which certificates are believed.

use super::certificates as der;
use crate::{Client, OidcError, Options};
use base64::{Engine, engine::general_purpose::STANDARD};
use broker::{
    Issuer, Timestamp,
    ports::{Clock, Entropy},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(super::world::NOW)
    }
}

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}

/// An issuer that answers two connections over TLS with this certificate, at this host name; its address.
pub(crate) fn issuer(certificate: &str, host: &str) -> Issuer {
    let decode = |text: &str| STANDARD.decode(text).unwrap();
    let key = PrivateKeyDer::try_from(decode(der::KEY)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![decode(certificate).into()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{host}:{}", listener.local_addr().unwrap().port());
    let document = json!({
        "issuer": base, "authorization_endpoint": format!("{base}/a"), "token_endpoint": format!("{base}/t"),
        "jwks_uri": format!("{base}/k"),
    })
    .to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2).flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let answer = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{document}", document.len());
            // A refused certificate ends the handshake here.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    base.parse().unwrap()
}

pub(crate) fn client(trusts_root: bool) -> Client {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", der::ROOT);
    let extra_roots_pem = if trusts_root { vec![pem.into_bytes()] } else { Vec::new() };
    Client::new(&Options { extra_roots_pem, ..Options::default() }, Arc::new(Fixed), Arc::new(Fixed)).unwrap()
}

#[tokio::test]
async fn only_a_valid_certificate_of_the_host_from_a_trusted_root_is_believed() {
    for (name, certificate, host, trusted, good) in [
        ("valid", der::LEAF, "127.0.0.1", true, true),
        ("unknown root", der::LEAF, "127.0.0.1", false, false),
        ("other host", der::LEAF, "localhost", true, false),
        ("expired", der::EXPIRED, "127.0.0.1", true, false),
    ] {
        let issuer = issuer(certificate, host);
        match client(trusted).discover(&issuer).await {
            Ok(found) => assert!(good && found.issuer() == &issuer, "{name}"),
            Err(OidcError::Untrusted { detail }) => {
                assert!(!good && detail.contains("certificate"), "{name}: {detail}");
            }
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
}
