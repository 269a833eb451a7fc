//! The browser opener: our own loopback addresses and nothing else.
//!
//! Invariant: the address is checked to the letter, handed over as one argument of a program found by absolute path, and
//! never passes through a shell of ours. The child gets a scrubbed environment, no open file of ours, and its own process
//! group; it is waited for, so it leaves no zombie.
//! Limit: what the opener does with the address is its own business; the address is worth one use.

use crate::process::{find_program, scrubbed_environment};
use std::{
    ffi::OsStr,
    io,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long after its start an opener's failure is still told.
const FAILS_WITHIN: Duration = Duration::from_secs(5);
/// Longest address handed over, in bytes.
const LONGEST: usize = 2048;

/// Why no browser was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one of our own loopback addresses.
    #[error("only the agent's own loopback address is opened in the browser")]
    NotLoopback,
    /// There is nothing to open it with.
    #[error("no browser opener was found\nhint: set [browser] command in the profile, or install xdg-utils")]
    NoOpener,
    /// The opener did not start.
    #[error("the browser opener did not start: {0}\nhint: check [browser] command in the profile")]
    Io(#[from] io::Error),
}

/// Opens addresses in the user's browser.
#[derive(Debug, Clone, Default)]
pub struct Opener {
    /// The configured command and its arguments; `None` or empty = the system's opener.
    pub command: Option<Vec<String>>,
}

impl Opener {
    /// Whether somebody could see what is opened: a command is configured, or there is a display and a system opener.
    pub fn can_open(&self) -> bool {
        self.configured().is_some() || (has_display() && find_program(OsStr::new(SYSTEM_OPENER)).is_some())
    }

    fn configured(&self) -> Option<(&String, &[String])> {
        self.command.as_ref().and_then(|command| command.split_first())
    }

    /// Starts the opener with `address` as its last argument and returns at once.
    ///
    /// `on_failure` is called, on another thread, when the opener ends with an error within five seconds; it is given
    /// a sentence without the address.
    pub fn open(&self, address: &str, on_failure: impl FnOnce(String) + Send + 'static) -> Result<(), OpenError> {
        if !is_own_address(address) {
            return Err(OpenError::NotLoopback);
        }
        let (program, arguments) = match self.configured() {
            Some((program, arguments)) => (OsStr::new(program), arguments),
            None => (OsStr::new(SYSTEM_OPENER), &[][..]),
        };
        let program = find_program(program).ok_or(OpenError::NoOpener)?;
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .arg(address)
            .env_clear()
            .envs(scrubbed_environment())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = Instant::now();
        let mut child = crate::process::with_users_umask(|| command.spawn())?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reaper = move || match child.wait() {
            Ok(status) if status.success() || started.elapsed() > FAILS_WITHIN => {}
            Ok(status) => on_failure(format!("{name} ended with {status}")),
            Err(error) => on_failure(format!("{name} could not be waited for: {error}")),
        };
        thread::Builder::new().name("browser-opener".to_owned()).stack_size(64 * 1024).spawn(reaper)?;
        Ok(())
    }
}

#[cfg(target_os = "macos")]
const SYSTEM_OPENER: &str = "/usr/bin/open";
#[cfg(windows)]
const SYSTEM_OPENER: &str = "C:\\Windows\\explorer.exe";
#[cfg(not(any(target_os = "macos", windows)))]
const SYSTEM_OPENER: &str = "xdg-open";

fn has_display() -> bool {
    if cfg!(any(target_os = "macos", windows)) {
        return true;
    }
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// `http://127.0.0.1:PORT/…`, `http://[::1]:PORT/…` or `http://localhost:PORT/…`, with plain characters only.
fn is_own_address(address: &str) -> bool {
    let hosts = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    let Some(rest) = hosts.iter().find_map(|host| address.strip_prefix(host)) else { return false };
    let Some((port, path)) = rest.split_once('/') else { return false };
    address.len() <= LONGEST
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.~?=&%".contains(&byte))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::mpsc};

    #[test]
    fn only_our_own_addresses_are_opened() {
        for good in ["http://127.0.0.1:6174/", "http://[::1]:1/start/abc_-9", "http://localhost:65535/open/x?y=1&z=%20"]
        {
            assert!(is_own_address(good), "{good}");
        }
        for bad in [
            "https://127.0.0.1:1/",
            "http://127.0.0.1/",
            "http://127.0.0.1:1",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:01/",
            "http://127.0.0.1:+1/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1:80.evil.example/",
            "http://localhost.evil.example:1/",
            "http://127.1:1/",
            "http://127.0.0.1:1/$(calc)",
            "http://127.0.0.1:1/\" --proxy-server=x",
            "http://127.0.0.1:1/a b",
            "http://127.0.0.1:1/a\nb",
            "http://127.0.0.1:1/#x",
            "http://127.0.0.1:1/\u{fc}",
            "HTTP://127.0.0.1:1/",
            " http://127.0.0.1:1/",
            "-flag",
            "file:///etc/passwd",
            "",
        ] {
            assert!(!is_own_address(bad), "{bad:?}");
            let opener = Opener { command: Some(vec!["true".to_owned()]) };
            assert!(matches!(opener.open(bad, drop), Err(OpenError::NotLoopback)), "{bad:?}");
        }
        assert!(!is_own_address(&format!("http://127.0.0.1:1/{}", "a".repeat(LONGEST))));
    }

    fn script(dir: &Path, body: &str) -> Opener {
        let path = dir.join("opener");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Read by a shell, not executed: a file that was written just now may be busy while another test forks.
        Opener { command: Some(vec!["/bin/sh".to_owned(), path.to_str().unwrap().to_owned(), "a b".to_owned()]) }
    }

    #[test]
    fn the_address_is_one_argument_and_nothing_is_inherited() {
        let room = tempfile::tempdir().unwrap();
        let (out, done) = (room.path().join("out"), room.path().join("done"));
        let _open_file = std::fs::File::open("/dev/null").unwrap();
        let body = format!(
            "{{ printf '%s|' \"$#\" \"$1\" \"$2\"; for fd in /proc/self/fd/*; do readlink \"$fd\"; done | sort -u; \
             cut -d' ' -f5 /proc/$$/stat; echo $$; }} > {0}\nmv {0} {1}",
            out.display(),
            done.display()
        );
        let opener = script(room.path(), &body);
        assert!(opener.can_open());
        opener.open("http://127.0.0.1:6174/start/x?y=1&z", |reason| panic!("{reason}")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !done.exists() {
            assert!(Instant::now() < deadline, "the opener did not run");
            thread::sleep(Duration::from_millis(10));
        }
        let text = std::fs::read_to_string(&done).unwrap();
        assert!(text.starts_with("2|a b|http://127.0.0.1:6174/start/x?y=1&z|"), "{text}");
        assert!(!text.contains("socket:"), "{text}");
        let lines: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(lines[0], lines[1], "the opener leads its own process group: {text}");
    }

    #[test]
    fn a_failing_opener_is_told_and_a_missing_one_refused() {
        let room = tempfile::tempdir().unwrap();
        let (said, heard) = mpsc::channel();
        let report = move |reason| said.send(reason).unwrap();
        script(room.path(), "exit 3").open("http://127.0.0.1:1/x", report).unwrap();
        let reason = heard.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(reason.contains("ended with") && reason.contains('3') && !reason.contains("http"), "{reason}");
        for command in ["./opener", "no-such-opener-anywhere", "", "/"] {
            let opener = Opener { command: Some(vec![command.to_owned()]) };
            assert!(matches!(opener.open("http://127.0.0.1:1/x", drop), Err(OpenError::NoOpener)), "{command:?}");
        }
    }
}
