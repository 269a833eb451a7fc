//! A token of each kind.

use e2e::{
    claims,
    world::{Options, World},
};
use serde_json::Value;

#[test]
fn an_access_token_is_for_the_resource_and_short_lived() {
    let world = World::signed_in(Options::default());
    let claims = claims(&world.permit("payments", &[]));
    assert_eq!(claims["aud"], "https://payments.example.com");
    assert_eq!(claims["iss"], world.provider.issuer);
    assert_eq!((claims["sub"].as_str(), claims["scope"].as_str()), (Some("alice"), Some("payments.read")));
    let by_audience = world.daypass(&["token", "https://payments.example.com"]).ok();
    assert_eq!(by_audience.split('.').count(), 3);
}

#[test]
fn the_json_form_tells_what_the_token_is() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let answer = world.daypass(&["token", "payments", "--format", "json"]).json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["resource"], "payments");
    assert_eq!(answer["scope"], "payments.read");
    assert_eq!(answer["issued_token_type"], localapi::ACCESS_TOKEN_TYPE);
    assert!((60..=300).contains(&answer["expires_in"].as_i64().unwrap()), "{}", answer["expires_in"]);
    assert!(answer["expires_at"].as_str().unwrap().ends_with('Z'));
    let header = world.daypass(&["token", "payments", "--format", "header"]).ok();
    assert_eq!(header, format!("Authorization: Bearer {}", answer["access_token"].as_str().unwrap()));
}

#[test]
fn an_id_token_says_that_it_is_one() {
    let world = World::signed_in(Options::default());
    let claims = claims(&world.permit("me", &[]));
    assert_eq!((claims["aud"].as_str(), claims["sub"].as_str()), (Some("daypass"), Some("alice")));
    let answer = world.daypass(&["token", "me", "--format", "json"]).json();
    assert_eq!(
        (answer["token_type"].as_str(), answer["issued_token_type"].as_str()),
        (Some("N_A"), Some(localapi::ID_TOKEN_TYPE))
    );
    world.daypass(&["token", "me", "--format", "header"]).fails(2);
}

#[test]
fn only_what_the_ceiling_allows_is_given() {
    let world = World::signed_in(Options::default());
    world.answer("once");
    let token = world
        .daypass(&["token", "payments", "--scope", "payments.read", "--scope", "payments.write", "--wait", "30s"])
        .ok();
    let scope = claims(&token)["scope"].as_str().unwrap().to_owned();
    assert!(scope.contains("payments.write"), "{scope}");
    world.daypass(&["token", "payments", "--scope", "api.read"]).fails(10);
    world.daypass(&["token", "unknown"]).fails(10);
    world.daypass(&["token", "https://unknown.example.com"]).fails(10);
}

#[test]
fn the_answer_alone_is_on_standard_output() {
    let world = World::signed_in(Options::default());
    let token = world.permit("payments", &[]);
    let output = world.daypass(&["token", "payments"]);
    assert_eq!(output.stdout, format!("{token}\n"));
    assert_eq!(output.stderr, "");
}

#[test]
fn a_command_is_run_with_the_token_in_its_environment_only() {
    let world = World::signed_in(Options::default());
    let token = world.permit("payments", &[]);
    let output =
        world.daypass(&["run", "payments", "payments=OTHER", "--", "sh", "-c", "echo $PAYMENTS_TOKEN $OTHER; exit 42"]);
    assert_eq!((output.code, output.stdout), (42, format!("{token} {token}\n")));
    let output = world.daypass(&["run", "payments", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(output.code, 128 + 15, "as a shell tells it");
    assert_eq!(world.daypass(&["run", "payments", "--", "no-such-command"]).stdout, "");
}

#[test]
fn each_token_and_each_refusal_leaves_one_line_in_the_audit_log() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let before = world.rows(&["audit"]).len();
    world.daypass(&["token", "payments"]).ok();
    world.daypass(&["token", "payments", "--scope", "api.read"]).fails(10);
    let rows = world.rows(&["audit"]);
    let new: Vec<_> = rows[before..].iter().map(|row| row["code"].as_str().unwrap_or_default()).collect();
    assert_eq!(new, ["ok", "scope_not_allowed"], "{rows:?}");
    for (index, pair) in rows.windows(2).enumerate() {
        assert_eq!(pair[1]["prev"], pair[0]["hash"], "line {index}");
        assert_eq!(pair[1]["seq"].as_i64(), pair[0]["seq"].as_i64().map(|seq| seq + 1));
    }
    assert!(rows.iter().all(|row| row["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
    world.daypass(&["audit", "verify"]).ok();
    let status: Value = world.status();
    assert_eq!(status["accounts"][0]["state"], "signed_in");
}
