//! `daypass-demo`: a try-out in a throw-away home, with a provider of its own and a real agent.
//!
//! Invariant: nothing outlives it. Every process it starts and every file it makes is registered with [`tidy`] first, and
//! goes at the end, on an error, on a panic and on Ctrl-C. The real home, keychain and agent are never touched.

mod asker;
mod driver;
mod home;
mod keychain;
mod scene;
mod tidy;
mod verify;

use clap::{Parser, Subcommand};
use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// Shows Daypass at work in a throw-away home: sign in, ask, allow, verify. Touches nothing of yours.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: daypass-demo --headless")]
struct Arguments {
    /// Answer for the person even if there is a display.
    #[arg(long)]
    headless: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the program is when the demo starts it again for a part of the play.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
enum Role {
    /// The browser where there is no display.
    #[command(hide = true)]
    DriveBrowser {
        /// The agent's one-time local address.
        address: String,
    },
    /// Opens the person's own browser, in the person's own environment.
    #[command(hide = true)]
    OpenBrowser {
        /// Variables of that environment, as NAME=VALUE.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// The agent's one-time local address.
        address: String,
    },
    /// The unknown local program that asks for a token.
    #[command(hide = true)]
    AskToken {
        /// The agent's socket.
        socket: std::path::PathBuf,
        /// Seconds to wait for the person.
        #[arg(long, default_value_t = 60)]
        wait: u32,
    },
    /// Becomes PROGRAM, which ends when whoever started it ends.
    #[command(hide = true)]
    Guarded {
        /// The program.
        program: OsString,
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Why the demo stops, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// For `map_err`: names what was tried.
    pub(crate) fn during<E: Display>(what: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self::new(format!("{what}: {error}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.role {
        None => return perform(arguments.headless),
        Some(Role::DriveBrowser { address }) => driver::drive(&address),
        Some(Role::OpenBrowser { set, address }) => driver::open(&set, &address),
        Some(Role::AskToken { socket, wait }) => return asker::ask(&socket, wait),
        Some(Role::Guarded { program, arguments }) => Err(tidy::become_guarded(&program, &arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "daypass-demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn perform(headless: bool) -> ExitCode {
    let outcome = tidy::Tidy::watched().and_then(|tidy| {
        let played = scene::play(&tidy, headless);
        if tidy.interrupted() {
            // The thread that was told to end everything ends this process too.
            tidy::Tidy::wait_for_the_end();
        }
        let cleared = tidy.clear();
        played.and(cleared)
    });
    match outcome.and_then(|()| scene::farewell()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "✗ {failure}");
            ExitCode::FAILURE
        }
    }
}
