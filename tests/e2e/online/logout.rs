//! Signing out: here always, at the provider if it can be reached.

use e2e::{
    provider::Setup,
    world::{Options, World},
};

fn revocations(world: &World) -> usize {
    world
        .provider
        .requests()
        .iter()
        .filter(|request| request["route"] == "revocation" && request["status"] == 200)
        .count()
}

#[test]
fn the_provider_is_told_and_nothing_is_left() {
    let world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.permit("payments", &[]);
    let keyring = world.keyring.as_ref().unwrap();
    let items = keyring.count();
    assert!(items > 0, "{}", keyring.items());
    world.daypass(&["logout", "corp"]).ok();
    assert!(revocations(&world) >= 1, "{:?}", world.provider.requests());
    assert!(keyring.count() < items, "{}", keyring.items());
    assert!(!keyring.items().contains("corp"), "{}", keyring.items());
    world.daypass(&["token", "payments"]).fails(4);
    assert_eq!(world.status()["accounts"][0]["subject"], serde_json::Value::Null);
    assert!(world.rows(&["grants"]).is_empty(), "what was allowed for today ends with the sign-out");
    world.sign_in();
}

#[test]
fn an_unreachable_provider_does_not_keep_anybody_signed_in() {
    let world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.provider.down();
    let output = world.daypass(&["logout", "--all"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stderr.contains("signed out here, the provider was not told"), "{}", output.stderr);
    assert!(output.took.as_secs() <= 12, "{:?}", output.took);
    world.provider.up();
    world.daypass(&["token", "payments"]).fails(4);
    assert!(!world.keyring.as_ref().unwrap().items().contains("corp"));
}

#[test]
fn a_hanging_revocation_is_given_up_after_ten_seconds() {
    let world = World::signed_in(Options::default());
    world.provider.hang("/token/revocation");
    let output = world.daypass(&["logout", "corp"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.took.as_secs() <= 12, "{:?}", output.took);
}

#[test]
fn a_provider_without_revocation_is_no_failure_but_told() {
    let world =
        World::signed_in(Options { provider: Setup { revocation: false, ..Setup::default() }, ..Options::default() });
    let output = world.daypass(&["logout", "corp"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("the provider offers no way to be told"),
        "it says so: {output:?}"
    );
}
