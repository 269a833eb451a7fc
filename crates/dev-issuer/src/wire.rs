//! One HTTP/1.1 exchange with a loopback server, over a connection of its own.
//!
//! Nothing but loopback addresses is ever connected to; the whole exchange has one deadline and the answer a size limit.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};
use url::{Host, Url};

/// Most bytes of an answer, head and body.
const LIMIT: usize = 8 << 20;

/// Why an exchange gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The address is not http on a loopback host.
    #[error("only loopback http is spoken here, not {0}")]
    NotLoopback(String),
    /// The connection failed or took too long.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What came back is no HTTP.
    #[error("the answer cannot be understood: {0}")]
    Protocol(&'static str),
}

/// An answer, with its body decoded from chunks but from no content coding.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, with what is no UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Whether `url` is http on 127.0.0.0/8, `[::1]` or localhost.
pub fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

/// Sends one request and reads the whole answer within `patience`.
///
/// # Errors
/// See [`WireError`].
pub fn exchange(
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    patience: Duration,
) -> Result<Answer, WireError> {
    if !is_loopback(url) {
        return Err(WireError::NotLoopback(url.origin().ascii_serialization()));
    }
    let deadline = Instant::now() + patience;
    let mut stream = connect(url, deadline)?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    for (name, value) in headers {
        if value.bytes().any(|b| b < b' ') {
            return Err(WireError::Protocol("a header to be sent holds a control character"));
        }
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if let Some(body) = body {
        let _ = write!(head, "content-length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut message = head.into_bytes();
    message.extend_from_slice(body.unwrap_or_default());
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&message)?;
    read(&mut stream, deadline)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|d| !d.is_zero())
        .ok_or_else(|| io::ErrorKind::TimedOut.into())
}

fn connect(url: &Url, deadline: Instant) -> Result<TcpStream, WireError> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, url.port_or_known_default().unwrap_or(80)).to_socket_addrs()? {
        if !address.ip().is_loopback() {
            continue;
        }
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure.into())
}

fn read(stream: &mut TcpStream, deadline: Instant) -> Result<Answer, WireError> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes, false)? {
            return Ok(answer);
        }
        if bytes.len() > LIMIT {
            return Err(WireError::Protocol("it is too large"));
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        let mut part = [0; 16 * 1024];
        match stream.read(&mut part) {
            Ok(0) => {
                return parse(&bytes, true)?.ok_or(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The answer in `bytes` as soon as it is whole; `ended` says that no more will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<Answer>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(WireError::Protocol("it is no HTTP")),
    };
    let status = response.code.unwrap_or_default();
    let headers: Vec<_> = response
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let rest = &bytes[head..];
    if status == 204 || status == 304 {
        return Ok(Some(answer));
    }
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(unchunk(rest)?.map(|body| Answer { body, ..answer }));
    }
    let length = match answer.header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => Some(length),
        Some(Err(_)) => return Err(WireError::Protocol("its content length is no number")),
        None => None,
    };
    match length {
        Some(length) if rest.len() < length => Ok(None),
        Some(length) => {
            answer.body = rest[..length].to_vec();
            Ok(Some(answer))
        }
        None if ended => {
            answer.body = rest.to_vec();
            Ok(Some(answer))
        }
        None => Ok(None),
    }
}

/// The body, once its last chunk is there (RFC 9112 §7.1).
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, WireError> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(WireError::Protocol("a chunk is malformed")),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= LIMIT);
        let size = size.ok_or(WireError::Protocol("a chunk is too large"))?;
        let Some(chunk) = rest.get(start..start + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(more) = rest.get(start + size + 2..) else { return Ok(None) };
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, ended: bool) -> Option<String> {
        parse(text.as_bytes(), ended).unwrap().map(|answer| answer.text())
    }

    #[test]
    fn bodies_are_read_by_length_by_chunks_and_to_the_end() {
        let head = "HTTP/1.1 200 OK\r\n";
        assert_eq!(whole(&format!("{head}Content-Length: 3\r\n\r\nab"), false), None);
        assert_eq!(whole(&format!("{head}Content-Length: 3\r\n\r\nabc"), false).unwrap(), "abc");
        let chunks = "2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        let head_of_chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!(whole(&format!("{head_of_chunks}{chunks}"), false).unwrap(), "abc");
        for cut in 0..chunks.len() - 4 {
            assert_eq!(whole(&format!("{head_of_chunks}{}", &chunks[..cut]), false), None, "{cut}");
        }
        assert_eq!(whole(&format!("{head}\r\nab"), false), None);
        assert_eq!(whole(&format!("{head}\r\nab"), true).unwrap(), "ab");
        assert_eq!(whole("HTTP/1.1 204 No Content\r\n\r\n", false).unwrap(), "");
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false).is_err());
        assert!(parse(b"SSH-2.0-x\r\n\r\n", false).is_err());
    }

    #[test]
    fn only_loopback_http_is_spoken() {
        for (address, fine) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost:1/", true),
            ("https://127.0.0.1:1/", false),
            ("http://example.com/", false),
            ("http://localhost.example.com/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(address).unwrap()), fine, "{address}");
        }
        let away = Url::parse("http://192.0.2.1/").unwrap();
        let refused = exchange("GET", &away, &[], None, Duration::from_secs(1));
        assert!(matches!(refused, Err(WireError::NotLoopback(_))));
    }
}
