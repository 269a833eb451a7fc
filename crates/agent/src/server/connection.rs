//! One connection: its stream, what it is doing, and who is on the other end.

use super::front::Refused;
use crate::{agent::Agent, store::lock};
use broker::{Peer, Refusal};
use platform::peer::LookupError;
use std::{
    io,
    net::SocketAddr,
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    net::{TcpStream, UnixStream},
    sync::Notify,
};

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The user socket.
    Socket,
    /// Loopback TCP.
    Tcp {
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
}

pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

const NEW: u8 = 0;
const BUSY: u8 = 1;
const ANSWERED: u8 = 2;
const IDLE: u8 = 3;

/// What the front layer and the handlers share about a connection.
pub(crate) struct Shared {
    stream: Stream,
    state: AtomicU8,
    ended: AtomicBool,
    end: Notify,
    refused: Mutex<Option<Refused>>,
    pub(crate) opened: std::time::Instant,
}

impl Shared {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            state: AtomicU8::new(NEW),
            ended: AtomicBool::new(false),
            end: Notify::new(),
            refused: Mutex::new(None),
            opened: std::time::Instant::now(),
        }
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, chunk: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let result = match &self.stream {
                Stream::Unix(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_read(chunk)
                }
                Stream::Tcp(stream) => {
                    ready!(stream.poll_read_ready(cx))?;
                    stream.try_read(chunk)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let result = match &self.stream {
                Stream::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_write(bytes)
                }
                Stream::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_write(bytes)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }

    /// Ends our side; what the other side still sends is drained by the accept loop.
    pub(crate) fn shut_down(&self) {
        let how = rustix::net::Shutdown::Write;
        // The other side may be gone already.
        let _ = match &self.stream {
            Stream::Unix(stream) => rustix::net::shutdown(stream.as_fd(), how),
            Stream::Tcp(stream) => rustix::net::shutdown(stream.as_fd(), how),
        };
    }

    /// Reads and drops what is still coming, so that closing does not cut our answer off; bounded.
    pub(crate) async fn drain(&self) {
        let mut chunk = [0_u8; 4096];
        for _ in 0..64 {
            let read = std::future::poll_fn(|cx| self.poll_read(cx, &mut chunk));
            match tokio::time::timeout(std::time::Duration::from_millis(500), read).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => return,
            }
        }
    }

    pub(crate) fn begin_request(&self) {
        self.state.store(BUSY, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) {
        self.state.store(ANSWERED, Ordering::Relaxed);
    }

    pub(crate) fn end_request_if_answered(&self) {
        let _ = self.state.compare_exchange(ANSWERED, IDLE, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), BUSY | ANSWERED)
    }

    pub(crate) fn is_new(&self) -> bool {
        self.state.load(Ordering::Relaxed) == NEW
    }

    pub(crate) fn note_end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.end.notify_waiters();
    }

    pub(crate) fn note_refusal(&self, refused: Refused) {
        *lock(&self.refused) = Some(refused);
    }

    pub(crate) fn refusal(&self) -> Option<Refused> {
        *lock(&self.refused)
    }
}

/// A connection, as handlers see it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    side: Side,
    peer: Arc<Mutex<Option<Peer>>>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, side: Side) -> Self {
        Self { shared, side, peer: Arc::default() }
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// Waits until the other side sends no more.
    pub(crate) async fn hung_up(&self) {
        let notified = self.shared.end.notified();
        if self.shared.ended.load(Ordering::Relaxed) {
            return;
        }
        notified.await;
    }

    /// Who is on the other end; looked up once a connection, checked again on each later request.
    ///
    /// # Errors
    /// [`Refusal::PeerUnidentified`] when not even the process can be told.
    pub(crate) async fn peer(&self, agent: &Arc<Agent>) -> Result<Peer, Refusal> {
        let known = lock(&self.peer).clone();
        if let Some(peer) = known {
            if self.still_same(agent, &peer).await {
                return Ok(peer);
            }
            *lock(&self.peer) = None;
        }
        let peer = self.look_up(agent).await.map_err(|error| {
            tracing::debug!(%error, "the peer is not identified");
            Refusal::PeerUnidentified
        })?;
        *lock(&self.peer) = Some(peer.clone());
        Ok(peer)
    }

    async fn look_up(&self, agent: &Arc<Agent>) -> Result<Peer, LookupError> {
        let (lookup, shared, side) = (Arc::clone(&agent.lookup), Arc::clone(&self.shared), self.side);
        blocking(move || match (side, &shared.stream) {
            (Side::Tcp { local, remote }, _) => lookup.tcp(local, remote),
            (Side::Socket, Stream::Unix(stream)) => lookup.unix(stream.as_fd()),
            (Side::Socket, Stream::Tcp(_)) => Err(LookupError::Unknown("a TCP stream on the socket".to_owned())),
        })
        .await
        .unwrap_or_else(|| Err(LookupError::Unknown("the lookup ended unexpectedly".to_owned())))
    }

    /// Whether the peer is still the same process running the same program, and still the one on this connection.
    pub(crate) async fn still_same(&self, agent: &Arc<Agent>, peer: &Peer) -> bool {
        let (lookup, side, peer) = (Arc::clone(&agent.lookup), self.side, peer.clone());
        blocking(move || match side {
            Side::Socket => lookup.recheck(&peer),
            Side::Tcp { local, remote } => lookup.recheck_tcp(&peer, local, remote),
        })
        .await
        .unwrap_or(false)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
