//! The loopback broker's server: listeners, the front layer, the router.

pub(crate) mod answer;
mod connection;
mod first_party;
pub(crate) mod front;
mod guard;
mod router;
mod token;

pub(crate) use answer::{ApiError, body_of, code_of};
pub(crate) use connection::{Connection, Side};
pub(crate) use first_party::{account_status, grant_info, notices, stands};
pub(crate) use guard::{FormError, form, is_document, page_read, page_write, pairs, read_cookie};
pub(crate) use router::router;

use crate::{agent::Agent, store::lock};
use axum::{Router, body::Body, http::Request};
use connection::{Shared, Stream};
use front::Front;
use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::AbortHandle,
};
use tower::ServiceExt as _;

/// Most connections of one listener; beyond it the one that has waited longest without a request makes room.
const MOST_CONNECTIONS: usize = 256;

type Open = Arc<Mutex<HashMap<u64, (Arc<Shared>, AbortHandle)>>>;

/// Serves connections of one listener.
#[derive(Clone)]
pub(crate) struct Serving {
    agent: Arc<Agent>,
    router: Router,
    hosts: Arc<[String]>,
    open: Open,
    next: Arc<AtomicU64>,
}

impl Serving {
    /// `hosts` are the only values of Host that get an answer.
    pub(crate) fn new(agent: Arc<Agent>, router: Router, hosts: Vec<String>) -> Self {
        Self { agent, router, hosts: hosts.into(), open: Open::default(), next: Arc::default() }
    }

    /// Accepts on loopback TCP until aborted.
    pub(crate) async fn tcp(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.accept_tcp(stream, remote),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Accepts on the user socket until aborted.
    pub(crate) async fn unix(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.accept_unix(stream),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn accept_tcp(&self, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        // Answers are small; waiting for more to send only costs time.
        let _ = stream.set_nodelay(true);
        let serving = self.clone();
        self.track(Shared::new(Stream::Tcp(stream)), move |shared| async move {
            // The uid first: another user's connection is closed without a byte.
            let lookup = Arc::clone(&serving.agent.lookup);
            let uid = tokio::task::spawn_blocking(move || lookup.uid_of_tcp(local, remote)).await;
            match uid {
                Ok(Ok((uid, _))) if uid == serving.agent.uid => {
                    serving.serve(shared, Side::Tcp { local, remote }).await;
                }
                other => serving.turn_away(other.ok().and_then(Result::ok).map(|(uid, _)| uid)),
            }
        });
    }

    fn accept_unix(&self, stream: UnixStream) {
        let uid = self.agent.lookup.uid_of_unix(stream.as_fd()).map(|(uid, _)| uid);
        if uid.as_ref().ok() != Some(&self.agent.uid) {
            self.turn_away(uid.ok());
            return;
        }
        let serving = self.clone();
        self.track(Shared::new(Stream::Unix(stream)), move |shared| async move {
            serving.serve(shared, Side::Socket).await;
        });
    }

    fn turn_away(&self, uid: Option<u32>) {
        let who = uid.map_or_else(|| "unknown uid".to_owned(), |uid| format!("uid {uid}"));
        tracing::warn!(who, "a connection of another user was closed");
        self.agent.count_refusal("other_user", who);
    }

    fn track<F: Future<Output = ()> + Send + 'static>(&self, shared: Shared, work: impl FnOnce(Arc<Shared>) -> F) {
        let shared = Arc::new(shared);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut open = lock(&self.open);
            if open.len() >= MOST_CONNECTIONS {
                let waiting = open
                    .iter()
                    .filter(|(_, (s, _))| !s.is_busy())
                    .min_by_key(|(_, (s, _))| s.opened)
                    .map(|(id, _)| *id);
                match waiting.and_then(|id| open.remove(&id)) {
                    Some((_, task)) => task.abort(),
                    None => return,
                }
            }
        }
        let work = work(Arc::clone(&shared));
        let open = Arc::clone(&self.open);
        let task = tokio::spawn(async move {
            work.await;
            lock(&open).remove(&id);
        });
        if !task.is_finished() {
            lock(&self.open).insert(id, (shared, task.abort_handle()));
        }
    }

    async fn serve(&self, shared: Arc<Shared>, side: Side) {
        let connection = Connection::new(Arc::clone(&shared), side);
        let router = self.router.clone();
        let answering = Arc::clone(&shared);
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (router, connection, shared) = (router.clone(), connection.clone(), Arc::clone(&answering));
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(connection);
                let response = router.oneshot(request).await;
                shared.answered();
                response.map(answer::secure)
            }
        });
        let io = hyper_util::rt::TokioIo::new(Front::new(Arc::clone(&shared), Arc::clone(&self.hosts)));
        let served = hyper::server::conn::http1::Builder::new()
            .half_close(false)
            .max_buf_size(front::HEAD_LIMIT + 8192)
            .serve_connection(io, service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
        if let Some(refused) = shared.refusal() {
            self.agent.count_refusal(refused.code().as_str(), "before a handler".to_owned());
        }
        shared.shut_down();
        shared.drain().await;
    }
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

impl Agent {
    /// Counts a refusal before a handler; one audit line per reason, program and minute is written by the upkeep.
    pub(crate) fn count_refusal(&self, reason: &'static str, who: String) {
        let mut refusals = lock(&self.refusals);
        if refusals.len() < 1000 || refusals.contains_key(&(reason, who.clone())) {
            *refusals.entry((reason, who)).or_insert(0) += 1;
        }
    }
}
