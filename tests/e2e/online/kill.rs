//! The agent dies without warning and comes back.

use e2e::world::{Options, World};

#[test]
fn a_killed_agent_finds_the_sign_in_without_a_browser() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.permit("payments", &[]);
    world.daypass(&["token", "payments", "--refresh"]).ok();
    let windows = world.windows();
    world.agent.kill();
    world.agent.restart();
    world.daypass(&["token", "payments"]).ok();
    assert_eq!(world.windows(), windows, "neither a sign-in nor a question");
    assert_eq!(world.provider.token_requests("authorization_code"), 1);
    let failed = world.provider.requests().iter().filter(|r| r["route"] == "token" && !r["error"].is_null()).count();
    assert_eq!(failed, 0, "no refresh token was used twice");
    world.daypass(&["audit", "verify"]).ok();
}

#[test]
fn an_agent_killed_during_a_refresh_uses_the_old_token_once_more_at_most() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    world.permit("payments", &[]);
    let before = world.provider.refreshes();
    world.provider.delay("/token", 1500);
    std::thread::scope(|scope| {
        let (home, agent) = (&world.home, &mut world.agent);
        let waiting = scope.spawn(move || home.daypass(&["token", "payments", "--refresh"]));
        std::thread::sleep(std::time::Duration::from_millis(700));
        agent.kill();
        let output = waiting.join().unwrap();
        assert_ne!(output.code, 0, "{output:?}");
        assert!(!output.stderr.contains("panicked"));
    });
    world.provider.behave("/token");
    // The provider may have rotated already: then the one retry tells that a new sign-in is needed, and nothing loops.
    world.agent.restart();
    let output = world.daypass(&["token", "payments"]);
    assert!([0, 4].contains(&output.code), "{output:?}");
    world.daypass(&["token", "payments"]);
    assert!(world.provider.refreshes() <= before + 2, "one refresh that was cut off, one retry");
    world.sign_in();
    world.daypass(&["token", "payments"]).ok();
}
