//! Stands in for `daypass-desktop` where its name and its place are what matters.
//!
//! `e2e-desktop SOCKET events` prints what `GET /v1/events` sends until it is ended;
//! `e2e-desktop SOCKET METHOD PATH [BODY]` prints the status and the body of one answer.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is what the test reads")]

use e2e::http;
use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    process::ExitCode,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [socket, "events"] => listen(socket),
        [socket, method, path] => ask(socket, method, path, ""),
        [socket, method, path, body] => ask(socket, method, path, body),
        _ => Err(io::Error::other("usage: e2e-desktop SOCKET events | METHOD PATH [BODY]")),
    };
    done.map_or_else(
        |error| {
            eprintln!("e2e-desktop: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn head(method: &str, path: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn listen(socket: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(head("GET", "/v1/events", "").as_bytes())?;
    let mut chunk = [0_u8; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(&chunk[..read])?;
        out.flush()?;
    }
}

fn ask(socket: &str, method: &str, path: &str, body: &str) -> io::Result<()> {
    let answer = http::exchange(UnixStream::connect(socket)?, head(method, path, body).as_bytes())?;
    println!("{}\n{}", answer.status, answer.text());
    Ok(())
}
