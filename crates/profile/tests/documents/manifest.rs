//! What MDM for macOS takes: a manifest in the style of `ProfileManifests`, and a sample configuration profile.

use super::{escape, schema_of};
use plist::Value as Plist;
use profile::{KeyHelp, Severity, Source, SourceKind, explain_all};
use serde_json::{Value, json};
use std::fmt::Write as _;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
    <!-- Made by: make profile-docs -->\n<plist version=\"1.0\">\n";

/// A value as a property list, indented.
fn write(text: &mut String, value: &Value, depth: usize) {
    let pad = "\t".repeat(depth);
    let _ = match value {
        Value::Null => Ok(()),
        Value::Bool(value) => writeln!(text, "{pad}<{value}/>"),
        Value::Number(number) => writeln!(text, "{pad}<integer>{number}</integer>"),
        Value::String(words) => writeln!(text, "{pad}<string>{}</string>", escape(words)),
        Value::Array(items) if items.is_empty() => writeln!(text, "{pad}<array/>"),
        Value::Array(items) => {
            let _ = writeln!(text, "{pad}<array>");
            for item in items {
                write(text, item, depth + 1);
            }
            writeln!(text, "{pad}</array>")
        }
        Value::Object(entries) => {
            let _ = writeln!(text, "{pad}<dict>");
            for (key, value) in entries {
                let _ = writeln!(text, "{pad}\t<key>{}</key>", escape(key));
                write(text, value, depth + 1);
            }
            writeln!(text, "{pad}</dict>")
        }
    };
}

fn plist(value: &Value) -> String {
    let mut text = HEAD.to_owned();
    write(&mut text, value, 0);
    text + "</plist>\n"
}

/// The manifest of the preference domain.
pub(crate) fn manifest() -> String {
    let payload = |name: &str, kind: &str, default: Value| {
        let mut key = json!({"pfm_name": name, "pfm_title": name, "pfm_type": kind, "pfm_require": "always"});
        if !default.is_null() {
            key["pfm_default"] = default;
        }
        key
    };
    let domain = super::PREFERENCES;
    let mut subkeys = vec![
        payload("PayloadDescription", "string", json!("Profile of Daypass")),
        payload("PayloadDisplayName", "string", json!("Daypass")),
        payload("PayloadIdentifier", "string", json!(domain)),
        payload("PayloadType", "string", json!(domain)),
        payload("PayloadUUID", "string", Value::Null),
        payload("PayloadVersion", "integer", json!(1)),
    ];
    let (all, schema) = (explain_all(), profile::schema());
    subkeys.extend(all.iter().filter(|help| !help.key.contains('.')).map(|help| subkey(help, &all, &schema)));
    plist(&json!({
        "pfm_description": "Profile of Daypass, the desktop sign-in agent",
        "pfm_domain": domain,
        "pfm_format_version": 1,
        "pfm_platforms": ["macOS"],
        "pfm_subkeys": subkeys,
        "pfm_targets": ["system"],
        "pfm_title": "Daypass",
        "pfm_unique": true,
        "pfm_version": 1,
    }))
}

/// One key, with the keys of its table; a name that is chosen is `{{key}}` and `{{value}}`.
fn subkey(help: &KeyHelp, all: &[KeyHelp], schema: &Value) -> Value {
    let at = schema_of(schema, help.key);
    let step = help.key.rsplit('.').next().unwrap_or_default();
    let mut description = help.text.clone();
    let _ = write!(description, " Counts in: {}.", help.counts.as_str());
    if let Some(ceiling) = help.ceiling {
        let _ = write!(description, " Ceiling: {ceiling}.");
    }
    let list = at["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "array"));
    let kind = match at["type"].as_str().or(list.map(|_| "array")) {
        Some("object") => "dictionary",
        Some("array") => "array",
        Some("boolean") => "boolean",
        Some("integer") => "integer",
        _ => "string",
    };
    let mut key = json!({
        "pfm_name": if step == "*" { "{{value}}" } else { step },
        "pfm_title": help.key,
        "pfm_description": description.trim(),
        "pfm_type": kind,
    });
    if help.required {
        key["pfm_require"] = json!("always");
    }
    if !at["default"].is_null() {
        key["pfm_default"] = at["default"].clone();
    }
    if !help.words.is_empty() && kind == "string" {
        key["pfm_range_list"] = help.words.iter().map(|(word, _)| json!(word)).collect();
    }
    let inside = format!("{}.", help.key);
    let children = all.iter().filter(|other| other.key.strip_prefix(&inside).is_some_and(|rest| !rest.contains('.')));
    match kind {
        "dictionary" => {
            let mut subkeys: Vec<Value> = children.map(|child| subkey(child, all, schema)).collect();
            if at["additionalProperties"].is_object() {
                subkeys.insert(0, json!({"pfm_name": "{{key}}", "pfm_title": "Name", "pfm_type": "string"}));
                if subkeys.len() == 1 {
                    subkeys.push(json!({"pfm_name": "{{value}}", "pfm_title": "Value", "pfm_type": "string"}));
                }
            }
            key["pfm_subkeys"] = json!(subkeys);
        }
        // The criteria of a listed program; everything else that is a list is a list of texts.
        "array" => {
            let criteria: Vec<Value> = children
                .map(|child| {
                    let name = child.key.rsplit('.').next().unwrap_or_default();
                    json!({"pfm_name": name, "pfm_title": child.key, "pfm_description": child.text, "pfm_type": "string"})
                })
                .collect();
            key["pfm_subkeys"] = if criteria.is_empty() {
                json!([{"pfm_name": "", "pfm_type": "string"}])
            } else {
                json!([{"pfm_type": "dictionary", "pfm_name": "", "pfm_subkeys": criteria}])
            };
        }
        _ => {}
    }
    key
}

/// A configuration profile to begin with.
pub(crate) fn sample() -> String {
    let domain = super::PREFERENCES;
    plist(&json!({
        "PayloadContent": [{
            "PayloadDisplayName": "Daypass",
            "PayloadIdentifier": "com.example.daypass.agent",
            "PayloadType": domain,
            "PayloadUUID": "5A0C6B1E-7D0B-4C8E-9C39-6E3A5B2F0D11",
            "PayloadVersion": 1,
            "accounts": {"corp": {
                "client_id": "daypass",
                "issuer": "https://login.example.com",
                "required_claims": {"hd": "example.com"},
                "scopes": ["openid", "profile", "email"],
                "title": "Example Corp",
            }},
            "audit": {"retention": "400d"},
            "consent": {"absolute": "8h", "on_lock": "end"},
            "desktop": {"autostart": true, "sign_in_at_start": "first"},
            "links": {"Help desk": "https://it.example.com/help"},
            "name": "Example Corp",
            "network": {"no_proxy": [".example.com"], "proxy": "http://proxy.example.com:3128"},
            "resources": {"payments": {
                "account": "corp",
                "allowed_scopes": ["payments.read", "payments.write"],
                "audience": "https://payments.example.com",
                "consent": "ask",
                "scopes": ["payments.read"],
                "title": "Payments",
            }},
            "support_url": "https://it.example.com/daypass",
            "version": 1,
        }],
        "PayloadDisplayName": "Daypass of Example Corp",
        "PayloadIdentifier": "com.example.daypass",
        "PayloadOrganization": "Example Corp",
        "PayloadScope": "System",
        "PayloadType": "Configuration",
        "PayloadUUID": "B7C2B6F0-2A43-4C0B-8C0E-0B8B1C7B2E54",
        "PayloadVersion": 1,
    }))
}

fn json_of(value: &Plist) -> Value {
    match value {
        Plist::Array(items) => items.iter().map(json_of).collect(),
        Plist::Dictionary(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), json_of(value))).collect())
        }
        Plist::Boolean(value) => json!(value),
        Plist::Integer(number) => json!(number.as_signed()),
        Plist::String(text) => json!(text),
        other => panic!("{other:?} is nothing we write"),
    }
}

fn read(text: &str) -> Value {
    json_of(&Plist::from_reader(std::io::Cursor::new(text)).expect("a property list"))
}

#[test]
fn the_sample_is_a_profile_without_a_fault() {
    let sample = read(&sample());
    let mut payload = sample["PayloadContent"][0].clone();
    payload.as_object_mut().expect("a dictionary").retain(|key, _| !key.starts_with("Payload"));
    let file = "/Library/Managed Preferences/com.daypass.agent.plist";
    let source = Source { file: file.into(), kind: SourceKind::Managed, bytes: payload.to_string().into_bytes() };
    let effective = profile::resolve(&[source], "0.1.0");
    assert!(effective.diagnostics.is_empty(), "{:?}", effective.diagnostics);
    assert!(effective.rules.locked.is_none() && effective.rules.resource("payments").is_some());
    assert_eq!(effective.rules.links.len(), 1);
    assert!(effective.diagnostics.iter().all(|d| d.severity != Severity::Error));
}

#[test]
fn the_manifest_has_every_key() {
    fn names(key: &Value, found: &mut Vec<String>) {
        found.extend(key["pfm_title"].as_str().map(str::to_owned));
        key["pfm_subkeys"].as_array().into_iter().flatten().for_each(|key| names(key, found));
    }
    let manifest = read(&manifest());
    assert_eq!(manifest["pfm_domain"], "com.daypass.agent");
    let mut found = Vec::new();
    names(&manifest, &mut found);
    for help in explain_all() {
        assert!(found.iter().any(|name| name == help.key), "{} is missing", help.key);
    }
    let consent = manifest["pfm_subkeys"].as_array().expect("keys").iter().find(|key| key["pfm_name"] == "consent");
    let on_lock = &consent.expect("there")["pfm_subkeys"][2];
    assert_eq!((on_lock["pfm_name"].as_str(), &on_lock["pfm_range_list"]), (Some("on_lock"), &json!(["pause", "end"])));
}
