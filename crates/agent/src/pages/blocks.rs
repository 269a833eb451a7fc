//! The forms that block a program and take that back.
//!
//! Invariant: as for every form, a visitor with a page session and an unspent token, from our own origin. A blocked
//! program that is itself the browser unblocks nothing, and neither does one that cannot be told.

use super::{
    Segment,
    handlers::{Form, counted},
    message, plain, see_other,
};
use crate::{
    agent::Agent,
    server::{ApiError, Connection},
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode},
};
use broker::{Block, BlockKey, GrantId};
use std::sync::Arc;

type App = State<Arc<Agent>>;
type Peer = Extension<Connection>;

pub(super) fn done(agent: &Agent, form: &Form, outcome: Result<Block, ApiError>, next: &str) -> Response<Body> {
    match outcome {
        Ok(_) => {
            agent.say(&form.visitor, "The program is blocked. It gets nothing and does not ask again.");
            see_other(next)
        }
        Err(error) => {
            tracing::error!(error = error.0.error_description, "a block could not be stored");
            message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The block may not last",
                "The program is blocked, but that could not be written down.",
                "It gets nothing while Daypass runs. After a restart it may ask again.",
                "Look for a full disk, then block it once more.",
            )
        }
    }
}

/// Blocks whoever asked a question.
pub(super) async fn block_asker(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    match agent.consents.get(&id) {
        Some(question) => {
            let blocked = agent.block(&BlockKey::of(&question.ask.program), "page");
            done(&agent, &form, blocked, &format!("/consent/{}", question.id))
        }
        None => message(
            StatusCode::NOT_FOUND,
            "This question is closed",
            "It is too long ago to tell which program asked.",
            "Nothing was blocked.",
            "Block the program when it asks again, or run daypass block in a terminal.",
        ),
    }
}

/// Blocks whoever holds a permission.
pub(super) async fn block_holder(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    match id.parse().ok().and_then(|id| agent.blockable(GrantId(id))) {
        Some(Ok(key)) => done(&agent, &form, agent.block(&key, "page"), &form.back("/permissions")),
        Some(Err(_)) => message(
            StatusCode::CONFLICT,
            "Nothing was blocked",
            "The name of this program can be read in two ways.",
            "It keeps its permission.",
            "Run daypass block with the path of its file in a terminal, or revoke the permission.",
        ),
        None => plain(StatusCode::NOT_FOUND),
    }
}

/// Takes a block back.
pub(super) async fn unblock(
    State(agent): App,
    Extension(connection): Peer,
    Segment(id): Segment,
    request: Request<Body>,
) -> Response<Body> {
    let form = match counted(&agent, &connection, request).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let Some(block) = id.parse().ok().and_then(|id| agent.store.block(id)) else {
        return see_other(&form.back("/permissions"));
    };
    let visitor = connection.peer(&agent).await.ok().and_then(|peer| peer.program.clone());
    if visitor.is_none_or(|program| block.key.stops(&program)) {
        return plain(StatusCode::FORBIDDEN);
    }
    match agent.unblock(&block, "page") {
        Ok(()) => {
            agent.say(&form.visitor, "The program is no longer blocked. It may ask again.");
            see_other(&form.back("/permissions"))
        }
        Err(error) => {
            tracing::error!(%error, "a block could not be taken back");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
