//! The end of a sign-in: tokens are fetched, the person is verified, the sign-in is kept.
//!
//! Invariant: nothing is kept of a sign-in that was given up meanwhile, and the issuer is told; what somebody else
//! allowed does not carry over.

use super::{Attempt, Cause, Failure, Outcome, rounds::Round};
use crate::{
    accounts::{Entry, Kept, SignIn, Target, TokenKey},
    agent::Agent,
    store::{Person, lock},
};
use broker::{Account, Refusal, SecretString};
use oidc::{OidcError, Pending};
use std::sync::{Arc, atomic::Ordering};

/// What became of a code.
pub(super) enum Finished {
    /// The sign-in is over, one way or the other.
    Ended,
    /// Another round is needed in the same browser tab.
    Again(Round),
}

impl Agent {
    /// Takes the code of the callback: redeems it, keeps the sign-in, puts the first tokens at hand.
    pub(super) async fn finish_sign_in(
        self: &Arc<Self>,
        attempt: &Arc<Attempt>,
        pending: Pending,
        code: oidc::Code,
    ) -> Finished {
        let (agent, attempt) = (Arc::clone(self), Arc::clone(attempt));
        // Its own task: a browser that hangs up must not cut the exchange off.
        let finished = tokio::spawn(async move {
            let entry = agent.accounts.entry(&attempt.account.name);
            let _turn = entry.renewing.lock().await;
            let era = entry.era();
            match agent.oidc.redeem(pending, code).await {
                Ok(signed_in) => {
                    if attempt.is_not_enough(&signed_in) {
                        agent.turn_away(&attempt.account, signed_in.tokens.refresh_token.as_ref()).await;
                        return Finished::Again(Round::Usual);
                    }
                    agent.welcome(&attempt, &entry, signed_in, era).await;
                }
                Err(error) => match attempt.next_round(&error) {
                    Some(round) => return Finished::Again(round),
                    None => agent.failed(&attempt, &error),
                },
            }
            Finished::Ended
        });
        finished.await.unwrap_or_else(|_| {
            tracing::error!("a sign-in ended unexpectedly");
            Finished::Ended
        })
    }

    /// The issuer, or what it said, ends this sign-in.
    pub(super) fn failed(&self, attempt: &Attempt, error: &OidcError) {
        if matches!(error, OidcError::WrongAccount { .. }) {
            self.accounts.entry(&attempt.account.name).wrong_account.store(true, Ordering::Relaxed);
        }
        attempt.fail(error);
    }

    /// Keeps a sign-in that was verified. Whoever calls this holds the account's turn; `era` is the entry's before.
    pub(super) async fn welcome(
        self: &Arc<Self>,
        attempt: &Attempt,
        entry: &Entry,
        signed_in: oidc::SignedIn,
        era: u64,
    ) {
        let account = &attempt.account;
        let current = self.rules().accounts.get(&account.name).cloned();
        if !attempt.is_pending()
            || current.is_none_or(|c| c.issuer != account.issuer || c.client_id != account.client_id)
        {
            self.turn_away(account, signed_in.tokens.refresh_token.as_ref()).await;
            attempt.give_up(Cause::GivenUp, "the sign-in was given up before it was finished");
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
            claims: identity.claims.clone(),
            ends_at: (!refreshable).then_some(tokens.expires_at),
            met: crate::accounts::met_by_all(account),
        };
        let era = match self.part_with_the_former(account, &identity) {
            Ok(true) => {
                // What is under way for the former person must not end with a token of this one.
                entry.erasures.fetch_add(1, Ordering::Relaxed);
                entry.era()
            }
            Ok(false) => era,
            Err(refusal) => {
                attempt.fail_with(Failure::ours(&refusal, account));
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
            attempt.give_up(Cause::GivenUp, "you signed out while the sign-in was being finished");
            return;
        }
        entry.wrong_account.store(false, Ordering::Relaxed);
        if let Err(error) = self.store.note_sign_out(account.name.as_str(), false) {
            tracing::error!(account = %account.name, %error, "the sign-in could not be noted");
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
}
