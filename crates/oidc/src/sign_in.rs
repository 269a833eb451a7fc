//! One sign-in from the authorization request to the person who signed in (RFC 6749 §4.1, RFC 7636, RFC 8252).
//!
//! Invariant: verifier, `state` and `nonce` are fresh for each sign-in, 256 bits each, and never printed. PKCE is
//! always S256 and never left out.

use crate::{
    callback::{self, CallbackError, Code},
    error::OidcError,
    id_token::Claims,
    metadata::{Metadata, PROTOCOL_PARAMETERS},
    token::{TokenAnswer, TokenAsk},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use broker::{Account, Issuer, Offline, Scope, ScopeSet, Timestamp, ports::Entropy};
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, basic::BasicClient};
use secrecy::{ExposeSecret, SecretString};
use std::{borrow::Cow, fmt, sync::Arc};
use zeroize::Zeroizing;

/// What a sign-in asks for.
#[derive(Debug)]
pub struct SignInAsk<'a> {
    /// The account.
    pub account: &'a Account,
    /// The redirect URI to the letter, with the port that was bound.
    pub redirect_uri: String,
    /// All scopes; `openid` is added where it is missing, and `offline_access` as the account says.
    pub scopes: ScopeSet,
    /// All `resource` values (RFC 8707 §2).
    pub resources: Vec<String>,
    /// All `audience` values, for providers that want them so.
    pub audiences: Vec<String>,
    /// What the code is redeemed for; `None` = for what was asked, without a target.
    pub redeem_for: Option<TokenAsk>,
}

/// A sign-in under way. Holds the secrets of it; use it once, within ten minutes.
pub struct Pending {
    pub(crate) account: Account,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) redirect_uri: String,
    pub(crate) ask: TokenAsk,
    /// The scopes of the authorization request.
    pub(crate) scopes: ScopeSet,
    pub(crate) verifier: SecretString,
    pub(crate) nonce: String,
    pub(crate) max_age: Option<i64>,
    pub(crate) started_at: Timestamp,
    state: SecretString,
    address: SecretString,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("account", &self.account.name.as_str())
            .field("issuer", &self.metadata.issuer.as_str())
            .finish_non_exhaustive()
    }
}

impl Pending {
    /// The address of the authorization request, for a 303. It holds `state` and `nonce`: never print or log it, never
    /// put it into an argument list.
    pub fn authorization_address(&self) -> &str {
        self.address.expose_secret()
    }

    /// The issuer it was started at.
    pub fn issuer(&self) -> &Issuer {
        &self.metadata.issuer
    }

    /// Reads the raw query that came to the redirect URI. Changes nothing: that a sign-in ends with its first answer
    /// is the caller's to see to.
    ///
    /// # Errors
    /// [`CallbackError::NotOurs`] leaves this sign-in waiting, [`CallbackError::Failed`] ends it.
    pub fn check_callback(&self, raw_query: &str) -> Result<Code, CallbackError> {
        callback::check(raw_query, self.state.expose_secret(), &self.metadata.issuer, self.metadata.names_itself)
    }

    pub(crate) fn prepare(
        ask: SignInAsk<'_>,
        metadata: Arc<Metadata>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, OidcError> {
        let account = ask.account;
        let config = |why: &str| OidcError::Config(why.to_owned());
        let extra = &account.authorization_parameters;
        if let Some(name) = extra.keys().find(|name| PROTOCOL_PARAMETERS.contains(&name.as_str())) {
            return Err(OidcError::Config(format!("authorization_parameters may not hold {name}")));
        }
        let max_age = match extra.get("max_age") {
            None => None,
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|s| (0..=i64::from(u32::MAX)).contains(s))
                    .ok_or_else(|| config("max_age is a number of seconds"))?,
            ),
        };
        let scopes = scopes(account, ask.scopes, &metadata)?;

        let (verifier, state, nonce) = (fresh(entropy), fresh(entropy), fresh(entropy));
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
        let redirect =
            RedirectUrl::new(ask.redirect_uri.clone()).map_err(|_| config("the redirect URI is no address"))?;
        let client = BasicClient::new(ClientId::new(account.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()));
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .set_pkce_challenge(challenge)
            .add_scopes(scopes.iter().map(|s| oauth2::Scope::new(s.as_str().to_owned())))
            .add_extra_param("nonce", nonce.expose_secret().to_owned());
        for resource in ask.resources {
            request = request.add_extra_param("resource", resource);
        }
        for audience in ask.audiences {
            request = request.add_extra_param("audience", audience);
        }
        if account.offline == Offline::Parameter && !extra.contains_key("access_type") {
            request = request.add_extra_param("access_type", "offline");
        }
        // OpenID Connect Core §11: without prompt=consent a request for offline access may be ignored.
        let offline = account.offline == Offline::Parameter || scopes.contains("offline_access");
        if offline && !extra.contains_key("prompt") {
            request = request.add_extra_param("prompt", "consent");
        }
        for (name, value) in extra {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        let (address, _) = request.url();

        Ok(Self {
            account: account.clone(),
            redirect_uri: ask.redirect_uri,
            ask: ask.redeem_for.unwrap_or_default(),
            nonce: nonce.expose_secret().to_owned(),
            address: SecretString::from(String::from(address)),
            metadata,
            scopes,
            verifier,
            max_age,
            started_at: now,
            state,
        })
    }
}

/// The scopes of the authorization request.
fn scopes(account: &Account, mut scopes: ScopeSet, metadata: &Metadata) -> Result<ScopeSet, OidcError> {
    let wants_offline = match account.offline {
        Offline::Auto => metadata.lists_offline_access(),
        Offline::Scope => true,
        Offline::Parameter | Offline::None => false,
    };
    for (wanted, word) in [(true, "openid"), (wants_offline, "offline_access")] {
        if wanted {
            scopes.insert(word.parse::<Scope>().map_err(|e| OidcError::Config(e.to_string()))?);
        }
    }
    Ok(scopes)
}

/// 256 fresh bits as 43 characters that need no escaping anywhere (RFC 7636 §4.1).
fn fresh(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    entropy.fill(bytes.as_mut_slice());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

/// Who signed in, as a verified ID token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer.
    pub issuer: Issuer,
    /// The subject: unique and never reassigned at this issuer (OpenID Connect Core §5.7).
    pub subject: String,
    /// A name for people to recognise, without control and direction characters, at most 200 characters.
    pub display_name: Option<String>,
    /// When the person was authenticated, seconds since the epoch.
    pub auth_time: Option<i64>,
    /// The authentication context class.
    pub acr: Option<String>,
    /// The authentication methods, at most 20.
    pub amr: Vec<String>,
    /// The nonce of the sign-in; a refresh compares with it.
    pub nonce: String,
}

impl Identity {
    /// What a refresh holds a new ID token against.
    pub fn known(&self) -> KnownSubject {
        KnownSubject { subject: self.subject.clone(), nonce: Some(self.nonce.clone()) }
    }

    pub(crate) fn of(claims: &Claims, issuer: &Issuer, nonce: String) -> Self {
        Self {
            issuer: issuer.clone(),
            subject: claims.subject.clone(),
            display_name: claims.person(&["name", "preferred_username", "email"]),
            auth_time: claims.auth_time,
            acr: claims.acr.clone(),
            amr: claims.amr.clone(),
            nonce,
        }
    }
}

/// The person a refresh token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSubject {
    /// The subject of the sign-in.
    pub subject: String,
    /// The nonce of the sign-in; without it a refreshed ID token must have none.
    pub nonce: Option<String>,
}

/// A finished sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who signed in.
    pub identity: Identity,
    /// The tokens; the ID token is always there.
    pub tokens: TokenAnswer,
}
