//! Who may reach a handler: web origins, fetch metadata, content types, cookies. Runs before any handler.

use super::answer::ApiError;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, header},
};
use localapi::Code;
use std::time::Duration;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

/// The API is for programs: nothing a web page sends gets in.
///
/// # Errors
/// `origin_refused`.
pub(crate) fn api(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(ApiError::new(Code::OriginRefused, "web pages cannot use this interface"));
    }
    Ok(())
}

/// A page, an asset or a page's own question: navigations by the person and our own pages only.
pub(crate) fn page_read(headers: &HeaderMap, base: &str) -> bool {
    let site = matches!(text(headers, "sec-fetch-site"), None | Some("none" | "same-origin"));
    let dest =
        matches!(text(headers, "sec-fetch-dest"), None | Some("document" | "empty" | "style" | "script" | "image"));
    let origin = text(headers, "origin").is_none_or(|origin| origin == base);
    site && dest && origin
}

/// A page shown as a whole document, never inside another.
pub(crate) fn is_document(headers: &HeaderMap) -> bool {
    matches!(text(headers, "sec-fetch-dest"), None | Some("document"))
        && matches!(text(headers, "sec-fetch-mode"), None | Some("navigate"))
}

/// A form of ours: `Sec-Fetch-Site: same-origin`, or without fetch metadata an Origin that is ours.
pub(crate) fn page_write(headers: &HeaderMap, base: &str) -> bool {
    let origin = text(headers, "origin");
    match text(headers, "sec-fetch-site") {
        Some(site) => site == "same-origin" && origin.is_none_or(|origin| origin == base),
        None => origin == Some(base),
    }
}

/// Reads a cookie of ours.
///
/// # Errors
/// When two cookies of that name are shown.
pub(crate) fn read_cookie(headers: &HeaderMap, name: &str) -> Result<Option<String>, ()> {
    let Some(header) = headers.get(header::COOKIE) else { return Ok(None) };
    let Ok(header) = header.to_str() else { return Ok(None) };
    let mut found = None;
    for pair in header.split(';') {
        if let Some((key, value)) = pair.trim().split_once('=')
            && key == name
        {
            if found.is_some() {
                return Err(());
            }
            found = Some(value.to_owned());
        }
    }
    Ok(found)
}

/// Reads a body whole, in time and within its limit.
///
/// # Errors
/// `too_large`, `request_timeout` or `invalid_request`.
pub(crate) async fn body(request: Request<Body>) -> Result<Bytes, ApiError> {
    let limit = usize::try_from(super::front::BODY_LIMIT).unwrap_or(usize::MAX);
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if format!("{error:?}").contains("LengthLimit") => {
            Err(ApiError::new(Code::TooLarge, "the request is too large"))
        }
        Ok(Err(_)) => Err(ApiError::new(Code::InvalidRequest, "the body could not be read")),
        Err(_) => Err(ApiError::new(Code::RequestTimeout, "the request took too long")),
    }
}

/// Reads a JSON body: exact content type, no duplicate member, nothing behind it.
///
/// # Errors
/// `unsupported_media_type`, `invalid_request` and those of [`body`].
pub(crate) async fn json<T: serde::de::DeserializeOwned>(request: Request<Body>) -> Result<T, ApiError> {
    let kind = text(request.headers(), "content-type").unwrap_or_default().to_ascii_lowercase();
    let exact = matches!(
        kind.as_str(),
        "application/json" | "application/json; charset=utf-8" | "application/json;charset=utf-8"
    );
    if !exact {
        return Err(ApiError::new(Code::UnsupportedMediaType, "the body must be application/json"));
    }
    let bytes = body(request).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        // Only serde_json's own words: place and kind of the fault, never the value.
        let what = match error.classify() {
            serde_json::error::Category::Data => data_fault(&error),
            _ => "the body is not valid JSON".to_owned(),
        };
        ApiError::new(Code::InvalidRequest, what).with_hint("see the description of this endpoint in docs/api.md")
    })
}

fn data_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    for start in ["missing field `", "duplicate field `"] {
        if let Some(rest) = text.strip_prefix(start) {
            return format!("{start}{}`", rest.split('`').next().unwrap_or_default());
        }
    }
    if text.starts_with("unknown field") {
        return "the body has a field this endpoint does not know".to_owned();
    }
    format!("a field of the body has the wrong type (line {}, column {})", error.line(), error.column())
}

/// Why a form was not taken.
#[derive(Debug)]
pub(crate) enum FormError {
    Kind,
    Malformed,
    Body(ApiError),
}

/// Reads a form of one of our pages: exact content type, no field twice.
///
/// # Errors
/// See [`FormError`].
pub(crate) async fn form(request: Request<Body>) -> Result<Vec<(String, String)>, FormError> {
    if text(request.headers(), "content-type") != Some("application/x-www-form-urlencoded") {
        return Err(FormError::Kind);
    }
    let bytes = body(request).await.map_err(FormError::Body)?;
    pairs(&bytes).ok_or(FormError::Malformed)
}

/// Decodes `a=b&c=d` strictly: valid UTF-8, no name twice.
pub(crate) fn pairs(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let raw = std::str::from_utf8(bytes).ok()?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in raw.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if pairs.iter().any(|(known, _)| *known == name) {
            return None;
        }
        pairs.push((name, value));
    }
    Some(pairs)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_strictly() {
        assert_eq!(pairs(b"a=b%20c&d=e+f"), Some(vec![("a".into(), "b c".into()), ("d".into(), "e f".into())]));
        for wrong in [&b"a=1&a=2"[..], b"a=%f", b"a=%ff", b"a=%00", b"a=%zz", b"\xff", b"a=1&%61=2"] {
            assert_eq!(pairs(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn two_cookies_of_one_name_are_refused() {
        let cookies = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, header::HeaderValue::from_static(text));
            read_cookie(&headers, "daypass_1")
        };
        assert_eq!(cookies("x=1; daypass_1=a; daypass_12=b"), Ok(Some("a".into())));
        assert_eq!(cookies("x=1"), Ok(None));
        assert_eq!(cookies("daypass_1=a; daypass_1=a"), Err(()));
    }

    #[test]
    fn forms_come_from_our_own_pages_only() {
        let base = "http://127.0.0.1:6174";
        for (site, origin, allowed) in [
            (Some("same-origin"), Some(base), true),
            (Some("same-origin"), None, true),
            (None, Some(base), true),
            (None, None, false),
            (Some("same-site"), Some(base), false),
            (Some("cross-site"), None, false),
            (Some("none"), None, false),
            (Some("same-origin"), Some("null"), false),
            (None, Some("null"), false),
            (None, Some("http://127.0.0.1:6174.evil"), false),
            (None, Some("http://localhost:6174"), false),
            (None, Some("http://127.0.0.1:61740"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().unwrap());
            }
            assert_eq!(page_write(&headers, base), allowed, "{site:?} {origin:?}");
        }
    }
}
