//! The sign-in's own listener: `/start/{ticket}`, the redirect URI's path, `/done/{nonce}`, and nothing else.

use super::{Attempt, Outcome};
use crate::{
    agent::Agent,
    pages::{self, done_page},
    random,
    server::{Connection, Serving, read_cookie},
    store::lock,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    middleware::{self, Next},
    routing::get,
};
use broker::{Account, RedirectUri};
use oidc::CallbackError;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::AbortHandle};

/// How long the last page is kept.
pub(super) const DONE_TIME: Duration = Duration::from_secs(30);

/// Sockets bound for one redirect address.
pub(super) struct Listening {
    sockets: Vec<TcpListener>,
    uri: RedirectUri,
    port: u16,
    /// `http://HOST:PORT`.
    pub(super) origin: String,
    /// The redirect URI as sent to the issuer.
    pub(super) redirect_uri: String,
}

/// Binds the first redirect address that is free; for `localhost` both families.
pub(super) async fn bind(account: &Account) -> Result<Listening, (String, io::Error)> {
    let mut failed = (String::new(), io::Error::from(io::ErrorKind::NotFound));
    for round in 0..5 {
        for uri in &account.redirect_uris {
            match bind_one(uri).await {
                Ok((sockets, port)) => {
                    let origin = format!("http://{}:{port}", uri.host);
                    let redirect_uri = uri.with_port(port);
                    return Ok(Listening { sockets, uri: uri.clone(), port, origin, redirect_uri });
                }
                Err(error) => failed = (uri.with_port(uri.port.unwrap_or(0)), error),
            }
        }
        if failed.1.kind() != io::ErrorKind::AddrInUse {
            break;
        }
        // The listener of a sign-in that was just given up may still be closing.
        tokio::time::sleep(Duration::from_millis(50 * (round + 1))).await;
    }
    Err(failed)
}

async fn bind_one(uri: &RedirectUri) -> io::Result<(Vec<TcpListener>, u16)> {
    let v4 = SocketAddr::from(([127, 0, 0, 1], uri.port.unwrap_or(0)));
    let v6 = |port: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    match uri.host.as_str() {
        "127.0.0.1" => one(v4).await,
        "[::1]" => one(v6(uri.port.unwrap_or(0))).await,
        _ => both(v4, v6, uri.port.is_none()).await,
    }
}

async fn one(address: SocketAddr) -> io::Result<(Vec<TcpListener>, u16)> {
    let socket = TcpListener::bind(address).await?;
    let port = socket.local_addr()?.port();
    Ok((vec![socket], port))
}

/// Both families on one port; one the kernel lacks is skipped, a busy one is refused (somebody else could sit there).
async fn both(v4: SocketAddr, v6: impl Fn(u16) -> SocketAddr, any_port: bool) -> io::Result<(Vec<TcpListener>, u16)> {
    for _ in 0..8 {
        let (mut sockets, port) = match one(v4).await {
            Ok(bound) => bound,
            Err(error) if lacking(&error) => return one(v6(v4.port())).await,
            Err(error) => return Err(error),
        };
        match TcpListener::bind(v6(port)).await {
            Ok(socket) => {
                sockets.push(socket);
                return Ok((sockets, port));
            }
            Err(error) if lacking(&error) => return Ok((sockets, port)),
            Err(error) if any_port && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn lacking(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[derive(Clone)]
struct Scene {
    agent: Arc<Agent>,
    attempt: Arc<Attempt>,
    origin: Arc<str>,
    cookie_name: Arc<str>,
    cookie_path: Arc<str>,
}

impl Listening {
    /// Serves until the returned tasks are aborted.
    pub(super) fn serve(self, agent: &Arc<Agent>, attempt: &Arc<Attempt>) -> Vec<AbortHandle> {
        let scene = Scene {
            agent: Arc::clone(agent),
            attempt: Arc::clone(attempt),
            origin: self.origin.as_str().into(),
            cookie_name: format!("daypass_signin_{}", &attempt.id[..8]).into(),
            cookie_path: self.uri.path.as_str().into(),
        };
        // A redirect path may hold characters the router would read as a pattern, so it is compared as it is.
        let callback_path: Arc<str> = self.uri.path.as_str().into();
        let router = Router::new()
            .route("/start/{ticket}", get(start))
            .route("/done/{nonce}", get(done))
            .fallback(nothing)
            .method_not_allowed_fallback(wrong_method)
            .with_state(scene.clone())
            .layer(middleware::from_fn(move |request: axum::extract::Request, next: Next| {
                let (scene, callback_path) = (scene.clone(), Arc::clone(&callback_path));
                async move {
                    if request.uri().path() != &*callback_path {
                        if request.method() == axum::http::Method::HEAD {
                            return wrong_method().await;
                        }
                        return next.run(request).await;
                    }
                    if request.method() != axum::http::Method::GET {
                        return wrong_method().await;
                    }
                    if !crate::server::is_document(request.headers()) {
                        return pages::plain(StatusCode::FORBIDDEN);
                    }
                    let raw = request.uri().query().unwrap_or_default().to_owned();
                    callback(&scene, request.headers(), &raw).await
                }
            }));
        let serving = Serving::new(Arc::clone(agent), router, vec![format!("{}:{}", self.uri.host, self.port)]);
        self.sockets.into_iter().map(|socket| tokio::spawn(serving.clone().tcp(socket)).abort_handle()).collect()
    }
}

/// `/start/{ticket}`: sets the cookie that binds this browser, and sends it on to the issuer.
async fn start(
    State(scene): State<Scene>,
    Path(ticket): Path<String>,
    Extension(_): Extension<Connection>,
    headers: HeaderMap,
) -> Response<Body> {
    // The ticket is the capability; our own page links here from another port, which browsers call another site. A page
    // that frames or fetches it gets nothing.
    let by_person = crate::server::is_document(&headers) && !headers.contains_key(header::ORIGIN);
    let fits = |known: &mut Option<String>| by_person && known.as_deref() == Some(ticket.as_str());
    let address = {
        let mut known = lock(&scene.attempt.ticket);
        if fits(&mut known) && scene.attempt.is_pending() {
            *known = None;
            lock(&scene.attempt.pending).as_ref().map(|p| p.authorization_address().to_owned())
        } else {
            None
        }
    };
    let Some(address) = address.and_then(|a| HeaderValue::from_str(&a).ok()) else {
        return pages::start_again();
    };
    let value = random::capability(scene.agent.entropy.as_ref());
    *lock(&scene.attempt.cookie) = Some(random::hash(&value));
    let cookie =
        format!("{}={value}; HttpOnly; SameSite=Lax; Path={}; Max-Age=600", scene.cookie_name, scene.cookie_path);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, address);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The redirect URI: consumes one answer, from the browser that started, and moves on to a clean address.
async fn callback(scene: &Scene, headers: &HeaderMap, raw: &str) -> Response<Body> {
    let attempt = &scene.attempt;
    let same_browser = match read_cookie(headers, &scene.cookie_name) {
        Ok(Some(value)) => lock(&attempt.cookie).as_deref() == Some(random::hash(&value).as_str()),
        Ok(None) | Err(()) => false,
    };
    if !same_browser {
        return pages::not_this_browser();
    }
    let again = lock(&attempt.consumed).as_deref() == Some(random::hash(raw).as_str());
    if again {
        return same_end(scene).await;
    }
    let (pending, code) = {
        let mut slot = lock(&attempt.pending);
        let Some(checked) = slot.as_ref().map(|pending| pending.check_callback(raw)) else {
            drop(slot);
            return pages::already_answered();
        };
        match checked {
            Ok(code) => {
                *lock(&attempt.consumed) = Some(random::hash(raw));
                (slot.take(), Ok(code))
            }
            Err(CallbackError::NotOurs(why)) => {
                tracing::warn!(why, "an answer that belongs to no sign-in was ignored");
                return pages::not_ours();
            }
            Err(CallbackError::Failed(error)) => {
                slot.take();
                (None, Err(error))
            }
        }
    };
    let nonce = random::capability(scene.agent.entropy.as_ref());
    *lock(&attempt.done) = Some(nonce.clone());
    match (pending, code) {
        (Some(pending), Ok(code)) => scene.agent.finish_sign_in(attempt, pending, code).await,
        (_, Err(error)) => attempt.fail(&super::refusal_of(&error, &attempt.account, None)),
        (None, Ok(_)) => return pages::already_answered(),
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/done/{nonce}", scene.origin)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    // The binding has done its work.
    let clear = format!("{}=; HttpOnly; SameSite=Lax; Path={}; Max-Age=0", scene.cookie_name, scene.cookie_path);
    if let Ok(cookie) = HeaderValue::from_str(&clear) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The same answer came twice: both loads end on the same page.
async fn same_end(scene: &Scene) -> Response<Body> {
    let mut outcome = scene.attempt.outcome.subscribe();
    let ended = outcome.wait_for(|o| !matches!(o, Outcome::Pending));
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await.is_ok_and(|end| end.is_ok());
    let nonce = lock(&scene.attempt.done).clone();
    match nonce.and_then(|nonce| HeaderValue::from_str(&format!("{}/done/{nonce}", scene.origin)).ok()) {
        Some(location) if ended => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        _ => pages::already_answered(),
    }
}

/// `/done/{nonce}`: how it went, self-contained.
async fn done(State(scene): State<Scene>, Path(nonce): Path<String>, RawQuery(_): RawQuery) -> Response<Body> {
    if lock(&scene.attempt.done).as_deref() != Some(nonce.as_str()) {
        return nothing().await;
    }
    let outcome: Outcome = scene.attempt.outcome.borrow().clone();
    done_page(&scene.agent, &scene.attempt.account, &outcome)
}

async fn nothing() -> Response<Body> {
    pages::plain(StatusCode::NOT_FOUND)
}

async fn wrong_method() -> Response<Body> {
    pages::plain(StatusCode::METHOD_NOT_ALLOWED)
}
