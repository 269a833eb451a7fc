//! The way to the agent: over the user's socket, checked by `platform` before a byte is sent, and never waited for without
//! an end. The agent that is started is the one beside this program, never one from `PATH`.

use crate::Failure;
use localapi::{
    ExitCode, OpenRequest, Opened, Status,
    client::{Client, ClientError},
};
use platform::paths::{ConnectError, Paths, connect_agent};
use std::{
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Longest wait for an answer that only looks.
pub(crate) const QUICK: Duration = Duration::from_secs(5);
/// Longest wait for an answer that has to speak with an issuer first.
pub(crate) const SLOW: Duration = Duration::from_mins(1);
/// Longest time an agent may take until its socket answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Where the agent is to be found.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) paths: Paths,
}

impl Door {
    /// The user's own places, from the environment.
    pub(crate) fn find() -> Result<Self, Failure> {
        let paths = Paths::from_environment();
        paths.map(|paths| Self { paths }).map_err(|error| Failure::new(ExitCode::AgentUnreachable, error.to_string()))
    }

    /// A connection to the running agent, each of whose answers has to begin within `limit`.
    pub(crate) fn connect(&self, limit: Duration) -> Result<Client<UnixStream>, ConnectError> {
        connect_agent(&self.paths, limit).map(Client::new)
    }

    /// The same; an agent is started if none runs.
    pub(crate) fn connect_started(&self, limit: Duration) -> Result<Client<UnixStream>, String> {
        match self.connect(limit) {
            Err(ConnectError::NotRunning) => {}
            done => return done.map_err(|error| error.to_string()),
        }
        start_agent()?;
        self.connect(limit).map_err(|error| error.to_string())
    }

    /// The agent's state; an agent is started if none runs.
    pub(crate) fn status_started(&self) -> Result<Status, String> {
        self.connect_started(QUICK)?.get("/v1/status").map_err(words)
    }

    /// A one-time address of one of the agent's pages.
    pub(crate) fn ticket(&self, page: &str, open_browser: bool) -> Result<Opened, String> {
        let request = OpenRequest { page: page.to_owned(), open_browser };
        self.connect_started(QUICK)?.post("/v1/open", &request).map_err(words)
    }
}

/// What went wrong, for people.
#[allow(clippy::needless_pass_by_value, reason = "the end of a chain")]
pub(crate) fn words(error: ClientError) -> String {
    match &error {
        ClientError::Refused(body) => match &body.hint {
            Some(hint) => format!("{} ({hint})", body.error_description),
            None => body.error_description.clone(),
        },
        ClientError::Io(_) | ClientError::Protocol(_) => error.to_string(),
    }
}

/// Starts the agent beside this program and returns once its socket answers. What it says goes where our own words go.
pub(crate) fn start_agent() -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let agent = own.with_file_name("daypass-agent");
    if !agent.is_file() {
        return Err("daypass-agent is not beside daypass-desktop; install both from their packages".to_owned());
    }
    let mut command = Command::new(&agent);
    command.arg("--detach").stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("the agent cannot be started: {error}"))?;
    let until = Instant::now() + START_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("the agent cannot be started ({status}); daypass agent says why")),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("the agent did not start within 10 seconds; daypass agent says why".to_owned());
            }
        }
    }
}
