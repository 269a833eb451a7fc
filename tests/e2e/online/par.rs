//! Pushed authorization requests (RFC 9126), at the certified provider.

use e2e::{
    provider::Setup,
    world::{Options, World},
};

fn required() -> Options {
    Options { provider: Setup { requires_pushing: true, ..Setup::default() }, ..Options::default() }
}

#[test]
fn the_browser_carries_only_the_name_of_the_request() {
    for options in [Options::default(), required()] {
        let world = World::signed_in(options);
        let pushed = world.provider.requests_to("pushed_authorization_request");
        assert_eq!(pushed.len(), 1, "{pushed:?}");
        assert_eq!(pushed[0]["status"], 201);
        let carried = &world.provider.requests_to("authorization")[0]["carried"];
        assert_eq!(*carried, serde_json::json!(["client_id", "request_uri"]));
    }
}

#[test]
fn trouble_with_pushing_makes_the_request_plain_unless_it_is_required() {
    for (status, body) in [(404, ""), (503, "busy"), (200, "<html>sign in to the network</html>")] {
        let world = World::new(Options::default());
        world.provider.answer("/request", status, "text/html", body);
        world.sign_in();
        let carried = world.provider.requests_to("authorization")[0]["carried"].to_string();
        assert!(carried.contains("code_challenge") && !carried.contains("request_uri"), "{carried}");
    }
    let world = World::new(required());
    world.provider.answer("/request", 503, "text/plain", "busy");
    let said = world.daypass(&["login", "corp"]).fails(7);
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(world.provider.requests_to("authorization").is_empty(), "no plain request leaves");
    world.provider.behave("/request");
    world.sign_in();
}

#[test]
fn a_refusal_of_the_request_is_told_and_nothing_is_tried_instead() {
    let world = World::new(Options::default());
    let body = r#"{"error":"invalid_request","error_description":"redirect_uri did not match any of the client's"}"#;
    world.provider.answer("/request", 400, "application/json", body);
    let said = world.daypass(&["login", "corp"]).fails(7);
    assert!(
        said.contains("does not accept the redirect address") && said.contains("http://127.0.0.1/callback"),
        "{said}"
    );
    assert!(world.provider.requests_to("authorization").is_empty());
    let last = e2e::until("the last page", std::time::Duration::from_secs(10), || {
        world.browser_log().pop().filter(|last| last["kind"] == "page")
    });
    assert!(last["title"].as_str().unwrap().contains("You are not signed in"), "{last}");
}
