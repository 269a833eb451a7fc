//! The table of keys against what really counts: for every key, in every pair of layers.

use super::{managed, user};
use crate::{Counts, Effective, Layer, explain_all, resolve};
use toml::{Table, Value};

/// A key with two good values. Where the user may only tighten, the first is the looser one.
const SAMPLES: [(&str, &str, &str); 40] = [
    ("name", "\"One\"", "\"Two\""),
    ("support_url", "\"https://one.example\"", "\"https://two.example\""),
    ("accounts.corp.title", "\"One\"", "\"Two\""),
    ("accounts.corp.issuer", "\"https://one.example\"", "\"https://two.example\""),
    ("accounts.corp.client_id", "\"one\"", "\"two\""),
    ("accounts.corp.client_secret", "\"one\"", "\"two\""),
    ("accounts.corp.redirect_uri", "[\"http://127.0.0.1/one\"]", "[\"http://127.0.0.1/two\"]"),
    ("accounts.corp.scopes", "[\"email\", \"openid\"]", "[\"openid\"]"),
    ("accounts.corp.offline", "\"auto\"", "\"none\""),
    ("accounts.corp.authorization_parameters.prompt", "\"login\"", "\"select_account\""),
    ("accounts.corp.required_claims.hd", "\"one.example\"", "\"two.example\""),
    ("resources.payments.title", "\"One\"", "\"Two\""),
    ("resources.payments.description", "\"One\"", "\"Two\""),
    ("resources.payments.account", "\"corp\"", "\"other\""),
    ("resources.payments.token", "\"access\"", "\"id\""),
    ("resources.payments.audience", "\"https://one.example\"", "\"https://two.example\""),
    ("resources.payments.request", "\"resource\"", "\"audience\""),
    ("resources.payments.scopes", "[\"one\", \"two\"]", "[\"one\"]"),
    ("resources.payments.allowed_scopes", "[\"base\", \"one\"]", "[\"base\"]"),
    ("resources.payments.lifetime", "\"5m\"", "\"2m\""),
    ("resources.payments.consent", "\"ask\"", "\"denied\""),
    ("resources.payments.sensitive", "false", "true"),
    ("resources.payments.peers", "[{ path = \"/bin/one\" }]", "[{ path = \"/bin/two\" }]"),
    ("consent.idle", "\"11h\"", "\"5h\""),
    ("consent.absolute", "\"11h\"", "\"5h\""),
    ("consent.on_lock", "\"pause\"", "\"end\""),
    ("consent.terminal", "\"fallback\"", "\"never\""),
    ("browser.command", "[\"one\"]", "[\"two\"]"),
    ("broker.port", "6001", "6002"),
    ("network.proxy", "\"http://one.example:1\"", "\"none\""),
    ("network.no_proxy", "[\"one.example\"]", "[\"two.example\"]"),
    ("network.ca", "[\"/one.pem\"]", "[\"/two.pem\"]"),
    ("audit.retention", "\"50d\"", "\"60d\""),
    ("audit.export", "[\"journald\"]", "[\"syslog\"]"),
    ("notifications.enabled", "true", "false"),
    ("notifications.expiry_ahead", "\"10m\"", "\"20m\""),
    ("desktop.autostart", "true", "false"),
    ("desktop.sign_in_at_start", "\"always\"", "\"never\""),
    ("links.Help", "\"https://one.example\"", "\"https://two.example\""),
    ("links.\"A wiki\"", "\"https://one.example\"", "\"https://two.example\""),
];

/// Keys that steer reading and are no values, tables, and the criteria of a program, which stand or fall with it.
fn has_no_value(pattern: &str) -> bool {
    matches!(pattern, "version" | "level" | "requires")
        || pattern.starts_with("resources.*.peers.")
        || explain_all().iter().any(|other| other.key.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('.')))
            && pattern != "resources.*.peers"
}

const BASE: &str = r#"
accounts.corp.issuer = "https://login.example.com"
accounts.corp.client_id = "daypass"
accounts.other.issuer = "https://other.example.com"
accounts.other.client_id = "daypass"
resources.payments.account = "corp"
resources.payments.audience = "https://payments.example.com"
"#;

/// A profile of one level that says one thing, on top of what it needs besides.
fn text(level: &str, base: bool, key: &str, value: &str) -> String {
    let mut tree: Table = if base { BASE.parse().unwrap() } else { Table::new() };
    merge(&mut tree, format!("{key} = {value}").parse().unwrap());
    let resources = tree.get_mut("resources").and_then(|all| all.get_mut("payments")).and_then(Value::as_table_mut);
    if let Some(payments) = resources.filter(|_| base) {
        if key.ends_with("lifetime") {
            payments.insert("token".into(), "minted".into());
        }
        if key.ends_with("allowed_scopes") {
            payments.insert("scopes".into(), vec!["base"].into());
        }
    }
    tree.insert("version".into(), 1.into());
    if !level.is_empty() {
        tree.insert("level".into(), level.into());
    }
    toml::to_string(&tree).unwrap()
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn json(value: &str) -> serde_json::Value {
    let table: Table = format!("x = {value}").parse().unwrap();
    serde_json::to_value(&table["x"]).unwrap()
}

/// Who decided the key, and that it is that layer's value.
fn decided(effective: &Effective, key: &str, values: [&str; 2]) -> Layer {
    let found = &effective.values[key];
    let wanted = values.map(json);
    let fits = wanted.contains(&found.json) || key.ends_with("client_secret");
    assert!(fits, "{key} is {} and not one of {wanted:?}", found.json);
    found.origin.layer
}

#[test]
fn every_key_counts_where_the_table_says() {
    let mut unsampled: Vec<&str> = explain_all().iter().map(|help| help.key).filter(|key| !has_no_value(key)).collect();
    for (key, loose, strict) in SAMPLES {
        let help = crate::explain(key).unwrap();
        unsampled.retain(|pattern| *pattern != help.key);
        for [low, high] in [[loose, strict], [strict, loose]] {
            let recommended = managed("9.toml", &text("recommended", true, key, low));
            let mandatory = managed("1.toml", &text("mandatory", false, key, high));
            let mine = user(&text("", false, key, high));

            let over = resolve(&[recommended.clone(), mandatory.clone()], "1.2.0");
            assert_eq!(decided(&over, key, [high, high]), Layer::Mandatory, "{key} = {high} above {low}");
            let all = resolve(&[recommended.clone(), user(&text("", false, key, low)), mandatory], "1.2.0");
            assert_eq!(decided(&all, key, [high, high]), Layer::Mandatory, "{key} = {high} above everything");

            let both = resolve(&[recommended, mine], "1.2.0");
            let fixed = help.key == "accounts.*.required_claims.*";
            let counts = match help.counts {
                Counts::Everywhere => Layer::User,
                Counts::UserTightens if high == strict && !fixed => Layer::User,
                Counts::UserTightens | Counts::ManagedOnly => Layer::Recommended,
            };
            let value = if counts == Layer::User { high } else { low };
            let layer = decided(&both, key, [value, value]);
            // A ceiling of the user's is cut to what counts below it, so it is his word that decided.
            let cut = key.ends_with("allowed_scopes") && layer == Layer::User;
            assert!(layer == counts || cut, "{key} = {high} of the user above {low}: {layer:?}");
            let refused = counts == Layer::Recommended;
            assert_eq!(!both.diagnostics.is_empty(), refused, "{key} = {high}: {}", super::said(&both));
        }
    }
    assert!(unsampled.is_empty(), "no sample for {unsampled:?}");
}
