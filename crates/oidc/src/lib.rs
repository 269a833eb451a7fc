//! Speaks to authorization servers: discovery, authorization code with PKCE, device authorization, refresh, revocation,
//! verification of ID tokens (OAuth 2.0, OpenID Connect Core and Discovery, RFC 7636, RFC 8252, RFC 8628, RFC 8707,
//! RFC 9126, RFC 9207).
//!
//! Invariant: a secret leaves this crate only towards the endpoint it belongs to. Nothing is ever redirected, plain
//! http goes to loopback development issuers only, every answer is bounded in size and time, no key or document is
//! fetched because a token says so, and no error carries a secret or raw text of a server. Every failure of a refresh
//! says whether the refresh token may have been used up ([`RefreshError`]), so that the caller never has to guess.
//!
//! Limits: whoever holds the issuer's signing keys or a certificate the system trusts is the issuer. One-time use of a
//! [`Pending`] sign-in, the listener of its redirect URI and the binding to the person's browser are the caller's.

mod callback;
mod certificate;
mod client;
mod device;
mod diagnose;
mod discovery;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod id_token;
mod json;
mod keys;
mod metadata;
mod par;
mod show;
mod sign_in;
mod token;
mod way;

#[cfg(test)]
mod tests;

pub use callback::{CallbackError, Code};
pub use client::{Client, Revocation};
pub use device::{DeviceAnswer, DevicePending};
pub use diagnose::{Diagnosis, Fault, Handshake, Skew, Stage};
pub use error::{OidcError, RefreshError, ServerError};
pub use http::{Options, check_roots};
pub use metadata::Metadata;
pub use show::sanitise;
pub use sign_in::{AuthorizationRequest, Identity, KnownSubject, Pending, Prompt, SignInAsk, SignedIn};
pub use token::{IdToken, Target, TokenAnswer, TokenAsk};
pub use way::Way;
