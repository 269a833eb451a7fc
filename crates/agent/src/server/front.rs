//! What is refused before any handler, and before the HTTP library, sees a byte.
//!
//! Invariant: every request head that gets through is complete, small, strictly delimited, HTTP/1.1, and addressed to
//! us by exactly one Host that is on the list. Heads and idle connections have deadlines; so has every write. A refusal
//! is a constant answer with the full set of security headers, after which the connection ends. So does a connection after
//! a request whose length is not told beforehand: nothing that follows it is looked at.
//!
//! Limit: bodies are only counted here; who may send what is the router's affair.

use super::connection::Shared;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Most bytes of a request head.
pub(crate) const HEAD_LIMIT: usize = 16 * 1024;
/// Most bytes of a request body.
pub(crate) const BODY_LIMIT: u64 = 64 * 1024;
const HEAD_TIME: Duration = Duration::from_secs(10);
const IDLE_TIME: Duration = Duration::from_secs(30);
const WRITE_TIME: Duration = Duration::from_secs(30);

/// Why a head was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    Malformed,
    TooLarge,
    TooSlow,
    WrongHost,
    Origin,
    /// A prefetch: answered with nothing.
    Prefetch,
}

impl Refused {
    pub(crate) fn code(self) -> localapi::Code {
        match self {
            Self::Malformed => localapi::Code::InvalidRequest,
            Self::TooLarge => localapi::Code::TooLarge,
            Self::TooSlow => localapi::Code::RequestTimeout,
            Self::WrongHost => localapi::Code::WrongHost,
            Self::Origin | Self::Prefetch => localapi::Code::OriginRefused,
        }
    }
}

/// How the body that follows a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
}

/// Looks at one complete head, delimiter included.
pub(crate) fn inspect(head: &[u8], hosts: &[String]) -> Result<Body, Refused> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLarge),
        _ => return Err(Refused::Malformed),
    }
    if request.version != Some(1) {
        return Err(Refused::Malformed);
    }
    let all = |name: &str| {
        request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value).collect::<Vec<_>>()
    };
    let host = match all("host").as_slice() {
        [host] => *host,
        _ => return Err(Refused::Malformed),
    };
    if host.is_empty() || !host.iter().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(b)) {
        return Err(Refused::Malformed);
    }
    let target = request.path.unwrap_or_default();
    // What the HTTP library cannot read it would refuse by itself, without our headers. A fragment is never sent.
    if target.contains('#') || target.parse::<axum::http::Uri>().is_err() {
        return Err(Refused::Malformed);
    }
    if !target.starts_with('/') {
        // Absolute form (RFC 9112 §3.2.2): its authority counts, and must not contradict Host.
        let authority = target.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if authority.is_empty() || !authority.as_bytes().eq_ignore_ascii_case(host) {
            return Err(Refused::Malformed);
        }
    }
    if !hosts.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(host)) {
        return Err(Refused::WrongHost);
    }
    for once in
        ["origin", "cookie", "content-type", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "authorization"]
    {
        if all(once).len() > 1 {
            return Err(Refused::Malformed);
        }
    }
    let site_ok = |value: &[u8]| matches!(value, b"same-origin" | b"same-site" | b"cross-site" | b"none");
    if !all("sec-fetch-site").into_iter().all(site_ok) {
        return Err(Refused::Origin);
    }
    if !all("sec-purpose").is_empty() || all("purpose").contains(&b"prefetch".as_slice()) {
        return Err(Refused::Prefetch);
    }
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => Ok(Body::Length(0)),
        ([], [length]) => {
            let digits =
                std::str::from_utf8(length).ok().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()));
            let digits = digits.ok_or(Refused::Malformed)?;
            match digits.parse::<u64>() {
                Ok(length) if length <= BODY_LIMIT => Ok(Body::Length(length)),
                _ => Err(Refused::TooLarge),
            }
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
        _ => Err(Refused::Malformed),
    }
}

/// Finds the end of the head; a line feed without its carriage return is malformed.
pub(crate) fn end_of_head(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if i == 0 || bytes[i - 1] != b'\r' => return Err(Refused::Malformed),
            b'\n' if i >= 3 && bytes[i - 2] == b'\n' => return Ok(Some(i + 1)),
            b'\n' if i == 1 => return Err(Refused::Malformed),
            _ => {}
        }
    }
    if bytes.len() > HEAD_LIMIT { Err(Refused::TooLarge) } else { Ok(None) }
}

enum Stage {
    /// Collecting a head.
    Head,
    /// Handing on a body of known length.
    Body(u64),
    /// Handing on whatever comes: the connection ends after this request.
    Open,
    /// Nothing more is read; the answer is written at shutdown.
    Refused { answer: Vec<u8>, written: usize },
}

/// A connection with the front layer in it.
pub(crate) struct Front {
    shared: Arc<Shared>,
    hosts: Arc<[String]>,
    stage: Stage,
    pending: Vec<u8>,
    deliver: usize,
    timer: Pin<Box<Sleep>>,
    timer_set: bool,
    head_begun: bool,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl Front {
    pub(crate) fn new(shared: Arc<Shared>, hosts: Arc<[String]>) -> Self {
        Self {
            shared,
            hosts,
            stage: Stage::Head,
            pending: Vec::new(),
            deliver: 0,
            timer: Box::pin(sleep_until(Instant::now() + HEAD_TIME)),
            timer_set: false,
            head_begun: false,
            write_timer: None,
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.shared.note_refusal(refused);
        self.pending.clear();
        self.stage = Stage::Refused { answer: super::answer::constant(refused), written: 0 };
    }

    fn set_timer(&mut self, span: Duration) {
        self.timer.as_mut().reset(Instant::now() + span);
        self.timer_set = true;
    }

    /// Takes a complete head out of what was read, if there is one.
    fn take_head(&mut self) {
        match end_of_head(&self.pending) {
            Ok(None) => {}
            Ok(Some(end)) if end > HEAD_LIMIT => self.refuse(Refused::TooLarge),
            Ok(Some(end)) => match inspect(&self.pending[..end], &self.hosts) {
                Ok(body) => {
                    self.deliver = end;
                    self.timer_set = false;
                    self.head_begun = false;
                    self.shared.begin_request();
                    self.stage = match body {
                        Body::Length(0) => Stage::Head,
                        Body::Length(length) => Stage::Body(length),
                        Body::Chunked => {
                            self.shared.end_after_this();
                            Stage::Open
                        }
                    };
                }
                Err(refused) => self.refuse(refused),
            },
            Err(refused) => self.refuse(refused),
        }
    }

    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.deliver.min(buf.remaining());
        buf.put_slice(&self.pending[..n]);
        self.pending.drain(..n);
        self.deliver -= n;
    }
}

impl AsyncRead for Front {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.deliver > 0 {
                this.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            match &mut this.stage {
                Stage::Refused { .. } => return Poll::Ready(Ok(())),
                Stage::Open if !this.shared.is_busy() => return Poll::Ready(Ok(())),
                Stage::Body(left) if !this.pending.is_empty() => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(this.pending.len());
                    *left -= n as u64;
                    this.deliver = n;
                    if *left == 0 {
                        this.stage = Stage::Head;
                    }
                    continue;
                }
                Stage::Open if !this.pending.is_empty() => {
                    this.deliver = this.pending.len();
                    continue;
                }
                Stage::Head if !this.shared.is_busy() => {
                    if !this.pending.is_empty() {
                        this.take_head();
                        if this.deliver > 0 || matches!(this.stage, Stage::Refused { .. }) {
                            continue;
                        }
                    }
                    let begun = !this.pending.is_empty();
                    if !this.timer_set || (begun && !this.head_begun) {
                        this.head_begun = begun;
                        let first = this.shared.is_new();
                        this.set_timer(if begun || first { HEAD_TIME } else { IDLE_TIME });
                    }
                    if this.timer.as_mut().poll(cx).is_ready() {
                        if begun {
                            this.refuse(Refused::TooSlow);
                            continue;
                        }
                        return Poll::Ready(Ok(()));
                    }
                }
                Stage::Head | Stage::Body(_) | Stage::Open => {}
            }
            if this.pending.len() > HEAD_LIMIT + 4096 {
                // Pipelined far ahead of the request at hand: wait until that is done.
                return Poll::Pending;
            }
            let mut chunk = [0_u8; 4096];
            match ready!(this.shared.poll_read(cx, &mut chunk))? {
                0 if this.shared.is_busy() => {
                    // The other side will send no more; whoever waits is told, the answer is still written.
                    this.shared.note_end();
                    if matches!(this.stage, Stage::Head) {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(()));
                }
                0 => return Poll::Ready(Ok(())),
                n => this.pending.extend_from_slice(&chunk[..n]),
            }
        }
    }
}

impl AsyncWrite for Front {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match this.shared.poll_write(cx, bytes) {
            Poll::Ready(result) => {
                this.write_timer = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                let timer = this.write_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_TIME)));
                match timer.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shared.end_request_if_answered() {
            // While the request was busy reading was answered with "not yet": nobody else would ask again.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = match &self.stage {
                Stage::Refused { answer, written } if *written < answer.len() => answer[*written..].to_vec(),
                _ => break,
            };
            let n = ready!(self.as_mut().poll_write(cx, &rest))?;
            if n == 0 {
                break;
            }
            if let Stage::Refused { written, .. } = &mut self.stage {
                *written += n;
            }
        }
        self.shared.shut_down();
        Poll::Ready(Ok(()))
    }
}

use std::future::Future as _;

#[cfg(test)]
mod tests {
    use super::*;

    fn look(head: &str) -> Result<Body, Refused> {
        let bytes = head.replace('|', "\r\n");
        match end_of_head(bytes.as_bytes())? {
            Some(end) => inspect(&bytes.as_bytes()[..end], &["127.0.0.1:6174".to_owned()]),
            None => panic!("not a whole head: {head:?}"),
        }
    }

    #[test]
    fn heads_that_pass() {
        for (head, body) in [
            ("GET / HTTP/1.1|Host: 127.0.0.1:6174||", Body::Length(0)),
            ("POST /v1/token HTTP/1.1|host: 127.0.0.1:6174|content-length: 12||", Body::Length(12)),
            ("POST /v1/token HTTP/1.1|host: 127.0.0.1:6174|Transfer-Encoding: Chunked||", Body::Chunked),
            ("GET http://127.0.0.1:6174/x HTTP/1.1|Host: 127.0.0.1:6174||", Body::Length(0)),
            ("GET / HTTP/1.1|Host: 127.0.0.1:6174|X-Forwarded-Host: evil||", Body::Length(0)),
        ] {
            assert_eq!(look(head), Ok(body), "{head}");
        }
    }

    #[test]
    fn heads_that_do_not() {
        use Refused::{Malformed, Origin, Prefetch, TooLarge, WrongHost};
        let good = "Host: 127.0.0.1:6174";
        for (head, why) in [
            ("GET / HTTP/1.1||".to_owned(), Malformed),
            ("GET / HTTP/1.1|Host: ||".to_owned(), Malformed),
            (format!("GET / HTTP/1.1|{good}|Host: evil||"), Malformed),
            (format!("GET / HTTP/1.1|Host: evil|{good}||"), Malformed),
            (format!("GET / HTTP/1.0|{good}||"), Malformed),
            ("GET / HTTP/1.1|Host: 127.0.0.1:6174 evil||".to_owned(), Malformed),
            ("GET / HTTP/1.1|Host: evil@127.0.0.1:6174||".to_owned(), Malformed),
            ("GET / HTTP/1.1|Host: 127.0.0.1:6174\n||".to_owned(), Malformed),
            ("GET / HTTP/1.1|Host: 127.0.0.1||".to_owned(), WrongHost),
            ("GET / HTTP/1.1|Host: 127.0.0.1:06174||".to_owned(), WrongHost),
            ("GET / HTTP/1.1|Host: 127.0.0.1:6174.||".to_owned(), WrongHost),
            ("GET / HTTP/1.1|Host: attacker.example:6174||".to_owned(), WrongHost),
            (format!("GET http://evil.example/ HTTP/1.1|{good}||"), Malformed),
            ("GET http://127.0.0.1:6174/ HTTP/1.1|Host: evil||".to_owned(), Malformed),
            (format!("OPTIONS * HTTP/1.1|{good}||"), Malformed),
            (format!("GET /x#y HTTP/1.1|{good}||"), Malformed),
            (format!("GET # HTTP/1.1|{good}||"), Malformed),
            (format!("GET /a<b HTTP/1.1|{good}||"), Malformed),
            (format!("GET /?\"x\" HTTP/1.1|{good}||"), Malformed),
            (format!("GET http://127.0.0.1:6174:80/ HTTP/1.1|{good}||"), Malformed),
            (format!("CONNECT 127.0.0.1:22 HTTP/1.1|{good}||"), Malformed),
            (format!("GET / HTTP/1.1|{good}|Origin: a|Origin: b||"), Malformed),
            (format!("GET / HTTP/1.1|{good}|Sec-Fetch-Site: same-origin, cross-site||"), Origin),
            (format!("GET / HTTP/1.1|{good}|Sec-Purpose: prefetch;prerender||"), Prefetch),
            (format!("POST / HTTP/1.1|{good}|Content-Length: 1|Content-Length: 1||"), Malformed),
            (format!("POST / HTTP/1.1|{good}|Content-Length: +1||"), Malformed),
            (format!("POST / HTTP/1.1|{good}|Content-Length: 99999999999999999999||"), TooLarge),
            (format!("POST / HTTP/1.1|{good}|Content-Length: 65537||"), TooLarge),
            (format!("POST / HTTP/1.1|{good}|Content-Length: 1|Transfer-Encoding: chunked||"), Malformed),
            (format!("POST / HTTP/1.1|{good}|Transfer-Encoding: chunked, identity||"), Malformed),
            (format!("POST / HTTP/1.1|{good}|X : y||"), Malformed),
            (format!("POST / HTTP/1.1|{good}| folded||"), Malformed),
            (format!("|GET / HTTP/1.1|{good}||"), Malformed),
        ] {
            assert_eq!(look(&head), Err(why), "{head}");
        }
    }
}
