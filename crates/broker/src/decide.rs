//! The whole policy in one function without `await`: who gets a token, who is asked about, who is refused.
//!
//! Everything it looks at is in [`Facts`], so it is tested as a table. It protects against programs that were not
//! granted; it believes what the peer lookup says about them.

use crate::{
    grant::{Choice, Grant, GrantId},
    peer::{FileIdentity, Peer, Program},
    refusal::Refusal,
    rules::{Account, ConsentRule, LockRule, Marks, PeerList, Peers, Resource, Rules, TokenKind},
    words::{ResourceName, ScopeSet, Span, Timestamp},
};
use secrecy::SecretString;
use std::{path::Path, sync::Arc};

/// Least life left on any token handed out, where the issuer's tokens live long enough.
pub const LEAST_LIFE: Span = Span::seconds(60);
/// How long a grant for a sensitive resource may lie unused.
const SENSITIVE_IDLE: Span = Span::minutes(10);

/// A token at hand.
#[derive(Debug, Clone)]
pub struct CachedToken {
    /// The token.
    pub value: Arc<SecretString>,
    /// What it is.
    pub kind: TokenKind,
    /// When it was obtained.
    pub obtained_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The scopes it carries.
    pub scopes: ScopeSet,
}

impl CachedToken {
    /// Whether enough life is left to hand it out: `min_valid`, at least 60 s. Of a token that never had so much, half
    /// its life has to do: a new one would be no better.
    pub fn is_fresh(&self, now: Timestamp, min_valid: Span) -> bool {
        let whole = self.obtained_at.until(self.expires_at).as_seconds();
        let wanted = min_valid.max(LEAST_LIFE).as_seconds();
        let needed = if whole > wanted { wanted } else { (whole / 2).max(1) };
        now.until(self.expires_at).as_seconds() >= needed
    }
}

/// What one request asks for, resolved against the effective profile.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The resource.
    pub resource: Arc<Resource>,
    /// The account it draws on.
    pub account: Arc<Account>,
    /// The scopes: those asked for, else the resource's default.
    pub scopes: ScopeSet,
}

/// Resolves names and scopes of a request.
///
/// # Errors
/// [`Refusal::ProfileInvalid`], [`Refusal::ResourceUnknown`], [`Refusal::ScopeNotAllowed`].
pub fn resolve(rules: &Rules, resource: &str, scopes: &ScopeSet) -> Result<Wanted, Refusal> {
    if let Some(why) = &rules.locked {
        return Err(Refusal::ProfileInvalid(why.clone()));
    }
    let resource = rules.resource(resource).ok_or_else(|| match rules.void.get(resource) {
        Some(why) => Refusal::ProfileInvalid(format!("resource {resource} counts for nothing: {why}")),
        None => Refusal::ResourceUnknown(resource.to_owned()),
    })?;
    let account = rules.accounts.get(&resource.account).ok_or_else(|| {
        Refusal::ProfileInvalid(format!(
            "resource {} names account {}, which is not configured",
            resource.name, resource.account
        ))
    })?;
    let scopes = resource
        .scopes_for(scopes)
        .map_err(|above| Refusal::ScopeNotAllowed { resource: resource.name.clone(), scope: above.to_string() })?;
    Ok(Wanted { resource: Arc::clone(resource), account: Arc::clone(account), scopes })
}

/// All a decision looks at.
pub struct Facts<'a> {
    /// Who asks.
    pub peer: &'a Peer,
    /// What is asked for.
    pub wanted: &'a Wanted,
    /// The effective profile.
    pub rules: &'a Rules,
    /// The program's grants, whatever they are for, and those of the program that was at its path before.
    pub grants: &'a [Grant],
    /// The token at hand for this account, resource and scope set.
    pub cached: Option<&'a CachedToken>,
    /// Now.
    pub now: Timestamp,
    /// Life the token must still have.
    pub min_valid: Span,
    /// Whether a new token is asked for even if one is at hand.
    pub refresh: bool,
    /// Whether the user has blocked the program.
    pub blocked: bool,
    /// Whether the screen is known to be locked.
    pub screen_locked: bool,
    /// Whether the user can write the file or its directory (a preapproved path then needs a digest).
    pub user_can_write: &'a dyn Fn(&Path) -> bool,
    /// Whether a grant may follow this file through updates by this package: root alone can have put it there.
    pub may_follow: &'a dyn Fn(&FileIdentity, &str) -> bool,
}

/// Why a program may have a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// A standing grant.
    Grant(GrantId),
    /// A standing grant that was given to this program before its package updated it.
    Updated(GrantId),
    /// IT lists the program.
    Preapproved,
    /// A yes spent on this very request; holds how it was given (`page`, `terminal`).
    Once(String),
}

impl Authority {
    /// The word of the audit log.
    pub fn via(&self) -> &str {
        match self {
            Self::Grant(_) | Self::Updated(_) => "grant",
            Self::Preapproved => "preapproved",
            Self::Once(how) => how,
        }
    }
}

/// What is to happen with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No.
    Deny(Refusal),
    /// A person must be asked first.
    AskConsent,
    /// Yes, and the token at hand will do.
    UseCached(Authority),
    /// Yes, and a token has to be fetched.
    Fetch(Authority),
}

/// Decides about a request.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let resource = &facts.wanted.resource;
    if resource.consent == ConsentRule::Denied {
        return Decision::Deny(Refusal::ResourceNotAllowed(resource.name.clone()));
    }
    let Some(program) = &facts.peer.program else {
        return Decision::Deny(Refusal::PeerUnidentified);
    };
    // The user's block comes before IT's list: it takes away only.
    if facts.blocked {
        return Decision::Deny(Refusal::ProgramBlocked);
    }
    // Whatever locking ends, nothing is answered meanwhile: ending more must never give more.
    if facts.screen_locked {
        return Decision::Deny(locked());
    }
    match authority(facts, program) {
        None => Decision::AskConsent,
        Some(authority) => with_authority(facts, authority),
    }
}

/// What is answered while the screen is locked.
pub(crate) fn locked() -> Refusal {
    Refusal::ConsentUnavailable("the screen is locked".to_owned())
}

/// Whether locking the screen ends what was given for this resource (`None`: a question that is open). A sensitive
/// resource keeps nothing; by [`LockRule::End`] only what was given for always stays.
pub fn ends_on_lock(rules: &Rules, resource: &ResourceName, given: Option<Choice>) -> bool {
    rules.resources.get(resource).is_some_and(|resource| resource.sensitive)
        || (rules.consent.on_lock == LockRule::End && given != Some(Choice::Always))
}

/// Goes on from a yes: the token at hand if it is good enough, else a new one.
pub(crate) fn with_authority(facts: &Facts<'_>, authority: Authority) -> Decision {
    match facts.cached {
        Some(token) if !facts.refresh && token.is_fresh(facts.now, facts.min_valid) => Decision::UseCached(authority),
        _ => Decision::Fetch(authority),
    }
}

fn authority(facts: &Facts<'_>, program: &Program) -> Option<Authority> {
    let resource = &facts.wanted.resource;
    if resource.consent == ConsentRule::Preapproved && preapproved(facts, program) {
        return Some(Authority::Preapproved);
    }
    let key = program.key();
    let covers = |grant: &&Grant| {
        grant.account == resource.account
            && grant.resource == resource.name
            && facts.wanted.scopes.is_subset(&grant.scopes)
            && grant_stands(grant, facts.rules, resource, facts.now)
    };
    let own = facts.grants.iter().filter(covers).find(|grant| grant.program == key);
    if let Some(grant) = own {
        return Some(Authority::Grant(grant.id));
    }
    let package = facts.peer.package.as_deref();
    let before = facts.grants.iter().filter(covers).find(|grant| grant.follows(program, package))?;
    // Who owns a file says nothing about one that anybody but root can write.
    (facts.may_follow)(program.file(), package?).then_some(Authority::Updated(before.id))
}

/// How long a grant for today to this resource may lie unused.
pub fn idle_limit(rules: &Rules, resource: &Resource) -> Span {
    if resource.sensitive { rules.consent.idle.min(SENSITIVE_IDLE) } else { rules.consent.idle }
}

/// Whether a grant for this resource still stands under the rules now in force, however it was given: a resource that has
/// become sensitive has no "always", and a shorter day ends the grants of longer ones.
pub fn grant_stands(grant: &Grant, rules: &Rules, resource: &Resource, now: Timestamp) -> bool {
    let possible = match grant.choice {
        Choice::Always => !resource.sensitive,
        _ => now < grant.created + rules.consent.absolute,
    };
    possible && grant.stands(now, idle_limit(rules, resource))
}

fn preapproved(facts: &Facts<'_>, program: &Program) -> bool {
    match &facts.wanted.resource.peers {
        Peers::Any => true,
        Peers::Listed(rules) => is_listed(rules, facts, program),
    }
}

/// Whether a listed program is this one. A path alone never stands for what an interpreter is made to run.
fn is_listed(rules: &PeerList, facts: &Facts<'_>, program: &Program) -> bool {
    let (executable, script) = match program {
        Program::Executable { file, .. } => (file, None),
        Program::Script { interpreter, script } => (interpreter, Some(script)),
        Program::Inline { .. } | Program::Terminal { .. } => return false,
    };
    let file = script.unwrap_or(executable);
    let marks = Marks {
        path: &executable.path,
        script: script.map(|script| script.path.as_path()),
        digest: &file.digest,
        package: facts.peer.package.as_deref(),
    };
    let user_can_write = facts.user_can_write;
    rules.naming(marks).any(|rule| {
        rule.sha256.is_some()
            || (!user_can_write(&file.path) && (rule.path.is_none() || !user_can_write(&executable.path)))
    })
}

#[cfg(test)]
pub(crate) mod tests;
