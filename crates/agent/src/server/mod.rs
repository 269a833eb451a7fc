//! The loopback broker's server: listeners, the front layer, the router.

pub(crate) mod answer;
mod blocks;
mod connection;
mod discover;
mod first_party;
pub(crate) mod front;
mod guard;
mod router;
mod token;

pub(crate) use answer::{ApiError, body_of, code_invalid, code_of};
pub(crate) use connection::{Connection, Side};
pub(crate) use first_party::{account_status, grant_info, notices, stands};
pub(crate) use guard::{FormError, form, is_document, page_read, page_write, pairs, read_cookie};
pub(crate) use router::router;

use crate::{agent::Agent, store::lock};
use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Response, header},
};
use connection::{Shared, Stream};
use front::Front;
use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    os::fd::AsFd as _,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::AbortHandle,
};
use tower::ServiceExt as _;

/// Most connections of one listener; beyond it the one that has waited longest without a request makes room. Calls that
/// wait for an answer are bounded well below it (see [`crate::consents`]), so that the pages stay within reach.
const MOST_CONNECTIONS: usize = 512;

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
            // The uid first: another user's connection is closed without a byte. Whoever floods us waits for the kernel
            // where nobody else does.
            let lookup = Arc::clone(&serving.agent.lookup);
            let uid = tokio::task::spawn_blocking(move || lookup.uid_of_tcp(local, remote)).await;
            match uid {
                Ok(Ok((uid, _))) if uid == serving.agent.uid => {
                    serving.serve(shared, Side::Tcp { local, remote }).await;
                }
                Ok(Ok((uid, _))) => serving.turn_away(uid),
                // Gone before it was looked at, most likely.
                _ => tracing::debug!("a connection whose user cannot be told was closed"),
            }
        });
    }

    fn accept_unix(&self, stream: UnixStream) {
        let connected = match self.agent.lookup.uid_of_unix(stream.as_fd()) {
            // At once: whoever has this process number later is somebody else.
            Ok((uid, pid)) if uid == self.agent.uid => self.agent.lookup.connected(stream.as_fd(), pid),
            Ok((uid, _)) => return self.turn_away(uid),
            Err(error) => return tracing::debug!(%error, "a connection whose user cannot be told was closed"),
        };
        let serving = self.clone();
        self.track(Shared::new(Stream::Unix(stream)), move |shared| async move {
            serving.serve(shared, Side::Socket { connected }).await;
        });
    }

    fn turn_away(&self, uid: u32) {
        let who = format!("uid {uid}");
        tracing::warn!(who, "a connection of another user was closed");
        self.agent.count_refusal("other_user", who);
    }

    fn track<F: Future<Output = ()> + Send + 'static>(&self, shared: Shared, work: impl FnOnce(Arc<Shared>) -> F) {
        let shared = Arc::new(shared);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let work = work(Arc::clone(&shared));
        let mut open = lock(&self.open);
        let mut evicted = None;
        if open.len() >= MOST_CONNECTIONS {
            let waiting =
                open.iter().filter(|(_, (s, _))| !s.is_busy()).min_by_key(|(_, (s, _))| s.opened).map(|(id, _)| *id);
            evicted = waiting.and_then(|id| open.remove(&id));
            if evicted.is_none() {
                return;
            }
        }
        // However the work ends, a panic included, its entry goes; it waits for the lock held here, so the entry is there.
        let entry = Entry { open: Arc::clone(&self.open), id };
        let task = tokio::spawn(async move {
            let _entry = entry;
            work.await;
        });
        open.insert(id, (shared, task.abort_handle()));
        drop(open);
        if let Some((_, task)) = evicted {
            task.abort();
        }
    }

    async fn serve(&self, shared: Arc<Shared>, side: Side) {
        let connection = Connection::new(Arc::clone(&shared), side);
        let at_end = connection.clone();
        let router = self.router.clone();
        let served = drive(&shared, &self.hosts, move |mut request| {
            request.extensions_mut().insert(connection.clone());
            router.clone().oneshot(request)
        })
        .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
        if let Some(refused) = shared.refusal() {
            let agent = Arc::clone(&self.agent);
            tokio::spawn(async move {
                let who = at_end.who(&agent).await;
                agent.count_refusal(refused.code().as_str(), who);
            });
        }
        shared.shut_down();
        shared.drain().await;
    }
}

/// Speaks HTTP on a connection until it ends, behind the front layer.
async fn drive<H>(
    shared: &Arc<Shared>,
    hosts: &Arc<[String]>,
    handle: impl Fn(Request<Body>) -> H,
) -> Result<(), hyper::Error>
where
    H: Future<Output = Result<Response<Body>, Infallible>>,
{
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let shared = Arc::clone(shared);
        let last = shared.is_last();
        let answer = handle(request.map(Body::new));
        async move {
            let mut response = answer::secure(answer.await?);
            if last {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Answering { body, shared }))
        }
    });
    hyper::server::conn::http1::Builder::new()
        .half_close(false)
        .max_buf_size(front::HEAD_LIMIT + 8192)
        .serve_connection(hyper_util::rt::TokioIo::new(Front::new(Arc::clone(shared), Arc::clone(hosts))), service)
        .await
}

/// The place of a connection among the open ones.
struct Entry {
    open: Open,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

/// The body of an answer: its request counts as answered when the body has ended, not when it begins, so that neither an
/// idle time nor the next request cuts a long answer short.
struct Answering {
    body: Body,
    shared: Arc<Shared>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.shared.answered();
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
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

#[cfg(test)]
mod tests;
