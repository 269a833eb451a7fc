//! `daypass doctor`: looks at everything between a program and its token, and says what to do about what is wrong.
//!
//! Invariant: it changes nothing, starts no agent, ends in time, and prints nothing that the agent or a file has not already
//! made fit to be shown. What needs tokens, keychain or network is the agent's to find out; the rest is looked at here,
//! so that there is an answer without an agent, too.

mod own;
mod report;

use crate::{
    args::Form,
    connect::Door,
    exit::{Failure, Outcome},
    output::{emit, emit_json, note, say},
    time,
};
use localapi::{AgentStatus, Code, Doctor, DoctorCheck};
use std::{io::IsTerminal as _, time::Duration};

/// What the agent may take: ten seconds, and as long again behind somebody else's look.
const LIMIT: Duration = Duration::from_secs(25);

/// Looks, prints, and ends with the code of the gravest failure.
pub(crate) fn doctor(form: Form) -> Outcome {
    let checks = examine();
    if form.json {
        emit_json(&checks)?;
    } else {
        emit(&report::render(&checks, report::columns(), std::env::var("HOME").ok().as_deref()))?;
        say(&format!("daypass: {}", report::summary(&checks)));
    }
    Ok(report::exit(&checks))
}

fn examine() -> Vec<DoctorCheck> {
    let door = match Door::find() {
        Ok(door) => door,
        Err(failure) => return own::without_agent(vec![failed("socket", &failure)], false),
    };
    match door.knock() {
        Err(failure) => return own::without_agent(vec![failed("socket", &failure)], false),
        Ok(None) => return own::without_agent(vec![own::quiet_socket(door.paths()), own::no_agent()], false),
        Ok(Some(stream)) => drop(stream),
    }
    let mut checks = vec![own::socket(door.paths())];
    let answer: Result<Doctor, Failure> = door.running().and_then(|mut agent| {
        let mut told = !std::io::stderr().is_terminal();
        agent.meanwhile(Box::new(move |prober| {
            if !std::mem::replace(&mut told, true) {
                note("daypass: still looking at the way to the issuers…\n");
            }
            prober.get("/healthz")
        }));
        agent.get("/v1/doctor", LIMIT)
    });
    match answer {
        Ok(doctor) => {
            checks.push(agent(&doctor.agent, doctor.test_policy));
            checks.extend(doctor.checks);
            own::try_port(door.paths(), &mut checks);
            own::better_hints(&mut checks);
            checks
        }
        Err(failure) => {
            checks.push(unanswered(&failure));
            own::without_agent(checks, true)
        }
    }
}

fn agent(agent: &AgentStatus, test_policy: bool) -> DoctorCheck {
    let mut finding = format!("{}, pid {}, up {}", agent.version, agent.pid, time::span(agent.uptime));
    if test_policy {
        finding.push_str(", with a test policy");
    }
    if agent.version == env!("CARGO_PKG_VERSION") {
        return check("agent", State::Ok, finding);
    }
    check("agent", State::Warning, format!("{finding}; this command is {}", env!("CARGO_PKG_VERSION")))
        .next("start the agent that belongs to it: daypass agent stop")
}

/// An agent runs and does not tell.
fn unanswered(failure: &Failure) -> DoctorCheck {
    match failure.code {
        Some(Code::NotFound) => {
            check("agent", State::Failed, "it is older than this command and cannot tell how it is")
                .next("start the one that belongs to this command: daypass agent stop")
        }
        Some(Code::NotFirstParty) => {
            let finding =
                "it does not take this command for its own: they are not of one installation, or not any more";
            check("agent", State::Failed, finding)
                .next("start the agent that belongs to this command: daypass agent stop")
        }
        Some(Code::RateLimited) => {
            check("agent", State::Failed, "it is busy with somebody else's look").next("look again in ten seconds")
        }
        _ => failed("agent", failure),
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
    Skipped,
}

fn check(name: &str, state: State, finding: impl Into<String>) -> DoctorCheck {
    let state = match state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Failed => "failed",
        State::Skipped => "skipped",
    };
    DoctorCheck { check: name.to_owned(), state: state.to_owned(), account: None, finding: finding.into(), hint: None }
}

/// Adds to a check.
trait More {
    fn next(self, step: impl Into<String>) -> Self;
}

impl More for DoctorCheck {
    fn next(mut self, step: impl Into<String>) -> Self {
        self.hint = Some(step.into());
        self
    }
}

/// A failure as a check.
fn failed(name: &str, failure: &Failure) -> DoctorCheck {
    let finding = std::iter::once(&failure.message).chain(&failure.details).map(String::as_str).collect::<Vec<_>>();
    let step = failure.hint.as_deref().unwrap_or("start the agent anew: daypass agent stop");
    check(name, State::Failed, finding.join("; ")).next(step)
}
