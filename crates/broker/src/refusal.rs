//! Why a request gets no token. A variant for every stable code of the contract's table a handler can answer, and for
//! what has a next step of its own.

use crate::words::{AccountName, ResourceName, Span};

/// A refusal. Its text is a detail for people; programs read the stable code chosen by whoever puts it on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request itself is not well formed.
    #[error("{0}")]
    InvalidRequest(String),
    /// No account of that name.
    #[error("there is no account {0:?}")]
    AccountUnknown(String),
    /// No resource of that name or audience.
    #[error("there is no resource {0:?}")]
    ResourceUnknown(String),
    /// The issuer's token is for another audience than asked for.
    #[error("the issuer's token for {0} is not meant for its audience")]
    AudienceMismatch(ResourceName),
    /// IT or the profile keeps this program from this resource.
    #[error("the profile does not let this program have {0}")]
    ResourceNotAllowed(ResourceName),
    /// A scope above the resource's ceiling.
    #[error("scope {scope:?} is above what {resource} allows")]
    ScopeNotAllowed {
        /// The resource asked for.
        resource: ResourceName,
        /// The scopes above the ceiling, space-separated.
        scope: String,
    },
    /// Nobody is signed in to the account.
    #[error("nobody is signed in to {0}")]
    LoginRequired(AccountName),
    /// Signed in, but the issuer wants the person again for this resource.
    #[error("the issuer wants you to sign in again for {0}")]
    InteractionRequired(AccountName),
    /// Signed in, but not in the way this request asks for.
    #[error("{why}")]
    StepUpRequired {
        /// The account.
        account: AccountName,
        /// What is missing, for people.
        why: String,
        /// What `daypass login` has to be told besides the account; begins with a space where there is anything.
        flags: String,
    },
    /// Somebody signed in whom the profile does not accept.
    #[error("{0}")]
    WrongAccount(String),
    /// A consent question is open; ask again with the answer.
    #[error("waiting for consent")]
    ConsentRequired {
        /// Names the question.
        consent_id: String,
        /// Seconds until it expires.
        expires_in: Span,
    },
    /// The question is over without a yes.
    #[error("the question was not answered in time")]
    ConsentGone,
    /// The answer was no.
    #[error("consent was denied")]
    ConsentDenied,
    /// The user has blocked the program.
    #[error("you have blocked this program")]
    ProgramBlocked,
    /// There is nobody who could be asked.
    #[error("{0}")]
    ConsentUnavailable(String),
    /// The session that was shown is over or somebody else's.
    #[error("the session shown is not valid")]
    SessionInvalid,
    /// Too many requests.
    #[error("too many requests")]
    RateLimited {
        /// When to try again.
        retry_after: Span,
    },
    /// It cannot be told which program asks.
    #[error("the program that asks could not be identified")]
    PeerUnidentified,
    /// Only Daypass's own programs may do this.
    #[error("only Daypass's own programs may do this")]
    NotFirstParty,
    /// The issuer does not answer, or not now.
    #[error("the issuer is unavailable: {0}")]
    IssuerUnavailable(String),
    /// The issuer answers that it does not want us.
    #[error("the issuer refused: {0}")]
    IssuerRejected(String),
    /// The keychain is locked.
    #[error("the keychain is locked")]
    KeychainLocked,
    /// A sign-in known to exist cannot be read.
    #[error("the keychain cannot be read: {0}")]
    KeychainUnavailable(String),
    /// The profile forbids all issuing until it is repaired.
    #[error("the profile is not valid: {0}")]
    ProfileInvalid(String),
    /// Our own fault.
    #[error("internal error: {0}")]
    Internal(String),
}
