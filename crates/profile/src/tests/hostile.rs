//! Files that are not what they should be: the cases P01, P11 and P13 of the threat model.

#![allow(clippy::format_collect, clippy::format_push_string, reason = "plain to read, and no test of speed")]

use super::{EXAMPLE, layered, managed, mandatory, resource, said, user};
use crate::{Severity, Source, SourceKind, check, resolve};
use broker::{ConsentRule, Peers, Span};
use std::time::{Duration, Instant};

fn bytes(file: &str, bytes: impl Into<Vec<u8>>) -> Source {
    Source { file: file.into(), kind: SourceKind::Managed, bytes: bytes.into() }
}

fn utf16(text: &str, bom: &[u8], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    bom.iter().copied().chain(text.encode_utf16().flat_map(unit)).collect()
}

/// P01: rejected as a whole, with the line where there is one, in a moment, and nothing is issued.
#[test]
fn p01_what_is_no_profile_is_refused_with_its_line() {
    let keys = |count: usize| (0..count).map(|i| format!("key{i} = 1\n")).collect::<String>();
    let good = "version = 1\nname = \"x\"\n";
    let cases: Vec<(&str, Source, &str, Option<u32>)> = vec![
        ("bad syntax", bytes("a.toml", "version = 1\n\nname = = 2\n"), "is not TOML", Some(3)),
        ("unclosed string", bytes("a.toml", "version = 1\nname = \"x\n"), "is not TOML", Some(2)),
        ("bad syntax, JSON", bytes("a.json", "{\"version\": 1,\n\"name\" \"x\"}"), "is not JSON", Some(2)),
        ("a key twice", bytes("a.toml", "version = 1\nname = \"x\"\nname = \"y\""), "is not TOML", Some(3)),
        ("a key twice, JSON", bytes("a.json", "{\"version\": 1,\n\"version\": 1}"), "twice", Some(2)),
        ("empty", bytes("a.toml", ""), "is empty", None),
        ("white space", bytes("a.json", " \n\t\n"), "is empty", None),
        ("BOM alone", bytes("a.toml", [0xef, 0xbb, 0xbf]), "is empty", None),
        ("UTF-16 LE", bytes("a.toml", utf16(good, &[0xff, 0xfe], u16::to_le_bytes)), "UTF-16", Some(1)),
        ("UTF-16 BE", bytes("a.toml", utf16(good, &[0xfe, 0xff], u16::to_be_bytes)), "UTF-16", Some(1)),
        ("UTF-16 without BOM", bytes("a.json", utf16("{\"version\": 1}", &[], u16::to_le_bytes)), "UTF-16", Some(1)),
        ("Latin-1", bytes("a.toml", *b"version = 1\nname = \"\xe9\"\n"), "is not UTF-8", Some(2)),
        ("sign-in page", bytes("a.toml", "\r\n<!DOCTYPE html><html>Sign in</html>"), "is a web page", Some(1)),
        ("sign-in page, JSON", bytes("a.json", "<html><body>407</body></html>"), "is a web page", Some(1)),
        ("JSON in TOML", bytes("a.toml", "{\"version\": 1}"), "is JSON in a file named .toml", Some(1)),
        ("TOML in JSON", bytes("a.json", "version = 1"), "is not JSON", Some(1)),
        ("a JSON list", bytes("a.json", "[{\"version\": 1}]"), "is a list", Some(1)),
        ("50 MB", bytes("a.toml", vec![b'#'; 50_000_000]), "is larger than 1 MiB", None),
        ("50 MB of JSON", bytes("a.json", [b"{\"a\": \"".to_vec(), vec![b'x'; 50_000_000]].concat()), "1 MiB", None),
        ("10^6 keys", bytes("a.toml", format!("version = 1\n{}", keys(1_000_000))), "is larger than 1 MiB", None),
        ("deep JSON", bytes("a.json", "{\"a\":".repeat(150_000)), "is not JSON", Some(1)),
        ("deep lists", bytes("a.toml", format!("version = 1\na = {}", "[".repeat(200_000))), "is not TOML", Some(2)),
        ("deep tables", bytes("a.toml", format!("version = 1\n[a{}]", ".a".repeat(200_000))), "nested too", Some(2)),
        ("YAML", bytes("a.yaml", "version: 1\na: &a [*a, *a]"), "is neither .toml nor .json", None),
    ];
    for (case, source, says, line) in cases {
        let started = Instant::now();
        let effective = resolve(&[source.clone(), managed("b.toml", EXAMPLE)], "1.2.0");
        assert!(started.elapsed() < Duration::from_secs(10), "{case} took {:?}", started.elapsed());
        let locked = effective.rules.locked.unwrap_or_else(|| panic!("{case} is taken"));
        assert!(locked.contains(says), "{case}: {locked}");
        let told = effective.diagnostics.iter().find(|d| d.file == source.file).unwrap();
        assert_eq!((told.line, told.severity), (line, Severity::Error), "{case}: {told}");
        assert!(told.to_string().len() < 300 && !told.to_string().contains(char::is_control), "{case}: {told}");
        // A file of the user's that is none takes nothing away.
        let own = resolve(&[Source { kind: SourceKind::User, ..source }, managed("b.toml", EXAMPLE)], "1.2.0");
        assert!(own.rules.locked.is_none() && resource(&own, "payments").is_some(), "{case}");
    }
}

/// P01: a byte order mark in front, many unknown keys, and values nested too deeply do not cost the file.
#[test]
fn p01_what_can_be_read_is_read() {
    let marked = resolve(&[bytes("a.toml", [&[0xef, 0xbb, 0xbf], EXAMPLE.as_bytes()].concat())], "1.2.0");
    assert!(resource(&marked, "payments").is_some() && marked.diagnostics.is_empty());
    let many: String = (0..20_000).map(|i| format!("key{i} = 1\n")).collect();
    let started = Instant::now();
    let wide = mandatory(&EXAMPLE.replacen("version = 1\n", &format!("version = 1\n{many}"), 1));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(resource(&wide, "payments").is_some());
    assert_eq!(wide.diagnostics.len(), 101);
    let deep = mandatory(
        &EXAMPLE
            .replacen("version = 1\n", &format!("version = 1\nname = {}1{}\n", "[".repeat(40), "]".repeat(40)), 1)
            .replacen("name = \"Example Corp\"\n", "", 1),
    );
    assert!(resource(&deep, "payments").is_some() && deep.rules.organisation.is_none());
}

/// P11: what a profile may not do stays undone by a built-in ceiling, whoever wrote it.
#[test]
fn p11_no_profile_lifts_a_ceiling() {
    let with = |from: &str, to: &str| {
        assert!(EXAMPLE.contains(from), "{from}");
        mandatory(&EXAMPLE.replacen(from, to, 1))
    };
    for uri in [
        "http://*/callback",
        "http://127.0.0.1:*/callback",
        "*",
        "http://0.0.0.0/",
        "https://example.com/cb",
        "http://127.0.0.1/*?x=*#y",
    ] {
        let effective = with("[\"http://127.0.0.1/callback\"]", &format!("[\"{uri}\"]"));
        let account = effective.rules.accounts.values().next();
        assert!(account.is_none_or(|a| a.redirect_uris.iter().all(|u| u.path == "/*")), "{uri}: {account:?}");
    }
    for issuer in ["https://*.example.com", "https://login.microsoftonline.com/common/v2.0", "http://login.example.com"]
    {
        assert!(with("\"https://login.example.com\"", &format!("\"{issuer}\"")).rules.accounts.is_empty(), "{issuer}");
    }
    // A wildcard audience is a name like any other: it is asked for to the letter and matches no other resource.
    let star = with("\"https://payments.example.com\"", "\"*\"");
    assert!(star.rules.resource("https://payments.example.com").is_none() && star.rules.resource("*").is_some());

    let consent = with("idle = \"10m\"\nabsolute = \"24h\"", "idle = \"3650d\"\nabsolute = \"999d\"").rules.consent;
    assert_eq!((consent.idle, consent.absolute), (Span::hours(720), Span::hours(720)));
    let minted = with("token = \"access\"", "token = \"minted\"\nlifetime = \"365d\"\n#");
    let minted =
        mandatory(&EXAMPLE.replacen("token = \"access\"", "token = \"minted\"", 1).replacen("\"5m\"", "\"365d\"", 1))
            .rules
            .resource("payments")
            .map(|r| r.lifetime)
            .or(minted.rules.resource("payments").map(|r| r.lifetime));
    assert_eq!(minted, Some(Span::hours(1)));
    let audit = with("retention = \"200d\"", "retention = \"0s\"").rules.audit;
    assert_eq!(audit.retention, Span::hours(30 * 24));
    let links: String = (0..100).map(|i| format!("L{i} = \"https://l.example\"\n")).collect();
    assert_eq!(with("[links]\n", &format!("[links]\n{links}")).rules.links.len(), 8);
    let hosts: String = (0..1000).map(|i| format!("\"h{i}.example\", ")).collect();
    assert_eq!(with("no_proxy = [", &format!("no_proxy = [{hosts}")).rules.network.no_proxy.len(), 256);
    let files: String = (0..100).map(|i| format!("\"/{i}.pem\", ")).collect();
    assert_eq!(with("ca = [", &format!("ca = [{files}")).rules.network.ca.len(), 32);

    // There is no key for these, in any layer.
    for key in [
        "log_level = \"trace\"",
        "helper = [\"/bin/sh\"]",
        "[consent]\nrequired = false",
        "[broker]\nhost = \"0.0.0.0\"",
        "[network]\nverify = false",
    ] {
        let effective = mandatory(&format!("version = 1\n{key}"));
        assert!(said(&effective).contains("is not a known key"), "{key}: {}", said(&effective));
    }
}

/// P11: what is IT's alone does nothing in the user's own profile, and says so.
#[test]
fn p11_the_user_has_no_dangerous_keys() {
    let base =
        EXAMPLE.replace("level = \"mandatory\"", "level = \"recommended\"").replace("\"preapproved\"", "\"ask\"");
    for (text, says) in [
        ("[network]\nca = [\"/home/me/ca.pem\"]", "network counts in managed layers only"),
        ("[network]\nproxy = \"http://evil.example:80\"", "network counts in managed layers only"),
        ("[audit]\nretention = \"30d\"\nexport = []", "audit counts in managed layers only"),
        ("[resources.payments]\npeers = \"any\"\nconsent = \"preapproved\"", "peers counts in managed layers only"),
        ("[consent]\nterminal = \"allow\"", "consent.terminal may only be stricter"),
        ("[consent]\nidle = \"11h\"", "consent.idle may only be shorter than 10m"),
        ("[resources.payments]\nsensitive = false\nallowed_scopes = [\"admin\"]", "allowed_scopes"),
    ] {
        let before = layered(&base, "version = 1");
        let after = layered(&base, &format!("version = 1\n{text}"));
        assert!(said(&after).contains(says), "{text}: {}", said(&after));
        let rules = |e: &crate::Effective| format!("{:?} {:?} {:?}", e.rules.network, e.rules.audit, e.rules.consent);
        assert_eq!(rules(&before), rules(&after), "{text}");
        let payments = resource(&after, "payments").unwrap();
        assert_eq!(
            (payments.consent, &payments.peers),
            (ConsentRule::Ask, &resource(&before, "payments").unwrap().peers)
        );
        assert!(!payments.allowed_scopes.contains("admin") && payments.peers != Peers::Any);
    }
}

/// P13: markup, steps of a path, escape sequences and characters that turn text around are refused or shown harmless.
#[test]
fn p13_names_and_texts_that_upset_nothing() {
    let nasty = [
        "\u{1b}[2J",
        "\u{202e}cod",
        "\u{2066}x",
        "a\u{200b}b",
        "\u{9b}31m",
        "a\nb",
        "\r",
        "\u{7}",
        "\u{0}",
        "\u{feff}x",
    ];
    for text in nasty {
        let toml = toml::Value::from(text).to_string();
        let quoted = toml::to_string(&toml::Table::from_iter([("x".to_owned(), toml::Value::from(text))])).unwrap();
        let value = quoted.trim_start_matches("x = ").trim_end();
        for (from, to) in [
            ("name = \"Example Corp\"", format!("name = {value}")),
            ("title = \"Payments\"", format!("title = {value}")),
            ("description = \"Invoices and what was paid\"", format!("description = {value}")),
            ("support_url = \"https://it.example.com/daypass\"", format!("support_url = {value}")),
            ("\"Help desk\" = \"https://help.example.com\"", format!("\"Help desk\" = {value}")),
        ] {
            let effective = mandatory(&EXAMPLE.replacen(from, &to, 1));
            let shown = format!(
                "{}{}",
                said(&effective).replace('\n', ""),
                effective.values.values().map(|v| v.json.to_string()).collect::<String>()
            );
            assert!(!effective.diagnostics.is_empty(), "{to} is taken");
            assert!(!shown.contains(text.trim_matches(char::is_alphanumeric)), "{to}: {toml}");
        }
        // As a key: told without the character, and void.
        let named = format!(
            "version = 1\n[resources.{}]\naccount = \"corp\"\n[accounts.corp]\nissuer = \"https://a.example\"\nclient_id = \"d\"",
            toml_key(text)
        );
        let effective = mandatory(&named);
        assert!(effective.rules.resources.is_empty(), "{text:?}");
        assert!(
            !said(&effective)
                .replace('\n', "")
                .contains(|c: char| c.is_control() || ('\u{2060}'..'\u{206f}').contains(&c) || c == '\u{202e}'),
            "{text:?}"
        );
    }
    // Markup and steps of a path are text: kept to the letter, never a file and never a name.
    let markup =
        mandatory(&EXAMPLE.replacen("\"Example Corp\"", "\"<img src=x onerror=alert(1)> ../../etc/passwd\"", 1));
    assert_eq!(markup.rules.organisation.as_deref(), Some("<img src=x onerror=alert(1)> ../../etc/passwd"));
    for name in ["../x", "a/b", "<b>", "..", "a b"] {
        let effective = mandatory(&format!(
            "version = 1\n[accounts.{}]\nissuer = \"https://a.example\"\nclient_id = \"d\"",
            toml_key(name)
        ));
        assert!(effective.rules.accounts.is_empty(), "{name}");
        assert!(said(&effective).contains("is void: the name"), "{name}: {}", said(&effective));
    }
    // A file name is shown as the caller names it; a check says what it says of any file.
    assert!(check(&user("version = 1\nname = \"\u{1b}\""), "1.2.0").iter().all(|d| !d.to_string().contains('\u{1b}')));
}

fn toml_key(text: &str) -> String {
    let table = toml::Table::from_iter([(text.to_owned(), toml::Value::from(1))]);
    toml::to_string(&table).unwrap().trim_end().trim_end_matches(" = 1").to_owned()
}
