//! The provider is away, or worse: it takes the question and never answers.

use e2e::{
    provider::{Provider, Setup},
    world::{Options, World},
};
use std::time::Duration;

#[test]
fn a_valid_token_is_served_while_the_provider_is_down() {
    let world = World::signed_in(Options::default());
    let token = world.permit("payments", &[]);
    world.provider.down();
    assert_eq!(world.daypass(&["token", "payments"]).ok(), token);
    assert_eq!(world.daypass(&["token", "payments", "--refresh"]).code, 7);
    assert_eq!(world.daypass(&["token", "payments"]).ok(), token);
    assert_eq!(world.status()["accounts"][0]["subject"], "alice", "still signed in");
    world.provider.up();
    e2e::until("a new token", Duration::from_secs(40), || {
        (world.daypass(&["token", "payments", "--refresh"]).code == 0).then_some(())
    });
}

#[test]
fn one_hanging_provider_delays_no_other_account() {
    let other = Provider::start(Setup::default());
    let world = World::signed_in(Options {
        more_profile: format!(
            "\n[accounts.second]\nissuer = \"{}\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\"]\n\n[resources.second]\naccount = \"second\"\ntoken = \"access\"\naudience = \"https://api.example.com/\"\nrequest = \"scope\"\nscopes = [\"openid\"]\n",
            other.issuer
        ),
        ..Options::default()
    });
    world.daypass(&["login", "second"]).ok();
    world.permit("payments", &[]);
    world.permit("second", &[]);
    other.hang("/token");
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| world.daypass(&["token", "second", "--refresh"]));
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..5 {
            let output = world.daypass(&["token", "payments"]);
            output.ok();
            assert!(output.took < Duration::from_secs(2), "{:?}", output.took);
        }
        let fresh = world.daypass(&["token", "payments", "--refresh"]);
        fresh.ok();
        assert!(fresh.took < Duration::from_secs(3), "{:?}", fresh.took);
        let status = world.daypass(&["status", "--json"]);
        assert!(status.took < Duration::from_secs(2), "{:?}", status.took);
        let output = hanging.join().unwrap();
        assert_eq!(output.code, 7, "{output:?}");
        assert!(output.took < Duration::from_secs(45), "{:?}", output.took);
    });
}

#[test]
fn a_sign_in_at_a_hanging_provider_is_given_up() {
    let world = World::new(Options::default());
    world.provider.hang("/.well-known/openid-configuration");
    let output = world.daypass(&["login", "corp"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.took < Duration::from_secs(45), "{:?}", output.took);
    world.provider.behave("/.well-known/openid-configuration");
    e2e::until("a sign-in once it answers again", Duration::from_secs(10), || {
        (world.daypass(&["login", "corp"]).code == 0).then_some(())
    });
}
