//! `daypass completions`: what makes a shell complete this command.
//!
//! Invariant: the texts are made from the command's own definition and checked in; a test (see `generated`) holds them
//! to it, so this program carries them and not the generator. They complete what the definition knows; names of accounts
//! and resources are not among it, because asking for them at every key would start the agent.

use crate::{
    args::{Completions, Shell},
    exit::Outcome,
    output::emit_whole,
};
use localapi::ExitCode;

/// Prints the text for a shell.
pub(crate) fn completions(arguments: &Completions) -> Outcome {
    emit_whole(text(arguments.shell))?;
    Ok(ExitCode::Ok)
}

/// The text for a shell.
pub(crate) fn text(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../completions/daypass.bash"),
        Shell::Fish => include_str!("../completions/daypass.fish"),
        Shell::Powershell => include_str!("../completions/_daypass.ps1"),
        Shell::Zsh => include_str!("../completions/_daypass"),
    }
}
