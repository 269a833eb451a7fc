//! What the layers say → the effective profile.
//!
//! Invariant: an account or resource is complete and consistent, or it is void as a whole and said so; what depends on a
//! void one is void too.

mod machine;

use crate::{
    Diagnostic, Effective, Origin, Severity, Source, Value, ceilings,
    diagnostic::join,
    merge::{Layer, Pick, Slots},
    read::{self, AccountKeys, ConsentKeys, Gathered},
    redirect, resource,
};
use broker::{Account, Consent, LockRule, Offline, RedirectUri, Rules, ScopeSet, Span, TerminalRule};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What is found out on the way.
pub(crate) struct Notes {
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) void: BTreeMap<String, String>,
    /// One file is looked at alone: what is missing may stand in another.
    pub(crate) alone: bool,
}

impl Notes {
    pub(crate) fn report(&mut self, severity: Severity, origin: &Origin, key: &str, text: &str, hint: Option<&str>) {
        self.diagnostics.push(Diagnostic {
            severity,
            file: origin.file.clone().unwrap_or_default(),
            line: origin.line,
            key: Some(key.to_owned()),
            text: format!("{key} {text}"),
            hint: hint.map(str::to_owned),
        });
    }

    pub(crate) fn leaf(&mut self, key: String, json: serde_json::Value, origin: Origin) {
        self.values.insert(key, Value { json, origin, secret: None });
    }

    /// An account or resource counts for nothing.
    pub(crate) fn void(&mut self, severity: Severity, origin: &Origin, key: &str, why: String, hint: Option<&str>) {
        self.report(severity, origin, key, &format!("counts for nothing: {why}"), hint);
        self.void.insert(key.to_owned(), why);
    }

    /// How bad it is that something is missing.
    pub(crate) fn missing(&self) -> Severity {
        if self.alone { Severity::Warning } else { Severity::Error }
    }
}

/// Why an account or resource is void.
pub(crate) struct Void {
    pub(crate) severity: Severity,
    pub(crate) why: String,
    pub(crate) hint: Option<&'static str>,
}

impl Void {
    pub(crate) fn error(why: impl Into<String>) -> Self {
        Self { severity: Severity::Error, why: why.into(), hint: None }
    }
}

/// The value of a key an entry cannot do without.
pub(crate) fn required<T: Clone>(pick: Pick<T>, key: &str, notes: &Notes) -> Result<(T, Origin), Void> {
    match pick {
        Pick::Said(value, origin) => Ok((value, origin)),
        Pick::Void(_) => Err(Void::error(format!("its {key} is void"))),
        Pick::Unsaid if notes.alone => Err(Void {
            severity: Severity::Warning,
            why: format!("this file alone states no {key}"),
            hint: Some("fine where another file does"),
        }),
        Pick::Unsaid => Err(Void::error(format!("it has no {key}"))),
    }
}

/// Where an entry's table stands: the highest layer's.
pub(crate) fn place(table: &Slots<()>) -> Origin {
    let said = table.mandatory.as_ref().or(table.user.as_ref()).or(table.recommended.as_ref());
    said.map_or_else(Origin::built_in, |said| said.origin.clone())
}

/// Whether a managed layer voids the entry as a whole: its own table there, or the table of all entries, is none. What the
/// mandatory layer describes itself (`described`) stands above a void recommended table.
pub(crate) fn table_is_void(own: &Slots<()>, all: &Slots<()>, described: bool) -> bool {
    let void = |slots: &Slots<()>, layer: Layer| {
        let slot = if layer == Layer::Mandatory { &slots.mandatory } else { &slots.recommended };
        slot.as_ref().is_some_and(|said| said.value.is_none())
    };
    [own, all].into_iter().any(|t| void(t, Layer::Mandatory) || (void(t, Layer::Recommended) && !described))
}

/// The entries beyond a built-in ceiling: IT's count first, and within that the order of the names.
pub(crate) fn surplus<K>(
    entries: &BTreeMap<String, K>,
    most: usize,
    table: impl Fn(&K) -> &Slots<()>,
) -> BTreeSet<&str> {
    if entries.len() <= most {
        return BTreeSet::new();
    }
    let managed = |keys: &K| !matches!(table(keys).managed(), Pick::Unsaid);
    let (it, own): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, keys)| managed(keys));
    it.into_iter().chain(own).skip(most).map(|(name, _)| name.as_str()).collect()
}

/// Why such an entry is void.
pub(crate) fn surplus_of(most: usize) -> Void {
    Void::error(format!("at most {most} count, in the order of their names"))
}

pub(crate) fn resolve(sources: &[Source], agent_version: &str, alone: bool) -> Effective {
    let mut notes = Notes { diagnostics: Vec::new(), values: BTreeMap::new(), void: BTreeMap::new(), alone };
    let gathered = read::gather(sources, agent_version, &mut notes.diagnostics);
    let mut rules = Rules { locked: gathered.locked.clone(), ..Rules::default() };
    rules.organisation = leaf(&gathered.name, "name", &mut notes);
    rules.support_url = leaf(&gathered.support_url, "support_url", &mut notes);
    rules.browser_command = leaf(&gathered.command, "browser.command", &mut notes);
    rules.consent = consent(&gathered.consent, &mut notes);
    if let Pick::Said(port, origin) = gathered.port.highest() {
        rules.broker.port = port;
        rules.broker.port_is_fixed = origin.layer == Layer::Mandatory;
        notes.leaf("broker.port".into(), json!(port), origin);
    } else {
        notes.leaf("broker.port".into(), json!(rules.broker.port), Origin::built_in());
    }
    machine::machine(&gathered, &mut rules, &mut notes);
    accounts(&gathered, &mut rules, &mut notes);
    resource::resources(&gathered, &mut rules, &mut notes);
    Effective { rules, diagnostics: notes.diagnostics, values: notes.values, void: notes.void }
}

fn leaf<T: Clone + serde::Serialize>(slots: &Slots<T>, key: &str, notes: &mut Notes) -> Option<T> {
    let Pick::Said(value, origin) = slots.highest() else { return None };
    notes.leaf(key.into(), json!(value), origin);
    Some(value)
}

fn consent(keys: &ConsentKeys, notes: &mut Notes) -> Consent {
    let built_in = Consent::default();
    let mut span = |slots: &Slots<Span>, built_in: Span, key: &str| {
        // A void limit: the shorter of the built-in one and what the layers below say.
        let (span, origin) = slots.strict(
            built_in,
            |new, old| new <= old,
            |below| built_in.min(*below),
            |origin, below| {
                let text = format!("may only be shorter than {below} here: longer limits count in managed layers only");
                notes.report(Severity::Warning, origin, key, &text, None);
            },
        );
        notes.leaf(key.into(), json!(span.to_string()), origin);
        span
    };
    let idle = span(&keys.idle, built_in.idle, "consent.idle");
    let absolute = span(&keys.absolute, built_in.absolute, "consent.absolute");
    let ends = |rule: &LockRule| *rule == LockRule::End;
    let (on_lock, origin) = keys.on_lock.strict(
        built_in.on_lock,
        |new, old| ends(new) || !ends(old),
        |_| LockRule::End,
        |origin, _| notes.report(Severity::Warning, origin, "consent.on_lock", "may only be \"end\" here", None),
    );
    let word = if ends(&on_lock) { "end" } else { "pause" };
    notes.leaf("consent.on_lock".into(), json!(word), origin);
    let looseness = |rule: &TerminalRule| match rule {
        TerminalRule::Never => 0,
        TerminalRule::Fallback => 1,
        TerminalRule::Allow => 2,
    };
    let (terminal, origin) = keys.terminal.strict(
        built_in.terminal,
        |new, old| looseness(new) <= looseness(old),
        |_| TerminalRule::Never,
        |origin, _| {
            let text = "may only be stricter here: it is loosened in managed layers only";
            notes.report(Severity::Warning, origin, "consent.terminal", text, None);
        },
    );
    let word = ["never", "fallback", "allow"][looseness(&terminal)];
    notes.leaf("consent.terminal".into(), json!(word), origin);
    Consent { idle, absolute, on_lock, terminal }
}

fn accounts(gathered: &Gathered, rules: &mut Rules, notes: &mut Notes) {
    let surplus = surplus(&gathered.accounts, ceilings::ACCOUNTS, |keys| &keys.table);
    for (keys_name, keys) in &gathered.accounts {
        let path = join("accounts", keys_name);
        let Ok(name) = keys_name.parse::<broker::AccountName>() else { continue };
        let described = keys.issuer.mandatory.is_some() && keys.client_id.mandatory.is_some();
        let built = if surplus.contains(keys_name.as_str()) {
            Err(surplus_of(ceilings::ACCOUNTS))
        } else if table_is_void(&keys.table, &gathered.accounts_table, described) {
            Err(Void::error("a managed file spoils it"))
        } else {
            account(name, &path, keys, rules.broker.port, notes)
        };
        match built {
            Ok((account, leaves)) => {
                for (key, json, origin) in leaves {
                    notes.leaf(join(&path, key), json, origin);
                }
                if let Some(value) = notes.values.get_mut(&join(&path, "client_secret")) {
                    value.secret.clone_from(&account.client_secret);
                }
                for (claim, value) in &account.required_claims {
                    let slots = keys.claims.get(claim);
                    let origin = slots.and_then(|s| s.managed().origin().or_else(|| s.highest().origin()));
                    let key = join(&join(&path, "required_claims"), claim);
                    notes.leaf(key, json!(value), origin.unwrap_or_else(Origin::built_in));
                }
                for (parameter, value) in &account.authorization_parameters {
                    let origin = keys.parameters.get(parameter).and_then(|slots| slots.highest().origin());
                    let key = join(&join(&path, "authorization_parameters"), parameter);
                    notes.leaf(key, json!(value), origin.unwrap_or_else(Origin::built_in));
                }
                rules.accounts.insert(account.name.clone(), account.into());
            }
            Err(Void { severity, why, hint }) => notes.void(severity, &place(&keys.table), &path, why, hint),
        }
    }
}

/// Leaves of one entry: key, value, origin.
pub(crate) type Leaves = Vec<(&'static str, serde_json::Value, Origin)>;

fn account(
    name: broker::AccountName,
    path: &str,
    keys: &AccountKeys,
    broker_port: u16,
    notes: &mut Notes,
) -> Result<(Account, Leaves), Void> {
    let managed = !matches!(keys.issuer.managed(), Pick::Unsaid);
    let (issuer, issuer_origin) = required(keys.issuer.highest(), "issuer", notes)?;
    let (client_id, client_id_origin) = required(keys.client_id.highest(), "client_id", notes)?;
    let required_claims = claims(path, keys, notes)?;
    let (redirect_uris, redirect_origin) = redirects(path, keys, broker_port, notes)?;
    let bound = managed || !matches!(keys.scopes.managed(), Pick::Unsaid);
    let openid: ScopeSet = "openid".parse().unwrap_or_default();
    let (mut scopes, scopes_origin) = keys.scopes.strict(
        openid.clone(),
        |new, old| !bound || new.is_subset(old),
        |_| openid.clone(),
        |origin, _| {
            let text = "may only be narrowed here: a managed layer describes this account";
            notes.report(Severity::Warning, origin, &join(path, "scopes"), text, None);
        },
    );
    if !scopes.contains("openid") {
        let text = "lacks \"openid\", without which there is no ID token: it is added";
        notes.report(Severity::Warning, &scopes_origin, &join(path, "scopes"), text, None);
        scopes = scopes.union(&openid);
    }
    let (offline, offline_origin) = keys.offline.strict(
        Offline::Auto,
        |new, old| *new == Offline::None || *old != Offline::None,
        |_| Offline::None,
        |origin, _| notes.report(Severity::Warning, origin, &join(path, "offline"), "may only be \"none\" here", None),
    );
    let offline_word = match offline {
        Offline::Auto => "auto",
        Offline::Scope => "scope",
        Offline::Parameter => "parameter",
        Offline::None => "none",
    };
    let written: Vec<String> = redirect_uris.iter().map(redirect::written).collect();
    let mut leaves = vec![
        ("issuer", json!(issuer.as_str()), issuer_origin),
        ("client_id", json!(client_id), client_id_origin),
        ("redirect_uri", json!(written), redirect_origin),
        ("scopes", scope_list(&scopes), scopes_origin),
        ("offline", json!(offline_word), offline_origin),
    ];
    let client_secret = match keys.client_secret.highest() {
        Pick::Said(secret, origin) => {
            leaves.push(("client_secret", json!("[redacted]"), origin));
            Some(secret)
        }
        Pick::Void(_) | Pick::Unsaid => None,
    };
    let title = title(&keys.title, &mut leaves, "title");
    let authorization_parameters = parameters(keys);
    let account = Account {
        name,
        title,
        issuer,
        client_id,
        client_secret,
        redirect_uris,
        scopes,
        offline,
        authorization_parameters,
        required_claims,
    };
    Ok((account, leaves))
}

/// A text for people: the highest word, none where that is void.
pub(crate) fn title(slots: &Slots<String>, leaves: &mut Leaves, key: &'static str) -> Option<String> {
    let Pick::Said(text, origin) = slots.highest() else { return None };
    leaves.push((key, json!(text), origin));
    Some(text)
}

pub(crate) fn scope_list(scopes: &ScopeSet) -> serde_json::Value {
    json!(scopes.iter().map(broker::Scope::as_str).collect::<Vec<_>>())
}

/// The redirect URIs that can be listened on; one whose port is the broker's own is void.
fn redirects(
    path: &str,
    keys: &AccountKeys,
    broker_port: u16,
    notes: &mut Notes,
) -> Result<(Vec<RedirectUri>, Origin), Void> {
    let (mut uris, origin) = match keys.redirect_uri.highest() {
        Pick::Said(uris, origin) => (uris, origin),
        Pick::Void(_) => return Err(Void::error("no redirect URI of it is left")),
        Pick::Unsaid => {
            let path = "/callback".to_owned();
            let uri = RedirectUri { host: "127.0.0.1".into(), port: None, written_path: path.clone(), path };
            (vec![uri], Origin::built_in())
        }
    };
    let count = uris.len();
    uris.retain(|uri| uri.port.is_none_or(|port| port != broker_port));
    if uris.len() < count {
        let text = format!("has the fixed port {broker_port}, which is broker.port: that redirect URI is void");
        let hint = "register another port, or set broker.port";
        notes.report(Severity::Error, &origin, &join(path, "redirect_uri"), &text, Some(hint));
    }
    if uris.is_empty() { Err(Void::error("no redirect URI of it is left")) } else { Ok((uris, origin)) }
}

/// A claim that is required and cannot be read can be met by nobody, so it voids the account. The user may add claims,
/// not change managed ones.
fn claims(path: &str, keys: &AccountKeys, notes: &mut Notes) -> Result<BTreeMap<String, String>, Void> {
    let whole = &keys.claims_table;
    if [&whole.recommended, &whole.user, &whole.mandatory].into_iter().flatten().any(|said| said.value.is_none()) {
        return Err(Void::error("its required_claims are void"));
    }
    let mut required = BTreeMap::new();
    for (claim, slots) in &keys.claims {
        let key = join(&join(path, "required_claims"), claim);
        let value = match (slots.managed(), &slots.user) {
            (Pick::Said(value, _), user) => {
                let changes = user.as_ref().filter(|said| said.value.as_ref() != Some(&value));
                if let Some(said) = changes.filter(|_| slots.mandatory.is_none()) {
                    let text = "is required by a managed layer and cannot be changed here";
                    notes.report(Severity::Warning, &said.origin, &key, text, None);
                }
                Some(value)
            }
            (Pick::Unsaid, Some(said)) => said.value.clone(),
            _ => None,
        };
        let value = value.ok_or_else(|| Void::error(format!("{} is void", join("required_claims", claim))))?;
        required.insert(claim.clone(), value);
    }
    Ok(required)
}

fn parameters(keys: &AccountKeys) -> BTreeMap<String, String> {
    let locked = keys.parameters_table.mandatory.as_ref().is_some_and(|said| said.value.is_none());
    let parameters = keys.parameters.iter().filter_map(|(name, slots)| match slots.highest() {
        Pick::Said(value, origin) if !locked || origin.layer == Layer::Mandatory => Some((name.clone(), value)),
        _ => None,
    });
    parameters.collect()
}
