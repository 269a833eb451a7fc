//! Where profiles come from, and the one snapshot in force.
//!
//! Invariant: files are read once and the bytes read are the bytes parsed; a snapshot is immutable and replaced whole.

use crate::store::lock;
use broker::Rules;
use platform::managed::{Owner, read_managed};
use profile::{Layer, Severity, Source, SourceKind, Value};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
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
    fingerprint: [u8; 32],
}

impl Snapshot {
    /// What is wrong now, with what was in force before.
    fn with_rules_of(self, former: &Self) -> Self {
        let note =
            "the profile as it last was good stays in force until this is repaired or the agent restarts".to_owned();
        let add = |mut lines: Vec<String>| {
            lines.push(note.clone());
            lines
        };
        Self {
            rules: Arc::clone(&former.rules),
            values: former.values.clone(),
            diagnostics: add(self.diagnostics),
            faults: add(self.faults),
            fingerprint: self.fingerprint,
        }
    }

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
    changed: Mutex<Instant>,
}

impl Profiles {
    /// Reads everything once. `test_dir` replaces the system's managed directory.
    pub(crate) fn open(user: PathBuf, test_dir: Option<PathBuf>, uid: u32) -> Self {
        let managed = match test_dir {
            Some(dir) => (dir, Owner::RootOrUid(uid)),
            None => (PathBuf::from(platform::managed::SYSTEM_DIR), Owner::Root),
        };
        let first = load(&user, &managed);
        Self { user, managed, current: Mutex::new(Arc::new(first)), changed: Mutex::new(Instant::now()) }
    }

    /// The snapshot in force.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.current))
    }

    /// Reads the files again; true when what is in force has changed.
    pub(crate) fn reload(&self) -> bool {
        let fresh = load(&self.user, &self.managed);
        let mut current = lock(&self.current);
        if current.fingerprint == fresh.fingerprint {
            return false;
        }
        // A managed file that cannot be read any more does not end what it said: the last good state stays in force.
        let keep = fresh.rules.locked.is_some() && current.rules.locked.is_none();
        *current = Arc::new(if keep { fresh.with_rules_of(&current) } else { fresh });
        *lock(&self.changed) = Instant::now();
        true
    }

    /// How long the snapshot in force has been in force.
    pub(crate) fn settled_for(&self) -> Duration {
        lock(&self.changed).elapsed()
    }
}

fn load(user: &Path, managed: &(PathBuf, Owner)) -> Snapshot {
    let (files, problems) = read_managed(&managed.0, managed.1);
    let mut diagnostics: Vec<String> =
        problems.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let mut sources: Vec<Source> = files
        .into_iter()
        .map(|file| Source {
            file: file.path.to_string_lossy().into_owned(),
            kind: SourceKind::Managed,
            bytes: file.bytes,
        })
        .collect();
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
    // A managed file that may not be trusted may be policy all the same: without it nothing is issued.
    if let Some((path, why)) = problems.first()
        && effective.rules.locked.is_none()
    {
        effective.rules.locked = Some(format!("{}: {why}", path.display()));
    }
    let mut faults = diagnostics.clone();
    faults.extend(effective.diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string));
    diagnostics.extend(effective.diagnostics.iter().map(ToString::to_string));
    Snapshot {
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
        Ok(file) if !file.metadata()?.is_file() => Err(std::io::Error::other("it is not a regular file")),
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
