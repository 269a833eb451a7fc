//! The agent's pages: who may see them, and what becomes of their forms.
//!
//! Invariants: without a page session every page answers one constant page; a page session is given only for a one-time
//! ticket and is bound to the executable that redeemed it; a form counts only with the one-time token of the page it
//! stood on, from our own origin, and (for an answer) no sooner than a second after the page was served.

mod blocks;
mod build;
mod handlers;
mod places;
pub(crate) mod views;

pub(crate) use handlers::router;
pub(crate) use views::span_in_words;

use crate::{
    agent::Agent,
    random,
    server::{ApiError, Connection},
    sign_in::Outcome,
    store::lock,
};
use askama::Template;
use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use broker::{Account, Peer, consent::Waiter};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};
use views::{CONSTANT_PAGE, DONE_STYLE, MessagePage, Tone};

const TICKET_LIFE: Duration = Duration::from_mins(2);
const SESSION_LIFE: Duration = Duration::from_hours(8);
const TOKEN_LIFE: Duration = Duration::from_mins(30);
/// An answer sooner than this after its page decides nothing.
const ARMING: Duration = Duration::from_secs(1);
const MOST: usize = 1000;

const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The policy of the sign-in's last page: one style, known by its hash, and nothing else.
static DONE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(DONE_STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
});

struct Ticket {
    path: String,
    /// Whether the desktop asked for it: its page is in a window of its own.
    window: bool,
    until: Instant,
}

struct PageSession {
    executable: String,
    window: bool,
    /// What the last form did, for the next page.
    said: Option<&'static str>,
    until: Instant,
}

/// A served page with a form on it.
#[derive(Clone)]
struct Served {
    session: String,
    purpose: String,
    digest: String,
    /// The calls it lists: `once` is for them.
    calls: BTreeSet<Waiter>,
    at: Instant,
}

/// Tickets, page sessions and served forms; in memory only, by hash.
#[derive(Default)]
pub(crate) struct Pages {
    tickets: Mutex<HashMap<String, Ticket>>,
    sessions: Mutex<HashMap<String, PageSession>>,
    served: Mutex<HashMap<String, Served>>,
}

/// A visitor with a page session.
pub(crate) struct Visitor {
    session: String,
    /// Whether this is a window of the desktop.
    window: bool,
    pub(crate) peer: Arc<Peer>,
}

fn executable_of(peer: &Peer) -> String {
    peer.program.as_ref().map_or_else(|| "unidentified".to_owned(), |p| p.executable().digest_hex())
}

fn insert_capped<V>(map: &mut HashMap<String, V>, key: String, value: V, until: impl Fn(&V) -> Instant) {
    let now = Instant::now();
    map.retain(|_, v| now < until(v));
    if map.len() >= MOST
        && let Some(oldest) = map.iter().min_by_key(|(_, v)| until(v)).map(|(k, _)| k.clone())
    {
        map.remove(&oldest);
    }
    map.insert(key, value);
}

impl Agent {
    fn page_cookie(&self) -> String {
        format!("daypass_page_{}", self.store.installation)
    }

    /// A one-time address that leads to `path` of ours.
    pub(crate) fn ticket_address(&self, path: &str) -> String {
        self.ticket_for(path, false)
    }

    /// A one-time address that leads to `path` of ours, in a window of the desktop or elsewhere.
    pub(crate) fn ticket_for(&self, path: &str, window: bool) -> String {
        let ticket = random::capability(self.entropy.as_ref());
        let kept = Ticket { path: path.to_owned(), window, until: Instant::now() + TICKET_LIFE };
        insert_capped(&mut lock(&self.pages.tickets), random::hash(&ticket), kept, |t| t.until);
        format!("{}/open/{ticket}", self.address)
    }

    /// Redeems a ticket: the path it leads to, the value of the new page session's cookie, and whether it is the desktop's.
    async fn redeem(self: &Arc<Self>, ticket: &str, connection: &Connection) -> Option<(String, String)> {
        // A redeemer whose process cannot be told gets nothing; only its executable may be unknown.
        let peer = connection.peer(self).await.ok()?;
        let hash = random::hash(ticket);
        let path = lock(&self.pages.tickets).get(&hash).filter(|t| Instant::now() < t.until).map(|t| t.path.clone())?;
        if !self.may_redeem(&path, &peer) {
            tracing::warn!(pid = peer.instance.pid, "the asking program tried to open its own question");
            self.log(crate::store::AuditEntry {
                event: "consent.refused",
                code: "consent_unavailable".to_owned(),
                program: Some(crate::trip::shown(peer.program.as_ref(), &peer)),
                via: Some("ticket".to_owned()),
                ..Default::default()
            });
            return None;
        }
        let window = lock(&self.pages.tickets).remove(&hash)?.window;
        let value = random::capability(self.entropy.as_ref());
        let session =
            PageSession { executable: executable_of(&peer), window, said: None, until: Instant::now() + SESSION_LIFE };
        insert_capped(&mut lock(&self.pages.sessions), random::hash(&value), session, |s| s.until);
        Some((path, value))
    }

    /// Who is visiting, if a page session says so.
    async fn visitor(self: &Arc<Self>, headers: &HeaderMap, connection: &Connection) -> Option<Visitor> {
        let value = crate::server::read_cookie(headers, &self.page_cookie()).ok()??;
        let session = random::hash(&value);
        let (executable, window) = {
            let sessions = lock(&self.pages.sessions);
            let found = sessions.get(&session).filter(|s| Instant::now() < s.until)?;
            (found.executable.clone(), found.window)
        };
        let peer = connection.peer(self).await.ok()?;
        if executable_of(&peer) != executable {
            tracing::warn!(pid = peer.instance.pid, "a page session was shown by another program: it is ended");
            lock(&self.pages.sessions).remove(&session);
            return None;
        }
        Some(Visitor { session, window, peer })
    }

    /// Leaves a sentence for the visitor's next page.
    fn say(&self, visitor: &Visitor, sentence: &'static str) {
        if let Some(session) = lock(&self.pages.sessions).get_mut(&visitor.session) {
            session.said = Some(sentence);
        }
    }

    /// The sentence that was left, once.
    fn said(&self, visitor: &Visitor) -> Option<String> {
        lock(&self.pages.sessions).get_mut(&visitor.session)?.said.take().map(str::to_owned)
    }

    /// A one-time token for a form on a page that is being served.
    fn serve_form(&self, visitor: &Visitor, purpose: &str, digest: &str, calls: BTreeSet<Waiter>) -> String {
        let token = random::capability(self.entropy.as_ref());
        let served = Served {
            session: visitor.session.clone(),
            purpose: purpose.to_owned(),
            digest: digest.to_owned(),
            calls,
            at: Instant::now(),
        };
        insert_capped(&mut lock(&self.pages.served), random::hash(&token), served, |s| s.at + TOKEN_LIFE);
        token
    }

    /// Takes the token of a form; it is spent whatever comes of it.
    fn take_form(&self, visitor: &Visitor, purpose: &str, token: &str) -> Option<Served> {
        let served = lock(&self.pages.served).remove(&random::hash(token))?;
        let fits = served.session == visitor.session && served.purpose == purpose && served.at.elapsed() < TOKEN_LIFE;
        fits.then_some(served)
    }
}

/// The part of an address that names a program: what people are shown of it, in base64url (RFC 4648 §5).
fn program_key(shown: &str) -> String {
    URL_SAFE_NO_PAD.encode(shown)
}

/// What people are shown of a program, from the part of an address; at most 2 KiB.
fn program_of_key(key: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(Some(key).filter(|key| key.len() <= 2732)?).ok()?;
    String::from_utf8(bytes).ok().filter(|shown| !shown.is_empty() && !shown.contains('\0'))
}

/// Whether this part of an address names a program.
pub(crate) fn is_program(key: &str) -> bool {
    program_of_key(key).is_some()
}

/// One part of a page's path. One that cannot be read leads where every unknown page leads.
struct Segment(String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Path::from_request_parts(parts, state).await.map(|Path(text)| Self(text)).map_err(|_| constant())
    }
}

/// A page of ours as an answer.
fn page(status: StatusCode, template: &impl Template, with_form: bool) -> Response<Body> {
    match template.render() {
        Ok(html) => html_answer(status, html, PAGE_POLICY, with_form),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn html_answer(status: StatusCode, html: String, policy: &str, with_form: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if with_form {
        // With no-referrer browsers send `Origin: null` even from our own page.
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// The one page everybody sees who has no page session.
fn constant() -> Response<Body> {
    html_answer(StatusCode::FORBIDDEN, CONSTANT_PAGE.to_owned(), PAGE_POLICY, false)
}

/// An answer of the sign-in's listener that says nothing but its status.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(status.canonical_reason().unwrap_or("error").to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn see_other(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// How a sign-in ended, as its last page.
/// `again`: the path that begins another one.
pub(crate) fn done_page(agent: &Agent, account: &Account, outcome: &Outcome, again: Option<String>) -> Response<Body> {
    let (status, html) = build::done(agent, account, outcome, again);
    match html {
        Ok(html) => html_answer(status, html, &DONE_POLICY, false),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn failed_alone(happened: &str, means: &str) -> Response<Body> {
    let html = build::failed_alone(happened, means).render();
    html.map_or_else(
        |_| plain(StatusCode::INTERNAL_SERVER_ERROR),
        |html| html_answer(StatusCode::BAD_REQUEST, html, &DONE_POLICY, false),
    )
}

/// The start address was used, has expired, or never was one.
pub(crate) fn start_again() -> Response<Body> {
    failed_alone("This sign-in address was used already or has expired.", "Nothing has changed.")
}

/// Another sign-in could not begin.
pub(crate) fn not_begun(error: &ApiError) -> Response<Body> {
    failed_alone(&handlers::sentence(&error.0.error_description), "You are not signed in. Nothing else has changed.")
}

/// The callback came from a browser that did not start here.
pub(crate) fn not_this_browser() -> Response<Body> {
    failed_alone(
        "This answer did not come from the browser that started the sign-in.",
        "It was ignored. If a sign-in is open in another browser, finish it there.",
    )
}

/// The answer belongs to no sign-in.
pub(crate) fn not_ours() -> Response<Body> {
    failed_alone("This answer belongs to no sign-in of yours.", "It was ignored. A sign-in that is open stays open.")
}

/// The sign-in has had its answer.
pub(crate) fn already_answered() -> Response<Body> {
    failed_alone("This sign-in has had its answer already.", "Nothing has changed. You can close this tab.")
}

/// A page that only has something to say.
fn message(status: StatusCode, title: &str, happened: &str, means: &str, next: &str) -> Response<Body> {
    let view = MessagePage {
        tone: Tone::Waiting,
        title: title.to_owned(),
        happened: happened.to_owned(),
        means: means.to_owned(),
        next: next.to_owned(),
        link: Some(views::Link { address: "/".to_owned(), words: "Go to the home page".to_owned() }),
        detail: None,
    };
    page(status, &view, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_program_names_what_is_shown_of_it_and_nothing_else() {
        for shown in ["/usr/bin/git", "terminal 4711 (/bin/bash)", "/home/alice/תוכנות/ä b", "/x\u{fffd}…"] {
            assert_eq!(program_of_key(&program_key(shown)).as_deref(), Some(shown));
            assert!(program_key(shown).bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
        for key in ["", "..", "%2e", "L3Vzci9iaW4vZ2l0=", "_w", "AA", &"A".repeat(4000)] {
            assert!(!is_program(key), "{key:.20}");
        }
        assert!(build::block_key("/usr/bin/git").is_some());
        for unclear in ["git", "terminal 4711 (/bin/bash)", "/bin/sh (no file)", "/x\u{fffd}", "/cut…"] {
            assert!(build::block_key(unclear).is_none(), "{unclear}");
        }
    }
}
