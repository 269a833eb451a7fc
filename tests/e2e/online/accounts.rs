//! What an account of the profile may say, at the certified provider.

use e2e::world::{Options, World, free_port};
use std::net::TcpListener;

fn account(name: &str, more: &str) -> String {
    let client = if more.contains("client_id") { "" } else { "client_id = \"daypass\"\n" };
    let redirect = if more.contains("redirect_uri") { "" } else { "redirect_uri = [\"http://127.0.0.1/callback\"]\n" };
    format!("\n[accounts.{name}]\nissuer = \"ISSUER\"\nscopes = [\"openid\", \"profile\"]\n{client}{redirect}{more}")
}

#[test]
fn redirect_addresses_are_tried_in_order_at_their_exact_ports() {
    let (first, second) = (free_port(), free_port());
    let uris =
        format!("redirect_uri = [\"http://127.0.0.1:{first}/callback\", \"http://127.0.0.1:{second}/callback\"]\n");
    let world = World::new(Options { more_profile: account("fixed", &uris), ..Options::default() });
    let used = |before: usize| {
        let address = world.opened_after(before);
        address.strip_prefix("http://127.0.0.1:").unwrap().split('/').next().unwrap().parse::<u16>().unwrap()
    };
    world.daypass(&["login", "fixed"]).ok();
    assert_eq!(used(0), first);
    // The page of the first is still there; the next sign-in needs its port.
    world.daypass(&["login", "fixed"]).ok();
    assert_eq!(used(1), first);
    let hold = |port: u16| {
        e2e::until("the port", std::time::Duration::from_secs(40), || TcpListener::bind(("127.0.0.1", port)).ok())
    };
    world.daypass(&["logout", "fixed"]).ok();
    let held = hold(first);
    world.daypass(&["login", "fixed"]).ok();
    assert_eq!(used(2), second);
    let both = (held, hold(second));
    let said = world.daypass(&["login", "fixed"]).fails(7);
    assert!(said.contains(&format!("http://127.0.0.1:{second}/callback")) && said.contains("redirect_uri"), "{said}");
    assert_eq!(world.windows(), 3, "no browser without a listener");
    drop(both);
}

#[test]
fn a_client_secret_is_shown_where_the_provider_wants_it() {
    let secret = |text: &str| format!("client_id = \"daypass-secret\"\nclient_secret = \"{text}\"\n");
    let right = account("right", &secret("not confidential: +/=&%"));
    let wrong = account("wrong", &secret("another"));
    let world = World::new(Options { more_profile: right + &wrong, ..Options::default() });
    world.daypass(&["login", "right"]).ok();
    let said = world.daypass(&["login", "wrong"]).fails(7);
    assert!(said.contains("invalid_client"), "{said}");
    assert!(!said.contains("another"), "{said}");
}

#[test]
fn several_accounts_are_signed_in_at_once_and_each_has_its_own_person_and_tokens() {
    let second =
        account("second", "offline = \"none\"\n") + "\n[resources.mine]\naccount = \"second\"\ntoken = \"id\"\n";
    let world = World::new(Options { more_profile: second, ..Options::default() });
    world.behave(&e2e::browser::Mode { user: "bob".to_owned(), ..e2e::browser::Mode::default() });
    let said = world.daypass(&["login", "second"]);
    said.ok();
    assert!(said.stderr.contains("no refresh token"), "{}", said.stderr);
    world.behave(&e2e::browser::Mode::default());
    world.daypass(&["login"]).ok();
    let status = world.status();
    let mut people: Vec<_> = status["accounts"].as_array().unwrap().iter().map(|a| a["subject"].as_str()).collect();
    people.sort_unstable();
    assert_eq!(people, [Some("alice"), Some("bob")]);
    assert_eq!(world.windows(), 2, "only those that need it");
    assert_ne!(world.permit("me", &[]), world.permit("mine", &[]));
    world.daypass(&["logout", "second"]).ok();
    world.daypass(&["token", "me"]).ok();
    world.daypass(&["token", "mine"]).fails(4);
}

#[test]
fn one_code_serves_one_resource_and_the_rest_come_by_refresh() {
    let world = World::signed_in(Options::default());
    let asked = world.provider.requests_to("pushed_authorization_request").pop().unwrap();
    let both = serde_json::json!(["https://api.example.com", "https://payments.example.com"]);
    assert_eq!(asked["resource"], both, "the sign-in asks for all of them");
    world.permit("api", &[]);
    assert_eq!((world.provider.token_requests("authorization_code"), world.provider.refreshes()), (1, 0));
    world.permit("payments", &[]);
    assert_eq!((world.provider.token_requests("authorization_code"), world.provider.refreshes()), (1, 1));
}
