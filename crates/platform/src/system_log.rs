//! The system's logs: the systemd journal by its native datagrams, and syslog as `/dev/log` takes it.
//!
//! Invariant: one record is one datagram and one line: what is sent holds no control character, so that no value can begin a
//! line or a field of its own; values are capped. Sending never waits: a log that does not take a record is an error.
//! Limit: a datagram that was taken is not yet on a disk; what the log keeps, for how long and for whom is its own affair.
//!
//! Sources: the journal's native protocol (systemd, `JOURNAL_NATIVE_PROTOCOL`), RFC 3164 §4.1 without a host, as
//! `syslog(3)` sends it on this socket.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

/// The facility of both: `authpriv` (RFC 5424 §6.2.1), which only root and whoever it lets may read.
const FACILITY: u8 = 10;
/// Most bytes of one value; more is cut and ends with `…`.
const LONGEST: usize = 512;
/// The name records stand under.
const IDENTIFIER: &str = "daypass";

/// A log of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The systemd journal.
    Journald,
    /// Whoever reads `/dev/log`.
    Syslog,
}

impl Target {
    /// The word of the profile.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Journald => "journald",
            Self::Syslog => "syslog",
        }
    }

    /// Where it listens. Under a test policy that is a socket in the test's own directory: nothing made under one ever gets
    /// into the system's logs.
    pub fn socket(self, test_dir: Option<&Path>) -> PathBuf {
        match (test_dir, self) {
            (Some(dir), _) => dir.join(format!("{}.socket", self.word())),
            (None, Self::Journald) => PathBuf::from("/run/systemd/journal/socket"),
            (None, Self::Syslog) => PathBuf::from("/dev/log"),
        }
    }
}

/// One record.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Severity, 0 (worst) to 7 (RFC 5424 §6.2.1).
    pub severity: u8,
    /// When, as `Mmm dd hh:mm:ss` in local time (RFC 3164 §4.1.2); for syslog only.
    pub local_time: String,
    /// Named values in their order. Names are lower-case letters.
    pub values: Vec<(&'static str, Cow<'a, str>)>,
}

impl Record<'_> {
    /// The values in one line: `name=value`, quoted where it is not a plain word.
    fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.values {
            let value = clean(value);
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(name);
            line.push('=');
            let plain = |c: char| c.is_ascii_alphanumeric() || "._:-/".contains(c);
            if !value.is_empty() && value.chars().all(plain) {
                line.push_str(&value);
                continue;
            }
            line.push('"');
            for c in value.chars() {
                if matches!(c, '"' | '\\') {
                    line.push('\\');
                }
                line.push(c);
            }
            line.push('"');
        }
        line
    }

    /// The datagram for a target.
    pub fn datagram(&self, target: Target) -> Vec<u8> {
        let severity = self.severity.min(7);
        match target {
            Target::Journald => {
                let mut text = format!(
                    "MESSAGE={}\nPRIORITY={severity}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nSYSLOG_FACILITY={FACILITY}\n",
                    self.line()
                );
                for (name, value) in &self.values {
                    // A field without line ends needs no length.
                    for part in ["DAYPASS_", &name.to_ascii_uppercase(), "=", &clean(value), "\n"] {
                        text.push_str(part);
                    }
                }
                text.into_bytes()
            }
            Target::Syslog => format!(
                "<{}>{} {IDENTIFIER}[{}]: {}",
                FACILITY * 8 + severity,
                clean(&self.local_time),
                std::process::id(),
                self.line()
            )
            .into_bytes(),
        }
    }
}

/// Without control characters, line and paragraph separators and marks that turn text around; capped.
fn clean(text: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut cleaned = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        let c = if bad(c) { '\u{fffd}' } else { c };
        if cleaned.len() + c.len_utf8() > LONGEST {
            cleaned.push('…');
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

/// The way to one log.
#[derive(Debug)]
pub struct SystemLog {
    target: Target,
    path: PathBuf,
    #[cfg(unix)]
    socket: std::os::unix::net::UnixDatagram,
}

impl SystemLog {
    /// Prepares the way; nobody has to listen yet.
    #[cfg(unix)]
    pub fn new(target: Target, test_dir: Option<&Path>) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { target, path: target.socket(test_dir), socket })
    }

    /// Prepares the way. There is none on this system.
    #[cfg(not(unix))]
    pub fn new(target: Target, test_dir: Option<&Path>) -> io::Result<Self> {
        let _ = Self { target, path: target.socket(test_dir) };
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Its target.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Where it should listen.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands a record over without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the log has no room at the moment; anything else when nobody listens there, or the
    /// record is refused.
    pub fn send(&self, record: &Record<'_>) -> io::Result<()> {
        let bytes = record.datagram(self.target);
        #[cfg(unix)]
        return self.socket.send_to(&bytes, &self.path).map(|_| ());
        #[cfg(not(unix))]
        return Err(io::Error::other(format!("{} bytes for {} have no way", bytes.len(), self.path.display())));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixDatagram, time::Duration};

    const VALUES: &[(&str, &str)] = &[("seq", "7"), ("event", "token.issued"), ("program", "/opt/my tool")];

    fn record<'a>(values: &[(&'static str, &'a str)]) -> Record<'a> {
        let values = values.iter().map(|(name, value)| (*name, (*value).into())).collect();
        Record { severity: 6, local_time: "Jan  1 00:00:00".into(), values }
    }

    #[test]
    fn a_record_in_the_form_of_each_log() {
        let record = record(VALUES);
        let journal = String::from_utf8(record.datagram(Target::Journald)).unwrap();
        assert_eq!(
            journal,
            "MESSAGE=seq=7 event=token.issued program=\"/opt/my tool\"\nPRIORITY=6\nSYSLOG_IDENTIFIER=daypass\n\
             SYSLOG_FACILITY=10\nDAYPASS_SEQ=7\nDAYPASS_EVENT=token.issued\nDAYPASS_PROGRAM=/opt/my tool\n"
        );
        let syslog = String::from_utf8(record.datagram(Target::Syslog)).unwrap();
        let pid = std::process::id();
        assert_eq!(
            syslog,
            format!("<86>Jan  1 00:00:00 daypass[{pid}]: seq=7 event=token.issued program=\"/opt/my tool\"")
        );
    }

    #[test]
    fn no_value_begins_a_line_or_a_field() {
        let long = "é".repeat(2000);
        for (hostile, want) in [
            ("a\nDAYPASS_CODE=ok", "\"a\u{fffd}DAYPASS_CODE=ok\""),
            ("a\" code=\"ok", "\"a\\\" code=\\\"ok\""),
            ("a\\", "\"a\\\\\""),
            ("\u{1b}[31m\0\u{85}\u{2028}\u{202e}", "\"\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""),
            ("", "\"\""),
            ("ok", "ok"),
            (&long, &format!("\"{}…\"", "é".repeat(256))),
        ] {
            let record = record(&[("program", hostile)]);
            assert_eq!(record.line(), format!("program={want}"));
            let journal = String::from_utf8(record.datagram(Target::Journald)).unwrap();
            assert_eq!(journal.matches('\n').count(), 5, "{journal:?}");
            assert!(journal.ends_with('\n') && journal.len() < 1500);
            let syslog = String::from_utf8(record.datagram(Target::Syslog)).unwrap();
            assert!(!syslog.contains(char::is_control), "{syslog:?}");
        }
    }

    #[test]
    fn sending_never_waits() {
        let dir = tempfile::tempdir().unwrap();
        let log = SystemLog::new(Target::Syslog, Some(dir.path())).unwrap();
        assert_eq!(log.send(&record(VALUES)).unwrap_err().kind(), io::ErrorKind::NotFound);
        let reader = UnixDatagram::bind(Target::Syslog.socket(Some(dir.path()))).unwrap();
        reader.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sent = 0;
        // Nobody reads: sooner or later there is no room.
        let error = loop {
            match log.send(&record(VALUES)) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 100_000);
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        for _ in 0..sent {
            let mut bytes = [0; 4096];
            let read = reader.recv(&mut bytes).unwrap();
            assert_eq!(bytes[..read], record(VALUES).datagram(Target::Syslog));
        }
        log.send(&record(VALUES)).unwrap();
        drop(reader);
        assert_eq!(log.send(&record(VALUES)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_test_policy_never_reaches_the_systems_logs() {
        for target in [Target::Journald, Target::Syslog] {
            let dir = Path::new("/somewhere");
            assert!(target.socket(Some(dir)).starts_with(dir));
            assert!(target.socket(None).is_absolute() && !target.socket(None).starts_with(dir));
        }
    }
}
