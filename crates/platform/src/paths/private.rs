//! Directories that are the user's alone.
//!
//! Invariant: owner and mode are read from the opened directory (`O_NOFOLLOW`, `fstat`), not from its name.

use super::PathError;
use crate::own_uid;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::{DirBuilder, File, Metadata},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Creates `path` with mode 0700, or checks that what is there is safe: a real directory, ours, for nobody else.
///
/// A directory of ours that others may read or search is tightened to 0700; one that group or others may *write* is
/// refused, because what lies in it may be theirs. Its parent must exist. Network file systems are refused: sockets and
/// locks do not work there.
pub fn prepare_private_dir(path: &Path) -> Result<(), PathError> {
    if let Some(above) = path.parent() {
        check_above(above)?;
    }
    create(path)?;
    let directory = open_directory(path)?;
    #[cfg(target_os = "linux")]
    refuse_network(path, &directory)?;
    tighten(path, &directory)
}

/// Creates `path` and what is missing above it with mode 0700, or checks it as [`prepare_private_dir`] does.
///
/// For the configuration and state directories: a symbolic link on the way is followed only when we or root made it
/// (dotfiles are often kept elsewhere), and the directory itself may not be one.
pub fn prepare_home_dir(path: &Path) -> Result<(), PathError> {
    if !path.is_absolute() {
        return Err(refused(path, "it is not an absolute path", "set the directory to an absolute path"));
    }
    let mut place = PathBuf::new();
    for part in path.components() {
        place.push(part);
        if place == path {
            break;
        }
        match std::fs::symlink_metadata(&place) {
            Ok(facts) if facts.is_symlink() && !trusted(&facts) => {
                return Err(refused(&place, "it is a symbolic link made by another user", "remove the link"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&place)?,
            Err(source) => return Err(PathError::Io { path: place, source }),
        }
    }
    create(path)?;
    tighten(path, &open_directory(path)?)
}

fn trusted(facts: &Metadata) -> bool {
    facts.uid() == 0 || facts.uid() == own_uid()
}

fn create(path: &Path) -> Result<(), PathError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(PathError::Io { path: path.to_path_buf(), source }),
    }
}

/// Opens a directory without following a link in its last component.
pub(super) fn open_directory(path: &Path) -> Result<File, PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(File::from(fd)),
        Err(Errno::LOOP | Errno::NOTDIR) => {
            Err(refused(path, "it is not a directory, or a symbolic link", "remove it"))
        }
        Err(Errno::ACCESS) => {
            Err(refused(path, "it cannot be opened by you", "remove it, or have its owner remove it"))
        }
        Err(error) => Err(PathError::Io { path: path.to_path_buf(), source: error.into() }),
    }
}

/// Checks the directory a private one lies in: a real one, ours or root's, that nobody else may write to.
pub(super) fn check_above(path: &Path) -> Result<(), PathError> {
    let directory = match open_directory(path) {
        Err(PathError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let facts = directory.metadata().map_err(|source| PathError::Io { path: path.to_path_buf(), source })?;
    if facts.uid() != own_uid() && facts.uid() != 0 {
        let reason = format!("it belongs to user {}", facts.uid());
        return Err(refused(path, &reason, "set XDG_RUNTIME_DIR to a directory of your own with mode 0700"));
    }
    let mode = facts.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let reason = format!("group or others may write to it (mode {mode:04o})");
        return Err(refused(path, &reason, "set XDG_RUNTIME_DIR to a directory of your own with mode 0700"));
    }
    Ok(())
}

/// Checks that the opened directory belongs to us.
pub(super) fn check_owner(path: &Path, directory: &File) -> Result<Metadata, PathError> {
    let facts = directory.metadata().map_err(|source| PathError::Io { path: path.to_path_buf(), source })?;
    if facts.uid() == own_uid() {
        Ok(facts)
    } else {
        let reason = format!("it belongs to user {}", facts.uid());
        Err(refused(path, &reason, "remove it, or have its owner remove it"))
    }
}

fn tighten(path: &Path, directory: &File) -> Result<(), PathError> {
    let mode = check_owner(path, directory)?.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let reason = format!("group or others may write to it (mode {mode:04o}), so what is in it may be theirs");
        return Err(refused(path, &reason, "look at what is in it, then remove it or `chmod 700` it"));
    }
    if mode & 0o7077 != 0 {
        rustix::fs::fchmod(directory, Mode::from_raw_mode(0o700))
            .map_err(|error| PathError::Io { path: path.to_path_buf(), source: error.into() })?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn refuse_network(path: &Path, directory: &File) -> Result<(), PathError> {
    // NFS, SMB, CIFS, SMB2, AFS, Coda: linux/magic.h
    const NETWORK: [u32; 6] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x5346_414F, 0x7375_7245];
    let facts = rustix::fs::fstatfs(directory)
        .map_err(|error| PathError::Io { path: path.to_path_buf(), source: error.into() })?;
    if u32::try_from(facts.f_type).is_ok_and(|kind| NETWORK.contains(&kind)) {
        return Err(refused(path, "it lies on a network file system", "set XDG_RUNTIME_DIR to a local directory"));
    }
    Ok(())
}

pub(super) fn refused(path: &Path, reason: &str, hint: &str) -> PathError {
    PathError::Refused { path: path.to_path_buf(), reason: reason.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{Permissions, create_dir, set_permissions, write},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o7777
    }

    fn reason(result: Result<(), PathError>) -> String {
        match result {
            Err(PathError::Refused { reason, .. }) => reason,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn a_new_directory_is_private_and_a_readable_one_is_tightened() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("daypass");
        prepare_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        prepare_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert!(matches!(prepare_private_dir(&room.path().join("a/b")), Err(PathError::Io { .. })));
    }

    #[test]
    fn squatters_are_refused() {
        let room = tempfile::tempdir().unwrap();
        let (real, link, file) = (room.path().join("real"), room.path().join("link"), room.path().join("file"));
        create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        write(&file, "").unwrap();
        assert!(reason(prepare_private_dir(&link)).contains("symbolic link"));
        assert!(reason(prepare_private_dir(&file)).contains("not a directory"));
        for loose in [0o777, 0o770, 0o702, 0o1777] {
            set_permissions(&real, Permissions::from_mode(loose)).unwrap();
            assert!(reason(prepare_private_dir(&real)).contains("may write"), "{loose:o}");
            assert_eq!(mode(&real), loose, "a refused directory is left as it was");
        }
        if own_uid() == 0 {
            std::os::unix::fs::chown(&real, Some(12345), None).unwrap();
            set_permissions(&real, Permissions::from_mode(0o700)).unwrap();
            assert!(reason(prepare_private_dir(&real)).contains("12345"));
        }
    }

    #[test]
    fn home_directories_are_made_on_the_way_and_foreign_links_refused() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("home/.local/state/daypass");
        prepare_home_dir(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
        let own = room.path().join("own");
        symlink(room.path().join("home"), &own).unwrap();
        prepare_home_dir(&own.join("daypass")).unwrap();
        assert!(matches!(prepare_home_dir(Path::new("relative")), Err(PathError::Refused { .. })));
        let last = room.path().join("last");
        symlink(&path, &last).unwrap();
        assert!(reason(prepare_home_dir(&last)).contains("symbolic link"));
        if own_uid() == 0 {
            std::os::unix::fs::lchown(&own, Some(12345), None).unwrap();
            assert!(reason(prepare_home_dir(&own.join("daypass"))).contains("another user"));
        }
    }
}
