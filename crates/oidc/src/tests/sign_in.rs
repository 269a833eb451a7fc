//! From the authorization request to the person.

use super::{
    assert_clean,
    server::Reply,
    world::{ACCESS, NOW, World, parameter},
};
use crate::{OidcError, Revocation, Target, TokenAsk};
use broker::{Offline, Span, Timestamp};
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

#[tokio::test]
async fn the_authorization_request_says_everything_once() {
    let world = World::new().await;
    let mut ask = world.ask();
    ask.resources = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
    ask.audiences = vec!["api".to_owned()];
    let pending = world.client.begin(ask).await.unwrap();
    for (name, want) in [
        ("p", "one policy"),
        ("response_type", "code"),
        ("client_id", "daypass"),
        ("prompt", "consent"),
        ("redirect_uri", "http://127.0.0.1:4711/callback"),
        ("code_challenge_method", "S256"),
        ("audience", "api"),
        ("scope", "offline_access openid payments.read profile"),
    ] {
        assert_eq!(parameter(&pending, name), [want], "{name}");
    }
    assert_eq!(parameter(&pending, "resource"), ["https://a.example", "https://b.example"]);
    let verifier = PkceCodeVerifier::new(pending.verifier.expose_secret().to_owned());
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(parameter(&pending, "code_challenge"), [challenge.as_str()]);
    assert_eq!(pending.verifier.expose_secret().len(), 43);
    assert!(!pending.request().address.expose_secret().contains(pending.verifier.expose_secret()));
    assert_eq!(parameter(&pending, "nonce"), [pending.nonce.as_str()]);

    let other = world.begin().await;
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(parameter(&pending, name), parameter(&other, name), "{name} must be fresh");
    }
    assert_clean(&format!("{pending:?} {:?}", world.client));
}

#[tokio::test]
async fn offline_access_is_asked_for_as_the_account_says() {
    for (offline, scope, access_type, prompt) in [
        (Offline::Auto, true, false, true),
        (Offline::Scope, true, false, true),
        (Offline::Parameter, false, true, true),
        (Offline::None, false, false, false),
    ] {
        let mut world = World::new().await;
        world.account.offline = offline;
        let pending = world.begin().await;
        assert_eq!(parameter(&pending, "scope")[0].contains("offline_access"), scope, "{offline:?}");
        assert_eq!(parameter(&pending, "access_type") == ["offline"], access_type, "{offline:?}");
        assert_eq!(parameter(&pending, "prompt") == ["consent"], prompt, "{offline:?}");
    }
    let mut world = World::new().await;
    world.account.authorization_parameters.insert("prompt".to_owned(), "select_account".to_owned());
    assert_eq!(parameter(&world.begin().await, "prompt"), ["select_account"]);
    world.account.authorization_parameters.insert("redirect_uri".to_owned(), "https://evil.example".to_owned());
    assert!(matches!(world.client.begin(world.ask()).await, Err(OidcError::Config(_))));
}

#[tokio::test]
async fn a_sign_in_ends_with_tokens_and_a_person() {
    let world = World::new().await;
    let mut ask = world.ask();
    let target = Target::Resource("https://a.example".to_owned());
    ask.redeem_for = Some(TokenAsk { scopes: Some("payments.read".parse().unwrap()), target });
    let pending = world.client.begin(ask).await.unwrap();
    let verifier = pending.verifier.expose_secret().to_owned();
    let asked = pending.plan.scopes.to_string();
    world
        .server
        .set("/token", Reply::json(200, &World::answer(Some(&world.id_token(&world.claims(Some(&pending.nonce)))))));
    let code = World::code(&pending);
    let signed_in = world.client.redeem(pending, code).await.unwrap();

    assert_clean(&format!("{:?}", signed_in.tokens));
    let identity = signed_in.identity;
    assert_eq!((identity.subject.as_str(), identity.display_name.as_deref()), ("subject", Some("Zoë Example")));
    assert_eq!((identity.auth_time, identity.acr.as_deref()), (Some(NOW - 10), Some("urn:mfa")));
    assert_eq!(identity.amr, ["pwd", "otp"]);
    let tokens = signed_in.tokens;
    assert_eq!(tokens.access_token.expose_secret(), ACCESS);
    assert_eq!(tokens.expires_at, Timestamp::from_seconds(NOW + 600));
    // An answer that names no scopes grants those of the authorization request.
    assert_eq!((tokens.scopes.to_string(), tokens.broader), (asked, false));
    assert_eq!(tokens.id_token.unwrap().expires_at, Timestamp::from_seconds(NOW + 3600));

    let seen = world.server.seen("/token").remove(0);
    for (name, want) in [
        ("grant_type", "authorization_code"),
        ("code", "CANARY-code+/"),
        ("client_id", "daypass"),
        ("redirect_uri", "http://127.0.0.1:4711/callback"),
        ("resource", "https://a.example"),
        ("scope", "payments.read"),
        ("code_verifier", verifier.as_str()),
    ] {
        assert_eq!(seen.field(name), [want], "{name}");
    }
    let head = seen.head.to_ascii_lowercase();
    assert!(
        head.contains("accept-encoding: identity") && !head.contains("authorization:") && !head.contains("referer")
    );
}

#[tokio::test]
async fn a_client_secret_goes_where_the_issuer_wants_it() {
    for (methods, in_form) in [(None, false), (Some(json!(["client_secret_post"])), true)] {
        let mut world = World::new().await;
        world.account.client_secret = Some(SecretString::from("CANARY secret"));
        let mut metadata = world.metadata();
        if let Some(methods) = methods {
            metadata["token_endpoint_auth_methods_supported"] = methods;
        }
        world.publish(&metadata);
        world.sign_in().await.unwrap();
        let seen = world.server.seen("/token").remove(0);
        assert_eq!(seen.field("client_secret") == ["CANARY secret"], in_form);
        // "daypass:CANARY+secret" in base64.
        assert_eq!(seen.head.contains("Basic ZGF5cGFzczpDQU5BUlkrc2VjcmV0"), !in_form);
    }
}

#[tokio::test]
async fn a_sign_in_ends_after_ten_minutes_without_a_request() {
    let world = World::new().await;
    let pending = world.begin().await;
    let code = World::code(&pending);
    world.pass(Span::minutes(11));
    assert_eq!(world.client.redeem(pending, code).await.unwrap_err(), OidcError::Expired);
    assert!(world.server.seen("/token").is_empty());
}

#[tokio::test]
async fn the_wrong_person_is_named_and_refused() {
    for (claim, wanted, good) in [
        ("hd", "example.com", true),
        ("hd", "EXAMPLE.com", false),
        ("groups", "staff", true),
        ("groups", "sta", false),
        ("email_verified", "true", true),
        ("email_verified", "True", false),
        ("level", "3", true),
        ("missing", "", false),
        ("address", "x", false),
    ] {
        let mut world = World::new().await;
        world.account.required_claims.insert(claim.to_owned(), wanted.to_owned());
        let result = world
            .sign_in_with(|nonce| {
                let mut claims = world.claims(Some(nonce));
                claims["hd"] = json!("example.com");
                claims["groups"] = json!(["admins", "staff"]);
                claims["email_verified"] = json!(true);
                claims["level"] = json!(3);
                claims["address"] = json!({"x": "x"});
                world.id_token(&claims)
            })
            .await;
        match result {
            Ok(_) => assert!(good, "{claim}={wanted}"),
            Err(OidcError::WrongAccount { display, claim: differs }) => {
                assert!(!good, "{claim}={wanted}");
                assert_eq!((display.as_str(), differs.as_str()), ("zoe@example.com", claim));
            }
            Err(error) => panic!("{claim}={wanted}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_code_is_a_rejection_and_shows_no_secret() {
    let world = World::new().await;
    let pending = world.begin().await;
    let code = World::code(&pending);
    let said = json!({"error": "invalid_grant", "error_description": "AADSTS54005: code CANARY-code+/ CANARYCANARYCANARYCANARYCANARYCANARYCANARY"});
    world.server.set("/token", Reply::json(400, &said));
    let error = world.client.redeem(pending, code).await.unwrap_err();
    assert_eq!(error.to_string(), "the issuer refused: invalid_grant (AADSTS54005)");

    let pending = world.begin().await;
    let code = World::code(&pending);
    world.server.set("/token", Reply::json(200, &World::answer(None)));
    assert!(matches!(world.client.redeem(pending, code).await, Err(OidcError::BadAnswer(_))), "no ID token");
}

#[tokio::test]
async fn a_revocation_is_told_or_its_failure_is() {
    let token = SecretString::from("CANARY-refresh-token");
    for (reply, done) in [
        (Reply::with(200, "", ""), true),
        (Reply::json(200, &json!({})), true),
        (Reply::with(503, "Retry-After: 9\r\n", ""), false),
        (Reply::with(401, "", ""), false),
        (Reply::html(200), false),
        (Reply::Hang, false),
        (Reply::Reset, false),
        (Reply::redirect(307, "/elsewhere"), false),
        (Reply::json(400, &json!({"error": "unsupported_token_type"})), false),
    ] {
        let world = World::new().await;
        world.server.set("/revoke", reply);
        let result = world.client.revoke(&world.account, &token).await;
        assert_eq!(result.as_ref().ok(), done.then_some(&Revocation::Done), "{result:?}");
        assert_clean(&format!("{result:?}"));
        let seen = world.server.seen("/revoke").remove(0);
        for (name, want) in
            [("token", "CANARY-refresh-token"), ("token_type_hint", "refresh_token"), ("client_id", "daypass")]
        {
            assert_eq!(seen.field(name), [want], "{name}");
        }
        assert!(world.server.seen("/elsewhere").is_empty());
    }
    let world = World::new().await;
    let mut metadata = world.metadata();
    metadata["revocation_endpoint"] = json!(null);
    world.publish(&metadata);
    assert_eq!(world.client.revoke(&world.account, &token).await.unwrap(), Revocation::Unsupported);
}

#[tokio::test]
async fn what_came_with_a_sign_in_that_does_not_count_is_revoked() {
    for case in ["another person", "not as demanded", "a bad ID token", "no ID token"] {
        let mut world = World::new().await;
        world.server.set("/revoke", Reply::with(200, "", ""));
        if case == "another person" {
            world.account.required_claims.insert("email".to_owned(), "bob@example.com".to_owned());
        }
        let mut ask = world.ask();
        if case == "not as demanded" {
            ask.requirement.acr_values = vec!["urn:phr".to_owned()];
        }
        let pending = world.client.begin(ask).await.unwrap();
        let mut claims = world.claims(Some(&pending.nonce));
        if case == "a bad ID token" {
            claims["aud"] = json!("somebody else");
        }
        let token = world.id_token(&claims);
        let answer = World::answer(Some(token.as_str()).filter(|_| case != "no ID token"));
        world.server.set("/token", Reply::json(200, &answer));
        let code = World::code(&pending);
        world.client.redeem(pending, code).await.unwrap_err();
        // In the background.
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen = world.server.seen("/revoke");
            if !seen.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(
            seen.first().map(|request| request.field("token")),
            Some(vec!["CANARY-new-refresh".to_owned()]),
            "{case}"
        );
    }
}
