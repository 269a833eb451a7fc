//! Each verifier that is installed says yes to a good token and no to every spoilt one. openssl must be there.

use super::*;
use dev_issuer::{JwtChange, Key};
use serde_json::Map;

const ISSUER: &str = "http://127.0.0.1:6174";
const AUDIENCE: &str = "http://localhost:8080";

fn claims(changes: &[(&str, Value)]) -> Map<String, Value> {
    let now = now();
    let mut claims = Map::from_iter(
        [
            ("iss", json!(ISSUER)),
            ("aud", json!(AUDIENCE)),
            ("sub", json!("demo")),
            ("iat", json!(now)),
            ("exp", json!(now + 300)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    claims.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    claims
}

fn tampered(token: &str) -> String {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["sub"] = json!("somebody else");
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn every_verifier_accepts_the_good_and_refuses_the_spoilt() {
    let tidy = Tidy::plain();
    let scratch = tidy.make_home().unwrap();
    let (key, stranger) = (Key::generate("k1").unwrap(), Key::generate("k1").unwrap());
    let jwks = json!({"keys": [key.jwk()]});
    let sign = |key: &Key, typ: &str, changes: &[(&str, Value)]| key.sign(typ, claims(changes), &JwtChange::default());
    let good = sign(&key, "at+jwt", &[]);
    let spoilt = [
        ("tampered", tampered(&good)),
        ("stranger's key", sign(&stranger, "at+jwt", &[])),
        ("bad signature", key.sign("at+jwt", claims(&[]), &JwtChange { bad_signature: true, ..JwtChange::default() })),
        ("ID token", sign(&key, "JWT", &[])),
        ("other issuer", sign(&key, "at+jwt", &[("iss", json!("http://127.0.0.1:1"))])),
        ("other audience", sign(&key, "at+jwt", &[("aud", json!("http://localhost:1"))])),
        ("expired", sign(&key, "at+jwt", &[("exp", json!(now() - 3600))])),
        (
            "unsigned",
            key.sign(
                "at+jwt",
                claims(&[]),
                &JwtChange { header: Map::from_iter([("alg".to_owned(), json!("none"))]), ..JwtChange::default() },
            ),
        ),
    ];
    let mut seen = Vec::new();
    for verifier in Verifier::ALL {
        let check = |token: &str| {
            let claim = Claim { token, jwks: &jwks, issuer: ISSUER, audience: AUDIENCE };
            verifier.verify(&tidy, &claim, &scratch)
        };
        match check(&good) {
            Err(NotVerified::Absent) => continue,
            other => other.unwrap_or_else(|why| panic!("{verifier:?} refuses the good token: {why:?}")),
        }
        for (what, token) in &spoilt {
            assert!(matches!(check(token), Err(NotVerified::Refused(_))), "{verifier:?}: {what}");
        }
        seen.push(verifier);
    }
    assert!(seen.contains(&Verifier::OpenSsl), "openssl is not installed, so nothing was tested: {seen:?}");
    let claim = Claim { token: &spoilt[0].1, jwks: &jwks, issuer: ISSUER, audience: AUDIENCE };
    assert!(verify(&tidy, &claim, &scratch).is_err());
    tidy.clear().unwrap();
}

#[test]
fn zeros_and_high_bits_survive_the_change_of_form() {
    let mut raw = [0_u8; 64];
    raw[31] = 1;
    raw[32] = 0x80;
    let der = der_signature(&raw).unwrap();
    assert_eq!(&der[..7], [0x30, 38, 0x02, 1, 1, 0x02, 33]);
    assert_eq!(der[7], 0);
    assert_eq!(der.len(), 40);
    assert!(der_signature(&raw[..63]).is_none());
}
