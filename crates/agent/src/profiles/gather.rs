//! The files as they are now, and what stands in for those that cannot count.
//!
//! Invariant: a managed file that is no profile or may not be trusted is represented by its last good copy, or locks.
//! Limit: a file that is gone was taken away on purpose, and so is its copy.

use super::copies::Good;
use platform::managed::{Owner, read_managed};
use profile::{Diagnostic, Severity, Source, SourceKind};
use std::{
    fs::OpenOptions,
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Most bytes of the user's profile.
const MOST_BYTES: u64 = 1024 * 1024 + 1;

/// How long a managed file must have said what it says before that counts.
const STILL: Duration = Duration::from_millis(100);

/// Keys at the top of a profile that have nothing to do with accounts; a fault in them hides none.
const NO_ACCOUNTS: [&str; 11] = [
    "resources",
    "consent",
    "browser",
    "broker",
    "network",
    "audit",
    "notifications",
    "desktop",
    "links",
    "name",
    "support_url",
];

/// What counts, and what is wrong with the rest.
pub(super) struct Gathered {
    pub(super) sources: Vec<Source>,
    /// Each as `file: text`.
    pub(super) diagnostics: Vec<String>,
    /// A managed file that may not be trusted and has no good copy: why.
    pub(super) untrusted: Option<String>,
    /// Whether a file is left out as a whole without anything in its place.
    pub(super) may_hide_accounts: bool,
}

/// Whether what is wrong may be the reason why an account is not there.
pub(super) fn may_hide_an_account(fault: &Diagnostic) -> bool {
    let elsewhere = |key: &String| NO_ACCOUNTS.contains(&key.split('.').next().unwrap_or_default());
    fault.severity == Severity::Error && !fault.key.as_ref().is_some_and(elsewhere)
}

/// Whether bytes are a profile at all, and if not, whether an older agent may go on with what was there before: not when
/// they ask for a newer one.
fn is_profile(source: &Source) -> Result<(), bool> {
    profile::is_profile(source, env!("CARGO_PKG_VERSION")).map_err(|why| why.key.as_deref() != Some("requires"))
}

fn managed_source(path: &Path, bytes: Vec<u8>) -> Source {
    Source { file: path.to_string_lossy().into_owned(), kind: SourceKind::Managed, bytes }
}

/// Reads every file once, and brings `good` up to date. A managed file that is not there counts as it was for so long:
/// whoever takes one away to put another in its place leaves a moment without any.
/// What one says that was changed counts once it has said so for a moment: whoever overwrites a file in its place leaves
/// beginnings of it that are profiles too.
pub(super) fn gather(user: &Path, managed: &(PathBuf, Owner), good: &mut Good, patience: Duration) -> Gathered {
    let still = if patience.is_zero() { patience } else { STILL };
    let (files, problems) = read_managed(&managed.0, managed.1);
    let mut diagnostics: Vec<String> =
        problems.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    let directory_refused = problems.iter().any(|(path, _)| *path == managed.0);
    let mut sources: Vec<Source> = Vec::new();
    if directory_refused {
        good.admit(|_| true);
    } else {
        let is_there = |path: &Path| {
            path == managed.0 || files.iter().any(|f| f.path == path) || problems.iter().any(|(p, _)| p == path)
        };
        for path in good.keep_only(is_there, patience) {
            sources.extend(good.get(&path).map(|bytes| managed_source(&path, bytes.to_vec())));
        }
    }
    let stays = |path: &Path, diagnostics: &mut Vec<String>| {
        diagnostics.push(format!("{}: what it last said stays in force until it is repaired", path.display()));
    };
    let lacks = |path: &Path, good: &Good, diagnostics: &mut Vec<String>| {
        let why = good.none_because();
        diagnostics.push(format!("{}: there is no good copy of it to go on with: {why}", path.display()));
    };
    let mut untrusted = None;
    for file in files {
        if good.is(&file.path, &file.bytes) {
            good.unsettle(&file.path);
            sources.push(managed_source(&file.path, file.bytes));
            continue;
        }
        let source = managed_source(&file.path, file.bytes);
        let copy = good.get(&file.path).map(<[u8]>::to_vec);
        match (is_profile(&source), copy) {
            (Ok(()), _) if good.is_still(&file.path, &source.bytes, still) => {
                good.learn(file.path, source.bytes.clone());
                sources.push(source);
            }
            // Until then what it said before counts, one that is new not yet, and one that locked everything still does.
            (Ok(()), copy) => {
                sources.extend(copy.map(|copy| managed_source(&file.path, copy)));
                if good.is_lacking(&file.path) || good.is_lacking(&managed.0) {
                    untrusted = Some(format!("{}: it was repaired only just now", file.path.display()));
                }
            }
            (Err(true), Some(copy)) => {
                good.unsettle(&file.path);
                let faults = profile::check(&source, env!("CARGO_PKG_VERSION"));
                diagnostics.extend(faults.iter().map(ToString::to_string));
                stays(&file.path, &mut diagnostics);
                sources.push(managed_source(&file.path, copy));
            }
            (Err(true), None) => {
                good.lacks(&file.path);
                lacks(&file.path, good, &mut diagnostics);
                sources.push(source);
            }
            (Err(false), _) => {
                good.unsettle(&file.path);
                sources.push(source);
            }
        }
    }
    // A managed file that may not be trusted may be policy all the same: what it last said counts, and where nothing is
    // known of it nothing is issued.
    if directory_refused && !good.is_empty() {
        for (path, bytes) in good.iter() {
            stays(path, &mut diagnostics);
            sources.push(managed_source(path, bytes.to_vec()));
        }
    } else {
        for (path, why) in &problems {
            if let Some(bytes) = good.get(path) {
                stays(path, &mut diagnostics);
                sources.push(managed_source(path, bytes.to_vec()));
            } else {
                good.lacks(path);
                lacks(path, good, &mut diagnostics);
                untrusted = Some(format!("{}: {why}", path.display()));
            }
        }
    }
    if !directory_refused && !good.is_waiting() {
        good.unlock(&managed.0);
    }
    let mut may_hide_accounts = untrusted.is_some();
    match read_user(user) {
        Ok(Some(bytes)) => {
            sources.push(Source { file: user.to_string_lossy().into_owned(), kind: SourceKind::User, bytes });
        }
        Ok(None) => {}
        Err(error) => {
            may_hide_accounts = true;
            diagnostics.push(format!("{}: cannot be read: {error}", user.display()));
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    Gathered { sources, diagnostics, untrusted, may_hide_accounts }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_being_overwritten_counts_as_before_until_it_is_still() {
        let room = tempfile::tempdir().unwrap();
        let managed = (room.path().to_owned(), Owner::RootOrUid(rustix::process::getuid().as_raw()));
        let (file, user) = (room.path().join("10.toml"), room.path().join("none"));
        let (before, half) = ("version = 1\nname = \"Old\"\n", "version = 1\n");
        let whole = "version = 1\nname = \"New\"\n";
        let mut good = Good::default();
        let mut look = |patience| {
            let found = gather(&user, &managed, &mut good, patience);
            assert!(found.diagnostics.is_empty(), "{:?}", found.diagnostics);
            let texts = found.sources.into_iter().map(|source| String::from_utf8(source.bytes).unwrap());
            (texts.collect::<Vec<_>>(), good.is_waiting())
        };
        let running = Duration::from_secs(1);
        fs::write(&file, before).unwrap();
        assert_eq!(look(Duration::ZERO), (vec![before.to_owned()], false), "at the start it counts as it is");
        fs::write(&file, half).unwrap();
        assert_eq!(look(running), (vec![before.to_owned()], true));
        fs::write(&file, whole).unwrap();
        std::thread::sleep(STILL);
        assert_eq!(look(running), (vec![before.to_owned()], true), "that is another text, and only just there");
        std::thread::sleep(STILL);
        assert_eq!(look(running), (vec![whole.to_owned()], false));
        // What is put back at once was never another.
        fs::write(&file, half).unwrap();
        assert!(look(running).1);
        fs::write(&file, whole).unwrap();
        assert_eq!(look(running), (vec![whole.to_owned()], false));
        // A new file counts when it is still, too.
        fs::write(room.path().join("20.toml"), half).unwrap();
        assert_eq!(look(running), (vec![whole.to_owned()], true));
        std::thread::sleep(STILL);
        assert_eq!(look(running), (vec![whole.to_owned(), half.to_owned()], false));
    }

    #[test]
    fn a_file_that_locked_everything_locks_until_its_repair_is_still() {
        let room = tempfile::tempdir().unwrap();
        let managed = (room.path().to_owned(), Owner::RootOrUid(rustix::process::getuid().as_raw()));
        let (file, user) = (room.path().join("10.toml"), room.path().join("none"));
        let mut good = Good::default();
        let mut look = || {
            let found = gather(&user, &managed, &mut good, Duration::from_secs(1));
            (found.sources.len(), found.untrusted.is_some())
        };
        fs::write(&file, "[[[").unwrap();
        assert_eq!(look(), (1, false), "what is no profile locks by itself");
        fs::write(&file, "version = 1\n").unwrap();
        assert_eq!(look(), (0, true));
        std::thread::sleep(STILL);
        assert_eq!(look(), (1, false));
    }
}
