//! Resources: one by one, and then held against each other.
//!
//! Invariant: a preapproval covers only what managed layers describe; an audience is minted for by one account only; the
//! user cannot open a second door to a managed resource's audience. The limit: two resources of one account whose scopes
//! alone decide (`request = "scope"`) are not told apart by what their scopes mean at the issuer.

use crate::{
    Origin, Severity,
    ceilings::{self, LIFETIME},
    diagnostic::join,
    effective::{Leaves, Notes, Void, place, required, scope_list, surplus, surplus_of, table_is_void, title},
    merge::{Layer, Pick},
    read::{Gathered, ResourceKeys},
    scopes,
};
use broker::{
    AccountName, ConsentRule, PeerList, PeerRule, Peers, RequestAs, Resource, ResourceName, Rules, Span, TokenKind,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// How long a minted token lives when nobody says anything.
const DEFAULT_LIFETIME: Span = Span::minutes(5);

/// A resource that is complete by itself.
struct Draft {
    resource: Resource,
    leaves: Leaves,
    place: Origin,
    /// The layer the audience came from.
    audience_from: Layer,
}

pub(crate) fn resources(gathered: &Gathered, rules: &mut Rules, notes: &mut Notes) {
    // Accounts that are not quite what a managed layer describes: no preapproval reaches through them.
    let bent: BTreeSet<&AccountName> = rules
        .accounts
        .keys()
        .filter(|name| {
            let user = |layer| layer == Layer::User;
            gathered
                .accounts
                .get(name.as_str())
                .is_none_or(|keys| user(keys.issuer.highest().layer()) || user(keys.client_id.highest().layer()))
        })
        .collect();
    let mut drafts = BTreeMap::new();
    let surplus = surplus(&gathered.resources, ceilings::RESOURCES, |keys| &keys.table);
    for (written, keys) in &gathered.resources {
        let path = join("resources", written);
        let Ok(name) = written.parse::<ResourceName>() else { continue };
        let drafted = if surplus.contains(written.as_str()) {
            Err(surplus_of(ceilings::RESOURCES))
        } else if table_is_void(&keys.table, &gathered.resources_table, keys.account.mandatory.is_some()) {
            Err(Void::error("a managed file spoils it"))
        } else {
            draft(&name, &path, keys, rules, &bent, notes)
        };
        match drafted {
            Ok(draft) => {
                drafts.insert(name, draft);
            }
            Err(void) => notes.void(void.severity, &place(&keys.table), &path, void.why, void.hint),
        }
    }
    second_doors(&mut drafts, gathered, notes);
    compare(&mut drafts, notes);
    for (name, draft) in drafts {
        let path = join("resources", name.as_str());
        for (key, json, origin) in draft.leaves {
            notes.leaf(join(&path, key), json, origin);
        }
        rules.resources.insert(name, draft.resource.into());
    }
}

fn draft(
    name: &ResourceName,
    path: &str,
    keys: &ResourceKeys,
    rules: &Rules,
    bent: &BTreeSet<&AccountName>,
    notes: &mut Notes,
) -> Result<Draft, Void> {
    let managed = !matches!(keys.account.managed(), Pick::Unsaid);
    let (account, account_origin) = required(keys.account.highest(), "account", notes)?;
    if !rules.accounts.contains_key(&account) {
        return Err(if notes.void.contains_key(&join("accounts", account.as_str())) {
            Void { severity: notes.missing(), why: format!("its account {account} counts for nothing"), hint: None }
        } else if notes.alone {
            let why = format!("there is no account {account} in this file alone");
            Void { severity: Severity::Warning, why, hint: Some("fine where another file has it") }
        } else {
            Void {
                severity: Severity::Error,
                why: format!("there is no account {account}"),
                hint: Some("name an account of [accounts]"),
            }
        });
    }
    let (token, token_origin) = or_default(keys.token.highest(), TokenKind::Access, "token")?;
    let (audience, audience_origin) = match keys.audience.highest() {
        Pick::Said(audience, origin) => (Some(audience), origin),
        Pick::Void(_) => return Err(Void::error("its audience is void")),
        Pick::Unsaid => (None, Origin::built_in()),
    };
    let default_request = if audience.is_some() { RequestAs::Resource } else { RequestAs::Scope };
    let (request, request_origin) = or_default(keys.request.highest(), default_request, "request")?;
    if audience.is_none() && token == TokenKind::Minted {
        return Err(Void { severity: notes.missing(), why: "a minted token needs an audience".into(), hint: None });
    }
    if audience.is_none() && token == TokenKind::Access && request != RequestAs::Scope {
        let why = "request asks for an audience and there is none".into();
        return Err(Void { severity: notes.missing(), why, hint: Some("state an audience, or request = \"scope\"") });
    }
    if let Some(audience) = &audience
        && (token, request) == (TokenKind::Access, RequestAs::Resource)
        && !is_absolute_uri(audience)
    {
        let hint = "an issuer that takes plain names wants request = \"audience\"";
        notes.report(
            Severity::Warning,
            &audience_origin,
            &join(path, "audience"),
            "is no absolute URI without fragment, as request = \"resource\" needs (RFC 8707 section 2)",
            Some(hint),
        );
    }

    let scoped = scopes::resolve(keys, managed);
    for (origin, key, text) in &scoped.remarks {
        notes.report(Severity::Warning, origin, &join(path, key), text, None);
    }
    let (lifetime, lifetime_origin) = lifetime(path, keys, notes);
    let (sensitive, sensitive_origin) = keys.sensitive.strict(
        false,
        |new, old| *new || !*old,
        |_| true,
        |origin, _| notes.report(Severity::Warning, origin, &join(path, "sensitive"), "may only be true here", None),
    );
    let (peers, peers_origin) = match keys.peers.managed() {
        Pick::Said(peers, origin) => (peers, origin),
        Pick::Void(origin) => (Peers::Listed(PeerList::default()), origin),
        Pick::Unsaid => (Peers::Listed(PeerList::default()), Origin::built_in()),
    };
    let (mut consent, mut consent_origin) = keys.consent.strict(
        ConsentRule::Ask,
        |new, old| strictness(*new) >= strictness(*old),
        |_| ConsentRule::Denied,
        |origin, _| {
            let text = "may only be stricter here than what the managed layers say";
            notes.report(Severity::Warning, origin, &join(path, "consent"), text, None);
        },
    );
    if consent == ConsentRule::Preapproved {
        let from_user = [&account_origin, &token_origin, &audience_origin, &request_origin];
        if bent.contains(&account) || from_user.iter().any(|origin| origin.layer == Layer::User) {
            let text = "\"preapproved\" covers only what managed layers describe, and the user's profile changes it: \"ask\" counts";
            notes.report(Severity::Warning, &consent_origin, &join(path, "consent"), text, None);
            consent = ConsentRule::Ask;
        } else if matches!(keys.peers.managed(), Pick::Unsaid) {
            let hint = "list programs in peers";
            notes.report(
                Severity::Warning,
                &consent_origin,
                &join(path, "consent"),
                "is \"preapproved\" and peers lists no program: everybody is asked",
                Some(hint),
            );
        }
    }
    if scoped.spoilt {
        consent = ConsentRule::Denied;
        consent_origin = scoped.scopes.1.clone();
    }

    let mut leaves = vec![
        ("account", json!(account.as_str()), account_origin),
        ("token", json!(token_word(token)), token_origin),
        ("request", json!(request_word(request)), request_origin),
        ("scopes", scope_list(&scoped.scopes.0), scoped.scopes.1),
        ("allowed_scopes", scope_list(&scoped.ceiling.0), scoped.ceiling.1),
        ("consent", json!(consent_word(consent)), consent_origin),
        ("sensitive", json!(sensitive), sensitive_origin),
        ("peers", peers_json(&peers), peers_origin),
    ];
    let audience_from = audience_origin.layer;
    if let Some(audience) = &audience {
        leaves.push(("audience", json!(audience), audience_origin));
    }
    if token == TokenKind::Minted {
        leaves.push(("lifetime", json!(lifetime.to_string()), lifetime_origin));
    }
    let resource = Resource {
        name: name.clone(),
        title: title(&keys.title, &mut leaves, "title"),
        description: title(&keys.description, &mut leaves, "description"),
        account,
        token,
        audience,
        request,
        scopes: scoped.scopes.0,
        allowed_scopes: scoped.ceiling.0,
        lifetime,
        consent,
        sensitive,
        peers,
    };
    Ok(Draft { resource, leaves, place: place(&keys.table), audience_from })
}

fn or_default<T: Clone>(pick: Pick<T>, default: T, key: &str) -> Result<(T, Origin), Void> {
    match pick {
        Pick::Said(value, origin) => Ok((value, origin)),
        Pick::Void(_) => Err(Void::error(format!("its {key} is void"))),
        Pick::Unsaid => Ok((default, Origin::built_in())),
    }
}

fn lifetime(path: &str, keys: &ResourceKeys, notes: &mut Notes) -> (Span, Origin) {
    let key = join(path, "lifetime");
    keys.lifetime.strict(
        DEFAULT_LIFETIME,
        |new, old| new <= old,
        |_| LIFETIME.0,
        |origin, below| {
            let text = format!("may only be shorter than {below} here: longer limits count in managed layers only");
            notes.report(Severity::Warning, origin, &key, &text, None);
        },
    )
}

fn strictness(consent: ConsentRule) -> u8 {
    match consent {
        ConsentRule::Preapproved => 0,
        ConsentRule::Ask => 1,
        ConsentRule::Denied => 2,
    }
}

fn is_absolute_uri(text: &str) -> bool {
    let scheme = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    !text.contains('#') && text.split_once(':').is_some_and(|(before, after)| scheme(before) && !after.is_empty())
}

/// A user's resource with a managed one's audience would be a way around what IT says about that audience, and while a
/// managed audience cannot be read, any audience on a managed account might be it.
fn second_doors(drafts: &mut BTreeMap<ResourceName, Draft>, gathered: &Gathered, notes: &mut Notes) {
    let mut managed: BTreeMap<String, &str> = BTreeMap::new();
    let mut unread = table_is_void(&gathered.resources_table, &gathered.resources_table, false);
    for (name, keys) in &gathered.resources {
        match keys.audience.managed() {
            Pick::Said(audience, _) => {
                managed.insert(audience, name);
            }
            Pick::Void(_) => unread = true,
            Pick::Unsaid => unread |= table_is_void(&keys.table, &keys.table, false),
        }
    }
    let of_user = drafts.values().filter(|draft| draft.audience_from == Layer::User).filter_map(|draft| {
        let on_managed = gathered
            .accounts
            .get(draft.resource.account.as_str())
            .is_some_and(|keys| !matches!(keys.issuer.managed(), Pick::Unsaid));
        let why = match draft.resource.audience.as_ref().and_then(|audience| managed.get(audience)) {
            Some(other) => format!("its audience is that of {other}, which a managed layer describes"),
            None if unread && on_managed => "it could be a managed resource whose audience cannot be read".to_owned(),
            None => return None,
        };
        Some((draft.resource.name.clone(), why))
    });
    for (name, why) in of_user.collect::<Vec<_>>() {
        void(drafts, &name, &why, notes);
    }
}

/// What only shows when resources are held against each other: shared audiences.
fn compare(drafts: &mut BTreeMap<ResourceName, Draft>, notes: &mut Notes) {
    let mut by_audience: BTreeMap<String, Vec<ResourceName>> = BTreeMap::new();
    for (name, draft) in drafts.iter() {
        if let Some(audience) = &draft.resource.audience {
            by_audience.entry(audience.clone()).or_default().push(name.clone());
        }
    }
    for mut sharing in by_audience.into_values().filter(|sharing| sharing.len() > 1) {
        let minted: Vec<&Draft> = sharing
            .iter()
            .filter_map(|name| drafts.get(name))
            .filter(|d| d.resource.token == TokenKind::Minted)
            .collect();
        let accounts: BTreeSet<&AccountName> = minted.iter().map(|draft| &draft.resource.account).collect();
        if accounts.len() > 1 {
            let minting: Vec<ResourceName> = minted.iter().map(|draft| draft.resource.name.clone()).collect();
            let names = list(&minting);
            for name in &minting {
                void(drafts, name, &format!("{names} mint for one audience from different accounts"), notes);
            }
            sharing.retain(|name| !minting.contains(name));
        }
        if let [first, _, ..] = sharing.as_slice()
            && let Some(draft) = drafts.get(first)
        {
            let text = format!("is the audience of {}: asked for by audience, {first} is meant", list(&sharing));
            let key = join(&join("resources", first.as_str()), "audience");
            notes.report(Severity::Warning, &draft.place, &key, &text, Some("ask for them by name"));
        }
    }
}

fn void(drafts: &mut BTreeMap<ResourceName, Draft>, name: &ResourceName, why: &str, notes: &mut Notes) {
    if let Some(draft) = drafts.remove(name) {
        let path = join("resources", name.as_str());
        notes.void(Severity::Error, &draft.place, &path, why.to_owned(), Some("give each its own audience"));
    }
}

fn list(names: &[ResourceName]) -> String {
    names.iter().map(ResourceName::as_str).collect::<Vec<_>>().join(" and ")
}

fn token_word(token: TokenKind) -> &'static str {
    match token {
        TokenKind::Access => "access",
        TokenKind::Id => "id",
        TokenKind::Minted => "minted",
    }
}

fn request_word(request: RequestAs) -> &'static str {
    match request {
        RequestAs::Resource => "resource",
        RequestAs::Audience => "audience",
        RequestAs::Scope => "scope",
    }
}

fn consent_word(consent: ConsentRule) -> &'static str {
    match consent {
        ConsentRule::Ask => "ask",
        ConsentRule::Preapproved => "preapproved",
        ConsentRule::Denied => "denied",
    }
}

fn peers_json(peers: &Peers) -> serde_json::Value {
    let Peers::Listed(rules) = peers else { return json!("any") };
    let rule = |rule: &PeerRule| {
        let hex = |digest: [u8; 32]| digest.iter().flat_map(|byte| [byte >> 4, byte & 15].map(hex_digit)).collect();
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let criteria = [
            ("path", path(&rule.path)),
            ("script", path(&rule.script)),
            ("sha256", rule.sha256.map(hex)),
            ("package", rule.package.clone()),
            ("signer", rule.signer.clone()),
        ];
        let stated = criteria.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
        serde_json::Value::Object(stated.collect())
    };
    serde_json::Value::Array(rules.iter().map(rule).collect())
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or_default()
}
