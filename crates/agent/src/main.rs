//! `daypass-agent`: the process of one user that holds the tokens.

use agent::startup::{Call, StartError, run};
use clap::Parser;
use localapi::ExitCode;
use platform::paths::{ConnectError, Paths, connect_agent, prepare_home_dir};
use std::{
    fs::OpenOptions,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How long a detached agent may take until it answers.
const READY_IN: Duration = Duration::from_secs(15);
/// The log starts afresh beyond this size.
const MOST_LOG: u64 = 1024 * 1024;

/// The Daypass agent: holds your sign-ins and hands short-lived passes to local programs.
#[derive(Debug, Parser)]
#[command(
    name = "daypass-agent",
    version,
    about,
    after_help = "Example:\n  daypass-agent    run in the foreground; stop with Ctrl-C or: daypass agent stop"
)]
struct Arguments {
    /// Go to the background; return when the agent answers
    #[arg(long)]
    detach: bool,
    /// Read managed profiles from DIR instead of the system's directory; for tests, and marked as such everywhere
    #[arg(long, value_name = "DIR")]
    managed_dir: Option<PathBuf>,
    /// Lead a new session (used by --detach)
    #[arg(long, hide = true)]
    new_session: bool,
}

fn main() -> std::process::ExitCode {
    platform::process::close_inherited();
    let arguments = Arguments::parse();
    let result = if arguments.detach { detach(&arguments) } else { serve(&arguments) };
    match result {
        Ok(()) => ExitCode::Ok,
        Err((text, hint, code)) => {
            say(&format!("daypass-agent: {text}"));
            if let Some(hint) = hint {
                say(&format!("hint: {hint}"));
            }
            code
        }
    }
    .into_process()
}

trait IntoProcess {
    fn into_process(self) -> std::process::ExitCode;
}

impl IntoProcess for ExitCode {
    fn into_process(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}

/// A line to standard error, which may be closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

type Failure = (String, Option<String>, ExitCode);

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.new_session {
        let _ = rustix::process::setsid();
    }
    if let Err(error) = platform::process::harden() {
        return Err((format!("the process cannot be protected: {error}"), None, ExitCode::Internal));
    }
    let asked = std::env::var("DAYPASS_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::from_secs(5)).build();
    let runtime = runtime.map_err(|e| (format!("the runtime cannot start: {e}"), None, ExitCode::Internal))?;
    let managed_dir = arguments.managed_dir.as_deref().map(managed_dir).transpose()?;
    let result = runtime.block_on(run(Call { managed_dir }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match result {
        Err(StartError::Running) => {
            say("daypass-agent: an agent is running already");
            Ok(())
        }
        Err(error) => Err((error.to_string(), error.hint().map(str::to_owned), error.exit())),
        Ok(()) => Ok(()),
    }
}

/// The test directory as an absolute path; one that is not there would silently mean "no policy".
fn managed_dir(dir: &Path) -> Result<PathBuf, Failure> {
    match dir.canonicalize() {
        Ok(found) if found.is_dir() => std::path::absolute(dir).map_err(|e| (e.to_string(), None, ExitCode::Profile)),
        Ok(_) => Err((format!("--managed-dir {}: it is not a directory", dir.display()), None, ExitCode::Profile)),
        Err(error) => Err((format!("--managed-dir {}: {error}", dir.display()), None, ExitCode::Profile)),
    }
}

/// Starts the agent in a session of its own and waits until it answers.
fn detach(arguments: &Arguments) -> Result<(), Failure> {
    let internal = |text: String| (text, None, ExitCode::Internal);
    let paths = Paths::from_environment().map_err(|e| {
        let error = StartError::from(e);
        (error.to_string(), error.hint().map(str::to_owned), error.exit())
    })?;
    prepare_home_dir(&paths.state).map_err(|e| internal(e.to_string()))?;
    let (log, offset) = open_log(&paths.log_file()).map_err(|e| internal(format!("the log cannot be opened: {e}")))?;
    let program = std::env::current_exe().map_err(|e| internal(e.to_string()))?;
    let mut command = Command::new(program);
    command.arg("--new-session").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/");
    if let Some(dir) = &arguments.managed_dir {
        command.arg("--managed-dir").arg(managed_dir(dir)?);
    }
    let mut child = command.spawn().map_err(|e| internal(format!("the agent cannot be started: {e}")))?;
    let deadline = Instant::now() + READY_IN;
    loop {
        match connect_agent(&paths, Duration::from_secs(2)) {
            Ok(_) => return Ok(()),
            Err(ConnectError::NotRunning) => {}
            Err(error) => return Err((error.to_string(), None, ExitCode::AgentUnreachable)),
        }
        // One that ends well found another that is just starting: that one is waited for.
        if let Ok(Some(status)) = child.try_wait()
            && !status.success()
        {
            return Err(why_it_ended(&paths.log_file(), offset, status.code()));
        }
        if Instant::now() > deadline {
            return Err(("the agent did not become ready in time".to_owned(), None, ExitCode::AgentUnreachable));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open_log(path: &Path) -> std::io::Result<(std::fs::File, u64)> {
    let open = |truncate: bool| {
        OpenOptions::new()
            .create(true)
            .write(true)
            .append(!truncate)
            .truncate(truncate)
            .mode(0o600)
            .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
            .open(path)
    };
    let file = open(false)?;
    let size = file.metadata()?.len();
    if size <= MOST_LOG {
        return Ok((file, size));
    }
    open(true)?;
    Ok((open(false)?, 0))
}

/// What the agent said before it ended.
fn why_it_ended(log: &Path, offset: u64, code: Option<i32>) -> Failure {
    let mut said = String::new();
    if let Ok(mut file) = std::fs::File::open(log)
        && file.seek(SeekFrom::Start(offset)).is_ok()
    {
        let _ = file.take(64 * 1024).read_to_string(&mut said);
    }
    let line = |start: &str| said.lines().rev().find_map(|l| l.strip_prefix(start)).map(str::to_owned);
    let text = line("daypass-agent: ").unwrap_or_else(|| "the agent ended before it was ready".to_owned());
    let exit = match code {
        Some(3) => ExitCode::AgentUnreachable,
        Some(9) => ExitCode::Profile,
        _ => ExitCode::Internal,
    };
    (text, line("hint: "), exit)
}
