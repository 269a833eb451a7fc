//! The table of all keys: which exist, who may set them, what they mean.
//!
//! Invariant: every key of the format is one row here and one field in [`crate::format`]; a test holds the two against
//! each other. Types, defaults and texts come from the format's schema, so there is one place for each fact.

use crate::ceilings::{self as built_in, Ceiling, Spans};
use Counts::{Everywhere, ManagedOnly, UserTightens};
use serde_json::Value;
use std::{collections::BTreeMap, sync::LazyLock};

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

    /// The rule as a word, as the schema's `x-daypass-counts` has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Everywhere => "everywhere",
            Self::UserTightens => "user-tightens",
            Self::ManagedOnly => "managed-only",
        }
    }
}

/// One row: a key pattern (`*` stands for a name) and who may set it.
pub(crate) struct Row {
    pub(crate) pattern: &'static str,
    pub(crate) counts: Counts,
    required: bool,
    ceiling: Option<Ceiling>,
}

const fn row(pattern: &'static str, counts: Counts) -> Row {
    Row { pattern, counts, required: false, ceiling: None }
}

const fn required(pattern: &'static str) -> Row {
    Row { pattern, counts: Everywhere, required: true, ceiling: None }
}

impl Row {
    const fn within(self, (least, most): Spans) -> Self {
        Self { ceiling: Some(Ceiling::Span(least, most)), ..self }
    }

    const fn entries(self, most: usize) -> Self {
        Self { ceiling: Some(Ceiling::Count(most)), ..self }
    }

    const fn characters(self, most: usize) -> Self {
        Self { ceiling: Some(Ceiling::Length(most)), ..self }
    }
}

/// Which layers a key counts in, by its pattern.
pub(crate) fn counts(pattern: &str) -> Counts {
    KEYS.iter().find(|row| row.pattern == pattern).map_or(ManagedOnly, |row| row.counts)
}

pub(crate) const KEYS: &[Row] = &[
    required("version"),
    row("level", ManagedOnly),
    row("name", Everywhere).characters(built_in::LABEL),
    row("support_url", Everywhere).characters(built_in::ADDRESS),
    row("requires", Everywhere),
    row("accounts", Everywhere).entries(built_in::ACCOUNTS),
    row("accounts.*", Everywhere),
    row("accounts.*.title", Everywhere).characters(built_in::LABEL),
    required("accounts.*.issuer"),
    required("accounts.*.client_id"),
    row("accounts.*.client_secret", Everywhere),
    row("accounts.*.redirect_uri", Everywhere).entries(built_in::REDIRECTS),
    row("accounts.*.scopes", UserTightens).entries(built_in::SCOPES),
    row("accounts.*.offline", UserTightens),
    row("accounts.*.authorization_parameters", Everywhere),
    row("accounts.*.authorization_parameters.*", Everywhere),
    row("accounts.*.required_claims", UserTightens),
    row("accounts.*.required_claims.*", UserTightens),
    row("resources", Everywhere).entries(built_in::RESOURCES),
    row("resources.*", Everywhere),
    row("resources.*.title", Everywhere).characters(built_in::LABEL),
    row("resources.*.description", Everywhere).characters(built_in::DESCRIPTION),
    required("resources.*.account"),
    row("resources.*.token", Everywhere),
    row("resources.*.audience", Everywhere).characters(built_in::ADDRESS),
    row("resources.*.request", Everywhere),
    row("resources.*.scopes", UserTightens).entries(built_in::SCOPES),
    row("resources.*.allowed_scopes", UserTightens).entries(built_in::SCOPES),
    row("resources.*.lifetime", UserTightens).within(built_in::LIFETIME),
    row("resources.*.consent", UserTightens),
    row("resources.*.sensitive", UserTightens),
    row("resources.*.peers", ManagedOnly).entries(built_in::PEERS),
    row("resources.*.peers.path", ManagedOnly),
    row("resources.*.peers.script", ManagedOnly),
    row("resources.*.peers.sha256", ManagedOnly),
    row("resources.*.peers.package", ManagedOnly),
    row("resources.*.peers.signer", ManagedOnly),
    row("resources.*.peers.os", ManagedOnly),
    row("consent", Everywhere),
    row("consent.idle", UserTightens).within(built_in::CONSENT),
    row("consent.absolute", UserTightens).within(built_in::CONSENT),
    row("consent.on_lock", UserTightens),
    row("consent.terminal", UserTightens),
    row("browser", Everywhere),
    row("browser.command", Everywhere).entries(built_in::COMMAND),
    row("broker", Everywhere),
    row("broker.port", Everywhere),
    row("network", ManagedOnly),
    row("network.proxy", ManagedOnly),
    row("network.no_proxy", ManagedOnly).entries(built_in::NO_PROXY),
    row("network.ca", ManagedOnly).entries(built_in::AUTHORITIES),
    row("audit", ManagedOnly),
    row("audit.retention", ManagedOnly).within(built_in::RETENTION),
    row("audit.export", ManagedOnly),
    row("notifications", Everywhere),
    row("notifications.enabled", Everywhere),
    row("notifications.expiry_ahead", Everywhere).within(built_in::EXPIRY_AHEAD),
    row("desktop", Everywhere),
    row("desktop.autostart", Everywhere),
    row("desktop.sign_in_at_start", Everywhere),
    row("links", Everywhere).entries(built_in::LINKS),
    row("links.*", Everywhere).characters(built_in::ADDRESS),
];

/// The pattern of a key of a table; the file itself is named by the empty one.
pub(crate) fn pattern(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// The keys a table may hold; the table is named by its pattern, the file itself by the empty one.
pub(crate) fn children(table: &str) -> &'static [&'static str] {
    // Asked for each of many thousand tables, so the rows are sorted into their tables once.
    static TABLES: LazyLock<BTreeMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
        let mut tables: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in KEYS {
            let (table, key) = row.pattern.rsplit_once('.').unwrap_or(("", row.pattern));
            if key != "*" {
                tables.entry(table).or_default().push(key);
            }
        }
        tables
    });
    TABLES.get(table).map_or(&[], Vec::as_slice)
}

/// The known key that was probably meant: at most one slip in short names, a few in long ones.
pub(crate) fn nearest(table: &str, written: &str) -> Option<&'static str> {
    let near = children(table).iter().filter_map(|known| slips(written, known).map(|slips| (slips, *known)));
    near.min().map(|(_, known)| known)
}

/// How many slips lie between what was written and a known key; `None` = too many to be a slip.
pub(crate) fn slips(written: &str, known: &str) -> Option<usize> {
    let allowed = (known.len() / 3).clamp(1, 3);
    let short = known.len().abs_diff(written.len()) <= allowed && written.len() <= LONGEST && known.len() <= LONGEST;
    short.then(|| distance(&written.to_ascii_lowercase(), known, allowed)).flatten()
}

/// The longest key that is compared, in bytes.
const LONGEST: usize = 63;

/// Edit distance in which swapping two neighbours is one slip; `None` beyond `most`. Files hold many thousand unknown
/// keys before they are too large, so this takes no memory and stops early.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut before, mut last, mut row) = ([0; LONGEST + 1], [0; LONGEST + 1], [0; LONGEST + 1]);
    last.iter_mut().enumerate().for_each(|(j, cell)| *cell = j);
    for i in 1..=a.len() {
        row[0] = i;
        let mut least = i;
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row[j] = best;
            least = least.min(best);
        }
        if least > most {
            return None;
        }
        (before, last, row) = (last, row, before);
    }
    Some(last[b.len()]).filter(|slips| *slips <= most)
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
    /// What no profile can lift; `None` = no limit of its own.
    pub ceiling: Option<Ceiling>,
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
    let words = alternatives(at.get("items").unwrap_or(at))
        .iter()
        .filter_map(|word| Some((word.get("const")?.as_str()?.to_owned(), text(word))))
        .collect();
    Some(KeyHelp {
        key: row.pattern,
        kind: kind(at),
        default: at.get("default").map(Value::to_string),
        required: row.required,
        counts: row.counts,
        ceiling: row.ceiling,
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

/// Writes into the schema what only this table knows: who may set a key, and its built-in ceiling.
pub(crate) fn annotate(schema: &mut Value) {
    for row in KEYS {
        let node = row.pattern.split('.').try_fold(&mut *schema, |at, step| descend_mut(at, step));
        let Some(Value::Object(node)) = node else { continue };
        node.insert("x-daypass-counts".into(), row.counts.word().into());
        let Some(ceiling) = row.ceiling else { continue };
        node.insert("x-daypass-ceiling".into(), ceiling.to_string().into());
        match ceiling {
            Ceiling::Span(..) => {}
            Ceiling::Length(most) => drop(node.insert("maxLength".into(), most.into())),
            // An entry too many is void; the file stays valid, so an editor may say so and no more.
            Ceiling::Count(most) if node.get("type").is_some_and(|kind| kind == "object") => {
                drop(node.insert("maxProperties".into(), most.into()));
            }
            Ceiling::Count(most) => {
                let list = |one: &&mut Value| one.get("items").is_some();
                let one = node.get_mut("anyOf").and_then(Value::as_array_mut);
                match one.and_then(|all| all.iter_mut().find(list)).and_then(Value::as_object_mut) {
                    Some(list) => drop(list.insert("maxItems".into(), most.into())),
                    None => drop(node.insert("maxItems".into(), most.into())),
                }
            }
        }
    }
}

/// As [`descend`], for writing.
fn descend_mut<'a>(at: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    if step == "*" {
        return at.get_mut("additionalProperties").filter(|v| v.is_object());
    }
    if at.get("properties").is_some_and(|p| p.get(step).is_some()) {
        return at.get_mut("properties")?.get_mut(step);
    }
    let alternatives = if at.get("oneOf").is_some() { "oneOf" } else { "anyOf" };
    let list = |one: &&mut Value| one.get("items").is_some_and(|items| descend(items, step).is_some());
    descend_mut(at.get_mut(alternatives)?.as_array_mut()?.iter_mut().find(list)?.get_mut("items")?, step)
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
            if let Some(range @ Ceiling::Span(..)) = key.ceiling {
                assert!(key.text.contains(&range.to_string()), "{} does not say {range}", key.key);
            }
            assert_eq!(key.kind.contains("duration"), matches!(key.ceiling, Some(Ceiling::Span(..))), "{}", key.key);
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
