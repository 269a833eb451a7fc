//! Starting the agent: the one beside this executable, never one from `PATH`.
//!
//! Invariant: at most ten seconds, and whatever `daypass-agent --detach` says on stderr reaches the person. The detached
//! agent may keep our pipe open, so its end is never waited for.

use crate::exit::Failure;
use localapi::ExitCode;
use std::{
    io::{self, Read},
    path::PathBuf,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longest time an agent may take until its socket answers.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of what it says that are kept.
const SAID_LIMIT: usize = 8 * 1024;
/// File name of the agent's executable.
pub(crate) const AGENT: &str = "daypass-agent";

/// The agent's executable beside our own.
pub(crate) fn beside() -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::unreachable("daypass-agent is not beside daypass")
            .hint("install both from the same package; the agent is never looked for elsewhere")
    };
    let own = std::env::current_exe().map_err(|_| missing())?;
    let agent = own.parent().map(|directory| directory.join(AGENT)).ok_or_else(missing)?;
    if agent.is_file() { Ok(agent) } else { Err(missing().detail(format!("looked for: {}", agent.display()))) }
}

/// Starts the agent and returns once its socket answers.
pub(crate) fn start() -> Result<(), Failure> {
    let agent = beside()?;
    let mut command = Command::new(&agent);
    command.arg("--detach").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        Failure::unreachable(format!("the agent cannot be started: {error}"))
            .detail(format!("tried: {}", agent.display()))
    })?;
    let mut ear = Ear::new(child.stderr.take());
    let ended = wait(&mut child, &mut ear);
    ear.listen();
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(status, &ear.said())),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(Failure::unreachable("the agent did not start within 10 seconds")
                .hint("see why: daypass agent")
                .with_lines(&ear.said()))
        }
    }
}

fn wait(child: &mut Child, ear: &mut Ear) -> Option<ExitStatus> {
    let until = Instant::now() + START_LIMIT;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => {}
            Err(_) => return None,
        }
        ear.listen();
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn failed(status: ExitStatus, said: &str) -> Failure {
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| (1..=10).contains(code));
    let code = code.unwrap_or(ExitCode::AgentUnreachable as u8);
    // What the agent said itself counts more than our own next step.
    Failure::with_status(code, "the agent cannot be started").hint("see why: daypass agent").with_lines(said)
}

/// Listens to the agent's stderr without ever waiting for it.
struct Ear {
    pipe: Option<ChildStderr>,
    heard: Vec<u8>,
}

impl Ear {
    fn new(pipe: Option<ChildStderr>) -> Self {
        let pipe = pipe.filter(|pipe| rustix::io::ioctl_fionbio(pipe, true).is_ok());
        Self { pipe, heard: Vec::new() }
    }

    fn listen(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut buffer = [0; 1024];
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    let room = SAID_LIMIT.saturating_sub(self.heard.len());
                    self.heard.extend_from_slice(&buffer[..read.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}
