//! Everything the demo starts or makes, so that it can all be ended and removed, whatever happens.
//!
//! Invariant: a process is registered under the same lock under which it is started, and once the end has begun nothing
//! is started any more. Processes are ended through their handles, so never by a number somebody else has got meanwhile.
//! If the demo itself is killed outright, the kernel ends its processes; only the throw-away home stays then.

use crate::Failure;
use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Time a process has to end by itself.
const GRACE: Duration = Duration::from_secs(4);
/// Time between two looks at a process.
const LOOK: Duration = Duration::from_millis(20);
/// Where the agent listens, in the home.
pub(crate) const AGENT_SOCKET: &str = "run/daypass/agent.sock";
/// Most bytes kept of what a helper prints.
const OUTPUT_LIMIT: u64 = 4 << 20;

/// A started process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(usize);

/// What a process said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The register; clones share it.
#[derive(Clone)]
pub(crate) struct Tidy(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    children: Vec<(String, Child)>,
    home: Option<PathBuf>,
    over: bool,
    interrupted: bool,
}

/// A process that runs beside the demo, with the threads that read what it says.
pub(crate) struct Running {
    pub(crate) id: Id,
    name: String,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Tidy {
    /// A register without signals and hooks.
    pub(crate) fn plain() -> Self {
        Self(Arc::default())
    }

    /// A register that is cleared on SIGINT, SIGTERM, SIGHUP and on a panic.
    pub(crate) fn watched() -> Result<Self, Failure> {
        let tidy = Self::plain();
        let on_panic = tidy.clone();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            // A hook has nobody to report to; the panic itself is the message.
            let _ = on_panic.clear();
        }));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::during("signals cannot be watched"))?;
        let mut signals = Vec::new();
        {
            use tokio::signal::unix::{SignalKind, signal};
            let _inside = runtime.enter();
            for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
                signals.push(signal(kind).map_err(Failure::during("signals cannot be watched"))?);
            }
        }
        let on_signal = tidy.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                if let [interrupt, terminate, hangup] = signals.as_mut_slice() {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                }
            });
            on_signal.interrupt();
        });
        Ok(tidy)
    }

    fn interrupt(&self) -> ! {
        if let Ok(mut inner) = self.hold() {
            inner.interrupted = true;
        }
        let said = match self.clear() {
            Ok(()) => "interrupted; everything is cleaned up".to_owned(),
            Err(failure) => format!("interrupted; {failure}"),
        };
        let _ = writeln!(io::stderr(), "\n✗ {said}");
        std::process::exit(130)
    }

    /// The lock, unless somebody holds it for longer than ending everything takes.
    fn hold(&self) -> Result<MutexGuard<'_, Inner>, Failure> {
        let deadline = Instant::now() + 4 * GRACE;
        loop {
            match self.0.try_lock() {
                Ok(inner) => return Ok(inner),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(PoisonError::into_inner(poisoned)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return Err(Failure::new("the demo is stuck while it cleans up")),
            }
        }
    }

    /// Whether a signal came.
    pub(crate) fn interrupted(&self) -> bool {
        self.hold().is_ok_and(|inner| inner.interrupted)
    }

    /// Waits until the signal's thread ends this process.
    pub(crate) fn wait_for_the_end() {
        std::thread::sleep(8 * GRACE);
    }

    /// Makes a directory that only this user can look into; it is removed at the end.
    pub(crate) fn make_home(&self) -> Result<PathBuf, Failure> {
        use std::os::unix::fs::PermissionsExt;
        let mut inner = self.hold()?;
        if inner.over {
            return Err(Failure::new("the demo is over"));
        }
        let home = tempfile::Builder::new()
            .prefix("daypass-demo-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(Failure::during("no throw-away home can be made"))?
            .keep();
        inner.home = Some(home.clone());
        Ok(home)
    }

    /// Starts `command` so that it ends with the demo, giving it `input`; what it says is kept unless it goes elsewhere.
    pub(crate) fn start(&self, name: &str, command: &Command, input: Option<&[u8]>) -> Result<Running, Failure> {
        self.launch(name, command, input, None)
    }

    /// Like [`Tidy::start`], with both outputs going to the file `log`.
    pub(crate) fn start_logged(
        &self,
        name: &str,
        command: &Command,
        input: Option<&[u8]>,
        log: &Path,
    ) -> Result<Running, Failure> {
        self.launch(name, command, input, Some(log))
    }

    fn launch(
        &self,
        name: &str,
        command: &Command,
        input: Option<&[u8]>,
        log: Option<&Path>,
    ) -> Result<Running, Failure> {
        let failed = || format!("{name} cannot be started");
        let mut guarded = guarded(command).map_err(Failure::during(&failed()))?;
        guarded.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        if let Some(log) = log {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
            let file = file.map_err(Failure::during(&failed()))?;
            guarded.stdout(file.try_clone().map_err(Failure::during(&failed()))?).stderr(file);
        } else {
            guarded.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut inner = self.hold()?;
        if inner.over {
            return Err(Failure::new("the demo is over"));
        }
        let mut child = guarded.spawn().map_err(Failure::during(&failed()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        inner.children.push((name.to_owned(), child));
        let id = Id(inner.children.len() - 1);
        drop(inner);
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            let input = input.to_vec();
            // A program that does not read its input shows in its answer.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        Ok(Running { id, name: name.to_owned(), stdout: stdout.map(reader), stderr: stderr.map(reader) })
    }

    /// How a process ended, if it has.
    pub(crate) fn ended(&self, id: Id) -> Result<Option<ExitStatus>, Failure> {
        let mut inner = self.hold()?;
        let (_, child) = inner.children.get_mut(id.0).ok_or_else(|| Failure::new("the demo is over"))?;
        child.try_wait().map_err(Failure::during("a process cannot be waited for"))
    }

    /// Waits for the end of a process and gives what it said; after `patience` it is ended and that is a failure.
    pub(crate) fn finish(&self, running: Running, patience: Duration) -> Result<Output, Failure> {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.ended(running.id)? {
                break status;
            }
            if Instant::now() >= deadline {
                self.stop(running.id)?;
                let seconds = patience.as_secs();
                return Err(Failure::new(format!("{} did not finish within {seconds} seconds", running.name)));
            }
            std::thread::sleep(LOOK);
        };
        let text = |reader: Option<JoinHandle<String>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
        Ok(Output { status, stdout: text(running.stdout), stderr: text(running.stderr) })
    }

    /// Starts `command` and waits for its end.
    pub(crate) fn run(
        &self,
        name: &str,
        command: &Command,
        input: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Output, Failure> {
        let running = self.start(name, command, input)?;
        self.finish(running, patience)
    }

    /// Ends one process.
    pub(crate) fn stop(&self, id: Id) -> Result<(), Failure> {
        match self.hold()?.children.get_mut(id.0) {
            Some((name, child)) => end(name, child),
            None => Ok(()),
        }
    }

    /// Ends every process, the youngest first, and removes the home. Doing it again does nothing.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        let mut inner = self.hold()?;
        inner.over = true;
        let mut outcome = Ok(());
        for (name, child) in inner.children.iter_mut().rev() {
            outcome = outcome.and(end(name, child));
        }
        inner.children.clear();
        if let Some(home) = inner.home.take() {
            outcome = outcome.and(end_stranger(&home.join(AGENT_SOCKET))).and(remove(&home));
        }
        outcome
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (name, child) in self.children.iter_mut().rev() {
            let _ = end(name, child);
        }
        if let Some(home) = self.home.take() {
            let _ = remove(&home);
        }
    }
}

fn reader(from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until the pipe broke is still worth having.
        let _ = from.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Ends `child`: asked first, forced after [`GRACE`].
fn end(name: &str, child: &mut Child) -> Result<(), Failure> {
    let still_there = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_none());
    if !still_there(child) {
        return Ok(());
    }
    // The handle was not waited for, so the number is still this process's own.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if !still_there(child) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    child.kill().and_then(|()| child.wait()).map_err(Failure::during(&format!("{name} cannot be ended")))?;
    Ok(())
}

/// Ends whoever still serves `socket`: when the agent dies, `daypass` starts another one that is nobody's child.
fn end_stranger(socket: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + GRACE;
    while let Ok(stream) = UnixStream::connect(socket) {
        let Ok(server) = rustix::net::sockopt::socket_peercred(&stream) else { break };
        // It may have ended in between; the next look tells.
        let _ = rustix::process::kill_process(server.pid, rustix::process::Signal::TERM);
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "process {} still serves the throw-away home",
                server.pid.as_raw_nonzero()
            )));
        }
        std::thread::sleep(5 * LOOK);
    }
    Ok(())
}

/// Removes `home`; what ends just now may still write into it, so more than once.
fn remove(home: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + GRACE;
    loop {
        match std::fs::remove_dir_all(home) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !home.exists() => return Ok(()),
            Err(_) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Err(error) => {
                let what = format!("the throw-away home cannot be removed: {error}");
                return Err(Failure::new(what).hint(format!("remove {} yourself", home.display())));
            }
        }
    }
}

/// `command`, started through this program so that the kernel ends it with the demo.
fn guarded(command: &Command) -> io::Result<Command> {
    // Tests run under a name of their own, without this program's arguments.
    if cfg!(test) {
        return Ok(copy(command, command.get_program(), &[]));
    }
    let own = std::env::current_exe()?;
    Ok(copy(command, own.as_os_str(), &[OsStr::new("guarded"), command.get_program()]))
}

fn copy(command: &Command, program: &OsStr, before: &[&OsStr]) -> Command {
    let mut copied = Command::new(program);
    copied.args(before).args(command.get_args()).env_clear();
    if !command.get_envs().any(|(name, _)| name == "HOME") {
        // Verifiers keep the person's environment; what is started with a HOME of its own gets nothing else.
        copied.envs(std::env::vars_os());
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copied.env(name, value),
            None => copied.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        copied.current_dir(folder);
    }
    copied
}

/// Becomes `program`, with a death signal from the kernel; returns only when that fails.
pub(crate) fn become_guarded(program: &OsStr, arguments: &[OsString]) -> Failure {
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)) {
        return Failure::new(format!("the kernel grants no death signal: {error}"));
    }
    let error = Command::new(program).args(arguments).exec();
    Failure::new(format!("{} cannot be started: {error}", Path::new(program).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn clearing_ends_processes_and_removes_the_home() {
        let tidy = Tidy::plain();
        let home = tidy.make_home().unwrap();
        std::fs::write(home.join("file"), "x").unwrap();
        let polite = tidy.start("polite", &shell("exec sleep 60"), None).unwrap();
        let pid = |id: Id| tidy.hold().unwrap().children[id.0].1.id();
        let pid = pid(polite.id);
        tidy.clear().unwrap();
        assert!(!home.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(tidy.start("late", &shell("true"), None).is_err());
        assert!(tidy.make_home().is_err());
        tidy.clear().unwrap();
    }

    #[test]
    fn an_agent_that_is_nobodys_child_is_ended_too() {
        let tidy = Tidy::plain();
        let home = tidy.make_home().unwrap();
        let socket = home.join(AGENT_SOCKET);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let script = "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(60)";
        let mut stranger = Command::new("python3").args(["-c", script]).arg(&socket).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "the stranger does not listen");
            std::thread::sleep(LOOK);
        }
        tidy.clear().unwrap();
        assert!(!stranger.wait().unwrap().success());
        assert!(!home.exists());
    }

    #[test]
    fn a_process_that_does_not_finish_is_ended() {
        let tidy = Tidy::plain();
        let begun = Instant::now();
        let failure = tidy.run("sleeper", &shell("exec sleep 60"), None, Duration::from_millis(100)).unwrap_err();
        assert!(failure.to_string().contains("sleeper did not finish"), "{failure}");
        assert!(begun.elapsed() < GRACE);
    }

    #[test]
    fn what_a_process_reads_and_says_is_passed_on() {
        let tidy = Tidy::plain();
        let output =
            tidy.run("cat", &shell("cat; echo bad >&2; exit 3"), Some(b"hello"), Duration::from_secs(10)).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("hello", "bad\n"));
        assert_eq!(output.status.code(), Some(3));
    }
}
