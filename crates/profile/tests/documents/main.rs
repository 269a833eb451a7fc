//! What IT reads and loads into its tools, made from the table of keys and the types of the format, and the tests that hold
//! the files to it.
//!
//! Invariant: `docs/profile/` holds exactly what is made here. `make profile-docs` (which sets `DAYPASS_WRITE`) writes it;
//! without it the tests compare. The limit: nothing here was loaded into Intune or Jamf.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod admx;
mod examples;
mod manifest;
mod reference;

use profile::KeyHelp;
use serde_json::Value;
use std::{fs, path::PathBuf};

/// The domain of the managed preferences of macOS. `daypass` tests that these are the places it reads.
const PREFERENCES: &str = "com.daypass.agent";
/// The policy key of Windows.
const POLICY_KEY: &str = "SOFTWARE\\Policies\\Daypass";

/// The top of the repository.
fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every file that is made, by its place below `docs/profile`.
fn files() -> Vec<(&'static str, String)> {
    let schema = serde_json::to_string_pretty(&profile::schema()).expect("JSON") + "\n";
    let (admx, adml) = admx::both();
    vec![
        ("reference.md", reference::reference()),
        ("profile.schema.json", schema),
        ("daypass.admx", admx),
        ("en-US/daypass.adml", adml),
        ("com.daypass.agent.manifest.plist", manifest::manifest()),
        ("sample.mobileconfig", manifest::sample()),
    ]
}

#[test]
fn the_files_are_what_is_made() {
    let folder = repository().join("docs/profile");
    let write = std::env::var_os("DAYPASS_WRITE").is_some();
    for (name, text) in files() {
        let path = folder.join(name);
        if write {
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, &text).expect("written");
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "docs/profile/{name} is stale: run make profile-docs");
    }
}

/// The schema of a key by its dotted name, without names in between.
fn schema_of<'a>(schema: &'a Value, key: &str) -> &'a Value {
    key.split('.').fold(
        schema,
        |at, step| {
            if step == "*" { &at["additionalProperties"] } else { &at["properties"][step] }
        },
    )
}

/// Whether a key is a table of the format with keys of its own.
fn is_table(help: &KeyHelp, all: &[KeyHelp]) -> bool {
    let inside = format!("{}.", help.key);
    all.iter().any(|other| other.key.starts_with(&inside))
}

/// As text of XML and HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The kind of form a key takes where it is one value: not a name in between, not a table.
enum Form {
    Text,
    Words(Vec<(String, String)>),
    Switch,
    Number(u64, u64),
    List,
}

fn form(help: &KeyHelp, schema: &Value) -> Form {
    match schema["type"].as_str() {
        Some("boolean") => Form::Switch,
        Some("integer") => Form::Number(
            schema["minimum"].as_u64().unwrap_or_default(),
            schema["maximum"].as_u64().unwrap_or(u64::from(u32::MAX)),
        ),
        Some("array") => Form::List,
        _ if !help.words.is_empty() => Form::Words(help.words.clone()),
        _ => Form::Text,
    }
}

/// The keys that are one value each and stand alone: what a policy editor can show one by one.
fn scalars() -> Vec<(KeyHelp, Form)> {
    let (all, schema) = (profile::explain_all(), profile::schema());
    let alone = |help: &KeyHelp| {
        !help.key.contains('*')
            && !matches!(help.key, "version" | "accounts" | "resources" | "links")
            && !is_table(help, &all)
    };
    let found = all.iter().filter(|help| alone(help));
    found.map(|help| (help.clone(), form(help, schema_of(&schema, help.key)))).collect()
}
