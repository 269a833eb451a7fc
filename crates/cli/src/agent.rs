//! `daypass agent`, `daypass agent stop` and `daypass open`.
//!
//! Invariant: only a process of this uid that holds the agent's socket and is named `daypass-agent` is ever signalled,
//! through a descriptor of that very process, so a reused pid is never hit. Needs no answer from the agent: it works
//! for one that hangs, and for one that does not take this program for its own.

use crate::{
    args,
    connect::Door,
    exit::{Failure, Outcome},
    listing::QUICK,
    output::{emit_whole, say},
    sign_in::is_local_address,
    start::{AGENT, beside},
};
use localapi::{ExitCode, OpenRequest, Opened};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::sockopt::socket_peercred,
    process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal},
};
use std::{
    os::unix::{net::UnixStream, process::CommandExt},
    process::Command,
};

/// Seconds an agent may take to end.
const STOP_SECONDS: i64 = 10;

/// Becomes the agent, or stops the running one.
pub(crate) fn agent(arguments: args::Agent) -> Outcome {
    if arguments.arguments.first().is_some_and(|first| first == "stop") {
        if arguments.arguments.len() > 1 {
            return Err(Failure::usage("daypass agent stop takes no arguments"));
        }
        return stop();
    }
    let agent = beside()?;
    let error = Command::new(&agent).args(arguments.arguments).exec();
    Err(Failure::unreachable(format!("the agent cannot be started: {error}"))
        .detail(format!("tried: {}", agent.display())))
}

fn stop() -> Outcome {
    let stream = Door::find()?.knock()?.ok_or_else(Failure::no_agent)?;
    let pid = holder(&stream)?;
    let gone = || Failure::unreachable("the agent has just ended");
    let refused = |errno: Errno| match errno {
        Errno::SRCH => gone(),
        errno => Failure::new(ExitCode::Internal, format!("the agent cannot be signalled: {errno}")),
    };
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(refused)?;
    // The descriptor holds the process; the pid still being the agent's now means it was when it was opened.
    check_name(pid)?;
    pidfd_send_signal(&process, Signal::TERM).map_err(refused)?;
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec { tv_sec: STOP_SECONDS, tv_nsec: 0 };
    let ended = loop {
        match poll(&mut polled, Some(&limit)) {
            Err(Errno::INTR) => {}
            done => break done.is_ok_and(|ready| ready > 0),
        }
    };
    if !ended {
        return Err(Failure::new(ExitCode::Internal, "the agent has not ended within 10 seconds")
            .hint(format!("end it yourself: kill -KILL {}", pid.as_raw_nonzero())));
    }
    say("daypass: the agent has ended");
    Ok(ExitCode::Ok)
}

/// The process that listens at the other end, if it is of this uid.
fn holder(stream: &UnixStream) -> Result<Pid, Failure> {
    let unknown =
        |errno: Errno| Failure::new(ExitCode::Internal, format!("whose socket it is cannot be told: {errno}"));
    let peer = socket_peercred(stream).map_err(unknown)?;
    if peer.uid == geteuid() { Ok(peer.pid) } else { Err(Failure::unreachable("the agent belongs to another user")) }
}

/// A running agent hides its executable from its own user, so the name the kernel shows to all has to do.
fn check_name(pid: Pid) -> Result<(), Failure> {
    let process = pid.as_raw_nonzero();
    let executable = std::fs::read_link(format!("/proc/{process}/exe")).ok();
    let by_file = executable.and_then(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some(name.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(name))
    });
    let name = match by_file {
        Some(name) => name,
        None => std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim_end().to_owned(),
    };
    if name == AGENT {
        return Ok(());
    }
    Err(Failure::unreachable(format!("process {process} ({name}) holds the agent's socket and is no daypass-agent"))
        .hint("it was left alone"))
}

/// Opens the home page, or prints its address where no browser can be opened.
pub(crate) fn open() -> Outcome {
    let request = OpenRequest { page: "home".to_owned(), open_browser: true };
    let opened: Opened = Door::find()?.connect()?.post("/v1/open", &request, QUICK)?;
    if opened.browser_opened {
        say("daypass: opened in your browser");
    } else if is_local_address(&opened.address) {
        say("daypass: no browser could be opened; this address works once, in a browser on this machine:");
        emit_whole(&format!("{}\n", opened.address))?;
    } else {
        return Err(Failure::new(ExitCode::Internal, "the agent gave no address to open"));
    }
    Ok(ExitCode::Ok)
}
