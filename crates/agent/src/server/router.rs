//! Every endpoint in one list. The same router serves the user socket and loopback TCP.

use super::{
    answer::{ApiError, json},
    blocks,
    connection::Connection,
    discover, first_party as own, guard, token,
};
use crate::{agent::Agent, doctor, pages};
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode, Uri},
    middleware::{self, Next},
    response::IntoResponse,
    routing::{delete, get, post},
};
use broker::{Peer, Refusal};
use localapi::Code;
use std::sync::Arc;

type App = State<Arc<Agent>>;

/// The router of the loopback broker.
pub(crate) fn router(agent: &Arc<Agent>) -> Router {
    let first_party = Router::new()
        .route("/v1/status", get(own::status))
        .route("/v1/accounts", get(own::accounts))
        .route("/v1/accounts/{name}/sign-in", post(own::begin_sign_in).delete(own::sign_out))
        .route("/v1/sign-ins/{id}", get(own::sign_in_state).delete(own::cancel_sign_in))
        .route("/v1/resources", get(own::resources))
        .route("/v1/requests", get(own::requests))
        .route("/v1/requests/{id}", post(own::answer_request))
        .route("/v1/grants", get(own::grants).delete(own::revoke_all))
        .route("/v1/grants/{id}", delete(own::revoke))
        .route("/v1/blocks", get(blocks::blocks).post(blocks::block))
        .route("/v1/blocks/{id}", delete(blocks::unblock))
        .route("/v1/audit", get(own::audit))
        .route("/v1/audit/verify", get(own::verify_audit))
        .route("/v1/profile", get(own::profile))
        .route("/v1/doctor", get(doctor::doctor))
        .route("/v1/events", get(own::events))
        .route("/v1/open", post(own::open))
        .route("/v1/discover", post(discover::discover))
        .route("/v1/pause", post(own::pause).delete(own::resume))
        .layer(middleware::from_fn_with_state(Arc::clone(agent), first_party_only));
    let peers = Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/v1/token", post(token::issue))
        .route("/v1/session", get(token::session).delete(token::end_session));
    let api = peers
        .merge(first_party)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(agent), programs_only));
    Router::new()
        .merge(api)
        .route("/healthz", get(healthz))
        .merge(pages::router())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(no_head))
        .with_state(Arc::clone(agent))
}

/// HEAD runs no handler: a look must not have an effect.
async fn no_head(request: Request<Body>, next: Next) -> Response<Body> {
    if request.method() == axum::http::Method::HEAD {
        return no_method().await.into_response();
    }
    next.run(request).await
}

async fn programs_only(State(agent): App, request: Request<Body>, next: Next) -> Response<Body> {
    if guard::pairs(request.uri().query().unwrap_or_default().as_bytes()).is_none() {
        return ApiError::new(Code::InvalidRequest, "the query is not valid: each name once, in valid UTF-8")
            .into_response();
    }
    match guard::api(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            if let Some(connection) = request.extensions().get::<Connection>().cloned() {
                agent.count_refusal(Code::OriginRefused.as_str(), connection.who(&agent).await);
            }
            error.into_response()
        }
    }
}

/// Lets only Daypass's own programs pass, and only by the user socket.
async fn first_party_only(
    State(agent): App,
    Extension(connection): Extension<Connection>,
    mut request: Request<Body>,
    next: Next,
) -> Response<Body> {
    match connection.peer(&agent).await {
        Ok(peer) if peer.first_party => {
            request.extensions_mut().insert(peer);
            next.run(request).await
        }
        Ok(peer) => {
            refuse_outsider(&agent, &peer, request.uri());
            ApiError::from(Refusal::NotFirstParty).into_response()
        }
        Err(refusal) => ApiError::from(refusal).into_response(),
    }
}

fn refuse_outsider(agent: &Agent, peer: &Peer, uri: &Uri) {
    tracing::info!(
        path = uri.path(),
        pid = peer.instance.pid,
        "a program that is not ours asked for what only ours may"
    );
    agent.log(crate::store::AuditEntry {
        event: "access.refused",
        code: Code::NotFirstParty.as_str().to_owned(),
        program: Some(crate::trip::shown(peer.program.as_ref(), peer)),
        ..Default::default()
    });
}

async fn jwks(State(agent): App) -> Response<Body> {
    json(StatusCode::OK, &agent.mint.jwks(agent.now()))
}

async fn healthz() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn no_route() -> ApiError {
    ApiError::new(Code::NotFound, "there is nothing here")
}

async fn no_method() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this cannot be done here")
}
