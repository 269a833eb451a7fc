//! Handlers of one program's page, of the settings page, and of the pause.
//!
//! Invariant: as for every page, a visitor with a page session; as for every form, an unspent token from our own origin.

use super::{
    Segment,
    blocks::done,
    build, constant,
    handlers::{counted, reader},
    message, page, plain, program_of_key, see_other,
};
use crate::{agent::Agent, server::Connection, trip::shown};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode},
};
use broker::Span;
use std::{collections::BTreeSet, sync::Arc};

type App = State<Arc<Agent>>;
type Peer = Extension<Connection>;

/// The settings.
pub(super) async fn profile(State(agent): App, Extension(connection): Peer, headers: HeaderMap) -> Response<Body> {
    if reader(&agent, &headers, &connection).await.is_none() {
        return constant();
    }
    page(StatusCode::OK, &build::profile(&agent), false)
}

/// One program.
pub(super) async fn program(
    State(agent): App,
    Extension(connection): Peer,
    Segment(key): Segment,
    headers: HeaderMap,
) -> Response<Body> {
    let Some(visitor) = reader(&agent, &headers, &connection).await else { return constant() };
    let Some(shown) = program_of_key(&key) else { return nothing() };
    let token = agent.serve_form(&visitor, "home", "", BTreeSet::new());
    let said = agent.said(&visitor);
    match build::program(&agent, &shown, token, said) {
        Ok(view) => page(StatusCode::OK, &view, true),
        Err(error) => {
            tracing::error!(%error, "the log could not be read");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn nothing() -> Response<Body> {
    message(
        StatusCode::NOT_FOUND,
        "There is no such program",
        "The address names no program.",
        "Nothing has changed.",
        "Choose a program under Activity or Permissions.",
    )
}

/// Takes back everything a program may have without asking.
pub(super) async fn revoke_all(
    State(agent): App,
    Extension(connection): Peer,
    Segment(key): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Some(shown) = program_of_key(&key) else { return nothing() };
    match agent.revoke_grants("grant.revoked", |grant| build::is_of(grant, &shown)) {
        Ok(_) => {
            agent.say(&form.visitor, "Everything is taken back. The program has to ask the next time.");
            see_other(&form.back("/permissions"))
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Blocks a program by the path of its file.
pub(super) async fn block_program(
    State(agent): App,
    Extension(connection): Peer,
    Segment(key): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    match program_of_key(&key).and_then(|shown| build::block_key(&shown)) {
        Some(blocked) => done(&agent, &form, agent.block(&blocked, "page"), &form.back("/permissions")),
        None => nothing(),
    }
}

/// Pauses everything.
pub(super) async fn pause(State(agent): App, Extension(connection): Peer, request: Request<Body>) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    match form.field("for").parse::<i64>() {
        Ok(seconds) if (1..=crate::pause::LONGEST.as_seconds()).contains(&seconds) => {
            let peer = &form.visitor.peer;
            agent.pause(Span::seconds(seconds), "page", Some(shown(peer.program.as_ref(), peer)));
            see_other("/")
        }
        _ => plain(StatusCode::BAD_REQUEST),
    }
}

/// Ends the pause.
pub(super) async fn resume(State(agent): App, Extension(connection): Peer, request: Request<Body>) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let peer = &form.visitor.peer;
    agent.resume("page", Some(shown(peer.program.as_ref(), peer)));
    agent.say(&form.visitor, "Daypass goes on.");
    see_other("/")
}
