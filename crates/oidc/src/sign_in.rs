//! One sign-in from the authorization request to the person who signed in (RFC 6749 §4.1, RFC 7636, RFC 8252).
//!
//! Invariant: verifier, `state` and `nonce` are fresh for each sign-in, 256 bits each, and never printed. PKCE is
//! always S256 and never left out.

mod joint;

use crate::{
    callback::{self, CallbackError, Code},
    error::OidcError,
    id_token::Claims,
    metadata::{Metadata, PROTOCOL_PARAMETERS},
    token::{TokenAnswer, TokenAsk},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use broker::{Account, Issuer, Offline, Requirement, Scope, ScopeSet, Span, Timestamp, ports::Entropy};
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, basic::BasicClient};
use secrecy::{ExposeSecret, SecretString};
use std::{borrow::Cow, fmt, sync::Arc};
use zeroize::Zeroizing;

/// What a sign-in asks for.
#[derive(Debug, Clone)]
pub struct SignInAsk {
    /// The account.
    pub account: Arc<Account>,
    /// The redirect URI to the letter, with the port that was bound; nothing for a device sign-in.
    pub redirect_uri: String,
    /// All scopes; `openid` is added where it is missing, and `offline_access` as the account says.
    pub scopes: ScopeSet,
    /// All `resource` values (RFC 8707 §2).
    pub resources: Vec<String>,
    /// All `audience` values, for providers that want them so.
    pub audiences: Vec<String>,
    /// What the code is redeemed for; `None` = for what was asked, without a target.
    pub redeem_for: Option<TokenAsk>,
    /// What the issuer is to show the person; `None` = as the account says.
    pub prompt: Option<Prompt>,
    /// What the sign-in has to be like; the ID token is held against it.
    pub requirement: Requirement,
}

/// What the issuer is to show the person (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Nothing: it answers from a session it has, or with an error.
    Nothing,
    /// A choice between accounts.
    SelectAccount,
    /// The sign-in, whatever session it has.
    Login,
}

impl Prompt {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::SelectAccount => "select_account",
            Self::Login => "login",
        }
    }
}

/// What every kind of sign-in needs to be finished.
pub(crate) struct Plan {
    pub(crate) account: Arc<Account>,
    pub(crate) metadata: Arc<Metadata>,
    /// What is redeemed.
    pub(crate) ask: TokenAsk,
    /// The scopes of the request.
    pub(crate) scopes: ScopeSet,
    pub(crate) max_age: Option<i64>,
    pub(crate) requirement: Requirement,
}

/// The parameters of a request that begins a sign-in, other than those of its kind.
pub(crate) type Parameters = Vec<(String, String)>;

/// A sign-in under way. Holds the secrets of it; use it once, within ten minutes.
pub struct Pending {
    pub(crate) plan: Plan,
    pub(crate) redirect_uri: String,
    pub(crate) verifier: SecretString,
    pub(crate) nonce: String,
    pub(crate) started_at: Timestamp,
    state: SecretString,
    address: SecretString,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("account", &self.plan.account.name.as_str())
            .field("issuer", &self.plan.metadata.issuer.as_str())
            .finish_non_exhaustive()
    }
}

/// The authorization request of a [`Pending`], to be sent by [`crate::Client::authorization_address`].
pub struct AuthorizationRequest {
    pub(crate) account: Arc<Account>,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) address: SecretString,
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest").field("account", &self.account.name.as_str()).finish_non_exhaustive()
    }
}

impl Pending {
    /// The authorization request. Ask for it when the browser is there: what is pushed ahead lives for a minute only.
    pub fn request(&self) -> AuthorizationRequest {
        AuthorizationRequest {
            account: Arc::clone(&self.plan.account),
            metadata: Arc::clone(&self.plan.metadata),
            address: self.address.clone(),
        }
    }

    /// The issuer it was started at.
    pub fn issuer(&self) -> &Issuer {
        &self.plan.metadata.issuer
    }

    /// Reads the raw query that came to the redirect URI. Changes nothing: that a sign-in ends with its first answer
    /// is the caller's to see to.
    ///
    /// # Errors
    /// [`CallbackError::NotOurs`] leaves this sign-in waiting, [`CallbackError::Failed`] ends it.
    pub fn check_callback(&self, raw_query: &str) -> Result<Code, CallbackError> {
        let metadata = &self.plan.metadata;
        callback::check(raw_query, self.state.expose_secret(), &metadata.issuer, metadata.names_itself)
    }

    pub(crate) fn prepare(
        ask: SignInAsk,
        metadata: Arc<Metadata>,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, OidcError> {
        let redirect = RedirectUrl::new(ask.redirect_uri.clone())
            .map_err(|_| OidcError::Config("the redirect URI is no address".to_owned()))?;
        let redirect_uri = ask.redirect_uri.clone();
        let (plan, parameters) = Plan::of(ask, metadata, true)?;
        let (verifier, state, nonce) = (fresh(entropy), fresh(entropy), fresh(entropy));
        let challenge =
            PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
        let client = BasicClient::new(ClientId::new(plan.account.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(plan.metadata.authorization_endpoint.clone()));
        let mut request = client
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .set_pkce_challenge(challenge)
            .add_scopes(plan.scopes.iter().map(|s| oauth2::Scope::new(s.as_str().to_owned())))
            .add_extra_param("nonce", nonce.expose_secret().to_owned());
        for (name, value) in parameters {
            request = request.add_extra_param(name, value);
        }
        let (address, _) = request.url();

        Ok(Self {
            plan,
            redirect_uri,
            nonce: nonce.expose_secret().to_owned(),
            address: SecretString::from(String::from(address)),
            verifier,
            started_at: now,
            state,
        })
    }
}

impl Plan {
    /// What is asked for, as a plan and as parameters. `browser`: whether an authorization endpoint gets them, to which
    /// what it shows the person can be told.
    pub(crate) fn of(ask: SignInAsk, metadata: Arc<Metadata>, browser: bool) -> Result<(Self, Parameters), OidcError> {
        let account = ask.account;
        let extra = &account.authorization_parameters;
        if let Some(name) = extra.keys().find(|name| PROTOCOL_PARAMETERS.contains(&name.as_str())) {
            return Err(OidcError::Config(format!("authorization_parameters may not hold {name}")));
        }
        let of_profile = match extra.get("max_age") {
            None => None,
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|s| (0..=i64::from(u32::MAX)).contains(s))
                    .ok_or_else(|| OidcError::Config("max_age is a number of seconds".to_owned()))?,
            ),
        };
        let demanded = ask.requirement.max_age.map(Span::as_seconds);
        let max_age = [of_profile, demanded].into_iter().flatten().min();
        let scopes = scopes(&account, ask.scopes, &metadata)?;
        let mut parameters = Parameters::new();
        let mut add = |name: &str, value: String| parameters.push((name.to_owned(), value));
        ask.resources.into_iter().for_each(|resource| add("resource", resource));
        ask.audiences.into_iter().for_each(|audience| add("audience", audience));
        if account.offline == Offline::Parameter && !extra.contains_key("access_type") {
            add("access_type", "offline".to_owned());
        }
        let offline = account.offline == Offline::Parameter || scopes.contains("offline_access");
        // Without a browser of ours there is nothing to add to what the account says.
        let asked = if browser { ask.prompt } else { None };
        if let Some(words) = prompt(asked, extra.get("prompt"), offline && browser, &metadata) {
            add("prompt", words);
        }
        if let Some(seconds) = max_age {
            add("max_age", seconds.to_string());
        }
        // Of what is demanded only what the account allows: then both are met by whatever the ID token says.
        let mut requirement = ask.requirement;
        requirement.acr_values = joint::acr_values(extra.get("acr_values"), requirement.acr_values)?;
        if !requirement.acr_values.is_empty() {
            add("acr_values", requirement.acr_values.join(" "));
        }
        if let Some(claims) = &requirement.claims {
            add("claims", joint::claims(extra.get("claims"), &claims.text)?);
        }
        let said: Vec<String> = parameters.iter().map(|(name, _)| name.clone()).collect();
        for (name, value) in extra {
            if name != "prompt" && !said.contains(name) {
                parameters.push((name.clone(), value.clone()));
            }
        }
        let plan = Self {
            ask: ask.redeem_for.unwrap_or_default(),
            requirement,
            account: Arc::clone(&account),
            metadata,
            scopes,
            max_age,
        };
        Ok((plan, parameters))
    }
}

/// What the issuer is told to show the person: what the account says stays, and what is asked for stands beside it.
fn prompt(asked: Option<Prompt>, profile: Option<&String>, offline: bool, metadata: &Metadata) -> Option<String> {
    let knows = |prompt: Prompt| metadata.prompts.as_ref().is_none_or(|all| all.iter().any(|p| p == prompt.word()));
    let asked = match asked {
        Some(Prompt::SelectAccount) if !knows(Prompt::SelectAccount) => Some(Prompt::Login),
        asked => asked,
    };
    let words: Vec<&str> = profile.map(|words| words.split_ascii_whitespace().collect()).unwrap_or_default();
    match (asked, words.is_empty()) {
        // "none" stands alone (OpenID Connect Core §3.1.2.1), and an account that names something is shown that.
        (Some(Prompt::Nothing), true) => Some(Prompt::Nothing.word().to_owned()),
        (None | Some(Prompt::Nothing), false) => profile.cloned(),
        (Some(prompt), false) => {
            let mut words: Vec<&str> = words.into_iter().filter(|word| *word != Prompt::Nothing.word()).collect();
            if !words.contains(&prompt.word()) {
                words.push(prompt.word());
            }
            Some(words.join(" "))
        }
        // OpenID Connect Core §11: without prompt=consent a request for offline access may be ignored.
        (Some(prompt), true) if offline => Some(format!("{} consent", prompt.word())),
        (Some(prompt), true) => Some(prompt.word().to_owned()),
        (None, true) => offline.then(|| "consent".to_owned()),
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
    /// The nonce of the sign-in; a refresh compares with it. A device sign-in has none.
    pub nonce: Option<String>,
    /// Names the claims that were demanded and are met ([`broker::WantedClaims::digest`]).
    pub claims: Option<String>,
}

impl Identity {
    /// What a refresh holds a new ID token against.
    pub fn known(&self) -> KnownSubject {
        KnownSubject { subject: self.subject.clone(), nonce: self.nonce.clone(), auth_time: self.auth_time }
    }

    pub(crate) fn of(claims: &Claims, issuer: &Issuer, nonce: Option<String>, demanded: &Requirement) -> Self {
        Self {
            issuer: issuer.clone(),
            subject: claims.subject.clone(),
            display_name: claims.person(&["name", "preferred_username", "email"]),
            auth_time: claims.auth_time,
            acr: claims.acr.clone(),
            amr: claims.amr.clone(),
            nonce,
            claims: demanded.claims.as_ref().map(|claims| claims.digest.clone()),
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
    /// When the person was authenticated, seconds since the epoch: a refreshed ID token says nothing else.
    pub auth_time: Option<i64>,
}

/// A finished sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who signed in.
    pub identity: Identity,
    /// The tokens; the ID token is always there.
    pub tokens: TokenAnswer,
}
