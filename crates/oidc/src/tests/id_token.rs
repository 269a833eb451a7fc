//! T-cases: ID tokens that must not pass, and the few odd ones that must.

use super::{
    rsa,
    server::{Reply, Server},
    world::{ACCESS, NOW, Signing, World},
};
use crate::{OidcError, id_token::half_hash};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use broker::Span;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

type Change = fn(&str) -> String;
type Is = fn(&OidcError) -> bool;

const HEADER: &str = r#"{"alg":"ES256","kid":"k1"}"#;

fn is_bad<T: std::fmt::Debug>(result: &Result<T, OidcError>) -> bool {
    matches!(result, Err(OidcError::BadIdToken(_)))
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused() {
    let world = World::new().await;
    let base = world.server.base();
    let table: Vec<(&str, Value)> = vec![
        ("iss", json!(null)),
        ("iss", json!([base])),
        ("iss", json!(format!("{base}/"))),
        ("iss", json!(base.replace("http", "https"))),
        ("iss", json!(base.replace('1', "\u{ff11}"))),
        ("aud", json!(null)),
        ("aud", json!(5)),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["daypass", 5])),
        ("aud", json!(["daypass", "other"])),
        ("aud", json!({"daypass": 1})),
        ("azp", json!("other")),
        ("azp", json!(["daypass"])),
        ("nonce", json!(null)),
        ("nonce", json!("")),
        ("nonce", json!("earlier")),
        ("exp", json!(null)),
        ("exp", json!("1790003600")),
        ("exp", json!(NOW - 60)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("iat", json!(null)),
        ("iat", json!(NOW + 31_536_000)),
        ("iat", json!(NOW + 61)),
        ("iat", json!(NOW - 601)),
        ("iat", json!(NOW - 31_536_000)),
        ("iat", json!(true)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("1")),
        ("nbf", json!(null)),
        ("auth_time", json!("1")),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("x".repeat(256))),
        ("sub", json!("a\nb")),
        ("at_hash", json!("wrong")),
        ("at_hash", json!(null)),
        ("at_hash", json!("")),
    ];
    for (name, value) in table {
        let result = world
            .sign_in_with(|nonce| {
                let mut claims = world.claims(Some(nonce));
                claims[name] = value.clone();
                world.id_token(&claims)
            })
            .await;
        assert!(is_bad(&result), "{name}={value}: {result:?}");
        let left_out = world
            .sign_in_with(|nonce| {
                let mut claims = world.claims(Some(nonce));
                claims.as_object_mut().unwrap().remove(name);
                world.id_token(&claims)
            })
            .await;
        let required = ["iss", "aud", "nonce", "exp", "iat", "sub"].contains(&name);
        assert_eq!(is_bad(&left_out), required, "without {name}: {left_out:?}");
    }
}

#[tokio::test]
async fn odd_but_right_claims_pass() {
    let world = World::new().await;
    let table: Vec<(&str, Value)> = vec![
        ("aud", json!(["daypass"])),
        ("azp", json!("daypass")),
        ("exp", json!(f64::from(1_790_003_600_u32) + 0.5)),
        ("exp", json!(NOW - 59)),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - 600)),
        ("nbf", json!(NOW + 60)),
        ("sub", json!("é".repeat(255))),
        ("at_hash", json!(half_hash(Algorithm::ES256, ACCESS))),
    ];
    for (name, value) in table {
        let result = world
            .sign_in_with(|nonce| {
                let mut claims = world.claims(Some(nonce));
                claims[name] = value.clone();
                world.id_token(&claims)
            })
            .await;
        assert!(result.is_ok(), "{name}={value}: {result:?}");
    }
    let several = world
        .sign_in_with(|nonce| {
            let mut claims = world.claims(Some(nonce));
            claims["aud"] = json!(["other", "daypass"]);
            claims["azp"] = json!("daypass");
            world.id_token(&claims)
        })
        .await;
    assert!(several.is_ok(), "{several:?}");
}

#[test]
fn at_hash_is_the_left_half_of_the_right_hash() {
    // OpenID Connect Core, appendix A.3: the access token and its at_hash.
    assert_eq!(half_hash(Algorithm::RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    for (algorithm, length) in
        [(Algorithm::PS256, 22), (Algorithm::ES384, 32), (Algorithm::RS512, 43), (Algorithm::EdDSA, 43)]
    {
        assert_eq!(half_hash(algorithm, ACCESS).len(), length, "{algorithm:?}");
    }
}

#[tokio::test]
async fn max_age_is_held_against_auth_time() {
    for (auth_time, good) in [(json!(NOW - 359), true), (json!(NOW - 361), false), (json!(null), false)] {
        let mut world = World::new().await;
        world.account.authorization_parameters.insert("max_age".to_owned(), "300".to_owned());
        let result = world
            .sign_in_with(|nonce| {
                let mut claims = world.claims(Some(nonce));
                claims["auth_time"] = auth_time.clone();
                if auth_time.is_null() {
                    claims.as_object_mut().unwrap().remove("auth_time");
                }
                world.id_token(&claims)
            })
            .await;
        assert_eq!(result.is_ok(), good, "{auth_time}: {result:?}");
    }
}

#[tokio::test]
async fn headers_that_ask_for_more_are_refused_and_nothing_they_point_to_is_fetched() {
    let world = World::new().await;
    let attacker = Server::start().await;
    let base = attacker.base();
    let evil = Signing::ec(9);
    for header in [
        r#"{"alg":"none","kid":"k1"}"#,
        r#"{"alg":"None","kid":"k1"}"#,
        r#"{"alg":"","kid":"k1"}"#,
        r#"{"kid":"k1"}"#,
        r#"{"alg":"es256","kid":"k1"}"#,
        r#"{"alg":"HS256","kid":"k1"}"#,
        r#"{"alg":["ES256"],"kid":"k1"}"#,
        r#"{"alg":"ES384","kid":"k1"}"#,
        r#"{"alg":"RS256","kid":"k1"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","kid":"../../etc/passwd"}"#,
        r#"{"alg":"ES256","kid":"' OR 1=1"}"#,
        r#"{"alg":"ES256","kid":"K1"}"#,
        r#"{"alg":"ES256","kid":""}"#,
        r#"{"alg":"ES256","kid":"k1","crit":["x"]}"#,
        r#"{"alg":"ES256","kid":"k1","crit":["x"],"x":1}"#,
        r#"{"alg":"ES256","kid":"k1","crit":[]}"#,
        r#"{"alg":"ES256","kid":"k1","b64":false}"#,
        r#"{"alg":"ES256","kid":"k1","zip":"DEF"}"#,
        r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#,
        r#"{"alg":"ES256","kid":"k1","typ":7}"#,
        r#"{"alg":"ES256","alg":"ES256","kid":"k1"}"#,
        r#"{"alg":"dir","enc":"A256GCM","p2c":2147483648}"#,
        "[]",
        "",
        "\u{feff}{\"alg\":\"ES256\"}",
    ] {
        let result = world.sign_in_with(|nonce| world.key.token(header, &world.claims(Some(nonce)).to_string())).await;
        assert!(is_bad(&result), "{header}: {result:?}");
    }
    for header in [
        json!({"alg": "ES256", "kid": "k1", "jku": format!("{base}/keys")}),
        json!({"alg": "ES256", "x5u": format!("{base}/x")}),
        json!({"alg": "ES256", "jwk": evil.jwk("k1")}),
        json!({"alg": "ES256", "kid": "k1", "x5c": ["AAAA"]}),
    ] {
        let result =
            world.sign_in_with(|nonce| evil.token(&header.to_string(), &world.claims(Some(nonce)).to_string())).await;
        assert!(is_bad(&result), "{header}: {result:?}");
        let ignored = world
            .sign_in_with(|nonce| world.key.token(&header.to_string(), &world.claims(Some(nonce)).to_string()))
            .await;
        assert!(ignored.is_ok(), "{header}: {ignored:?}");
    }
    assert_eq!(attacker.connections(), 0);
}

#[tokio::test]
async fn forms_that_are_not_three_clean_parts_are_refused() {
    let world = World::new().await;
    let table: [(&str, Change); 14] = [
        ("json", |t| {
            let p: Vec<&str> = t.split('.').collect();
            json!({"protected": p[0], "payload": p[1], "signature": p[2]}).to_string()
        }),
        ("four", |t| format!("{t}.x")),
        ("two", |t| t.rsplit_once('.').unwrap().0.to_owned()),
        ("padded", |t| format!("{t}=")),
        ("newline", |t| format!("{t}\n")),
        ("space", |t| format!(" {t}")),
        ("bom", |t| format!("\u{feff}{t}")),
        ("not base64url", |t| t.replacen('.', "+.", 1)),
        ("empty signature", |t| format!("{}.", t.rsplit_once('.').unwrap().0)),
        ("zeros", |t| format!("{}.{}", t.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([0; 64]))),
        ("short", |t| format!("{}.{}", t.rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([1; 63]))),
        ("der", |t| {
            let (signed, signature) = t.rsplit_once('.').unwrap();
            let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let der = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(der.as_bytes()))
        }),
        ("altered", |t| t.replacen(".eyJ", ".eyA", 1)),
        ("huge", |t| format!("{t}{}", "A".repeat(10 << 10 << 3))),
    ];
    for (name, change) in table {
        let result = world.sign_in_with(|nonce| change(&world.id_token(&world.claims(Some(nonce))))).await;
        assert!(is_bad(&result), "{name}: {result:?}");
    }
    for claims in [
        |good: &str| good.replacen('{', r#"{"sub":"evil","#, 1),
        |good: &str| good.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
        |good: &str| good.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(200), "]".repeat(200)), 1),
        |good: &str| format!("{good}x"),
    ] {
        let result =
            world.sign_in_with(|nonce| world.key.token(HEADER, &claims(&world.claims(Some(nonce)).to_string()))).await;
        assert!(is_bad(&result), "{result:?}");
    }
}

#[tokio::test]
async fn keys_that_may_not_sign_are_not_used() {
    let good = Signing::ec(7).jwk("k1");
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let (rsa_2048, rsa_1024) =
        (Signing::Rsa(rsa::RSA_2048, Algorithm::RS256), Signing::Rsa(rsa::RSA_1024, Algorithm::RS256));
    let rs256 = r#"{"alg":"RS256","kid":"k1"}"#;
    let table: Vec<(&str, Signing, &str, Vec<Value>, bool)> = vec![
        ("good", Signing::ec(7), HEADER, vec![good.clone()], true),
        ("use sig", Signing::ec(7), HEADER, vec![with("use", json!("sig"))], true),
        ("use enc", Signing::ec(7), HEADER, vec![with("use", json!("enc"))], false),
        ("key_ops verify", Signing::ec(7), HEADER, vec![with("key_ops", json!(["verify"]))], true),
        ("key_ops sign", Signing::ec(7), HEADER, vec![with("key_ops", json!(["sign"]))], false),
        ("key_ops text", Signing::ec(7), HEADER, vec![with("key_ops", json!("verify"))], false),
        ("same alg", Signing::ec(7), HEADER, vec![with("alg", json!("ES256"))], true),
        ("other alg", Signing::ec(7), HEADER, vec![with("alg", json!("ES384"))], false),
        ("other curve", Signing::ec(7), HEADER, vec![with("crv", json!("P-521"))], false),
        ("off curve", Signing::ec(7), HEADER, vec![with("x", json!(URL_SAFE_NO_PAD.encode([5; 32])))], false),
        ("short point", Signing::ec(7), HEADER, vec![with("x", json!("AAAA"))], false),
        ("private key", Signing::ec(7), HEADER, vec![with("d", json!("AAAA"))], false),
        ("no keys", Signing::ec(7), HEADER, vec![], false),
        ("unknown kty", Signing::ec(7), HEADER, vec![json!({"kty": "XYZ", "kid": "k1"}), json!(7)], false),
        (
            "oct",
            Signing::ec(7),
            r#"{"alg":"HS256","kid":"k1"}"#,
            vec![json!({"kty": "oct", "kid": "k1", "k": "AAAA"})],
            false,
        ),
        (
            "short ed25519",
            Signing::ec(7),
            r#"{"alg":"EdDSA","kid":"k1"}"#,
            vec![json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "AAAA"})],
            false,
        ),
        ("rsa 2048", rsa_2048.clone(), rs256, vec![rsa_2048.jwk("k1")], true),
        ("rsa as pss", rsa_2048.clone(), r#"{"alg":"PS256","kid":"k1"}"#, vec![rsa_2048.jwk("k1")], false),
        (
            "pss",
            Signing::Rsa(rsa::RSA_2048, Algorithm::PS384),
            r#"{"alg":"PS384","kid":"k1"}"#,
            vec![rsa_2048.jwk("k1")],
            true,
        ),
        (
            "rs512",
            Signing::Rsa(rsa::RSA_2048, Algorithm::RS512),
            r#"{"alg":"RS512","kid":"k1"}"#,
            vec![rsa_2048.jwk("k1")],
            true,
        ),
        ("rsa 1024", rsa_1024.clone(), rs256, vec![rsa_1024.jwk("k1")], false),
        (
            "two of one name",
            Signing::ec(7),
            HEADER,
            vec![Signing::ec(9).jwk("k1"), rsa_2048.jwk("k1"), good.clone()],
            true,
        ),
        ("no kid, several", Signing::ec(7), r#"{"alg":"ES256"}"#, vec![Signing::ec(9).jwk("a"), good.clone()], true),
        ("no kid, other use", Signing::ec(7), r#"{"alg":"ES256"}"#, vec![with("use", json!("enc"))], false),
        ("beyond the hundredth", Signing::ec(7), HEADER, [vec![json!({}); 100], vec![good.clone()]].concat(), false),
    ];
    for (name, key, header, keys, passes) in table {
        let world = World::new().await;
        world.publish_keys(&keys);
        let result = world.sign_in_with(|nonce| key.token(header, &world.claims(Some(nonce)).to_string())).await;
        assert_eq!(result.is_ok(), passes, "{name}: {result:?}");
        assert!(passes || is_bad(&result), "{name}: {result:?}");
    }
}

#[tokio::test]
async fn only_algorithms_the_issuer_lists_are_accepted() {
    let world = World::new().await;
    let mut metadata = world.metadata();
    metadata["id_token_signing_alg_values_supported"] = json!(["RS256"]);
    world.publish(&metadata);
    assert!(is_bad(&world.sign_in().await));
}

#[tokio::test]
async fn a_rotation_is_noticed_at_once_and_an_old_key_dies_with_the_cache() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    assert_eq!(world.server.seen("/keys").len(), 1);
    world.sign_in().await.unwrap();
    assert_eq!(world.server.seen("/keys").len(), 1, "the keys are kept");

    let next = Signing::ec(8);
    let sign = |key: &Signing, kid: &str, nonce: &str| {
        key.token(&json!({"alg": "ES256", "kid": kid}).to_string(), &world.claims(Some(nonce)).to_string())
    };
    world.publish_keys(&[next.jwk("k2")]);
    assert!(world.sign_in_with(|nonce| sign(&next, "k2", nonce)).await.is_ok());
    assert_eq!(world.server.seen("/keys").len(), 2, "one fetch for the rotation");
    world.publish_keys(&[world.key.jwk("k1")]);
    assert!(world.sign_in().await.is_ok(), "rotated back");
    world.publish_keys(&[next.jwk("k1")]);
    assert!(world.sign_in_with(|nonce| sign(&next, "k1", nonce)).await.is_ok(), "another key under the old name");
    assert!(is_bad(&world.sign_in().await), "the old key is gone");

    for _ in 0..9 {
        assert!(is_bad(&world.sign_in_with(|nonce| sign(&next, "unknown", nonce)).await));
    }
    assert_eq!(world.server.seen("/keys").len(), 6, "five forced fetches a minute at most");
    world.pass(Span::seconds(61));
    world.publish_keys(&[world.key.jwk("k1")]);
    assert!(world.sign_in().await.is_ok(), "a minute later it may be forced again");

    world.publish_keys(&[next.jwk("k2")]);
    world.pass(Span::hours(2));
    assert!(is_bad(&world.sign_in().await), "not accepted after the cache expired");
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_verdict_on_the_token() {
    let table: [(Reply, Is); 6] = [
        (Reply::html(200), |e| matches!(e, OidcError::CaptivePortal { .. })),
        (Reply::with(503, "", ""), |e| matches!(e, OidcError::Unavailable { .. })),
        (Reply::redirect(302, "/elsewhere"), |e| matches!(e, OidcError::Unavailable { .. })),
        (Reply::with(200, "", &format!("{{\"keys\":[\"{}\"]}}", "x".repeat(5 << 20))), |e| {
            matches!(e, OidcError::Unavailable { .. })
        }),
        (Reply::with(200, "", ""), |e| matches!(e, OidcError::BadMetadata(_))),
        (Reply::with(200, "", "{\"keys\":{}}"), |e| matches!(e, OidcError::BadMetadata(_))),
    ];
    for (number, (reply, is)) in table.into_iter().enumerate() {
        let world = World::new().await;
        world.server.set("/keys", reply);
        let error = world.sign_in().await.unwrap_err();
        assert!(is(&error), "{number}: {error:?}");
        assert!(world.server.seen("/elsewhere").is_empty());
    }
}
