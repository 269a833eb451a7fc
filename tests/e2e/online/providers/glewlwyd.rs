//! Glewlwyd, as it is: nothing here is imitated or assumed.

use super::{Stage, documented};
use e2e::{
    browser::Mode,
    claims,
    glewlwyd::{AUDIENCE, Glewlwyd},
    world::free_port,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The profile of the guide's page for any provider, as this one needs it, and alice signed in.
fn signed_in(secret: Option<&str>) -> (Stage, Glewlwyd) {
    let redirect = format!("http://127.0.0.1:{}/callback", free_port());
    let home = Arc::new(e2e::home::Home::new());
    let glewlwyd = Glewlwyd::start(&home, &redirect, secret);
    let profile = documented("generic")
        .replace("https://login.example.com/tenant", &glewlwyd.issuer)
        .replace("http://127.0.0.1/callback", &redirect)
        .replace("scopes = [\"openid\", \"profile\", \"email\"]", "scopes = [\"openid\"]")
        .replace("offline = \"auto\"", "offline = \"none\"")
        .replace("\"payments.read\", \"payments.write\"", "\"payments.read\"");
    let line = secret.map_or(String::new(), |secret| format!("client_secret = \"{secret}\"\n"));
    let profile = profile.replace("redirect_uri = ", &format!("{line}redirect_uri = "));
    let stage = Stage::at(home, &profile);
    // The browser does nothing by itself: its pages are programs, which the test plays.
    stage.behave(&Mode { visit: false, ..Mode::default() });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stage.daypass(&["login", "corp"]));
        let address = e2e::until("the address", Duration::from_secs(20), || {
            stage.pages().iter().find_map(|line| line["opened"].as_str().map(str::to_owned))
        });
        let last = glewlwyd.sign_in(&address);
        assert_eq!(last.answer.status, 200, "{}", last.answer.text());
        waiting.join().unwrap().ok();
    });
    stage.answer("ignore");
    (stage, glewlwyd)
}

#[test]
fn alice_signs_in_gets_tokens_and_signs_out() {
    let (stage, glewlwyd) = signed_in(None);
    assert!(stage.signed_in(), "{}", stage.account());
    let first = stage.permit("payments");
    let said = claims(&first);
    assert_eq!((&said["aud"], &said["iss"]), (&json!(AUDIENCE), &json!(glewlwyd.issuer)));
    let second = stage.renew("payments");
    assert_ne!(first, second);
    stage.renew("payments");
    // It takes a revocation from confidential clients only.
    let told = stage.daypass(&["logout", "corp"]).fails(7);
    assert!(told.contains("signed out here, the provider was not told"), "{told}");
    assert!(!stage.signed_in());
}

#[test]
fn a_client_with_a_secret_may_revoke() {
    let (stage, _glewlwyd) = signed_in(Some("not-confidential"));
    stage.permit("payments");
    stage.renew("payments");
    let output = stage.daypass(&["logout", "corp"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!output.stderr.contains("not told") && !stage.signed_in(), "{output:?}");
}
