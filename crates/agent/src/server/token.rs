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
use broker::{Peer, Program, ProgramKey, Refusal, ScopeSet, Span, TokenKind, consent::Anchor, trip};
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
    let (mut session, mut fresh) = (None, None);
    if let (Side::Tcp { .. }, Some(program)) = (connection.side(), &peer.program) {
        match shown_session(&agent, &headers, program) {
            Ok(Some(shown)) => session = Some(shown.hash),
            Ok(None) => {
                let value = random::capability(agent.entropy.as_ref());
                session = Some(random::hash(&value));
                fresh = Some((value, program.key()));
            }
            Err(error) => return refused_early(&agent, &connection, error).await,
        }
    }
    let turn = agent.turns.now().into();
    let trip = Trip { agent: &agent, connection: &connection, session, turn, era: std::sync::OnceLock::new() };
    let outcome = trip::run(&trip, &peer, &asked).await;
    // Only what is worth coming back for gets a session.
    let comes_back = matches!(&outcome, Ok(_) | Err(Refusal::ConsentRequired { .. }));
    let cookie =
        fresh.filter(|_| comes_back).map(|(value, program)| begin_session(&agent, &value, program)).transpose();
    let mut response = match (outcome, &cookie) {
        (Ok(issued), _) => json(StatusCode::OK, &answer(&agent, &issued)),
        (Err(Refusal::ConsentRequired { .. }), Err(error)) => ApiError::from(error.clone()).into_response(),
        (Err(Refusal::ConsentRequired { consent_id, expires_in }), _) => {
            let hint = agent.where_to_answer(&consent_id);
            ApiError::from(Refusal::ConsentRequired { consent_id, expires_in }).with_hint(hint).into_response()
        }
        (Err(refusal), _) => ApiError::from(refusal).into_response(),
    };
    if let Some(cookie) = cookie.ok().flatten().and_then(|c| HeaderValue::from_str(&c).ok()) {
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
        requirement: crate::step_up::parse(wire.claims, wire.acr_values.as_deref(), wire.max_age)?,
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

/// The session a peer over TCP shows, if it is this program's. Two cookies of one name, and another program's cookie, are
/// refused and end what they name.
fn shown_session(agent: &Agent, headers: &HeaderMap, program: &Program) -> Result<Option<Session>, ApiError> {
    let name = cookie_name(agent);
    let shown = guard::read_cookie(headers, &name).map_err(|()| {
        for value in all_cookies(headers, &name) {
            if let Err(error) = end_one_session(agent, &random::hash(&value)) {
                tracing::error!(%error, "a session could not be ended");
            }
        }
        ApiError::from(Refusal::SessionInvalid).with_hint("two cookies of one name were shown: empty the cookie jar")
    })?;
    let Some(value) = shown else { return Ok(None) };
    let Some(session) = agent.store.session(&random::hash(&value), agent.now())? else { return Ok(None) };
    if session.program == program.key() {
        return Ok(Some(session));
    }
    end_one_session(agent, &session.hash)?;
    Err(ApiError::from(Refusal::SessionInvalid)
        .with_hint("this cookie belongs to another program: empty the cookie jar"))
}

/// Ends a session and the questions parked in it.
fn end_one_session(agent: &Agent, hash: &str) -> Result<(), crate::store::StoreError> {
    agent.store.end_session(hash)?;
    agent.unpark(&Anchor::Session(hash.to_owned()));
    Ok(())
}

/// Keeps a new session; returns the cookie to set.
fn begin_session(agent: &Agent, value: &str, program: ProgramKey) -> Result<String, Refusal> {
    let now = agent.now();
    let session = Session { hash: random::hash(value), program, expires: now + SESSION };
    agent.store.add_session(&session, now).map_err(|error| Refusal::Internal(error.to_string()))?;
    let name = cookie_name(agent);
    Ok(format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}", SESSION.as_seconds()))
}

fn all_cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = headers.get(header::COOKIE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// `GET /v1/session`.
pub(super) async fn session(
    State(agent): State<Arc<Agent>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let mut peer = Peer::clone(&*connection.peer(&agent).await?);
    agent.fill_package(&mut peer).await;
    let program = peer.program.as_ref().ok_or(Refusal::PeerUnidentified)?;
    let session = shown_session(&agent, &headers, program)?;
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
            session_until: session.map(|session| times::rfc3339(session.expires)),
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
    let program = peer.program.as_ref().ok_or(Refusal::PeerUnidentified)?;
    if let Some(session) = shown_session(&agent, &headers, program)? {
        agent.store.end_session(&session.hash)?;
    }
    agent.end_for_today(&peer, program)?;
    Ok(StatusCode::NO_CONTENT)
}

impl Agent {
    /// Ends a program's open questions and its grants for today. Questions first: what an answer that is being taken gives
    /// is there afterwards.
    fn end_for_today(&self, peer: &Peer, program: &Program) -> Result<(), crate::store::StoreError> {
        let key = program.key();
        self.end_questions("session_invalid", |q| q.key == key);
        let ended = self.store.end_grants(|g| {
            (g.program == key || g.follows(program, peer.package.as_deref())) && g.choice == broker::Choice::Today
        })?;
        self.log(AuditEntry {
            event: "session.ended",
            code: "ok".to_owned(),
            program: Some(shown(Some(program), peer)),
            via: Some(format!("{} grants", ended.len())),
            ..AuditEntry::default()
        });
        self.changed("grants");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[tokio::test]
    async fn an_answer_that_is_being_taken_gives_nothing_that_outlives_the_session() {
        let (_room, agent) = testing::agent().await;
        let (peer, program) = testing::peer("/usr/bin/tool");
        let ends = program.clone();
        testing::while_answering(&agent, &program, move |agent| agent.end_for_today(&peer, &ends).unwrap());
        assert!(agent.store.all_grants().is_empty());
    }
}
