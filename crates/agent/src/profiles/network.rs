//! What the profile says about the network, made ready for `oidc`.
//!
//! Invariant: a certificate that cannot be read, or whose file others than root could change, is void and said so; it
//! never means less checking.

use super::Snapshot;
use broker::NetworkRules;
use platform::managed::Owner;
use profile::Value;
use std::{collections::BTreeMap, path::Path};

/// How the network is to be reached.
pub(crate) fn options(snapshot: &Snapshot) -> oidc::Options {
    let NetworkRules { proxy, no_proxy, .. } = &snapshot.rules.network;
    oidc::Options {
        extra_roots_pem: snapshot.roots.clone(),
        proxy: proxy.clone(),
        no_proxy: no_proxy.clone(),
        ..oidc::Options::default()
    }
}

/// The PEM text of each entry, or why there is none.
pub(super) fn roots(rules: &NetworkRules, owner: Owner) -> Vec<Result<Vec<u8>, String>> {
    rules.ca.iter().map(|entry| root(entry, owner)).collect()
}

fn root(entry: &str, owner: Owner) -> Result<Vec<u8>, String> {
    let (place, bytes) = if entry.starts_with('/') {
        let bytes = platform::managed::read_trusted(Path::new(entry), owner);
        (format!("{entry} "), bytes.map_err(|why| format!("{entry} cannot count: {why}"))?)
    } else {
        (String::new(), entry.as_bytes().to_vec())
    };
    oidc::check_roots(&bytes).map_err(|_| format!("{place}holds no certificate in PEM"))?;
    Ok(bytes)
}

/// Those that count, and what is to be said of the others.
pub(super) fn sorted(
    roots: Vec<Result<Vec<u8>, String>>,
    values: &BTreeMap<String, Value>,
) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut good, mut void) = (Vec::new(), Vec::new());
    for (number, root) in roots.into_iter().enumerate() {
        match root {
            Ok(bytes) => good.push(bytes),
            Err(why) => {
                let origin = values.get("network.ca").map(|value| &value.origin);
                let file = origin.and_then(|origin| origin.file.clone()).unwrap_or_default();
                let place = match origin.and_then(|origin| origin.line) {
                    Some(line) => format!("{file}:{line}"),
                    None => file,
                };
                void.push(format!("{place}: network.ca entry {} counts for nothing: {why}", number + 1));
            }
        }
    }
    (good, void)
}
