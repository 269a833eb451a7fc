//! The `[browser] command` of the end-to-end tests: `e2e-browser MODE-FILE LOG-FILE ADDRESS`.

#![allow(clippy::print_stderr, reason = "its messages end in the agent's log")]

use e2e::browser::{Mode, open};
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, log, address] = words.as_slice() else {
        eprintln!("usage: e2e-browser MODE-FILE LOG-FILE ADDRESS");
        return ExitCode::from(2);
    };
    match Mode::read(Path::new(mode)).and_then(|mode| open(address, &mode, Path::new(log))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e-browser: {error}");
            ExitCode::FAILURE
        }
    }
}
