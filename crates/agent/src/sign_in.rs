//! Signing in: the sign-in's own listener on the redirect address, from `/start/{ticket}` to `/done/{nonce}`.
//!
//! Invariants: the listener is bound before the browser opens and held until the answer is in; the browser that
//! answers is the one that started (a cookie set by `/start`); `state`, `nonce` and the challenge reach the browser
//! through a 303 only, never an argument list; a callback is consumed once.

mod causes;
mod device;
mod finishing;
mod listener;
mod rounds;
mod sign_out;

use crate::{
    accounts::TokenKey,
    agent::Agent,
    random,
    server::ApiError,
    store::{AuditEntry, lock},
};
use broker::{Account, AccountName, Refusal, Requirement, ResourceName, Rules};
pub(crate) use causes::{Cause, Failure};
use listener::bind;
use localapi::{Code, DeviceCode, SignInState};
use oidc::{OidcError, Pending, Prompt, SignInAsk};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::AbortHandle;

/// What the code of a sign-in is redeemed for.
type RedeemFor = Option<(TokenKey, Arc<broker::Resource>)>;

/// A sign-in nobody finishes is given up after this.
const PATIENCE: Duration = Duration::from_mins(10);
/// One started by the command is given up when the command has not asked for so long.
const UNWATCHED: Duration = Duration::from_secs(75);
/// How long a listener may take to close.
const CLOSING: Duration = Duration::from_millis(50);
/// How long a finished sign-in can still be asked about.
const REMEMBERED: Duration = Duration::from_mins(5);

/// How a sign-in is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// The agent opens the browser itself.
    pub(crate) open_browser: bool,
    /// It is given up when whoever began it does not ask any more.
    pub(crate) watched: bool,
    /// With a code on another device; `None` = when no browser can be opened and the issuer offers it.
    pub(crate) device: Option<bool>,
    /// The person is not at this machine's screen.
    pub(crate) remote: bool,
    /// The issuer lets the person choose another account.
    pub(crate) other_account: bool,
    /// What the sign-in has to be like.
    pub(crate) requirement: Requirement,
}

/// How a sign-in ended.
#[derive(Clone)]
pub(crate) enum Outcome {
    Pending,
    SignedIn { subject: String, display_name: Option<String>, notices: Vec<String> },
    Failed(Box<Failure>),
}

/// Where the browser goes after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It is not known yet.
    Undecided,
    /// To our own start address, for another round.
    Start,
    /// To the last page.
    End,
}

/// One sign-in.
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) account: Account,
    pub(crate) outcome: tokio::sync::watch::Sender<Outcome>,
    /// What the callback consumes.
    pub(crate) pending: Mutex<Option<Pending>>,
    /// The one-time start address.
    pub(crate) ticket: Mutex<Option<String>>,
    /// Hashes of the cookies of the browser that started, the newest last.
    pub(crate) cookies: Mutex<Vec<String>>,
    /// The answers that were consumed, by their hash: a browser that loads one twice goes the same way twice.
    pub(crate) answered: Mutex<HashMap<String, tokio::sync::watch::Receiver<After>>>,
    /// Names the page shown at the end, and since when it is there.
    pub(crate) done: Mutex<Option<(String, Instant)>>,
    /// The one-time address on that page that begins another one.
    pub(crate) again: Mutex<Option<String>>,
    pub(crate) cancel: tokio::sync::Notify,
    watched: Mutex<Option<Instant>>,
    redeem_for: RedeemFor,
    /// What is asked for, for another round in the same browser tab.
    ask: SignInAsk,
    /// What the issuer was told to show in this round.
    round: Mutex<Option<Prompt>>,
    /// Who was signed in before: a round that shows nothing may find nobody else.
    former: Option<String>,
    /// The code of a device sign-in.
    device: Option<DeviceCode>,
    /// When it is given up.
    deadline: Instant,
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
            redirect_uri: self.device.is_none().then(|| self.ask.redirect_uri.clone()),
            device: self.device.clone().filter(|_| self.is_pending()),
            subject: None,
            display_name: None,
            error: None,
            expires_in: i64::try_from(self.deadline.saturating_duration_since(Instant::now()).as_secs()).unwrap_or(0),
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
                state.error = Some(error.body.clone());
            }
        }
        state
    }

    fn fail(&self, error: &OidcError) {
        self.fail_with(Failure::of(error, &self.account));
    }

    fn give_up(&self, cause: Cause, why: &str) {
        self.fail_with(Failure::given_up(cause, why, &self.account));
    }

    pub(crate) fn fail_with(&self, failure: Failure) {
        self.outcome.send_if_modified(|outcome| {
            let pending = matches!(outcome, Outcome::Pending);
            if pending {
                *outcome = Outcome::Failed(Box::new(failure));
            }
            pending
        });
        *lock(&self.pending) = None;
        *lock(&self.ticket) = None;
    }
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
        // The person was authenticated anew, which only a new sign-in here takes over.
        OidcError::BadIdToken(fault) if fault.contains("(auth_time)") => {
            Refusal::InteractionRequired(account.name.clone())
        }
        OidcError::LoginRequired(_) | OidcError::Expired => Refusal::LoginRequired(account.name.clone()),
        OidcError::WrongAccount { .. } => Refusal::WrongAccount(text),
        OidcError::Unmet(_) => {
            Refusal::StepUpRequired { account: account.name.clone(), why: text, flags: String::new() }
        }
        OidcError::InvalidTarget(_) => match resource {
            Some(resource) => Refusal::AudienceMismatch(resource.clone()),
            None => Refusal::IssuerRejected(text),
        },
        error if error.is_unavailable() => Refusal::IssuerUnavailable(text),
        _ => Refusal::IssuerRejected(text),
    }
}

/// What a sign-in asks for, and which token its code is redeemed for.
fn ask_of(account: &Account, rules: &Rules, wish: &Wish) -> (SignInAsk, RedeemFor) {
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
    let ask = SignInAsk {
        account: Arc::new(account.clone()),
        redirect_uri: String::new(),
        scopes: rules.sign_in_scopes(account),
        resources: by(broker::RequestAs::Resource),
        audiences: by(broker::RequestAs::Audience),
        redeem_for: redeem_for.as_ref().map(|(key, _)| crate::renewal::ask_of(account, key)),
        prompt: None,
        requirement: wish.requirement.clone(),
    };
    (ask, redeem_for)
}

impl Agent {
    /// Begins a sign-in: with a code on another device, or listener first, then the browser. An older one to the same
    /// account is given up.
    ///
    /// # Errors
    /// When the issuer cannot be discovered or no redirect address can be bound.
    pub(crate) async fn begin_sign_in(
        self: &Arc<Self>,
        account: &Account,
        wish: Wish,
    ) -> Result<SignInState, ApiError> {
        let rules = self.rules();
        if let Some(why) = &rules.locked {
            return Err(Refusal::ProfileInvalid(why.clone()).into());
        }
        if self.give_up_others(account) {
            // What served the last page of the one before lets go of its port.
            tokio::time::sleep(CLOSING).await;
        }
        let in_reach = rules.browser_command.is_some() || (!wish.remote && crate::consents::can_open(&rules));
        let wants_device = match wish.device {
            Some(device) => device,
            None if wish.open_browser && !in_reach => {
                self.oidc.discover(&account.issuer).await.is_ok_and(|metadata| metadata.offers_device_sign_in())
            }
            None => false,
        };
        if wants_device {
            return self.begin_device_sign_in(account, &rules, wish).await;
        }
        let listening = bind(account).await.map_err(|(uri, error)| {
            let failure = Failure::port_taken(&uri, &error, account);
            self.log_sign_in(account, "sign_in.failed", failure.body.code.as_str());
            ApiError(Box::new(failure.body))
        })?;
        let (mut ask, redeem_for) = ask_of(account, &rules, &wish);
        ask.redirect_uri.clone_from(&listening.redirect_uri);
        let former = self.former(account);
        ask.prompt = self.first_prompt(account, &wish, former.as_deref());
        let pending = self.oidc.begin(ask.clone()).await.map_err(|error| self.not_begun(account, &error))?;
        let ticket = random::capability(self.entropy.as_ref());
        let start = format!("{}/start/{ticket}", listening.origin);
        let mut attempt = self.attempt(account, &wish, ask, redeem_for);
        (attempt.pending, attempt.ticket) = (Mutex::new(Some(pending)), Mutex::new(Some(ticket)));
        attempt.former = former;
        let attempt = self.enter(attempt);
        self.serve_sign_in(listening.serve(self, &attempt), &attempt);
        let mut state = attempt.state();
        state.browser_opened = wish.open_browser && in_reach && crate::consents::open_address(&rules, &start);
        state.address = Some(start);
        Ok(state)
    }

    fn attempt(&self, account: &Account, wish: &Wish, ask: SignInAsk, redeem_for: RedeemFor) -> Attempt {
        let started = Instant::now();
        Attempt {
            id: random::hex_name::<8>(self.entropy.as_ref()),
            account: account.clone(),
            outcome: tokio::sync::watch::channel(Outcome::Pending).0,
            pending: Mutex::new(None),
            ticket: Mutex::new(None),
            cookies: Mutex::default(),
            answered: Mutex::default(),
            done: Mutex::new(None),
            again: Mutex::new(None),
            cancel: tokio::sync::Notify::new(),
            watched: Mutex::new(wish.watched.then_some(started)),
            redeem_for,
            round: Mutex::new(ask.prompt),
            ask,
            former: None,
            device: None,
            deadline: started + PATIENCE,
        }
    }

    /// From here on it can be asked about.
    fn enter(&self, attempt: Attempt) -> Arc<Attempt> {
        let attempt = Arc::new(attempt);
        lock(&self.sign_ins.attempts).insert(attempt.id.clone(), Arc::clone(&attempt));
        self.changed("accounts");
        attempt
    }

    /// A sign-in that could not even begin.
    fn not_begun(&self, account: &Account, error: &OidcError) -> ApiError {
        let failure = Failure::of(error, account);
        self.log_sign_in(account, "sign_in.failed", failure.body.code.as_str());
        ApiError(Box::new(failure.body))
    }

    /// An older sign-in to the same account is over; whether one gives back a port that is needed again.
    fn give_up_others(&self, account: &Account) -> bool {
        let needed: Vec<String> =
            account.redirect_uris.iter().filter_map(|uri| uri.port).map(|p| format!(":{p}")).collect();
        // The port ends where the path begins, or with the address.
        let holds = |other: &Attempt| {
            let uri = other.ask.redirect_uri.as_str();
            needed.iter().any(|port| uri.ends_with(port) || uri.contains(&format!("{port}/")))
        };
        let mut gives_back = false;
        let attempts = lock(&self.sign_ins.attempts);
        for other in attempts.values() {
            if other.account.name == account.name && other.is_pending() {
                other.give_up(Cause::GivenUp, "another sign-in to this account was started");
                other.cancel.notify_one();
                gives_back |= holds(other);
            } else if !other.is_pending() && holds(other) {
                // A finished one, of whatever account, only keeps its last page; its port is needed again.
                other.cancel.notify_one();
                gives_back = true;
            }
        }
        gives_back
    }

    /// Watches over a sign-in until its end, and over what serves it a little longer.
    fn serve_sign_in(self: &Arc<Self>, serving: Vec<AbortHandle>, attempt: &Arc<Attempt>) {
        let (agent, attempt) = (Arc::clone(self), Arc::clone(attempt));
        tokio::spawn(async move {
            let mut outcome = attempt.outcome.subscribe();
            let deadline = attempt.deadline.into();
            loop {
                tokio::select! {
                    biased;
                    changed = outcome.wait_for(|o| !matches!(o, Outcome::Pending)) => {
                        drop(changed);
                        break;
                    }
                    () = attempt.cancel.notified() => break,
                    () = tokio::time::sleep_until(deadline) => {
                        let device = attempt.device.is_some();
                        attempt.give_up(if device { Cause::CodeExpired } else { Cause::NeverCameBack }, "");
                    }
                    () = tokio::time::sleep(Duration::from_secs(5)) => {
                        let unwatched = lock(&attempt.watched).is_some_and(|at| at.elapsed() > UNWATCHED);
                        if unwatched {
                            attempt.give_up(Cause::GivenUp, "the command that started the sign-in went away");
                        }
                    }
                }
            }
            let (event, code) = match &*attempt.outcome.borrow() {
                Outcome::SignedIn { .. } => ("sign_in.done", "ok".to_owned()),
                Outcome::Failed(failure) => ("sign_in.failed", failure.body.code.as_str().to_owned()),
                Outcome::Pending => ("sign_in.failed", Code::LoginRequired.as_str().to_owned()),
            };
            agent.log_sign_in(&attempt.account, event, &code);
            agent.changed("accounts");
            if lock(&attempt.done).is_some() {
                let again = matches!(*attempt.outcome.borrow(), Outcome::Failed(_));
                tokio::select! {
                    () = tokio::time::sleep(if again { listener::AGAIN_TIME } else { listener::DONE_TIME }) => {}
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
        attempt.give_up(Cause::GivenUp, "the sign-in was cancelled");
        attempt.cancel.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_finished_sign_in_gives_back_the_port_another_account_needs() {
        let (_room, agent) = crate::testing::agent().await;
        let corp = agent.rules().accounts.values().next().cloned().unwrap();
        let wish = Wish::default();
        let begun = |name: &str, redirect_uri: &str, failed: bool| {
            let mut account = Account::clone(&corp);
            account.name = name.parse().unwrap();
            let (mut ask, redeem_for) = ask_of(&account, &agent.rules(), &wish);
            redirect_uri.clone_into(&mut ask.redirect_uri);
            let attempt = agent.enter(agent.attempt(&account, &wish, ask, redeem_for));
            if failed {
                attempt.give_up(Cause::GivenUp, "it failed");
            }
            attempt
        };
        let uri = |port| broker::RedirectUri {
            host: "127.0.0.1".to_owned(),
            port,
            path: "/callback".to_owned(),
            written_path: "/callback".to_owned(),
        };
        let failed = begun("first", "http://127.0.0.1:9321/callback", true);
        let elsewhere = begun("second", "http://127.0.0.1:19321/callback", true);
        let pending = begun("third", "http://127.0.0.1:9321/callback", false);
        let mut account = Account::clone(&corp);
        account.redirect_uris = vec![uri(Some(9321))];
        assert!(agent.give_up_others(&account));
        let told = async |attempt: &Attempt| {
            tokio::time::timeout(Duration::from_millis(20), attempt.cancel.notified()).await.is_ok()
        };
        assert!(told(&failed).await, "it lets go of the port");
        assert!(!told(&elsewhere).await, "it holds another port");
        assert!(!told(&pending).await && pending.is_pending(), "somebody is at it");
        account.redirect_uris = vec![uri(None)];
        assert!(!agent.give_up_others(&account), "any port will do");
    }
}
