//! Spans of time, audit events and stable codes in plain words.

/// A length of time, rounded to what a person would say: "12 hours", "4 minutes", "less than a minute".
pub(crate) fn span_in_words(seconds: i64) -> String {
    let rounded = |unit: i64| (seconds + unit / 2) / unit;
    let count = |number: i64, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
    match seconds {
        ..45 => "less than a minute".to_owned(),
        45..3_570 => count(rounded(60), "minute"),
        3_570..129_600 => count(rounded(3_600), "hour"),
        _ => count(rounded(86_400), "day"),
    }
}

/// "in 4 minutes", "in less than a minute", "now" for what is not ahead.
pub(crate) fn in_words(seconds: i64) -> String {
    if seconds <= 0 { "now".to_owned() } else { format!("in {}", span_in_words(seconds)) }
}

/// "4 minutes ago", "just now".
pub(crate) fn ago(seconds: i64) -> String {
    if seconds < 45 { "just now".to_owned() } else { format!("{} ago", span_in_words(seconds)) }
}

/// "for the next 12 hours", "for the next minute".
pub(crate) fn for_the_next(seconds: i64) -> String {
    let span = span_in_words(seconds.max(45));
    format!("for the next {}", span.strip_prefix("1 ").unwrap_or(&span))
}

/// An audit event in words. An event this table does not know is shown as it is.
pub(crate) fn event_in_words(event: &str) -> String {
    let words = match event {
        "token.issued" => "Pass given",
        "token.refused" | "request.refused" | "access.refused" => "Refused",
        "consent.denied" => "You denied",
        "consent.once" => "You allowed once",
        "consent.today" => "You allowed today",
        "consent.always" => "You always allow",
        "consent.refused" => "Answer not accepted",
        "consent.expired" => "Question expired",
        "consent.gone" => "Ended without an answer",
        "grant.revoked" => "Permission taken back",
        "grant.ended" => "Permission ended",
        "program.blocked" => "You blocked",
        "program.unblocked" => "You unblocked",
        "sign_in.done" => "Signed in",
        "sign_in.failed" => "Sign-in failed",
        "sign_in.lost" => "Sign-in ended",
        "sign_out" => "Signed out",
        "refresh.failed" => "Sign-in not renewed",
        "profile.changed" => "Settings changed",
        "session.ended" => "Program disconnected",
        "agent.started" => "Daypass started",
        "agent.stopped" => "Daypass stopped",
        other => return other.replace(['.', '_'], " "),
    };
    words.to_owned()
}

/// Why something was refused, from its stable code; nothing for `ok`. An unknown code is shown as it is.
pub(crate) fn why_in_words(code: &str) -> Option<String> {
    let words = match code {
        "ok" => return None,
        "internal" => "Daypass made a mistake",
        "invalid_request" => "the request was not well formed",
        "account_unknown" => "there is no such account",
        "not_found" => "there is no such thing",
        "method_not_allowed" => "this cannot be done that way",
        "request_timeout" => "the request took too long",
        "too_large" => "the request was too large",
        "unsupported_media_type" => "the request was of the wrong type",
        "wrong_host" => "it was meant for another address",
        "origin_refused" => "a web page asked",
        "login_required" => "nobody is signed in",
        "interaction_required" => "the provider wants you to sign in again",
        "wrong_account" => "another account was used than the settings accept",
        "consent_required" => "you have not answered yet",
        "consent_gone" => "nobody answered in time",
        "session_invalid" => "its session is over",
        "rate_limited" => "it asked too often",
        "consent_denied" => "you denied it",
        "consent_unavailable" => "nobody could be asked",
        "peer_unidentified" => "the program could not be identified",
        "not_first_party" => "only Daypass itself may do that",
        "resource_not_allowed" => "the settings forbid it",
        "resource_unknown" => "there is no such service",
        "audience_mismatch" => "the provider’s answer was for another service",
        "scope_not_allowed" => "it asked for more than the settings allow",
        "issuer_unavailable" => "the provider does not answer",
        "issuer_rejected" => "the provider refused",
        "keychain_locked" => "the keychain is locked",
        "keychain_unavailable" => "the keychain does not answer",
        "profile_invalid" => "the settings cannot be read",
        "program_blocked" => "you blocked it",
        "revocation_failed" => "the provider was not told",
        "refresh.invalid_grant" => "the provider no longer accepts it",
        "refresh.unanswered" => "the provider did not answer when it was renewed",
        "sign_in.ended" => "its time was over",
        other => return Some(other.replace(['.', '_'], " ")),
    };
    Some(words.to_owned())
}
