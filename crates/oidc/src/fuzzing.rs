//! Entry points for fuzzing: what issuers and browsers send, each as a function of bytes.
//!
//! `tests/fuzz` calls them with what a fuzzer finds, the tests below with some thousand damaged inputs, always the same
//! ones. An entry point panics when what it reads is let through although it breaks a rule. No build that is shipped has
//! this module.

use crate::{
    callback,
    http::Answer,
    id_token::{Expected, Occasion, Unverified},
    keys::KeySet,
    metadata::{ALGORITHMS, Metadata},
    token,
};
use broker::{Issuer, Span, Timestamp};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

const ISSUER: &str = "https://login.example";

fn issuer() -> Option<Issuer> {
    ISSUER.parse().ok()
}

/// The query of a callback.
pub fn callback_query(bytes: &[u8]) {
    let (Ok(query), Some(issuer)) = (std::str::from_utf8(bytes), issuer()) else { return };
    for names_itself in [false, true] {
        if let Ok(code) = callback::check(query, "state-1", &issuer, names_itself) {
            assert!(query.contains("state") && query.contains("code="), "a code without our state");
            assert!(!code.0.expose_secret().is_empty(), "an empty code");
        }
    }
}

/// An ID token before anything about it is verified, and its claims.
pub fn id_token(bytes: &[u8]) {
    let (Ok(raw), Some(issuer)) = (std::str::from_utf8(bytes), issuer()) else { return };
    let accepted = ALGORITHMS.map(|(_, algorithm)| algorithm);
    for occasion in [
        Occasion::SignIn { nonce: Some("n"), max_age: Some(60) },
        Occasion::Refresh { subject: "a", nonce: None, auth_time: Some(1) },
    ] {
        let Ok(token) = Unverified::read(raw, &accepted) else { return };
        assert_eq!(raw.split('.').count(), 3, "not a compact JWS");
        let now = Timestamp::from_seconds(1_800_000_000);
        let expected = Expected { issuer: &issuer, client_id: "daypass", access_token: "t", now, occasion };
        let _ = token.claims(&expected).map(|claims| claims.person(&["name", "sub"]));
    }
}

/// A discovery document.
pub fn discovery_document(bytes: &[u8]) {
    let Some(issuer) = issuer() else { return };
    if let Ok(metadata) = Metadata::read(&issuer, bytes) {
        assert_eq!(metadata.issuer().as_str(), ISSUER);
        assert!(metadata.token_endpoint().starts_with("https://"), "a token endpoint without TLS");
        assert!(metadata.authorization_endpoint().starts_with("https://"), "an authorization endpoint without TLS");
    }
}

/// A key set.
pub fn key_set(bytes: &[u8]) {
    let _ = KeySet::read(bytes);
}

/// An answer of the token endpoint: the first byte chooses its status and kind, the rest is its body.
pub fn token_answer(bytes: &[u8]) {
    let (choice, body) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let status = [200, 201, 400, 401, 429, 500, 503, 511][usize::from(choice & 7)];
    let body = Zeroizing::new(body.to_vec());
    let answer =
        Answer { status, html: choice & 8 != 0, retry_after: None, keep_for: Span::hours(1), date: None, body };
    let asked = "openid email".parse().ok();
    let sent_at = Timestamp::from_seconds(1_800_000_000);
    if let Ok(read) = token::read(&answer, asked.as_ref(), sent_at, "fuzzing") {
        let value = read.tokens.access_token.expose_secret();
        assert!(status < 300, "tokens of a refusal");
        assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()), "not a token");
        assert!(read.tokens.expires_at >= sent_at, "a life that is over");
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
    fn no_callback_upsets_its_reader() {
        upset(
            callback_query,
            &[
                "code=abc&state=state-1&iss=https%3A%2F%2Flogin.example",
                "state=state-1&error=access_denied&error_description=AADSTS65001%3A+no%0d%0a",
                "state=state-1&code=%c3%a4+b&code=",
            ],
        );
    }

    #[test]
    fn no_id_token_upsets_its_reader() {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
        let claims = r#"{"iss":"https://login.example","aud":["daypass"],"sub":"a","exp":1800000100,"iat":1800000000,"nonce":"n","amr":["pwd"],"auth_time":1800000000}"#;
        let token = |header: &str| format!("{}.{}.c2ln", B64.encode(header), B64.encode(claims));
        upset(id_token, &[&token(r#"{"alg":"ES256","kid":"1","typ":"JWT"}"#), &token(r#"{"alg":"none"}"#)]);
    }

    #[test]
    fn no_document_upsets_its_reader() {
        let document = r#"{"issuer":"https://login.example","authorization_endpoint":"https://login.example/a?p=1","token_endpoint":"https://login.example/t","jwks_uri":"https://login.example/k","revocation_endpoint":"https://login.example/r","code_challenge_methods_supported":["S256"],"token_endpoint_auth_methods_supported":["client_secret_post"],"scopes_supported":["openid"]}"#;
        upset(discovery_document, &[document]);
        upset(
            key_set,
            &[
                r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","kid":"1","alg":"ES256"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            ],
        );
    }

    #[test]
    fn no_token_answer_upsets_its_reader() {
        upset(
            token_answer,
            &[
                "\0{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":\"3600\",\"scope\":\"openid\",\"refresh_token\":\"r\",\"id_token\":\"a.b.c\"}",
                "\u{2}{\"error\":\"invalid_grant\",\"error_description\":\"no\",\"suberror\":\"x\"}",
                "\u{8}<html>sign in</html>",
            ],
        );
    }
}
