//! Where profiles come from, and the one snapshot in force.
//!
//! Invariant: files are read once and the bytes read are the bytes parsed; a snapshot is immutable and replaced whole. A
//! managed file that is no profile, or may not be trusted, never loosens anything: its last good copy stays in force, and
//! with none nothing is issued.

mod change;
mod copies;
mod follow;
mod gather;
mod network;

pub(crate) use copies::Copies;
pub(crate) use follow::follow;
use network::options;

use crate::store::lock;
use broker::{Peers, Rules};
use change::Known;
use copies::Good;
use platform::managed::Owner;
use profile::{Layer, Severity, Value};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

/// How long a managed file may be away before it counts as taken away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The effective profile at one moment.
pub(crate) struct Snapshot {
    pub(crate) rules: Arc<Rules>,
    /// Each as `file:line: text`.
    pub(crate) diagnostics: Vec<String>,
    /// Those of them that say something is void; the rest count, but perhaps not as meant.
    pub(crate) faults: Vec<String>,
    pub(crate) values: BTreeMap<String, Value>,
    /// Whether a rule names programs by the package that owns them.
    pub(crate) names_packages: bool,
    /// The additional roots of the profile, PEM; an entry that cannot be read is left out and a fault.
    pub(crate) roots: Vec<Vec<u8>>,
    /// Whether a fault may hide an account: then one that is not there was perhaps not removed on purpose.
    pub(crate) may_hide_accounts: bool,
    /// Whether a managed file is in force.
    pub(crate) is_managed: bool,
    fingerprint: [u8; 32],
}

impl Snapshot {
    /// Where a value came from, for people: `file:line` or `built in`.
    pub(crate) fn origin(&self, key: &str) -> String {
        match self.values.get(key).map(|v| &v.origin) {
            Some(origin) if origin.layer != Layer::BuiltIn => {
                let file = origin.file.clone().unwrap_or_default();
                origin.line.map_or(file.clone(), |line| format!("{file}:{line}"))
            }
            _ => "built in".to_owned(),
        }
    }
}

/// Where the files are, what they last said, and what is in force.
pub(crate) struct Profiles {
    user: PathBuf,
    managed: (PathBuf, Owner),
    current: Mutex<Arc<Snapshot>>,
    good: Mutex<Good>,
    changed: Mutex<Instant>,
    copies: Copies,
    known: Mutex<Known>,
    /// Whether the disk still has to be told of it, or of grants that have ended.
    owing: AtomicBool,
    /// Whether issuers cannot be reached as it says.
    unreached: AtomicBool,
    /// Held by whoever puts another snapshot in force.
    turn: tokio::sync::Mutex<()>,
}

impl Profiles {
    /// Reads everything once. `test_dir` replaces the system's managed directory; `copies` has been asked for what the
    /// managed files last said.
    pub(crate) fn open(user: PathBuf, test_dir: Option<PathBuf>, uid: u32, copies: Copies) -> Self {
        let managed = match test_dir {
            Some(dir) => (dir, Owner::RootOrUid(uid)),
            None => (PathBuf::from(platform::managed::SYSTEM_DIR), Owner::Root),
        };
        let mut good = copies.kept();
        let first = load(&user, &managed, &mut good, None);
        let current = Mutex::new(Arc::new(first.unwrap_or_else(Snapshot::nothing)));
        let (changed, known, turn) = (Mutex::new(Instant::now()), Mutex::default(), tokio::sync::Mutex::default());
        let (owing, unreached) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { user, managed, current, good: Mutex::new(good), changed, copies, known, owing, unreached, turn }
    }

    /// The user's own file.
    pub(crate) fn user_file(&self) -> &std::path::Path {
        &self.user
    }

    /// The snapshot in force.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.current))
    }

    /// Reads the files again; `None` when they say what is in force. Blocks on the disk.
    fn look(&self) -> Option<Snapshot> {
        let current = self.current();
        load(&self.user, &self.managed, &mut lock(&self.good), Some(&current))
    }

    fn put_in_force(&self, fresh: Snapshot) -> Arc<Snapshot> {
        let fresh = Arc::new(fresh);
        *lock(&self.current) = Arc::clone(&fresh);
        *lock(&self.changed) = Instant::now();
        fresh
    }

    /// How long the snapshot in force has been in force.
    pub(crate) fn settled_for(&self) -> Duration {
        lock(&self.changed).elapsed()
    }
}

impl Snapshot {
    /// What is in force where nothing could be made out: nothing is issued.
    fn nothing() -> Self {
        let locked = Some("the profile could not be read".to_owned());
        Self {
            rules: Arc::new(Rules { locked, ..Rules::default() }),
            diagnostics: Vec::new(),
            faults: Vec::new(),
            values: BTreeMap::new(),
            names_packages: false,
            roots: Vec::new(),
            may_hide_accounts: true,
            is_managed: false,
            fingerprint: [0; 32],
        }
    }
}

/// Reads and resolves everything; `None` when that gives `current` again.
fn load(
    user: &std::path::Path,
    managed: &(PathBuf, Owner),
    good: &mut Good,
    current: Option<&Snapshot>,
) -> Option<Snapshot> {
    // At the start what is not there was taken away while no agent ran.
    let patience = if current.is_some() { PATIENCE } else { Duration::ZERO };
    let found = gather::gather(user, managed, good, patience);
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    for source in &found.sources {
        add(source.file.as_bytes());
        add(&source.bytes);
    }
    for line in &found.diagnostics {
        add(line.as_bytes());
    }
    let files = hasher.finalize();
    // What the same files say is the same; only the files they name may have changed.
    if let Some(current) = current {
        let roots = network::roots(&current.rules.network, managed.1);
        if fingerprint(&files, &roots) == current.fingerprint {
            return None;
        }
    }
    let gather::Gathered { sources, mut diagnostics, untrusted, mut may_hide_accounts } = found;
    let mut effective = profile::resolve(&sources, env!("CARGO_PKG_VERSION"));
    let void =
        effective.void.iter().filter_map(|(key, why)| Some((key.strip_prefix("resources.")?.to_owned(), why.clone())));
    effective.rules.void = void.collect();
    effective.rules.locked = effective.rules.locked.or(untrusted);
    let roots = network::roots(&effective.rules.network, managed.1);
    let fingerprint = fingerprint(&files, &roots);
    let (roots, void_roots) = network::sorted(roots, &effective.values);
    diagnostics.extend(void_roots);
    may_hide_accounts |=
        effective.rules.locked.is_some() || effective.diagnostics.iter().any(gather::may_hide_an_account);
    let mut faults = diagnostics.clone();
    faults.extend(effective.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string));
    diagnostics.extend(effective.diagnostics.iter().map(ToString::to_string));
    let names_package =
        |peers: &Peers| matches!(peers, Peers::Listed(rules) if rules.iter().any(|rule| rule.package.is_some()));
    Some(Snapshot {
        names_packages: effective.rules.resources.values().any(|resource| names_package(&resource.peers)),
        rules: Arc::new(effective.rules),
        diagnostics,
        faults,
        values: effective.values,
        roots,
        may_hide_accounts,
        is_managed: sources.iter().any(|source| source.kind == profile::SourceKind::Managed),
        fingerprint,
    })
}

fn fingerprint(files: &[u8], roots: &[Result<Vec<u8>, String>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(files);
    for root in roots {
        let (kind, bytes) = match root {
            Ok(bytes) => (b"+", bytes.as_slice()),
            Err(why) => (b"-", why.as_bytes()),
        };
        hasher.update(kind);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().into()
}
