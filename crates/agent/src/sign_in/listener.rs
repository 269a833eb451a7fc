//! The sign-in's own listener: `/start/{ticket}`, the redirect URI's path, `/done/{nonce}`, and nothing else.
//!
//! Invariant: an answer is consumed once, and every load of it leads to the same place; a browser that hangs up loses
//! neither the ticket nor what follows from its answer.

use super::{After, Attempt, Outcome, Wish, finishing::Finished};
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
use broker::{Account, ExposeSecret, RedirectUri};
use oidc::{AuthorizationRequest, CallbackError, OidcError};
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

/// How long the last page is kept.
pub(super) const DONE_TIME: Duration = Duration::from_secs(30);
/// How long the step that begins another sign-in stands after one that failed.
pub(super) const AGAIN_TIME: Duration = Duration::from_mins(5);

/// How long a load of an answer waits for what follows from it.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);
/// The most cookies of one browser that are remembered: rounds and repeated starts.
const MOST_COOKIES: usize = 8;

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
    send_off(&scene, ticket, &headers).await
}

async fn send_off(scene: &Scene, ticket: String, headers: &HeaderMap) -> Response<Body> {
    // The ticket is the capability; our own page links here from another port, which browsers call another site. A page
    // that frames or fetches it gets nothing.
    let by_person = crate::server::is_document(headers) && !headers.contains_key(header::ORIGIN);
    let fits = |known: &mut Option<String>| by_person && known.as_deref() == Some(ticket.as_str());
    let failed = matches!(*scene.attempt.outcome.borrow(), Outcome::Failed(_));
    if failed && lock(&scene.attempt.again).take_if(|again| by_person && *again == ticket).is_some() {
        return another(scene).await;
    }
    let request = {
        let mut known = lock(&scene.attempt.ticket);
        if fits(&mut known) && scene.attempt.is_pending() {
            *known = None;
            lock(&scene.attempt.pending).as_ref().map(oidc::Pending::request)
        } else {
            None
        }
    };
    let Some(request) = request else { return pages::start_again() };
    let mut used = Used { attempt: &scene.attempt, ticket: Some(ticket) };
    let mut response = on_to_issuer(scene, request).await;
    let value = random::capability(scene.agent.entropy.as_ref());
    {
        let mut cookies = lock(&scene.attempt.cookies);
        cookies.push(random::hash(&value));
        let surplus = cookies.len().saturating_sub(MOST_COOKIES);
        cookies.drain(..surplus);
    }
    let cookie =
        format!("{}={value}; HttpOnly; SameSite=Lax; Path={}; Max-Age=600", scene.cookie_name, scene.cookie_path);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    used.ticket = None;
    response
}

/// A ticket in use: it counts again when whoever showed it hangs up before the answer is ready.
struct Used<'a> {
    attempt: &'a Attempt,
    ticket: Option<String>,
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && self.attempt.is_pending()
        {
            lock(&self.attempt.ticket).get_or_insert(ticket);
        }
    }
}

/// Sends the browser on to the issuer, as often as it takes; when that cannot be, to the last page.
async fn on_to_issuer(scene: &Scene, mut request: AuthorizationRequest) -> Response<Body> {
    let (agent, attempt) = (&scene.agent, &scene.attempt);
    loop {
        let error = match agent.oidc.authorization_address(&request).await {
            Ok(address) => match HeaderValue::from_str(address.expose_secret()) {
                Ok(address) => return see_other(address),
                Err(_) => OidcError::BadMetadata("the authorization endpoint is no address".to_owned()),
            },
            Err(error) => error,
        };
        let next = match attempt.next_round(&error) {
            Some(round) => agent.another_round(attempt, round).await,
            None => Err(error),
        };
        match next {
            Ok(another) => request = another,
            Err(error) => {
                promise_page(scene);
                agent.failed(attempt, &error);
                return to_last_page(scene);
            }
        }
    }
}

/// Begins another sign-in to the same account, and sends the browser there.
async fn another(scene: &Scene) -> Response<Body> {
    let attempt = &scene.attempt;
    let wish = Wish { requirement: attempt.ask.requirement.clone(), ..Wish::default() };
    let account = scene.agent.rules().accounts.get(&attempt.account.name).cloned();
    let Some(account) = account else { return pages::start_again() };
    match scene.agent.begin_sign_in(&account, wish).await {
        Ok(begun) => match begun.address.and_then(|address| HeaderValue::from_str(&address).ok()) {
            Some(address) => see_other(address),
            None => pages::start_again(),
        },
        Err(error) => pages::not_begun(&error),
    }
}

fn see_other(location: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// From here on the end of the sign-in has a page: the listener stays for it.
fn promise_page(scene: &Scene) {
    let [nonce, again] = [(); 2].map(|()| random::capability(scene.agent.entropy.as_ref()));
    *lock(&scene.attempt.again) = Some(again);
    *lock(&scene.attempt.done) = Some((nonce, Instant::now()));
}

/// Moves on to the page that says how it went.
fn to_last_page(scene: &Scene) -> Response<Body> {
    let nonce = lock(&scene.attempt.done).as_ref().map(|(nonce, _)| nonce.clone());
    match nonce.and_then(|nonce| HeaderValue::from_str(&format!("{}/done/{nonce}", scene.origin)).ok()) {
        Some(location) => see_other(location),
        None => pages::already_answered(),
    }
}

/// The redirect URI: consumes one answer, from the browser that started, and moves on to a clean address.
async fn callback(scene: &Scene, headers: &HeaderMap, raw: &str) -> Response<Body> {
    let same_browser = match read_cookie(headers, &scene.cookie_name) {
        Ok(Some(value)) => lock(&scene.attempt.cookies).contains(&random::hash(&value)),
        Ok(None) | Err(()) => false,
    };
    if !same_browser {
        return pages::not_this_browser();
    }
    match consume(scene, raw) {
        Ok(after) => go_on(scene, after).await,
        Err(page) => *page,
    }
}

/// Takes an answer, once, and begins what follows from it: in a task of its own, so that a browser that hangs up or loads
/// it twice changes nothing.
fn consume(scene: &Scene, raw: &str) -> Result<watch::Receiver<After>, Box<Response<Body>>> {
    let attempt = &scene.attempt;
    let print = random::hash(raw);
    let mut answered = lock(&attempt.answered);
    if let Some(after) = answered.get(&print) {
        return Ok(after.clone());
    }
    let answer = {
        let mut slot = lock(&attempt.pending);
        let Some(checked) = slot.as_ref().map(|pending| pending.check_callback(raw)) else {
            drop(slot);
            return Err(Box::new(pages::already_answered()));
        };
        match checked {
            Ok(code) => slot.take().map(|pending| (pending, code)).ok_or(OidcError::Expired),
            Err(CallbackError::NotOurs(why)) => {
                tracing::warn!(why, "an answer that belongs to no sign-in was ignored");
                return Err(Box::new(pages::not_ours()));
            }
            Err(CallbackError::Failed(error)) => {
                slot.take();
                Err(error)
            }
        }
    };
    let (tell, after) = watch::channel(After::Undecided);
    answered.insert(print, after.clone());
    drop(answered);
    promise_page(scene);
    let scene = scene.clone();
    tokio::spawn(async move {
        let next = follow_up(&scene, answer).await;
        if let Some((_, since)) = lock(&scene.attempt.done).as_mut() {
            *since = Instant::now();
        }
        tell.send_replace(next);
    });
    Ok(after)
}

/// What follows from an answer.
async fn follow_up(scene: &Scene, answer: Result<(oidc::Pending, oidc::Code), OidcError>) -> After {
    let (agent, attempt) = (&scene.agent, &scene.attempt);
    let next = match answer {
        Ok((pending, code)) => agent.finish_sign_in(attempt, pending, code).await,
        Err(error) => attempt.next_round(&error).map_or_else(
            || {
                agent.failed(attempt, &error);
                Finished::Ended
            },
            Finished::Again,
        ),
    };
    let Finished::Again(round) = next else { return After::End };
    match agent.another_round(attempt, round).await {
        Ok(_) => After::Start,
        Err(error) => {
            promise_page(scene);
            agent.failed(attempt, &error);
            After::End
        }
    }
}

/// Where an answer leads, whichever load of it this is.
async fn go_on(scene: &Scene, mut after: watch::Receiver<After>) -> Response<Body> {
    let decided = after.wait_for(|after| *after != After::Undecided);
    let after = tokio::time::timeout(ANSWERED_WITHIN, decided).await.map(|after| after.map_or(After::End, |a| *a));
    match after {
        Err(_) => return pages::already_answered(),
        // The same tab and the same cookie: the person sees nothing of the round before.
        Ok(After::Start) => {
            if let Some(address) = start_address(scene) {
                return see_other(address);
            }
            // That round has had its answer, too.
            let mut outcome = scene.attempt.outcome.subscribe();
            let ended = outcome.wait_for(|o| !matches!(o, Outcome::Pending));
            if !tokio::time::timeout(ANSWERED_WITHIN, ended).await.is_ok_and(|end| end.is_ok()) {
                return pages::already_answered();
            }
        }
        Ok(_) => {}
    }
    let mut response = to_last_page(scene);
    // The binding has done its work.
    let clear = format!("{}=; HttpOnly; SameSite=Lax; Path={}; Max-Age=0", scene.cookie_name, scene.cookie_path);
    if let Ok(cookie) = HeaderValue::from_str(&clear) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Our own one-time address that begins the round that waits; a new one once the former was used. Only the browser that
/// started gets here.
fn start_address(scene: &Scene) -> Option<HeaderValue> {
    let attempt = &scene.attempt;
    if !attempt.is_pending() || lock(&attempt.pending).is_none() {
        return None;
    }
    let fresh = || random::capability(scene.agent.entropy.as_ref());
    let ticket = lock(&attempt.ticket).get_or_insert_with(fresh).clone();
    HeaderValue::from_str(&format!("{}/start/{ticket}", scene.origin)).ok()
}

/// `/done/{nonce}`: how it went, self-contained.
async fn done(State(scene): State<Scene>, Path(nonce): Path<String>, RawQuery(_): RawQuery) -> Response<Body> {
    let fits = |(known, since): &(String, Instant)| *known == nonce && since.elapsed() < DONE_TIME;
    if !lock(&scene.attempt.done).as_ref().is_some_and(fits) {
        return nothing().await;
    }
    let outcome: Outcome = scene.attempt.outcome.borrow().clone();
    let again = lock(&scene.attempt.again).as_ref().map(|ticket| format!("/start/{ticket}"));
    done_page(&scene.agent, &scene.attempt.account, &outcome, again)
}

async fn nothing() -> Response<Body> {
    pages::plain(StatusCode::NOT_FOUND)
}

async fn wrong_method() -> Response<Body> {
    pages::plain(StatusCode::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests;
