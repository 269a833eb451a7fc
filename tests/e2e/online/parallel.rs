//! A hundred callers, one refresh.

use e2e::{
    provider::Setup,
    world::{Options, World},
};
use std::{collections::BTreeSet, thread, time::Duration};

/// A hundred callers with an expired token get the same new one from one refresh, and no window opens.
fn hundred(scopes: &[&str]) {
    let setup = Setup { access_token_ttl: 20, ..Setup::default() };
    let world = World::signed_in(Options { provider: setup, ..Options::default() });
    let old = world.permit("payments", scopes);
    // The token expires while the provider is away, so that nothing renews it ahead of time.
    world.provider.down();
    thread::sleep(Duration::from_secs(21));
    world.provider.up();
    // The refresh takes long enough for all of them to meet in it.
    world.provider.delay("/token", 3000);
    let before = world.provider.refreshes();
    let windows = world.windows();
    let words: Vec<&str> = ["token", "payments"].iter().chain(scopes).copied().collect();
    let tokens: BTreeSet<String> = thread::scope(|scope| {
        let callers: Vec<_> = (0..100).map(|_| scope.spawn(|| world.daypass(&words).ok())).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(tokens.len(), 1, "all get the same token");
    assert!(!tokens.contains(&old), "and not the old one");
    assert_eq!(world.provider.refreshes(), before + 1, "one refresh");
    assert_eq!(world.windows(), windows, "no window");
}

#[test]
fn a_hundred_callers_make_one_refresh() {
    hundred(&[]);
}

#[test]
fn a_hundred_callers_with_scopes_make_one_refresh() {
    hundred(&["--scope", "payments.read", "--scope", "payments.write"]);
}

#[test]
fn a_hundred_questions_are_one() {
    let world = World::signed_in(Options::default());
    let windows = world.windows();
    let codes: Vec<i32> = thread::scope(|scope| {
        let callers: Vec<_> = (0..50).map(|_| scope.spawn(|| world.daypass(&["token", "payments"]).code)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|code| *code == 6), "{codes:?}");
    assert_eq!(world.rows(&["requests"]).len(), 1);
    world.opened_after(windows);
    assert_eq!(world.windows(), windows + 1);
}
