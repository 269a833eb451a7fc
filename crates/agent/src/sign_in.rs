//! Signing in: the sign-in's own listener on the redirect address, from `/start/{ticket}` to `/done/{nonce}`.
//!
//! Invariants: the listener is bound before the browser opens and held until the answer is in; the browser that
//! answers is the one that started (a cookie set by `/start`); `state`, `nonce` and the challenge reach the browser
//! through a 303 only, never an argument list; a callback is consumed once.

mod listener;

use crate::{
    accounts::{Entry, Kept, SignIn, Target, TokenKey},
    agent::Agent,
    random,
    server::{ApiError, body_of},
    store::{AuditEntry, Person, lock},
};
use broker::{Account, AccountName, Refusal, ResourceName, SecretString};
use listener::{Listening, bind};
use localapi::{Code, ErrorBody, SignInState, SignedOut};
use oidc::{OidcError, Pending, Revocation, SignInAsk};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

/// A sign-in nobody finishes is given up after this.
const PATIENCE: Duration = Duration::from_mins(10);
/// One started by the command is given up when the command has not asked for so long.
const UNWATCHED: Duration = Duration::from_secs(75);
/// How long a finished sign-in can still be asked about.
const REMEMBERED: Duration = Duration::from_mins(5);

/// How a sign-in ended.
#[derive(Clone)]
pub(crate) enum Outcome {
    Pending,
    SignedIn { subject: String, display_name: Option<String>, notices: Vec<String> },
    Failed(Box<ErrorBody>),
}

/// One sign-in.
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) account: Account,
    pub(crate) started: Instant,
    pub(crate) outcome: tokio::sync::watch::Sender<Outcome>,
    /// What the callback consumes.
    pub(crate) pending: Mutex<Option<Pending>>,
    /// The one-time start address and the cookie it sets.
    pub(crate) ticket: Mutex<Option<String>>,
    pub(crate) cookie: Mutex<Option<String>>,
    /// Hash of the answer that was consumed: a browser that loads it twice is shown the same end.
    pub(crate) consumed: Mutex<Option<String>>,
    /// Names the page shown at the end.
    pub(crate) done: Mutex<Option<String>>,
    pub(crate) cancel: tokio::sync::Notify,
    watched: Mutex<Option<Instant>>,
    redeem_for: Option<(TokenKey, Arc<broker::Resource>)>,
}

/// All sign-ins under way or just finished.
#[derive(Default)]
pub(crate) struct SignIns {
    attempts: Mutex<HashMap<String, Arc<Attempt>>>,
}

impl SignIns {
    /// Whether a sign-in to this account is under way.
    pub(crate) fn is_pending(&self, account: &AccountName) -> bool {
        lock(&self.attempts)
            .values()
            .any(|a| &a.account.name == account && matches!(*a.outcome.borrow(), Outcome::Pending))
    }

    fn get(&self, id: &str) -> Option<Arc<Attempt>> {
        lock(&self.attempts).get(id).cloned()
    }
}

impl Attempt {
    pub(crate) fn is_pending(&self) -> bool {
        matches!(*self.outcome.borrow(), Outcome::Pending)
    }

    fn state(&self) -> SignInState {
        let mut state = SignInState {
            id: self.id.clone(),
            account: self.account.name.to_string(),
            state: "pending".to_owned(),
            address: None,
            browser_opened: false,
            subject: None,
            display_name: None,
            error: None,
            expires_in: i64::try_from(PATIENCE.saturating_sub(self.started.elapsed()).as_secs()).unwrap_or(0),
            notices: Vec::new(),
        };
        match &*self.outcome.borrow() {
            Outcome::Pending => {}
            Outcome::SignedIn { subject, display_name, notices } => {
                "signed_in".clone_into(&mut state.state);
                state.subject = Some(subject.clone());
                state.display_name.clone_from(display_name);
                state.notices.clone_from(notices);
            }
            Outcome::Failed(error) => {
                "failed".clone_into(&mut state.state);
                state.error = Some((**error).clone());
            }
        }
        state
    }

    fn fail(&self, refusal: &Refusal) {
        self.fail_with(body_of(refusal));
    }

    pub(crate) fn fail_with(&self, body: ErrorBody) {
        self.outcome.send_if_modified(|outcome| {
            let pending = matches!(outcome, Outcome::Pending);
            if pending {
                *outcome = Outcome::Failed(Box::new(body));
            }
            pending
        });
        *lock(&self.pending) = None;
        *lock(&self.ticket) = None;
    }
}

fn gave_up(text: &str) -> ErrorBody {
    let mut body = body_of(&Refusal::InvalidRequest(text.to_owned()));
    body.code = Code::LoginRequired;
    Code::LoginRequired.error().clone_into(&mut body.error);
    body.hint = Some("start again: daypass login".to_owned());
    body
}

/// What an issuer's error means, as a refusal with a stable code.
pub(crate) fn refusal_of(error: &OidcError, account: &Account, resource: Option<&ResourceName>) -> Refusal {
    let text = error.to_string();
    let text = ["the issuer is unavailable: ", "the issuer refused: "]
        .iter()
        .find_map(|start| text.strip_prefix(start).map(str::to_owned))
        .unwrap_or(text);
    match error {
        OidcError::InteractionRequired(_) => Refusal::InteractionRequired(account.name.clone()),
        OidcError::LoginRequired(_) | OidcError::Expired => Refusal::LoginRequired(account.name.clone()),
        OidcError::WrongAccount { .. } => Refusal::WrongAccount(text),
        OidcError::InvalidTarget(_) => match resource {
            Some(resource) => Refusal::AudienceMismatch(resource.clone()),
            None => Refusal::IssuerRejected(text),
        },
        OidcError::Unavailable { .. } | OidcError::Timeout { .. } | OidcError::CaptivePortal { .. } => {
            Refusal::IssuerUnavailable(text)
        }
        _ => Refusal::IssuerRejected(text),
    }
}

impl Agent {
    /// Begins a sign-in: listener first, then the browser. An older one to the same account is given up.
    ///
    /// # Errors
    /// When the issuer cannot be discovered or no redirect address can be bound.
    pub(crate) async fn begin_sign_in(
        self: &Arc<Self>,
        account: &Account,
        open_browser: bool,
        watched: bool,
    ) -> Result<SignInState, ApiError> {
        let rules = self.rules();
        if let Some(why) = &rules.locked {
            return Err(Refusal::ProfileInvalid(why.clone()).into());
        }
        self.give_up_others(account);
        let resources: Vec<_> = rules.issuer_resources(&account.name).cloned().collect();
        let by = |want: broker::RequestAs| {
            let mut all: Vec<String> =
                resources.iter().filter(|r| r.request == want).filter_map(|r| r.audience.clone()).collect();
            all.sort();
            all.dedup();
            all
        };
        let redeem_for = resources
            .iter()
            .find(|r| r.request == broker::RequestAs::Resource && r.audience.is_some())
            .map(|r| (TokenKey::of(r, &r.scopes), r.clone()));
        let listening = bind(account).await.map_err(|(uri, error)| {
            ApiError::new(Code::IssuerRejected, format!("the redirect address {uri} cannot be used: {error}"))
                .with_hint("close the program that uses this port, or name another redirect_uri in the profile")
        })?;
        let ask = SignInAsk {
            account,
            redirect_uri: listening.redirect_uri.clone(),
            scopes: rules.sign_in_scopes(account),
            resources: by(broker::RequestAs::Resource),
            audiences: by(broker::RequestAs::Audience),
            redeem_for: redeem_for.as_ref().map(|(key, _)| crate::renewal::ask_of(account, key)),
        };
        let pending = self.oidc.begin(ask).await.map_err(|error| {
            let refusal = refusal_of(&error, account, None);
            self.log_sign_in(account, "sign_in.failed", crate::server::code_of(&refusal).as_str());
            ApiError::from(refusal)
        })?;
        let ticket = random::capability(self.entropy.as_ref());
        let start = format!("{}/start/{ticket}", listening.origin);
        let attempt = Arc::new(Attempt {
            id: random::hex_name::<8>(self.entropy.as_ref()),
            account: account.clone(),
            started: Instant::now(),
            outcome: tokio::sync::watch::channel(Outcome::Pending).0,
            pending: Mutex::new(Some(pending)),
            ticket: Mutex::new(Some(ticket)),
            cookie: Mutex::new(None),
            consumed: Mutex::new(None),
            done: Mutex::new(None),
            cancel: tokio::sync::Notify::new(),
            watched: Mutex::new(watched.then(Instant::now)),
            redeem_for,
        });
        lock(&self.sign_ins.attempts).insert(attempt.id.clone(), Arc::clone(&attempt));
        self.serve_sign_in(listening, &attempt);
        let mut state = attempt.state();
        state.browser_opened = open_browser && crate::consents::open_address(&rules, &start);
        state.address = Some(start);
        self.changed("accounts");
        Ok(state)
    }

    fn give_up_others(&self, account: &Account) {
        let fixed = account.redirect_uris.iter().any(|uri| uri.port.is_some());
        let attempts = lock(&self.sign_ins.attempts);
        for other in attempts.values() {
            if other.account.name == account.name && other.is_pending() {
                other.fail_with(gave_up("another sign-in to this account was started"));
                other.cancel.notify_one();
            } else if fixed && !other.is_pending() {
                // A finished one only keeps its last page; a fixed port is needed again.
                other.cancel.notify_one();
            }
        }
    }

    /// Gives up what is being signed in to an account somebody signs out of.
    fn give_up_sign_ins(&self, account: &Account) {
        for attempt in lock(&self.sign_ins.attempts).values() {
            if attempt.account.name == account.name && attempt.is_pending() {
                attempt.fail_with(gave_up("you signed out while the sign-in was being finished"));
                attempt.cancel.notify_one();
            }
        }
    }

    fn serve_sign_in(self: &Arc<Self>, listening: Listening, attempt: &Arc<Attempt>) {
        let (agent, attempt) = (Arc::clone(self), Arc::clone(attempt));
        let serving: Vec<_> = listening.serve(&agent, &attempt);
        tokio::spawn(async move {
            let mut outcome = attempt.outcome.subscribe();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            loop {
                tokio::select! {
                    biased;
                    changed = outcome.wait_for(|o| !matches!(o, Outcome::Pending)) => {
                        drop(changed);
                        break;
                    }
                    () = attempt.cancel.notified() => break,
                    () = tokio::time::sleep_until(deadline) => {
                        attempt.fail_with(gave_up("the sign-in was not finished in ten minutes"));
                    }
                    () = tokio::time::sleep(Duration::from_secs(5)) => {
                        let unwatched = lock(&attempt.watched).is_some_and(|at| at.elapsed() > UNWATCHED);
                        if unwatched {
                            attempt.fail_with(gave_up("the command that started the sign-in went away"));
                        }
                    }
                }
            }
            let (event, code) = match &*attempt.outcome.borrow() {
                Outcome::SignedIn { .. } => ("sign_in.done", "ok".to_owned()),
                Outcome::Failed(error) => ("sign_in.failed", error.code.as_str().to_owned()),
                Outcome::Pending => ("sign_in.failed", Code::LoginRequired.as_str().to_owned()),
            };
            agent.log_sign_in(&attempt.account, event, &code);
            agent.changed("accounts");
            if lock(&attempt.done).is_some() {
                tokio::select! {
                    () = tokio::time::sleep(listener::DONE_TIME) => {}
                    () = attempt.cancel.notified() => {}
                }
            }
            for task in &serving {
                task.abort();
            }
            tokio::time::sleep(REMEMBERED).await;
            lock(&agent.sign_ins.attempts).remove(&attempt.id);
        });
    }

    fn log_sign_in(&self, account: &Account, event: &'static str, code: &str) {
        self.log(AuditEntry {
            event,
            code: code.to_owned(),
            account: Some(account.name.to_string()),
            ..AuditEntry::default()
        });
    }

    /// State of a sign-in, waiting for its end at most so long.
    pub(crate) async fn sign_in_state(&self, id: &str, wait: Duration) -> Option<SignInState> {
        let attempt = self.sign_ins.get(id)?;
        let touch = || {
            if let Some(at) = lock(&attempt.watched).as_mut() {
                *at = Instant::now();
            }
        };
        touch();
        let mut outcome = attempt.outcome.subscribe();
        let ended = outcome.wait_for(|o| !matches!(o, Outcome::Pending));
        let _ = tokio::time::timeout(wait, ended).await.map(|found| found.map(|_| ()));
        touch();
        Some(attempt.state())
    }

    /// Gives a sign-in up; false when there is none of that name.
    pub(crate) fn cancel_sign_in(&self, id: &str) -> bool {
        let Some(attempt) = self.sign_ins.get(id) else { return false };
        attempt.fail_with(gave_up("the sign-in was cancelled"));
        attempt.cancel.notify_one();
        true
    }

    /// Takes the code of the callback: redeems it, keeps the sign-in, puts the first tokens at hand.
    pub(crate) async fn finish_sign_in(self: &Arc<Self>, attempt: &Arc<Attempt>, pending: Pending, code: oidc::Code) {
        let (agent, attempt) = (Arc::clone(self), Arc::clone(attempt));
        // Its own task: a browser that hangs up must not cut the exchange off.
        let finished = tokio::spawn(async move {
            let entry = agent.accounts.entry(&attempt.account.name);
            let _turn = entry.renewing.lock().await;
            let era = entry.era();
            match agent.oidc.redeem(pending, code).await {
                Ok(signed_in) => agent.welcome(&attempt, &entry, signed_in, era).await,
                Err(error) => {
                    let refusal = refusal_of(&error, &attempt.account, None);
                    attempt.fail(&refusal);
                }
            }
        });
        if finished.await.is_err() {
            tracing::error!("a sign-in ended unexpectedly");
        }
    }

    async fn welcome(self: &Arc<Self>, attempt: &Attempt, entry: &Entry, signed_in: oidc::SignedIn, era: u64) {
        let account = &attempt.account;
        let current = self.rules().accounts.get(&account.name).cloned();
        if !attempt.is_pending()
            || current.is_none_or(|c| c.issuer != account.issuer || c.client_id != account.client_id)
        {
            self.turn_away(account, signed_in.tokens.refresh_token.as_ref()).await;
            attempt.fail_with(gave_up("the sign-in was given up before it was finished"));
            return;
        }
        self.accounts.drop_tokens(&account.name);
        let identity = signed_in.identity;
        let known = identity.known();
        let tokens = signed_in.tokens;
        let refreshable = tokens.refresh_token.is_some();
        let now = self.now();
        let sign_in = SignIn {
            issuer: account.issuer.to_string(),
            client_id: account.client_id.clone(),
            subject: identity.subject.clone(),
            display_name: identity.display_name.clone(),
            auth_time: identity.auth_time,
            acr: identity.acr.clone(),
            amr: identity.amr.clone(),
            signed_in_at: now,
            refresh_token: tokens.refresh_token.clone(),
            refresh_expires_at: tokens.refresh_expires_at,
            refreshed_at: now,
            nonce: known.nonce,
            ends_at: (!refreshable).then_some(tokens.expires_at),
        };
        let era = match self.part_with_the_former(account, &identity) {
            Ok(true) => {
                // What is under way for the former person must not end with a token of this one.
                entry.erasures.fetch_add(1, Ordering::Relaxed);
                entry.era()
            }
            Ok(false) => era,
            Err(refusal) => {
                attempt.fail(&refusal);
                return;
            }
        };
        let kept = self.keep(entry, sign_in, era).await;
        if kept != Kept::Superseded && !attempt.is_pending() {
            // Cancelled while it was being kept.
            self.erase(entry, "sign_in.cancelled").await;
            self.turn_away(account, tokens.refresh_token.as_ref()).await;
            return;
        }
        if kept == Kept::Superseded {
            self.turn_away(account, tokens.refresh_token.as_ref()).await;
            attempt.fail_with(gave_up("you signed out while the sign-in was being finished"));
            return;
        }
        let durable = kept == Kept::Durable;
        lock(&entry.failures).clear();
        *lock(&entry.unreachable) = None;
        let (key, resource) = match &attempt.redeem_for {
            Some((key, resource)) => (key.clone(), Some(resource)),
            None => {
                (TokenKey { account: account.name.clone(), target: Target::Own, scopes: account.scopes.clone() }, None)
            }
        };
        // Issuers may answer the code with more scopes than one resource asks for by default: such a token is nobody's.
        let narrow = key.target == Target::Own || tokens.scopes.is_subset(&key.scopes);
        let held = self.hold_answer(account, &key, resource.filter(|_| narrow).map(AsRef::as_ref), &tokens, !narrow);
        if let Err(refusal) = held {
            tracing::warn!(account = %account.name, %refusal, "the first token cannot be handed out");
        }
        let mut notices = Vec::new();
        if !durable {
            notices.push(
                "there is no keychain to keep this sign-in: it is in memory only and ends with the agent".to_owned(),
            );
        }
        if !refreshable {
            notices.push(
                "the issuer gave no refresh token: you will be asked to sign in again when the token ends".to_owned(),
            );
        }
        attempt.outcome.send_if_modified(|outcome| {
            let pending = matches!(outcome, Outcome::Pending);
            if pending {
                let (subject, display_name) = (identity.subject, identity.display_name);
                *outcome = Outcome::SignedIn { subject, display_name, notices };
            }
            pending
        });
    }

    /// What somebody else allowed, or the same person at another issuer, does not carry over. Whether it was somebody else.
    fn part_with_the_former(&self, account: &Account, identity: &oidc::Identity) -> Result<bool, Refusal> {
        let former = self.store.sign_in(account.name.as_str()).map_err(|e| Refusal::Internal(e.to_string()))?;
        let same = |person: &Person| person.issuer == identity.issuer.as_str() && person.subject == identity.subject;
        let other = former.as_ref().is_some_and(|(person, _)| !same(person));
        if other {
            self.revoke_grants("grant.ended", |g| g.account == account.name)
                .map_err(|e| Refusal::Internal(e.0.error_description.clone()))?;
            self.end_questions("login_required", |q| q.ask.account == account.name);
        }
        Ok(other)
    }

    /// Tells the issuer that a sign-in it finished is not wanted any more.
    async fn turn_away(&self, account: &Account, refresh_token: Option<&SecretString>) {
        if let Some(refresh_token) = refresh_token
            && let Err(error) = self.oidc.revoke(account, refresh_token).await
        {
            tracing::warn!(account = %account.name, %error, "a sign-in that was given up could not be revoked");
        }
    }

    /// Signs out: the local wipe always, revocation first and at most ten seconds.
    ///
    /// # Errors
    /// Only our own failures; what the issuer said is in the answer.
    pub(crate) async fn sign_out(self: &Arc<Self>, account: &Account) -> Result<SignedOut, ApiError> {
        let agent = Arc::clone(self);
        let account = account.clone();
        tokio::spawn(async move { agent.sign_out_in_turn(&account).await })
            .await
            .map_err(|_| ApiError::new(Code::Internal, "the sign-out ended unexpectedly"))?
    }

    async fn sign_out_in_turn(self: &Arc<Self>, account: &Account) -> Result<SignedOut, ApiError> {
        let entry = self.accounts.entry(&account.name);
        let sign_in = self.sign_in_of(account).await;
        let unreadable = matches!(&sign_in, Err(Refusal::KeychainLocked | Refusal::KeychainUnavailable(_)));
        // From here on nothing is issued, even if this process dies; then the issuer is told; then the item goes.
        self.give_up_sign_ins(account);
        let former = self.disown(&entry);
        *lock(&entry.ended_because) = None;
        let ended =
            self.revoke_grants("grant.ended", |g| g.account == account.name && g.choice == broker::Choice::Today);
        self.end_questions("login_required", |q| q.ask.account == account.name);
        let mut out = SignedOut { account: account.name.to_string(), revocation: "nothing".to_owned(), detail: None };
        let refresh_token = former.as_ref().and_then(|s| s.refresh_token.clone());
        let (word, detail) = match (refresh_token, unreadable) {
            (Some(refresh_token), _) => match self.oidc.revoke(account, &refresh_token).await {
                Ok(Revocation::Done) => ("done", None),
                Ok(Revocation::Unsupported) => ("unsupported", None),
                Err(error) => ("failed", Some(error.to_string())),
            },
            (None, true) => ("failed", Some("the stored sign-in could not be read".to_owned())),
            (None, false) if former.is_some() => {
                ("unsupported", Some("there was no refresh token to revoke".to_owned()))
            }
            (None, false) => ("nothing", None),
        };
        word.clone_into(&mut out.revocation);
        out.detail = detail;
        // A renewal or sign-in that is still under way finds itself superseded and cleans up behind itself.
        let turn = tokio::time::timeout(Duration::from_secs(1), entry.renewing.lock()).await;
        if turn.is_ok() {
            self.finish_erasing(&entry).await;
        }
        drop(turn);
        let code = if out.revocation == "failed" { "revocation_failed" } else { "ok" };
        self.log(AuditEntry {
            event: "sign_out",
            code: code.to_owned(),
            account: Some(account.name.to_string()),
            via: Some(out.revocation.clone()),
            ..AuditEntry::default()
        });
        ended?;
        Ok(out)
    }
}
