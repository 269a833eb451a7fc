//! Demands of a token request on the sign-in behind it (RFC 9470), at the certified provider.

use e2e::world::{Options, World};

#[test]
fn an_old_sign_in_is_renewed_for_max_age_and_the_same_request_succeeds() {
    let world = World::new(Options::default());
    world.provider.age(600);
    world.sign_in();
    world.permit("payments", &[]);
    let windows = world.windows();
    world.daypass(&["token", "payments", "--max-age", "1h"]).ok();
    let said = world.daypass(&["token", "payments", "--max-age", "5m"]).fails(4);
    assert!(said.contains("more than 5m ago"), "{said}");
    assert!(said.contains("run: daypass login corp --max-age 5m"), "{said}");
    assert_eq!(world.windows(), windows, "nothing opens by itself");

    // A provider that does not do as it was told is not believed, and the sign-in there was stays.
    let said = world.daypass(&["login", "corp", "--max-age", "5m"]).fails(7);
    assert!(said.contains("older than asked for"), "{said}");
    world.daypass(&["token", "payments"]).ok();

    world.provider.age(0);
    world.daypass(&["login", "corp", "--max-age", "5m"]).ok();
    let asked = world.provider.requests_to("pushed_authorization_request").pop().unwrap();
    assert_eq!(asked["max_age"].to_string().trim_matches('"'), "300", "{asked}");
    assert!(!world.daypass(&["token", "payments", "--max-age", "5m"]).ok().is_empty());
    // The ID token and a token signed here are of the same sign-in.
    world.permit("me", &["--max-age", "5m"]);
    world.permit("local", &["--max-age", "5m"]);
}

#[test]
fn a_class_that_is_not_met_is_asked_for_by_a_new_sign_in() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let wanted = ["token", "payments", "--acr-values", "urn:example:phr urn:example:mfa"];
    let said = world.daypass(&wanted).fails(4);
    assert!(said.contains("run: daypass login corp --acr-values 'urn:example:phr urn:example:mfa'"), "{said}");
    let login = ["login", "corp", "--acr-values", "urn:example:phr urn:example:mfa"];
    let said = world.daypass(&login).fails(4);
    assert!(said.contains("acr_values"), "{said}");
    world.provider.acr(Some("urn:example:mfa"));
    world.daypass(&login).ok();
    world.daypass(&wanted).ok();
    let claims = r#"{"id_token":{"acr":{"essential":true,"value":"urn:example:mfa"}}}"#;
    world.daypass(&["token", "payments", "--claims", claims]).ok();
    let more = r#"{"id_token":{"acr":{"essential":true,"value":"urn:example:mfa"},"email":{"essential":true}}}"#;
    let said = world.daypass(&["token", "payments", "--claims", more]).fails(4);
    assert!(said.contains("claim email") && said.contains("--claims '{"), "{said}");
    world.daypass(&["login", "corp", "--claims", more]).ok();
    world.daypass(&["token", "payments", "--claims", more]).ok();
    // What is no demand is refused, not dropped.
    world.daypass(&["token", "payments", "--claims", r#"{"id_token":{"acr":"x"}}"#]).fails(2);
}
