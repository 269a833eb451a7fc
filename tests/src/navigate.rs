//! A private browser window as the other side sees it: redirects, cookies, Fetch Metadata, `Origin`.
//!
//! What it imitates was measured with Chromium: Fetch Metadata along a redirect chain, `Origin` on form posts as the
//! page's referrer policy leaves it, `SameSite`, and that cookies do not know ports. It visits loopback only.

use crate::{
    html::{self, Form},
    http,
};
use std::io;

/// A document and where it came from.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its address after every redirect.
    pub url: Url,
    /// The answer it came in.
    pub answer: http::Answer,
}

impl Page {
    /// The form with the consent buttons, if it has one.
    pub fn consent_form(&self) -> Option<Form> {
        html::forms(&self.answer.text()).into_iter().find(|form| form.buttons.iter().any(|(name, ..)| name == "choice"))
    }
}

/// An address on loopback, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }

    fn host(&self) -> &str {
        self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host)
    }

    fn join(&self, reference: &str) -> io::Result<Self> {
        if reference.is_empty() {
            return Ok(self.clone());
        }
        if reference.starts_with('/') && !reference.starts_with("//") {
            return Ok(Self { authority: self.authority.clone(), path: reference.to_owned() });
        }
        if reference.contains("://") {
            return Self::parse(reference);
        }
        let folder =
            self.path.split('?').next().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
        Ok(Self { authority: self.authority.clone(), path: format!("{folder}/{reference}") })
    }

    fn parse(address: &str) -> io::Result<Self> {
        let foreign =
            || io::Error::other(format!("not a loopback address: {}", address.split('?').next().unwrap_or_default()));
        let rest = address.strip_prefix("http://").ok_or_else(foreign)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let url = Self { authority: authority.to_owned(), path: path.split('#').next().unwrap_or_default().to_owned() };
        if ["127.0.0.1", "localhost", "[::1]"].contains(&url.host()) { Ok(url) } else { Err(foreign()) }
    }
}

#[derive(Debug, Clone)]
struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    same_site: String,
}

/// A private window: its cookies, and nothing else.
#[derive(Debug, Default)]
pub struct Session {
    cookies: Vec<Cookie>,
    stop_at: Option<String>,
}

impl Session {
    /// A window that asks for nothing at this path: it ends there with an empty page of status 0, whose address is what
    /// would have been asked for.
    pub fn stopping_at(path: &str) -> Self {
        Self { stop_at: Some(path.to_owned()), ..Self::default() }
    }

    /// Goes on from the page it stopped at.
    ///
    /// # Errors
    /// As [`Self::go`].
    pub fn go_on(&mut self, page: &Page) -> io::Result<Page> {
        self.stop_at = None;
        self.load(page.url.clone(), None, None)
    }

    /// What this window would send as `Cookie` to an address on its own site; empty = nothing.
    pub fn cookie_header(&self, url: &Url) -> String {
        self.cookies_for(url, Site::Origin, "GET")
    }

    /// Opens an address that came from outside, as if typed.
    ///
    /// # Errors
    /// When it does not lead to a document on loopback.
    pub fn go(&mut self, address: &str) -> io::Result<Page> {
        self.load(Url::parse(address)?, None, None)
    }

    /// Follows a link of a page.
    ///
    /// # Errors
    /// As [`Self::go`].
    pub fn click(&mut self, page: &Page, link: &str) -> io::Result<Page> {
        self.load(page.url.join(link)?, Some(page), None)
    }

    /// Sends a form of a page.
    ///
    /// # Errors
    /// As [`Self::go`].
    pub fn submit(&mut self, page: &Page, action: &str, fields: &[(String, String)]) -> io::Result<Page> {
        let body = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect::<Vec<_>>()
            .join("&");
        self.load(page.url.join(action)?, Some(page), Some(body))
    }

    /// Sends what the script of a page would send, and gives the answer as it is: redirects are not followed.
    ///
    /// # Errors
    /// As [`Self::go`].
    pub fn script(&mut self, page: &Page, method: &str, to: &str, body: &str) -> io::Result<http::Answer> {
        let url = page.url.join(to)?;
        let (origin, cookie) = (page.url.origin(), self.cookies_for(&url, Site::between(&page.url, &url), method));
        let mut headers = vec![
            ("Accept", "application/json"),
            ("Content-Type", "application/json"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "cors"),
            ("Sec-Fetch-Dest", "empty"),
            ("Origin", &origin),
        ];
        if !cookie.is_empty() {
            headers.push(("Cookie", &cookie));
        }
        let answer = http::request(&url.authority, method, &url.path, &headers, body.as_bytes())?;
        self.keep(&url, &answer);
        Ok(answer)
    }

    fn load(&mut self, mut url: Url, from: Option<&Page>, mut body: Option<String>) -> io::Result<Page> {
        let mut site = Site::None;
        for _ in 0..15 {
            if self.stop_at.as_deref().is_some_and(|path| url.path.split('?').next() == Some(path)) {
                return Ok(Page { url, answer: http::Answer { status: 0, headers: Vec::new(), body: Vec::new() } });
            }
            if let Some(page) = from {
                site = site.max(Site::between(&page.url, &url));
            }
            let method = if body.is_some() { "POST" } else { "GET" };
            let cookie = self.cookies_for(&url, site, method);
            let mut headers = vec![
                ("Accept", "text/html,application/xhtml+xml"),
                ("Upgrade-Insecure-Requests", "1"),
                ("Sec-Fetch-Site", site.name()),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
                ("Sec-Fetch-User", "?1"),
            ];
            let origin = from.map(|page| origin_sent(page, &url));
            if let (Some(_), Some(origin)) = (&body, &origin) {
                headers.push(("Origin", origin));
                headers.push(("Content-Type", "application/x-www-form-urlencoded"));
            }
            if !cookie.is_empty() {
                headers.push(("Cookie", &cookie));
            }
            let answer = http::request(
                &url.authority,
                method,
                &url.path,
                &headers,
                body.as_deref().unwrap_or_default().as_bytes(),
            )?;
            self.keep(&url, &answer);
            match (answer.status, answer.header("location")) {
                (301..=303, Some(location)) => {
                    url = url.join(location)?;
                    body = None;
                }
                (307 | 308, _) => return Err(io::Error::other("a redirect that would send the form again")),
                _ => return Ok(Page { url, answer }),
            }
        }
        Err(io::Error::other("too many redirects"))
    }

    fn cookies_for(&self, url: &Url, site: Site, method: &str) -> String {
        let path = url.path.split('?').next().unwrap_or_default();
        let mut fit: Vec<_> =
            self.cookies.iter().filter(|cookie| cookie.host == url.host() && below(path, &cookie.path)).collect();
        fit.retain(|cookie| match (site, cookie.same_site.as_str()) {
            (Site::Cross, "strict") => false,
            (Site::Cross, _) => method == "GET",
            _ => true,
        });
        fit.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        fit.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, url: &Url, answer: &http::Answer) {
        for line in answer.all("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let default = url
                .path
                .split('?')
                .next()
                .and_then(|p| p.rsplit_once('/'))
                .map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
            let mut cookie = Cookie {
                host: url.host().to_owned(),
                path: default.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
                same_site: "lax".to_owned(),
            };
            let mut over = false;
            for part in parts {
                let (word, value) = part.split_once('=').unwrap_or((part, ""));
                match word.to_ascii_lowercase().as_str() {
                    "path" => value.clone_into(&mut cookie.path),
                    "samesite" => cookie.same_site = value.to_ascii_lowercase(),
                    "max-age" => over |= value.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                    "expires" => over |= value.contains("1970"),
                    _ => {}
                }
            }
            self.cookies.retain(|c| (&c.host, &c.path, &c.name) != (&cookie.host, &cookie.path, &cookie.name));
            if !over {
                self.cookies.push(cookie);
            }
        }
    }
}

/// Who started a navigation, seen from where it goes; a chain of redirects keeps the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    None,
    Origin,
    Sibling,
    Cross,
}

impl Site {
    fn between(from: &Url, to: &Url) -> Self {
        match (from.authority == to.authority, from.host() == to.host()) {
            (true, _) => Self::Origin,
            (_, true) => Self::Sibling,
            _ => Self::Cross,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Origin => "same-origin",
            Self::Sibling => "same-site",
            Self::Cross => "cross-site",
        }
    }
}

fn origin_sent(page: &Page, to: &Url) -> String {
    match page.answer.header("referrer-policy") {
        Some("no-referrer") => "null".to_owned(),
        Some("same-origin") if page.url.authority != to.authority => "null".to_owned(),
        _ => page.url.origin(),
    }
}

fn below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'))
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
