//! `daypass doctor` and the real keychain: open, locked, gone.

use e2e::world::{Options, World};
use std::time::Duration;

#[test]
fn the_state_of_the_keychain_is_named() {
    let mut world = World::signed_in(Options { keyring: true, ..Options::default() });
    let well = world.daypass(&["doctor"]);
    well.ok();
    println!("{}{}", well.stdout, well.stderr);
    assert!(
        !well.stdout.contains("FAIL") && well.stdout.contains("it is open, and keeps the sign-ins"),
        "{}",
        well.stdout
    );
    e2e::canary::assert_absent(&world.home, &world.secrets(), &[("the report", well.stdout.into_bytes())]);

    world.agent.stop();
    world.keyring.as_ref().unwrap().lock();
    world.agent.restart();
    let locked = world.daypass(&["doctor"]);
    println!("{}{}", locked.stdout, locked.stderr);
    assert_eq!(locked.code, 8, "{locked:?}");
    assert!(locked.took < Duration::from_secs(12), "{:?}", locked.took);
    for line in ["FAIL  keychain ", "FAIL  keychain corp ", "next: unlock it", "ok    issuer corp "] {
        assert!(locked.stdout.contains(line), "no {line:?}: {}", locked.stdout);
    }
    assert!(!locked.stdout.contains("nobody is signed in"), "that cannot be told: {}", locked.stdout);

    world.keyring.as_ref().unwrap().unlock();
    world.keyring.as_mut().unwrap().kill();
    let gone = world.daypass(&["doctor"]);
    println!("{}{}", gone.stdout, gone.stderr);
    assert_eq!(gone.code, 8, "{gone:?}");
    assert!(gone.stdout.contains("FAIL  keychain "), "{}", gone.stdout);
}
