//! Signing in at the certified provider.

use e2e::{
    browser::Mode,
    http,
    process::Running,
    world::{Options, World},
};
use std::{process::Command, time::Duration};

#[test]
fn a_sign_in_shows_who_is_signed_in() {
    let world = World::new(Options::default());
    assert_eq!(world.status()["accounts"][0]["state"], "sign_in_required");
    let output = world.daypass(&["login", "corp"]);
    output.ok();
    assert!(output.stderr.contains("corp"), "{}", output.stderr);
    let status = world.daypass(&["status", "--json"]).json();
    let account = &status["accounts"][0];
    assert_eq!((account["state"].as_str(), account["subject"].as_str()), (Some("signed_in"), Some("alice")));
    assert_eq!(account["issuer"], world.provider.issuer);
    assert_eq!(world.windows(), 1);
    assert_eq!(world.provider.token_requests("authorization_code"), 1);
}

#[test]
fn the_browser_is_given_only_our_own_one_time_address() {
    let world = World::signed_in(Options::default());
    let address = world.opened_after(0);
    let path = address.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
    let ticket = path.and_then(|path| path.strip_prefix("start/")).unwrap_or_else(|| panic!("not a start address"));
    assert!(ticket.len() >= 22 && !ticket.contains(['?', '&', '=']), "a ticket and nothing else");
}

#[test]
fn the_last_page_is_ours_and_holds_no_code() {
    let world = World::signed_in(Options::default());
    // The command may know before the browser has loaded the last page.
    let last = e2e::until("the last page", Duration::from_secs(10), || {
        world.browser_log().pop().filter(|last| last["kind"] == "page")
    });
    assert_eq!(last["status"].as_u64(), Some(200), "{last}");
    assert!(last["url"].as_str().unwrap().contains("/done/"), "{last}");
}

#[test]
fn without_a_browser_the_address_is_printed_and_works_in_any() {
    let world = World::new(Options { nobody: true, ..Options::default() });
    let said = world.home.log("login.log");
    let mut command = Command::new(e2e::program("daypass"));
    world.home.prepare(command.args(["login", "corp", "--no-browser"]));
    let file = std::fs::File::create(&said).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut login = Running::start(&mut command);
    let address = e2e::until("the printed address", Duration::from_secs(10), || {
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        text.split_whitespace().find(|word| word.starts_with("http://") && word.contains("/start/")).map(str::to_owned)
    });
    world.visit(&address).ok();
    let code = e2e::until("the command to end", Duration::from_secs(10), || login.ended());
    assert_eq!(code, 0, "{}", std::fs::read_to_string(&said).unwrap());
    assert_eq!(world.status()["accounts"][0]["state"], "signed_in");
}

#[test]
fn a_sign_in_refused_at_the_provider_is_told() {
    let world = World::new(Options::default());
    world.behave(&Mode { sign_in: "deny".to_owned(), ..Mode::default() });
    let said = world.daypass(&["login", "corp"]).fails(7);
    assert!(said.contains("access_denied"), "{said}");
    world.behave(&Mode::default());
    world.sign_in();
}

#[test]
fn the_callback_takes_only_the_answer_it_waits_for() {
    let world = World::new(Options::default());
    world.behave(&Mode { visit: false, ..Mode::default() });
    std::thread::scope(|scope| {
        let login = scope.spawn(|| world.daypass(&["login", "corp"]));
        let address = world.opened_after(0);
        let authority = address.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let navigate = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        for path in [
            "/callback",
            "/callback?code=x&state=x",
            "/callback?code=x&code=y&state=x",
            "/callback?state=a&state=b&code=x",
            "/callback?code=%ff&state=x",
            "/callback?error=access_denied&state=x",
            "/callback/?code=x&state=x",
            "/start/00000000",
            "/done/00000000",
            "/v1/status",
        ] {
            let answer = http::request(&authority, "GET", path, &navigate, b"").unwrap();
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(answer.header("set-cookie"), None, "{path}");
        }
        let posted = http::request(&authority, "POST", "/callback", &navigate, b"code=x&state=x").unwrap();
        assert!((400..500).contains(&posted.status), "POST: {}", posted.status);
        // Another browser than the one that started it has no cookie, and the right one still gets through.
        world.behave(&Mode::default());
        world.visit(&address).ok();
        login.join().unwrap().ok();
        // The address worked once; and the listener is gone soon.
        let again = http::request(&authority, "GET", address.split_once(&authority).unwrap().1, &navigate, b"");
        assert!(again.is_err() || again.is_ok_and(|answer| (400..500).contains(&answer.status)));
    });
}

#[test]
fn another_person_is_refused_where_the_profile_asks_for_one() {
    let world = World::new(Options {
        more_profile: "\n[accounts.strict]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\", \"email\"]\nrequired_claims = { email = \"bob@example.com\" }\n".to_owned(),
        ..Options::default()
    });
    let said = world.daypass(&["login", "strict"]).fails(4);
    assert!(said.contains("alice@example.com") || said.contains("Alice"), "names the account that was used: {said}");
    world.behave(&Mode { user: "bob".to_owned(), ..Mode::default() });
    world.daypass(&["login", "strict"]).ok();
}
