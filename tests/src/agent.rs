//! A `daypass-agent` of the test's own.

use crate::{home::Home, process::Running, until};
use std::{
    fs::OpenOptions,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// A running agent. It is stopped when this value goes.
pub struct Agent {
    home: Arc<Home>,
    managed: Option<PathBuf>,
    process: Running,
}

impl Agent {
    /// Starts one and waits until it answers.
    pub fn start(home: &Arc<Home>, managed: Option<PathBuf>) -> Self {
        let process = Self::spawn(home, managed.as_ref());
        let mut agent = Self { home: home.clone(), managed, process };
        agent.wait();
        agent
    }

    fn spawn(home: &Home, managed: Option<&PathBuf>) -> Running {
        let log = OpenOptions::new().create(true).append(true).open(home.log("agent.log")).expect("a log file");
        let mut command = Command::new(home.program("daypass-agent"));
        if let Some(folder) = managed {
            command.arg("--managed-dir").arg(folder);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        Running::start(home.prepare(&mut command))
    }

    fn wait(&mut self) {
        let id = self.process.id();
        until("the agent to answer", Duration::from_secs(20), || {
            if let Some(code) = self.process.ended() {
                let log = std::fs::read_to_string(self.home.log("agent.log")).unwrap_or_default();
                panic!("the agent ended with {code}:\n{log}");
            }
            if self.home.agent_pid() != Some(id) {
                return None;
            }
            self.home.healthy().then_some(())
        });
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it without warning, as a crash or the end of the battery would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it orderly.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Waits until it has ended by itself; returns its exit code, 128 + signal when a signal ended it.
    pub fn end(&mut self) -> i32 {
        until("the agent to end", Duration::from_secs(30), || self.process.ended())
    }

    /// Ends it orderly and starts it again.
    pub fn restart_after_stop(&mut self) {
        self.stop();
        self.restart();
    }

    /// Starts it again after [`Self::kill`], [`Self::stop`] or [`Self::end`].
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.home, self.managed.as_ref());
        self.wait();
    }
}
