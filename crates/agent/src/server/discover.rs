//! `POST /v1/discover`: a look at an issuer that is to be set up, for `daypass init`.
//!
//! Invariant: first-party programs only; what is looked at is a plain issuer address (https, or loopback for
//! development), by the same rules, roots and proxy as every sign-in. Nothing is sent but the request for the document,
//! and nothing is kept of what came.

use super::{
    answer::{ApiError, json},
    guard,
};
use crate::agent::Agent;
use axum::{
    body::Body,
    extract::State,
    http::{Request, Response, StatusCode},
};
use broker::{Issuer, Refusal};
use localapi::{Code, DiscoverRequest, IssuerInfo};
use std::sync::Arc;

/// The scopes of a sign-in that tells who somebody is (OpenID Connect Core §5.4).
const USUAL: [&str; 3] = ["openid", "profile", "email"];

/// `POST /v1/discover`.
pub(super) async fn discover(
    State(agent): State<Arc<Agent>>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let asked: DiscoverRequest = guard::json(request).await?;
    let issuer: Issuer = asked.issuer.parse().map_err(|error: broker::WordError| {
        ApiError::new(Code::InvalidRequest, error.to_string())
            .with_hint("give the issuer as its discovery document says it, such as https://login.example.com")
    })?;
    let metadata = agent.oidc.look(&issuer).await.map_err(|error| {
        let text = error.to_string();
        let refusal =
            if error.is_unavailable() { Refusal::IssuerUnavailable(text) } else { Refusal::IssuerRejected(text) };
        ApiError::from(refusal)
    })?;
    Ok(json(
        StatusCode::OK,
        &IssuerInfo {
            issuer: metadata.issuer().to_string(),
            offline_access: metadata.lists_offline_access(),
            scopes: USUAL
                .iter()
                .filter(|usual| metadata.scopes().iter().any(|s| s == *usual))
                .map(ToString::to_string)
                .collect(),
            device: metadata.offers_device_sign_in(),
            revocation: metadata.can_revoke(),
        },
    ))
}
