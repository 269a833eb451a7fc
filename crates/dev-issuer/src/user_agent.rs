//! A very small web browser for loopback pages: cookies, redirects, forms, and the headers by which servers tell a
//! navigation from anything else (Fetch Metadata). It runs no script and speaks to nothing but loopback.
//!
//! Like every browser it sends cookies to all ports of a host. It is a driver for tests and the demo, not a fortress.

use crate::wire::{self, Answer, WireError};
use std::time::Duration;
use url::Url;

/// Most redirects followed in a row.
const REDIRECTS: usize = 12;

/// Why a page could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// The exchange failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The server sends us in circles.
    #[error("more than {REDIRECTS} redirects in a row")]
    TooManyRedirects,
    /// A redirect or form has no usable address.
    #[error("a redirect or form has no usable address")]
    BadAddress,
}

/// A page as it was loaded.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address, after redirects.
    pub url: Url,
    /// HTTP status.
    pub status: u16,
    /// Its HTML.
    pub html: String,
}

/// A form on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it goes, as written; empty = the page itself.
    pub action: String,
    /// Whether it is posted.
    pub post: bool,
    /// Fields with their values, in order; buttons are not among them.
    pub fields: Vec<(String, String)>,
    /// Name and value of each button that has a name.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Fills field `name`, adding it where the page has none.
    pub fn fill(&mut self, name: &str, value: &str) {
        match self.fields.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Whether it has field `name`.
    pub fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n == name)
    }

    /// Whether it has a button `name` with `value`.
    pub fn has_button(&self, name: &str, value: &str) -> bool {
        self.buttons.iter().any(|(n, v)| n == name && v == value)
    }
}

impl Page {
    /// Its forms, in order.
    pub fn forms(&self) -> Vec<Form> {
        let mut forms: Vec<Form> = Vec::new();
        let mut open = false;
        for tag in (Tags { rest: &self.html }) {
            match tag.name.as_str() {
                "form" => {
                    open = true;
                    forms.push(Form {
                        action: tag.value("action").unwrap_or_default(),
                        post: tag.value("method").is_some_and(|method| method.eq_ignore_ascii_case("post")),
                        fields: Vec::new(),
                        buttons: Vec::new(),
                    });
                }
                "/form" => open = false,
                "input" | "button" if open => {
                    let (Some(form), Some(name)) = (forms.last_mut(), tag.value("name")) else { continue };
                    let value = tag.value("value").unwrap_or_default();
                    let kind = tag.value("type").unwrap_or_default().to_ascii_lowercase();
                    if tag.name == "button" || kind == "submit" {
                        form.buttons.push((name, value));
                    } else if !matches!(kind.as_str(), "checkbox" | "radio") || tag.value("checked").is_some() {
                        form.fields.push((name, value));
                    }
                }
                _ => {}
            }
        }
        forms
    }
}

/// A browser with one tab.
#[derive(Debug)]
pub struct UserAgent {
    cookies: Vec<Cookie>,
    patience: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    same_site: SameSite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SameSite {
    None,
    Lax,
    Strict,
}

/// How far an address is from who leads there, worst of a chain of redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Distance {
    /// The person typed it or a program opened it.
    Typed,
    SameOrigin,
    SameSite,
    CrossSite,
}

impl Distance {
    fn between(from: &Url, to: &Url) -> Self {
        if from.origin() == to.origin() {
            Self::SameOrigin
        } else if from.scheme() == to.scheme() && from.host() == to.host() {
            Self::SameSite
        } else {
            Self::CrossSite
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Typed => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }
}

impl UserAgent {
    /// A browser without cookies that waits at most `patience` for each answer.
    pub fn new(patience: Duration) -> Self {
        Self { cookies: Vec::new(), patience }
    }

    /// Opens `url` as if a person had typed it, and follows redirects.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub fn open(&mut self, url: &Url) -> Result<Page, BrowseError> {
        self.navigate(url.clone(), None, None)
    }

    /// Sends `form` of `page`, with `button` pressed, and follows redirects.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub fn send(&mut self, page: &Page, form: &Form, button: Option<(&str, &str)>) -> Result<Page, BrowseError> {
        let mut target = page.url.join(&form.action).map_err(|_| BrowseError::BadAddress)?;
        let pairs = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(button);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if form.post {
            return self.navigate(target, Some(&page.url), Some(body));
        }
        target.set_query(Some(&body));
        self.navigate(target, Some(&page.url), None)
    }

    fn navigate(&mut self, url: Url, from: Option<&Url>, body: Option<String>) -> Result<Page, BrowseError> {
        let (mut url, mut body) = (url, body);
        let mut distance = from.map_or(Distance::Typed, |from| Distance::between(from, &url));
        for _ in 0..REDIRECTS {
            let answer = self.request(&url, distance, from, body.as_deref())?;
            self.keep_cookies(&url, &answer);
            let location = answer.header("location").filter(|_| (300..400).contains(&answer.status));
            let Some(location) = location else {
                return Ok(Page { url, status: answer.status, html: answer.text() });
            };
            let next = url.join(location).map_err(|_| BrowseError::BadAddress)?;
            if !matches!(answer.status, 307 | 308) {
                body = None;
            }
            if let Some(from) = from {
                distance = distance.max(Distance::between(from, &next));
            }
            url = next;
        }
        Err(BrowseError::TooManyRedirects)
    }

    fn request(
        &self,
        url: &Url,
        distance: Distance,
        from: Option<&Url>,
        body: Option<&str>,
    ) -> Result<Answer, WireError> {
        let cookies = self.cookies_for(url, distance, body.is_some());
        let origin = from.map(|from| from.origin().ascii_serialization());
        let mut headers = vec![
            ("user-agent", "daypass-demo"),
            ("accept", "text/html,application/xhtml+xml"),
            ("accept-language", "en"),
            ("sec-fetch-site", distance.header()),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-user", "?1"),
        ];
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        if let (Some(_), Some(origin)) = (body, &origin) {
            headers.push(("origin", origin));
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let method = if body.is_some() { "POST" } else { "GET" };
        wire::exchange(method, url, &headers, body.map(str::as_bytes), self.patience)
    }

    fn cookies_for(&self, url: &Url, distance: Distance, post: bool) -> String {
        let path = url.path();
        let mut fitting: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| Some(cookie.host.as_str()) == url.host_str() && path_matches(&cookie.path, path))
            .filter(|cookie| match cookie.same_site {
                SameSite::None => true,
                SameSite::Lax => distance != Distance::CrossSite || !post,
                SameSite::Strict => distance != Distance::CrossSite,
            })
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&mut self, url: &Url, answer: &Answer) {
        for (_, text) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let Some((cookie, dead)) = parse_cookie(url, text) else { continue };
            self.cookies.retain(|old| (&old.host, &old.path, &old.name) != (&cookie.host, &cookie.path, &cookie.name));
            if !dead {
                self.cookies.push(cookie);
            }
        }
    }
}

/// RFC 6265 §5.1.4.
fn path_matches(cookie: &str, request: &str) -> bool {
    request == cookie || request.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

/// The cookie and whether it is to be forgotten (RFC 6265 §5.2; `Expires` in the past counts only as the epoch).
fn parse_cookie(url: &Url, text: &str) -> Option<(Cookie, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let default_path = match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder,
        _ => "/",
    };
    let mut cookie = Cookie {
        host: url.host_str()?.to_owned(),
        path: default_path.to_owned(),
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        same_site: SameSite::Lax,
    };
    let mut dead = false;
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        match attribute.to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "max-age" => dead = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
            "expires" => dead |= value.contains("1970"),
            // Loopback http is no secure origin for cookies: a browser drops these.
            "secure" => return None,
            "samesite" => {
                cookie.same_site = match value.to_ascii_lowercase().as_str() {
                    "strict" => SameSite::Strict,
                    "none" => SameSite::None,
                    _ => SameSite::Lax,
                }
            }
            _ => {}
        }
    }
    Some((cookie, dead))
}

/// Tags of a page, in order; text, comments and scripts are passed over.
struct Tags<'a> {
    rest: &'a str,
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn value(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            let at = self.rest.find('<')?;
            self.rest = &self.rest[at + 1..];
            if let Some(comment) = self.rest.strip_prefix("!--") {
                self.rest = comment.split_once("-->").map_or("", |(_, after)| after);
                continue;
            }
            if !self.rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
                continue;
            }
            let end = self.rest.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(self.rest.len());
            let name = self.rest[..end].trim_end_matches('/').to_ascii_lowercase();
            self.rest = &self.rest[end..];
            let attributes = self.attributes();
            if matches!(name.as_str(), "script" | "style" | "textarea") {
                let close = format!("</{name}");
                let at = self.rest.to_ascii_lowercase().find(&close).unwrap_or(self.rest.len());
                self.rest = &self.rest[at..];
            }
            return Some(Tag { name, attributes });
        }
    }
}

impl Tags<'_> {
    /// Reads up to and with the closing `>`.
    fn attributes(&mut self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return found;
            }
            if self.rest.is_empty() {
                return found;
            }
            let end = self
                .rest
                .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))
                .unwrap_or(self.rest.len());
            // A stray `=` is a name of its own, else this would not move on.
            let end = end.max(self.rest.chars().next().map_or(0, char::len_utf8));
            let name = self.rest[..end].to_ascii_lowercase();
            self.rest = self.rest[end..].trim_start();
            let mut value = String::new();
            if let Some(rest) = self.rest.strip_prefix('=') {
                let rest = rest.trim_start();
                let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
                let (text, after) = if let Some(quote) = quote {
                    rest[1..].split_once(quote).unwrap_or((&rest[1..], ""))
                } else {
                    rest.split_at(rest.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(rest.len()))
                };
                value = unescape(text);
                self.rest = after;
            }
            found.push((name, value));
        }
    }
}

/// The few character references pages of ours use, and numeric ones.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.find(';').filter(|end| *end <= 9).map(|end| (&rest[1..end], end));
        let letter = reference.and_then(|(name, _)| match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)
            }
        });
        if let (Some(letter), Some((_, end))) = (letter, reference) {
            plain.push(letter);
            rest = &rest[end + 1..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests;
