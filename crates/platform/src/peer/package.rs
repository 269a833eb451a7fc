//! Which package owns a file: the Debian package database, else the RPM one.
//!
//! Invariant: an answer is remembered for one state of the file (path, device, inode, digest) and until a database changes.
//! It says which package the file at this place came with, not that the file is still as the package made it: whoever
//! decides by it checks that only root can write the file. RPM is not asked at all about a file the user can write.
//! A path that two packages name, or that is diverted, has no owner. While a package is being unpacked the database still
//! names the owner of what lay there before: [`Packages::has_settled`] tells that the file is no newer than the database.
//! Limit: databases are found when the agent starts; a diversion made by hand counts from the next package that is installed
//! or removed. A file that root changed since (its mode, say) has not settled until then either.

mod rpm;

use broker::FileIdentity;
use rpm::Rpm;
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

const DPKG: &str = "/var/lib/dpkg/info";
/// Most answers remembered.
const MOST_REMEMBERED: usize = 512;

#[derive(Debug)]
pub(super) struct Packages {
    dpkg: PathBuf,
    rpm: Option<Rpm>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the databases last changed.
    as_of: Stamp,
    owners: HashMap<PathBuf, Answer>,
}

/// Which file it was asked about, and the answer.
#[derive(Debug)]
struct Answer {
    device: u64,
    inode: u64,
    digest: [u8; 32],
    owner: Option<String>,
}

impl Answer {
    fn is_about(&self, file: &FileIdentity) -> bool {
        (self.device, self.inode, self.digest) == (file.device, file.inode, file.digest)
    }
}

/// When the Debian and the RPM database last changed.
type Stamp = (Option<SystemTime>, rpm::Stamp);

impl Default for Packages {
    fn default() -> Self {
        Self { dpkg: DPKG.into(), rpm: Rpm::of_this_system(), known: Mutex::default() }
    }
}

impl Packages {
    /// Installing or removing a package changes the directory, or the file, of its database.
    fn changed(&self) -> Stamp {
        let dpkg = std::fs::metadata(&self.dpkg).and_then(|facts| facts.modified()).ok();
        (dpkg, self.rpm.as_ref().map(Rpm::changed).unwrap_or_default())
    }

    /// What is already known, without looking.
    #[allow(clippy::option_option, reason = "not asked yet, and asked and owned by none, are two answers")]
    pub(super) fn known(&self, file: &FileIdentity) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.owners.get(&file.path).filter(|answer| answer.is_about(file))?;
        (known.as_of == self.changed()).then(|| answer.owner.clone())
    }

    /// Whether the database was written after the file came to its place: its owner is then that of this file. `package` is
    /// an owner as told here.
    pub(super) fn has_settled(&self, path: &Path, package: &str) -> bool {
        let database = match (package.split_once(':'), &self.rpm) {
            (Some(("deb", _)), _) => vec![self.dpkg.clone(), self.dpkg.with_file_name("status")],
            (Some(("rpm", _)), Some(rpm)) => rpm.files().to_vec(),
            _ => return false,
        };
        let written = database.iter().filter_map(|path| arrived(path)).max();
        arrived(path).zip(written).is_some_and(|(file, written)| file <= written)
    }

    /// The owner, looked up the first time: reads every list of the Debian database, and may start `rpm`.
    pub(super) fn look_up(&self, file: &FileIdentity) -> Option<String> {
        if let Some(known) = self.known(file) {
            return known;
        }
        let as_of = self.changed();
        let owner = match (owner_in(&self.dpkg, &file.path), &self.rpm) {
            (None, Some(rpm)) if !crate::managed::user_can_write(&file.path) => match rpm.owner_of(&file.path) {
                Ok(owner) => owner,
                // No answer is none this time, and is asked for again.
                Err(_) => return None,
            },
            (owner, _) => owner,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_of != as_of || known.owners.len() >= MOST_REMEMBERED {
            known.owners.clear();
            known.as_of = as_of;
        }
        let (device, inode, digest) = (file.device, file.inode, file.digest);
        known.owners.insert(file.path.clone(), Answer { device, inode, digest, owner: owner.clone() });
        owner
    }
}

/// When a file came to its place, or was last changed there: nobody sets that time as he likes.
fn arrived(path: &Path) -> Option<(i64, i64)> {
    let facts = std::fs::symlink_metadata(path).ok()?;
    Some((facts.ctime(), facts.ctime_nsec()))
}

/// Where a file may be named besides its own path: on a system with a merged /usr the lists may still say /bin where the
/// file is /usr/bin.
fn twin_of(real: &[u8]) -> Option<&[u8]> {
    const MERGED: [&[u8]; 6] = [b"/bin/", b"/sbin/", b"/lib/", b"/lib32/", b"/lib64/", b"/libx32/"];
    real.strip_prefix(b"/usr").filter(|rest| MERGED.iter().any(|folder| rest.starts_with(folder)))
}

/// The one package whose list names the path.
fn owner_in(database: &Path, path: &Path) -> Option<String> {
    let real = path.as_os_str().as_bytes();
    let twin = twin_of(real);
    let is_it = |line: &[u8]| line == real || twin == Some(line);
    let names_it = |file: File| BufReader::new(file).split(b'\n').map_while(Result::ok).any(|line| is_it(&line));
    // Three lines each: where it would lie, where it lies, and whose diversion it is.
    if File::open(database.with_file_name("diversions")).is_ok_and(names_it) {
        return None;
    }
    let mut owner: Option<String> = None;
    for entry in std::fs::read_dir(database).ok()?.flatten() {
        let name = entry.file_name();
        let Some(list) = name.to_str().and_then(|name| name.strip_suffix(".list")) else { continue };
        // Of one architecture or another it is the same package.
        let package = list.split(':').next().unwrap_or(list);
        if owner.as_deref() == Some(package) || !File::open(entry.path()).is_ok_and(names_it) {
            continue;
        }
        if owner.is_some() {
            return None;
        }
        owner = Some(package.to_owned());
    }
    owner.map(|package| format!("deb:{package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &Path) -> FileIdentity {
        FileIdentity { path: path.to_owned(), device: 1, inode: 2, digest: [3; 32] }
    }

    #[test]
    fn lists_name_their_files() {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("git.list"), "/.\n/usr\n/usr/bin/git\n").unwrap();
        std::fs::write(room.path().join("libc6:amd64.list"), "/bin/tool\n").unwrap();
        std::fs::write(room.path().join("git.md5sums"), "/usr/bin/other\n").unwrap();
        let owner = |path: &str| owner_in(room.path(), Path::new(path));
        assert_eq!(owner("/usr/bin/git").as_deref(), Some("deb:git"));
        assert_eq!(owner("/usr/bin/tool").as_deref(), Some("deb:libc6"));
        assert_eq!(owner("/usr/bin/gi"), None);
        assert_eq!(owner("/usr/bin/other"), None);
        assert_eq!(owner_in(&room.path().join("none"), Path::new("/x")), None);
    }

    #[test]
    fn a_path_that_two_packages_name_or_that_is_diverted_has_no_owner() {
        let room = tempfile::tempdir().unwrap();
        let info = room.path().join("info");
        std::fs::create_dir(&info).unwrap();
        for (list, text) in [
            ("one.list", "/usr/bin/both\n/usr/bin/alone\n/usr/bin/sh\n/usr/bin/moved\n/usr/lib/x/tool\n"),
            ("two.list", "/usr/bin/both\n/lib/x/tool\n"),
            ("lib:amd64.list", "/usr/bin/multi\n"),
            ("lib:i386.list", "/usr/bin/multi\n"),
        ] {
            std::fs::write(info.join(list), text).unwrap();
        }
        let diversions = "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/else\n/usr/bin/moved\n:\n";
        std::fs::write(room.path().join("diversions"), diversions).unwrap();
        for (path, expected) in [
            ("/usr/bin/both", None),
            ("/usr/bin/alone", Some("deb:one")),
            ("/usr/bin/multi", Some("deb:lib")),
            ("/usr/lib/x/tool", None),
            ("/usr/bin/sh", None),
            ("/usr/bin/moved", None),
        ] {
            assert_eq!(owner_in(&info, Path::new(path)).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_file_newer_than_the_database_has_not_settled() {
        let room = tempfile::tempdir().unwrap();
        let info = room.path().join("info");
        std::fs::create_dir(&info).unwrap();
        let (tool, pause) = (room.path().join("tool"), std::time::Duration::from_millis(30));
        let packages = Packages { dpkg: info.clone(), rpm: None, known: Mutex::default() };
        assert!(!packages.has_settled(&tool, "deb:tool"), "there is no such file");
        std::thread::sleep(pause);
        std::fs::write(&tool, "unpacked").unwrap();
        assert!(!packages.has_settled(&tool, "deb:tool"), "its list is not written yet");
        std::thread::sleep(pause);
        std::fs::write(info.join("tool.list"), "/tool\n").unwrap();
        assert!(packages.has_settled(&tool, "deb:tool"));
        for other in ["rpm:tool", "tool", ""] {
            assert!(!packages.has_settled(&tool, other), "{other}");
        }
        std::thread::sleep(pause);
        std::fs::write(&tool, "changed").unwrap();
        assert!(!packages.has_settled(&tool, "deb:tool"));
        std::thread::sleep(pause);
        std::fs::write(room.path().join("status"), "").unwrap();
        assert!(packages.has_settled(&tool, "deb:tool"), "the state of packages is written last");
    }

    #[test]
    fn answers_are_remembered_for_one_state_of_the_file_and_of_the_database() {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("tool.list"), "/no/such/tool\n").unwrap();
        let packages = Packages { dpkg: room.path().into(), rpm: None, known: Mutex::default() };
        let (tool, other) = (file(Path::new("/no/such/tool")), file(Path::new("/no/such/other")));
        assert_eq!(packages.known(&tool), None, "nobody has looked");
        assert_eq!(packages.look_up(&tool).as_deref(), Some("deb:tool"));
        assert_eq!(packages.look_up(&other), None);
        assert_eq!(packages.known(&tool), Some(Some("deb:tool".to_owned())));
        assert_eq!(packages.known(&other), Some(None), "no package owns it");
        for changed in [
            FileIdentity { digest: [4; 32], ..tool.clone() },
            FileIdentity { inode: 3, ..tool.clone() },
            FileIdentity { device: 2, ..tool.clone() },
        ] {
            assert_eq!(packages.known(&changed), None, "it is asked about anew: {changed:?}");
        }
        packages.known.lock().unwrap().as_of.0 = Some(SystemTime::UNIX_EPOCH);
        assert_eq!(packages.known(&tool), None, "the database has changed since");
    }
}
