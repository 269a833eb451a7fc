//! Which executables are Daypass's own.
//!
//! Invariant: an executable is first-party only when it is the very file that lay beside the agent when the agent started
//! (device, inode, digest), or the one that lies there now if root owns it and nobody else may write to it.
//! Limit: this guards against mistakes and casual abuse; a process of the same user can make our own programs do things.

use super::files;
use broker::FileIdentity;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Which of Daypass's programs an executable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `daypass`: stands for its parent.
    Command,
    /// `daypass-desktop`: stands for itself.
    Desktop,
}

const NAMES: [(Role, &str); 2] = [(Role::Command, "daypass"), (Role::Desktop, "daypass-desktop")];

#[derive(Debug, Clone)]
struct Known {
    role: Role,
    path: PathBuf,
    at_start: Option<FileIdentity>,
}

/// Daypass's own programs, as they were when this value was made.
#[derive(Debug, Clone)]
pub struct FirstParty {
    known: Vec<Known>,
}

impl FirstParty {
    /// The programs beside the running executable. Make it once, when the agent starts.
    pub fn beside_this_program() -> io::Result<Self> {
        let own = std::env::current_exe()?;
        own.parent().map(Self::in_directory).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The programs in `directory`; one that is missing is simply not known.
    pub fn in_directory(directory: &Path) -> Self {
        let known = NAMES.iter().map(|&(role, name)| {
            let path = directory.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            Known { role, at_start: files::identity_of(&path).ok(), path }
        });
        Self { known: known.collect() }
    }

    /// Whether this executable is one of Daypass's own.
    pub fn matches(&self, file: &FileIdentity) -> bool {
        self.role(file).is_some()
    }

    pub(super) fn role(&self, file: &FileIdentity) -> Option<Role> {
        let same =
            |known: &FileIdentity| (known.device, known.inode, known.digest) == (file.device, file.inode, file.digest);
        self.known
            .iter()
            .find(|known| {
                known.at_start.as_ref().is_some_and(same)
                    || (known.path == file.path && files::is_roots_own(&known.path, file))
            })
            .map(|known| known.role)
    }
}
