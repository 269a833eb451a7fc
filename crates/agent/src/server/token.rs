//! What any identified peer may ask: a token, how it is seen, the end of its session.

use super::{
    answer::{ApiError, json},
    connection::{Connection, Side},
    guard,
};
use crate::{
    agent::Agent,
    random,
    store::{AuditEntry, Session},
    times,
    trip::{Trip, expose, shown},
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
};
use broker::{Peer, Program, Refusal, ScopeSet, Span, TokenKind, trip};
use localapi::{
    ACCESS_TOKEN_TYPE, Code, GrantInfo, ID_TOKEN_TYPE, JWT_TYPE, SessionInfo, TokenAnswer, TokenRequest, WireToken,
};
use std::sync::Arc;

/// A cookie session lasts as long as the longest grant for today.
const SESSION: Span = Span::hours(12);

fn cookie_name(agent: &Agent) -> String {
    format!("daypass_{}", agent.store.installation)
}

/// `POST /v1/token`.
pub(super) async fn issue(
    State(agent): State<Arc<Agent>>,
    Extension(connection): Extension<Connection>,
    request: Request<Body>,
) -> Response<Body> {
    let headers = request.headers().clone();
    let asked = match guard::json::<TokenRequest>(request).await.and_then(parse) {
        Ok(asked) => asked,
        Err(error) => return refused_early(&agent, &connection, error).await,
    };
    let peer = match connection.peer(&agent).await {
        Ok(peer) => peer,
        Err(refusal) => return refused_early(&agent, &connection, refusal.into()).await,
    };
    let mut set_cookie = None;
    let session = match (connection.side(), &peer.program) {
        (Side::Tcp { .. }, Some(program)) => match cookie_session(&agent, &headers, program) {
            Ok((session, fresh)) => {
                set_cookie = fresh;
                Some(session.hash)
            }
            Err(error) => return refused_early(&agent, &connection, error).await,
        },
        _ => None,
    };
    let trip = Trip { agent: &agent, connection: &connection, session };
    let mut response = match trip::run(&trip, &peer, &asked).await {
        Ok(issued) => json(StatusCode::OK, &answer(&agent, &issued)),
        Err(refusal) => ApiError::from(refusal).into_response(),
    };
    if let Some(cookie) = set_cookie.and_then(|c| HeaderValue::from_str(&c).ok()) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A refusal before the trip began leaves its line too.
async fn refused_early(agent: &Arc<Agent>, connection: &Connection, error: ApiError) -> Response<Body> {
    let program = match connection.peer(agent).await {
        Ok(peer) => Some(shown(peer.program.as_ref(), &peer)),
        Err(_) => None,
    };
    let entry =
        AuditEntry { event: "token.refused", code: error.0.code.as_str().to_owned(), program, ..AuditEntry::default() };
    match agent.store.append(entry, times::rfc3339_millis(agent.now())) {
        Ok(_) => error.into_response(),
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn parse(wire: TokenRequest) -> Result<trip::Request, ApiError> {
    let invalid = |text: &str| ApiError::new(Code::InvalidRequest, text);
    for (name, reserved) in [("claims", &wire.claims), ("acr_values", &wire.acr_values), ("max_age", &wire.max_age)] {
        if reserved.is_some() {
            return Err(invalid(&format!("{name} is reserved and cannot be used yet")));
        }
    }
    if wire.resource.is_empty() || wire.resource.len() > 2048 || wire.resource.chars().any(char::is_control) {
        return Err(invalid("resource must be a name or an audience of 1 to 2048 characters"));
    }
    let scopes: ScopeSet =
        wire.scope.as_deref().unwrap_or_default().parse().map_err(|e: broker::WordError| invalid(&e.to_string()))?;
    if wire.wait.is_some_and(|wait| wait > 120) {
        return Err(invalid("wait must be at most 120 seconds"));
    }
    if wire.min_valid.is_some_and(|seconds| seconds > 86_400) {
        return Err(invalid("min_valid must be at most 86400 seconds"));
    }
    if wire.name.as_ref().is_some_and(|name| name.len() > 8192) {
        return Err(invalid("name must have at most 8192 bytes"));
    }
    Ok(trip::Request {
        resource: wire.resource,
        scopes,
        min_valid: Span::seconds(i64::from(wire.min_valid.unwrap_or(0))),
        wait: wire.wait.filter(|wait| *wait > 0).map(|wait| Span::seconds(i64::from(wait))),
        refresh: wire.refresh.unwrap_or(false),
        says_it_is: wire.name.filter(|name| !name.is_empty()),
    })
}

fn answer(agent: &Agent, issued: &trip::Issued) -> TokenAnswer {
    let token = &issued.token;
    let (token_type, issued_token_type) = match token.kind {
        TokenKind::Access => ("Bearer", ACCESS_TOKEN_TYPE),
        TokenKind::Id => ("N_A", ID_TOKEN_TYPE),
        TokenKind::Minted => ("Bearer", JWT_TYPE),
    };
    TokenAnswer {
        access_token: WireToken::new(expose(token)),
        token_type: token_type.to_owned(),
        expires_in: agent.now().until(token.expires_at).as_seconds(),
        expires_at: times::rfc3339(token.expires_at),
        scope: token.scopes.to_string(),
        resource: issued.wanted.resource.name.to_string(),
        issued_token_type: issued_token_type.to_owned(),
    }
}

/// The session of a peer over TCP, and the cookie to set when it is new.
fn cookie_session(
    agent: &Agent,
    headers: &HeaderMap,
    program: &Program,
) -> Result<(Session, Option<String>), ApiError> {
    let name = cookie_name(agent);
    let now = agent.now();
    let shown = guard::read_cookie(headers, &name).map_err(|()| {
        for value in all_cookies(headers, &name) {
            if let Err(error) = agent.store.end_session(&random::hash(&value)) {
                tracing::error!(%error, "a session could not be ended");
            }
        }
        ApiError::from(Refusal::SessionInvalid).with_hint("two cookies of one name were shown: empty the cookie jar")
    })?;
    if let Some(value) = shown
        && let Some(session) = agent.store.session(&random::hash(&value), now)?
    {
        if session.program == program.key() {
            return Ok((session, None));
        }
        // A cookie shown by another program is refused and ends the session.
        agent.store.end_session(&session.hash)?;
        agent.end_questions("session_invalid", |q| {
            q.ask.anchor == broker::consent::Anchor::Session(session.hash.clone())
        });
        return Err(ApiError::from(Refusal::SessionInvalid)
            .with_hint("this cookie belongs to another program: empty the cookie jar"));
    }
    let value = random::capability(agent.entropy.as_ref());
    let session = Session { hash: random::hash(&value), program: program.key(), expires: now + SESSION };
    agent.store.add_session(&session, now)?;
    let cookie = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}", SESSION.as_seconds());
    Ok((session, Some(cookie)))
}

fn all_cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = headers.get(header::COOKIE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

fn session_until(agent: &Agent, headers: &HeaderMap, peer: &Peer) -> Option<(String, String)> {
    let value = guard::read_cookie(headers, &cookie_name(agent)).ok().flatten()?;
    let session = agent.store.session(&random::hash(&value), agent.now()).ok().flatten()?;
    (peer.program.as_ref().map(Program::key) == Some(session.program))
        .then(|| (session.hash, times::rfc3339(session.expires)))
}

/// `GET /v1/session`.
pub(super) async fn session(
    State(agent): State<Arc<Agent>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let peer = connection.peer(&agent).await?;
    let program = peer.program.as_ref().ok_or(Refusal::PeerUnidentified)?;
    let kind = match program {
        Program::Executable { .. } => "executable",
        Program::Script { .. } => "script",
        Program::Inline { .. } => "inline",
        Program::Terminal { .. } => "terminal",
    };
    let rules = agent.rules();
    let now = agent.now();
    let grants: Vec<GrantInfo> = agent
        .store
        .grants_of(&program.key())
        .iter()
        .filter(|g| super::first_party::stands(g, &rules, now))
        .map(super::first_party::grant_info)
        .collect();
    Ok(json(
        StatusCode::OK,
        &SessionInfo {
            program: shown(Some(program), &peer),
            kind: kind.to_owned(),
            sha256: program.file().digest_hex(),
            package: peer.package.clone(),
            pid: peer.instance.pid,
            first_party: peer.first_party,
            grants,
            session_until: session_until(&agent, &headers, &peer).map(|(_, until)| until),
        },
    ))
}

/// `DELETE /v1/session`: ends the cookie session, this program's grants for today and its open questions.
pub(super) async fn end_session(
    State(agent): State<Arc<Agent>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let peer = connection.peer(&agent).await?;
    let key = peer.program.as_ref().ok_or(Refusal::PeerUnidentified)?.key();
    if let Some((hash, _)) = session_until(&agent, &headers, &peer) {
        agent.store.end_session(&hash)?;
    }
    let ended = agent.store.end_grants(|g| g.program == key && g.choice == broker::Choice::Today)?;
    agent.end_questions("session_invalid", |q| q.key == key);
    agent.log(AuditEntry {
        event: "session.ended",
        code: "ok".to_owned(),
        program: Some(shown(peer.program.as_ref(), &peer)),
        via: Some(format!("{} grants", ended.len())),
        ..AuditEntry::default()
    });
    agent.changed("grants");
    Ok(StatusCode::NO_CONTENT)
}
