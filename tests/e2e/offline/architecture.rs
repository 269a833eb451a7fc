//! The dependency rule and the "only one that knows" rules of `docs/ARCHITECTURE.md`, read from the workspace itself.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Which crates of the workspace each crate may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("daypass-broker", &[]),
    ("daypass-localapi", &[]),
    ("daypass-profile", &["daypass-broker"]),
    ("daypass-oidc", &["daypass-broker"]),
    ("daypass-platform", &["daypass-broker"]),
    ("daypass-agent", &["daypass-broker", "daypass-profile", "daypass-oidc", "daypass-platform", "daypass-localapi"]),
    ("daypass-cli", &["daypass-localapi", "daypass-profile", "daypass-platform"]),
    ("daypass-dev-issuer", &["daypass-localapi"]),
    ("daypass-desktop", &["daypass-localapi", "daypass-platform"]),
];

/// What only these crates may know.
const ONLY: &[(&str, &[&str])] = &[
    ("axum", &["daypass-agent", "daypass-benches", "daypass-dev-issuer"]),
    ("rusqlite", &["daypass-agent"]),
    ("askama", &["daypass-agent"]),
    ("oauth2", &["daypass-oidc"]),
    ("reqwest", &["daypass-oidc"]),
    ("rustls", &["daypass-oidc"]),
    ("tokio-rustls", &["daypass-oidc"]),
    ("jsonwebtoken", &["daypass-oidc", "daypass-dev-issuer"]),
    ("keyring", &["daypass-platform"]),
    ("keyring-core", &["daypass-platform"]),
    ("zbus-secret-service-keyring-store", &["daypass-platform"]),
    ("notify-rust", &["daypass-platform"]),
    ("schemars", &["daypass-localapi", "daypass-profile"]),
    ("toml", &["daypass-profile"]),
    ("clap", &["daypass-cli", "daypass-agent", "daypass-dev-issuer"]),
    ("tauri", &["daypass-desktop"]),
    ("gtk", &["daypass-desktop"]),
    ("webkit2gtk", &["daypass-desktop"]),
];

/// Packages of the workspace with their direct dependencies: name → (features, whether default features are on).
fn packages() -> BTreeMap<String, BTreeMap<String, Value>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(e2e::repository()).args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = e2e::process::run(&mut command, "", std::time::Duration::from_mins(1)).json();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    list(&output["packages"])
        .iter()
        .map(|package| (name(package), list(&package["dependencies"]).into_iter().map(|d| (name(&d), d)).collect()))
        .collect()
}

#[test]
fn arrows_point_inward_only() {
    let packages = packages();
    let ours: BTreeSet<_> = packages.keys().cloned().collect();
    assert!(ours.len() >= 9, "{ours:?}");
    for (package, dependencies) in
        packages.iter().filter(|(package, _)| !["e2e", "daypass-benches"].contains(&package.as_str()))
    {
        let (_, allowed) =
            MAY_IMPORT.iter().find(|(name, _)| name == package).unwrap_or_else(|| panic!("{package} has no rule"));
        for dependency in dependencies.keys().filter(|dependency| ours.contains(*dependency)) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not import {dependency}");
        }
    }
    let platform = &packages["daypass-cli"]["daypass-platform"];
    assert_eq!(platform["uses_default_features"], false, "the command carries no keychain and no D-Bus");
    assert_eq!(platform["features"], serde_json::json!([]));
    let platform = &packages["daypass-desktop"]["daypass-platform"];
    assert_eq!(
        (&platform["uses_default_features"], &platform["features"]),
        (&Value::Bool(false), &serde_json::json!([]))
    );
    for shipped in ["daypass-agent", "daypass-cli", "daypass-desktop"] {
        let localapi = &packages[shipped]["daypass-localapi"];
        assert_eq!(localapi["features"], serde_json::json!([]), "{shipped} carries no schema of the interface");
    }
}

#[test]
fn heavy_things_are_known_in_one_place() {
    for (package, dependencies) in packages() {
        for (thing, knowing) in ONLY {
            let knows = dependencies.contains_key(*thing);
            assert!(!knows || knowing.contains(&package.as_str()), "{package} must not know {thing}");
        }
        if package == "daypass-broker" {
            for dependency in ["serde", "tokio", "rustix", "url"] {
                assert!(!dependencies.contains_key(dependency), "the rules stay pure: {dependency}");
            }
        }
    }
}

#[test]
fn only_platform_asks_which_system_it_is_on() {
    let mut found = Vec::new();
    for krate in ["agent", "broker", "cli", "localapi", "oidc", "profile"] {
        each_source(&e2e::repository().join("crates").join(krate).join("src"), &mut |file, text| {
            let test = file.contains("/tests/") || file.ends_with("/tests.rs");
            if text.contains("target_os") && !test {
                found.push(file.to_owned());
            }
        });
    }
    assert!(found.is_empty(), "target_os outside crates/platform: {found:?}");
}

#[test]
fn the_development_issuer_itself_imports_nothing_of_ours() {
    let source = e2e::repository().join("crates/dev-issuer/src");
    each_source(&source, &mut |file, text| {
        let demo = file.contains("/demo/");
        assert!(demo || !text.contains("localapi::"), "{file} imports localapi");
    });
}

fn each_source(folder: &Path, look: &mut dyn FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            each_source(&path, look);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            look(&path.display().to_string(), &fs::read_to_string(&path).expect("source"));
        }
    }
}
