//! The settings page: the effective profile in plain words, each value with who set it.

use super::super::views::{Group, ProfilePage, SetBy, Setting, setting_in_words, span_in_words, value_in_words};
use super::web_links;
use crate::{agent::Agent, profiles::Snapshot};
use broker::Span;
use profile::{Layer, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Most services that are listed.
const MOST_SERVICES: usize = 100;

/// What one wants to know first of an account or a service.
const FIRST: [&str; 6] = [".title", ".description", ".issuer", ".account", ".audience", ".consent"];

/// A value, readable.
fn readable(json: &Json) -> String {
    match json {
        Json::String(text) if text == "[redacted]" => "not shown".to_owned(),
        Json::String(text) => match text.parse::<Span>() {
            Ok(span) if span.as_seconds() > 0 => span_in_words(span.as_seconds()),
            _ => text.clone(),
        },
        Json::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Json::Array(list) if list.is_empty() => "none".to_owned(),
        Json::Array(list) => list.iter().map(readable).collect::<Vec<_>>().join(", "),
        Json::Object(map) => {
            map.iter().map(|(key, value)| format!("{key}: {}", readable(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn set_by(layer: Layer) -> SetBy {
    match layer {
        Layer::Mandatory => SetBy::Locked,
        Layer::Recommended => SetBy::Suggested,
        Layer::User => SetBy::You,
        Layer::BuiltIn => SetBy::BuiltIn,
    }
}

fn setting(snapshot: &Snapshot, key: &str, rest: &str, value: &Value) -> Setting {
    // What stands in a table of free names is shown with its name.
    let (of, name) =
        rest.split_once('.').filter(|(of, _)| of.ends_with("parameters") || of.ends_with("claims")).unzip();
    let label = match (of, name) {
        (Some(of), Some(name)) => format!("{}: {name}", setting_in_words(of)),
        _ => setting_in_words(rest),
    };
    let by = set_by(value.origin.layer);
    let place = if by == SetBy::BuiltIn { String::new() } else { snapshot.origin(key) };
    Setting { label, key: key.to_owned(), value: value_in_words(rest, &readable(&value.json)), by, place }
}

/// Splits off the first step of a dotted key; a step in quotes may hold dots.
fn first_step(key: &str) -> (String, &str) {
    if let Some((step, rest)) = key.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        return (step.to_owned(), rest.trim_start_matches('.'));
    }
    let (step, rest) = key.split_once('.').unwrap_or((key, ""));
    (step.to_owned(), rest)
}

/// The settings page.
pub(in crate::pages) fn profile(agent: &Agent) -> ProfilePage {
    let snapshot = agent.snapshot();
    let rules = &snapshot.rules;
    let (mut accounts, mut services): (BTreeMap<String, Vec<Setting>>, BTreeMap<String, Vec<Setting>>) =
        Default::default();
    let mut rest: Vec<Setting> = Vec::new();
    for (key, value) in &snapshot.values {
        let (first, below) = first_step(key);
        match first.as_str() {
            "accounts" | "resources" => {
                let (name, end) = first_step(below);
                let list = if first == "accounts" { &mut accounts } else { &mut services };
                list.entry(name).or_default().push(setting(&snapshot, key, end, value));
            }
            "version" | "level" | "links" => {}
            _ => rest.push(setting(&snapshot, key, key, value)),
        }
    }
    let title =
        |list: &[Setting]| list.iter().find(|s| s.key.rsplit('.').next() == Some("title")).map(|s| s.value.clone());
    let group = |heading: &str, (name, mut settings): (String, Vec<Setting>)| {
        let rank = |setting: &Setting| FIRST.iter().position(|end| setting.key.ends_with(end)).unwrap_or(FIRST.len());
        settings.sort_by_key(rank);
        Group { heading: heading.to_owned(), name: Some(name), title: title(&settings), settings }
    };
    let mut groups: Vec<Group> = accounts.into_iter().map(|account| group("Account", account)).collect();
    // What somebody has set comes first.
    rest.sort_by_key(|setting| setting.by == SetBy::BuiltIn);
    if !rest.is_empty() {
        groups.push(Group { heading: "Everything else".to_owned(), name: None, title: None, settings: rest });
    }
    let in_all = services.len();
    ProfilePage {
        locked: rules.locked.is_some(),
        is_managed: snapshot.values.values().any(|v| matches!(v.origin.layer, Layer::Mandatory | Layer::Recommended)),
        organisation: rules.organisation.clone(),
        support_url: rules.support_url.clone(),
        links: web_links(rules),
        faults: snapshot.faults.clone(),
        remarks: snapshot.diagnostics.iter().filter(|line| !snapshot.faults.contains(line)).cloned().collect(),
        groups,
        services: services.into_iter().take(MOST_SERVICES).map(|service| group("Service", service)).collect(),
        more_services: in_all.saturating_sub(MOST_SERVICES),
        own_file: agent.profiles.user_file().display().to_string(),
        test_policy: agent.test_policy,
    }
}
