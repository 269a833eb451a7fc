//! `daypass pause` and `resume`.
//!
//! Invariant: how long is the agent's to accept; what it answered is what is said.

use crate::{
    args::Pause,
    connect::Door,
    exit::Outcome,
    listing::QUICK,
    output::{emit_json, say},
    time,
};
use localapi::{ExitCode, PauseRequest, Paused};

/// Pauses everything: no passes, no questions.
pub(crate) fn pause(arguments: &Pause) -> Outcome {
    let request = PauseRequest { seconds: i64::from(arguments.span) };
    let paused: Paused = Door::find()?.connect()?.post("/v1/pause", &request, QUICK)?;
    if arguments.form.json {
        emit_json(&paused)?;
    }
    let left = time::relative(&paused.paused_until, time::now());
    say(&format!(
        "daypass: paused; no program gets a token and nobody is asked. It ends {left}, or with: daypass resume"
    ));
    Ok(ExitCode::Ok)
}

/// Ends the pause.
pub(crate) fn resume() -> Outcome {
    Door::find()?.running()?.delete::<()>("/v1/pause", QUICK)?;
    say("daypass: not paused; programs may have tokens again");
    Ok(ExitCode::Ok)
}
