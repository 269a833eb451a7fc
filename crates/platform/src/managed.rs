//! Profile layers IT put on this machine, and which files a user can change.
//!
//! Invariant: bytes come out of here only when the file, its directory and (for the system's place) every directory above
//! it belong to root and nobody else may write to them, all checked on opened files, each read exactly once.
//! What is refused is named with its reason and never read as policy.
//! Limit: whoever is root is IT.

#[cfg(any(target_os = "macos", test))]
mod preferences;
#[cfg(any(windows, test))]
mod registry;

use std::path::{Path, PathBuf};

/// Where managed layers lie on Linux.
#[cfg(not(any(target_os = "macos", windows)))]
pub const SYSTEM_DIR: &str = "/etc/daypass/profile.d";
/// Where managed layers lie on macOS. Untested.
#[cfg(target_os = "macos")]
pub const SYSTEM_DIR: &str = "/Library/Application Support/Daypass/profile.d";
/// Where managed layers would lie on Windows, where they come from the policy registry instead. Untested.
#[cfg(windows)]
pub const SYSTEM_DIR: &str = "C:\\ProgramData\\Daypass\\profile.d";

/// The policy key of Windows, as people know it.
pub const POLICY_KEY: &str = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Daypass";
/// Keys of a profile that are true or false: in the policy key a `REG_DWORD` of 1 or 0.
pub const SWITCHES: [&str; 2] = ["desktop.autostart", "notifications.enabled"];
/// The domain of the managed preferences of macOS.
pub const PREFERENCES: &str = "com.daypass.agent";

/// Most bytes of one layer.
pub const LAYER_LIMIT: usize = 1024 * 1024;

/// A managed layer as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes, at most [`LAYER_LIMIT`].
    pub bytes: Vec<u8>,
}

/// A file or directory that is not read as policy, and why, with the next step where there is one.
pub type ManagedProblem = (PathBuf, String);

/// Who may own managed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Root alone; every directory from the root of the file system down is checked too.
    Root,
    /// Root or this user: the test directory. Only the directory itself and its files are checked.
    RootOrUid(u32),
}

/// Reads every `*.toml` and `*.json` of `dir` in the order of their names, hidden files left out.
///
/// A directory that does not exist gives nothing and is no problem. A refused directory gives no file at all. On macOS
/// the managed preferences are one more layer of root's, as JSON (untested).
#[cfg(unix)]
pub fn read_managed(dir: &Path, owner: Owner) -> (Vec<ManagedFile>, Vec<ManagedProblem>) {
    #[cfg_attr(not(target_os = "macos"), expect(unused_mut, reason = "only macOS has more to add"))]
    let (mut files, mut problems) = unix::read(dir, owner);
    #[cfg(target_os = "macos")]
    if owner == Owner::Root {
        preferences::add(&mut files, &mut problems);
    }
    (files, problems)
}

/// The policy registry, as JSON. Untested. Who owns a file cannot be told here, so a directory that exists is refused.
#[cfg(not(unix))]
pub fn read_managed(dir: &Path, owner: Owner) -> (Vec<ManagedFile>, Vec<ManagedProblem>) {
    let reason = "the owner of files cannot be told on this system".to_owned();
    let problem = dir.exists().then(|| (dir.to_path_buf(), reason));
    let (mut files, mut problems) = (Vec::new(), problem.into_iter().collect());
    #[cfg(windows)]
    if owner == Owner::Root {
        registry::add(&mut files, &mut problems);
    }
    (files, problems)
}

/// Reads one file a managed layer names, under the same checks as the layer itself.
///
/// # Errors
/// Why it does not count, in words.
#[cfg(unix)]
pub fn read_trusted(path: &Path, owner: Owner) -> Result<Vec<u8>, String> {
    unix::read_trusted(path, owner)
}

/// Untested on this system: who owns a file cannot be told, so none counts.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn read_trusted(_: &Path, _: Owner) -> Result<Vec<u8>, String> {
    Err("the owner of files cannot be told on this system".to_owned())
}

/// Whether the user can change what lies at `path`: the file itself, or by replacing it or a directory above it.
///
/// For uid 0, who can change everything, it means: something on the way is not root's, or group or others may write to it.
/// A path that cannot be looked at counts as writable. Stricter than asked for in one point: every directory above
/// counts, not the parent alone, unless its sticky bit keeps the entry from being replaced.
#[cfg(unix)]
pub fn user_can_write(path: &Path) -> bool {
    unix::can_write(path)
}

/// Untested on this system: it cannot be told, so it counts as writable.
#[cfg(not(unix))]
pub fn user_can_write(_: &Path) -> bool {
    true
}

/// Whether root alone can change what lies at `path`: the file and every directory above it belong to root, and neither
/// group nor others may write to them, a sticky bit or not. Stricter than "not the user": no third account counts either.
/// A path that cannot be looked at does not.
#[cfg(unix)]
pub fn only_root_can_write(path: &Path) -> bool {
    unix::only_root_can_write(path)
}

/// Untested on this system: it cannot be told, so nothing counts.
#[cfg(not(unix))]
pub fn only_root_can_write(_: &Path) -> bool {
    false
}

#[cfg(unix)]
mod unix {
    use super::{LAYER_LIMIT, ManagedFile, ManagedProblem, Owner};
    use crate::own_uid;
    use rustix::{
        fs::{Access, AtFlags, CWD, Mode, OFlags},
        io::Errno,
    };
    use std::{
        ffi::{OsStr, OsString},
        fs::{File, Metadata},
        io::Read as _,
        os::{
            fd::AsFd,
            unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
        },
        path::{Component, Path},
    };

    pub(super) fn read(dir: &Path, owner: Owner) -> (Vec<ManagedFile>, Vec<ManagedProblem>) {
        let problem = |path: &Path, reason: String| (path.to_path_buf(), reason);
        let directory = match open_dir(dir, owner) {
            Ok(Some(directory)) => directory,
            Ok(None) => return (Vec::new(), Vec::new()),
            Err(reason) => return (Vec::new(), vec![problem(dir, reason)]),
        };
        let names = match names(&directory) {
            Ok(names) => names,
            Err(error) => return (Vec::new(), vec![problem(dir, error.to_string())]),
        };
        let (mut files, mut problems) = (Vec::new(), Vec::new());
        for name in names {
            let path = dir.join(&name);
            match read_file(&directory, &name, owner) {
                Ok(bytes) => files.push(ManagedFile { path, bytes }),
                Err(reason) => problems.push(problem(&path, reason)),
            }
        }
        (files, problems)
    }

    fn names(directory: &File) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let bytes = name.as_bytes();
            if !bytes.starts_with(b".") && (bytes.ends_with(b".toml") || bytes.ends_with(b".json")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens the directory; for root's place step by step, so that no step can be a link or changeable by others.
    pub(super) fn open_dir(dir: &Path, owner: Owner) -> Result<Option<File>, String> {
        const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let step = |at: &dyn AsFd, name: &Path| match rustix::fs::openat(at.as_fd(), name, FLAGS, Mode::empty()) {
            Ok(fd) => {
                let directory = File::from(fd);
                let facts = directory.metadata().map_err(|error| error.to_string())?;
                check(&facts, owner).map_err(|reason| format!("directory {}: {reason}", name.display()))?;
                Ok(Some(directory))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(format!("{} is not a directory, or a symbolic link", name.display()))
            }
            Err(error) => Err(format!("{}: {error}", name.display())),
        };
        if !dir.is_absolute() {
            return Err("its path is not absolute".to_owned());
        }
        if owner != Owner::Root {
            return step(&CWD, dir);
        }
        let mut here = step(&CWD, Path::new("/"))?;
        for part in dir.components() {
            let (Some(directory), name) = (&here, part) else { return Ok(None) };
            match name {
                Component::RootDir => {}
                Component::Normal(name) => here = step(directory, Path::new(name))?,
                _ => return Err("its path is not canonical".to_owned()),
            }
        }
        Ok(here)
    }

    pub(super) fn read_trusted(path: &Path, owner: Owner) -> Result<Vec<u8>, String> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err("it is no file".to_owned());
        };
        match open_dir(dir, owner)? {
            Some(directory) => read_file(&directory, name, owner),
            None => Err("there is no such directory".to_owned()),
        }
    }

    pub(super) fn read_file(directory: &File, name: &OsStr, owner: Owner) -> Result<Vec<u8>, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::LOOP) => return Err("it is a symbolic link".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let facts = file.metadata().map_err(|error| error.to_string())?;
        if !facts.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        check(&facts, owner)?;
        let mut bytes = Vec::new();
        let most = u64::try_from(LAYER_LIMIT).unwrap_or(u64::MAX).saturating_add(1);
        file.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() > LAYER_LIMIT {
            return Err("it is larger than 1 MiB".to_owned());
        }
        Ok(bytes)
    }

    fn check(facts: &Metadata, owner: Owner) -> Result<(), String> {
        let owned = match owner {
            Owner::Root => facts.uid() == 0,
            Owner::RootOrUid(uid) => facts.uid() == 0 || facts.uid() == uid,
        };
        if !owned {
            return Err(format!("it belongs to user {}, not to root; `chown root` it", facts.uid()));
        }
        if facts.mode() & 0o022 != 0 {
            let mode = facts.mode() & 0o7777;
            return Err(format!("group or others may write to it (mode {mode:04o}); `chmod go-w` it"));
        }
        Ok(())
    }

    pub(super) fn can_write(path: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(path) else { return true };
        let steps: Vec<&Path> = real.ancestors().collect();
        steps.iter().enumerate().any(|(above, step)| {
            let kept = above >= 2 && is_kept_by_sticky(step, steps[above - 1]);
            !kept && one_can_be_written(step)
        })
    }

    pub(super) fn only_root_can_write(path: &Path) -> bool {
        let is_roots = |step: &Path| {
            std::fs::symlink_metadata(step).is_ok_and(|facts| facts.uid() == 0 && facts.mode() & 0o022 == 0)
        };
        std::fs::canonicalize(path).is_ok_and(|real| real.ancestors().all(is_roots))
    }

    /// Whether a directory anybody may write to still keeps this entry of it: sticky, and neither is the user's.
    fn is_kept_by_sticky(directory: &Path, entry: &Path) -> bool {
        let (Ok(directory), Ok(entry)) = (std::fs::symlink_metadata(directory), std::fs::symlink_metadata(entry))
        else {
            return false;
        };
        let foreign = |facts: &Metadata| facts.uid() == 0 || (own_uid() != 0 && facts.uid() != own_uid());
        directory.mode() & 0o1000 != 0 && foreign(&directory) && foreign(&entry)
    }

    fn one_can_be_written(path: &Path) -> bool {
        let Ok(facts) = std::fs::symlink_metadata(path) else { return true };
        let uid = own_uid();
        if uid == 0 {
            return facts.uid() != 0 || facts.mode() & 0o022 != 0;
        }
        facts.uid() == uid || rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::own_uid;
    use std::{
        fs::{Permissions, create_dir, set_permissions, write},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    fn put(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> PathBuf {
        let path = dir.join(name);
        write(&path, bytes).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn layers_are_read_in_order_and_doubtful_ones_named() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path().join("profile.d");
        create_dir(&dir).unwrap();
        let owner = Owner::RootOrUid(own_uid());
        put(&dir, "20.json", 0o644, b"{}");
        put(&dir, "10.toml", 0o600, b"version = 1");
        put(&dir, ".hidden.toml", 0o644, b"x");
        put(&dir, "notes.txt", 0o644, b"x");
        put(&dir, "40.toml", 0o666, b"x");
        put(&dir, "41.toml", 0o664, b"x");
        put(&dir, "50.toml", 0o644, &vec![b'#'; LAYER_LIMIT + 1]);
        put(&dir, "51.toml", 0o644, &vec![b'#'; LAYER_LIMIT]);
        symlink(dir.join("10.toml"), dir.join("60.toml")).unwrap();
        create_dir(dir.join("70.toml")).unwrap();
        let (files, problems) = read_managed(&dir, owner);
        let names: Vec<_> = files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["10.toml", "20.json", "51.toml"]);
        assert_eq!(files[0].bytes, b"version = 1");
        let reasons: Vec<_> = problems.iter().map(|(_, reason)| reason.clone()).collect();
        assert_eq!(reasons.len(), 5, "{reasons:?}");
        for (reason, wanted) in
            reasons.iter().zip(["may write", "may write", "1 MiB", "symbolic link", "not a regular file"])
        {
            assert!(reason.contains(wanted), "{reason}");
        }
    }

    #[test]
    fn a_doubtful_directory_gives_no_policy() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path().join("d");
        let owner = Owner::RootOrUid(own_uid());
        assert_eq!(read_managed(&dir, owner), (vec![], vec![]), "no directory is no problem");
        create_dir(&dir).unwrap();
        put(&dir, "10.toml", 0o644, b"x");
        assert_eq!(read_managed(&dir, owner).0.len(), 1);
        let link = room.path().join("link");
        symlink(&dir, &link).unwrap();
        for (place, mode, owner) in
            [(&link, 0o755, owner), (&dir, 0o777, owner), (&dir, 0o775, owner), (&dir, 0o755, Owner::RootOrUid(1))]
        {
            set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
            if own_uid() == 0 && owner == Owner::RootOrUid(1) {
                continue;
            }
            let (files, problems) = read_managed(place, owner);
            assert!(files.is_empty() && problems.len() == 1, "{place:?} {mode:o}: {files:?} {problems:?}");
        }
        // The way to a temporary directory is writable to all, so it can never be the system's place.
        let (files, problems) = read_managed(&dir, Owner::Root);
        assert!(files.is_empty() && problems.len() == 1, "{problems:?}");
    }

    #[test]
    fn a_file_a_layer_names_is_checked_as_the_layer_is() {
        let room = tempfile::tempdir().unwrap();
        let owner = Owner::RootOrUid(own_uid());
        let path = put(room.path(), "ca.pem", 0o644, b"x");
        assert_eq!(read_trusted(&path, owner).unwrap(), b"x");
        assert!(read_trusted(&path, Owner::Root).is_err(), "the way to it is writable to all");
        symlink(&path, room.path().join("link.pem")).unwrap();
        put(room.path(), "open.pem", 0o646, b"x");
        for (name, why) in [
            ("link.pem", "symbolic link"),
            ("open.pem", "may write"),
            ("none.pem", "No such file"),
            ("no/x.pem", "no such directory"),
        ] {
            let reason = read_trusted(&room.path().join(name), owner).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        }
        assert!(read_trusted(Path::new("ca.pem"), owner).is_err() && read_trusted(Path::new("/"), owner).is_err());
    }

    #[test]
    fn a_file_of_another_user_is_never_policy() {
        if own_uid() != 0 {
            println!("SKIPPED a_file_of_another_user_is_never_policy: needs root to give a file away");
            return;
        }
        let room = tempfile::tempdir().unwrap();
        let path = put(room.path(), "10.toml", 0o644, b"x");
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let (files, problems) = read_managed(room.path(), Owner::RootOrUid(0));
        assert!(files.is_empty());
        assert!(problems[0].1.contains("12345"), "{problems:?}");
    }

    #[test]
    fn root_alone_means_no_third_account_either() {
        assert!(only_root_can_write(Path::new("/usr/bin/env")));
        assert!(!only_root_can_write(Path::new("/usr/bin/no-such-program-here")));
        let room = tempfile::tempdir().unwrap();
        let path = put(room.path(), "tool", 0o755, b"x");
        assert!(!only_root_can_write(&path), "on its way all may write, sticky or not");
        if own_uid() != 0 {
            println!("SKIPPED the rest of root_alone_means_no_third_account_either: needs root to give a file away");
            return;
        }
        // A folder on a way that is root's, where the system has one.
        let Ok(room) = tempfile::Builder::new().prefix("daypass-").tempdir_in("/usr/lib") else { return };
        set_permissions(room.path(), Permissions::from_mode(0o755)).unwrap();
        let path = put(room.path(), "tool", 0o755, b"x");
        assert!(only_root_can_write(&path));
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert!(!only_root_can_write(&path), "a third account owns it");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        set_permissions(&path, Permissions::from_mode(0o775)).unwrap();
        assert!(!only_root_can_write(&path), "a group may write to it");
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(room.path(), Some(12345), None).unwrap();
        assert!(!only_root_can_write(&path), "a third account owns its directory");
        std::os::unix::fs::chown(room.path(), Some(0), None).unwrap();
        assert!(only_root_can_write(&path));
    }

    #[test]
    fn what_the_user_can_change_is_told() {
        assert!(!user_can_write(Path::new("/usr/bin/env")));
        assert!(user_can_write(Path::new("/usr/bin/no-such-program-here")));
        let room = tempfile::tempdir().unwrap();
        let path = put(room.path(), "tool", 0o755, b"x");
        // Ours to change as an ordinary user; as root, whose file it is, the sticky bit above keeps everybody else off.
        assert_eq!(user_can_write(&path), own_uid() != 0, "{}", path.display());
        let open = room.path().join("open");
        create_dir(&open).unwrap();
        set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(user_can_write(&put(&open, "tool", 0o755, b"x")), "in a directory all may write to");
    }
}
