//! Where Daypass keeps things, and the checks that make a place the user's own.
//!
//! Invariant: no directory is used and no socket is spoken to before its owner and mode were read from the opened thing
//! itself; a symbolic link planted by somebody else is never followed.
//! Limit: a process of the same user can change all of these places.

#[cfg(unix)]
mod connect;
#[cfg(unix)]
mod private;

#[cfg(unix)]
pub use connect::{ConnectError, connect_agent};
#[cfg(unix)]
pub use private::{prepare_home_dir, prepare_private_dir};

use std::{ffi::OsString, io, path::PathBuf};

/// Longest path a Unix socket address can hold on Linux, in bytes (`sun_path` less its final zero).
const LONGEST_SOCKET_PATH: usize = 107;

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// `XDG_RUNTIME_DIR` is not set.
    #[error(
        "XDG_RUNTIME_DIR is not set\nhint: run inside a login session, or set it to a directory of your own with mode 0700"
    )]
    RuntimeDirUnset,
    /// `XDG_RUNTIME_DIR` is not an absolute path.
    #[error("XDG_RUNTIME_DIR is not an absolute path: {}\nhint: set it to an absolute path", .0.display())]
    RuntimeDirRelative(PathBuf),
    /// `HOME` is not set to an absolute path.
    #[error("HOME is not set to an absolute path\nhint: set HOME, or both XDG_CONFIG_HOME and XDG_STATE_HOME")]
    HomeUnset,
    /// The socket's path does not fit into a socket address.
    #[error("{} is longer than a socket address can hold (107 bytes)\nhint: choose a shorter XDG_RUNTIME_DIR", .0.display())]
    TooLong(PathBuf),
    /// The place exists but is not safe to use.
    #[error("{} is refused: {reason}\nhint: {hint}", .path.display())]
    Refused {
        /// The place.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The next step.
        hint: String,
    },
    /// The system did not let us look at it or make it.
    #[error("{} cannot be used: {source}\nhint: create its parent directory, owned by you", .path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The directories of one user's Daypass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Socket, address file and lock; gone at logout. Linux: `$XDG_RUNTIME_DIR/daypass`.
    pub runtime: PathBuf,
    /// The user's profile layer. Linux: `$XDG_CONFIG_HOME/daypass`.
    pub config: PathBuf,
    /// Database and log. Linux: `$XDG_STATE_HOME/daypass`.
    pub state: PathBuf,
}

impl Paths {
    /// The places the environment names.
    ///
    /// A relative `XDG_CONFIG_HOME` or `XDG_STATE_HOME` is ignored, as the base directory specification asks for; a
    /// relative or missing `XDG_RUNTIME_DIR` is an error, because there is no safe default for it.
    pub fn from_environment() -> Result<Self, PathError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The places these variables name.
    #[cfg(not(any(target_os = "macos", windows)))]
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let runtime = set("XDG_RUNTIME_DIR").ok_or(PathError::RuntimeDirUnset)?;
        if !runtime.is_absolute() {
            return Err(PathError::RuntimeDirRelative(runtime));
        }
        let base = |name: &str, default: &str| match set(name).filter(|path| path.is_absolute()) {
            Some(path) => Ok(path),
            None => match set("HOME").filter(|path| path.is_absolute()) {
                Some(home) => Ok(home.join(default)),
                None => Err(PathError::HomeUnset),
            },
        };
        let paths = Self {
            runtime: runtime.join("daypass"),
            config: base("XDG_CONFIG_HOME", ".config")?.join("daypass"),
            state: base("XDG_STATE_HOME", ".local/state")?.join("daypass"),
        };
        if paths.socket().as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(PathError::TooLong(paths.socket()));
        }
        Ok(paths)
    }

    /// The places these variables name. Untested on this system.
    #[cfg(any(target_os = "macos", windows))]
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathError> {
        let name = if cfg!(windows) { "LOCALAPPDATA" } else { "HOME" };
        let base = variable(name).map(PathBuf::from).filter(|path| path.is_absolute()).ok_or(PathError::HomeUnset)?;
        let root = if cfg!(windows) { base.join("Daypass") } else { base.join("Library/Application Support/Daypass") };
        let paths = Self { runtime: root.join("run"), config: root.join("config"), state: root.join("state") };
        if cfg!(unix) && paths.socket().as_os_str().len() > LONGEST_SOCKET_PATH - 4 {
            return Err(PathError::TooLong(paths.socket()));
        }
        Ok(paths)
    }

    /// The user socket, mode 0600.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("agent.sock")
    }

    /// The file that holds the base address.
    pub fn address_file(&self) -> PathBuf {
        self.runtime.join("address")
    }

    /// The lock one agent holds while it runs.
    pub fn lock_file(&self) -> PathBuf {
        self.runtime.join("agent.lock")
    }

    /// The user profile layer.
    pub fn user_profile(&self) -> PathBuf {
        self.config.join("profile.toml")
    }

    /// Grants, sessions and audit.
    pub fn database(&self) -> PathBuf {
        self.state.join("daypass.db")
    }

    /// The agent's own log.
    pub fn log_file(&self) -> PathBuf {
        self.state.join("agent.log")
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn paths(pairs: &[(&str, &str)]) -> Result<Paths, PathError> {
        Paths::from_variables(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_environment_names_the_places() {
        let found = paths(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("HOME", "/home/ann")]).unwrap();
        assert_eq!(found.socket(), PathBuf::from("/run/user/7/daypass/agent.sock"));
        assert_eq!(found.address_file(), PathBuf::from("/run/user/7/daypass/address"));
        assert_eq!(found.user_profile(), PathBuf::from("/home/ann/.config/daypass/profile.toml"));
        assert_eq!(found.database(), PathBuf::from("/home/ann/.local/state/daypass/daypass.db"));
        let found = paths(&[
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "relative"),
            ("HOME", "/h"),
        ])
        .unwrap();
        assert_eq!(found.config, PathBuf::from("/c/daypass"));
        assert_eq!(found.state, PathBuf::from("/h/.local/state/daypass"));
    }

    #[test]
    fn a_missing_place_is_told_with_a_next_step() {
        let home = ("HOME", "/h");
        for (pairs, wanted) in [
            (vec![home], "XDG_RUNTIME_DIR is not set"),
            (vec![home, ("XDG_RUNTIME_DIR", "")], "XDG_RUNTIME_DIR is not set"),
            (vec![home, ("XDG_RUNTIME_DIR", "run")], "not an absolute path"),
            (vec![("XDG_RUNTIME_DIR", "/r")], "HOME is not set"),
            (vec![("XDG_RUNTIME_DIR", "/r"), ("HOME", "h")], "HOME is not set"),
            (
                vec![
                    home,
                    (
                        "XDG_RUNTIME_DIR",
                        concat!(
                            "/",
                            "a-very-long-name-of-fifty-bytes-0123456789-012345/",
                            "a-very-long-name-of-fifty-bytes-0123456789-012345"
                        ),
                    ),
                ],
                "longer than",
            ),
        ] {
            let message = paths(&pairs).unwrap_err().to_string();
            assert!(message.contains(wanted) && message.contains("hint:"), "{message}");
        }
    }
}
