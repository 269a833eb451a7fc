//! The connection to the agent: found, checked by `platform`, and never waited for without an end.
//!
//! Invariant: no exchange outlives its limit, and an agent that hangs is noticed within two seconds however long the
//! answer itself may take: after a second of silence a second connection asks whether the agent is alive. In the usual
//! case, where the answer is there at once, that costs nothing.

use crate::{exit::Failure, start};
use localapi::{
    ExitCode,
    client::{Client, ClientError},
};
use platform::paths::{ConnectError, Paths, connect_agent};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::RefCell,
    fmt::Write as _,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    rc::Rc,
    time::{Duration, Instant},
};

/// Longest wait for a connection, and for sending a question; `connect_agent` sets both.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Silence after which the agent is asked whether it is alive.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// The same, once it has shown to be alive.
const NEXT_LOOK: Duration = Duration::from_secs(5);
/// How long it may take to say so.
const LOOK_LIMIT: Duration = Duration::from_millis(900);
/// Most bytes of a name that goes into a path.
const NAME_LIMIT: usize = 512;

/// What a second connection asks during a long wait; no answer at all means that the agent is not alive.
pub(crate) type Look = Box<dyn FnMut(&mut Prober) -> Result<(), ClientError>>;
/// A short-lived connection of its own.
pub(crate) type Prober = Client<Bounded>;

/// Where the agent is to be found.
#[derive(Clone)]
pub(crate) struct Door {
    paths: Paths,
}

impl Door {
    /// The user's own places, from the environment.
    pub(crate) fn find() -> Result<Self, Failure> {
        Paths::from_environment()
            .map(|paths| Self { paths })
            .map_err(|error| Failure::told(ExitCode::AgentUnreachable, &error.to_string()))
    }

    /// The paths themselves.
    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// A checked stream to the running agent; `None` if none runs.
    pub(crate) fn knock(&self) -> Result<Option<UnixStream>, Failure> {
        match connect_agent(&self.paths, CONNECT_LIMIT) {
            Ok(stream) => Ok(Some(stream)),
            Err(ConnectError::NotRunning) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    /// A connection to the running agent; none is started.
    pub(crate) fn running(&self) -> Result<Connection, Failure> {
        let stream = self.knock()?.ok_or_else(Failure::no_agent)?;
        Ok(Connection::over(stream, self))
    }

    /// A connection to the agent, which is started if none runs.
    pub(crate) fn connect(&self) -> Result<Connection, Failure> {
        if let Some(stream) = self.knock()? {
            return Ok(Connection::over(stream, self));
        }
        let started = start::start();
        match (self.knock()?, started) {
            // Whoever started it: one runs now.
            (Some(stream), _) => Ok(Connection::over(stream, self)),
            (None, Err(failure)) => Err(failure),
            (None, Ok(())) => {
                Err(Failure::unreachable("the agent started and went away again").hint("see why: daypass agent"))
            }
        }
    }

    /// A connection that ends itself soon.
    fn probe(&self) -> io::Result<Prober> {
        let stream = connect_agent(&self.paths, LOOK_LIMIT).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        Ok(Client::new(Bounded { stream, until: Instant::now() + LOOK_LIMIT }))
    }
}

fn refused(error: &ConnectError) -> Failure {
    let failure = Failure::told(ExitCode::AgentUnreachable, &error.to_string());
    match error {
        ConnectError::Io(_) => failure.hint("restart the agent: daypass agent stop"),
        ConnectError::NotRunning | ConnectError::Foreign(_) => failure,
    }
}

/// A stream whose reads end at one moment, however the bytes drip.
pub(crate) struct Bounded {
    stream: UnixStream,
    until: Instant,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How long the exchange at hand may still take, and what is done meanwhile.
struct Patience {
    until: Instant,
    next_look: Instant,
    look: Option<Look>,
}

/// A stream that asks over a second connection whether the agent is alive while the first is silent.
struct Patient {
    stream: UnixStream,
    door: Door,
    patience: Rc<RefCell<Patience>>,
}

impl Patient {
    fn look(&self, patience: &mut Patience) -> io::Result<()> {
        let mut prober = self.door.probe()?;
        let seen = match &mut patience.look {
            Some(look) => look(&mut prober),
            None => prober.get::<()>("/healthz"),
        };
        match seen {
            // Whoever answers is alive, whatever the answer.
            Ok(()) | Err(ClientError::Refused(_) | ClientError::Protocol(_)) => Ok(()),
            Err(ClientError::Io(_)) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut patience = self.patience.borrow_mut();
        loop {
            let now = Instant::now();
            if now >= patience.until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let slice = patience.until.min(patience.next_look).saturating_duration_since(now);
            if slice.is_zero() {
                self.look(&mut patience)?;
                patience.next_look = Instant::now() + NEXT_LOOK;
                continue;
            }
            self.stream.set_read_timeout(Some(slice.max(Duration::from_millis(1))))?;
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                done => return done,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A connection for one exchange after the other.
pub(crate) struct Connection {
    client: Client<Patient>,
    patience: Rc<RefCell<Patience>>,
}

impl Connection {
    fn over(stream: UnixStream, door: &Door) -> Self {
        let now = Instant::now();
        let patience = Rc::new(RefCell::new(Patience { until: now, next_look: now, look: None }));
        let patient = Patient { stream, door: door.clone(), patience: Rc::clone(&patience) };
        Self { client: Client::new(patient), patience }
    }

    fn expect(&self, limit: Duration) {
        let mut patience = self.patience.borrow_mut();
        let now = Instant::now();
        (patience.until, patience.next_look) = (now + limit, now + FIRST_LOOK);
    }

    /// What long waits ask meanwhile, instead of only whether the agent is alive.
    pub(crate) fn meanwhile(&self, look: Look) {
        self.patience.borrow_mut().look = Some(look);
    }

    /// `GET path`, answered within `limit`.
    pub(crate) fn get<A: DeserializeOwned>(&mut self, path: &str, limit: Duration) -> Result<A, Failure> {
        self.expect(limit);
        Ok(self.client.get(path)?)
    }

    /// `POST path`, answered within `limit`.
    pub(crate) fn post<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Q,
        limit: Duration,
    ) -> Result<A, Failure> {
        self.expect(limit);
        Ok(self.client.post(path, body)?)
    }

    /// `DELETE path`, answered within `limit`.
    pub(crate) fn delete<A: DeserializeOwned>(&mut self, path: &str, limit: Duration) -> Result<A, Failure> {
        self.expect(limit);
        Ok(self.client.delete(path)?)
    }
}

/// `name` as one segment of a path (RFC 3986 §2.1).
pub(crate) fn segment(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.len() > NAME_LIMIT || name == "." || name == ".." {
        return Err(Failure::usage("this is no name").hint("names have 1 to 512 bytes; listings show them"));
    }
    Ok(encode(name))
}

/// Percent-encodes everything but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_segment() {
        assert_eq!(segment("corp-1.a_b~").unwrap(), "corp-1.a_b~");
        assert_eq!(segment("a/../b c?é%").unwrap(), "a%2F..%2Fb%20c%3F%C3%A9%25");
        for name in ["", ".", "..", &"x".repeat(513)] {
            assert_eq!(segment(name).unwrap_err().status, 2);
        }
    }
}
