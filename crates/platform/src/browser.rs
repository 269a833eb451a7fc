//! The browser opener: our own loopback addresses and nothing else.
//!
//! Invariant: the address is checked to the letter, handed over as one argument of a program found by absolute path, and
//! never passes through a shell of ours. The child gets a scrubbed environment, no open file of ours, and its own process
//! group; it is waited for, so it leaves no zombie. Where we may gain no privileges, as in a hardened service, the user's
//! service manager starts it instead: a browser cannot live with our limits.
//! Limit: what the opener does with the address is its own business; the address is worth one use.

use crate::process::{find_program, scrubbed_environment};
use std::{
    ffi::{OsStr, OsString},
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
    /// The link is no https address.
    #[error("only https links are opened in the browser")]
    NotHttps,
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
        self.start(address, on_failure)
    }

    /// The same for a link out of Daypass, such as where IT gives help: https and plain characters only.
    pub fn open_link(&self, address: &str, on_failure: impl FnOnce(String) + Send + 'static) -> Result<(), OpenError> {
        if !is_link(address) {
            return Err(OpenError::NotHttps);
        }
        self.start(address, on_failure)
    }

    fn start(&self, address: &str, on_failure: impl FnOnce(String) + Send + 'static) -> Result<(), OpenError> {
        let (program, arguments) = match self.configured() {
            Some((program, arguments)) => (OsStr::new(program), arguments),
            None => (OsStr::new(SYSTEM_OPENER), &[][..]),
        };
        let program = find_program(program).ok_or(OpenError::NoOpener)?;
        let mut words: Vec<OsString> = vec![program.clone().into_os_string()];
        words.extend(arguments.iter().map(OsString::from));
        words.push(address.into());
        let words = match manager() {
            Some(manager) => by_manager(manager.into_os_string(), words, |name| std::env::var_os(name)),
            None => words,
        };
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
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

/// What has the user's service manager start a program, where we are confined and there is such a manager.
fn manager() -> Option<std::path::PathBuf> {
    if !std::fs::read_to_string("/proc/self/status").is_ok_and(|status| is_confined(&status)) {
        return None;
    }
    let runtime = std::path::PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    if runtime.join("systemd/private").exists() { find_program(OsStr::new("systemd-run")) } else { None }
}

/// Whether a process with this `/proc/PID/status` (proc(5)) and its children may gain no privileges.
fn is_confined(status: &str) -> bool {
    status.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"]))
}

/// The command line by which the manager starts `words` and waits for their end, without the address in its log; what
/// the opener leaves running is the browser, and stays.
fn by_manager(manager: OsString, words: Vec<OsString>, variable: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let mut line = vec![manager];
    let fixed = ["--user", "--quiet", "--collect", "--wait", "--description=Daypass opens the browser"];
    line.extend(fixed.map(OsString::from));
    line.push("--property=KillMode=process".into());
    for name in ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CURRENT_DESKTOP"] {
        if let Some(value) = variable(name) {
            let mut word = OsString::from(format!("--setenv={name}="));
            word.push(value);
            line.push(word);
        }
    }
    line.push("--".into());
    // The manager would put variables in (systemd.service(5), "Command lines").
    line.extend(words.into_iter().map(|word| match word.to_str() {
        Some(text) if text.contains('$') => text.replace('$', "$$").into(),
        _ => word,
    }));
    line
}

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

/// `https://HOST…`, in plain characters only.
fn is_link(address: &str) -> bool {
    address.len() <= LONGEST
        && address.strip_prefix("https://").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/?#[]@!&'()*+,;=-._~%".contains(&byte))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::mpsc};

    #[test]
    fn a_confined_agent_leaves_the_browser_to_the_service_manager() {
        assert!(is_confined("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\n"));
        assert!(!is_confined("Name:\tNoNewPrivs: 1\nNoNewPrivs:\t0\n"));
        let words = ["/usr/bin/firefox", "-P", "$work", "http://127.0.0.1:1/open/x"].map(OsString::from).to_vec();
        let line = by_manager("/usr/bin/systemd-run".into(), words, |name| (name == "DISPLAY").then(|| ":0".into()));
        let line: Vec<_> = line.iter().map(|word| word.to_str().unwrap()).collect();
        let (ours, theirs) = line.split_at(line.iter().position(|word| *word == "--").unwrap());
        assert_eq!(theirs, ["--", "/usr/bin/firefox", "-P", "$$work", "http://127.0.0.1:1/open/x"]);
        assert_eq!((ours[0], ours[1]), ("/usr/bin/systemd-run", "--user"));
        assert!(ours.contains(&"--setenv=DISPLAY=:0") && ours.contains(&"--property=KillMode=process"));
        assert!(ours.iter().all(|word| !word.contains("WAYLAND") && !word.contains("http")), "{ours:?}");
    }

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

    #[test]
    fn only_https_links_lead_out() {
        for good in ["https://it.example.com/daypass?a=b&c=%20#top", "https://xn--bcher-kva.example:8443/"] {
            assert!(is_link(good), "{good}");
        }
        let long = format!("https://a.example/{}", "a".repeat(LONGEST));
        for bad in
            ["http://a.example/", "HTTPS://a.example/", "https://", "https://-x/", "https://a b", "https://a/\"", &long]
        {
            assert!(matches!(Opener::default().open_link(bad, drop), Err(OpenError::NotHttps)), "{bad:?}");
        }
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
