//! Whole processes: wall time, processor time and instructions of a command from its start to its end.

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What one run of a command took.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// From before it was started until its end was seen.
    pub wall: Duration,
    /// User and system time of the process and what it waited for.
    pub cpu: Duration,
}

/// Runs a command to its end with its output thrown away. No other child of this process may end meanwhile.
///
/// # Panics
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Run {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let before = children();
    let start = Instant::now();
    let status = command.spawn().and_then(|mut child| child.wait()).expect("the command starts");
    let wall = start.elapsed();
    assert!(status.success(), "{} failed: {status}", command.get_program().display());
    Run { wall, cpu: children().saturating_sub(before) }
}

fn children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts");
    time(usage.user_time()) + time(usage.system_time())
}

fn time(value: TimeVal) -> Duration {
    let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// Instructions of one run in user space, as callgrind counts them; `None` without valgrind.
///
/// The program asking is valgrind's tool then, so whoever is asked must answer any program.
pub fn instructions(command: &Command) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => valgrind.env(name, value),
            None => valgrind.env_remove(name),
        };
    }
    let output = valgrind.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "under valgrind {} failed:\n{text}", command.get_program().display());
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
