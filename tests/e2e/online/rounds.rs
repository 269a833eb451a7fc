//! Signing in again: nothing is shown where the browser still knows the person, one tab whatever it takes, and a way to
//! choose another account.

use e2e::{
    browser::Mode,
    provider::Setup,
    world::{Options, World},
};
use std::time::Duration;

/// What the provider was told to show, request by request.
fn prompts(world: &World) -> Vec<String> {
    let pushed = world.provider.requests_to("pushed_authorization_request");
    pushed.iter().map(|request| request["prompt"].as_str().unwrap_or("-").to_owned()).collect()
}

/// Waits until the sign-in has ended with its only token.
fn expire(world: &World, account: usize) {
    e2e::until("the sign-in to end", Duration::from_secs(20), || {
        (world.status()["accounts"][account]["state"] == "sign_in_required").then_some(())
    });
}

#[test]
fn an_expired_sign_in_is_renewed_without_a_word_where_the_browser_knows_the_person() {
    let brief = "\n[accounts.brief]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\"]\noffline = \"none\"\n";
    let world = World::new(Options {
        robot: true,
        provider: Setup { access_token_ttl: 4, lenient: true, ..Setup::default() },
        more_profile: brief.to_owned(),
        ..Options::default()
    });
    let robot = world.robot.as_ref().unwrap();
    let signed_in = || robot.pages().iter().filter(|page| page["kind"] == "sign-in").count();
    world.daypass(&["login", "brief"]).ok();
    assert_eq!((prompts(&world), signed_in()), (vec!["-".to_owned()], 1));
    expire(&world, 0);
    world.daypass(&["login", "brief"]).ok();
    assert_eq!(prompts(&world), ["-", "none"]);
    assert_eq!(signed_in(), 1, "nobody was asked anything");
    assert_eq!(world.windows(), 2);

    // Somebody who signed out wants to be asked.
    world.daypass(&["logout", "brief"]).ok();
    world.daypass(&["login", "brief"]).ok();
    assert_eq!(prompts(&world).last().map(String::as_str), Some("-"));
}

#[test]
fn where_the_browser_does_not_know_the_person_the_same_tab_goes_on() {
    let brief = "\n[accounts.brief]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\"]\noffline = \"none\"\n";
    let world = World::new(Options {
        provider: Setup { access_token_ttl: 4, ..Setup::default() },
        more_profile: brief.to_owned(),
        ..Options::default()
    });
    world.daypass(&["login", "brief"]).ok();
    expire(&world, 0);
    let windows = world.windows();
    world.daypass(&["login", "brief"]).ok();
    assert_eq!(prompts(&world), ["-", "none", "-"]);
    assert_eq!(world.windows(), windows + 1, "one tab");
    assert_eq!(world.provider.token_requests("authorization_code"), 2);
}

#[test]
fn after_the_wrong_account_another_one_can_be_chosen() {
    let strict = "\n[accounts.strict]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\", \"email\"]\nrequired_claims = { email = \"bob@example.com\" }\n";
    let world = World::new(Options { more_profile: strict.to_owned(), ..Options::default() });
    // The command has ended by then; the page offers the way on.
    world.behave(&Mode { other: "bob".to_owned(), ..Mode::default() });
    let said = world.daypass(&["login", "strict"]).fails(4);
    assert!(said.contains("alice@example.com") && said.contains("daypass login strict"), "{said}");
    e2e::until("bob to be signed in", Duration::from_secs(15), || {
        let status = world.status();
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().any(|account| account["name"] == "strict" && account["subject"] == "bob").then_some(())
    });
    assert_eq!(world.windows(), 1, "one tab");
    // This provider does not know select_account; its sign-in page lets people choose, too.
    assert_eq!(prompts(&world), ["consent", "select_account consent", "login consent"]);

    // It can be asked for without a failure before.
    world.behave(&Mode { user: "bob".to_owned(), ..Mode::default() });
    world.daypass(&["login", "strict", "--other-account"]).ok();
    assert_eq!(prompts(&world).last().map(String::as_str), Some("login consent"));
    world.daypass(&["login", "strict"]).ok();
    assert_eq!(prompts(&world).last().map(String::as_str), Some("consent"));
}
