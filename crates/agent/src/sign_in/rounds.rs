//! What the issuer shows the person: nothing first where a browser session is likely, and what comes after that.
//!
//! Invariant: however many rounds it takes, a person sees one browser tab; a round that shows nothing ends well only for
//! whoever was signed in before, and with all that was asked for.

use super::{Attempt, Wish};
use crate::{agent::Agent, store::lock};
use broker::{Account, AccountName, Offline};
use oidc::{OidcError, Prompt};
use std::sync::{Arc, atomic::Ordering};

/// What the issuer is to show in one more round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// What the account says.
    Usual,
    /// This.
    Showing(Prompt),
}

impl Attempt {
    /// The round after one that ended with this error; `None` = there is none.
    pub(super) fn next_round(&self, error: &OidcError) -> Option<Round> {
        if !self.is_pending() {
            return None;
        }
        match (*lock(&self.round), error) {
            // It cannot say who that is without showing something, or it is somebody else.
            (
                Some(Prompt::Nothing),
                OidcError::InteractionRequired(_) | OidcError::LoginRequired(_) | OidcError::WrongAccount { .. },
            ) => Some(Round::Usual),
            // Not every provider knows select_account; the sign-in itself lets people choose, too.
            (Some(Prompt::SelectAccount), OidcError::Rejected(said)) if said.error == "invalid_request" => {
                Some(Round::Showing(Prompt::Login))
            }
            _ => None,
        }
    }

    /// Whether a round that showed nothing found somebody else than before, or did not bring all that was asked for.
    pub(super) fn is_not_enough(&self, signed_in: &oidc::SignedIn) -> bool {
        if *lock(&self.round) != Some(Prompt::Nothing) {
            return false;
        }
        let same = self.former.as_deref() == Some(signed_in.identity.subject.as_str());
        let lasting = signed_in.tokens.refresh_token.is_some() || self.account.offline == Offline::None;
        !(same && lasting)
    }
}

impl Agent {
    /// Who was signed in to this account before, at the issuer it has now, and did not sign out.
    pub(super) fn former(&self, account: &Account) -> Option<String> {
        let (person, _) = self.store.sign_in(account.name.as_str()).ok().flatten()?;
        let ended = self.sign_in_is_over(&account.name);
        let signed_out = self.store.signed_out(account.name.as_str()).unwrap_or(true);
        (person.issuer == account.issuer.as_str() && ended && !signed_out).then_some(person.subject)
    }

    /// What the issuer is to show in the first round; `None` = as the account says.
    pub(super) fn first_prompt(&self, account: &Account, wish: &Wish, former: Option<&str>) -> Option<Prompt> {
        if wish.other_account || self.accounts.entry(&account.name).wrong_account.load(Ordering::Relaxed) {
            return Some(Prompt::SelectAccount);
        }
        let silent =
            former.is_some() && wish.requirement.is_empty() && !account.authorization_parameters.contains_key("prompt");
        silent.then_some(Prompt::Nothing)
    }

    /// Another round of a sign-in in the same tab.
    ///
    /// # Errors
    /// When the issuer cannot be discovered any more, or the sign-in was given up meanwhile.
    pub(super) async fn another_round(
        self: &Arc<Self>,
        attempt: &Attempt,
        round: Round,
    ) -> Result<oidc::AuthorizationRequest, OidcError> {
        let mut ask = attempt.ask.clone();
        let prompt = match round {
            Round::Usual => None,
            Round::Showing(prompt) => Some(prompt),
        };
        ask.prompt = prompt;
        let pending = self.oidc.begin(ask).await?;
        let request = pending.request();
        *lock(&attempt.round) = prompt;
        *lock(&attempt.done) = None;
        *lock(&attempt.pending) = Some(pending);
        if attempt.is_pending() {
            return Ok(request);
        }
        // Given up meanwhile.
        *lock(&attempt.pending) = None;
        Err(OidcError::Expired)
    }

    /// Whether nobody is signed in to this account now, as far as is known without asking the keychain.
    fn sign_in_is_over(&self, name: &AccountName) -> bool {
        let ends = self.sign_in_ends(name);
        self.who_is_signed_in(name).is_none() || ends.is_some_and(|end| end <= self.now())
    }
}
