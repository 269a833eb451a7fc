//! The main trip: from a request to a token or a refusal, through ports, in one place.
//!
//! Order matters and is the point of this file: resolve, decide, ask, fetch, check the peer again, check block and grant
//! again, write the audit line, and only then hand the token out. Every way out leaves exactly one audit line.
//! Invariant: from the last look to the line nothing waits ([`finish`] cannot), and the agent that runs this has one thread
//! for it and for whatever locks, pauses, blocks or revokes: each of those comes before the look, or after the line.
//! Limit: what comes after the line does not take the answer back that is on its way.

use crate::{
    decide::{Authority, CachedToken, Decision, Facts, Wanted, decide, locked, resolve, with_authority},
    grant::Grant,
    peer::{FileIdentity, Peer},
    refusal::Refusal,
    rules::Rules,
    step_up::Requirement,
    words::{ScopeSet, Span, Timestamp},
};
use std::{future::Future, path::Path, sync::Arc};

/// A parsed request for a token.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name or exact audience of the resource.
    pub resource: String,
    /// Scopes asked for; empty = the resource's default.
    pub scopes: ScopeSet,
    /// Life the token must still have.
    pub min_valid: Span,
    /// How long to wait for consent on the connection; `None` = park the question.
    pub wait: Option<Span>,
    /// Ask the issuer for a new token even if one is at hand.
    pub refresh: bool,
    /// What the program calls itself.
    pub says_it_is: Option<String>,
    /// What the sign-in behind the token has to be like.
    pub requirement: Requirement,
}

/// What is written about a request before its answer leaves.
#[derive(Debug)]
pub struct Record<'a> {
    /// Who asked.
    pub peer: &'a Peer,
    /// The request.
    pub request: &'a Request,
    /// What it resolved to, if it did.
    pub wanted: Option<&'a Wanted>,
    /// Why it may have the token, or why not.
    pub outcome: Result<&'a Authority, &'a Refusal>,
}

/// A token on its way out.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token.
    pub token: CachedToken,
    /// What was asked for.
    pub wanted: Wanted,
    /// Why it was given.
    pub authority: Authority,
}

impl Wanted {
    /// Whether both ask the same of the same account: issuer, client, audience, kind of token and scopes.
    fn is_same_as(&self, other: &Self) -> bool {
        let of = |w: &Self| {
            let Wanted { resource, account, scopes } = w;
            let asked = (resource.name.clone(), resource.audience.clone(), resource.token, resource.request);
            (asked, account.name.clone(), account.issuer.clone(), account.client_id.clone(), scopes.clone())
        };
        of(self) == of(other)
    }
}

/// What the trip needs from the outside.
pub trait Ports: Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// One snapshot of the effective profile, kept for the whole trip.
    fn rules(&self) -> Arc<Rules>;
    /// Whether the screen is known to be locked.
    fn screen_locked(&self) -> bool;
    /// What is answered to everybody now, because a person paused everything.
    fn paused(&self) -> Option<Refusal>;
    /// Whether the user has blocked the peer's program.
    fn blocked(&self, peer: &Peer) -> bool;
    /// Whether the user can write this file or its directory.
    fn user_can_write(&self, path: &Path) -> bool;
    /// Whether a grant may follow this file through updates by this package: root alone can have put it there.
    fn may_follow(&self, file: &FileIdentity, package: &str) -> bool;
    /// Whether somebody is signed in to the account.
    ///
    /// # Errors
    /// [`Refusal::LoginRequired`] or what the keychain said.
    fn signed_in(&self, wanted: &Wanted) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Holds the present sign-in, and the token where it tells of a sign-in itself, against what is asked for; names
    /// the sign-in: another one has another name.
    ///
    /// # Errors
    /// [`Refusal::StepUpRequired`], and those of [`Ports::signed_in`].
    fn meets(
        &self,
        wanted: &Wanted,
        request: &Request,
        token: Option<&CachedToken>,
    ) -> impl Future<Output = Result<String, Refusal>> + Send;
    /// The grants of the peer's program, and of the one that was at its path before, that cover what is wanted. Others do
    /// not count, and may be left out: a program can have many.
    fn grants(&self, peer: &Peer, wanted: &Wanted) -> Vec<Grant>;
    /// The token at hand.
    fn cached(&self, wanted: &Wanted) -> Option<CachedToken>;
    /// Asks a person and waits for, or parks, the question.
    ///
    /// # Errors
    /// Whatever the answer was but yes.
    fn consent(
        &self,
        peer: &Peer,
        wanted: &Wanted,
        request: &Request,
    ) -> impl Future<Output = Result<Authority, Refusal>> + Send;
    /// Fetches a new token.
    ///
    /// # Errors
    /// Whatever came back but a token.
    fn fetch(
        &self,
        wanted: &Wanted,
        request: &Request,
        peer: &Peer,
    ) -> impl Future<Output = Result<CachedToken, Refusal>> + Send;
    /// Whether the peer is still the same process running the same program.
    fn still_same(&self, peer: &Peer) -> impl Future<Output = bool> + Send;
    /// Whether the yes still stands; marks a grant as used, as this program's.
    fn still_granted(&self, authority: &Authority, wanted: &Wanted, peer: &Peer) -> bool;
    /// Writes the audit line; nothing leaves without it.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when the line could not be committed.
    fn record(&self, record: &Record<'_>) -> Result<(), Refusal>;
}

/// Writes the line of a trip that is cut off, as by a caller that hangs up.
struct CutOff<'a, P: Ports> {
    ports: &'a P,
    peer: &'a Peer,
    request: &'a Request,
    wanted: Option<&'a Wanted>,
    done: bool,
}

impl<P: Ports> Drop for CutOff<'_, P> {
    fn drop(&mut self) {
        if !self.done {
            let record = Record {
                peer: self.peer,
                request: self.request,
                wanted: self.wanted,
                outcome: Err(&Refusal::ConsentGone),
            };
            // Nothing leaves any more; whoever records says so himself when he cannot.
            let _ = self.ports.record(&record);
        }
    }
}

/// Runs the trip.
///
/// # Errors
/// The refusal, already recorded.
pub async fn run<P: Ports>(ports: &P, peer: &Peer, request: &Request) -> Result<Issued, Refusal> {
    let rules = ports.rules();
    let resolved = resolve(&rules, &request.resource, &request.scopes);
    let wanted = resolved.as_ref().ok();
    let mut cut_off = CutOff { ports, peer, request, wanted, done: false };
    let outcome = match &resolved {
        Ok(wanted) => attempt(ports, peer, request, wanted, &rules).await,
        Err(refusal) => Err(refusal.clone()),
    };
    cut_off.done = true;
    finish(ports, peer, request, wanted, &rules, outcome)
}

/// The last look and the line, with nothing in between: no `async` here, so that on one thread no lock, pause, block or
/// revocation comes after the look and before the line.
fn finish<P: Ports>(
    ports: &P,
    peer: &Peer,
    request: &Request,
    wanted: Option<&Wanted>,
    rules: &Arc<Rules>,
    outcome: Result<Issued, Refusal>,
) -> Result<Issued, Refusal> {
    let outcome = outcome.and_then(|issued| {
        last_look(ports, peer)?;
        still_ruled(ports, peer, request, &issued, rules)?;
        if ports.still_granted(&issued.authority, &issued.wanted, peer) {
            Ok(issued)
        } else {
            Err(Refusal::ConsentGone)
        }
    });
    let record = Record { peer, request, wanted, outcome: outcome.as_ref().map(|issued| &issued.authority) };
    ports.record(&record)?;
    outcome
}

/// Blocked, locked or paused meanwhile, as during a fetch that took its time.
fn last_look<P: Ports>(ports: &P, peer: &Peer) -> Result<(), Refusal> {
    if ports.blocked(peer) {
        return Err(Refusal::ProgramBlocked);
    }
    if ports.screen_locked() {
        return Err(locked());
    }
    if let Some(refusal) = ports.paused() {
        return Err(refusal);
    }
    Ok(())
}

/// Another profile in force by now must say the same of this resource and allow it just as well: it may lock everything,
/// deny the resource or leave the program out, and its limits count.
fn still_ruled<P: Ports>(
    ports: &P,
    peer: &Peer,
    request: &Request,
    issued: &Issued,
    before: &Arc<Rules>,
) -> Result<(), Refusal> {
    let rules = ports.rules();
    if Arc::ptr_eq(&rules, before) {
        return Ok(());
    }
    let fresh = resolve(&rules, &request.resource, &request.scopes)?;
    if !fresh.is_same_as(&issued.wanted) {
        return Err(Refusal::ConsentGone);
    }
    // A yes to this very request stands for itself; any other is looked for again.
    let given = Some(&issued.authority).filter(|authority| matches!(authority, Authority::Once(_))).cloned();
    match judge(ports, peer, request, &fresh, &rules, given) {
        Decision::Deny(refusal) => Err(refusal),
        Decision::AskConsent => Err(Refusal::ConsentGone),
        Decision::UseCached(_) | Decision::Fetch(_) => Ok(()),
    }
}

async fn attempt<P: Ports>(
    ports: &P,
    peer: &Peer,
    request: &Request,
    wanted: &Wanted,
    rules: &Rules,
) -> Result<Issued, Refusal> {
    if let Some(refusal) = ports.paused() {
        return Err(refusal);
    }
    let first = judge(ports, peer, request, wanted, rules, None);
    let decision = match first {
        Decision::Deny(refusal) => return Err(refusal),
        Decision::AskConsent => {
            // How the person signed in is nobody's business before somebody said yes.
            ports.signed_in(wanted).await?;
            let authority = ports.consent(peer, wanted, request).await.map_err(|refusal| {
                // A block or a pause ends the question; whoever waited is told why.
                if ports.blocked(peer) { Refusal::ProgramBlocked } else { ports.paused().unwrap_or(refusal) }
            })?;
            // The profile may have changed while the question was open: what was shown must still be what is given.
            let rules = ports.rules();
            let fresh = resolve(&rules, &request.resource, &request.scopes)?;
            if !fresh.is_same_as(wanted) {
                return Err(Refusal::ConsentGone);
            }
            judge(ports, peer, request, wanted, &rules, Some(authority))
        }
        decided => decided,
    };
    let (token, authority) = match decision {
        Decision::Deny(refusal) => return Err(refusal),
        Decision::AskConsent => return Err(Refusal::ConsentGone),
        Decision::UseCached(authority) => (obtain(ports, peer, request, wanted, true).await?, authority),
        Decision::Fetch(authority) => (obtain(ports, peer, request, wanted, false).await?, authority),
    };
    if !ports.still_same(peer).await {
        return Err(Refusal::PeerUnidentified);
    }
    Ok(Issued { token, wanted: wanted.clone(), authority })
}

/// The token at hand or a new one, of one sign-in that meets what is asked for from before it is taken until after.
async fn obtain<P: Ports>(
    ports: &P,
    peer: &Peer,
    request: &Request,
    wanted: &Wanted,
    at_hand: bool,
) -> Result<CachedToken, Refusal> {
    let demanding = !request.requirement.is_empty();
    let mut before = String::new();
    if demanding {
        before = ports.meets(wanted, request, None).await?;
    } else if !at_hand {
        ports.signed_in(wanted).await?;
    }
    let token = match ports.cached(wanted).filter(|_| at_hand) {
        Some(token) => token,
        None => ports.fetch(wanted, request, peer).await?,
    };
    // Somebody may have signed in anew meanwhile: then it is not known which sign-in the token is of.
    if demanding && ports.meets(wanted, request, Some(&token)).await? != before {
        return Err(Refusal::LoginRequired(wanted.account.name.clone()));
    }
    Ok(token)
}

fn judge<P: Ports>(
    ports: &P,
    peer: &Peer,
    request: &Request,
    wanted: &Wanted,
    rules: &Rules,
    given: Option<Authority>,
) -> Decision {
    let (grants, cached) = (ports.grants(peer, wanted), ports.cached(wanted));
    let facts = Facts {
        peer,
        wanted,
        rules,
        grants: &grants,
        cached: cached.as_ref(),
        now: ports.now(),
        min_valid: request.min_valid,
        refresh: request.refresh,
        blocked: ports.blocked(peer),
        screen_locked: ports.screen_locked(),
        user_can_write: &|path| ports.user_can_write(path),
        may_follow: &|file, package| ports.may_follow(file, package),
    };
    match (decide(&facts), given) {
        (Decision::AskConsent, Some(authority)) => with_authority(&facts, authority),
        (decision, _) => decision,
    }
}

#[cfg(test)]
mod tests;
