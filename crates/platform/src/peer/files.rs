//! Files as identities: device, inode and digest, the digest computed once for each state of a file.
//!
//! Invariant: a digest is of the bytes of one opened file that did not change while it was read, and is remembered only
//! under everything the kernel changes when the file changes (device, inode, size, mtime, ctime in nanoseconds).
//! Limit: a file system that lies about its files (FUSE) is not believed at all; one that counts time coarsely is covered
//! by not remembering a file that changed in the last second.

use broker::FileIdentity;
use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, Statx, StatxFlags, StatxTimestamp, fstat, fstatfs, makedev,
        openat2, statat, statx,
    },
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Largest file that is hashed, in bytes; a larger one stays unidentified.
const LARGEST: u64 = 1024 * 1024 * 1024;
/// Most digests remembered.
const MOST_REMEMBERED: usize = 2048;
/// A file that changed within this many seconds may change again without showing it.
const SETTLED_AFTER: i64 = 1;

/// Everything the kernel changes when a file's bytes change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) device: u64,
    pub(super) inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    pub(super) mode: u32,
}

/// How much a look may take upon itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Only what the kernel answers by itself and at once: no file is read, no file system is waited for. What cannot be
    /// told this way is an error.
    Quick,
    /// Whatever it takes.
    Full,
}

impl Effort {
    /// Attributes as the kernel knows them, or as the file system does.
    fn flags(self) -> AtFlags {
        match self {
            Self::Quick => AtFlags::STATX_DONT_SYNC,
            Self::Full => AtFlags::STATX_SYNC_AS_STAT,
        }
    }
}

impl State {
    /// The state of the file a link of procfs leads to.
    pub(super) fn behind(directory: impl AsFd, link: &str, effort: Effort) -> Result<Self, Errno> {
        statx(directory, link, effort.flags(), StatxFlags::BASIC_STATS).map(|facts| Self::from_statx(&facts))
    }

    /// The state of an open file.
    pub(super) fn of_open(fd: impl AsFd, effort: Effort) -> Result<Self, Errno> {
        let flags = effort.flags() | AtFlags::EMPTY_PATH;
        statx(fd, c"", flags, StatxFlags::BASIC_STATS).map(|facts| Self::from_statx(&facts))
    }

    /// The state of the file at this path, the last component not followed.
    pub(super) fn at(path: &Path, effort: Effort) -> Result<Self, Errno> {
        if effort == Effort::Full {
            return statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| Self::new(&stat));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::of_open(openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?, effort)
    }

    fn from_statx(facts: &Statx) -> Self {
        let time = |time: &StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        Self {
            device: makedev(facts.stx_dev_major, facts.stx_dev_minor),
            inode: facts.stx_ino,
            size: facts.stx_size,
            modified: time(&facts.stx_mtime),
            changed: time(&facts.stx_ctime),
            mode: u32::from(facts.stx_mode),
        }
    }

    // The fields of `stat` differ in width and sign between architectures; all of them fit here.
    #[allow(clippy::cast_lossless, clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    pub(super) fn new(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            mode: stat.st_mode as u32,
        }
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Set-user-id or set-group-id: such a process may be somebody else than it seems.
    pub(super) fn changes_user(&self) -> bool {
        self.mode & 0o6000 != 0
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).is_ok_and(|now| self.changed.0 < now.saturating_sub(SETTLED_AFTER))
    }
}

/// Digests by the state of the file.
#[derive(Debug, Default)]
pub(super) struct Digests {
    known: Mutex<HashMap<State, Known>>,
    /// Where files whose digest is remembered were found, on file systems of this machine.
    places: Mutex<HashSet<PathBuf>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    digest: [u8; 32],
    /// Whether its file system answers for its files by itself, so that what the kernel knows of them is true.
    local: bool,
}

impl Digests {
    /// Whether a quick look may go by this state of this file: its digest is remembered (files that change right now are
    /// not), and it lies on a file system of this machine.
    pub(super) fn vouches_for(&self, state: &State, file: &FileIdentity) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(state).copied();
        (state.device, state.inode) == (file.device, file.inode)
            && known.is_some_and(|known| known.local && known.digest == file.digest)
    }

    /// Whether a quick look may ask about what lies here.
    pub(super) fn knows_place(&self, path: &Path) -> bool {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// Notes where a file in this state was found.
    pub(super) fn note_place(&self, path: &Path, state: &State) {
        let local =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(state).is_some_and(|known| known.local);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if local && !places.contains(path) {
            if places.len() >= MOST_REMEMBERED {
                places.clear();
            }
            places.insert(path.to_owned());
        }
    }

    /// The digest of the file in this state; `open` is called only when it is not remembered.
    pub(super) fn of(
        &self,
        state: &State,
        effort: Effort,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<[u8; 32], &'static str> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(state).copied();
        match (known, effort) {
            (Some(known), _) if known.local || effort == Effort::Full => return Ok(known.digest),
            (_, Effort::Quick) => return Err("its file has to be read first"),
            (_, Effort::Full) => {}
        }
        let fd = open().map_err(|_| "its file cannot be read")?;
        let local = is_local(&fd);
        let (read, digest) = digest_of(fd)?;
        if read != *state {
            return Err("its file changed while it was looked at");
        }
        if state.is_settled() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST_REMEMBERED {
                known.clear();
            }
            known.insert(*state, Known { digest, local });
        }
        Ok(digest)
    }
}

fn digest_of(fd: OwnedFd) -> Result<(State, [u8; 32]), &'static str> {
    let state = |fd: &OwnedFd| fstat(fd).map(|stat| State::new(&stat)).map_err(|_| "its file cannot be looked at");
    let before = state(&fd)?;
    if !before.is_regular() {
        return Err("its file is not a regular file");
    }
    if before.size > LARGEST {
        return Err("its file is too large");
    }
    if !is_believable(&fd) {
        return Err("its file lies on a file system that may change it unseen");
    }
    let mut file = File::from(fd);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut left = before.size;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                left = left.checked_sub(count as u64).ok_or("its file grew while it was read")?;
                hash.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err("its file cannot be read"),
        }
    }
    if state(&file.into())? != before {
        return Err("its file changed while it was read");
    }
    Ok((before, hash.finalize().into()))
}

/// FUSE answers every read anew, and procfs is no place for a program: `linux/magic.h`.
fn is_believable(fd: impl AsFd) -> bool {
    const FUSE: i64 = 0x6573_5546;
    const PROC: i64 = 0x9fa0;
    #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
    fstatfs(fd).is_ok_and(|facts| ![FUSE, PROC].contains(&(facts.f_type as i64)))
}

/// Whether the file system is one that nobody but this kernel changes: `linux/magic.h` and the file systems' own sources.
/// Limit: an overlay is taken to lie on such file systems itself.
fn is_local(fd: impl AsFd) -> bool {
    const LOCAL: [i64; 13] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlay
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0x7371_7368, // squashfs
        0xe0f5_e1e2, // erofs
        0x3153_464a, // jfs
        0x5265_4973, // reiserfs
    ];
    #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
    fstatfs(fd).is_ok_and(|facts| LOCAL.contains(&(facts.f_type as i64)))
}

/// The identity of the file at this path now.
pub(super) fn identity_of(path: &Path) -> io::Result<FileIdentity> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    let (state, digest) = digest_of(fd).map_err(io::Error::other)?;
    Ok(FileIdentity { path: path.to_path_buf(), device: state.device, inode: state.inode, digest })
}

/// Whether `file` is what lies at `path` now, with root as the only one who could have put it there.
pub(super) fn is_roots_own(path: &Path, file: &FileIdentity) -> bool {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        let state = State::new(&stat);
        stat.st_uid == 0
            && state.mode & 0o022 == 0
            && state.is_regular()
            && (state.device, state.inode) == (file.device, file.inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(path: &Path) -> State {
        State::new(&statat(CWD, path, AtFlags::empty()).unwrap())
    }

    fn open(path: PathBuf) -> impl FnOnce() -> Result<OwnedFd, Errno> {
        move || rustix::fs::open(path, OFlags::RDONLY, Mode::empty())
    }

    #[test]
    fn digests_are_of_the_bytes_and_fresh_files_are_not_remembered() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("f");
        std::fs::write(&path, "one").unwrap();
        let digests = Digests::default();
        let first = digests.of(&state(&path), Effort::Full, open(path.clone())).unwrap();
        assert!(digests.known.lock().unwrap().is_empty(), "it changed just now");
        std::fs::write(&path, "two").unwrap();
        assert_ne!(digests.of(&state(&path), Effort::Full, open(path.clone())).unwrap(), first);
        let old = Path::new("/usr/bin/env");
        let real = std::fs::canonicalize(old).unwrap();
        let digest = digests.of(&state(&real), Effort::Full, open(real.clone())).unwrap();
        let again = digests.of(&state(&real), Effort::Full, || panic!("it is remembered")).unwrap();
        assert_eq!(digest, again);
        assert_eq!(identity_of(&real).unwrap().digest, digest);
    }

    #[test]
    fn another_file_than_the_one_meant_is_refused() {
        let room = tempfile::tempdir().unwrap();
        let (a, b) = (room.path().join("a"), room.path().join("b"));
        std::fs::write(&a, "a").unwrap();
        std::fs::write(&b, "b").unwrap();
        assert!(Digests::default().of(&state(&a), Effort::Full, open(b)).is_err());
        assert!(Digests::default().of(&state(room.path()), Effort::Full, open(room.path().to_path_buf())).is_err());
        assert!(identity_of(Path::new("/proc/self/status")).is_err());
    }
}
