//! Renewing tokens: one refresh at a time per account, whatever the number of callers, and no refresh token used again
//! after an answer that may have been lost, but for one check.
//!
//! Invariants: a use of a refresh token is written down before it is sent; a new refresh token is in the keychain
//! before anybody gets the access token that came with it; a renewal once begun runs to its end even if whoever asked
//! for it goes away.

use crate::{
    accounts::{Entry, Failure, Held, Kept, SignIn, Target, TokenKey},
    agent::Agent,
    random,
    store::{AuditEntry, lock},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use broker::{
    Account, CachedToken, ExposeSecret, Refusal, Resource, ScopeSet, SecretString, Span, Timestamp, TokenKind,
};
use oidc::{OidcError, RefreshError, TokenAnswer, TokenAsk};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Pause before the one check after an answer that got lost on the way.
const CHECK_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });
/// The agent itself tries the one check this long after the lost answer at the earliest.
const CHECK_REST: Span = Span::seconds(60);
/// In place of a pause: nothing was tried.
const NOT_TRIED: Option<Span> = Some(Span::seconds(0));
/// A forced renewal of one token at most this often.
const FORCED_PAUSE: Duration = Duration::from_secs(10);
/// After a failure the issuer is left alone this long, doubling, unless it names a time itself.
const FIRST_PAUSE: i64 = 1000;
const LONGEST_PAUSE: i64 = 15_000;
/// After it did not answer at all.
const HANG_PAUSE: Span = Span::seconds(5);

/// A renewal somebody needs.
#[derive(Clone)]
pub(crate) struct Need {
    pub(crate) account: Arc<Account>,
    pub(crate) key: TokenKey,
    /// The resource, for checking the audience; `None` for the account's own.
    pub(crate) resource: Option<Arc<Resource>>,
    pub(crate) min_valid: Span,
    /// A new one even if one is at hand.
    pub(crate) forced: bool,
    /// By the agent itself, ahead of time.
    pub(crate) ahead: bool,
}

impl Agent {
    /// Renews a token, or joins a renewal that is under way.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn renew(self: &Arc<Self>, need: Need) -> Result<CachedToken, Refusal> {
        let agent = Arc::clone(self);
        // Its own task: a caller that hangs up must not cut a refresh off after it was sent.
        tokio::spawn(async move { agent.renew_in_turn(&need).await })
            .await
            .unwrap_or_else(|_| Err(Refusal::Internal("the renewal ended unexpectedly".to_owned())))
    }

    async fn renew_in_turn(self: &Arc<Self>, need: &Need) -> Result<CachedToken, Refusal> {
        let arrived = Instant::now();
        let entry = self.accounts.entry(&need.account.name);
        let _turn = entry.renewing.lock().await;
        if let Some(held) = self.accounts.token(&need.key, &need.account)
            && (held.obtained >= arrived
                || (!need.forced && !need.ahead && held.token.is_fresh(self.now(), need.min_valid)))
        {
            return Ok(held.token);
        }
        if let Some(refusal) = self.recent_failure(&entry, need, arrived) {
            return Err(refusal);
        }
        if need.forced {
            let mut forced = lock(&entry.forced);
            let now = Instant::now();
            forced.retain(|_, at| now.duration_since(*at) < FORCED_PAUSE);
            if let Some(at) = forced.get(&need.key) {
                let left = FORCED_PAUSE.saturating_sub(now.duration_since(*at));
                let seconds = i64::try_from(left.as_secs()).unwrap_or(10) + 1;
                return Err(Refusal::RateLimited { retry_after: Span::seconds(seconds) });
            }
            forced.insert(need.key.clone(), now);
        }
        let result = self.speak_to_issuer(&entry, need).await;
        match &result {
            Ok(_) => {
                lock(&entry.failures).retain(|key, _| key.is_some() && key.as_ref() != Some(&need.key));
                *lock(&entry.unreachable) = None;
            }
            // Our own restraint is no failure of the issuer's, and keeps nobody else waiting.
            Err((_, pause)) if *pause == NOT_TRIED => {}
            Err((refusal, pause)) => self.note_failure(&entry, need, refusal, *pause),
        }
        result.map_err(|(refusal, _)| refusal)
    }

    /// A failure that still counts: one everybody here waited for, or one whose pause is not over.
    fn recent_failure(&self, entry: &Entry, need: &Need, arrived: Instant) -> Option<Refusal> {
        let now = self.now();
        let failures = lock(&entry.failures);
        [None, Some(need.key.clone())].iter().find_map(|key| {
            let failure = failures.get(key)?;
            // A pause that seems longer than any is a clock that was set back.
            let pausing = now < failure.until && now.until(failure.until) <= Span::hours(1);
            (failure.at >= arrived || pausing).then(|| failure.refusal.clone())
        })
    }

    fn note_failure(&self, entry: &Entry, need: &Need, refusal: &Refusal, pause: Option<Span>) {
        let whole = matches!(refusal, Refusal::IssuerUnavailable(_) | Refusal::LoginRequired(_));
        let key = (!whole).then(|| need.key.clone());
        let mut jitter = [0_u8; 1];
        self.entropy.fill(&mut jitter);
        {
            let mut failures = lock(&entry.failures);
            let count = failures.get(&key).map_or(0, |f| f.count);
            let millis =
                (FIRST_PAUSE << count.min(8)).min(LONGEST_PAUSE) * (900 + i64::from(jitter[0]) * 200 / 255) / 1000;
            let millis = match (refusal, pause) {
                (Refusal::LoginRequired(_) | Refusal::RateLimited { .. }, _) => 0,
                (_, Some(pause)) => pause.as_millis(),
                (_, None) => millis,
            };
            let until = Timestamp::from_millis(self.now().as_millis() + millis);
            failures.insert(key, Failure { at: Instant::now(), refusal: refusal.clone(), until, count: count + 1 });
        }
        if let Refusal::IssuerUnavailable(why) = refusal {
            *lock(&entry.unreachable) = Some(why.clone());
        }
        self.log(AuditEntry {
            event: "refresh.failed",
            code: crate::server::code_of(refusal).as_str().to_owned(),
            account: Some(entry.name.to_string()),
            resource: need.resource.as_ref().map(|r| r.name.to_string()),
            ..AuditEntry::default()
        });
        self.changed("accounts");
    }

    async fn speak_to_issuer(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        need: &Need,
    ) -> Result<CachedToken, (Refusal, Option<Span>)> {
        let account = &need.account;
        let own = own_ask(account);
        let wanted_ask = ask_of(account, &need.key);
        let asks_own = matches!(need.key.target, Target::Own | Target::IdToken);
        let lost_sign_in = || (Refusal::LoginRequired(account.name.clone()), None);
        let internal = |e: crate::store::StoreError| (Refusal::Internal(e.to_string()), None);
        let failpoint = crate::failpoints::reach;
        // Whether the account's own scopes are to be tried because this resource alone was refused, and whether an
        // answer got lost in this very call: then a good check is the end of it.
        let (mut checking_for_resource, mut lost_before) = (false, false);
        loop {
            // Whatever ends the sign-in from here on ends this renewal too.
            let era = entry.era();
            let sign_in = self.sign_in_of(account).await.map_err(|refusal| (refusal, None))?;
            let Some(refresh_token) = sign_in.refresh_token.clone() else {
                return Err((Refusal::InteractionRequired(account.name.clone()), None));
            };
            let print = random::hash(refresh_token.expose_secret());
            let attempt = self.store.attempt(account.name.as_str(), &print).map_err(internal)?;
            let uses = attempt.map_or(0, |a| a.uses);
            if uses >= 2 {
                self.erase(entry, "refresh.unanswered").await;
                return Err(lost_sign_in());
            }
            // What reaches no issuer uses nothing up, so the way there is tried before a use is written down. Before
            // the one retry it is tried afresh: it must not be spent on an issuer that is still away.
            let way = if uses == 1 {
                let rested = attempt.is_some_and(|a| a.started + CHECK_REST <= self.now());
                if need.ahead && !rested {
                    return Err((Refusal::IssuerUnavailable("the last renewal got no answer".to_owned()), NOT_TRIED));
                }
                self.oidc.probe(&account.issuer).await
            } else {
                self.oidc.discover(&account.issuer).await.map(|_| ())
            };
            way.map_err(|error| refusal_of(&error, account, need))?;
            if entry.era() != era {
                return Err(lost_sign_in());
            }
            // After an answer that may be lost, the one retry asks for the account's own scopes and is the check too.
            let check = uses == 1 || checking_for_resource;
            let ask = if check { &own } else { &wanted_ask };
            let is_own = check || asks_own;
            failpoint("refresh.before");
            let set = |uses| self.store.set_attempts(account.name.as_str(), &print, uses, self.now()).map_err(internal);
            set(uses + 1)?;
            failpoint("refresh.noted");
            let answer = self.oidc.refresh(account, &refresh_token, ask, &known_subject(&sign_in)).await;
            failpoint("refresh.answered");
            if entry.era() != era {
                self.drop_orphan(account, answer).await;
                return Err(lost_sign_in());
            }
            match answer {
                Ok(answer) => {
                    let only_check = check && !asks_own;
                    let token = self.keep_answer(entry, &sign_in, answer, need, only_check, &print, era).await;
                    failpoint("refresh.kept");
                    if only_check {
                        if checking_for_resource {
                            return Err((Refusal::InteractionRequired(account.name.clone()), None));
                        }
                        if lost_before {
                            let why = "its answer got lost on the way; the sign-in itself is fine".to_owned();
                            return Err((Refusal::IssuerUnavailable(why), Some(HANG_PAUSE)));
                        }
                        token.map_err(|refusal| (refusal, None))?;
                        continue;
                    }
                    return token.map_err(|refusal| (refusal, None));
                }
                Err(RefreshError::Answered(error) | RefreshError::Refused(error))
                    if uses == 1 && !error.is_unavailable() =>
                {
                    // The one retry was refused, in whatever words: that was the check.
                    tracing::warn!(account = %account.name, %error, "the check after a lost answer was refused");
                    self.erase(entry, "refresh.invalid_grant").await;
                    return Err(lost_sign_in());
                }
                Err(RefreshError::Answered(error))
                    if matches!(error, OidcError::Unavailable { retry_after: None, .. }) =>
                {
                    // It may have acted before it failed: the next use is the check. See docs/adr/0004.
                    set(1)?;
                    return Err(refusal_of(&error, account, need));
                }
                Err(RefreshError::NotSent(error) | RefreshError::Answered(error) | RefreshError::Refused(error)) => {
                    set(uses)?;
                    return Err(refusal_of(&error, account, need));
                }
                Err(RefreshError::InvalidGrant { .. }) if is_own => {
                    self.erase(entry, "refresh.invalid_grant").await;
                    return Err(lost_sign_in());
                }
                Err(RefreshError::InvalidGrant { .. }) => {
                    set(uses)?;
                    checking_for_resource = true;
                }
                Err(RefreshError::Malformed { error, refresh_token: new }) => {
                    // An answer came, whole; only what it brought cannot be used.
                    let rotated = new.is_some();
                    let durable = match new {
                        Some(new) => {
                            self.keep(entry, renewed(&sign_in, Some(new), None, self.now()), era).await == Kept::Durable
                        }
                        None => true,
                    };
                    if !rotated {
                        set(uses)?;
                    } else if durable {
                        set(0)?;
                    }
                    return Err(refusal_of(&error, account, need));
                }
                Err(RefreshError::Unverified { error, refresh_token: new }) => {
                    tracing::error!(account = %account.name, "the issuer's answer is for somebody else: it is not used");
                    if new.is_none() {
                        set(uses)?;
                    }
                    return Err(refusal_of(&error, account, need));
                }
                Err(RefreshError::Lost(error)) => {
                    if uses == 1 {
                        self.erase(entry, "refresh.unanswered").await;
                        return Err(lost_sign_in());
                    }
                    if need.ahead || matches!(error, OidcError::Timeout(_)) {
                        let (refusal, _) = refusal_of(&error, account, need);
                        return Err((refusal, Some(HANG_PAUSE)));
                    }
                    lost_before = true;
                    tokio::time::sleep(CHECK_PAUSE).await;
                }
            }
        }
    }

    /// What came after the sign-in ended belongs to nobody: the issuer is told.
    async fn drop_orphan(&self, account: &Account, answer: Result<TokenAnswer, RefreshError>) {
        let orphan = match answer {
            Ok(TokenAnswer { refresh_token, .. })
            | Err(RefreshError::Malformed { refresh_token, .. } | RefreshError::Unverified { refresh_token, .. }) => {
                refresh_token
            }
            Err(_) => None,
        };
        if let Some(orphan) = orphan
            && let Err(error) = self.oidc.revoke(account, &orphan).await
        {
            tracing::warn!(account = %account.name, %error, "a token that came after the sign-out could not be revoked");
        }
    }

    /// Keeps what a refresh brought: the refresh token durably first, then the tokens at hand.
    #[allow(clippy::too_many_arguments, reason = "one step of one procedure")]
    async fn keep_answer(
        &self,
        entry: &Entry,
        sign_in: &SignIn,
        answer: TokenAnswer,
        need: &Need,
        only_check: bool,
        print: &str,
        era: u64,
    ) -> Result<CachedToken, Refusal> {
        if answer.broader {
            tracing::warn!(account = %entry.name, scopes = %answer.scopes, "the issuer granted more scopes than were asked for");
        }
        let same = |new: &SecretString| {
            sign_in.refresh_token.as_ref().is_some_and(|old| old.expose_secret() == new.expose_secret())
        };
        let rotated = answer.refresh_token.as_ref().is_some_and(|new| !same(new));
        // What an earlier refresh could not write is written as soon as it can be, whatever this one brought.
        let owed = !*lock(&entry.durable);
        let kept = if answer.refresh_token.is_some() || answer.refresh_expires_at.is_some() || owed {
            let renewed = renewed(sign_in, answer.refresh_token.clone(), answer.refresh_expires_at, self.now());
            self.keep(entry, renewed, era).await
        } else {
            Kept::Durable
        };
        if kept == Kept::Superseded {
            self.drop_orphan(&need.account, Ok(answer)).await;
            return Err(Refusal::LoginRequired(entry.name.clone()));
        }
        crate::failpoints::reach("refresh.stored");
        // A rotation that is not durable still counts against the old token, which the keychain may hold.
        if (kept == Kept::Durable || !rotated)
            && let Err(error) = self.store.set_attempts(entry.name.as_str(), print, 0, self.now())
        {
            tracing::error!(account = %entry.name, %error, "the finished refresh could not be noted");
        }
        self.hold_answer(&need.account, &need.key, need.resource.as_deref(), &answer, only_check)
    }

    /// Puts the tokens of an answer at hand; returns the one asked for.
    pub(crate) fn hold_answer(
        &self,
        account: &Account,
        key: &TokenKey,
        resource: Option<&Resource>,
        answer: &TokenAnswer,
        only_check: bool,
    ) -> Result<CachedToken, Refusal> {
        let id_key = TokenKey { account: account.name.clone(), target: Target::IdToken, scopes: ScopeSet::new() };
        let id_token = answer.id_token.as_ref().map(|id| {
            self.hold(account, id_key.clone(), id.raw.clone(), TokenKind::Id, id.expires_at, ScopeSet::new())
        });
        if key.target == Target::IdToken {
            return id_token.ok_or_else(|| Refusal::InteractionRequired(account.name.clone()));
        }
        let key = if only_check {
            TokenKey { account: account.name.clone(), target: Target::Own, scopes: account.scopes.clone() }
        } else {
            key.clone()
        };
        if let (Target::Resource(audience) | Target::Audience(audience), Some(resource)) = (&key.target, resource)
            && !carries_audience(&answer.access_token, audience)
        {
            return Err(Refusal::AudienceMismatch(resource.name.clone()));
        }
        let scopes = answer.scopes.clone();
        Ok(self.hold(account, key, answer.access_token.clone(), TokenKind::Access, answer.expires_at, scopes))
    }

    fn hold(
        &self,
        account: &Account,
        key: TokenKey,
        value: SecretString,
        kind: TokenKind,
        expires_at: Timestamp,
        scopes: ScopeSet,
    ) -> CachedToken {
        let now = self.now();
        let token = CachedToken { value: Arc::new(value), kind, obtained_at: now, expires_at, scopes };
        let life = now.until(expires_at).as_millis();
        let mut byte = [0_u8; 1];
        self.entropy.fill(&mut byte);
        // Half life, jitter ± 10 %.
        let per_mille = 500 - 50 + i64::from(byte[0]) * 100 / 255;
        let renew_at = Timestamp::from_millis(now.as_millis() + life * per_mille / 1000);
        let of = (account.issuer.clone(), account.client_id.clone());
        self.accounts.hold(key, Held { token: token.clone(), of, obtained: Instant::now(), renew_at, used: false });
        token
    }
}

/// A sign-in with what a refresh brought.
fn renewed(sign_in: &SignIn, refresh_token: Option<SecretString>, ends: Option<Timestamp>, now: Timestamp) -> SignIn {
    let mut renewed = sign_in.clone();
    if let Some(refresh_token) = refresh_token {
        renewed.refresh_token = Some(refresh_token);
        // A new one lives by its own rules: an end the issuer does not repeat is not known any more.
        renewed.refresh_expires_at = ends;
        renewed.refreshed_at = now;
    } else if ends.is_some() {
        renewed.refresh_expires_at = ends;
        renewed.refreshed_at = now;
    }
    renewed
}

/// The request for the account's own scopes.
pub(crate) fn own_ask(account: &Account) -> TokenAsk {
    TokenAsk { scopes: Some(account.scopes.clone()), target: oidc::Target::None }
}

/// The request for a token at hand.
pub(crate) fn ask_of(account: &Account, key: &TokenKey) -> TokenAsk {
    let scopes = Some(key.scopes.clone()).filter(|s| !s.is_empty());
    match &key.target {
        Target::Own | Target::IdToken => own_ask(account),
        Target::Resource(audience) => TokenAsk { scopes, target: oidc::Target::Resource(audience.clone()) },
        Target::Audience(audience) => TokenAsk { scopes, target: oidc::Target::Audience(audience.clone()) },
        Target::Scopes => TokenAsk { scopes, target: oidc::Target::None },
    }
}

fn known_subject(sign_in: &SignIn) -> oidc::KnownSubject {
    let SignIn { subject, nonce, auth_time, .. } = sign_in;
    oidc::KnownSubject { subject: subject.clone(), nonce: nonce.clone(), auth_time: *auth_time }
}

/// Whether an access token may be handed out for this audience: opaque ones may, JWTs must name it.
pub(crate) fn carries_audience(token: &SecretString, audience: &str) -> bool {
    let token = token.expose_secret();
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return true;
    };
    let json = |part: &str| B64.decode(part).ok().and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
    let (Some(header), Some(payload)) = (json(header), json(payload)) else { return true };
    if header.get("alg").is_none() {
        return true;
    }
    match payload.get("aud") {
        Some(serde_json::Value::String(aud)) => aud == audience,
        Some(serde_json::Value::Array(all)) => all.iter().any(|aud| aud.as_str() == Some(audience)),
        _ => false,
    }
}

/// What an issuer's error means for whoever asked, and how long it wants to be left alone.
fn refusal_of(error: &OidcError, account: &Account, need: &Need) -> (Refusal, Option<Span>) {
    let refusal = crate::sign_in::refusal_of(error, account, need.resource.as_ref().map(|r| &r.name));
    let pause = match (&refusal, error) {
        (Refusal::IssuerUnavailable(_), OidcError::Timeout(_)) => Some(HANG_PAUSE),
        (Refusal::IssuerUnavailable(_), error) => error.retry_after().map(|wait| wait.max(Span::seconds(1))),
        _ => None,
    };
    (refusal, pause)
}

#[cfg(test)]
mod machine;

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> SecretString {
        format!("{}.{}.c2ln", B64.encode(r#"{"alg":"RS256"}"#), B64.encode(payload)).into()
    }

    #[test]
    fn only_a_jwt_that_names_the_audience_is_handed_out() {
        for (payload, fits) in [
            (r#"{"aud":"https://a"}"#, true),
            (r#"{"aud":["x","https://a"]}"#, true),
            (r#"{"aud":"https://a/"}"#, false),
            (r#"{"aud":["x"]}"#, false),
            (r#"{"aud":5}"#, false),
            ("{}", false),
        ] {
            assert_eq!(carries_audience(&jwt(payload), "https://a"), fits, "{payload}");
        }
        for opaque in ["abc", "a.b", "a.b.c", "..", "a.b.c.d"] {
            assert!(carries_audience(&opaque.to_owned().into(), "https://a"), "{opaque}");
        }
    }
}
