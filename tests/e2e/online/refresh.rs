//! Rotation, and what happens when a refresh goes wrong.

use e2e::{
    provider::Setup,
    world::{Options, World},
};
use std::{thread, time::Duration};

#[test]
fn each_refresh_uses_the_newest_refresh_token() {
    let world = World::signed_in(Options { keyring: true, ..Options::default() });
    let first = world.permit("payments", &[]);
    let before = world.provider.refreshes();
    let second = world.daypass(&["token", "payments", "--refresh"]).ok();
    assert_ne!(first, second);
    assert_eq!(world.provider.refreshes(), before + 1);
    // The provider ends the whole family if an old one is shown again, so a third shows that rotation worked.
    world.permit("api", &[]);
    let failed = world.provider.requests().iter().filter(|r| r["route"] == "token" && !r["error"].is_null()).count();
    assert_eq!(failed, 0);
}

#[test]
fn forcing_new_tokens_is_rate_limited() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    let codes: Vec<_> = (0..12).map(|_| world.daypass(&["token", "payments", "--refresh"]).code).collect();
    assert_eq!(codes[0], 0, "{codes:?}");
    assert_eq!(codes.last(), Some(&6), "{codes:?}");
    world.daypass(&["token", "payments"]).ok();
}

#[test]
fn no_token_is_handed_out_with_less_than_a_minute_left() {
    let setup = Setup { access_token_ttl: 64, ..Setup::default() };
    let world = World::signed_in(Options { provider: setup, ..Options::default() });
    let first = world.permit("payments", &[]);
    let before = world.provider.refreshes();
    thread::sleep(Duration::from_secs(6));
    let second = world.daypass(&["token", "payments", "--format", "json"]).json();
    assert_ne!(second["access_token"], first);
    assert!(second["expires_in"].as_i64().unwrap() >= 60, "{}", second["expires_in"]);
    assert_eq!(world.provider.refreshes(), before + 1);
}

#[test]
fn a_token_with_too_little_left_is_renewed_first() {
    let setup = Setup { access_token_ttl: 16, ..Setup::default() };
    let world = World::signed_in(Options { provider: setup, ..Options::default() });
    let first = world.permit("payments", &[]);
    // Renewal ahead of time would come at half its life; the provider is away then, and back when little is left.
    thread::sleep(Duration::from_secs(4));
    world.provider.down();
    thread::sleep(Duration::from_secs(7));
    world.provider.up();
    let before = world.provider.refreshes();
    let second = e2e::until("an answer", Duration::from_secs(4), || {
        let output = world.daypass(&["token", "payments", "--format", "json"]);
        (output.code == 0).then(|| output.json())
    });
    assert_ne!(second["access_token"], first);
    assert!(second["expires_in"].as_i64().unwrap() >= 12, "{}", second["expires_in"]);
    assert_eq!(world.provider.refreshes(), before + 1);
}

#[test]
fn a_page_of_html_is_no_reason_to_sign_out() {
    let world = World::signed_in(Options::default());
    world.permit("payments", &[]);
    for (status, kind, body) in [
        (200, "text/html", "<html>Please sign in to the hotel network</html>"),
        (500, "text/plain", "oops"),
        (503, "text/html", ""),
        (200, "application/json", ""),
        (200, "application/json", r#"{"access_token":"","token_type":"Bearer"}"#),
    ] {
        world.provider.answer("/token", status, kind, body);
        world.daypass(&["token", "api"]);
        let output = world.daypass(&["token", "payments", "--refresh"]);
        assert!(output.code == 7 || output.code == 6 || output.code == 0, "{status} {body}: {output:?}");
        assert!(!output.stderr.contains("hotel"), "raw server text stays out: {}", output.stderr);
        assert_eq!(world.status()["accounts"][0]["subject"], "alice", "{status} {body}");
    }
    world.provider.behave("/token");
    world.daypass(&["token", "payments"]).ok();
}
