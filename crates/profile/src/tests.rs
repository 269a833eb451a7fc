//! The rules of the format, as tables.

mod hostile;
mod layers;
mod machine;
mod properties;
mod spoilt;
mod table;

use crate::{Diagnostic, Effective, Severity, Source, SourceKind, check, resolve};
use broker::{Account, ExposeSecret, Resource};

/// The contract's own example.
pub(super) const EXAMPLE: &str = r#"version = 1
level = "mandatory"
name = "Example Corp"
support_url = "https://it.example.com/daypass"

[accounts.corp]
issuer = "https://login.example.com"
client_id = "daypass"
client_secret = "CANARY-secret"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
offline = "auto"
authorization_parameters = { prompt = "select_account" }
required_claims = { hd = "example.com" }
title = "Example account"

[resources.payments]
account = "corp"
token = "access"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]
allowed_scopes = ["payments.read", "payments.write"]
lifetime = "5m"
consent = "preapproved"
sensitive = false
peers = [{ path = "/usr/bin/git" }]
title = "Payments"
description = "Invoices and what was paid"

[consent]
idle = "10m"
absolute = "24h"
on_lock = "pause"
terminal = "fallback"

[browser]
command = ["firefox", "-P", "work"]
[broker]
port = 6174
[network]
proxy = "http://proxy.example.com:3128"
no_proxy = ["intra.example.com", ".corp.example", "10.0.0.0/8"]
ca = ["/etc/daypass/ca.pem"]
[audit]
retention = "200d"
export = ["journald", "syslog"]
[notifications]
enabled = false
expiry_ahead = "20m"
[desktop]
autostart = false
sign_in_at_start = "never"
[links]
"Help desk" = "https://help.example.com"
"#;

pub(super) fn managed(file: &str, text: &str) -> Source {
    Source { file: file.into(), kind: SourceKind::Managed, bytes: text.into() }
}

pub(super) fn user(text: &str) -> Source {
    Source { file: "profile.toml".into(), kind: SourceKind::User, bytes: text.into() }
}

/// Resolves `text` as one mandatory file.
pub(super) fn mandatory(text: &str) -> Effective {
    resolve(&[managed("10.toml", text)], "1.2.0")
}

/// Resolves a user's text above or below a managed one.
pub(super) fn layered(managed_text: &str, user_text: &str) -> Effective {
    resolve(&[user(user_text), managed("10.toml", managed_text)], "1.2.0")
}

pub(super) fn account<'a>(effective: &'a Effective, name: &str) -> Option<&'a Account> {
    effective.rules.accounts.values().map(AsRef::as_ref).find(|a: &&Account| a.name.as_str() == name)
}

pub(super) fn resource<'a>(effective: &'a Effective, name: &str) -> Option<&'a Resource> {
    effective.rules.resources.values().map(AsRef::as_ref).find(|r: &&Resource| r.name.as_str() == name)
}

/// All diagnostics as they are printed, with their hints.
pub(super) fn said(effective: &Effective) -> String {
    let line = |d: &Diagnostic| format!("{d} ({})", d.hint.as_deref().unwrap_or_default());
    effective.diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_of_the_contract_is_understood_in_full() {
    let effective = mandatory(EXAMPLE);
    assert_eq!(said(&effective), "");
    let corp = account(&effective, "corp").unwrap();
    assert_eq!(corp.client_secret.as_ref().unwrap().expose_secret(), "CANARY-secret");
    assert_eq!(corp.scopes.to_string(), "email openid profile");
    assert_eq!(corp.redirect_uris[0].with_port(1), "http://127.0.0.1:1/callback");
    assert_eq!(corp.authorization_parameters["prompt"], "select_account");
    assert_eq!(corp.required_claims["hd"], "example.com");
    let payments = resource(&effective, "payments").unwrap();
    assert_eq!(payments.consent, broker::ConsentRule::Preapproved);
    assert_eq!(payments.allowed_scopes.to_string(), "payments.read payments.write");
    assert_eq!(effective.rules.consent.absolute, broker::Span::hours(24));
    assert_eq!(effective.rules.organisation.as_deref(), Some("Example Corp"));
    let rules = &effective.rules;
    assert_eq!(rules.network.proxy, broker::Proxy::Url("http://proxy.example.com:3128".to_owned()));
    assert_eq!(
        (rules.network.no_proxy.len(), rules.network.ca.as_slice()),
        (3, &["/etc/daypass/ca.pem".to_owned()][..])
    );
    assert_eq!(rules.audit.retention, broker::Span::hours(200 * 24));
    assert_eq!(rules.audit.export, [broker::AuditExport::Journald, broker::AuditExport::Syslog]);
    assert!(!rules.notifications.enabled && rules.notifications.expiry_ahead == broker::Span::minutes(20));
    assert!(!rules.desktop.autostart && rules.desktop.sign_in_at_start == broker::SignInAtStart::Never);
    assert_eq!(rules.links, [("Help desk".to_owned(), "https://help.example.com".to_owned())]);
    assert_eq!(corp.title.as_deref(), Some("Example account"));
    assert_eq!(payments.title.as_deref(), Some("Payments"));
    assert_eq!(payments.description.as_deref(), Some("Invoices and what was paid"));
    assert!(effective.rules.broker.port_is_fixed && effective.rules.locked.is_none() && effective.void.is_empty());
    assert_eq!(check(&managed("10.toml", EXAMPLE), "1.2.0"), effective.diagnostics);
    // The serde types, which the schema comes from, read the same file.
    let file: crate::format::File = toml::from_str(EXAMPLE).unwrap();
    let again = mandatory(&file.to_toml().unwrap());
    let json = |e: &Effective| e.values.iter().map(|(k, v)| (k.clone(), v.json.clone())).collect::<Vec<_>>();
    assert_eq!(json(&again), json(&effective));
}

#[test]
fn json_says_the_same_as_toml() {
    let tree: toml::Value = toml::from_str(EXAMPLE).unwrap();
    let json = resolve(&[managed("10.json", &serde_json::to_string_pretty(&tree).unwrap())], "1.2.0");
    let toml = mandatory(EXAMPLE);
    assert_eq!(json.values.keys().collect::<Vec<_>>(), toml.values.keys().collect::<Vec<_>>());
    assert!(json.values.iter().all(|(key, value)| value.json == toml.values[key].json));
    assert!(json.values["consent.idle"].origin.line.is_some());
}

#[test]
fn every_leaf_has_its_origin_and_no_secret() {
    let effective = mandatory(EXAMPLE);
    assert_eq!(effective.values["accounts.corp.client_secret"].json, "[redacted]");
    assert!(!format!("{effective:?}").contains("CANARY"));
    let scopes = &effective.values["resources.payments.scopes"];
    assert_eq!((scopes.origin.layer, scopes.origin.line), (crate::Layer::Mandatory, Some(22)));
    assert_eq!(scopes.origin.file.as_deref(), Some("10.toml"));
    assert_eq!(effective.values["accounts.corp.required_claims.hd"].origin.line, Some(14));
    let built_in = resolve(&[], "1.2.0");
    let keys: Vec<&str> = built_in.values.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "audit.export",
            "audit.retention",
            "broker.port",
            "consent.absolute",
            "consent.idle",
            "consent.on_lock",
            "consent.terminal",
            "desktop.autostart",
            "desktop.sign_in_at_start",
            "network.ca",
            "network.no_proxy",
            "network.proxy",
            "notifications.enabled",
            "notifications.expiry_ahead",
        ]
    );
    assert!(built_in.values.values().all(|v| v.origin.layer == crate::Layer::BuiltIn && v.origin.file.is_none()));
    assert!(built_in.diagnostics.is_empty());
}

#[test]
fn a_secret_is_in_no_diagnostic() {
    for text in [
        "client_secret = [\"CANARY\"]",
        "client_secrte = \"CANARY\"",
        "client_secret = \"CANARY\\u0000\"",
        "client_secret = \"CANARY",
        "client_secret = \"CANARY\" CANARY",
        "authorization_parameters = { client_secret = \"CANARY\" }",
    ] {
        let effective = mandatory(&format!(
            "version = 1\n[accounts.corp]\nissuer = \"https://a.example\"\nclient_id = \"d\"\n{text}\n"
        ));
        assert!(!effective.diagnostics.is_empty(), "{text}");
        assert!(!format!("{effective:?}").contains("CANARY"), "{text}: {}", said(&effective));
    }
}

#[test]
fn a_managed_file_that_is_no_profile_locks_and_a_users_is_passed_over() {
    for (text, says) in [
        ("", "10.toml: is empty"),
        ("version = 1\n[", "10.toml:2: is not TOML"),
        ("name = \"x\"", "10.toml: states no version"),
        ("version = 2", "10.toml:1: is of format version 2"),
        ("version = \"1\"", "10.toml:1: version must be the number 1"),
        ("version = 1\nrequires = \">=1.3\"", "10.toml:2: needs another version of Daypass than this one, 1.2.0"),
        ("version = 1\nrequires = \"1.2\"", "10.toml:2: requires is not a comparison"),
        ("version = 1\nrequires = 1", "10.toml:2: requires is not a comparison"),
        ("version = 1\nrequire = \">=9\"", "10.toml:2: needs another version"),
        ("version = 1\nlevel = \"recommended\"\n[x", "10.toml:3: is not TOML"),
        ("<html>", "10.toml:1: is a web page"),
    ] {
        let effective = layered(text, EXAMPLE);
        let locked = effective.rules.locked.unwrap();
        assert!(locked.starts_with(says), "{locked}");
        assert!(effective.diagnostics.iter().any(|d| d.to_string() == locked && d.severity == Severity::Error));
        let why = crate::is_profile(&managed("10.toml", text), "1.2.0").unwrap_err();
        assert_eq!((why.to_string(), why.key.is_some()), (locked, text.contains("require")), "{text}");

        let effective = resolve(&[user(text), managed("10.toml", EXAMPLE)], "1.2.0");
        assert!(effective.rules.locked.is_none());
        assert!(resource(&effective, "payments").is_some());
        assert!(effective.diagnostics.iter().any(|d| d.file == "profile.toml" && d.severity == Severity::Error));
    }
    let met = mandatory(&EXAMPLE.replacen("version = 1", "requires = \">=1.2, =1\"\nversion = 1", 1));
    assert!(met.rules.locked.is_none());
}

#[test]
fn unknown_keys_are_shown_with_what_was_meant() {
    let text = EXAMPLE.replace("issuer =", "colour = 1\nissuer =").replace("on_lock", "on_lokc");
    let effective = mandatory(&text);
    let told = said(&effective);
    assert!(
        told.contains("10.toml:7: accounts.corp.colour is not a known key (known here: title, issuer, client_id"),
        "{told}"
    );
    assert!(told.contains("10.toml:35: consent.on_lokc is not a known key (did you mean on_lock?)"), "{told}");
    assert!(resource(&effective, "payments").is_some());
    let odd = mandatory("version = 1\n\"\\u001b[31m\\u202e\" = 1");
    assert!(!said(&odd).contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn many_faults_are_told_once() {
    let text: String = (0..5000).map(|i| format!("k{i} = 1")).collect::<Vec<_>>().join("\n");
    let effective = mandatory(&format!("version = 1\n{text}"));
    assert_eq!(effective.diagnostics.len(), 101);
    assert!(said(&effective).contains("4900 more things are wrong"));
}

#[test]
fn a_file_alone_may_be_incomplete() {
    let part = managed(
        "20.toml",
        "version = 1\n[accounts.corp]\noffline = \"none\"\n[resources.a]\naccount = \"other\"\n[resources.b]\nconsent = \"denied\"",
    );
    let alone = check(&part, "1.2.0");
    assert_eq!(alone.len(), 3);
    assert!(alone.iter().all(|d| d.severity == Severity::Warning));
    let together = resolve(&[part], "1.2.0");
    assert!(together.diagnostics.iter().all(|d| d.severity == Severity::Error));
    assert_eq!(together.void.keys().collect::<Vec<_>>(), ["accounts.corp", "resources.a", "resources.b"]);
}
