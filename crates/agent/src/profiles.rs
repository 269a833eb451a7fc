//! Where profiles come from, and the one snapshot in force.
//!
//! Invariant: files are read once and the bytes read are the bytes parsed; a snapshot is immutable and replaced whole.

use crate::store::lock;
use broker::{Peers, Rules};
use platform::managed::{Owner, read_managed};
use profile::{Layer, Severity, Source, SourceKind, Value};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Most bytes of the user's profile.
const MOST_BYTES: u64 = 1024 * 1024 + 1;

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

/// Where the files are.
pub(crate) struct Profiles {
    user: PathBuf,
    managed: (PathBuf, Owner),
    current: Mutex<Arc<Snapshot>>,
    good: Mutex<Good>,
    changed: Mutex<Instant>,
}

impl Profiles {
    /// Reads everything once. `test_dir` replaces the system's managed directory.
    pub(crate) fn open(user: PathBuf, test_dir: Option<PathBuf>, uid: u32) -> Self {
        let managed = match test_dir {
            Some(dir) => (dir, Owner::RootOrUid(uid)),
            None => (PathBuf::from(platform::managed::SYSTEM_DIR), Owner::Root),
        };
        let mut good = Good::new();
        let first = load(&user, &managed, &mut good);
        let (current, good) = (Mutex::new(Arc::new(first)), Mutex::new(good));
        Self { user, managed, current, good, changed: Mutex::new(Instant::now()) }
    }

    /// The snapshot in force.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.current))
    }

    /// Reads the files again; true when what is in force has changed.
    pub(crate) fn reload(&self) -> bool {
        let fresh = load(&self.user, &self.managed, &mut lock(&self.good));
        let mut current = lock(&self.current);
        if current.fingerprint == fresh.fingerprint {
            return false;
        }
        *current = Arc::new(fresh);
        *lock(&self.changed) = Instant::now();
        true
    }

    /// How long the snapshot in force has been in force.
    pub(crate) fn settled_for(&self) -> Duration {
        lock(&self.changed).elapsed()
    }
}

/// The bytes of each managed file as it last was a profile.
type Good = BTreeMap<PathBuf, Vec<u8>>;

/// Whether bytes are a profile at all, and if not, whether an older agent may go on with what was there before: not when
/// they ask for a newer one.
fn is_profile(source: &Source) -> Result<(), bool> {
    let alone = profile::resolve(std::slice::from_ref(source), env!("CARGO_PKG_VERSION"));
    if alone.rules.locked.is_none() {
        return Ok(());
    }
    Err(!alone.diagnostics.iter().any(|d| d.key.as_deref() == Some("requires")))
}

fn managed_source(path: &Path, bytes: Vec<u8>) -> Source {
    Source { file: path.to_string_lossy().into_owned(), kind: SourceKind::Managed, bytes }
}

fn load(user: &Path, managed: &(PathBuf, Owner), good: &mut Good) -> Snapshot {
    let (files, problems) = read_managed(&managed.0, managed.1);
    let mut diagnostics: Vec<String> =
        problems.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let directory_refused = problems.iter().any(|(path, _)| *path == managed.0);
    let gone = |path: &Path| !files.iter().any(|f| f.path == path) && !problems.iter().any(|(p, _)| p == path);
    if !directory_refused {
        good.retain(|path, _| !gone(path));
    }
    let mut sources: Vec<Source> = Vec::new();
    let stays = |path: &Path, diagnostics: &mut Vec<String>| {
        diagnostics.push(format!("{}: what it last said stays in force until it is repaired", path.display()));
    };
    for file in files {
        let source = managed_source(&file.path, file.bytes);
        match is_profile(&source) {
            Ok(()) => {
                good.insert(file.path, source.bytes.clone());
                sources.push(source);
            }
            Err(true) if good.contains_key(&file.path) => {
                let faults = profile::check(&source, env!("CARGO_PKG_VERSION"));
                diagnostics.extend(faults.iter().map(ToString::to_string));
                stays(&file.path, &mut diagnostics);
                sources.push(managed_source(&file.path, good[&file.path].clone()));
            }
            Err(_) => sources.push(source),
        }
    }
    // A managed file that may not be trusted may be policy all the same: what it last said counts, and where nothing is
    // known of it nothing is issued.
    let mut untrusted = None;
    if directory_refused && !good.is_empty() {
        for (path, bytes) in good.iter() {
            stays(path, &mut diagnostics);
            sources.push(managed_source(path, bytes.clone()));
        }
    } else {
        for (path, why) in &problems {
            match good.get(path) {
                Some(bytes) => {
                    stays(path, &mut diagnostics);
                    sources.push(managed_source(path, bytes.clone()));
                }
                None => untrusted = Some(format!("{}: {why}", path.display())),
            }
        }
    }
    match read_user(user) {
        Ok(Some(bytes)) => {
            sources.push(Source { file: user.to_string_lossy().into_owned(), kind: SourceKind::User, bytes });
        }
        Ok(None) => {}
        Err(error) => diagnostics.push(format!("{}: cannot be read: {error}", user.display())),
    }
    let mut hasher = Sha256::new();
    for source in &sources {
        hasher.update((source.file.len() as u64).to_be_bytes());
        hasher.update(source.file.as_bytes());
        hasher.update((source.bytes.len() as u64).to_be_bytes());
        hasher.update(&source.bytes);
    }
    for line in &diagnostics {
        hasher.update(line.as_bytes());
    }
    let mut effective = profile::resolve(&sources, env!("CARGO_PKG_VERSION"));
    let void =
        effective.void.iter().filter_map(|(key, why)| Some((key.strip_prefix("resources.")?.to_owned(), why.clone())));
    effective.rules.void = void.collect();
    effective.rules.locked = effective.rules.locked.or(untrusted);
    let mut faults = diagnostics.clone();
    faults.extend(effective.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string));
    diagnostics.extend(effective.diagnostics.iter().map(ToString::to_string));
    let names_package =
        |peers: &Peers| matches!(peers, Peers::Listed(rules) if rules.iter().any(|rule| rule.package.is_some()));
    Snapshot {
        names_packages: effective.rules.resources.values().any(|resource| names_package(&resource.peers)),
        rules: Arc::new(effective.rules),
        diagnostics,
        faults,
        values: effective.values,
        fingerprint: hasher.finalize().into(),
    }
}

fn read_user(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(path);
    match opened {
        Ok(file) => {
            let facts = file.metadata()?;
            if !facts.is_file() {
                return Err(std::io::Error::other("it is not a regular file"));
            }
            // Whoever writes this file chooses the browser command: it must be the user (or root, who may do anything).
            let uid = rustix::process::getuid().as_raw();
            if (facts.uid() != uid && facts.uid() != 0) || facts.mode() & 0o002 != 0 {
                return Err(std::io::Error::other("it is not yours alone: another user owns it or may write to it"));
            }
            let mut bytes = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
