//! What holds for every input.

use super::{EXAMPLE, managed, mandatory, resource, user};
use crate::{Effective, Layer, Severity, Source, SourceKind, check, resolve};
use broker::{ConsentRule, Peers, ScopeSet};
use proptest::prelude::*;
use toml::Value;

fn example() -> Value {
    toml::from_str(EXAMPLE).unwrap()
}

/// Paths of all keys of a tree, tables included.
fn paths(at: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    for (key, value) in at.as_table().into_iter().flatten() {
        let path: Vec<String> = path.iter().cloned().chain([key.clone()]).collect();
        found.push(path.clone());
        paths(value, &path, found);
    }
}

fn table_of<'a>(tree: &'a mut Value, path: &[String]) -> &'a mut toml::Table {
    path.iter().fold(tree, |at, step| &mut at[step.as_str()]).as_table_mut().unwrap()
}

/// How far a resource is open; every part may only shrink.
struct Opening {
    looseness: u8,
    ceiling: ScopeSet,
    peers: Option<Vec<broker::PeerRule>>,
    insensitive: bool,
}

fn opening(effective: &Effective) -> Option<Opening> {
    let payments = resource(effective, "payments").filter(|_| effective.rules.locked.is_none())?;
    Some(Opening {
        looseness: match payments.consent {
            ConsentRule::Denied => 0,
            ConsentRule::Ask => 1,
            ConsentRule::Preapproved => 2,
        },
        ceiling: payments.allowed_scopes.clone(),
        peers: match &payments.peers {
            Peers::Any => None,
            Peers::Listed(rules) => Some(rules.to_vec()),
        },
        insensitive: !payments.sensitive,
    })
}

fn never_more(before: &Effective, after: &Effective, what: &str) {
    let (Some(before), Some(after)) = (opening(before), opening(after)) else {
        assert!(opening(after).is_none(), "{what}: it was not there before");
        return;
    };
    assert!(after.looseness <= before.looseness, "{what}: consent");
    assert!(after.ceiling.is_subset(&before.ceiling), "{what}: ceiling {} over {}", after.ceiling, before.ceiling);
    assert!(before.insensitive || !after.insensitive, "{what}: sensitive");
    match (before.peers, after.peers) {
        (None, _) => {}
        (Some(before), Some(after)) => assert!(after.iter().all(|rule| before.contains(rule)), "{what}: peers"),
        (Some(_), None) => panic!("{what}: peers became any"),
    }
}

fn good(consent: &str, peers: &str, sensitive: bool) -> Value {
    let mut tree = example();
    let payments = table_of(&mut tree, &["resources".into(), "payments".into()]);
    payments.insert("consent".into(), consent.into());
    payments.insert("sensitive".into(), sensitive.into());
    if peers == "any" {
        payments.insert("peers".into(), "any".into());
    }
    tree
}

fn bad_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z ]{0,8}".prop_map(Value::from),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(Value::from),
        Just(Value::Table(toml::Table::new())),
        Just(Value::Float(1.5)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..400), json in any::<bool>()) {
        let file = if json { "a.json" } else { "a.toml" };
        let effective = resolve(&[Source { file: file.into(), kind: SourceKind::Managed, bytes }], "1.2.0");
        prop_assert!(effective.rules.accounts.is_empty());
    }

    #[test]
    fn no_damage_upsets_it(at in 0..EXAMPLE.len(), cut in 0..40_usize, put in "[\\PC\n]{0,6}", json in any::<bool>()) {
        let text = if json { serde_json::to_string(&example()).unwrap() } else { EXAMPLE.to_owned() };
        let at = at.min(text.len());
        let text = format!("{}{put}{}", &text[..at], &text[(at + cut).min(text.len())..]);
        let source = managed(if json { "a.json" } else { "a.toml" }, &text);
        let effective = resolve(std::slice::from_ref(&source), "1.2.0");
        prop_assert_eq!(effective.rules.locked.is_some(), effective.values.len() == 14 && effective.diagnostics.len() == 1
            && effective.diagnostics[0].key.is_none() && effective.diagnostics[0].severity == Severity::Error);
        let _ = check(&source, "1.2.0");
        let _ = resolve(&[user(&text)], "");
    }

    #[test]
    fn what_is_spoilt_never_grants_more(
        pick in any::<prop::sample::Index>(),
        value in bad_value(),
        misspell in any::<bool>(),
        shape in (prop::sample::select(vec!["ask", "preapproved", "denied"]), prop::sample::select(vec!["any", "listed"]), any::<bool>()),
        own in any::<bool>(),
    ) {
        let tree = good(shape.0, shape.1, shape.2);
        let mut keys = Vec::new();
        paths(&tree, &[], &mut keys);
        // Words that are other good values are a change of mind, not a slip; these keys take any text as good.
        let key = pick.get(&keys).clone();
        let mut spoilt = tree.clone();
        let (last, table) = key.split_last().unwrap();
        // Another name is another account, resource, claim or parameter, which nobody can know to be a slip.
        let misspell = misspell && !["corp", "payments", "prompt", "hd", "Help desk"].contains(&last.as_str());
        let table = table_of(&mut spoilt, table);
        let old = table.remove(last).unwrap();
        if misspell {
            let mut name = last.clone();
            name.push('x');
            table.insert(name, old);
        } else {
            let takes_text = ["name", "title", "description", "client_id", "client_secret", "prompt", "hd", "audience"].contains(&last.as_str());
            let good = (takes_text && value.is_str())
                || (["sensitive", "enabled", "autostart"].contains(&last.as_str()) && value.is_bool())
                || (last == "port" && value.is_integer())
                || (old.is_table() && value.is_table());
            prop_assume!(!good);
            table.insert(last.clone(), value);
        }
        let below = "version = 1\n[accounts.corp]\nissuer = \"https://own.example\"\nclient_id = \"own\"\n[resources.payments]\naccount = \"corp\"\nscopes = [\"admin\"]\nallowed_scopes = [\"admin\", \"payments.write\"]\nconsent = \"ask\"\nsensitive = false\n";
        let sources = |tree: &Value| {
            let mut sources = vec![managed("10.toml", &toml::to_string(tree).unwrap())];
            if own {
                sources.push(user(below));
            }
            sources
        };
        let (before, after) = (resolve(&sources(&tree), "1.2.0"), resolve(&sources(&spoilt), "1.2.0"));
        // What was overruled before may not be any more: what counts is that something new is said.
        let known: Vec<_> = before.diagnostics.iter().map(ToString::to_string).collect();
        let told = after.diagnostics.iter().any(|d| !known.contains(&d.to_string()));
        prop_assert!(!misspell || told, "{}", key.join("."));
        never_more(&before, &after, &key.join("."));
        let (a, b) = (before.rules.consent, after.rules.consent);
        prop_assert!(b.absolute <= a.absolute.max(broker::Span::hours(12)));
        prop_assert!(b.terminal == a.terminal || b.terminal == broker::TerminalRule::Never);
        let (a, b) = (&before.rules, &after.rules);
        prop_assert!(
            b.network.proxy == a.network.proxy || b.network.proxy == broker::Proxy::None || b.locked.is_some(),
            "never what the environment says"
        );
        prop_assert!(b.network.ca.iter().all(|ca| a.network.ca.contains(ca)));
        prop_assert!(b.network.no_proxy.iter().all(|host| a.network.no_proxy.contains(host)));
        prop_assert!(b.audit.retention >= a.audit.retention);
        prop_assert!(b.links.iter().all(|link| a.links.contains(link)));
    }

    #[test]
    fn the_user_never_loosens_what_it_describes(
        lines in prop::sample::subsequence(vec![
            "consent = \"ask\"", "sensitive = false", "scopes = [\"admin\", \"payments.read\"]", "scopes = []", "scopes = 5",
            "allowed_scopes = [\"admin\", \"payments.write\"]", "allowed_scopes = \"all\"", "peers = \"any\"",
            "audience = \"https://other.example\"", "token = \"minted\"", "account = \"own\"", "consent = \"preapproved\"",
            "request = \"scope\"", "lifetime = \"1h\"", "alowed_scopes = [\"admin\"]",
        ], 0..8).prop_shuffle(),
        shape in (prop::sample::select(vec!["ask", "preapproved", "denied"]), prop::sample::select(vec!["any", "listed"]), any::<bool>()),
        recommended in any::<bool>(),
    ) {
        let mut tree = good(shape.0, shape.1, shape.2);
        table_of(&mut tree, &[]).insert("level".into(), if recommended { "recommended" } else { "mandatory" }.into());
        let base = managed("10.toml", &toml::to_string(&tree).unwrap());
        let mut seen = std::collections::BTreeSet::new();
        let lines: Vec<&str> = lines.into_iter().filter(|line| seen.insert(line.split(' ').next())).collect();
        let own = "[accounts.own]\nissuer = \"https://own.example\"\nclient_id = \"d\"\n";
        let consent = "[consent]\nidle = \"20h\"\nabsolute = \"25h\"\nterminal = \"allow\"\non_lock = \"pause\"\n";
        let mine = user(&format!("version = 1\n{own}{consent}[resources.payments]\n{}\n", lines.join("\n")));
        let (before, after) = (resolve(std::slice::from_ref(&base), "1.2.0"), resolve(&[base, mine], "1.2.0"));
        never_more(&before, &after, &lines.join(", "));
        prop_assert_eq!(before.rules.consent, after.rules.consent);
        if let (Some(old), Some(new)) = (resource(&before, "payments"), resource(&after, "payments")) {
            prop_assert!(new.lifetime <= old.lifetime);
            prop_assert!(recommended || (new.audience == old.audience && new.account == old.account));
            prop_assert!(new.scopes.is_empty() <= (old.scopes.is_empty() || new.consent == ConsentRule::Denied));
        }
    }

    #[test]
    fn the_order_of_files_with_different_keys_does_not_matter(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let parts = [
            "version = 1\n[accounts.corp]\nissuer = \"https://login.example.com\"\nclient_id = \"daypass\"",
            "version = 1\n[accounts.corp]\nscopes = [\"openid\", \"email\"]\n[resources.payments]\naccount = \"corp\"",
            "version = 1\n[resources.payments]\naudience = \"https://payments.example.com\"\nscopes = [\"read\"]",
            "version = 1\n[consent]\nidle = \"1h\"\n[broker]\nport = 6000",
        ];
        let with = |order: &[usize]| {
            let sources: Vec<Source> = order.iter().enumerate().map(|(place, part)| managed(&format!("{place}.toml"), parts[*part])).collect();
            let values = resolve(&sources, "1.2.0").values;
            values.into_iter().map(|(key, value)| (key, value.json)).collect::<Vec<_>>()
        };
        prop_assert_eq!(with(&order), with(&[0, 1, 2, 3]));
    }

    #[test]
    fn a_higher_level_always_wins(which in 0..3_usize, ports in prop::array::uniform3(1..60_000_u16), idle in prop::array::uniform3(1..720_i64)) {
        let text = |level: &str, i: usize| format!("version = 1\n{level}\n[broker]\nport = {}\n[consent]\nidle = \"{}h\"", ports[i], idle[i]);
        let recommended = managed("1.toml", &text("level = \"recommended\"", 0));
        let (mine, mandatory) = (user(&text("", 1)), managed("0.toml", &text("", 2)));
        let sources = match which {
            0 => vec![mandatory, mine, recommended],
            1 => vec![recommended, mine],
            _ => vec![mandatory, recommended],
        };
        let effective = resolve(&sources, "1.2.0");
        let port = &effective.values["broker.port"];
        let top = if which == 1 { (Layer::User, ports[1]) } else { (Layer::Mandatory, ports[2]) };
        prop_assert_eq!((port.origin.layer, effective.rules.broker.port), top);
        let expected = if which == 1 { idle[1].min(idle[0]) } else { idle[2] };
        prop_assert_eq!(effective.rules.consent.idle, broker::Span::hours(expected));
    }
}

#[test]
fn every_key_spoilt_in_turn_is_told_and_leaves_the_file_standing() {
    let tree = good("preapproved", "listed", false);
    let mut keys = Vec::new();
    paths(&tree, &[], &mut keys);
    let before = mandatory(&toml::to_string(&tree).unwrap());
    for key in keys.into_iter().filter(|key| key[0] != "version") {
        let mut spoilt = tree.clone();
        let (last, table) = key.split_last().unwrap();
        table_of(&mut spoilt, table).insert(last.clone(), Value::Float(1.5));
        let after = mandatory(&toml::to_string(&spoilt).unwrap());
        let name = key.join(".");
        assert!(
            after.diagnostics.iter().any(|d| d.severity == Severity::Error && d.text.contains("must be")),
            "{name}"
        );
        assert!(after.rules.locked.is_none(), "{name}");
        assert!(name == "name" || after.rules.organisation.is_some(), "{name}");
        never_more(&before, &after, &name);
    }
}
