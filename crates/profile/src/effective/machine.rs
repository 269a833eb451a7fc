//! What counts about the machine: network, audit log, notifications, desktop, links.
//!
//! Invariant: a void word takes the strict reading of its key (a longer retention, fewer authorities, more places of
//! export), and where there is none the built-in value counts and is named.

use super::Notes;
use crate::{
    Layer, Origin, Severity, ceilings,
    diagnostic::join,
    merge::{Pick, Slots},
    read::{Gathered, MachineKeys},
};
use broker::{AuditExport, AuditRules, DesktopRules, NetworkRules, NotificationRules, Proxy, Rules, SignInAtStart};
use serde_json::json;
use std::collections::BTreeSet;

pub(crate) fn machine(gathered: &Gathered, rules: &mut Rules, notes: &mut Notes) {
    let keys = &gathered.machine;
    rules.network = network(keys, notes);
    rules.audit = audit(keys, rules.locked.is_some(), notes);
    let built_in = NotificationRules::default();
    let show = |value: &bool| json!(value);
    rules.notifications = NotificationRules {
        enabled: plain(&keys.enabled, built_in.enabled, "notifications.enabled", show, notes),
        expiry_ahead: plain(
            &keys.expiry_ahead,
            built_in.expiry_ahead,
            "notifications.expiry_ahead",
            |span| json!(span.to_string()),
            notes,
        ),
    };
    let built_in = DesktopRules::default();
    rules.desktop = DesktopRules {
        autostart: plain(&keys.autostart, built_in.autostart, "desktop.autostart", show, notes),
        sign_in_at_start: plain(
            &keys.sign_in_at_start,
            built_in.sign_in_at_start,
            "desktop.sign_in_at_start",
            |word| {
                json!(match word {
                    SignInAtStart::First => "first",
                    SignInAtStart::Always => "always",
                    SignInAtStart::Never => "never",
                })
            },
            notes,
        ),
    };
    rules.links = links(keys, notes);
}

/// A key without a strict reading: the highest word, and the built-in one where that is void.
fn plain<T: Clone>(
    slots: &Slots<T>,
    built_in: T,
    key: &str,
    show: impl Fn(&T) -> serde_json::Value,
    notes: &mut Notes,
) -> T {
    let (value, origin) = match slots.highest() {
        Pick::Said(value, origin) => (value, origin),
        Pick::Unsaid => (built_in, Origin::built_in()),
        Pick::Void(origin) => {
            instead(&origin, key, &show(&built_in).to_string(), notes);
            (built_in, Origin::built_in())
        }
    };
    notes.leaf(key.to_owned(), show(&value), origin);
    value
}

/// Says what counts where a word is void.
fn instead(origin: &Origin, key: &str, counts: &str, notes: &mut Notes) {
    notes.report(Severity::Warning, origin, key, &format!("is void: {counts} counts instead"), None);
}

fn network(keys: &MachineKeys, notes: &mut Notes) -> NetworkRules {
    // A void proxy never means one of the environment, which the user sets: IT's of the layer below, or none.
    let below = match keys.proxy.recommended.as_ref().map(Pick::from) {
        Some(Pick::Said(Proxy::Url(url), origin)) => (Proxy::Url(url), origin),
        _ => (Proxy::None, Origin::built_in()),
    };
    let (proxy, origin) = match keys.proxy.highest() {
        Pick::Said(proxy, origin) => (proxy, origin),
        Pick::Unsaid => (Proxy::System, Origin::built_in()),
        Pick::Void(origin) => {
            let counts = match &below.0 {
                Proxy::Url(url) => url.clone(),
                _ => "\"none\", the direct way,".to_owned(),
            };
            instead(&origin, "network.proxy", &counts, notes);
            below
        }
    };
    let shown = match &proxy {
        Proxy::System => "system",
        Proxy::None => "none",
        Proxy::Url(url) => url,
    };
    notes.leaf("network.proxy".to_owned(), json!(shown), origin);
    let show = |list: &Vec<String>| json!(list);
    let no_proxy = plain(&keys.no_proxy, Vec::new(), "network.no_proxy", show, notes);
    let ca = plain(&keys.ca, Vec::new(), "network.ca", show, notes);
    NetworkRules { proxy, no_proxy, ca }
}

/// What cannot be read must not cost lines that IT wants kept: then they are kept as long as can be.
fn audit(keys: &MachineKeys, locked: bool, notes: &mut Notes) -> AuditRules {
    let longest = ceilings::RETENTION.1;
    let (mut retention, mut origin) = (AuditRules::default().retention, Origin::built_in());
    match keys.retention.managed() {
        Pick::Said(said, from) => (retention, origin) = (said, from),
        Pick::Void(from) => {
            instead(&from, "audit.retention", &longest.to_string(), notes);
            (retention, origin) = (longest, from);
        }
        Pick::Unsaid => {}
    }
    if locked {
        retention = longest;
    }
    notes.leaf("audit.retention".to_owned(), json!(retention.to_string()), origin);

    let mut places: BTreeSet<AuditExport> = BTreeSet::new();
    let mut origin = Origin::built_in();
    for said in [&keys.export.recommended, &keys.export.mandatory].into_iter().flatten() {
        match &said.value {
            Some((words, false)) => places.clone_from(words),
            // A word that cannot be read may be the one a lower layer says, so what that says stays.
            Some((words, true)) => places.extend(words),
            None => {}
        }
        origin = said.origin.clone();
    }
    let export: Vec<AuditExport> = places.into_iter().collect();
    let words: Vec<&str> = export
        .iter()
        .map(|place| match place {
            AuditExport::Journald => "journald",
            AuditExport::Syslog => "syslog",
        })
        .collect();
    notes.leaf("audit.export".to_owned(), json!(words), origin);
    AuditRules { retention, export }
}

/// At most eight, IT's first, and within a layer by label.
fn links(keys: &MachineKeys, notes: &mut Notes) -> Vec<(String, String)> {
    let locked = keys.links_table.mandatory.as_ref().is_some_and(|said| said.value.is_none());
    let mut found: Vec<(String, String, Origin)> = keys
        .links
        .iter()
        .filter_map(|(label, slots)| match slots.highest() {
            Pick::Said(address, origin) if !locked || origin.layer == Layer::Mandatory => {
                Some((label.clone(), address, origin))
            }
            _ => None,
        })
        .collect();
    let place = |layer: Layer| match layer {
        Layer::Mandatory => 0,
        Layer::Recommended | Layer::BuiltIn => 1,
        Layer::User => 2,
    };
    found.sort_by_key(|(.., origin)| place(origin.layer));
    for (label, _, origin) in found.iter().skip(ceilings::LINKS) {
        let text = format!("is one link too many: {} count", ceilings::LINKS);
        notes.report(Severity::Warning, origin, &join("links", label), &text, None);
    }
    found.truncate(ceilings::LINKS);
    let leaf = |(label, address, origin): (String, String, Origin)| {
        notes.leaf(join("links", &label), json!(address), origin);
        (label, address)
    };
    found.into_iter().map(leaf).collect()
}
