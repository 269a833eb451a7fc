//! Connections, routes, and the transport's faults: every request is noted, spoilt if ordered, else handled.

use crate::{
    authorize, device,
    fault::{Action, Command, Endpoint, Facts, Fault, KeyChange, gzip_of_spaces},
    journal::Entry,
    metadata, page,
    state::{Shared, now},
    token,
};
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use std::{
    future::pending,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::net::TcpListener;

/// Most bytes of a request's body.
const BODY_LIMIT: usize = 64 * 1024;
/// Longest wait for a request's head, and for its body.
const PATIENCE: Duration = Duration::from_secs(15);
/// Most bytes of an answer that is too big on purpose.
const BIG_LIMIT: u32 = 64 << 20;
/// Most bytes a gzip answer unpacks to.
const GZIP_LIMIT: u32 = 1 << 30;
/// The last second a `Date` header can tell, in the year 9999.
const LATEST_DATE: u64 = 253_402_300_799;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on command")]
struct Dropped;

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A connection that breaks is the other side's affair, or was ordered.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An answer before it is HTTP, with the word the journal gets.
pub(crate) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    result: String,
}

impl Reply {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string(), "ok")
    }

    pub(crate) fn html(status: u16, page: String, result: &str) -> Self {
        let csp = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
        Self::new(status, "text/html; charset=utf-8", page, result).with(header::CONTENT_SECURITY_POLICY, csp)
    }

    pub(crate) fn see_other(to: &str, result: &str) -> Self {
        Self::new(303, "text/plain; charset=utf-8", "", result).with(header::LOCATION, to)
    }

    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>, result: &str) -> Self {
        let reply = Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: body.into(),
            result: result.to_owned(),
        };
        reply.with(header::CONTENT_TYPE, content_type).with(header::CACHE_CONTROL, "no-store")
    }

    /// Adds a header; a value that cannot be one is left out.
    pub(crate) fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn settled(mut self, result: &str) -> Self {
        result.clone_into(&mut self.result);
        self
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// An OAuth error (RFC 6749 §5.2).
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) description: String,
    /// The provider's own number for it, where it has one.
    pub(crate) code: Option<u32>,
    /// More members of the body.
    pub(crate) more: Map<String, Value>,
}

impl Refusal {
    pub(crate) fn new(error: &str, description: &str) -> Self {
        let status = if error == "server_error" { 500 } else { 400 };
        let (error, description) = (error.to_owned(), description.to_owned());
        Self { status, error, description, code: None, more: Map::new() }
    }

    pub(crate) fn code(mut self, code: u32) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.more.insert(name.to_owned(), json!(value));
        self
    }

    pub(crate) fn into_reply(self) -> Reply {
        let mut body = self.more;
        body.insert("error".to_owned(), json!(self.error));
        body.insert("error_description".to_owned(), json!(self.description));
        Reply::json(self.status, &Value::Object(body)).settled(&self.error)
    }
}

impl From<crate::keys::EntropyError> for Refusal {
    fn from(error: crate::keys::EntropyError) -> Self {
        Self::new("server_error", &error.to_string())
    }
}

/// Parameters of a query or a form, in order.
#[derive(Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The only value of `name`; empty counts as absent, twice is an error (RFC 6749 §3.1).
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(n, v)| n == name && !v.is_empty());
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Refusal::new("invalid_request", &format!("{name} is given twice"))),
        }
    }

    /// The only value of `name`, which must be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?.ok_or_else(|| Refusal::new("invalid_request", &format!("{name} is missing")))
    }

    fn first(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    /// Each `resource` and `audience`, which are one thing here.
    pub(crate) fn resources(&self) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == "resource" || n == "audience").map(|(_, v)| v.clone()).collect()
    }
}

/// A request, read.
pub(crate) struct Asked {
    pub(crate) parameters: Parameters,
    pub(crate) headers: HeaderMap,
    resources: Vec<String>,
    grant_type: Option<String>,
}

impl Asked {
    fn read(parts: &Parts, body: &[u8]) -> Result<Self, Refusal> {
        let parameters = if parts.method == Method::POST {
            let content_type =
                parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            if !body.is_empty() && !content_type.starts_with("application/x-www-form-urlencoded") {
                return Err(Refusal::new("invalid_request", "the body is not application/x-www-form-urlencoded"));
            }
            Parameters::parse(body)
        } else {
            Parameters::parse(parts.uri.query().unwrap_or_default().as_bytes())
        };
        let (resources, grant_type) = (parameters.resources(), parameters.first("grant_type"));
        Ok(Self { parameters, headers: parts.headers.clone(), resources, grant_type })
    }

    /// What orders look at.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts { grant_type: self.grant_type.as_deref(), resources: &self.resources }
    }
}

type Handler = fn(&Shared, &Asked) -> Reply;
/// An endpoint, how it is handled, and with which methods.
type Route = (Endpoint, Handler, &'static [Method]);

/// Where a path leads.
fn route(shared: &Shared, path: &str) -> Option<Route> {
    const GET: &[Method] = &[Method::GET];
    const POST: &[Method] = &[Method::POST];
    const BOTH: &[Method] = &[Method::GET, Method::POST];
    let base = shared.config.issuer_path.as_str();
    let paths = &shared.quirks.paths;
    // RFC 8414 §3.1 puts the well-known part before the issuer's path, OpenID Connect Discovery §4 behind it.
    if path.strip_prefix("/.well-known/oauth-authorization-server") == Some(base) {
        return Some((Endpoint::Discovery, metadata::discovery, GET));
    }
    let known: [(Option<&str>, Route); 7] = [
        (Some(&paths.authorize), (Endpoint::Authorize, authorize::authorize, BOTH)),
        (Some(&paths.token), (Endpoint::Token, token::token, POST)),
        (Some(&paths.jwks), (Endpoint::Jwks, metadata::jwks, GET)),
        (Some(&paths.userinfo), (Endpoint::Userinfo, metadata::userinfo, BOTH)),
        (paths.revoke.as_deref(), (Endpoint::Revocation, token::revoke, POST)),
        (paths.device.as_deref(), (Endpoint::Device, device::authorize, POST)),
        (Some(&paths.verification), (Endpoint::Authorize, device::verification, BOTH)),
    ];
    if let Some((_, found)) = known.into_iter().find(|(known, _)| *known == Some(path)) {
        return Some(found);
    }
    match path.strip_prefix(base)? {
        "/.well-known/openid-configuration" => Some((Endpoint::Discovery, metadata::discovery, GET)),
        "/sign-in" => Some((Endpoint::Authorize, authorize::sign_in, POST)),
        _ => None,
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, to_bytes(Body::new(body), BODY_LIMIT)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Ok(plain(413, "too large")),
        Err(_) => return Ok(plain(408, "too slow")),
    };
    let path = parts.uri.path();
    match path {
        "/control" => return Ok(control(&shared, &parts, &body).into_response()),
        "/log" if parts.method == Method::GET => {
            let journal = serde_json::to_value(shared.lock().journal.clone()).unwrap_or_default();
            return Ok(Reply::json(200, &journal).into_response());
        }
        _ => {}
    }
    let Some((endpoint, handler, methods)) = route(&shared, path) else {
        return Ok(plain(404, "no such endpoint"));
    };
    if !methods.contains(&parts.method) {
        return Ok(plain(405, "not with this method"));
    }
    let asked = match Asked::read(&parts, &body) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refusal.into_reply().into_response()),
    };
    drop(body);
    let (number, order) = {
        let mut state = shared.lock();
        let number = state.journal.arrive(entry(endpoint, &asked));
        (number, state.faults.transport(endpoint, asked.facts()))
    };
    let Some(order) = order else {
        let reply = handler(&shared, &asked);
        shared.lock().journal.settle(number, &reply.result, None);
        return Ok(reply.into_response());
    };
    let kind = order.fault.kind();
    shared.lock().journal.settle(number, "unanswered", Some(kind));
    // These faults spoil only the way of a good answer.
    let commits =
        order.after_commit || matches!(order.fault, Fault::Delay { .. } | Fault::GzipHeader {} | Fault::Date { .. });
    if let (Fault::Delay { ms }, false) = (&order.fault, order.after_commit) {
        tokio::time::sleep(Duration::from_millis(*ms)).await;
    }
    let mut good = None;
    if commits {
        let reply = handler(&shared, &asked);
        let mut state = shared.lock();
        if let Some(entry) = state.journal.requests.iter_mut().rev().find(|entry| entry.number == number) {
            reply.result.clone_into(&mut entry.result);
        }
        good = Some(reply);
    }
    spoil(order.fault, order.after_commit, good).await.map(Reply::into_response)
}

/// The answer a fault of the transport gives instead of `good`.
async fn spoil(fault: Fault, after_commit: bool, good: Option<Reply>) -> Result<Reply, Dropped> {
    Ok(match fault {
        Fault::Hang {} => pending().await,
        Fault::Drop {} => return Err(Dropped),
        Fault::Delay { ms } => {
            if after_commit {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            good.ok_or(Dropped)?
        }
        Fault::GzipHeader {} => good.ok_or(Dropped)?.with(header::CONTENT_ENCODING, "gzip"),
        Fault::Date { ahead } => {
            let time = now().saturating_add_signed(ahead).min(LATEST_DATE);
            let time = UNIX_EPOCH + Duration::from_secs(time);
            good.ok_or(Dropped)?.with(header::DATE, &httpdate::fmt_http_date(time))
        }
        Fault::Status { status, body, content_type } => {
            Reply::new(status, content_type.as_deref().unwrap_or("application/json"), body, "")
        }
        Fault::Html {} => Reply::html(200, page::portal(), ""),
        Fault::Gzip { bytes } => Reply::new(200, "application/json", gzip_of_spaces(bytes.min(GZIP_LIMIT)), "")
            .with(header::CONTENT_ENCODING, "gzip"),
        Fault::BigBody { bytes } => {
            let size = usize::try_from(bytes.min(BIG_LIMIT)).unwrap_or_default();
            Reply::new(200, "application/json", vec![b' '; size], "")
        }
        Fault::EmptyBody {} => Reply::new(200, "application/json", "", ""),
        Fault::Redirect { to, status } => Reply::new(status, "text/plain", "", "").with(header::LOCATION, &to),
        Fault::Error { status, error, description } => {
            let mut body = json!({ "error": error });
            if let Some(description) = description {
                body["error_description"] = json!(description);
            }
            Reply::json(status, &body)
        }
        Fault::InvalidGrant {} => Refusal::new("invalid_grant", "the grant is not good any more").into_reply(),
        // Faults of the content never come here.
        Fault::Fields { .. } | Fault::IdToken(_) | Fault::AccessToken(_) | Fault::NoNewRefreshToken {} => {
            good.ok_or(Dropped)?
        }
    })
}

fn entry(endpoint: Endpoint, asked: &Asked) -> Entry {
    Entry {
        number: 0,
        time: now(),
        endpoint,
        grant_type: asked.grant_type.clone(),
        client_id: asked.parameters.first("client_id"),
        scope: asked.parameters.first("scope"),
        resource: asked.resources.clone(),
        result: "unanswered".to_owned(),
        fault: None,
    }
}

/// `POST /control`. A web page cannot send the content type without asking first, and nobody answers that.
fn control(shared: &Shared, parts: &Parts, body: &[u8]) -> Reply {
    let is_json =
        parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
    if parts.method != Method::POST || !is_json {
        return Refusal::new("invalid_request", "POST application/json").into_reply();
    }
    let mut state = shared.lock();
    match Command::parse(body) {
        Err(error) => return Refusal::new("invalid_request", &error.to_string()).into_reply(),
        Ok(Command::Order(order)) => state.faults.push(order),
        Ok(Command::Do(Action::Reset {})) => state.faults.clear(),
        Ok(Command::Do(Action::RevokeAll {})) => state.store.revoke_all(),
        Ok(Command::Do(Action::RotateKey { old })) => {
            if let Err(error) = state.keys.rotate(old == KeyChange::KeepOld) {
                return Refusal::from(error).into_reply();
            }
        }
    }
    Reply::json(200, &json!({ "done": true }))
}

fn plain(status: u16, text: &'static str) -> Response<Body> {
    Reply::new(status, "text/plain; charset=utf-8", text, "").into_response()
}
