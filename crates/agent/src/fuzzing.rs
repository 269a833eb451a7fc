//! Entry points for fuzzing: what comes over a connection, and what was stored, each as a function of bytes.
//!
//! `tests/fuzz` calls them with what a fuzzer finds, the tests below with some thousand damaged inputs, always the same
//! ones. An entry point panics when what it reads is let through although it breaks a rule. No build that is shipped has
//! this module.

use crate::{
    accounts::SignIn,
    renewal::carries_audience,
    server::{
        front::{end_of_head, inspect},
        read_cookie,
    },
};
use axum::http::{HeaderMap, HeaderValue, header};
use broker::SecretString;

const HOST: &str = "127.0.0.1:6174";

/// Bytes on a connection, up to the end of the first head: Host, Origin and the rest.
pub fn request_head(bytes: &[u8]) {
    let Ok(Some(end)) = end_of_head(bytes) else { return };
    let head = &bytes[..end];
    if inspect(head, &[HOST.to_owned()]).is_ok() {
        assert!(head.ends_with(b"\r\n\r\n"), "a head without its end");
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        assert_eq!(text.matches("\r\nhost:").count(), 1, "not one Host");
        assert!(text.contains(HOST), "somebody else's Host");
        assert!(text.matches("\r\norigin:").count() <= 1, "two Origins");
    }
}

/// A Cookie header.
pub fn cookie_header(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, value);
    if let Ok(Some(value)) = read_cookie(&headers, "daypass_1") {
        assert!(!value.contains(';'), "two cookies in one");
    }
}

/// The front of an access token, which is looked at for its audience only.
pub fn access_token(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = carries_audience(&SecretString::from(text), "https://a.example");
    }
}

/// A sign-in as the keychain gives it back.
pub fn stored_sign_in(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = SignIn::from_secret(&SecretString::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{
        prelude::*,
        test_runner::{Config, RngSeed, TestRunner},
    };

    /// Rounds for each reader; always the same ones.
    const ROUNDS: u32 = 20_000;

    /// Calls a reader with bytes from nowhere, and with good ones that were cut, spliced and overwritten.
    fn upset(read: fn(&[u8]), good: &[&str]) {
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        for whole in &good {
            read(whole);
        }
        let noise = prop::collection::vec(any::<u8>(), 0..12);
        let damaged = (prop::sample::select(good), any::<prop::sample::Index>(), 0..24_usize, noise).prop_map(
            |(mut bytes, at, cut, put)| {
                let at = at.index(bytes.len() + 1);
                let end = bytes.len().min(at + cut);
                bytes.splice(at..end, put);
                bytes
            },
        );
        let any_bytes = prop::collection::vec(any::<u8>(), 0..300);
        let config =
            Config { cases: ROUNDS, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&prop_oneof![3 => damaged, 1 => any_bytes], |bytes| {
            read(&bytes);
            Ok(())
        });
        outcome.unwrap();
    }

    #[test]
    fn no_request_head_upsets_its_reader() {
        upset(
            request_head,
            &[
                "GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:6174\r\nOrigin: http://127.0.0.1:6174\r\nSec-Fetch-Site: same-origin\r\n\r\n",
                "POST http://127.0.0.1:6174/v1/token HTTP/1.1\r\nhost: 127.0.0.1:6174\r\ncontent-length: 12\r\nCookie: a=b\r\n\r\n{}",
                "POST / HTTP/1.1\r\nHost: 127.0.0.1:6174\r\nTransfer-Encoding: chunked\r\n\r\n",
            ],
        );
    }

    #[test]
    fn no_cookie_upsets_its_reader() {
        upset(cookie_header, &["x=1; daypass_1=a; daypass_12=b", "daypass_1=a;daypass_1=\"b\""]);
    }

    #[test]
    fn nothing_stored_or_given_upsets_its_reader() {
        upset(access_token, &["eyJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL2EuZXhhbXBsZSJ9.c2ln", "opaque"]);
        upset(
            stored_sign_in,
            &[
                r#"{"version":1,"issuer":"https://login.example","client_id":"daypass","subject":"alice","display_name":null,"auth_time":5,"acr":null,"amr":["pwd"],"signed_in_at":7000,"refresh_token":"r","refresh_expires_at":null,"refreshed_at":7000,"nonce":"n","ends_at":null}"#,
            ],
        );
    }
}
