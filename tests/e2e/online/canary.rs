//! No secret where none may be, during a whole day's work.

use e2e::{
    canary::{Watch, assert_absent},
    world::{Options, World},
};

#[test]
fn no_secret_in_files_logs_messages_argument_lists_or_environments() {
    let mut world = World::new(Options { keyring: true, ..Options::default() });
    let watch = Watch::start(&world.home);
    world.sign_in();
    let minted = world.permit("local", &[]);
    world.permit("payments", &[]);
    world.permit("me", &[]);
    world.daypass(&["token", "payments", "--refresh"]).ok();
    world.provider.answer(
        "/token",
        400,
        "application/json",
        r#"{"error":"invalid_request","error_description":"\u001b[31mno"}"#,
    );
    let refused = world.daypass(&["token", "payments", "--refresh"]);
    assert!(!refused.stderr.contains('\u{1b}'), "server text is sanitised");
    world.provider.behave("/token");
    for words in [&["status"][..], &["accounts"], &["resources"], &["grants"], &["requests"], &["audit"]] {
        world.daypass(words);
    }
    let socket = world.home.socket().display().to_string();
    let errors = ["/v1/nothing", "/v1/token", "/v1/status"]
        .map(|path| world.home.curl(&["--unix-socket", &socket, &format!("http://localhost{path}")]).stdout);
    world.agent.kill();
    world.agent.restart();
    world.daypass(&["token", "payments"]).ok();
    let mut secrets = world.secrets();
    assert!(secrets.len() >= 6, "{}", secrets.len());
    secrets.push(minted);
    let processes = watch.finish().join(&b'\n');
    let pages = world.windows();
    assert!(pages >= 4, "{pages}");
    assert_absent(
        &world.home,
        &secrets,
        &[("an argument list or environment", processes), ("an error body", errors.join("\n").into_bytes())],
    );
}

#[test]
fn the_authorization_address_is_in_no_argument_list() {
    let world = World::new(Options::default());
    let watch = Watch::start(&world.home);
    world.sign_in();
    let seen = watch.finish().join(&b'\n');
    for part in ["code_challenge", "state=", "nonce=", "redirect_uri="] {
        assert!(!e2e::canary::contains(&seen, part.as_bytes()), "{part}");
    }
    assert!(e2e::canary::contains(&seen, b"/start/"), "the one-time address was seen: the watch works");
}
