//! Who may say what, and whose word counts.

use super::{EXAMPLE, account, layered, managed, resource, said, user};
use crate::{Effective, Layer, resolve};
use broker::{ConsentRule, LockRule, Peers, Span, TerminalRule};

/// A managed file that describes one account and one resource; `LEVEL` and `MORE` are filled in.
const BASE: &str = r#"version = 1
level = "LEVEL"
[accounts.corp]
issuer = "https://login.example.com"
client_id = "daypass"
[resources.payments]
account = "corp"
audience = "https://payments.example.com"
scopes = ["read", "write"]
MORE
"#;

fn over(level: &str, more: &str, user_text: &str) -> Effective {
    layered(&BASE.replace("LEVEL", level).replace("MORE", more), &format!("version = 1\n{user_text}"))
}

#[test]
fn a_users_own_profile_works_without_it() {
    let text = EXAMPLE.replace("level = \"mandatory\"", "").replace("preapproved", "ask").replace("24h", "6h");
    let effective = resolve(&[user(&text)], "1.2.0");
    assert!(account(&effective, "corp").is_some());
    assert_eq!(resource(&effective, "payments").unwrap().consent, ConsentRule::Ask);
    assert_eq!(resource(&effective, "payments").unwrap().allowed_scopes.to_string(), "payments.read payments.write");
    assert_eq!(effective.rules.consent.absolute, Span::hours(6));
    assert_eq!(effective.rules.browser_command.as_ref().unwrap()[0], "firefox");
    assert!(!effective.rules.broker.port_is_fixed);
    assert!(said(&effective).contains("resources.payments.peers counts in managed layers only"));
}

#[test]
fn what_is_for_managed_layers_does_not_count_in_the_users() {
    let effective = resolve(&[user(EXAMPLE)], "1.2.0");
    let told = said(&effective);
    let payments = resource(&effective, "payments").unwrap();
    assert_eq!((payments.consent, &payments.peers), (ConsentRule::Ask, &Peers::Listed(broker::PeerList::default())));
    assert_eq!(effective.rules.consent.absolute, Span::hours(12));
    for says in [
        "level counts in managed",
        "consent \"preapproved\" counts in managed",
        "peers counts in managed",
        "consent.absolute may only be shorter than 12h",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn the_user_may_only_tighten_consent() {
    let own = "[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n";
    for (managed_says, user_says, counts) in [
        ("", "on_lock = \"end\"\nterminal = \"never\"\nidle = \"1h\"", (1, LockRule::End, TerminalRule::Never)),
        ("", "terminal = \"allow\"\nidle = \"13h\"", (12, LockRule::Pause, TerminalRule::Fallback)),
        (
            "terminal = \"allow\"\nidle = \"20h\"",
            "terminal = \"fallback\"\nidle = \"15h\"",
            (15, LockRule::Pause, TerminalRule::Fallback),
        ),
        (
            "terminal = \"never\"\non_lock = \"end\"\nidle = \"2h\"",
            "terminal = \"fallback\"\non_lock = \"pause\"\nidle = \"3h\"",
            (2, LockRule::End, TerminalRule::Never),
        ),
        ("idle = 5", "idle = \"11h\"", (11, LockRule::Pause, TerminalRule::Fallback)),
        ("", "idle = 5\non_lock = 5\nterminal = 5", (12, LockRule::End, TerminalRule::Never)),
        ("terminal = 5", "terminal = \"fallback\"", (12, LockRule::Pause, TerminalRule::Never)),
    ] {
        let effective =
            over("recommended", &format!("[consent]\n{managed_says}"), &format!("{own}[consent]\n{user_says}"));
        let consent = effective.rules.consent;
        assert_eq!(
            (consent.idle, consent.on_lock, consent.terminal),
            (Span::hours(counts.0), counts.1, counts.2),
            "{managed_says} / {user_says}"
        );
    }
    let effective = over("mandatory", "[consent]\nidle = \"20h\"", "[consent]\nidle = \"1h\"");
    assert_eq!(effective.rules.consent.idle, Span::hours(20), "a higher level wins");
    assert_eq!(effective.values["consent.idle"].origin.layer, Layer::Mandatory);
}

#[test]
fn the_user_may_only_tighten_a_recommended_resource() {
    for (managed_says, user_says, consent, sensitive, ceiling) in [
        ("", "consent = \"denied\"\nsensitive = true", ConsentRule::Denied, true, "read write"),
        (
            "consent = \"denied\"\nsensitive = true",
            "consent = \"ask\"\nsensitive = false",
            ConsentRule::Denied,
            true,
            "read write",
        ),
        ("consent = \"preapproved\"\npeers = \"any\"", "consent = \"ask\"", ConsentRule::Ask, false, "read write"),
        ("", "consent = \"preapproved\"", ConsentRule::Ask, false, "read write"),
        ("consent = 5", "consent = \"ask\"", ConsentRule::Denied, false, "read write"),
        ("", "consent = 5", ConsentRule::Denied, false, "read write"),
        ("", "allowed_scopes = [\"read\", \"admin\"]", ConsentRule::Ask, false, "read"),
        ("", "scopes = [\"admin\"]", ConsentRule::Ask, false, "read write"),
        ("", "scopes = []", ConsentRule::Ask, false, "read write"),
        ("", "scopes = [\"read\"]", ConsentRule::Ask, false, "read"),
        ("", "scopes = 5", ConsentRule::Denied, false, ""),
        ("allowed_scopes = 5", "allowed_scopes = [\"admin\"]", ConsentRule::Ask, false, ""),
        (
            "allowed_scopes = [\"read\", \"write\", \"more\"]",
            "scopes = [\"more\"]",
            ConsentRule::Ask,
            false,
            "more read write",
        ),
    ] {
        let effective = over("recommended", managed_says, &format!("[resources.payments]\n{user_says}"));
        let payments = resource(&effective, "payments").unwrap();
        let got = (payments.consent, payments.sensitive, payments.allowed_scopes.to_string());
        assert_eq!(got, (consent, sensitive, ceiling.to_owned()), "{managed_says} / {user_says}");
    }
    for level in ["recommended", "mandatory"] {
        let bare = BASE.replace("LEVEL", level).replace("MORE", "").replace("scopes = [\"read\", \"write\"]", "");
        let effective =
            layered(&bare, "version = 1\n[resources.payments]\nscopes = [\"admin\"]\nallowed_scopes = [\"admin\"]");
        assert!(resource(&effective, "payments").unwrap().allowed_scopes.is_empty(), "IT named no scopes");
    }
}

#[test]
fn a_mandatory_word_is_not_weakened_by_being_spoilt() {
    let own = "[resources.payments]\nscopes = [\"admin\"]\nallowed_scopes = [\"admin\"]\nconsent = \"ask\"";
    for spoilt in ["consent = \"no\"", "consent = 5"] {
        let effective = over("mandatory", spoilt, own);
        let payments = resource(&effective, "payments").unwrap();
        assert_eq!(payments.consent, ConsentRule::Denied);
        assert!(!payments.allowed_scopes.contains("admin"));
    }
    for spoilt in ["[resources]\npayments = 5", "resources = 5"] {
        let text = format!("version = 1\n{spoilt}");
        let mine = "version = 1\n[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n[resources.payments]\naccount = \"own\"";
        assert!(layered("version = 1", mine).rules.resources.len() == 1);
        assert!(layered(&text, mine).rules.resources.is_empty(), "{spoilt}");
    }
}

#[test]
fn the_user_cannot_mend_what_it_spoilt() {
    let spoilt = BASE.replace("LEVEL", "recommended").replace("MORE", "").replace("\"https://login.example.com\"", "5");
    let mine = "version = 1\n[accounts.corp]\nissuer = \"https://own.example\"";
    assert!(account(&layered(&spoilt, mine), "corp").is_none());
    let mended = resolve(&[managed("1.toml", &spoilt), managed("2.toml", mine)], "1.2.0");
    assert_eq!(account(&mended, "corp").unwrap().issuer.as_str(), "https://own.example", "a mandatory file can");
}

#[test]
fn the_users_table_that_is_none_takes_nothing_from_it() {
    for text in ["resources = 5", "accounts = 5", "consent = 5", "accounts.corp = 5\nresources.payments = 5"] {
        let effective = over("recommended", "", text);
        assert_eq!(resource(&effective, "payments").unwrap().consent, ConsentRule::Ask);
        assert!(said(&effective).contains("must be a table, not a number"));
    }
}

#[test]
fn a_preapproval_covers_only_what_managed_layers_describe() {
    let preapproved = "consent = \"preapproved\"\npeers = [{ path = \"/usr/bin/git\" }]";
    for (user_says, consent) in [
        ("", ConsentRule::Preapproved),
        ("[resources.payments]\nscopes = [\"read\"]", ConsentRule::Preapproved),
        ("[resources.payments]\naudience = \"https://other.example\"", ConsentRule::Ask),
        ("[resources.payments]\ntoken = \"id\"", ConsentRule::Ask),
        ("[resources.payments]\nrequest = \"audience\"", ConsentRule::Ask),
        ("[accounts.corp]\nissuer = \"https://other.example\"", ConsentRule::Ask),
        ("[accounts.corp]\nclient_id = \"other\"", ConsentRule::Ask),
        (
            "[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n[resources.payments]\naccount = \"own\"",
            ConsentRule::Ask,
        ),
    ] {
        let effective = over("recommended", preapproved, user_says);
        assert_eq!(resource(&effective, "payments").unwrap().consent, consent, "{user_says}");
    }
}

#[test]
fn the_user_opens_no_second_door_to_a_managed_audience() {
    let own = "[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n[resources.also]\naccount = \"ACCOUNT\"\naudience = \"AUDIENCE\"\nscopes = [\"admin\"]";
    let with = |managed_says: &str, account: &str, audience: &str| {
        let effective = over("mandatory", managed_says, &own.replace("ACCOUNT", account).replace("AUDIENCE", audience));
        resource(&effective, "also").is_some()
    };
    assert!(with("", "corp", "https://other.example"));
    assert!(!with("", "corp", "https://payments.example.com"));
    assert!(!with("", "own", "https://payments.example.com"));
    // The door stays shut when the managed resource itself is spoilt.
    assert!(!with("token = 5", "corp", "https://payments.example.com"));
    assert!(!with("[resources.x]\naccount = \"corp\"\naudience = 5", "corp", "https://other.example"));
    assert!(with("[resources.x]\naccount = \"corp\"\naudience = 5", "own", "https://other.example"));
}

#[test]
fn the_user_may_narrow_but_not_bend_a_managed_account() {
    let effective = over(
        "recommended",
        "[accounts.corp.required_claims]\nhd = \"example.com\"",
        "[accounts.corp]\nscopes = [\"openid\", \"groups\"]\nrequired_claims = { hd = \"evil.example\", groups = \"staff\" }\noffline = \"none\"",
    );
    let corp = account(&effective, "corp").unwrap();
    assert_eq!(corp.required_claims["hd"], "example.com");
    assert_eq!(corp.required_claims["groups"], "staff");
    assert_eq!(corp.scopes.to_string(), "openid");
    assert_eq!(corp.offline, broker::Offline::None);
    assert_eq!(effective.values["accounts.corp.required_claims.hd"].origin.layer, Layer::Recommended);
    assert_eq!(effective.values["accounts.corp.required_claims.groups"].origin.layer, Layer::User);
    let spoilt =
        over("recommended", "[accounts.corp.required_claims]\nhd = 5", "[accounts.corp.required_claims]\nhd = \"x\"");
    assert!(account(&spoilt, "corp").is_none(), "the user cannot mend a spoilt claim");
    let mended = resolve(
        &[
            managed(
                "10.toml",
                &BASE.replace("LEVEL", "recommended").replace("MORE", "[accounts.corp.required_claims]\nhd = 5"),
            ),
            managed("20.toml", "version = 1\n[accounts.corp.required_claims]\nhd = \"example.com\""),
        ],
        "1.2.0",
    );
    assert_eq!(account(&mended, "corp").unwrap().required_claims["hd"], "example.com", "a mandatory file can");
}

#[test]
fn limits_of_minted_tokens_are_shortened_only() {
    for (user_says, seconds) in [("1m", 60), ("5m", 300), ("10m", 300)] {
        let text = format!(
            "version = 1\n[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n[resources.r]\naccount = \"own\"\ntoken = \"minted\"\naudience = \"https://r.example\"\nlifetime = \"{user_says}\""
        );
        let effective = resolve(&[user(&text)], "1.2.0");
        assert_eq!(resource(&effective, "r").unwrap().lifetime.as_seconds(), seconds);
    }
}

#[test]
fn files_of_one_level_count_in_the_order_of_their_names() {
    let one =
        |name: &str, port: u16| managed(name, &format!("version = 1\nname = \"{name}\"\n[broker]\nport = {port}"));
    for sources in
        [[one("/z/10-a.toml", 1001), one("/a/20-b.toml", 1002)], [one("/a/20-b.toml", 1002), one("/z/10-a.toml", 1001)]]
    {
        let effective = resolve(&sources, "1.2.0");
        assert_eq!((effective.rules.broker.port, effective.rules.broker.port_is_fixed), (1002, true));
        assert_eq!(effective.values["broker.port"].origin.file.as_deref(), Some("/a/20-b.toml"));
    }
    // Within a level a later word replaces an earlier one, a void one too.
    let texts = ["version = 1\n[consent]\nterminal = \"allow\"", "version = 1\n[consent]\nterminal = 5"];
    let resolve_two =
        |a: &str, b: &str| resolve(&[managed("1.toml", a), managed("2.toml", b)], "1.2.0").rules.consent.terminal;
    assert_eq!(resolve_two(texts[0], texts[1]), TerminalRule::Never);
    assert_eq!(resolve_two(texts[1], texts[0]), TerminalRule::Allow);
}

#[test]
fn tables_merge_and_arrays_are_replaced() {
    let effective = resolve(
        &[
            managed("1.toml", &BASE.replace("LEVEL", "recommended").replace("MORE", "")),
            managed(
                "2.json",
                r#"{"version": 1, "accounts": {"corp": {"client_id": "other", "redirect_uri": "http://[::1]/"}}, "resources": {"payments": {"scopes": ["read"]}}}"#,
            ),
        ],
        "1.2.0",
    );
    let corp = account(&effective, "corp").unwrap();
    assert_eq!((corp.issuer.as_str(), corp.client_id.as_str()), ("https://login.example.com", "other"));
    assert_eq!(resource(&effective, "payments").unwrap().scopes.to_string(), "read");
    assert_eq!(effective.values["resources.payments.audience"].origin.layer, Layer::Recommended);
    assert_eq!(effective.values["resources.payments.scopes"].origin.layer, Layer::Mandatory);
}

#[test]
fn what_a_mandatory_file_overrules_is_told() {
    let own = |text: &str| over("mandatory", "consent = \"ask\"\n[consent]\nidle = \"1h\"", text);
    let told = |effective: &Effective| {
        let all = effective.diagnostics.iter().filter(|d| d.text.contains("is overruled by"));
        all.map(|d| (d.severity, d.line, d.text.clone())).collect::<Vec<_>>()
    };
    for (text, line, key, by) in [
        ("[accounts.corp]\nissuer = \"https://other.example\"", 3, "accounts.corp.issuer", 4),
        ("[accounts.corp]\nclient_id = \"mine\"", 3, "accounts.corp.client_id", 5),
        ("[resources.payments]\nscopes = [\"read\"]", 3, "resources.payments.scopes", 9),
        ("[resources.payments]\nconsent = \"denied\"", 3, "resources.payments.consent", 10),
        ("[consent]\nidle = \"30m\"", 3, "consent.idle", 12),
        ("[consent]\nidle = \"2h\"", 3, "consent.idle", 12),
    ] {
        let effective = own(text);
        let found = told(&effective);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let (severity, at, words) = &found[0];
        assert_eq!((*severity, *at), (crate::Severity::Warning, Some(line)), "{text}");
        assert!(words.starts_with(&format!("{key} is overruled by ")) && words.ends_with(&format!(":{by}")), "{words}");
    }
    // Who says the same, or what nobody else says, is not overruled; nor is a suggestion a rule.
    for text in [
        "[accounts.corp]\nclient_id = \"daypass\"",
        "[accounts.corp]\ntitle = \"Mine\"",
        "[consent]\nabsolute = \"2h\"",
    ] {
        assert_eq!(told(&own(text)), [], "{text}");
    }
    let suggested = over("recommended", "", "[accounts.corp]\nclient_id = \"mine\"");
    assert_eq!(told(&suggested), []);
}
