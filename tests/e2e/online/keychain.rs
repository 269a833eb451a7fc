//! The real keychain: present, locked, absent, gone.

use e2e::world::{Options, World};

fn with_keyring() -> Options {
    Options { keyring: true, ..Options::default() }
}

#[test]
fn tokens_are_in_the_keychain_and_in_no_file() {
    let world = World::signed_in(with_keyring());
    world.permit("payments", &[]);
    let status = world.status();
    assert_eq!(status["keychain"]["state"], "ok", "{status}");
    assert_eq!(status["accounts"][0]["durable"], true);
    let items = world.keyring.as_ref().unwrap().items();
    assert!(items.contains("service = daypass") || items.contains("daypass"), "{items}");
    e2e::canary::assert_absent(&world.home, &world.secrets(), &[]);
}

#[test]
fn a_locked_keychain_is_told_and_nobody_is_signed_out() {
    let mut world = World::signed_in(with_keyring());
    world.permit("payments", &[]);
    world.agent.stop();
    world.keyring.as_ref().unwrap().lock();
    world.agent.restart();
    let output = world.daypass(&["token", "payments"]);
    output.fails(8);
    assert!(output.took.as_secs() < 15, "{:?}", output.took);
    assert!(output.stderr.contains("locked"), "{}", output.stderr);
    assert_eq!(world.status()["accounts"][0]["state"], "keychain_locked");
    world.keyring.as_ref().unwrap().unlock();
    e2e::until("the sign-in to be found", std::time::Duration::from_secs(30), || {
        (world.daypass(&["token", "payments"]).code == 0).then_some(())
    });
}

#[test]
fn without_a_keychain_tokens_stay_in_memory_and_the_agent_says_so() {
    let mut world = World::new(Options::default());
    let login = world.daypass(&["login", "corp"]);
    login.ok();
    assert!(login.stderr.contains("there is no keychain"), "said at sign-in: {}", login.stderr);
    let status = world.status();
    assert_eq!(status["keychain"]["state"], "memory", "{status}");
    assert_eq!(status["accounts"][0]["durable"], false);
    world.permit("payments", &[]);
    e2e::canary::assert_absent(&world.home, &world.secrets(), &[]);
    world.agent.stop();
    world.agent.restart();
    world.daypass(&["token", "payments"]).fails(4);
}

#[test]
fn a_keychain_that_dies_does_not_stop_the_day() {
    let mut world = World::signed_in(with_keyring());
    world.permit("payments", &[]);
    world.keyring.as_mut().unwrap().kill();
    world.daypass(&["token", "payments"]).ok();
    // A rotation that cannot be stored is served from memory, and said.
    world.daypass(&["token", "payments", "--refresh"]).ok();
    let status = world.status();
    assert!(status.to_string().contains("not durable") || status["accounts"][0]["durable"] == false, "{status}");
    world.keyring.as_mut().unwrap().start_daemon();
}
