//! A resource's scopes and its ceiling across the layers.
//!
//! Invariant: the ceiling never holds a scope that the managed layers' own words keep out, whatever the user's say and
//! whatever is spoilt. The limit: an empty set is the strictest ceiling, but as a request it asks the issuer for all it
//! granted (RFC 6749 §6); so spoilt scopes deny the resource, and the user may not empty managed ones.

use crate::{
    Origin,
    merge::{Pick, Statement},
    read::ResourceKeys,
};
use broker::ScopeSet;

/// What came out for one resource.
pub(crate) struct Scoped {
    pub(crate) scopes: (ScopeSet, Origin),
    pub(crate) ceiling: (ScopeSet, Origin),
    /// The scopes were spoilt: what a request without scopes would get cannot be told.
    pub(crate) spoilt: bool,
    /// What to tell: where, which key, what.
    pub(crate) remarks: Vec<(Origin, &'static str, &'static str)>,
}

/// `managed`: a managed layer describes this resource, so the user may only narrow it.
pub(crate) fn resolve(keys: &ResourceKeys, managed: bool) -> Scoped {
    let mut remarks = Vec::new();
    let bound = bound(keys, managed);
    let said = scopes(keys, bound.as_ref(), &mut remarks);
    let spoilt = matches!(said, Pick::Void(_));
    let (mut scopes, mut scopes_origin) = match said {
        Pick::Said(scopes, origin) => (scopes, origin),
        Pick::Void(origin) => (ScopeSet::new(), origin),
        Pick::Unsaid => (ScopeSet::new(), Origin::built_in()),
    };
    let ceiling = ceiling(keys, bound.as_ref(), (&scopes, &scopes_origin), &mut remarks);
    if !scopes.is_subset(&ceiling.0) {
        let within = both(&scopes, &ceiling.0);
        if within.is_empty() {
            remarks.push((
                scopes_origin.clone(),
                "scopes",
                "are all above the ceiling: a request has to name its scopes",
            ));
        } else {
            remarks.push((scopes_origin.clone(), "scopes", "are partly above the ceiling: only those within it count"));
            scopes = within;
            scopes_origin = ceiling.1.clone();
        }
    }
    Scoped { scopes: (scopes, scopes_origin), ceiling, spoilt, remarks }
}

type Remarks = Vec<(Origin, &'static str, &'static str)>;

fn both(a: &ScopeSet, b: &ScopeSet) -> ScopeSet {
    a.difference(&a.difference(b))
}

/// The ceiling by the managed layers alone; `None` = they leave it to the user.
fn bound(keys: &ResourceKeys, managed: bool) -> Option<ScopeSet> {
    match (keys.allowed_scopes.managed(), keys.scopes.managed()) {
        (Pick::Said(allowed, _), _) => Some(allowed),
        (Pick::Void(_) | Pick::Unsaid, Pick::Said(scopes, _)) => Some(scopes),
        (Pick::Void(_), _) | (Pick::Unsaid, Pick::Void(_)) => Some(ScopeSet::new()),
        (Pick::Unsaid, Pick::Unsaid) => managed.then(ScopeSet::new),
    }
}

fn scopes(keys: &ResourceKeys, bound: Option<&ScopeSet>, remarks: &mut Remarks) -> Pick<ScopeSet> {
    let below = keys.scopes.managed();
    if keys.scopes.mandatory.is_some() || matches!(below, Pick::Void(_)) {
        return below;
    }
    let Some(user) = &keys.scopes.user else { return below };
    let Statement { value: Some(wanted), origin } = user else { return Pick::Void(user.origin.clone()) };
    let empties = wanted.is_empty() && below.value().is_some_and(|scopes| !scopes.is_empty());
    if bound.is_some_and(|bound| !wanted.is_subset(bound)) || empties {
        remarks.push((
            origin.clone(),
            "scopes",
            "may only be narrowed here, not widened or emptied: the managed ones count",
        ));
        return below;
    }
    Pick::Said(wanted.clone(), origin.clone())
}

fn ceiling(
    keys: &ResourceKeys,
    bound: Option<&ScopeSet>,
    (scopes, scopes_origin): (&ScopeSet, &Origin),
    remarks: &mut Remarks,
) -> (ScopeSet, Origin) {
    // Void: the default, which is the scopes themselves, and never above the managed ceiling.
    let void = |origin: &Origin| (bound.map_or_else(|| scopes.clone(), |bound| both(scopes, bound)), origin.clone());
    let allowed = &keys.allowed_scopes;
    if let Some(said) = &allowed.mandatory {
        return said.value.clone().map_or_else(|| void(&said.origin), |value| (value, said.origin.clone()));
    }
    match (&allowed.user, &allowed.recommended) {
        (Some(Statement { value: Some(wanted), origin }), _) => match bound {
            Some(bound) if !wanted.is_subset(bound) => {
                remarks.push((
                    origin.clone(),
                    "allowed_scopes",
                    "may only be narrowed here: what is above the managed ceiling does not count",
                ));
                (both(wanted, bound), origin.clone())
            }
            _ => (wanted.clone(), origin.clone()),
        },
        (None, Some(Statement { value: Some(value), origin })) => (value.clone(), origin.clone()),
        (Some(Statement { value: None, origin }), _) | (None, Some(Statement { value: None, origin })) => void(origin),
        (None, None) => (scopes.clone(), scopes_origin.clone()),
    }
}
