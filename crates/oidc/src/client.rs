//! The protocol from end to end: discover, sign in, refresh, revoke.
//!
//! Invariant: no lock is held across a request other than the issuer's own for its metadata and keys. Serialising
//! refreshes of one account and keeping the new refresh token are the caller's.

use crate::{
    callback::Code,
    diagnose::{self, Diagnosis},
    discovery::Discovery,
    error::{OidcError, RefreshError},
    http::{self, Form, Options, Transport, Trouble, What},
    id_token::{self, Claims, Expected, Occasion, SIGN_IN_LASTS, Unverified},
    metadata::Metadata,
    sign_in::{Identity, KnownSubject, Pending, Plan, SignInAsk, SignedIn},
    token::{self, IdToken, Target, TokenAnswer, TokenAsk, Unchecked},
};
use broker::{
    Account, EssentialClaim, Issuer, Requirement, Timestamp,
    ports::{Clock, Entropy},
};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) const TOKEN: What = "the token endpoint";
const REVOCATION: What = "the revocation endpoint";

/// How long a revocation may take in all, discovery included.
const REVOCATION_LASTS: Duration = Duration::from_secs(10);

/// Speaks to authorization servers. Cheap to clone; clones share what they know of issuers.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) transport: Transport,
    pub(crate) discovery: Discovery,
    pub(crate) clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Issuers that have taken a pushed request.
    pub(crate) pushed: Mutex<HashSet<Issuer>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The issuer was told, and agreed.
    Done,
    /// The issuer has no revocation endpoint.
    Unsupported,
}

impl Client {
    /// Prepares the network side; loads the trusted roots.
    ///
    /// # Errors
    /// [`OidcError::Config`] for a root or proxy that cannot be used.
    pub fn new(options: &Options, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, OidcError> {
        let transport = Transport::new(options)?;
        let (discovery, pushed) = (Discovery::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { transport, discovery, clock, entropy, pushed })))
    }

    /// Reaches issuers by these options from here on, and forgets what was learned of them by the former ones. What is
    /// under way goes on as it began.
    ///
    /// # Errors
    /// [`OidcError::Config`] for a root or proxy that cannot be used; then nothing changes.
    pub fn reach_by(&self, options: &Options) -> Result<(), OidcError> {
        self.0.transport.replace(options)?;
        self.0.discovery.forget();
        Ok(())
    }

    /// From here on, until [`Client::reach_by`] succeeds, nothing but loopback is reached: every request to elsewhere
    /// fails with this text.
    pub fn reach_only_loopback(&self, why: &str) {
        self.0.transport.close(why);
        self.0.discovery.forget();
    }

    /// Looks at the metadata of an issuer that may be none of ours: asks for it now, and keeps nothing.
    ///
    /// # Errors
    /// As [`Client::discover`].
    pub async fn look(&self, issuer: &Issuer) -> Result<Metadata, OidcError> {
        crate::discovery::look(&self.0.transport, issuer).await
    }

    /// The issuer's metadata: kept for 5 minutes to 24 hours, fetched by one caller at a time for each issuer.
    ///
    /// # Errors
    /// [`OidcError::BadMetadata`] when it must not be used, else why it could not be had; kept for one second.
    pub async fn discover(&self, issuer: &Issuer) -> Result<Arc<Metadata>, OidcError> {
        let Inner { transport, discovery, clock, .. } = &*self.0;
        discovery.metadata(transport, clock.as_ref(), issuer).await
    }

    /// Asks the issuer for its metadata now, to see whether it is there before something is risked on it.
    ///
    /// # Errors
    /// Why it is not there, or not as it should be.
    pub async fn probe(&self, issuer: &Issuer) -> Result<(), OidcError> {
        let Inner { transport, discovery, clock, .. } = &*self.0;
        discovery.probe(transport, clock.as_ref(), issuer).await
    }

    /// Looks at the way to the issuer stage by stage, for at most `within`. Whatever is known of the issuer stays as it is.
    pub async fn diagnose(&self, issuer: &Issuer, within: Duration) -> Diagnosis {
        diagnose::diagnose(&self.0.transport, self.0.clock.as_ref(), issuer, within).await
    }

    /// Prepares a sign-in: a fresh PKCE verifier, `state` and `nonce`, and the address of the authorization request.
    ///
    /// # Errors
    /// Those of [`Client::discover`], and [`OidcError::Config`].
    pub async fn begin(&self, ask: SignInAsk) -> Result<Pending, OidcError> {
        let metadata = self.discover(&ask.account.issuer).await?;
        Pending::prepare(ask, metadata, self.0.entropy.as_ref(), self.0.clock.now())
    }

    /// Redeems the code, once, and verifies the ID token in full.
    ///
    /// # Errors
    /// [`OidcError::Expired`] ten minutes after the start; [`OidcError::WrongAccount`] when a required claim differs;
    /// else why there are no tokens. The sign-in is over in any case.
    pub async fn redeem(&self, pending: Pending, code: Code) -> Result<SignedIn, OidcError> {
        let Pending { plan, .. } = &pending;
        let sent_at = self.0.clock.now();
        if sent_at >= pending.started_at + SIGN_IN_LASTS {
            return Err(OidcError::Expired);
        }
        let form = Form::default()
            .with("grant_type", "authorization_code")
            .with("code", code.0.expose_secret())
            .with("redirect_uri", &pending.redirect_uri)
            .with("code_verifier", pending.verifier.expose_secret());
        let form = for_target(form, &plan.ask);
        let answer = self.ask(&plan.account, &plan.metadata, form).await.map_err(Trouble::into_error)?;
        self.finish(plan, &answer, sent_at, Some(&pending.nonce)).await
    }

    /// Reads the answer that ends a sign-in and verifies its ID token in full.
    pub(crate) async fn finish(
        &self,
        plan: &Plan,
        answer: &http::Answer,
        sent_at: Timestamp,
        nonce: Option<&str>,
    ) -> Result<SignedIn, OidcError> {
        // An answer without scopes grants those of the authorization request (RFC 6749 §5.1).
        let Unchecked { tokens, id_token } =
            token::read(answer, Some(&plan.scopes), sent_at, TOKEN).map_err(RefreshError::into_error)?;
        let came = tokens.refresh_token.clone();
        let finished = self.person(plan, tokens, id_token, nonce).await;
        if let (Err(_), Some(came)) = (&finished, came) {
            self.turn_away(Arc::clone(&plan.account), came);
        }
        finished
    }

    /// Has the issuer take back what came with a sign-in that does not count, in the background.
    fn turn_away(&self, account: Arc<Account>, refresh_token: SecretString) {
        let client = self.clone();
        tokio::spawn(async move {
            if let Err(error) = client.revoke(&account, &refresh_token).await {
                tracing::warn!(account = %account.name, %error, "a sign-in that does not count could not be revoked");
            }
        });
    }

    /// Verifies who signed in, and how.
    async fn person(
        &self,
        plan: &Plan,
        mut tokens: TokenAnswer,
        id_token: Option<SecretString>,
        nonce: Option<&str>,
    ) -> Result<SignedIn, OidcError> {
        let Plan { account, metadata, requirement, .. } = plan;
        let raw = id_token.ok_or(OidcError::BadAnswer("it has no id_token"))?;
        let occasion = Occasion::SignIn { nonce, max_age: plan.max_age };
        let claims = self.verify(account, metadata, &raw, &tokens.access_token, occasion).await?;
        for (claim, wanted) in &account.required_claims {
            if claims.says(claim, wanted) != Some(true) {
                return Err(wrong_account(&claims, claim));
            }
        }
        if let Some(missing) = lacking(&claims, requirement) {
            return Err(OidcError::Unmet(missing));
        }
        let identity = Identity::of(&claims, &metadata.issuer, nonce.map(str::to_owned), requirement);
        tokens.id_token = Some(checked(raw, &claims));
        Ok(SignedIn { identity, tokens })
    }

    /// Redeems a refresh token. The caller holds the account's lock and keeps a new refresh token durably before it
    /// uses anything else of the answer.
    ///
    /// # Errors
    /// [`RefreshError`] says what became of the refresh token.
    pub async fn refresh(
        &self,
        account: &Account,
        refresh_token: &SecretString,
        ask: &TokenAsk,
        known: &KnownSubject,
    ) -> Result<TokenAnswer, RefreshError> {
        let metadata = self.discover(&account.issuer).await.map_err(RefreshError::NotSent)?;
        // The keys first: between the answer and its being kept nothing should have to be waited for.
        let Inner { transport, discovery, clock, .. } = &*self.0;
        if let Err(error) = discovery.keys(transport, clock.as_ref(), &metadata).await {
            tracing::debug!(%error, "the signing keys cannot be had ahead of the refresh");
        }
        let sent_at = self.0.clock.now();
        let form =
            Form::default().with("grant_type", "refresh_token").with("refresh_token", refresh_token.expose_secret());
        let answer = self.ask(account, &metadata, for_target(form, ask)).await.map_err(|trouble| match trouble {
            Trouble::NotSent(error) => RefreshError::NotSent(error),
            Trouble::Answered(error) => RefreshError::Answered(error),
            Trouble::Lost(error) => RefreshError::Lost(error),
        })?;
        let Unchecked { mut tokens, id_token } = token::read(&answer, ask.scopes.as_ref(), sent_at, TOKEN)?;
        if let Some(raw) = id_token {
            let KnownSubject { subject, nonce, auth_time } = known;
            let occasion = Occasion::Refresh { subject, nonce: nonce.as_deref(), auth_time: *auth_time };
            let verified = self.verify(account, &metadata, &raw, &tokens.access_token, occasion).await;
            let fitting = verified.and_then(|claims| {
                // A refreshed ID token may leave claims out (OpenID Connect Core §12.2), but not change them.
                let differs = |(claim, wanted): &(&String, &String)| claims.says(claim, wanted) == Some(false);
                match account.required_claims.iter().find(differs) {
                    Some((claim, _)) => Err(wrong_account(&claims, claim)),
                    None => Ok(claims),
                }
            });
            match fitting {
                Ok(claims) => tokens.id_token = Some(checked(raw, &claims)),
                Err(error) if speaks_of_somebody_else(&error) => {
                    return Err(RefreshError::Unverified { error, refresh_token: tokens.refresh_token });
                }
                // The keys cannot be had now, or a clock is wrong, which says nothing against the refresh token.
                Err(error) => return Err(RefreshError::Malformed { error, refresh_token: tokens.refresh_token }),
            }
        }
        Ok(tokens)
    }

    /// Tells the issuer that a refresh token is no longer wanted (RFC 7009); 10 seconds at most in all. Whatever the
    /// outcome, the token must not be used again.
    ///
    /// # Errors
    /// When the issuer was not told or did not agree: the token may live on there.
    pub async fn revoke(&self, account: &Account, refresh_token: &SecretString) -> Result<Revocation, OidcError> {
        let work = async {
            let metadata = self.discover(&account.issuer).await?;
            let Some(endpoint) = &metadata.revocation_endpoint else { return Ok(Revocation::Unsupported) };
            let form =
                Form::default().with("token", refresh_token.expose_secret()).with("token_type_hint", "refresh_token");
            let (form, authorization) = authenticate(form, account, &metadata)?;
            let answer = self.0.transport.post(endpoint, form, authorization, REVOCATION).await;
            let answer = answer.map_err(Trouble::into_error)?;
            if answer.is_success() && !answer.html {
                return Ok(Revocation::Done);
            }
            let said = crate::json::object(&answer.body).as_ref().and_then(crate::ServerError::read);
            Err(match said {
                Some(said) => crate::error::sort(said, answer.is_busy(), answer.retry_after),
                None => answer.refusal(REVOCATION),
            })
        };
        tokio::time::timeout(REVOCATION_LASTS, work).await.unwrap_or(Err(OidcError::Timeout(REVOCATION)))
    }

    pub(crate) async fn ask(
        &self,
        account: &Account,
        metadata: &Metadata,
        form: Form,
    ) -> Result<http::Answer, Trouble> {
        let (form, authorization) = authenticate(form, account, metadata).map_err(Trouble::NotSent)?;
        self.0.transport.post(&metadata.token_endpoint, form, authorization, TOKEN).await
    }

    async fn verify(
        &self,
        account: &Account,
        metadata: &Metadata,
        raw: &SecretString,
        access_token: &SecretString,
        occasion: Occasion<'_>,
    ) -> Result<Claims, OidcError> {
        let Inner { transport, discovery, clock, .. } = &*self.0;
        let token = Unverified::read(raw.expose_secret(), &metadata.algorithms).map_err(OidcError::BadIdToken)?;
        let keys = discovery.keys(transport, clock.as_ref(), metadata).await?;
        let mut signed = token.is_signed_by(&keys);
        if !signed && let Some(keys) = discovery.newer_keys(transport, clock.as_ref(), metadata, &keys).await? {
            signed = token.is_signed_by(&keys);
        }
        if !signed {
            return Err(OidcError::BadIdToken("no key of the issuer made its signature"));
        }
        let expected = Expected {
            issuer: &metadata.issuer,
            client_id: &account.client_id,
            access_token: access_token.expose_secret(),
            now: clock.now(),
            occasion,
        };
        token.claims(&expected).map_err(OidcError::BadIdToken)
    }
}

/// Whether a refreshed ID token is about somebody or something else than the sign-in.
fn speaks_of_somebody_else(error: &OidcError) -> bool {
    match error {
        OidcError::BadIdToken(fault) => id_token::IDENTITY_FAULTS.contains(fault),
        OidcError::WrongAccount { .. } => true,
        _ => false,
    }
}

/// Adds what one token request asks for: `scope`, and `resource` or `audience`.
pub(crate) fn for_target(mut form: Form, ask: &TokenAsk) -> Form {
    if let Some(scopes) = ask.scopes.as_ref().filter(|s| !s.is_empty()) {
        form = form.with("scope", &scopes.to_string());
    }
    match &ask.target {
        Target::None => form,
        Target::Resource(resource) => form.with("resource", resource),
        Target::Audience(audience) => form.with("audience", audience),
    }
}

/// Names the client: a public one by `client_id` alone, one with a secret as its issuer wants it (RFC 6749 §2.3.1).
pub(crate) fn authenticate(
    form: Form,
    account: &Account,
    metadata: &Metadata,
) -> Result<(Form, Option<HeaderValue>), OidcError> {
    match &account.client_secret {
        None => Ok((form.with("client_id", &account.client_id), None)),
        Some(secret) if metadata.secret_in_form => {
            let form = form.with("client_id", &account.client_id);
            Ok((form.with("client_secret", secret.expose_secret()), None))
        }
        Some(secret) => match http::basic(&account.client_id, secret.expose_secret()) {
            Some(value) => Ok((form, Some(value))),
            None => Err(OidcError::Config("the client_secret cannot be sent".to_owned())),
        },
    }
}

/// What of a demand the verified claims do not show; `auth_time` against `max_age` was looked at before.
fn lacking(claims: &Claims, demanded: &Requirement) -> Option<String> {
    let acrs = &demanded.acr_values;
    if !acrs.is_empty() && !acrs.iter().any(|acr| claims.says("acr", acr) == Some(true)) {
        return Some("the sign-in is not of the kind asked for (acr_values)".to_owned());
    }
    let essential = demanded.claims.iter().flat_map(|claims| &claims.essential);
    let shown = |claim: &EssentialClaim| match claims.says(&claim.name, "") {
        None => false,
        Some(_) => claim.values.is_empty() || claim.values.iter().any(|v| claims.says(&claim.name, v) == Some(true)),
    };
    essential.into_iter().find(|claim| !shown(claim)).map(|claim| format!("it does not show the claim {}", claim.name))
}

fn wrong_account(claims: &Claims, claim: &str) -> OidcError {
    let named = claims.person(&["email", "preferred_username", "name", "sub"]);
    OidcError::WrongAccount { display: named.unwrap_or_else(|| "somebody else".to_owned()), claim: claim.to_owned() }
}

fn checked(raw: SecretString, claims: &Claims) -> IdToken {
    IdToken { raw, expires_at: claims.expires_at, issued_at: claims.issued_at, auth_time: claims.auth_time }
}
