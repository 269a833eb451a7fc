//! `daypass init`: from nothing to a token, with the steps it prints and no other; again, and back.

use dev_issuer::{Config, DevIssuer, Imitation, Registration};
use e2e::{
    browser::Mode,
    glewlwyd::Glewlwyd,
    home::Home,
    prompt::Prompt,
    provider::{Provider, Setup},
    world::browser_command,
};
use serde_json::Value;
use std::{fs, sync::Arc};

/// A home without a profile but for the browser, and the certified provider, where `daypass` is registered.
fn newcomer(rest: &str) -> (Arc<Home>, Provider) {
    let home = Arc::new(Home::new());
    let provider = Provider::start(Setup::default());
    Mode { consent: "today".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    home.write_profile(&format!("version = 1\n{}{rest}", browser_command(&home)));
    (home, provider)
}

fn profile(home: &Home) -> String {
    fs::read_to_string(home.path().join("home/.config/daypass/profile.toml")).unwrap_or_default()
}

#[test]
fn a_newcomer_has_a_token_after_the_printed_steps() {
    let (home, provider) = newcomer("\n[broker]\nport = 0      # mine\n");
    let before = profile(&home);
    let words = ["init", &provider.issuer, "--client-id", "daypass"];
    let first = home.daypass(&words);
    first.ok();
    assert_eq!(first.stdout, "", "no token is shown");
    for said in [provider.issuer.as_str(), "redirect URI", "http://127.0.0.1/callback", "signed in to work", "it works"]
    {
        assert!(first.stderr.contains(said), "{said}: {}", first.stderr);
    }
    assert!(profile(&home).starts_with(&before), "what was there is kept to the letter");
    assert_eq!(home.daypass(&["token", "me"]).ok().split('.').count(), 3, "the command it names at the end");
    let status: Value = serde_json::from_str(&home.daypass(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["accounts"][0]["state"], "signed_in");

    // Again: nothing changes and nobody is bothered.
    let (text, sign_ins) = (profile(&home), provider.token_requests("authorization_code"));
    let again = home.daypass(&words);
    again.ok();
    assert!(
        again.stderr.contains("says all that already") && again.stderr.contains("signed in already"),
        "{}",
        again.stderr
    );
    assert_eq!((profile(&home), provider.token_requests("authorization_code")), (text, sign_ins));

    // And back.
    let undone = home.daypass(&["init", "--undo"]);
    undone.ok();
    assert!(undone.stderr.contains("signed out of work"), "{}", undone.stderr);
    assert_eq!(profile(&home), before);
    e2e::until("the account to be gone", std::time::Duration::from_secs(10), || {
        home.daypass(&["accounts", "--json"]).json().as_array().unwrap().is_empty().then_some(())
    });
    home.daypass(&["init", "--undo"]).ok();
    home.daypass(&["agent", "stop"]);
}

#[test]
fn a_service_gets_access_tokens_and_scripts_need_no_terminal() {
    let (home, provider) = newcomer("");
    let missing = home.daypass(&["init", &provider.issuer]).fails(2);
    assert!(missing.contains("--client-id"), "{missing}");
    let nothing = home.daypass(&["init"]).fails(2);
    assert!(nothing.contains("--provider"), "{nothing}");
    let before = profile(&home);
    let service = ["--audience", "https://payments.example.com", "--scope", "payments.read"];
    let words = [&["init", &provider.issuer, "--client-id", "daypass"], &service[..]].concat();
    let dry = home.daypass(&[&words[..], &["--dry-run"]].concat());
    assert!(dry.ok().contains("[resources.api]"), "{dry:?}");
    assert_eq!(profile(&home), before, "a dry run writes nothing");
    home.daypass(&words).ok();
    let token = home.daypass(&["token", "api"]).ok();
    let claims = e2e::claims(token.trim());
    assert_eq!(claims["aud"], "https://payments.example.com");
    home.daypass(&["agent", "stop"]);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_written() {
    let (home, provider) = newcomer("\n[accounts.mine]\nissuer = \"https://login.example.com\"\nclient_id = \"x\"\n");
    let before = profile(&home);
    for (words, code, said) in [
        (&["init", "https://127.0.0.1:9", "--client-id", "x"][..], 7, "onnection refused"),
        (&["init", "http://login.example.com", "--client-id", "x"], 2, "https://"),
        (&["init", "nowhere", "--client-id", "x"], 2, "names no issuer"),
        (&["init", "--provider", "entra", "common", "--client-id", "x"], 2, "tenant ID"),
        (&["init", &provider.issuer, "--account", "Bad Name", "--client-id", "x"], 2, "no name for an account"),
        (&["init", &provider.issuer, "--account", "mine", "--client-id", "x"], 2, "did not write"),
        (
            &["init", &provider.issuer, "--client-id", "x", "--resource", "a]\n[browser]\ncommand=[\"x\"]"],
            2,
            "no name for a resource",
        ),
        (&["init", &provider.issuer, "--client-id", "nobody"], 7, "nobody"),
    ] {
        let output = home.daypass(words);
        let told = output.fails(code);
        assert!(told.contains(said) || said == "nobody", "{words:?}: {told}");
        assert!(told.contains("hint: ") || code == 7, "{words:?}: {told}");
        if said != "nobody" {
            assert_eq!(profile(&home), before, "{words:?} wrote something");
        }
    }
    // A client the provider does not know: the profile stays for another try, with another id in the same place.
    home.daypass(&["init", &provider.issuer, "--client-id", "daypass"]).ok();
    assert_eq!(profile(&home).matches("[accounts.work]").count(), 1);
    home.daypass(&["agent", "stop"]);
}

/// `daypass init` at an imitation, by its printed steps: whoever registers what is printed has a token.
fn at_an_imitation(imitation: Imitation, more: &[&str]) {
    let home = Arc::new(Home::new());
    Mode { consent: "today".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    home.write_profile(&format!("version = 1\n{}", browser_command(&home)));
    let name = imitation.name();
    // What is printed is what gets registered: the redirect addresses are read from what the command says.
    let nowhere = DevIssuer::start(Config::imitating(imitation)).unwrap();
    let words = ["init", nowhere.issuer(), "--provider", name, "--dry-run"];
    let printed = home.daypass(&words);
    printed.ok();
    let written = printed.stdout.lines().find(|line| line.starts_with("redirect_uri = ")).expect("redirect addresses");
    let redirect_uris: Vec<_> = written.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    if imitation != Imitation::Google {
        assert!(redirect_uris.iter().all(|uri| printed.stderr.contains(uri)), "{}", printed.stderr);
    }
    let secret = (imitation == Imitation::Google).then(|| "CANARY-client-secret".to_owned());
    let client = Registration { client_id: "printed-client".to_owned(), client_secret: secret.clone(), redirect_uris };
    let issuer = DevIssuer::start(Config { clients: vec![client], ..Config::imitating(imitation) }).unwrap();
    drop(nowhere);
    let file = home.write("home/secret", secret.as_deref().unwrap_or_default(), 0o600).display().to_string();
    let mut words = vec!["init", issuer.issuer(), "--provider", name, "--client-id", "printed-client"];
    if secret.is_some() {
        words.extend(["--client-secret-file", &file]);
    }
    words.extend(more);
    let done = home.daypass(&words);
    done.ok();
    assert!(done.stderr.contains("it works"), "{}", done.stderr);
    assert!(!done.stderr.contains("CANARY") && !done.stdout.contains("CANARY"), "the secret is not shown");
    let resource = if more.is_empty() { "me" } else { "api" };
    assert!(!home.daypass(&["token", resource]).ok().trim().is_empty());
    assert!(issuer.journal().requests.iter().any(|entry| entry.grant_type.as_deref() == Some("authorization_code")));
    home.daypass(&["init", "--undo"]);
    assert!(!profile(&home).contains("printed-client"));
    home.daypass(&["agent", "stop"]);
}

#[test]
fn entra_id_needs_no_step_but_the_printed_ones() {
    let scope = "api://payments.example.com/payments.read";
    at_an_imitation(Imitation::Entra, &[]);
    at_an_imitation(Imitation::Entra, &["--audience", "api://payments.example.com", "--scope", scope]);
}

#[test]
fn okta_needs_no_step_but_the_printed_ones() {
    at_an_imitation(Imitation::Okta, &[]);
    at_an_imitation(Imitation::Okta, &["--audience", "api://default", "--scope", "payments.read"]);
}

#[test]
fn google_needs_no_step_but_the_printed_ones() {
    at_an_imitation(Imitation::Google, &[]);
}

#[test]
fn keycloak_needs_no_step_but_the_printed_ones() {
    at_an_imitation(Imitation::Keycloak, &[]);
}

#[test]
fn another_makers_provider_needs_no_step_but_the_printed_ones() {
    // Glewlwyd takes redirect addresses to the letter and has no offline_access: two words more.
    let home = Arc::new(Home::new());
    let port = e2e::world::free_port();
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let glewlwyd = Glewlwyd::start(&home, &redirect, None);
    Mode { visit: false, ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    home.write_profile(&format!("version = 1\n{}", browser_command(&home)));
    let words = [
        "init",
        &glewlwyd.issuer,
        "--client-id",
        "daypass",
        "--redirect-uri",
        &redirect,
        "--offline",
        "none",
        "--no-login",
    ];
    home.daypass(&words).ok();
    let login = std::thread::spawn({
        let home = Arc::clone(&home);
        move || home.daypass(&["login", "work"])
    });
    let start = e2e::until("the browser", std::time::Duration::from_secs(10), || {
        let log = fs::read_to_string(home.log("browser.jsonl")).ok()?;
        let opened = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        opened.filter_map(|line| line["opened"].as_str().map(str::to_owned)).find(|address| address.contains("/start/"))
    });
    glewlwyd.sign_in(&start);
    login.join().unwrap().ok();
    Mode { consent: "today".to_owned(), ..Mode::default() }.write(&home.log("mode.json")).unwrap();
    assert_eq!(home.daypass(&["token", "me", "--wait", "30s"]).ok().split('.').count(), 3);
    home.daypass(&["agent", "stop"]);
}

#[test]
fn on_a_machine_without_a_browser_the_printed_steps_lead_to_a_token_too() {
    let home = Arc::new(Home::new());
    let provider = Provider::start(Setup::default());
    let mut prompt = Prompt::open(&home);
    let after = |screen: &str, start: &str| {
        let mut lines = screen.lines().skip_while(|line| !line.contains(start));
        lines.nth(1).map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    };
    let init = format!("daypass init {} --client-id daypass 2>&1", provider.issuer);
    let said = prompt.run_while(&init, |out| {
        // The person opens what is printed, on another device.
        let (address, code) = e2e::until("address and code", std::time::Duration::from_secs(30), || {
            let printed = fs::read_to_string(out).ok()?;
            Some((after(&printed, "open this address on any device")?, after(&printed, "enter this code")?))
        });
        Mode::default().write(&home.log("mode.json")).unwrap();
        e2e::world::visit(&home, &format!("{address}?user_code={code}")).ok();
    });
    assert_eq!(said.code, "0", "{said:?}");
    assert!(said.out.contains("signed in to work"), "{said:?}");
    // The two commands it printed, as they stand there.
    let approve =
        said.out.lines().map(str::trim).find(|line| line.starts_with("daypass approve ")).expect("a next step");
    let approved = prompt.run(approve);
    assert_eq!(approved.code, "0", "{approved:?}");
    let token = prompt.run("daypass token me");
    assert_eq!((token.code.as_str(), token.out.trim().split('.').count()), ("0", 3), "{}", token.err);
    home.daypass(&["agent", "stop"]).ok();
}
