//! Which package owns a file: the Debian package database.
//!
//! Invariant: this is shown to people and put into minted tokens as information; nothing is decided by it.
//! Limit: RPM systems are not asked. The answer is as old as its first question.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const DPKG: &str = "/var/lib/dpkg/info";
/// Most answers remembered.
const MOST_REMEMBERED: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Packages {
    known: Mutex<HashMap<PathBuf, Option<String>>>,
}

impl Packages {
    /// What is already known, without looking.
    pub(super) fn known(&self, path: &Path) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned().flatten()
    }

    /// The owner, looked up the first time: reads every list of the package database.
    pub(super) fn look_up(&self, path: &Path) -> Option<String> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return known.clone();
        }
        let owner = owner_in(Path::new(DPKG), path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(path.to_path_buf(), owner.clone());
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
        assert_eq!(packages.look_up(path), None);
        assert!(packages.known.lock().unwrap().contains_key(path));
        assert_eq!(packages.known(path), None);
    }
}
