//! Pushed authorization requests (RFC 9126): the issuer gets the parameters from us, the browser carries a name for them.
//!
//! Invariant: where the issuer requires pushing, no plain request leaves; a plain request takes the place of a pushed
//! one only when pushing itself failed, never when the issuer refused what was asked for, and never after this client has
//! pushed one to that issuer.
//! Limit: whoever can keep packets back from the start has the browser carry the first requests.

use crate::{
    client::{Client, authenticate},
    error::{OidcError, ServerError, sort},
    http::{Answer, Form, Trouble, What},
    json,
    sign_in::AuthorizationRequest,
};
use broker::Issuer;
use secrecy::{ExposeSecret, SecretString};
use std::sync::PoisonError;
use url::Url;

const PUSHING: What = "the pushed authorization request endpoint";
/// The longest name of a pushed request that is believed, in bytes.
const LONGEST_NAME: usize = 2048;

impl Client {
    /// The address that begins this sign-in in the browser, for a 303: the request itself, or the name of a request
    /// that was pushed just now. It may hold `state` and `nonce`: never print or log it, never put it into an argument
    /// list.
    ///
    /// # Errors
    /// When the issuer refuses the request, or cannot be reached though it requires pushing.
    pub async fn authorization_address(&self, request: &AuthorizationRequest) -> Result<SecretString, OidcError> {
        let metadata = &request.metadata;
        let Some(endpoint) = &metadata.pushed_authorization_request_endpoint else {
            return Ok(request.address.clone());
        };
        match self.push(endpoint, request).await {
            Ok(name) => {
                self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(metadata.issuer.clone());
                let mut address = metadata.authorization_endpoint.clone();
                address
                    .query_pairs_mut()
                    .append_pair("client_id", &request.account.client_id)
                    .append_pair("request_uri", &name);
                Ok(SecretString::from(String::from(address)))
            }
            Err(error)
                if !metadata.requires_pushing && is_about_pushing(&error) && !self.has_pushed(&metadata.issuer) =>
            {
                tracing::warn!(%error, "the authorization request could not be pushed; the browser carries it");
                Ok(request.address.clone())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether this issuer has taken a pushed request: then pushing works there, and trouble with it is no reason to do
    /// without.
    fn has_pushed(&self, issuer: &Issuer) -> bool {
        self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner).contains(issuer)
    }

    async fn push(&self, endpoint: &Url, request: &AuthorizationRequest) -> Result<String, OidcError> {
        let address = Url::parse(request.address.expose_secret())
            .map_err(|_| OidcError::Config("the authorization request is no address".to_owned()))?;
        // What the authorization endpoint's own query says stays with the endpoint.
        let own = request.metadata.authorization_endpoint.query_pairs().count();
        let form = address
            .query_pairs()
            .skip(own)
            .filter(|(name, _)| name != "client_id")
            .fold(Form::default(), |form, (name, value)| form.with(&name, &value));
        let (form, authorization) = authenticate(form, &request.account, &request.metadata)?;
        // Whoever authenticates in a header names itself in the request all the same (RFC 9126 §2.1).
        let form = if authorization.is_some() { form.with("client_id", &request.account.client_id) } else { form };
        let answer =
            self.0.transport.post(endpoint, form, authorization, PUSHING).await.map_err(Trouble::into_error)?;
        read(&answer)
    }
}

/// The name of the pushed request (RFC 9126 §2.2).
fn read(answer: &Answer) -> Result<String, OidcError> {
    let body = json::object(&answer.body);
    if answer.is_success() && !answer.html {
        let name = body.as_ref().and_then(|body| json::text(body, "request_uri"));
        return match name {
            Some(name) if name.len() <= LONGEST_NAME && name.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(name.to_owned())
            }
            _ => Err(OidcError::BadAnswer("the pushed request got no usable request_uri")),
        };
    }
    Err(match body.as_ref().and_then(ServerError::read) {
        Some(said) => sort(said, answer.is_busy(), answer.retry_after),
        None => answer.refusal(PUSHING),
    })
}

/// Whether pushing itself failed, and nothing is said about the request.
fn is_about_pushing(error: &OidcError) -> bool {
    match error {
        // There is nothing at this address, or nothing that takes a POST.
        OidcError::Rejected(said) => matches!(said.error.as_str(), "http_404" | "http_405" | "http_501"),
        // What somebody in between shows must not make the browser carry what was to be pushed.
        OidcError::Untrusted { .. } => false,
        error => error.is_unavailable(),
    }
}
