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
        "grant.updated" => "Permission kept after an update",
        "grant.ended" => "Permission ended",
        "pause.begun" => "You paused Daypass",
        "pause.ended" => "Pause ended",
        "program.blocked" => "You blocked",
        "program.unblocked" => "You unblocked",
        "sign_in.done" => "Signed in",
        "sign_in.failed" => "Sign-in failed",
        "sign_in.lost" => "Sign-in ended",
        "sign_out" => "Signed out",
        "refresh.failed" => "Sign-in not renewed",
        "profile.changed" => "Settings changed",
        "audit.trimmed" => "Old lines removed",
        "audit.unanchored" => "Anchor of the log was gone",
        "session.ended" => "Program disconnected",
        "agent.started" => "Daypass started",
        "agent.stopped" => "Daypass stopped",
        other => return other.replace(['.', '_'], " "),
    };
    words.to_owned()
}

/// What a setting is, from the end of its key. One this table does not know is shown as it is.
pub(crate) fn setting_in_words(key: &str) -> String {
    let words = match key {
        "name" => "Organisation",
        "support_url" => "Help",
        "requires" => "Needs Daypass",
        "issuer" => "Provider",
        "client_id" => "Known to the provider as",
        "client_secret" => "Client secret",
        "redirect_uri" => "Where a sign-in comes back to",
        "scopes" => "Asks for",
        "offline" => "How it stays signed in",
        "authorization_parameters" => "Sent along with a sign-in",
        "required_claims" => "Who may sign in",
        "title" => "Shown as",
        "description" => "What it is for",
        "account" => "Account",
        "token" => "Kind of pass",
        "audience" => "Address",
        "request" => "How its address is asked for",
        "allowed_scopes" => "May ask for at most",
        "lifetime" => "A pass lasts",
        "consent" => "Whether you are asked",
        "sensitive" => "Sensitive",
        "peers" => "Programs that need not ask",
        "consent.idle" => "A permission for today ends unused after",
        "consent.absolute" => "A permission for today lasts at most",
        "consent.on_lock" => "When the screen is locked",
        "consent.terminal" => "Answers in a terminal",
        "browser.command" => "Browser",
        "broker.port" => "Port on this computer",
        "network.proxy" => "Proxy",
        "network.no_proxy" => "Reached without the proxy",
        "network.ca" => "More certificate authorities",
        "audit.retention" => "Activity is kept for",
        "audit.export" => "Activity is copied to",
        "notifications.enabled" => "Notifications",
        "notifications.expiry_ahead" => "Told before a sign-in ends",
        "desktop.autostart" => "Starts with your desktop",
        "desktop.sign_in_at_start" => "Offers to sign in at the start",
        other => other,
    };
    words.to_owned()
}

/// A setting's value in words, by the end of its key. One this table does not know is shown as it is.
pub(crate) fn value_in_words(key: &str, value: &str) -> String {
    let words = match (key, value) {
        ("offline", "auto") => "as the provider offers it",
        ("offline", "none") => "it does not",
        ("token", "access") => "the provider’s",
        ("token", "id") => "who you are",
        ("token", "minted") => "Daypass’s own, for this computer",
        ("consent", "ask") => "you are asked",
        ("consent", "preapproved") => "not for the programs named here",
        ("consent", "denied") => "no program gets it",
        ("consent.on_lock", "pause") => "everything waits",
        ("consent.on_lock", "end") => "what you allowed for today ends",
        ("consent.terminal", "fallback") => "where no window can open",
        ("consent.terminal", "allow") => "always",
        ("network.proxy", "system") => "as the system says",
        ("desktop.sign_in_at_start", "first") => "the first time",
        (_, other) => other,
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
