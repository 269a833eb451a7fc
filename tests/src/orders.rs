//! A child that takes one order a line on standard input and answers one line on standard output, both JSON.

use crate::process::{self, Running};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

/// The child and the way to talk to it.
pub struct Orders {
    talk: Mutex<(ChildStdin, Receiver<String>)>,
    _child: Running,
    /// Its first line.
    pub greeting: Value,
}

impl Orders {
    /// Starts the child and waits at most 30 s for its first line.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = process::spawn(command);
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let child = Running::adopt(child);
        let first = receiver
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("{} does not start", command.get_program().display()));
        let greeting = serde_json::from_str(&first).unwrap_or_else(|_| panic!("unexpected first line: {first}"));
        Self { talk: Mutex::new((stdin, receiver)), _child: child, greeting }
    }

    /// Gives one order and returns the answer.
    pub fn obey(&self, order: &Value) -> Value {
        let mut talk = self.talk.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(talk.0, "{order}").expect("the child takes orders");
        let answer = talk.1.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| panic!("no answer to {order}"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{order}: {answer}");
        answer
    }
}
