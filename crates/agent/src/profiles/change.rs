//! What changed between two profiles: what the audit log says of it, and which grants end with it.
//!
//! Invariant: a grant lives no longer than the identity of its resource (account, issuer, client, audience, kind of token
//! and how it is asked for), which is remembered across restarts; nothing told or stored holds a secret.

use super::Snapshot;
use crate::{
    random::hash,
    store::{Store, StoreError},
    trip::printable,
};
use broker::Rules;
use profile::Value;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where it is remembered in the database.
const KEY: &str = "profile";
/// What stands there after an upgrade from a version that wrote nothing down.
const UPGRADED: &str = "upgraded";
/// Most characters of one value in a difference.
const LONGEST_VALUE: usize = 100;
/// Most single changes that are told one by one.
const MOST_CHANGES: usize = 16;
/// Most characters of a whole difference.
const LONGEST: usize = 2000;

/// What is known of the profile last in force, for the next one to be compared with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Known {
    /// Every leaf as people may read it.
    told: BTreeMap<String, String>,
    /// Of every resource that grants may exist for.
    identities: BTreeMap<String, String>,
    faults: BTreeSet<String>,
    locked: Option<String>,
}

/// What is found of it at the start.
#[derive(Debug)]
pub(super) enum Found {
    /// What the agent before this one knew.
    Known(Known),
    /// An earlier version wrote none down; what it granted goes on.
    Upgraded,
    /// Nothing: a fresh machine, or somebody took it away.
    Nothing,
    /// Nothing that can be read.
    Damaged,
}

impl Known {
    /// What an earlier agent wrote down.
    pub(super) fn read(store: &Store) -> Found {
        match store.known(KEY) {
            Ok(None) => Found::Nothing,
            Ok(Some(text)) if text == UPGRADED => Found::Upgraded,
            Ok(Some(text)) => serde_json::from_str(&text).map_or(Found::Damaged, Found::Known),
            Err(error) => {
                tracing::error!(%error, "what was known of the profile cannot be read");
                Found::Damaged
            }
        }
    }

    pub(super) fn write(&self, store: &Store) -> Result<(), StoreError> {
        store.know(KEY, &serde_json::to_string(self).unwrap_or_default())
    }

    /// What is to be known once `fresh` is in force. What is locked or void keeps the identity it had: a spoilt file
    /// changes nobody's.
    pub(super) fn after(&self, fresh: &Snapshot) -> Self {
        let mut identities = self.identities.clone();
        if fresh.rules.locked.is_none() {
            identities.extend(identities_of(&fresh.rules));
        }
        Self {
            told: fresh.values.iter().map(|(key, value)| (key.clone(), shown(value))).collect(),
            identities,
            faults: fresh.faults.iter().cloned().collect(),
            locked: fresh.rules.locked.clone(),
        }
    }

    /// The resources that are not what they were.
    pub(super) fn changed(&self, after: &Self) -> BTreeSet<String> {
        let other =
            |(name, identity): &(&String, &String)| after.identities.get(*name).is_some_and(|now| now != *identity);
        self.identities.iter().filter(other).map(|(name, _)| name.clone()).collect()
    }

    /// The resources the profile no longer has.
    pub(super) fn gone(&self, rules: &Rules) -> BTreeSet<String> {
        let stays =
            |name: &str| rules.resources.keys().any(|known| known.as_str() == name) || rules.void.contains_key(name);
        self.identities.keys().filter(|name| !stays(name)).cloned().collect()
    }

    /// Forgets these resources.
    pub(super) fn forget(&mut self, gone: &BTreeSet<String>) {
        self.identities.retain(|name, _| !gone.contains(name));
    }

    /// Whether a resource's identity is known.
    pub(super) fn knows(&self, resource: &str) -> bool {
        self.identities.contains_key(resource)
    }

    /// Keeps what was known of these resources: their grants could not be ended, and have to be.
    pub(super) fn hold_back(&mut self, before: &Self, resources: &BTreeSet<String>) {
        for name in resources {
            match before.identities.get(name) {
                Some(identity) => self.identities.insert(name.clone(), identity.clone()),
                None => self.identities.remove(name),
            };
        }
    }

    /// The difference in words, at most 2000 characters; `None` where nothing a person could see has changed.
    pub(super) fn difference(&self, after: &Self) -> Option<String> {
        let mut parts = Vec::new();
        match (&self.locked, &after.locked) {
            (before, Some(why)) if before.as_ref() != Some(why) => parts.push(format!("nothing is issued: {why}")),
            (Some(_), None) => parts.push("tokens are issued again".to_owned()),
            _ => {}
        }
        parts.extend(after.faults.difference(&self.faults).map(|fault| format!("faulty: {fault}")));
        parts.extend(self.faults.difference(&after.faults).map(|fault| format!("no longer faulty: {fault}")));
        parts.extend(values(&self.told, &after.told));
        if parts.is_empty() {
            return None;
        }
        let more = parts.len().saturating_sub(MOST_CHANGES);
        parts.truncate(MOST_CHANGES);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        let text = printable(&parts.join("; "));
        Some(if text.chars().count() <= LONGEST {
            text
        } else {
            text.chars().take(LONGEST - 1).chain(['…']).collect()
        })
    }
}

/// Changes of single values; an account or resource that comes or goes is one change.
fn values(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let entries =
        |told: &BTreeMap<String, String>| told.keys().filter_map(|key| entry_of(key)).collect::<BTreeSet<_>>();
    let (old, new) = (entries(before), entries(after));
    let mut parts: Vec<String> = old.difference(&new).map(|entry| format!("{entry} removed")).collect();
    parts.extend(new.difference(&old).map(|entry| {
        let details = ["issuer", "client_id", "account", "audience", "consent"]
            .iter()
            .filter_map(|leaf| after.get(&format!("{entry}.{leaf}")).map(|value| format!("{leaf} {value}")));
        let details: Vec<String> = details.collect();
        if details.is_empty() { format!("{entry} added") } else { format!("{entry} added ({})", details.join(", ")) }
    }));
    let alike = |key: &str| entry_of(key).is_none_or(|entry| old.contains(&entry) && new.contains(&entry));
    for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))).filter(|key| alike(key)) {
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) if old != new => parts.push(format!("{key}: {old} is now {new}")),
            (Some(old), None) => parts.push(format!("{key}: no longer {old}")),
            (None, Some(new)) => parts.push(format!("{key}: {new}")),
            _ => {}
        }
    }
    parts
}

/// `accounts.NAME` or `resources.NAME` of a key below one.
fn entry_of(key: &str) -> Option<String> {
    let (table, rest) = key.split_once('.')?;
    if !matches!(table, "accounts" | "resources") {
        return None;
    }
    // A name that is no plain word is quoted.
    let name = match rest.strip_prefix('"') {
        Some(quoted) => &rest[..quoted.find('"')? + 2],
        None => rest.split('.').next()?,
    };
    Some(format!("{table}.{name}"))
}

/// A value as people may read it: no password of a proxy, cut to what fits a line. What is cut is told apart by its hash.
fn shown(value: &Value) -> String {
    let text = value.json.to_string();
    let text = without_user_info(&text);
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_VALUE - 20).collect();
    format!("{start}… (sha256 {})", &hash(&text)[..8])
}

fn without_user_info(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', '"', '?', '#']).unwrap_or(part.len());
        let start = part[..authority].rfind('@').map_or(0, |at| at + 1);
        clean.push_str("://");
        clean.push_str(&part[start..]);
    }
    clean
}

/// What a grant for each resource rests on, hashed.
fn identities_of(rules: &Rules) -> BTreeMap<String, String> {
    let identity = |resource: &broker::Resource| {
        let account = rules.accounts.get(&resource.account)?;
        let audience = &resource.audience;
        let (kind, request) = (resource.token, resource.request);
        let whole = (account.name.as_str(), account.issuer.as_str(), &account.client_id, audience, kind, request);
        Some(hash(&format!("{whole:?}")))
    };
    rules.resources.values().filter_map(|one| Some((one.name.to_string(), identity(one)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{Source, SourceKind, resolve};

    fn known(text: &str) -> Known {
        let source = Source { file: "p.toml".to_owned(), kind: SourceKind::Managed, bytes: text.into() };
        let effective = resolve(&[source], "1.0.0");
        let faults: Vec<String> = effective.diagnostics.iter().map(ToString::to_string).collect();
        let fresh = Snapshot {
            rules: std::sync::Arc::new(effective.rules),
            values: effective.values,
            faults,
            ..Snapshot::nothing()
        };
        Known::default().after(&fresh)
    }

    const BASE: &str = "version = 1\n[accounts.corp]\nissuer = \"https://a.example\"\nclient_id = \"x\"\n\
        redirect_uri = [\"http://127.0.0.1/\"]\n[resources.pay]\naccount = \"corp\"\ntoken = \"access\"\n\
        audience = \"https://pay.example\"\nrequest = \"resource\"\nscopes = [\"read\"]\n";

    #[test]
    fn a_difference_is_told_in_words_and_holds_no_secret() {
        let base = known(BASE);
        assert_eq!(base.difference(&base), None);
        for (change, want) in [
            (
                BASE.replace("a.example", "b.example"),
                r#"accounts.corp.issuer: "https://a.example" is now "https://b.example""#,
            ),
            (
                BASE.replace("[\"read\"]", "[\"read\", \"write\"]"),
                r#"resources.pay.scopes: ["read"] is now ["read","write"]"#,
            ),
            (BASE.split("[resources").next().unwrap().to_owned(), "resources.pay removed"),
            ("version = 1\n".to_owned(), "accounts.corp removed; resources.pay removed"),
            ("[[[".to_owned(), "nothing is issued: p.toml:1"),
            (format!("{BASE}[consent]\nidle = \"1h\"\n"), r#"consent.idle: "12h" is now "1h""#),
        ] {
            let told = base.difference(&known(&change)).unwrap();
            assert!(told.contains(want), "{told} lacks {want}");
        }
        let back = known("version = 1\n").difference(&base).unwrap();
        assert!(back.contains(r#"accounts.corp added (issuer "https://a.example", client_id "x")"#), "{back}");
        let secret = BASE.replace("client_id", "client_secret = \"CANARY-1\"\nclient_id");
        let other = secret.replace("CANARY-1", "CANARY-2");
        for text in [format!("{:?}", known(&secret)), known(&secret).difference(&known(&other)).unwrap_or_default()] {
            assert!(!text.contains("CANARY"), "{text}");
        }
        assert_eq!(without_user_info(r#""http://ann:CANARY@proxy:1/x@y""#), r#""http://proxy:1/x@y""#);
        let long =
            known(&BASE.replace("[\"read\"]", &format!("{:?}", (0..90).map(|n| format!("s{n}")).collect::<Vec<_>>())));
        assert!(base.difference(&long).unwrap().chars().count() <= LONGEST);
    }

    #[test]
    fn what_a_grant_rests_on_is_the_resource_as_it_was_consented_to() {
        let base = known(BASE);
        for (change, ends) in [
            (BASE.replace("pay.example", "other.example"), true),
            (BASE.replace("a.example", "b.example"), true),
            (BASE.replace("client_id = \"x\"", "client_id = \"y\""), true),
            (BASE.replace("\"access\"", "\"id\""), true),
            (BASE.replace("request = \"resource\"", "request = \"audience\""), true),
            (BASE.replace("\"read\"", "\"read\", \"more\""), false),
            (format!("{BASE}consent = \"denied\"\n"), false),
            // Neither a spoilt file nor one that is gone is a change of anybody's identity.
            ("[[[".to_owned(), false),
            ("version = 1\n".to_owned(), false),
        ] {
            let source = Source { file: "p.toml".to_owned(), kind: SourceKind::Managed, bytes: change.clone().into() };
            let effective = resolve(&[source], "1.0.0");
            let fresh = Snapshot { rules: std::sync::Arc::new(effective.rules), ..Snapshot::nothing() };
            assert_eq!(!base.changed(&base.after(&fresh)).is_empty(), ends, "{change}");
        }
        let mut base = base;
        let gone = base.gone(&Rules::default());
        assert_eq!(gone.iter().collect::<Vec<_>>(), ["pay"]);
        base.forget(&gone);
        assert!(base.gone(&Rules::default()).is_empty() && !base.knows("pay"));
    }
}
