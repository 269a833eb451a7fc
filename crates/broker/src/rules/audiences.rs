//! Resources found by their audience without looking at each.
//!
//! Invariant: the answer is that of a look at every resource in the order of names. The index is made of the resources of
//! one snapshot at the first question, and a copy of the snapshot, which may be changed, starts without one.

use super::Resource;
use crate::words::ResourceName;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

/// Fewer resources are looked through.
const FEW: usize = 16;

/// Names of resources by audience, once somebody asked.
#[derive(Debug, Default)]
pub struct Audiences(OnceLock<HashMap<String, ResourceName>>);

impl Clone for Audiences {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Audiences {
    /// The first resource, in the order of names, with exactly this audience.
    pub(super) fn look_up<'a>(
        &self,
        resources: &'a BTreeMap<ResourceName, Arc<Resource>>,
        audience: &str,
    ) -> Option<&'a Arc<Resource>> {
        let is_it = |resource: &&Arc<Resource>| resource.audience.as_deref() == Some(audience);
        if resources.len() <= FEW {
            return resources.values().find(is_it);
        }
        let names = self.0.get_or_init(|| {
            let mut names = HashMap::new();
            for (name, resource) in resources {
                if let Some(audience) = &resource.audience {
                    names.entry(audience.clone()).or_insert_with(|| name.clone());
                }
            }
            names
        });
        resources.get(names.get(audience)?).filter(is_it)
    }
}
