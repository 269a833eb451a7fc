//! The `daypass` command: asks the agent over the user's socket and prints the answer alone on stdout.
//!
//! Invariant: stdout carries the answer and nothing else; messages go to stderr; the exit code comes from the one table
//! in `localapi`. It decides nothing about who may have what: that is the agent's, and this program is one more peer.

mod agent;
mod args;
mod audit;
mod block;
mod commands;
mod completions;
mod connect;
mod consent;
mod device;
mod doctor;
mod exit;
#[cfg(test)]
mod generated;
mod init;
mod listing;
mod output;
mod pause;
mod profile;
mod run;
mod sign_in;
mod start;
mod time;
mod token;

use commands::Command;
use exit::Outcome;
use localapi::ExitCode;

fn main() -> std::process::ExitCode {
    let outcome = match args::read() {
        Ok(Some(command)) => answer(command),
        Ok(None) => Ok(ExitCode::Ok),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(code) => (code as u8).into(),
        Err(failure) => failure.report().into(),
    }
}

fn answer(command: Command) -> Outcome {
    match command {
        Command::Token(arguments) => token::token(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Login(arguments) => sign_in::login(&arguments),
        Command::Logout(arguments) => sign_in::logout(&arguments),
        Command::Status(form) => listing::status(form),
        Command::Accounts(form) => listing::accounts(form),
        Command::Resources(form) => listing::resources(form),
        Command::Requests(form) => consent::requests(form),
        Command::Approve(arguments) => consent::approve(&arguments),
        Command::Deny(arguments) => consent::deny(&arguments),
        Command::Grants(arguments) => consent::grants(&arguments),
        Command::Block(arguments) => block::block(&arguments),
        Command::Unblock(arguments) => block::unblock(&arguments),
        Command::Pause(arguments) => pause::pause(&arguments),
        Command::Resume(_) => pause::resume(),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Profile(arguments) => profile::profile(&arguments),
        Command::Doctor(form) => doctor::doctor(form),
        Command::Agent(arguments) => agent::agent(arguments),
        Command::Open(_) => agent::open(),
        Command::Completions(arguments) => completions::completions(&arguments),
    }
}
