//! HTTP by hand: what goes over the wire is what the test wrote, no client library puts it right.

use crate::process;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long one exchange may take.
const LIMIT: Duration = Duration::from_secs(15);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, transfer coding removed.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, the first where there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// `GET path` over the socket.
///
/// # Errors
/// When there is no whole answer.
pub fn get_on_socket(socket: &Path, path: &str) -> io::Result<Answer> {
    let _quiet = process::quiet();
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    exchange(stream, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
}

/// One request to `authority` (host:port) over TCP; `Host` and `Content-Length` are added.
///
/// # Errors
/// When there is no whole answer.
pub fn request(authority: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut message = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        message += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        message += &format!("Content-Length: {}\r\n", body.len());
    }
    send(authority, &[message.as_bytes(), b"\r\n", body].concat())
}

/// Sends exactly these bytes to `authority` over TCP and reads one answer.
///
/// # Errors
/// `UnexpectedEof` when the connection was closed without a byte, `WouldBlock` when nothing came in time.
pub fn send(authority: &str, bytes: &[u8]) -> io::Result<Answer> {
    let _quiet = process::quiet();
    exchange(connect(authority)?, bytes)
}

/// A connection to `authority` over TCP.
///
/// # Errors
/// When nobody listens there.
pub fn connect(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends these bytes and reads one answer.
///
/// # Errors
/// As [`send`].
pub fn exchange<S: Read + Write>(mut stream: S, bytes: &[u8]) -> io::Result<Answer> {
    // A server that refuses early closes while we still write; what it said is what counts.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    read_answer(&mut stream)
}

/// Reads one answer.
///
/// # Errors
/// As [`send`].
pub fn read_answer<S: Read>(stream: &mut S) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        fill(stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no status line"))?;
    let mut answer = Answer { status, headers, body: bytes.split_off(end) };
    let length = answer.header("content-length").and_then(|value| value.parse::<usize>().ok());
    if matches!(status, 100..=199 | 204 | 304) {
        answer.body.clear();
    } else if answer.header("transfer-encoding").is_some() {
        while find(&answer.body, b"0\r\n\r\n").is_none() {
            fill(stream, &mut answer.body)?;
        }
        answer.body = unchunk(&answer.body);
    } else if let Some(length) = length {
        while answer.body.len() < length {
            fill(stream, &mut answer.body)?;
        }
    } else {
        while fill(stream, &mut answer.body).is_ok() {}
    }
    Ok(answer)
}

fn fill<S: Read>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut part = [0; 16 * 1024];
    match stream.read(&mut part) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            bytes.extend_from_slice(&part[..read]);
            Ok(())
        }
        // Data that was still on its way to a closed connection makes a reset out of its end.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error),
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = find(bytes, b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        match size {
            Some(size @ 1..) if bytes.len() >= end + 2 + size + 2 => {
                body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
                bytes = &bytes[end + 2 + size + 2..];
            }
            _ => break,
        }
    }
    body
}
