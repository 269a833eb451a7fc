//! The one table of stable codes: what programs see, with the HTTP status and the exit code that go with each.

use serde::{Deserialize, Serialize};

/// Exit codes of `daypass`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Ok = 0,
    /// Our own fault.
    Internal = 1,
    /// Usage or an invalid request.
    Usage = 2,
    /// The agent cannot be reached.
    AgentUnreachable = 3,
    /// A sign-in is required.
    SignInRequired = 4,
    /// Consent denied, or nobody to ask.
    ConsentDenied = 5,
    /// Consent pending or expired, or slow down.
    ConsentPending = 6,
    /// The authorization server is unavailable or refuses us.
    Issuer = 7,
    /// The keychain.
    Keychain = 8,
    /// The profile.
    Profile = 9,
    /// Not allowed.
    NotAllowed = 10,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $error:literal $status:literal $exit:ident;)*) => {
        /// A stable error code. Programs may rely on its text, its HTTP status and its exit code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the contract's table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The standard's error word that goes with it (RFC 6749 §5.2, OpenID Connect Core §3.1.2.6).
            pub fn error(self) -> &'static str {
                match self { $(Self::$variant => $error),* }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// The exit code that goes with it.
            pub fn exit(self) -> ExitCode {
                match self { $(Self::$variant => ExitCode::$exit),* }
            }
        }
    };
}

codes! {
    /// Our own fault.
    Internal "internal" "server_error" 500 Internal;
    /// Not well formed.
    InvalidRequest "invalid_request" "invalid_request" 400 Usage;
    /// No such account.
    AccountUnknown "account_unknown" "invalid_request" 400 Usage;
    /// No such path or thing.
    NotFound "not_found" "invalid_request" 404 Usage;
    /// Not with this method.
    MethodNotAllowed "method_not_allowed" "invalid_request" 405 Usage;
    /// Too slow.
    RequestTimeout "request_timeout" "invalid_request" 408 Usage;
    /// Too large.
    TooLarge "too_large" "invalid_request" 413 Usage;
    /// Wrong content type.
    UnsupportedMediaType "unsupported_media_type" "invalid_request" 415 Usage;
    /// The Host header names somebody else.
    WrongHost "wrong_host" "invalid_request" 421 Usage;
    /// A web page asked.
    OriginRefused "origin_refused" "invalid_request" 403 Usage;
    /// Nobody is signed in.
    LoginRequired "login_required" "login_required" 401 SignInRequired;
    /// The issuer wants the person again.
    InteractionRequired "interaction_required" "interaction_required" 401 SignInRequired;
    /// Somebody else is signed in than the profile accepts.
    WrongAccount "wrong_account" "access_denied" 403 SignInRequired;
    /// A consent question is open.
    ConsentRequired "consent_required" "consent_required" 401 ConsentPending;
    /// The question is over without a yes.
    ConsentGone "consent_gone" "consent_required" 410 ConsentPending;
    /// The session is over or somebody else's.
    SessionInvalid "session_invalid" "consent_required" 401 ConsentPending;
    /// Too many requests.
    RateLimited "rate_limited" "slow_down" 429 ConsentPending;
    /// The answer was no.
    ConsentDenied "consent_denied" "access_denied" 403 ConsentDenied;
    /// Nobody can be asked.
    ConsentUnavailable "consent_unavailable" "access_denied" 403 ConsentDenied;
    /// The asking program is not known.
    PeerUnidentified "peer_unidentified" "access_denied" 403 ConsentDenied;
    /// Only Daypass's own programs may.
    NotFirstParty "not_first_party" "access_denied" 403 NotAllowed;
    /// The profile forbids it.
    ResourceNotAllowed "resource_not_allowed" "access_denied" 403 NotAllowed;
    /// No such resource.
    ResourceUnknown "resource_unknown" "invalid_target" 400 NotAllowed;
    /// The issuer's token is for somebody else.
    AudienceMismatch "audience_mismatch" "invalid_target" 400 NotAllowed;
    /// Above the ceiling.
    ScopeNotAllowed "scope_not_allowed" "invalid_scope" 400 NotAllowed;
    /// The issuer does not answer.
    IssuerUnavailable "issuer_unavailable" "temporarily_unavailable" 503 Issuer;
    /// The issuer does not want us.
    IssuerRejected "issuer_rejected" "server_error" 502 Issuer;
    /// The keychain is locked.
    KeychainLocked "keychain_locked" "server_error" 503 Keychain;
    /// A sign-in known to exist cannot be read.
    KeychainUnavailable "keychain_unavailable" "server_error" 503 Keychain;
    /// The profile forbids issuing until repaired.
    ProfileInvalid "profile_invalid" "server_error" 500 Profile;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serde_name_is_the_text() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("{:?}", code.as_str()));
        }
    }
}
