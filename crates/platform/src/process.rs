//! The agent's own process: hardened, alone, and careful about what its children inherit.
//!
//! Invariant: after [`harden`] the process dumps no core and cannot be read by its siblings; a child gets no variable
//! that carries a secret of ours or loads code into a program; a lock is the kernel's, never a pid in a file.
//! Limit: root reads everything. A *peer* must not be hardened this way: one that is not dumpable cannot be identified.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another agent of this user is running")]
    Held,
    /// The file is not ours alone.
    #[error("the lock file {} is refused: {reason}\nhint: remove it", .path.display())]
    Refused {
        /// The lock file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file could not be opened or locked.
    #[error("the lock file {} cannot be used: {source}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A lock held as long as this value lives; the kernel drops it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The file mode mask before [`harden`], which children are given back; `u32::MAX` = not hardened.
#[cfg(unix)]
static FORMER_UMASK: AtomicU32 = AtomicU32::new(u32::MAX);

/// Runs `start`, which starts a program of the user's, under the mask the user had: ours is for our own files. Files of
/// ours made meanwhile lie in directories nobody else can enter.
#[cfg(unix)]
pub(crate) fn with_users_umask<T>(start: impl FnOnce() -> T) -> T {
    use rustix::{fs::Mode, process::umask};
    let former = FORMER_UMASK.load(Ordering::Relaxed);
    if former == u32::MAX {
        return start();
    }
    let own = umask(Mode::from_raw_mode(former));
    let result = start();
    umask(own);
    result
}

/// Nothing to change on this system.
#[cfg(not(unix))]
pub(crate) fn with_users_umask<T>(start: impl FnOnce() -> T) -> T {
    start()
}

/// Makes the own process unreadable to its siblings: not dumpable, no core file, files created for the user only.
#[cfg(unix)]
pub fn harden() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit, umask};
    let former = umask(rustix::fs::Mode::from_raw_mode(0o077));
    FORMER_UMASK.store(former.as_raw_mode(), Ordering::Relaxed);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // Two listeners full of connections need more descriptors than many systems give by default.
    let files = rustix::process::getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Untested on this system: nothing can be hardened here, which is said as an error.
#[cfg(not(unix))]
pub fn harden() -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Closes every descriptor above standard error that whoever started us left open: a long-lived process must not hold
/// other people's pipes and files. To be called first thing, before anything of our own is open.
#[cfg(target_os = "linux")]
pub fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|d| *d > 2) {
        // The descriptor of the listing itself is closed already.
        let _ = nix::unistd::close(descriptor);
    }
}

/// Untested on this system: nothing is closed.
#[cfg(not(target_os = "linux"))]
pub fn close_inherited() {}

/// The environment for a child: the own one without what carries our secrets, loads code, or resolves a program from the
/// current directory.
///
/// Dropped: `DAYPASS_*`, the dynamic linker's `LD_*` and `DYLD_*`, start-up files and option variables of interpreters,
/// and a `BROWSER` that is more than a list of plain names. `PATH` keeps its absolute entries.
pub fn scrubbed_environment() -> Vec<(OsString, OsString)> {
    scrub(std::env::vars_os())
}

fn scrub(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    const PREFIXES: [&str; 4] = ["DAYPASS_", "LD_", "DYLD_", "BASH_FUNC_"];
    const NAMES: [&str; 14] = [
        "BASH_ENV",
        "ENV",
        "GCONV_PATH",
        "GIO_EXTRA_MODULES",
        "GTK_MODULES",
        "IFS",
        "NODE_OPTIONS",
        "PERL5LIB",
        "PERL5OPT",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "RUBYLIB",
        "RUBYOPT",
    ];
    variables
        .filter_map(|(name, value)| {
            let text = name.to_str()?;
            if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || NAMES.contains(&text) {
                return None;
            }
            match text {
                "PATH" => {
                    let kept = std::env::split_paths(&value).filter(|entry| entry.is_absolute());
                    std::env::join_paths(kept).ok().map(|path| (name, path))
                }
                "BROWSER" if !is_plain(&value) => None,
                _ => Some((name, value)),
            }
        })
        .collect()
}

fn is_plain(value: &OsStr) -> bool {
    value
        .to_str()
        .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+:-".contains(&byte)))
}

/// The absolute path of a program: an absolute path as it is, a bare name from the absolute entries of `PATH`.
///
/// The current directory is never searched; a relative path with a separator in it finds nothing.
pub fn find_program(name: &OsStr) -> Option<PathBuf> {
    find_in(name, std::env::var_os("PATH").as_deref())
}

fn find_in(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    let wanted = Path::new(name);
    if wanted.is_absolute() {
        return is_executable(wanted).then(|| wanted.to_path_buf());
    }
    if wanted.components().count() != 1 || wanted.file_name() != Some(name) {
        return None;
    }
    std::env::split_paths(path?)
        .filter(|entry| entry.is_absolute())
        .map(|entry| entry.join(wanted))
        .find(|candidate| is_executable(candidate))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Takes the lock at `path`, or says at once that it is held.
///
/// Nothing in the file is read or believed: a lock left behind by a dead process is free, whatever pid it names. A file
/// that was removed and made anew between opening and locking is noticed, so two agents cannot both hold "the" lock.
#[cfg(unix)]
pub fn lock_file(path: &Path) -> Result<Lock, LockError> {
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::fs::MetadataExt as _;
    let failed = |source: io::Error| LockError::Io { path: path.to_path_buf(), source };
    let refused = |reason: &str| LockError::Refused { path: path.to_path_buf(), reason: reason.to_owned() };
    for _ in 0..10 {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::LOOP) => return Err(refused("it is a symbolic link")),
            Err(error) => return Err(failed(error.into())),
        };
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(refused("it is not a regular file"));
        }
        if facts.uid() != crate::own_uid() {
            return Err(refused("it belongs to another user"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LockError::Held),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        match std::fs::symlink_metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (facts.dev(), facts.ino()) => return Ok(Lock { _file: file }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(refused("it is being replaced again and again"))
}

/// Untested on this system.
#[cfg(not(unix))]
pub fn lock_file(path: &Path) -> Result<Lock, LockError> {
    let failed = |source: io::Error| LockError::Io { path: path.to_path_buf(), source };
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(std::fs::TryLockError::WouldBlock) => Err(LockError::Held),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        scrub(pairs).into_iter().map(|(n, v)| (n.into_string().unwrap(), v.into_string().unwrap())).collect()
    }

    #[test]
    fn children_get_no_secret_and_no_loader_variable() {
        let kept = variables(&[
            ("DAYPASS_TOKEN", "x"),
            ("LD_PRELOAD", "/x.so"),
            ("LD_LIBRARY_PATH", "/x"),
            ("BASH_ENV", "x"),
            ("NODE_OPTIONS", "--require x"),
            ("BROWSER", "sh -c 'x %s'"),
            ("PATH", "/usr/bin::.:bin:/bin"),
            ("DISPLAY", ":1"),
            ("WAYLAND_DISPLAY", "wayland-0"),
            ("XAUTHORITY", "/x"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x"),
            ("HOME", "/home/ann"),
            ("LANG", "de_DE.UTF-8"),
        ]);
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["PATH", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "HOME", "LANG"]
        );
        assert_eq!(kept[0].1, "/usr/bin:/bin");
        assert_eq!(variables(&[("BROWSER", "/usr/bin/firefox")]).len(), 1);
    }

    #[test]
    fn programs_are_found_in_absolute_entries_only() {
        let room = tempfile::tempdir().unwrap();
        let tool = room.path().join("tool");
        std::fs::write(&tool, "#!/bin/sh\n").unwrap();
        let path = format!("relative::.:{}", room.path().display());
        let find = |name: &str| find_in(OsStr::new(name), Some(OsStr::new(&path)));
        assert_eq!(find("tool"), None, "a file that cannot be executed is no program");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("tool"), Some(tool.clone()));
        assert_eq!(find(tool.to_str().unwrap()), Some(tool));
        for name in ["./tool", "../tool", "a/tool", "", ".", "..", "nothing-of-that-name"] {
            assert_eq!(find(name), None, "{name:?}");
        }
    }

    #[test]
    fn one_lock_at_a_time_and_no_pid_is_believed() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("lock");
        std::fs::write(&path, "1\n").unwrap();
        let held = lock_file(&path).unwrap();
        assert!(matches!(lock_file(&path), Err(LockError::Held)));
        drop(held);
        let first = lock_file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = lock_file(&path).unwrap();
        drop((first, second));
        let link = room.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(lock_file(&link), Err(LockError::Refused { .. })));
        assert!(matches!(lock_file(room.path()), Err(LockError::Io { .. } | LockError::Refused { .. })));
    }
}
