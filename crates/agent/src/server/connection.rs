//! One connection: its stream, what it is doing, and who is on the other end.

use super::front::Refused;
use crate::{agent::Agent, store::lock, trip::shown};
use broker::{Peer, ProcessInstance, Program, Refusal};
use platform::peer::{Effort, LookupError, Sighting};
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
    sync::{Notify, Semaphore},
};

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The user socket, and the process that was on its other end when it was accepted.
    Socket {
        /// `None`: it was gone already.
        connected: Option<ProcessInstance>,
    },
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

/// Most looks that take their time at once, and how long one waits to begin.
const MOST_LOOKS: usize = 128;
const LONGEST_QUEUE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a look at who was refused may take.
const SHORT_LOOK: std::time::Duration = std::time::Duration::from_millis(100);

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
    last: AtomicBool,
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
            last: AtomicBool::new(false),
            refused: Mutex::default(),
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

    /// True when a request ended by this.
    pub(crate) fn end_request_if_answered(&self) -> bool {
        self.state.compare_exchange(ANSWERED, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The request at hand is the last one of this connection.
    pub(crate) fn end_after_this(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
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

    /// What the front layer refused; it ends the connection.
    pub(crate) fn refusal(&self) -> Option<Refused> {
        *lock(&self.refused)
    }
}

/// A connection, as handlers see it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    side: Side,
    seen: Arc<Mutex<Option<Sighting>>>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, side: Side) -> Self {
        Self { shared, side, seen: Arc::default() }
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
    pub(crate) async fn peer(&self, agent: &Arc<Agent>) -> Result<Arc<Peer>, Refusal> {
        let known = lock(&self.seen).clone();
        if let Some(sighting) = known {
            if self.is_same(agent, &sighting).await {
                return Ok(Arc::clone(sighting.peer()));
            }
            *lock(&self.seen) = None;
        }
        let mut sighting = self.look(agent).await.map_err(|error| {
            tracing::debug!(%error, "the peer is not identified");
            Refusal::PeerUnidentified
        })?;
        // Looking a package up takes a while: only where a rule asks for it, or a grant that an update may have left behind.
        let left_behind = |program: &Program| agent.store.has_grants_before(program);
        let is_asked_for = agent.snapshot().names_packages || sighting.peer().program.as_ref().is_some_and(left_behind);
        if is_asked_for && sighting.peer().package.is_none() {
            let mut peer = Peer::clone(sighting.peer());
            agent.fill_package(&mut peer).await;
            sighting.set_package(peer.package);
        }
        let peer = Arc::clone(sighting.peer());
        *lock(&self.seen) = Some(sighting);
        Ok(peer)
    }

    /// At once where the kernel can tell by itself; otherwise where a look may take its time.
    async fn look(&self, agent: &Arc<Agent>) -> Result<Sighting, LookupError> {
        if let (Side::Socket { connected }, Stream::Unix(stream)) = (self.side, &self.shared.stream) {
            let at_once = || agent.lookup.sight_unix(stream.as_fd(), connected, Effort::Quick).ok();
            if let Some(sighting) = agent.lookup.seen_unix(connected).or_else(at_once) {
                return Ok(sighting);
            }
        }
        let (lookup, shared, side) = (Arc::clone(&agent.lookup), Arc::clone(&self.shared), self.side);
        blocking(move || match (side, &shared.stream) {
            (Side::Tcp { local, remote }, _) => lookup.sight_tcp(local, remote),
            (Side::Socket { connected }, Stream::Unix(stream)) => {
                lookup.sight_unix(stream.as_fd(), connected, Effort::Full)
            }
            (Side::Socket { .. }, Stream::Tcp(_)) => Err(LookupError::Unknown("a TCP stream on the socket".to_owned())),
        })
        .await
        .unwrap_or_else(|| Err(LookupError::Unknown("the lookup ended unexpectedly".to_owned())))
    }

    /// Whether this peer, told by [`Self::peer`], is still the same process running the same program, and still the one
    /// on this connection.
    pub(crate) async fn still_same(&self, agent: &Arc<Agent>, peer: &Peer) -> bool {
        let known = lock(&self.seen).clone();
        match known {
            Some(sighting) if **sighting.peer() == *peer => self.is_same(agent, &sighting).await,
            _ => false,
        }
    }

    /// A cheap look first, a full one where that is not enough.
    async fn is_same(&self, agent: &Arc<Agent>, sighting: &Sighting) -> bool {
        if agent.lookup.is_unchanged(sighting) {
            return true;
        }
        let (lookup, sighting) = (Arc::clone(&agent.lookup), sighting.clone());
        let tcp = match self.side {
            Side::Socket { .. } => None,
            Side::Tcp { local, remote } => Some((local, remote)),
        };
        let again = match lookup.look_again(&sighting, tcp, Effort::Quick) {
            Some(again) => Some(again),
            None => blocking(move || lookup.look_again(&sighting, tcp, Effort::Full)).await.flatten(),
        };
        let same = again.is_some();
        if same {
            *lock(&self.seen) = again;
        }
        same
    }

    /// Who was or is on the other end, for a line in the log: what is known already, or a short look.
    pub(crate) async fn who(&self, agent: &Arc<Agent>) -> String {
        let known = lock(&self.seen).clone();
        let sighting = match known {
            Some(sighting) => Some(sighting),
            None => tokio::time::timeout(SHORT_LOOK, self.look(agent)).await.ok().and_then(Result::ok),
        };
        sighting.map_or_else(
            || "unidentified".to_owned(),
            |sighting| shown(sighting.peer().program.as_ref(), sighting.peer()),
        )
    }
}

impl Agent {
    /// Looks up which package owns the program's file, where that is not known yet.
    pub(crate) async fn fill_package(&self, peer: &mut Peer) {
        let Some(file) = peer.program.as_ref().map(|program| program.file().clone()) else { return };
        if peer.package.is_none() {
            if let Some(known) = self.lookup.package_cached(&file) {
                peer.package = known;
                return;
            }
            let lookup = Arc::clone(&self.lookup);
            peer.package = blocking(move || lookup.package_of(&file)).await.flatten();
        }
    }

    /// Whether one of these is still the same process running the same program, without a look at its connection.
    pub(crate) async fn any_alive(&self, peers: Vec<Peer>) -> bool {
        let lookup = Arc::clone(&self.lookup);
        blocking(move || peers.iter().any(|peer| lookup.recheck(peer))).await.unwrap_or(false)
    }
}

/// Where work may take its time. Looks that hang, as on a file system whose server is gone, leave room for everybody else's;
/// `None` when there is none left.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    static ROOM: Semaphore = Semaphore::const_new(MOST_LOOKS);
    let place = tokio::time::timeout(LONGEST_QUEUE, ROOM.acquire()).await.ok()?.ok()?;
    let work = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}
