//! The load generator: warm `POST /v1/token` over blocking sockets, one thread for each connection.
//!
//! A request is prepared once as bytes, an answer is read into one buffer. Over TCP the cookie of the first answer is
//! shown from then on, as a program with a cookie jar does it. Every answer must be a 200, or the run fails.

use crate::stats::Samples;
use std::{
    fmt,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Requests on each connection before anything is measured.
const WARM_UP: usize = 100;
const LIMIT: Duration = Duration::from_secs(20);

/// Where the server listens.
#[derive(Debug, Clone)]
pub enum Server {
    /// A Unix socket.
    Socket(PathBuf),
    /// `host:port` on loopback.
    Tcp(String),
}

impl Server {
    /// What it is called in a table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Socket(_) => "socket",
            Self::Tcp(_) => "TCP",
        }
    }
}

/// What is sent, where, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub server: Server,
    /// The resource asked for.
    pub resource: String,
    /// A new connection for every request.
    pub fresh: bool,
    /// How many connections at a time.
    pub parallel: usize,
    /// When to stop.
    pub until: Until,
}

/// When a load stops.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After this many requests on each connection.
    Count(usize),
}

/// What a load showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Microseconds from the first byte (or the connect) to the last byte of the answer.
    pub latency: Samples,
    /// Requests answered in a second, all connections together.
    pub rate: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, mean] = [self.latency.median(), self.latency.percentile(0.99), self.latency.mean()];
        write!(f, "p50 {p50:7.1} µs  p99 {p99:7.1} µs  mean {mean:7.1} µs  {:7.0} requests/s", self.rate)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server.word();
        let connection = if self.fresh { "fresh" } else { "kept" };
        write!(f, "{server:6} {connection:5} ×{}", self.parallel)
    }
}

impl Load {
    /// Runs it.
    ///
    /// # Panics
    /// When the server does not answer a request with 200.
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    pub fn run(&self) -> Outcome {
        let barrier = Barrier::new(self.parallel);
        let parts: Vec<(Vec<Duration>, Duration)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..self.parallel).map(|_| scope.spawn(|| self.work(&barrier))).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker")).collect()
        });
        let took = parts.iter().map(|(_, took)| *took).max().expect("a worker");
        let latency = Samples::micros(parts.into_iter().flat_map(|(times, _)| times));
        Outcome { rate: latency.count() as f64 / took.as_secs_f64(), latency }
    }

    fn work(&self, barrier: &Barrier) -> (Vec<Duration>, Duration) {
        let mut caller = Caller::new(&self.server, &self.resource).expect("a connection");
        for _ in 0..WARM_UP {
            caller.ask(self.fresh).expect("an answer");
        }
        let mut times = Vec::with_capacity(200_000);
        barrier.wait();
        let start = Instant::now();
        loop {
            let enough = match self.until {
                Until::Time(time) => start.elapsed() >= time,
                Until::Count(count) => times.len() >= count,
            };
            if enough {
                return (times, start.elapsed());
            }
            times.push(caller.ask(self.fresh).expect("an answer"));
        }
    }
}

/// One caller with its connection.
pub struct Caller {
    server: Server,
    request: Vec<u8>,
    stream: Stream,
    buffer: Vec<u8>,
    body_length: usize,
}

impl Caller {
    /// Connects and asks nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(server: &Server, resource: &str) -> io::Result<Self> {
        let request = message(server, &ask_for(resource), None);
        let stream = Stream::connect(server)?;
        Ok(Self { server: server.clone(), request, stream, buffer: vec![0; 64 * 1024], body_length: 0 })
    }

    /// Connects, asks once, and keeps the cookie that came over TCP.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn new(server: &Server, resource: &str) -> io::Result<Self> {
        let mut caller = Self::connect(server, resource)?;
        caller.ask(false)?;
        let head = String::from_utf8_lossy(&caller.buffer);
        let cookie = head.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap_or_default().to_owned())
        });
        caller.request = message(server, &ask_for(resource), cookie.as_deref());
        Ok(caller)
    }

    /// Length of the last answer's body.
    pub fn body_length(&self) -> usize {
        self.body_length
    }

    /// One request, on a new connection when `fresh`; how long it took. Closing the old connection is not counted.
    ///
    /// # Errors
    /// When there is no whole answer within 20 s, or it is not a 200.
    pub fn ask(&mut self, fresh: bool) -> io::Result<Duration> {
        let start = Instant::now();
        let old = if fresh { Some(std::mem::replace(&mut self.stream, Stream::connect(&self.server)?)) } else { None };
        self.stream.write_all(&self.request)?;
        self.read_answer()?;
        let took = start.elapsed();
        drop(old);
        Ok(took)
    }

    fn read_answer(&mut self) -> io::Result<()> {
        let (mut have, mut end) = (0, None);
        loop {
            let read = self.stream.read(&mut self.buffer[have..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            have += read;
            if end.is_none() {
                end = whole(&self.buffer[..have])?;
            }
            if let Some((end, body)) = end
                && have >= end
            {
                self.body_length = body;
                return Ok(());
            }
        }
    }
}

/// Length of the whole answer and of its body, once its head is there.
fn whole(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes[..head]);
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(format!("not a 200: {}", String::from_utf8_lossy(bytes))));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.map(|length| Some((head + 4 + length, length))).ok_or_else(|| io::Error::other("no content-length"))
}

fn ask_for(resource: &str) -> String {
    format!(r#"{{"resource":"{resource}"}}"#)
}

/// The bytes of `POST /v1/token` with this body.
pub fn message(server: &Server, body: &str, cookie: Option<&str>) -> Vec<u8> {
    let host = match server {
        Server::Socket(_) => "localhost",
        Server::Tcp(authority) => authority,
    };
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST /v1/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{cookie}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

enum Stream {
    Socket(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(server: &Server) -> io::Result<Self> {
        match server {
            Server::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LIMIT))?;
                Ok(Self::Socket(stream))
            }
            Server::Tcp(authority) => {
                let stream = TcpStream::connect(authority)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(LIMIT))?;
                Ok(Self::Tcp(stream))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
