//! Demands on a sign-in, and what the issuer is told to show.

use super::{
    server::Reply,
    world::{NOW, World, parameter},
};
use crate::{OidcError, Prompt};
use broker::{EssentialClaim, Offline, Requirement, Span, WantedClaims};
use serde_json::json;

fn essential(name: &str, values: &[&str]) -> Requirement {
    let values = values.iter().map(|v| (*v).to_owned()).collect();
    let claims = WantedClaims {
        text: r#"{"id_token":{}}"#.to_owned(),
        digest: "digest".to_owned(),
        essential: vec![EssentialClaim { name: name.to_owned(), values }],
        others: false,
    };
    Requirement { claims: Some(claims), ..Requirement::default() }
}

#[tokio::test]
async fn the_request_carries_the_demand_and_the_stricter_age_counts() {
    let mut world = World::new().await;
    for (name, value) in
        [("max_age", "900"), ("acr_values", "urn:profile urn:mfa"), ("claims", r#"{"userinfo":{"groups":null}}"#)]
    {
        world.account.authorization_parameters.insert(name.to_owned(), value.to_owned());
    }
    let mut ask = world.ask();
    ask.requirement = Requirement {
        acr_values: vec!["urn:phr".to_owned(), "urn:mfa".to_owned()],
        max_age: Some(Span::minutes(5)),
        ..essential("acr", &[])
    };
    let pending = world.client.begin(ask).await.unwrap();
    assert_eq!(parameter(&pending, "max_age"), ["300"]);
    assert_eq!(parameter(&pending, "acr_values"), ["urn:mfa"], "what both allow");
    assert_eq!(pending.plan.requirement.acr_values, ["urn:mfa"], "and that is what the answer is held against");
    assert_eq!(parameter(&pending, "claims"), [r#"{"id_token":{},"userinfo":{"groups":null}}"#]);
    let mut ask = world.ask();
    ask.requirement.max_age = Some(Span::hours(1));
    let pending = world.client.begin(ask).await.unwrap();
    assert_eq!(
        (parameter(&pending, "max_age"), parameter(&pending, "acr_values")),
        (vec!["900".to_owned()], vec!["urn:profile urn:mfa".to_owned()])
    );
}

#[tokio::test]
async fn the_answer_is_held_against_the_demand() {
    let acr = |values: &[&str]| Requirement {
        acr_values: values.iter().map(|v| (*v).to_owned()).collect(),
        ..Requirement::default()
    };
    let age = |seconds| Requirement { max_age: Some(Span::seconds(seconds)), ..Requirement::default() };
    for (name, requirement, claim, value, good) in [
        ("one of the classes", acr(&["urn:phr", "urn:mfa"]), "acr", json!("urn:mfa"), true),
        ("another class", acr(&["urn:phr"]), "acr", json!("urn:mfa"), false),
        ("no class", acr(&["urn:phr"]), "acr", json!(null), false),
        ("fresh", age(0), "auth_time", json!(NOW), true),
        ("stale", age(300), "auth_time", json!(NOW - 400), false),
        ("no time", age(300), "auth_time", json!(null), false),
        ("essential and there", essential("department", &[]), "department", json!("x"), true),
        ("essential with its value", essential("department", &["x", "y"]), "department", json!("y"), true),
        ("essential with another value", essential("department", &["x"]), "department", json!("y"), false),
        ("essential and missing", essential("department", &[]), "acr", json!("urn:mfa"), false),
    ] {
        let world = World::new().await;
        let mut ask = world.ask();
        ask.requirement = requirement;
        let pending = world.client.begin(ask).await.unwrap();
        let mut claims = world.claims(Some(&pending.nonce));
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value;
        }
        world.server.set("/token", Reply::json(200, &World::answer(Some(&world.id_token(&claims)))));
        let code = World::code(&pending);
        match world.client.redeem(pending, code).await {
            Ok(signed_in) => {
                assert!(good, "{name}");
                let demanded = name.starts_with("essential");
                assert_eq!(signed_in.identity.claims.is_some(), demanded, "{name}");
            }
            Err(OidcError::Unmet(_) | OidcError::BadIdToken(_)) => assert!(!good, "{name}"),
            Err(error) => panic!("{name}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn what_the_issuer_shows_is_asked_for_in_its_words() {
    type Row<'a> = (Option<Prompt>, Option<&'a str>, Offline, Option<&'a [&'a str]>, Option<&'a str>);
    let table: [Row<'_>; 15] = [
        (None, None, Offline::None, None, None),
        (None, None, Offline::Scope, None, Some("consent")),
        (None, Some("login"), Offline::Scope, None, Some("login")),
        (Some(Prompt::Nothing), Some("login"), Offline::Scope, None, Some("login")),
        (Some(Prompt::Nothing), None, Offline::Scope, None, Some("none")),
        (Some(Prompt::SelectAccount), None, Offline::None, None, Some("select_account")),
        (Some(Prompt::SelectAccount), None, Offline::Scope, None, Some("select_account consent")),
        (Some(Prompt::SelectAccount), Some("login"), Offline::Scope, None, Some("login select_account")),
        (Some(Prompt::SelectAccount), Some("select_account"), Offline::Scope, None, Some("select_account")),
        (Some(Prompt::SelectAccount), Some("login"), Offline::Scope, Some(&["login"]), Some("login")),
        (Some(Prompt::Login), Some("consent"), Offline::Scope, None, Some("consent login")),
        (Some(Prompt::SelectAccount), None, Offline::None, Some(&["none", "login"]), Some("login")),
        (Some(Prompt::SelectAccount), None, Offline::None, Some(&["select_account"]), Some("select_account")),
        (Some(Prompt::Login), None, Offline::Parameter, None, Some("login consent")),
        (Some(Prompt::Login), None, Offline::None, Some(&[]), Some("login")),
    ];
    for (asked, profile, offline, known, want) in table {
        let mut world = World::new().await;
        world.account.offline = offline;
        if let Some(words) = profile {
            world.account.authorization_parameters.insert("prompt".to_owned(), words.to_owned());
        }
        if let Some(known) = known {
            let mut metadata = world.metadata();
            metadata["prompt_values_supported"] = json!(known);
            world.publish(&metadata);
        }
        let mut ask = world.ask();
        ask.prompt = asked;
        let pending = world.client.begin(ask).await.unwrap();
        let found = parameter(&pending, "prompt");
        assert_eq!(found.first().map(String::as_str), want, "{asked:?} {profile:?} {offline:?} {known:?}");
        assert!(found.len() < 2);
    }
}

#[tokio::test]
async fn a_demand_takes_nothing_of_what_the_account_says() {
    for (name, profile, acr, claims, want) in [
        ("acr_values", "urn:mfa urn:phr", &["urn:phr", "urn:x"][..], "{}", Ok("urn:phr")),
        ("acr_values", "urn:mfa", &["urn:pwd"], "{}", Err("acr_values")),
        (
            "claims",
            r#"{"id_token":{"a":{"essential":true}}}"#,
            &[],
            r#"{"id_token":{"a":null}}"#,
            Ok(r#"{"id_token":{"a":{"essential":true}}}"#),
        ),
        (
            "claims",
            r#"{"id_token":{"a":null}}"#,
            &[],
            r#"{"id_token":{"b":{"value":"x"}}}"#,
            Ok(r#"{"id_token":{"a":null,"b":{"value":"x"}}}"#),
        ),
        (
            "claims",
            r#"{"id_token":{"a":{"value":"x"}}}"#,
            &[],
            r#"{"id_token":{"a":{"value":"y"}}}"#,
            Err("contradict"),
        ),
        (
            "claims",
            r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#,
            &[],
            r#"{"access_token":{"nbf":{"value":"1"}}}"#,
            Ok(r#"{"access_token":{"nbf":{"value":"1"},"xms_cc":{"values":["cp1"]}}}"#),
        ),
        ("claims", "[]", &[], "{}", Err("JSON")),
    ] {
        let mut world = World::new().await;
        world.account.authorization_parameters.insert(name.to_owned(), profile.to_owned());
        let mut ask = world.ask();
        ask.requirement = essential("acr", &[]);
        ask.requirement.acr_values = acr.iter().map(|v| (*v).to_owned()).collect();
        if let Some(wanted) = ask.requirement.claims.as_mut() {
            claims.clone_into(&mut wanted.text);
        }
        match (world.client.begin(ask).await, want) {
            (Ok(pending), Ok(want)) => assert_eq!(parameter(&pending, name), [want], "{profile}"),
            (Err(OidcError::Config(why)), Err(word)) => assert!(why.contains(word), "{why}"),
            (found, _) => panic!("{profile}: {found:?}"),
        }
    }
}
