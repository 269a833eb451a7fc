//! Starting, watching and ending processes.
//!
//! A process forked while a socket of this test is open holds that socket for an instant too, and the agent then rightly
//! refuses to say whose it is. So every start takes the lock that [`quiet`] holds shared.

use std::{
    io::{Read, Write},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio},
    sync::{RwLock, RwLockReadGuard},
    thread,
    time::{Duration, Instant},
};

static STARTS: RwLock<()> = RwLock::new(());

/// While the guard lives no process is started by this test binary.
pub fn quiet() -> RwLockReadGuard<'static, ()> {
    STARTS.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts `command`.
pub fn spawn(command: &mut Command) -> Child {
    let _alone = STARTS.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()))
}

/// A process that is ended, by its id, when this value goes.
pub struct Running(Child);

impl Running {
    /// Starts `command`.
    pub fn start(command: &mut Command) -> Self {
        Self(spawn(command))
    }

    /// Takes over a process that was started.
    pub fn adopt(child: Child) -> Self {
        Self(child)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it without warning and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to end (SIGTERM) and waits at most five seconds before it is killed.
    pub fn stop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        signal(self.id(), rustix::process::Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if self.ended().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Its exit code once it has ended.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.0.try_wait().expect("own child")?;
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to one process; one that has ended already is fine.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    let _ = rustix::process::kill_process(pid, signal);
}

/// Whether a process with this id exists and is no zombie.
pub fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Output {
    /// Standard output without the last line end, if the command went well.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn ok(&self) -> String {
        assert_eq!(self.code, 0, "`{}` failed:\n{}", self.command, self.stderr);
        self.stdout.trim_end().to_owned()
    }

    /// Standard error, if the command ended with exactly this code and printed no answer.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code, code, "`{}`: {}\n{}", self.command, self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "a failing command answers nothing");
        self.stderr.clone()
    }

    /// Standard output as JSON, if the command went well.
    ///
    /// # Panics
    /// If it did not, or answered no JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap_or_else(|error| panic!("`{}`: {error}: {}", self.command, self.stdout))
    }
}

/// Runs a command to its end, which must come within `limit`; `input` goes to its standard input.
///
/// # Panics
/// When the limit passes; the process is killed then.
pub fn run(command: &mut Command, input: &str, limit: Duration) -> Output {
    let line = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().rsplit('/').next().unwrap_or_default().to_owned())
        .collect::<Vec<_>>()
        .join(" ");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    let writer = thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    let mut child = Running::adopt(child);
    let code = loop {
        if let Some(code) = child.ended() {
            break code;
        }
        if start.elapsed() > limit {
            child.kill();
            panic!("`{line}` did not end within {limit:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let took = start.elapsed();
    let _ = writer.join();
    Output { command: line, code, stdout: collect(&stdout), stderr: collect(&stderr), took }
}

/// Reads a pipe to its end on a thread of its own; what came so far can be had even if a grandchild keeps it open.
fn drain(mut pipe: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut part = [0; 16 * 1024];
        while let Ok(read @ 1..) = pipe.read(&mut part) {
            if sender.send(part[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn collect(parts: &std::sync::mpsc::Receiver<Vec<u8>>) -> String {
    let mut all = Vec::new();
    // A detached grandchild (an agent started by `daypass`) may hold the pipe for ever; half a second is plenty.
    while let Ok(part) = parts.recv_timeout(Duration::from_millis(500)) {
        all.extend(part);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Makes `command` run as another user; only root can.
pub fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}
