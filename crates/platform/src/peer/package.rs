//! Which package owns a file: the Debian package database.
//!
//! Invariant: an answer is remembered only until the database changes. It says which package a file came with, not that
//! the file is still as the package made it: whoever decides by it checks that only root can write the file.
//! Limit: RPM systems are not asked.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

const DPKG: &str = "/var/lib/dpkg/info";
/// Most answers remembered.
const MOST_REMEMBERED: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Packages {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When the database last changed.
    as_of: Option<SystemTime>,
    owners: HashMap<PathBuf, Option<String>>,
}

/// When the package database last changed: installing or removing a package changes its directory.
fn changed() -> Option<SystemTime> {
    std::fs::metadata(DPKG).and_then(|facts| facts.modified()).ok()
}

impl Packages {
    /// What is already known, without looking.
    #[allow(clippy::option_option, reason = "not asked yet, and asked and owned by none, are two answers")]
    pub(super) fn known(&self, path: &Path) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = known.owners.get(path)?;
        (known.as_of == changed()).then(|| owner.clone())
    }

    /// The owner, looked up the first time: reads every list of the package database.
    pub(super) fn look_up(&self, path: &Path) -> Option<String> {
        if let Some(known) = self.known(path) {
            return known;
        }
        let as_of = changed();
        let owner = owner_in(Path::new(DPKG), path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_of != as_of || known.owners.len() >= MOST_REMEMBERED {
            known.owners.clear();
            known.as_of = as_of;
        }
        known.owners.insert(path.to_path_buf(), owner.clone());
        owner
    }
}

fn owner_in(database: &Path, path: &Path) -> Option<String> {
    let real = path.as_os_str().as_bytes();
    // On a system with a merged /usr the lists may still say /bin where the file is /usr/bin.
    let merged = real.strip_prefix(b"/usr").filter(|rest| rest.starts_with(b"/bin/") || rest.starts_with(b"/sbin/"));
    for entry in std::fs::read_dir(database).ok()?.flatten() {
        let name = entry.file_name();
        let Some(package) = name.to_str().and_then(|name| name.strip_suffix(".list")) else { continue };
        let Ok(file) = File::open(entry.path()) else { continue };
        let owns = BufReader::new(file)
            .split(b'\n')
            .map_while(Result::ok)
            .any(|line| line == real || merged.is_some_and(|merged| line == merged));
        if owns {
            let package = package.split(':').next().unwrap_or(package);
            return Some(format!("deb:{package}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn answers_are_remembered() {
        let packages = Packages::default();
        let path = Path::new("/no/such/file");
        assert_eq!(packages.known(path), None, "nobody has looked");
        assert_eq!(packages.look_up(path), None);
        assert_eq!(packages.known(path), Some(None), "no package owns it");
        packages.known.lock().unwrap().as_of = Some(SystemTime::UNIX_EPOCH);
        assert_eq!(packages.known(path), None, "the database has changed since");
    }
}
