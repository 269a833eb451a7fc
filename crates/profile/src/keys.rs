//! The table of all keys: which exist, who may set them, what they mean.
//!
//! Invariant: every key of the format is one row here and one field in [`crate::format`]; a test holds the two against
//! each other. Types, defaults and texts come from the format's schema, so there is one place for each fact.

use Counts::{Everywhere, ManagedOnly, UserTightens};
use serde_json::Value;

/// Which layers a key counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// In every layer, by the order of the layers.
    Everywhere,
    /// In every layer; the user's may only be stricter than what the layers below say.
    UserTightens,
    /// In managed layers only.
    ManagedOnly,
}

impl Counts {
    /// The rule as a sentence part for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everywhere => "every layer",
            Self::UserTightens => "every layer; the user's own profile may only be stricter",
            Self::ManagedOnly => "managed layers only",
        }
    }
}

/// One row: a key pattern (`*` stands for a name) and who may set it.
pub(crate) struct Row {
    pub(crate) pattern: &'static str,
    counts: Counts,
    required: bool,
}

const fn row(pattern: &'static str, counts: Counts) -> Row {
    Row { pattern, counts, required: false }
}

const fn required(pattern: &'static str) -> Row {
    Row { pattern, counts: Everywhere, required: true }
}

pub(crate) const KEYS: &[Row] = &[
    required("version"),
    row("level", ManagedOnly),
    row("name", Everywhere),
    row("support_url", Everywhere),
    row("requires", Everywhere),
    row("accounts", Everywhere),
    row("accounts.*", Everywhere),
    required("accounts.*.issuer"),
    required("accounts.*.client_id"),
    row("accounts.*.client_secret", Everywhere),
    row("accounts.*.redirect_uri", Everywhere),
    row("accounts.*.scopes", UserTightens),
    row("accounts.*.offline", UserTightens),
    row("accounts.*.authorization_parameters", Everywhere),
    row("accounts.*.authorization_parameters.*", Everywhere),
    row("accounts.*.required_claims", UserTightens),
    row("accounts.*.required_claims.*", UserTightens),
    row("resources", Everywhere),
    row("resources.*", Everywhere),
    required("resources.*.account"),
    row("resources.*.token", Everywhere),
    row("resources.*.audience", Everywhere),
    row("resources.*.request", Everywhere),
    row("resources.*.scopes", UserTightens),
    row("resources.*.allowed_scopes", UserTightens),
    row("resources.*.lifetime", UserTightens),
    row("resources.*.consent", UserTightens),
    row("resources.*.sensitive", UserTightens),
    row("resources.*.peers", ManagedOnly),
    row("resources.*.peers.path", ManagedOnly),
    row("resources.*.peers.script", ManagedOnly),
    row("resources.*.peers.sha256", ManagedOnly),
    row("resources.*.peers.package", ManagedOnly),
    row("resources.*.peers.signer", ManagedOnly),
    row("resources.*.peers.os", ManagedOnly),
    row("consent", Everywhere),
    row("consent.idle", UserTightens),
    row("consent.absolute", UserTightens),
    row("consent.on_lock", UserTightens),
    row("consent.terminal", UserTightens),
    row("browser", Everywhere),
    row("browser.command", Everywhere),
    row("broker", Everywhere),
    row("broker.port", Everywhere),
];

/// The keys a table may hold; the table is named by its pattern, the file itself by the empty one.
pub(crate) fn children(table: &str) -> impl Iterator<Item = &'static str> + Clone {
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    KEYS.iter().filter_map(move |row| row.pattern.strip_prefix(&prefix)).filter(|rest| !rest.contains(['.', '*']))
}

/// The known key that was probably meant: at most one slip in short names, a few in long ones.
pub(crate) fn nearest(table: &str, written: &str) -> Option<&'static str> {
    let slips = |known: &str| {
        let allowed = (known.len() / 3).clamp(1, 3);
        (known.len().abs_diff(written.len()) <= allowed)
            .then(|| distance(&written.to_ascii_lowercase(), known))
            .filter(|slips| *slips <= allowed)
    };
    children(table).filter_map(|known| slips(known).map(|slips| (slips, known))).min().map(|(_, known)| known)
}

/// Edit distance in which swapping two neighbours is one slip.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// What a key means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHelp {
    /// The key's pattern, such as `accounts.*.issuer`.
    pub key: &'static str,
    /// Its type in words.
    pub kind: String,
    /// Its default, as it would be written; `None` = none.
    pub default: Option<String>,
    /// Whether the table it stands in counts for nothing without it.
    pub required: bool,
    /// Which layers it counts in.
    pub counts: Counts,
    /// What it does.
    pub text: String,
    /// The words it takes, each with what it means; empty where it does not take words.
    pub words: Vec<(String, String)>,
}

/// Explains a key: a pattern such as `resources.*.lifetime`, or a real key such as `resources.payments.lifetime`.
pub fn explain(key: &str) -> Option<KeyHelp> {
    let steps = steps(key);
    let row = KEYS.iter().find(|row| {
        let pattern: Vec<&str> = row.pattern.split('.').collect();
        pattern.len() == steps.len() && pattern.iter().zip(&steps).all(|(p, s)| *p == "*" || p == s)
    })?;
    help(row, &crate::schema())
}

/// Every key, in the order of the format.
pub fn explain_all() -> Vec<KeyHelp> {
    let schema = crate::schema();
    KEYS.iter().filter_map(|row| help(row, &schema)).collect()
}

/// Splits a dotted key; a step in quotes may hold dots.
fn steps(key: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut quoted = false;
    for c in key.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => steps.push(String::new()),
            c => steps.last_mut().into_iter().for_each(|step| step.push(c)),
        }
    }
    steps
}

fn help(row: &Row, schema: &Value) -> Option<KeyHelp> {
    let at = row.pattern.split('.').try_fold(schema, |at, step| descend(at, step))?;
    let text = |value: &Value| value.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let words = alternatives(at)
        .iter()
        .filter_map(|word| Some((word.get("const")?.as_str()?.to_owned(), text(word))))
        .collect();
    Some(KeyHelp {
        key: row.pattern,
        kind: kind(at),
        default: at.get("default").map(Value::to_string),
        required: row.required,
        counts: row.counts,
        text: text(at),
        words,
    })
}

/// One step into the schema: a property, any entry of a map, or a property of a list's entries.
fn descend<'a>(at: &'a Value, step: &str) -> Option<&'a Value> {
    if step == "*" {
        return at.get("additionalProperties").filter(|v| v.is_object());
    }
    if let Some(found) = at.get("properties").and_then(|p| p.get(step)) {
        return Some(found);
    }
    alternatives(at).iter().find_map(|one| descend(one.get("items")?, step))
}

fn alternatives(at: &Value) -> &[Value] {
    at.get("oneOf").or_else(|| at.get("anyOf")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn kind(at: &Value) -> String {
    if let Some(word) = at.get("const") {
        return word.as_str().map_or_else(|| word.to_string(), str::to_owned);
    }
    match at.get("type").and_then(Value::as_str) {
        Some("array") => format!("list of {}", at.get("items").map_or_else(String::new, kind)),
        Some("object") if at.get("properties").is_some() => "table".into(),
        Some("object") => "table of names".into(),
        Some("boolean") => "true or false".into(),
        Some("integer") => "whole number".into(),
        Some("string") if at.get("pattern").is_some_and(|p| p == "^[0-9]{1,10}[smhd]$") => {
            "duration such as 90s, 10m, 12h or 30d".into()
        }
        Some("string") if alternatives(at).is_empty() => "text".into(),
        _ => alternatives(at).iter().map(kind).collect::<Vec<_>>().join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn fields(prefix: &str, at: &Value, found: &mut BTreeSet<String>) {
        let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        for (name, field) in at.get("properties").and_then(Value::as_object).into_iter().flatten() {
            found.insert(join(name));
            fields(&join(name), field, found);
        }
        if let Some(entry) = at.get("additionalProperties").filter(|v| v.is_object()) {
            found.insert(join("*"));
            fields(&join("*"), entry, found);
        }
        for one in alternatives(at) {
            one.get("items").into_iter().for_each(|items| fields(prefix, items, found));
        }
    }

    #[test]
    fn schema_and_key_table_agree() {
        let mut in_schema = BTreeSet::new();
        fields("", &crate::schema(), &mut in_schema);
        let in_table: BTreeSet<String> = KEYS.iter().map(|row| row.pattern.to_owned()).collect();
        assert_eq!(in_schema, in_table);
        assert_eq!(explain_all().len(), KEYS.len());
        for key in explain_all() {
            assert!(!key.kind.is_empty() && !key.kind.contains("or or"), "{} has no type", key.key);
            assert!(!key.text.is_empty() || key.key.ends_with('*'), "{} has no text", key.key);
        }
    }

    #[test]
    fn explain_takes_patterns_and_real_keys() {
        let idle = explain("consent.idle").expect("there");
        assert_eq!(idle.default.as_deref(), Some("\"12h\""));
        assert!(idle.kind.contains("duration"));
        assert_eq!(explain("accounts.\"a.b\".issuer").expect("there").key, "accounts.*.issuer");
        assert_eq!(explain("resources.payments.lifetime").expect("there").default.as_deref(), Some("\"5m\""));
        let consent = explain("resources.*.consent").expect("there");
        assert_eq!(consent.words.iter().map(|w| w.0.as_str()).collect::<Vec<_>>(), ["ask", "preapproved", "denied"]);
        assert!(consent.kind.contains("ask or preapproved or denied"), "{}", consent.kind);
        assert_eq!(explain("resources.payments.peers.path").expect("there").counts, ManagedOnly);
        for unknown in ["", "consent.", "accounts.a.b.c", "nothing"] {
            assert!(explain(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn slips_find_the_key_that_was_meant() {
        for (table, written, meant) in [
            ("resources.*", "consnet", Some("consent")),
            ("resources.*", "scope", Some("scopes")),
            ("resources.*", "allowedScopes", Some("allowed_scopes")),
            ("accounts.*", "client-id", Some("client_id")),
            ("accounts.*", "clientID", Some("client_id")),
            ("accounts.*", "required_claim", Some("required_claims")),
            ("consent", "idel", Some("idle")),
            ("", "resource", Some("resources")),
            ("resources.*.peers", "sha265", Some("sha256")),
            ("resources.*", "colour", None),
            ("resources.*", "", None),
            ("", "\u{1f980}", None),
        ] {
            assert_eq!(nearest(table, written), meant, "{written}");
        }
    }
}
