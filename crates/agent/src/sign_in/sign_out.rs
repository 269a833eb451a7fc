//! Signing out: here always, at the issuer if it can be told.

use super::{Cause, SignIns};
use crate::{
    agent::Agent,
    server::ApiError,
    store::{AuditEntry, lock},
};
use broker::{Account, Refusal};
use localapi::{Code, SignedOut};
use oidc::Revocation;
use std::{sync::Arc, time::Duration};

impl SignIns {
    /// Gives up what is being signed in to an account somebody signs out of.
    fn give_up(&self, account: &Account) {
        for attempt in lock(&self.attempts).values() {
            if attempt.account.name == account.name && attempt.is_pending() {
                attempt.give_up(Cause::GivenUp, "you signed out while the sign-in was being finished");
                attempt.cancel.notify_one();
            }
        }
    }
}

impl Agent {
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
        self.sign_ins.give_up(account);
        if let Err(error) = self.store.note_sign_out(account.name.as_str(), true) {
            tracing::error!(account = %account.name, %error, "the sign-out could not be noted");
        }
        let former = self.disown(&entry);
        *lock(&entry.ended_because) = None;
        // Questions first: what an answer that is being taken gives is there afterwards.
        self.end_questions("login_required", |q| q.ask.account == account.name);
        let ended =
            self.revoke_grants("grant.ended", |g| g.account == account.name && g.choice == broker::Choice::Today);
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

#[cfg(test)]
mod tests {
    use crate::testing;

    #[tokio::test]
    async fn an_answer_that_is_being_taken_gives_nothing_that_outlives_the_sign_out() {
        let (_room, agent) = testing::agent().await;
        let (_, program) = testing::peer("/usr/bin/tool");
        let account = agent.rules().accounts.values().next().unwrap().clone();
        testing::while_answering(&agent, &program, move |agent| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(agent.sign_out(&account)).unwrap();
        });
        assert!(agent.store.all_grants().is_empty());
    }
}
