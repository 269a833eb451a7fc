//! Network, audit log, notifications, desktop and links: whose word counts, and what a bad one means.

#![allow(clippy::format_collect, clippy::format_push_string, reason = "plain to read, and no test of speed")]

use super::{EXAMPLE, layered, managed, mandatory, said, user};
use crate::{Effective, Layer, resolve};
use broker::{AuditExport, Proxy, SignInAtStart, Span};
use proptest::prelude::*;

const RECOMMENDED: &str = r#"version = 1
level = "recommended"
[network]
proxy = "http://below.example:3128"
no_proxy = ["below.example"]
ca = ["/below.pem"]
[audit]
retention = "500d"
export = ["journald"]
"#;

/// The machine of a recommended file with a mandatory one above it.
fn above(mandatory: &str) -> Effective {
    resolve(&[managed("2.toml", RECOMMENDED), managed("1.toml", &format!("version = 1\n{mandatory}\n"))], "1.2.0")
}

#[test]
fn a_void_word_takes_its_strict_reading_and_says_what_counts() {
    use AuditExport::{Journald, Syslog};
    let below = Proxy::Url("http://below.example:3128".to_owned());
    for (text, proxy, says) in [
        ("proxy = \"none\"", Proxy::None, ""),
        ("proxy = \"direct\"", below.clone(), "network.proxy is void: http://below.example:3128 counts instead"),
        ("proxy = 5", below.clone(), "must be text, not a number"),
        ("prxoy = \"none\"", below.clone(), "did you mean proxy?"),
        ("proxy = \"http://me:CANARY@proxy:1\"", below.clone(), "must not name a user or password"),
    ] {
        let effective = above(&format!("[network]\n{text}"));
        assert_eq!(effective.rules.network.proxy, proxy, "{text}");
        assert!(said(&effective).contains(says) && !said(&effective).contains("CANARY"), "{}", said(&effective));
    }
    assert_eq!(above("network = 5").rules.network.proxy, below);
    let alone = mandatory(&EXAMPLE.replace("\"http://proxy.example.com:3128\"", "\"direct\""));
    assert_eq!(alone.rules.network.proxy, Proxy::None, "not what the environment says");
    assert!(said(&alone).contains("\"none\", the direct way, counts instead"), "{}", said(&alone));

    for (text, kept) in [
        ("ca = [\"/a.pem\", 5, \"a.pem\", \"/b.pem\"]", &["/a.pem", "/b.pem"][..]),
        ("ca = \"/a.pem\"", &[]),
        ("ac = [\"/a.pem\"]", &[]),
        ("ca = []", &[]),
    ] {
        assert_eq!(above(&format!("[network]\n{text}")).rules.network.ca, kept, "{text}");
    }
    for (text, days) in [
        ("retention = \"60d\"", 60),
        ("retention = \"1d\"", 30),
        ("retention = \"3650d\"", 3650),
        ("retention = \"99999d\"", 3650),
        ("retention = 60", 3650),
        ("retenion = \"60d\"", 3650),
        ("", 500),
    ] {
        assert_eq!(above(&format!("[audit]\n{text}")).rules.audit.retention, Span::hours(days * 24), "{text}");
    }
    for (text, places) in [
        ("export = [\"syslog\"]", &[Syslog][..]),
        ("export = []", &[]),
        ("export = [\"syslog\", \"jurnald\"]", &[Journald, Syslog]),
        ("export = [\"splunk\"]", &[Journald]),
        ("export = \"syslog\"", &[Journald]),
        ("exprot = []", &[Journald]),
    ] {
        assert_eq!(above(&format!("[audit]\n{text}")).rules.audit.export, places, "{text}");
    }
    let built_in = mandatory(
        "version = 1\n[notifications]\nenabled = 0\nexpiry_ahead = \"soon\"\n[desktop]\nautostart = \"no\"\nsign_in_at_start = \"daily\"",
    );
    assert!(built_in.rules.notifications.enabled && built_in.rules.desktop.autostart);
    assert_eq!(built_in.rules.notifications.expiry_ahead, Span::minutes(30));
    assert_eq!(built_in.rules.desktop.sign_in_at_start, SignInAtStart::First);
    assert!(said(&built_in).contains("desktop.sign_in_at_start is void: \"first\" counts instead"));
    for (text, minutes) in [("5s", 1), ("25h", 24 * 60), ("90m", 90)] {
        let effective = mandatory(&EXAMPLE.replace("\"20m\"", &format!("\"{text}\"")));
        assert_eq!(effective.rules.notifications.expiry_ahead, Span::minutes(minutes), "{text}");
    }
}

#[test]
fn the_users_network_and_audit_do_not_count() {
    let own = "[network]\nproxy = \"http://evil.example:1\"\nca = [\"/evil.pem\"]\nno_proxy = [\".example\"]\n[audit]\nretention = \"30d\"\nexport = []";
    let effective = layered(RECOMMENDED, &format!("version = 1\n{own}"));
    assert_eq!(effective.rules.network.proxy, Proxy::Url("http://below.example:3128".to_owned()));
    assert_eq!(effective.rules.network.ca, ["/below.pem"]);
    assert_eq!(effective.rules.audit.retention, Span::hours(500 * 24));
    assert_eq!(effective.rules.audit.export, [AuditExport::Journald]);
    for says in ["network counts in managed layers only", "audit counts in managed layers only"] {
        assert!(said(&effective).contains(says), "{}", said(&effective));
    }
    // A slip in a key that does not count here anyway takes nothing from what IT says.
    for slip in ["netwrok = 5", "[audti]\nretention = \"30d\"", "network = 5"] {
        let again = layered(RECOMMENDED, &format!("version = 1\n{slip}"));
        assert_eq!(format!("{:?}", again.rules.network), format!("{:?}", effective.rules.network), "{slip}");
        assert_eq!(again.rules.audit, effective.rules.audit, "{slip}");
        assert!(!again.diagnostics.is_empty());
    }
}

#[test]
fn what_cannot_be_read_at_all_costs_no_audit_line() {
    let locked = layered("version = 1\n[audit\nretention = \"3650d\"", "version = 1");
    assert!(locked.rules.locked.is_some());
    assert_eq!(locked.rules.audit.retention, Span::hours(3650 * 24));
}

#[test]
fn links_merge_by_label_and_eight_count() {
    let link = |label: &str, host: &str| format!("\"{label}\" = \"https://{host}.example\"\n");
    let own: String = (0..6).map(|i| link(&format!("Own {i}"), "own")).collect();
    let it: String = (0..4).map(|i| link(&format!("IT {i}"), "it")).collect();
    let effective = layered(
        &format!("version = 1\n[links]\n{it}"),
        &format!("version = 1\n[links]\n{own}{}", link("IT 1", "evil")),
    );
    let labels: Vec<&str> = effective.rules.links.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["IT 0", "IT 1", "IT 2", "IT 3", "Own 0", "Own 1", "Own 2", "Own 3"]);
    assert_eq!(effective.rules.links[1].1, "https://it.example");
    assert_eq!(effective.values["links.\"IT 1\""].origin.layer, Layer::Mandatory);
    assert!(said(&effective).contains("links.\"Own 5\" is one link too many: 8 count"), "{}", said(&effective));
    for bad in [
        "\"A\" = \"http://a.example\"",
        "\"A\" = \"javascript:alert(1)\"",
        "\"A\" = 5",
        "\"\" = \"https://a.example\"",
        "\"A\\u001b[31m\" = \"https://a.example\"",
        "\"A\\u202e\" = \"https://a.example\"",
    ] {
        let effective = layered(&format!("version = 1\n[links]\nB = \"https://b.example\"\n{bad}"), "version = 1");
        assert_eq!(effective.rules.links.len(), 1, "{bad}");
        assert!(!effective.diagnostics.is_empty() && !said(&effective).contains('\u{1b}'));
    }
    let spoilt = layered("version = 1\nlinks = 5", &format!("version = 1\n[links]\n{own}"));
    assert!(spoilt.rules.links.is_empty());
}

#[test]
fn too_many_accounts_leave_its_own_standing() {
    let account = |name: String| format!("[accounts.{name}]\nissuer = \"https://a.example\"\nclient_id = \"d\"\n");
    let own: String = (0..300).map(|i| account(format!("a{i:03}"))).collect();
    let it = account("z".to_owned());
    let effective = layered(&format!("version = 1\n{it}"), &format!("version = 1\n{own}"));
    assert_eq!(effective.rules.accounts.len(), 250);
    assert!(effective.rules.accounts.keys().any(|name| name.as_str() == "z"));
    assert!(effective.void.contains_key("accounts.a299") && !effective.void.contains_key("accounts.a248"));
}

/// Lines of tables that may be spoilt, one key each; each is good, so that taking it out is what an absent entry means.
const GOOD: [(&str, &str); 9] = [
    ("network", "proxy = \"none\""),
    ("network", "no_proxy = [\"a.example\", \"b.example\"]"),
    ("network", "ca = [\"/a.pem\"]"),
    ("audit", "retention = \"40d\""),
    ("audit", "export = [\"syslog\"]"),
    ("notifications", "enabled = false"),
    ("notifications", "expiry_ahead = \"2h\""),
    ("desktop", "autostart = false"),
    ("desktop", "sign_in_at_start = \"never\""),
];

fn tables(lines: &[(&str, String)]) -> String {
    let mut text = "version = 1\n".to_owned();
    for table in ["network", "audit", "notifications", "desktop"] {
        text.push_str(&format!("[{table}]\n"));
        lines.iter().filter(|(of, _)| *of == table).for_each(|(_, line)| text.push_str(&format!("{line}\n")));
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_word_is_never_looser_than_no_word(
        which in 0..GOOD.len(),
        bad in prop::sample::select(vec!["5", "1.5", "\"\"", "\"no such word\"", "[5]", "[\"no such word\"]", "{}", "2020-01-01"]),
        below in any::<bool>(),
    ) {
        let good: Vec<(&str, String)> = GOOD.iter().map(|(table, line)| (*table, (*line).to_owned())).collect();
        let (mut spoilt, mut without) = (good.clone(), good);
        let key = GOOD[which].1.split(' ').next().unwrap();
        spoilt[which].1 = format!("{key} = {bad}");
        without.remove(which);
        let with = |lines: &[(&str, String)]| {
            let mut sources = vec![managed("1.toml", &tables(lines))];
            if below {
                sources.push(managed("2.toml", RECOMMENDED));
            }
            sources.push(user("version = 1\n[network]\nproxy = \"none\"\n[audit]\nretention = \"30d\""));
            resolve(&sources, "1.2.0")
        };
        let (spoilt, without) = (with(&spoilt), with(&without));
        let (a, b) = (&without.rules, &spoilt.rules);
        prop_assert!(b.locked.is_none());
        prop_assert!(spoilt.diagnostics.iter().any(|d| d.line.is_some() && d.key.as_deref().is_some_and(|k| k.ends_with(key))));
        prop_assert!(b.network.proxy == a.network.proxy || b.network.proxy == Proxy::None);
        prop_assert!(b.network.ca.iter().all(|ca| a.network.ca.contains(ca)));
        prop_assert!(b.network.no_proxy.iter().all(|host| a.network.no_proxy.contains(host)));
        prop_assert!(b.audit.retention >= a.audit.retention);
        prop_assert!(a.audit.export.iter().all(|place| b.audit.export.contains(place)));
    }

    #[test]
    fn the_order_files_are_handed_over_in_never_matters(
        files in prop::collection::vec(
            (prop::sample::select(vec!["mandatory", "recommended", "user"]), prop::collection::vec((0..GOOD.len(), any::<bool>()), 0..5)),
            1..5,
        ),
        seed in any::<prop::sample::Index>(),
    ) {
        let mut sources = Vec::new();
        for (at, (level, lines)) in files.iter().enumerate() {
            let mut seen = std::collections::BTreeSet::new();
            let lines: Vec<(&str, String)> = lines
                .iter()
                .filter(|(which, _)| seen.insert(*which))
                .map(|(which, good)| {
                    let (table, line) = GOOD[*which];
                    (table, if *good { line.to_owned() } else { format!("{} = 5", line.split(' ').next().unwrap()) })
                })
                .collect();
            let text = tables(&lines);
            sources.push(match *level {
                "user" => user(&text),
                level => managed(&format!("{at}.toml"), &text.replace("version = 1", &format!("version = 1\nlevel = \"{level}\""))),
            });
        }
        let told = |effective: &Effective| format!("{:?} {:?} {:?}", effective.rules, effective.values, effective.diagnostics);
        let before = told(&resolve(&sources, "1.2.0"));
        let middle = seed.index(sources.len());
        sources.rotate_left(middle);
        prop_assert_eq!(&told(&resolve(&sources, "1.2.0")), &before);
        sources.reverse();
        prop_assert_eq!(&told(&resolve(&sources, "1.2.0")), &before);
    }
}

#[test]
fn a_later_file_that_cannot_be_read_takes_no_place_of_export_away() {
    use AuditExport::{Journald, Syslog};
    for (later, places) in [
        ("export = [\"syslog\", \"jurnald\"]", &[Journald, Syslog][..]),
        ("export = \"jurnald\"", &[Journald]),
        ("exprot = [\"syslog\"]", &[Journald]),
        ("export = [\"syslog\"]", &[Syslog]),
    ] {
        for level in ["mandatory", "recommended"] {
            let first = format!("version = 1\nlevel = \"{level}\"\n[audit]\nexport = [\"journald\"]\n");
            let later = format!("version = 1\nlevel = \"{level}\"\n[audit]\n{later}\n");
            let files = [("10.toml", first), ("20.toml", later)].map(|(file, text)| crate::Source {
                file: file.to_owned(),
                kind: crate::SourceKind::Managed,
                bytes: text.into_bytes(),
            });
            assert_eq!(resolve(&files, "1.2.0").rules.audit.export, places, "{level}");
        }
    }
}
