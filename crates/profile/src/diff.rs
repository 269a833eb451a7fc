//! What changed between two effective profiles, for people and for the audit log.
//!
//! Invariant: a line shows no secret and nothing that could upset a terminal, and is cut to what fits one; that a secret
//! changed is said. The limit: where a value comes from is not compared, only what it is.

use crate::{Value, diagnostic::hidden};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Most characters of one side of a change.
const MOST: usize = 160;

/// One change. Its [`Display`](fmt::Display) is one line: `+ key = value`, `- key` or `~ key: old -> new`.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The dotted key, such as `resources.payments.scopes`; of an account or resource that is gone as a whole, its own.
    pub key: String,
    /// The value before; `None` = there was none. A client secret is the text `[redacted]`.
    pub old: Option<serde_json::Value>,
    /// The value after; `None` = there is none.
    pub new: Option<serde_json::Value>,
}

/// Every change from `old` to `new` ([`crate::Effective::values`] of both), in the order of the keys. An account or
/// resource that is gone as a whole is one change.
pub fn diff(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    for (key, before) in old {
        match new.get(key) {
            Some(after) if after.is(before) => {}
            Some(after) => {
                changes.push(Change {
                    key: key.clone(),
                    old: Some(before.json.clone()),
                    new: Some(after.json.clone()),
                });
            }
            None => {
                let gone = entry(key).filter(|entry| !has_entry(new, entry));
                let key = gone.unwrap_or(key);
                if changes.last().is_none_or(|last| last.key != key) {
                    let old = if gone.is_some() { serde_json::json!({}) } else { before.json.clone() };
                    changes.push(Change { key: key.to_owned(), old: Some(old), new: None });
                }
            }
        }
    }
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    changes.extend(added.map(|(key, after)| Change { key: key.clone(), old: None, new: Some(after.json.clone()) }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// The account or resource a key belongs to: its first two steps, of which the second may be quoted.
fn entry(key: &str) -> Option<&str> {
    let (table, rest) = key.split_once('.')?;
    if !matches!(table, "accounts" | "resources") {
        return None;
    }
    let step = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"')? + 2,
        None => rest.find('.')?,
    };
    key.get(..table.len() + 1 + step)
}

fn has_entry(values: &BTreeMap<String, Value>, entry: &str) -> bool {
    let inside = format!("{entry}.");
    values.range(inside.clone()..).next().is_some_and(|(key, _)| key.starts_with(&inside))
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = shown(&self.key);
        match (&self.old, &self.new) {
            (None, None) => write!(f, "~ {key}"),
            (None, Some(new)) => write!(f, "+ {key} = {}", shown(&new.to_string())),
            (Some(_), None) => write!(f, "- {key}"),
            (Some(old), Some(new)) if old == new => write!(f, "~ {key}: changed"),
            (Some(serde_json::Value::Array(old)), Some(serde_json::Value::Array(new)))
                if old.len() + new.len() > 6 || long(old) || long(new) =>
            {
                let texts = |list: &[serde_json::Value]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
                let (old, new) = (texts(old), texts(new));
                let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect::<Vec<_>>();
                match (only(&new, &old), only(&old, &new)) {
                    (added, removed) if added.is_empty() && removed.is_empty() => write!(f, "~ {key}: reordered"),
                    (added, removed) if removed.is_empty() => write!(f, "~ {key}: added {}", some(&added)),
                    (added, removed) if added.is_empty() => write!(f, "~ {key}: removed {}", some(&removed)),
                    (added, removed) => write!(f, "~ {key}: added {}; removed {}", some(&added), some(&removed)),
                }
            }
            (Some(old), Some(new)) => {
                write!(f, "~ {key}: {} -> {}", shown(&old.to_string()), shown(&new.to_string()))
            }
        }
    }
}

fn long(list: &[serde_json::Value]) -> bool {
    list.iter().any(|one| one.as_str().is_some_and(|text| text.len() > MOST / 4))
}

/// A few of several, and how many more there are.
fn some(list: &[String]) -> String {
    let first: Vec<String> = list.iter().take(3).map(|one| shown(one)).collect();
    let more = list.len().saturating_sub(first.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", first.join(", "))
}

/// One side, on one line and cut.
fn shown(text: &str) -> String {
    let steer = |c: char| c != '"' && hidden(c);
    let mut shown: String = text.chars().take(MOST).map(|c| if steer(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::{Source, SourceKind, resolve};

    const BASE: &str = r#"version = 1
[accounts.corp]
issuer = "https://login.example.com"
client_id = "daypass"
client_secret = "CANARY-one"
[accounts."a b"]
issuer = 5
[resources.payments]
account = "corp"
audience = "https://payments.example.com"
consent = "preapproved"
peers = [{ path = "/usr/bin/git" }]
[resources.wages]
account = "corp"
"#;

    fn lines(old: &str, new: &str) -> Vec<String> {
        let values = |text: &str| {
            let source = Source { file: "10.toml".into(), kind: SourceKind::Managed, bytes: text.into() };
            resolve(&[source], "1.2.0").values
        };
        diff(&values(old), &values(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_change_is_a_line() {
        assert_eq!(lines(BASE, BASE), Vec::<String>::new());
        assert_eq!(lines(BASE, &format!("# moved\n{BASE}")), Vec::<String>::new());
        for (from, to, says) in [
            ("\"preapproved\"", "\"denied\"", &["~ resources.payments.consent: \"preapproved\" -> \"denied\""][..]),
            ("CANARY-one", "CANARY-two", &["~ accounts.corp.client_secret: changed"]),
            ("client_secret = \"CANARY-one\"", "", &["- accounts.corp.client_secret"]),
            ("[resources.wages]\naccount = \"corp\"", "", &["- resources.wages"]),
            (
                "/usr/bin/git",
                "/usr/bin/hg",
                &["~ resources.payments.peers: [{\"path\":\"/usr/bin/git\"}] -> [{\"path\":\"/usr/bin/hg\"}]"],
            ),
            (
                "version = 1",
                "version = 1\nname = \"Ex\\u202eample\"\n[broker]\nport = 6000",
                &["~ broker.port: 6174 -> 6000"],
            ),
            (
                "client_id = \"daypass\"",
                "client_id = 5",
                &["- accounts.corp", "- resources.payments", "- resources.wages"],
            ),
        ] {
            assert_eq!(lines(BASE, &BASE.replacen(from, to, 1)), says, "{to}");
        }
        let added = lines("version = 1", BASE);
        assert!(added.contains(&"+ accounts.corp.client_secret = \"[redacted]\"".to_owned()), "{added:?}");
        assert!(added.iter().all(|line| line.starts_with("+ ") && !line.contains("CANARY")), "{added:?}");
    }

    #[test]
    fn long_lists_tell_what_came_and_went() {
        let with = |peers: &[String]| BASE.replace("{ path = \"/usr/bin/git\" }", &peers.join(","));
        let peers: Vec<String> = (0..5000).map(|i| format!("{{ path = \"/opt/tool{i}\" }}")).collect();
        assert_eq!(
            lines(&with(&peers), &with(&peers[1..])),
            ["~ resources.payments.peers: removed {\"path\":\"/opt/tool0\"}"]
        );
        let told = lines(&with(&peers[..10]), &with(&peers[5..]));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("and 4987 more; removed") && told[0].ends_with("and 2 more"), "{told:?}");
        let reordered = peers.iter().rev().cloned().collect::<Vec<_>>();
        assert_eq!(lines(&with(&peers), &with(&reordered)), ["~ resources.payments.peers: reordered"]);
    }
}
