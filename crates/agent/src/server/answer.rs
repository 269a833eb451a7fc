//! Answers: error bodies, the security header set, and the constant refusals of the front layer.

use super::front::Refused;
use axum::{
    body::Body,
    extract::{FromRequestParts, Path},
    http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts},
    response::IntoResponse,
};
use broker::Refusal;
use localapi::{Code, ErrorBody};
use std::sync::LazyLock;

/// Headers of every answer (security.md R-61): nothing is cached, framed, sniffed or shared.
pub(crate) const SECURITY_HEADERS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
];

/// Puts the security headers on an answer that has not chosen its own.
pub(crate) fn secure<B>(mut response: Response<B>) -> Response<B> {
    static PARSED: LazyLock<Vec<(HeaderName, HeaderValue)>> = LazyLock::new(|| {
        let parse = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        SECURITY_HEADERS.iter().map(parse).collect()
    });
    let headers = response.headers_mut();
    headers.reserve(PARSED.len() + 2);
    for (name, value) in &*PARSED {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    response
}

/// The answer of the front layer, as bytes.
pub(crate) fn constant(refused: Refused) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut head = String::with_capacity(640);
    let (status, body) = if refused == Refused::Prefetch {
        ("204 No Content".to_owned(), String::new())
    } else {
        let code = refused.code();
        let reason = StatusCode::from_u16(code.status()).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
        let body = ErrorBody::of(code, front_text(refused).to_owned());
        (format!("{} {reason}", code.status()), serde_json::to_string(&body).unwrap_or_default())
    };
    let _ = write!(head, "HTTP/1.1 {status}\r\n");
    for (name, value) in SECURITY_HEADERS {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if refused != Refused::Prefetch {
        let _ = write!(head, "content-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n", body.len());
    }
    head.push_str("connection: close\r\n\r\n");
    head.push_str(&body);
    head.into_bytes()
}

fn front_text(refused: Refused) -> &'static str {
    match refused {
        Refused::Malformed => "the request is not well-formed HTTP/1.1",
        Refused::TooLarge => "the request is too large",
        Refused::TooSlow => "the request took too long",
        Refused::WrongHost => "the Host header does not name this server",
        Refused::Origin | Refused::Prefetch => "this request is refused",
    }
}

/// Makes error bodies.
pub(crate) trait ErrorBodyExt {
    /// A body with only code and text.
    fn of(code: Code, text: String) -> ErrorBody;
}

impl ErrorBodyExt for ErrorBody {
    fn of(code: Code, text: String) -> ErrorBody {
        ErrorBody {
            error: code.error().to_owned(),
            code,
            error_description: text,
            hint: None,
            consent_id: None,
            expires_in: None,
            retry_after: None,
            detail: None,
        }
    }
}

/// The stable code of a refusal.
pub(crate) fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::InvalidRequest(_) => Code::InvalidRequest,
        Refusal::AccountUnknown(_) => Code::AccountUnknown,
        Refusal::ResourceUnknown(_) => Code::ResourceUnknown,
        Refusal::AudienceMismatch(_) => Code::AudienceMismatch,
        Refusal::ResourceNotAllowed(_) => Code::ResourceNotAllowed,
        Refusal::ScopeNotAllowed { .. } => Code::ScopeNotAllowed,
        Refusal::LoginRequired(_) => Code::LoginRequired,
        Refusal::InteractionRequired(_) | Refusal::StepUpRequired { .. } => Code::InteractionRequired,
        Refusal::WrongAccount(_) => Code::WrongAccount,
        Refusal::ConsentRequired { .. } => Code::ConsentRequired,
        Refusal::ConsentGone => Code::ConsentGone,
        Refusal::ConsentDenied | Refusal::ProgramBlocked => Code::ConsentDenied,
        Refusal::ConsentUnavailable(_) => Code::ConsentUnavailable,
        Refusal::SessionInvalid => Code::SessionInvalid,
        Refusal::RateLimited { .. } => Code::RateLimited,
        Refusal::PeerUnidentified => Code::PeerUnidentified,
        Refusal::NotFirstParty => Code::NotFirstParty,
        Refusal::IssuerUnavailable(_) => Code::IssuerUnavailable,
        Refusal::IssuerRejected(_) => Code::IssuerRejected,
        Refusal::KeychainLocked => Code::KeychainLocked,
        Refusal::KeychainUnavailable(_) => Code::KeychainUnavailable,
        Refusal::ProfileInvalid(_) => Code::ProfileInvalid,
        Refusal::Internal(_) => Code::Internal,
    }
}

/// The body of a refusal, with the next step.
pub(crate) fn body_of(refusal: &Refusal) -> ErrorBody {
    let mut body = ErrorBody::of(code_of(refusal), refusal.to_string());
    body.hint = hint_of(refusal);
    match refusal {
        Refusal::ConsentRequired { consent_id, expires_in } => {
            body.consent_id = Some(consent_id.clone());
            body.expires_in = Some(expires_in.as_seconds());
        }
        Refusal::RateLimited { retry_after } => body.retry_after = Some(retry_after.as_seconds().max(1)),
        // The issuer's own words stand apart from ours.
        Refusal::IssuerUnavailable(detail) | Refusal::IssuerRejected(detail) => {
            let ours =
                if body.code == Code::IssuerUnavailable { "the issuer is unavailable" } else { "the issuer refused" };
            ours.clone_into(&mut body.error_description);
            body.detail = Some(detail.clone()).filter(|detail| !detail.is_empty());
        }
        Refusal::Internal(detail) => {
            tracing::error!(detail, "internal error");
            "something went wrong inside the agent".clone_into(&mut body.error_description);
        }
        _ => {}
    }
    body
}

fn hint_of(refusal: &Refusal) -> Option<String> {
    Some(match refusal {
        Refusal::Internal(_) => "try again; if it stays so, see: daypass doctor".to_owned(),
        Refusal::AccountUnknown(_) => "see the configured accounts: daypass accounts".to_owned(),
        Refusal::ResourceUnknown(_) => "see the configured resources: daypass resources".to_owned(),
        Refusal::ScopeNotAllowed { .. } => "see what a resource allows: daypass resources".to_owned(),
        Refusal::LoginRequired(account) | Refusal::InteractionRequired(account) => {
            format!("run: daypass login {account}")
        }
        Refusal::StepUpRequired { account, flags, .. } => format!("run: daypass login {account}{flags}"),
        Refusal::ConsentRequired { consent_id, .. } => {
            format!("answer the question {consent_id}, then ask again")
        }
        Refusal::ConsentGone => "ask again, and answer within two minutes".to_owned(),
        Refusal::ConsentDenied => "if that was a mistake, wait a moment and ask again".to_owned(),
        Refusal::ProgramBlocked => "see what is blocked: daypass block; take it back: daypass unblock".to_owned(),
        Refusal::ConsentUnavailable(why) if why.contains("is paused") => {
            "go on when it is over, or now with: daypass resume".to_owned()
        }
        Refusal::ConsentUnavailable(why) if why.contains("blocked program") => {
            "unblock it on the page (daypass open), or at a prompt of your own".to_owned()
        }
        Refusal::ConsentUnavailable(why) if why.contains("while it waits") => {
            "let it wait for the answer: daypass token RESOURCE --wait 60s".to_owned()
        }
        Refusal::ConsentUnavailable(why) if why.contains("in a window here") || why.contains("its own question") => {
            "answer it on its page: daypass open".to_owned()
        }
        Refusal::ConsentUnavailable(why) if why.contains("person at it") => {
            "run the command yourself, at a prompt".to_owned()
        }
        Refusal::ConsentUnavailable(why) if why.contains("nobody here") => {
            "sign in to a desktop, configure [browser] command, or ask IT to preapprove this program".to_owned()
        }
        Refusal::RateLimited { retry_after } => format!("try again in {retry_after}"),
        Refusal::PeerUnidentified => "run the program as yourself, from a file on disk, outside a container".to_owned(),
        Refusal::NotFirstParty => "use the daypass command; after an upgrade run: daypass agent stop".to_owned(),
        Refusal::AudienceMismatch(_) => "check audience and request of this resource in the profile".to_owned(),
        Refusal::ResourceNotAllowed(_) => "ask whoever looks after the profile".to_owned(),
        Refusal::IssuerUnavailable(_) => "check the network connection and try again".to_owned(),
        Refusal::IssuerRejected(_) => {
            "check the account's client_id and redirect_uri with whoever runs the issuer".to_owned()
        }
        Refusal::KeychainLocked => "unlock the keychain and try again".to_owned(),
        Refusal::KeychainUnavailable(_) => {
            "start the keychain service, or sign in again with: daypass login".to_owned()
        }
        Refusal::ProfileInvalid(_) => "see what is wrong: daypass profile show".to_owned(),
        Refusal::WrongAccount(_) => "sign in again and choose the other account: daypass login".to_owned(),
        _ => return None,
    })
}

/// One part of a path of the API. One that cannot be read is nothing that is here.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(text)| Self(text))
            .map_err(|_| ApiError::new(Code::NotFound, "there is nothing here"))
    }
}

/// A refusal, or a plain code, as an answer of the API.
#[derive(Debug)]
pub(crate) struct ApiError(pub(crate) Box<ErrorBody>);

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(body_of(&refusal)))
    }
}

impl ApiError {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody::of(code, text.into())))
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }
}

/// A request that is not well formed.
pub(crate) fn code_invalid(text: &str) -> ApiError {
    ApiError::new(Code::InvalidRequest, text)
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> Self {
        Refusal::Internal(error.to_string()).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let body = self.0;
        let status = StatusCode::from_u16(body.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &body);
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED
            && let Ok(value) = HeaderValue::from_str(&format!(r#"Daypass realm="daypass", error="{}""#, body.error))
        {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if let Some(seconds) = body.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(0)));
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
            headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
            response
        }
        Err(_) => ApiError::new(Code::Internal, "the answer could not be written").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuers_words_are_a_detail() {
        for (refusal, ours) in [
            (Refusal::IssuerUnavailable("AADSTS90033".to_owned()), "the issuer is unavailable"),
            (Refusal::IssuerRejected("AADSTS90033".to_owned()), "the issuer refused"),
        ] {
            let body = body_of(&refusal);
            assert_eq!((body.error_description.as_str(), body.detail.as_deref()), (ours, Some("AADSTS90033")));
        }
        assert_eq!(body_of(&Refusal::IssuerRejected(String::new())).detail, None);
    }

    #[test]
    fn whoever_cannot_park_is_told_to_wait() {
        let body = body_of(&Refusal::ConsentUnavailable("x can only ask while it waits".to_owned()));
        assert!(body.hint.is_some_and(|hint| hint.contains("--wait")));
    }
}
