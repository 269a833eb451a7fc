//! What a bad value means: its own key, as strictly as can be.

use super::{EXAMPLE, account, mandatory, resource, said};
use crate::Effective;
use broker::{ConsentRule, LockRule, Peers, Span, TerminalRule};

/// The example with one line's value replaced.
fn spoil(key: &str, value: &str) -> Effective {
    let line = EXAMPLE.lines().find(|l| l.starts_with(&format!("{key} ="))).unwrap();
    mandatory(&EXAMPLE.replacen(line, &format!("{key} = {value}"), 1))
}

#[test]
fn keys_with_a_strict_reading_take_it() {
    let payments = |e: &Effective| resource(e, "payments").unwrap().clone();
    for value in ["5", "\"Ask\"", "\"denied \"", "[\"ask\"]", "true"] {
        assert_eq!(payments(&spoil("consent", value)).consent, ConsentRule::Denied, "{value}");
    }
    for value in ["\"false\"", "0", "[]"] {
        assert!(payments(&spoil("sensitive", value)).sensitive, "{value}");
    }
    for value in
        ["5", "\"all\"", "{}", "[\"/usr/bin/git\"]", "[{}]", "[{ path = \"git\" }]", "[{ paht = \"/usr/bin/git\" }]"]
    {
        assert_eq!(payments(&spoil("peers", value)).peers, Peers::Listed(broker::PeerList::default()), "{value}");
    }
    for value in ["5", "\"payments.read payments.write\"", "[5]", "[\"a b\"]", "[\"payments.read\", \"\"]"] {
        assert_eq!(payments(&spoil("allowed_scopes", value)).allowed_scopes.to_string(), "payments.read", "{value}");
    }
    assert_eq!(payments(&spoil("lifetime", "300")).lifetime, Span::minutes(1));
    assert_eq!(spoil("idle", "\"1w\"").rules.consent.idle, Span::hours(12));
    assert_eq!(spoil("absolute", "24").rules.consent.absolute, Span::hours(12));
    assert_eq!(spoil("on_lock", "\"stop\"").rules.consent.on_lock, LockRule::End);
    assert_eq!(spoil("terminal", "false").rules.consent.terminal, TerminalRule::Never);
    assert_eq!(spoil("command", "\"firefox\"").rules.browser_command, None);
    let port = spoil("port", "65536").rules.broker;
    assert!(port.port == 6174 && !port.port_is_fixed);
    assert_eq!(spoil("name", "\"a\\u001b\"").rules.organisation, None);
    assert_eq!(spoil("support_url", "\"javascript:alert(1)\"").rules.support_url, None);
    assert!(account(&spoil("client_secret", "5"), "corp").unwrap().client_secret.is_none());
    assert!(account(&spoil("authorization_parameters", "5"), "corp").unwrap().authorization_parameters.is_empty());
    assert_eq!(account(&spoil("offline", "true"), "corp").unwrap().offline, broker::Offline::None);
    assert!(spoil("level", "\"optional\"").rules.broker.port_is_fixed);
}

#[test]
fn spoilt_scopes_deny_what_cannot_be_told() {
    let text = EXAMPLE
        .replace("scopes = [\"payments.read\"]", "scopes = \"payments.read\"")
        .replace("allowed_scopes", "# allowed_scopes");
    let effective = mandatory(&text);
    let payments = resource(&effective, "payments").unwrap();
    assert!(payments.scopes.is_empty() && payments.allowed_scopes.is_empty());
    assert_eq!(payments.consent, ConsentRule::Denied);
}

#[test]
fn keys_without_a_strict_reading_void_the_whole_and_what_depends_on_it() {
    for (key, value) in [
        ("issuer", "5"),
        ("issuer", "\"http://login.example.com\""),
        ("client_id", "\"\""),
        ("redirect_uri", "[]"),
        ("redirect_uri", "\"http://example.com/\""),
        ("required_claims", "5"),
        ("required_claims", "{ hd = 5 }"),
        ("required_claims", "{ hd = [\"example.com\"] }"),
    ] {
        let effective = spoil(key, value);
        assert!(effective.rules.accounts.is_empty() && effective.rules.resources.is_empty(), "{key} = {value}");
        assert_eq!(effective.void.keys().collect::<Vec<_>>(), ["accounts.corp", "resources.payments"]);
        assert!(
            said(&effective).contains("resources.payments counts for nothing: its account corp counts for nothing")
        );
        assert!(effective.rules.locked.is_none() && !effective.values.keys().any(|k| k.starts_with("accounts.")));
    }
    for (key, value) in [
        ("account", "5"),
        ("account", "\"other\""),
        ("token", "\"jwt\""),
        ("token", "\"exchange\""),
        ("audience", "[]"),
        ("audience", "\"\""),
        ("request", "\"scopes\""),
    ] {
        let effective = spoil(key, value);
        assert!(account(&effective, "corp").is_some(), "{key} = {value}");
        assert!(effective.rules.resources.is_empty(), "{key} = {value}: {}", said(&effective));
    }
    assert!(said(&spoil("token", "\"exchange\"")).contains("reserved"));
}

#[test]
fn a_misspelt_key_is_that_key_spoilt() {
    let text = |from: &str, to: &str| mandatory(&EXAMPLE.replacen(from, to, 1));
    assert_eq!(resource(&text("consent =", "consnet ="), "payments").unwrap().consent, ConsentRule::Denied);
    assert!(account(&text("required_claims", "required_claim"), "corp").is_none());
    assert_eq!(text("idle =", "idel =").rules.consent.idle, Span::hours(12));
    assert!(text("[resources.payments]", "[resource.payments]").rules.resources.is_empty());
    // Where the right one is there too, it counts.
    assert!(account(&text("client_id =", "client_idd = 5\nclient_id ="), "corp").is_some());
}

#[test]
fn one_bad_entry_of_several_goes_alone() {
    let effective = mandatory(&EXAMPLE.replace(
        "authorization_parameters = { prompt = \"select_account\" }",
        "authorization_parameters = { prompt = \"login\", Scope = \"x\", nonce = \"x\", audience = \"x\", max_age = 5, \"a b\" = \"x\", acr_values = \"mfa\" }",
    ));
    let corp = account(&effective, "corp").unwrap();
    assert_eq!(corp.authorization_parameters.keys().collect::<Vec<_>>(), ["acr_values", "prompt"]);
    assert_eq!(effective.diagnostics.iter().filter(|d| d.text.contains("authorization_parameters")).count(), 5);

    let uris = "redirect_uri = [\"http://127.1/\", \"http://[::1]/a\", 5, \"http://127.0.0.1:6174/\", \"http://localhost:8400/\"]";
    let effective = mandatory(&EXAMPLE.replace("redirect_uri = [\"http://127.0.0.1/callback\"]", uris));
    let uris = &effective.values["accounts.corp.redirect_uri"].json;
    assert_eq!(uris, &serde_json::json!(["http://[::1]/a", "http://localhost:8400/"]));
    assert!(said(&effective).contains("which is broker.port"));

    let peers = "peers = [{ path = \"/bin/a\", colour = 1 }, { path = \"/bin/b\", sha256 = \"00\" }, { path = \"/bin/../c\" }, { package = \"deb:git\" }, { os = \"linux\" }, { path = \"/bin/e\", os = \"plan9\" }, { path = \"/bin/d\", os = \"macos\" }]";
    let effective = mandatory(&EXAMPLE.replace("peers = [{ path = \"/usr/bin/git\" }]", peers));
    let Peers::Listed(rules) = &resource(&effective, "payments").unwrap().peers else { panic!("listed") };
    let kept: Vec<_> = rules.iter().map(|r| (r.path.clone(), r.package.clone())).collect();
    let mut expected = vec![(None, Some("deb:git".to_owned()))];
    if cfg!(target_os = "macos") {
        expected.push((Some("/bin/d".into()), None));
    }
    assert_eq!(kept, expected);
}

#[test]
fn only_port_of_the_broker_left_voids_the_account() {
    let effective = mandatory(&EXAMPLE.replace("http://127.0.0.1/callback", "http://127.0.0.1:6174/callback"));
    assert!(account(&effective, "corp").is_none());
}

#[test]
fn multi_tenant_issuers_are_refused_with_a_hint() {
    for issuer in ["https://login.microsoftonline.com/common/v2.0", "https://a.example/{tenantid}/v2.0"] {
        let effective = spoil("issuer", &format!("\"{issuer}\""));
        assert!(account(&effective, "corp").is_none());
        assert!(said(&effective).contains("use the issuer of your own tenant"));
    }
    let development = spoil("issuer", "\"http://127.0.0.1:4010\"");
    assert!(account(&development, "corp").is_some() && said(&development).contains("for development"));
}

#[test]
fn limits_are_brought_into_range() {
    for (key, value, seconds) in [("idle", "31d", 30 * 86_400), ("idle", "5s", 60), ("absolute", "30d", 30 * 86_400)] {
        let consent = spoil(key, &format!("\"{value}\"")).rules.consent;
        let span = if key == "idle" { consent.idle } else { consent.absolute };
        assert_eq!(span.as_seconds(), seconds, "{key} = {value}");
    }
    for (value, seconds) in [("2h", 3600), ("1h", 3600), ("10s", 60), ("0s", 60)] {
        let text =
            EXAMPLE.replace("token = \"access\"", "token = \"minted\"").replace("\"5m\"", &format!("\"{value}\""));
        let effective = mandatory(&text);
        assert_eq!(resource(&effective, "payments").unwrap().lifetime.as_seconds(), seconds, "{value}");
        assert_eq!(said(&effective).contains("must be 1m to 1h"), value != "1h");
    }
}

#[test]
fn audiences_have_to_be_there_and_apart() {
    let base = "version = 1\n[accounts.a]\nissuer = \"https://a.example\"\nclient_id = \"d\"\n[accounts.b]\nissuer = \"https://b.example\"\nclient_id = \"d\"\n";
    let two = |one: &str, two: &str| mandatory(&format!("{base}[resources.one]\n{one}\n[resources.two]\n{two}\n"));
    let minted =
        |account: &str| format!("account = \"{account}\"\ntoken = \"minted\"\naudience = \"https://x.example\"");

    let apart = two(&minted("a"), &minted("b"));
    assert!(apart.rules.resources.is_empty());
    assert!(said(&apart).contains("one and two mint for one audience from different accounts"));
    let same = two(&minted("a"), &minted("a"));
    assert!(same.rules.resources.len() == 2 && said(&same).contains("asked for by audience, one is meant"));
    let other = two(&minted("a"), &minted("b").replace("minted", "access"));
    assert_eq!(other.rules.resources.len(), 2);

    let lacking = two("account = \"a\"\ntoken = \"minted\"", "account = \"a\"\nrequest = \"audience\"");
    assert!(lacking.rules.resources.is_empty());
    let scope_only = two("account = \"a\"\nscopes = [\"s\"]", "account = \"a\"\ntoken = \"id\"");
    assert_eq!(resource(&scope_only, "one").unwrap().request, broker::RequestAs::Scope);
    assert!(scope_only.diagnostics.is_empty(), "{}", said(&scope_only));
    let plain = two("account = \"a\"\naudience = \"payments\"", "account = \"a\"");
    assert!(said(&plain).contains("no absolute URI"));
}

#[test]
fn openid_is_added_to_a_sign_in_that_lacks_it() {
    let effective = mandatory(&EXAMPLE.replace("\"openid\", ", ""));
    assert!(account(&effective, "corp").unwrap().scopes.contains("openid"));
    assert!(said(&effective).contains("lacks \"openid\""));
    let effective = spoil("scopes", "5");
    assert_eq!(account(&effective, "corp").unwrap().scopes.to_string(), "openid");
}
