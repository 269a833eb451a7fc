//! C-cases: what may come to the redirect URI.

use super::{
    assert_clean,
    world::{World, parameter},
};
use crate::{CallbackError, OidcError, Pending};
use secrecy::ExposeSecret;
use serde_json::json;

type Is = fn(&OidcError) -> bool;

fn check(pending: &Pending, query: &str) -> Result<String, CallbackError> {
    let state = parameter(pending, "state").remove(0);
    let iss = pending.issuer().as_str().replace(':', "%3A").replace('/', "%2F");
    let query = query.replace("$STATE", &state).replace("$ISS", &iss);
    let result = pending.check_callback(&query).map(|code| {
        assert_clean(&format!("{code:?}"));
        code.0.expose_secret().to_owned()
    });
    if let Err(error) = &result {
        assert_clean(&format!("{error} {error:?}"));
    }
    result
}

#[tokio::test]
async fn a_code_is_taken_as_it_was_decoded() {
    let world = World::new().await;
    let pending = world.begin().await;
    let long = format!("code={}&state=$STATE", "CANARYxx".repeat(1024));
    for (query, want) in [
        ("code=CANARY&state=$STATE", "CANARY".to_owned()),
        (
            "state=$STATE&session_state=x.y&code=4%2F0A%2Bb%3D%3D&authuser=0&scope=email+https://x/y",
            "4/0A+b==".to_owned(),
        ),
        ("iss=$ISS&code=a%252Bb/c==&state=$STATE&", "a%2Bb/c==".to_owned()),
        ("code=a+b&state=$STATE", "a b".to_owned()),
        ("code=%C3%A9%E2%82%AC&state=$STATE", "é€".to_owned()),
        ("code=x&error=&state=$STATE", "x".to_owned()),
        (&long, "CANARYxx".repeat(1024)),
    ] {
        assert_eq!(check(&pending, query).unwrap(), want, "{query}");
    }
}

#[tokio::test]
async fn what_is_malformed_or_of_no_sign_in_leaves_it_waiting() {
    let world = World::new().await;
    let pending = world.begin().await;
    let too_long = format!("code={}&state=$STATE", "x".repeat(8193));
    let far_too_long = format!("code=x&state=$STATE&x={}", "x".repeat(40_000));
    for query in [
        "",
        "code=x",
        "code=x&state=",
        "code=x&state=CANARYwrong",
        "code=x&state=$STATEx",
        "code=x&state=$STATE&state=$STATE",
        "code=x&code=x&state=$STATE",
        "state=$STATE",
        "code=&state=$STATE",
        "code=x;state=$STATE",
        "code=%ff&state=$STATE",
        "code=%00&state=$STATE",
        "code=%0d%0aSet-Cookie:x&state=$STATE",
        "code=%ed%a0%80&state=$STATE",
        "code=%c0%af&state=$STATE",
        "code=%&state=$STATE",
        "code=%4&state=$STATE",
        "code=%+1&state=$STATE",
        "code=%zz&state=$STATE",
        "co%64e=x&state=$STATE",
        "code[]=x&state=$STATE",
        "code.x=y&state=$STATE",
        "Code=x&state=$STATE",
        "code=x&st%61te=$STATE",
        "code=é&state=$STATE",
        "code=x y&state=$STATE",
        "error=a&error=b&state=$STATE",
        "error=access_denied",
        "error=access_denied&state=CANARYwrong",
        "access_token=CANARY&token_type=bearer&state=$STATE",
        "code=x&state=$STATE&x=%ff",
        "#code=x&state=$STATE",
        &too_long,
        &far_too_long,
    ] {
        assert!(matches!(check(&pending, query), Err(CallbackError::NotOurs(_))), "{query:?}");
    }
    assert_eq!(check(&pending, "code=still&state=$STATE").unwrap(), "still");
}

#[tokio::test]
async fn another_issuer_ends_the_sign_in() {
    let world = World::new().await;
    let pending = world.begin().await;
    for query in [
        "code=x&state=$STATE&iss=https://evil.example",
        "code=x&state=$STATE&iss=$ISS%2F",
        "code=x&state=$STATE&iss=",
        "code=x&state=$STATE&iss=HTTP%3A%2F%2F127.0.0.1",
        "code=x&state=$STATE&iss=$ISS&iss=$ISS",
        "error=access_denied&state=$STATE&iss=https://evil.example",
        "code=x&error=access_denied&state=$STATE",
    ] {
        let result = check(&pending, query);
        assert!(matches!(result, Err(CallbackError::Failed(OidcError::BadCallback(_)))), "{query}: {result:?}");
    }

    let world = World::new().await;
    let mut metadata = world.metadata();
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    world.publish(&metadata);
    let pending = world.begin().await;
    for query in ["code=x&state=$STATE", "error=access_denied&state=$STATE"] {
        let result = check(&pending, query);
        assert!(matches!(result, Err(CallbackError::Failed(OidcError::BadCallback(_)))), "{query}: {result:?}");
    }
    assert!(check(&pending, "code=x&state=$STATE&iss=$ISS").is_ok());
}

#[tokio::test]
async fn each_error_word_has_its_meaning() {
    let world = World::new().await;
    let pending = world.begin().await;
    let table: [(&str, Is); 9] = [
        ("access_denied", |e| matches!(e, OidcError::AccessDenied(_))),
        ("login_required", |e| matches!(e, OidcError::LoginRequired(_))),
        ("interaction_required", |e| matches!(e, OidcError::InteractionRequired(_))),
        ("consent_required", |e| matches!(e, OidcError::InteractionRequired(_))),
        ("temporarily_unavailable", |e| matches!(e, OidcError::Unavailable { .. })),
        ("server_error", |e| matches!(e, OidcError::Unavailable { .. })),
        ("invalid_scope", |e| matches!(e, OidcError::InvalidScope(_))),
        ("unsupported_response_type", |e| matches!(e, OidcError::Rejected(_))),
        ("unknown_xyz", |e| matches!(e, OidcError::Rejected(_))),
    ];
    for (word, is) in table {
        let query = format!("error={word}&error_description=%3Cscript%3E%1B[31m%0D%0A&state=$STATE");
        let Err(CallbackError::Failed(error)) = check(&pending, &query) else { panic!("{word}") };
        assert!(is(&error), "{word}: {error:?}");
        assert!(!error.to_string().contains(['\u{1b}', '<', '\n']), "{error}");
        if !matches!(error, OidcError::Unavailable { .. }) {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    let odd = check(&pending, "error=%1B[31mx%0Ay&state=$STATE");
    let Err(CallbackError::Failed(OidcError::Rejected(said))) = odd else { panic!("{odd:?}") };
    assert_eq!(said.error, "unreadable_error");
}
