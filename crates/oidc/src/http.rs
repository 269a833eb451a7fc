//! The one way out: HTTP to authorization servers.
//!
//! Invariant: no redirect is followed; plain http goes to loopback only, and loopback never through a proxy; an answer
//! has at most 1 MiB and is never unpacked; a request ends within the total time. A connection carries one request, so
//! "not sent" is provable: a failure to connect means that no byte of the request left. Another network takes the place of
//! the former for what begins after it; what is under way goes on as it began.
//! Limit: trust in certificates is the system's, plus the roots the profile adds.

use crate::{error::OidcError, show, way::Ways};
use base64::{Engine, engine::general_purpose::STANDARD};
use broker::{Proxy, Span, Timestamp};
use reqwest::{
    Request, Response,
    header::{
        ACCEPT, ACCEPT_ENCODING, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap,
        HeaderName, HeaderValue, RETRY_AFTER,
    },
};
use rustls::{
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    error::Error,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, UNIX_EPOCH},
};
use url::{Host, Url, form_urlencoded::byte_serialize};
use zeroize::Zeroizing;

/// The most bytes an answer may have.
const MOST_BYTES: usize = 1 << 20;

/// How the network is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Additional trusted roots, PEM; each entry may hold several certificates.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// The proxy for everything but loopback; [`Proxy::System`] = as the environment says.
    pub proxy: Proxy,
    /// Hosts no proxy is used for, whoever names it: `host` (and what is below it), `.suffix`, `10.0.0.0/8`.
    pub no_proxy: Vec<String>,
    /// The longest a request may take, answer included.
    pub total_timeout: Duration,
    /// The longest a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extra_roots_pem: Vec::new(),
            proxy: Proxy::System,
            no_proxy: Vec::new(),
            total_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// What was asked for, as people are told.
pub(crate) type What = &'static str;

/// A complete answer with a status that is no redirect.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it is a web page by its own account or by its first character.
    pub(crate) html: bool,
    /// `Retry-After` in seconds, 0 to 3600 (RFC 9110 §10.2.3); dates and garbage are ignored.
    pub(crate) retry_after: Option<Span>,
    /// `Cache-Control: max-age` (RFC 9111 §5.2.2.1), clamped to 5 minutes … 24 hours; 1 hour by default.
    pub(crate) keep_for: Span,
    /// What the server's clock said when the answer was sent (RFC 9110 §6.6.1), a cache's `Age` added.
    pub(crate) date: Option<Timestamp>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the status means "not now".
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.status, 408 | 425 | 429) || self.status >= 500
    }

    /// What a status that is no success says where the body says nothing.
    pub(crate) fn refusal(&self, what: What) -> OidcError {
        if self.status == 511 || (self.is_success() && self.html) {
            OidcError::CaptivePortal { at: what }
        } else if self.is_busy() {
            OidcError::Unavailable {
                detail: format!("status {} for {what}", self.status),
                retry_after: self.retry_after,
            }
        } else {
            OidcError::Rejected(Box::new(crate::ServerError::of(&format!("http_{}", self.status))))
        }
    }
}

/// Why there is no complete answer, sorted by what became of the request.
pub(crate) enum Trouble {
    /// Nothing of it left.
    NotSent(OidcError),
    /// It was answered, with something that is no answer to it.
    Answered(OidcError),
    /// It left, and nobody knows.
    Lost(OidcError),
}

impl Trouble {
    pub(crate) fn into_error(self) -> OidcError {
        match self {
            Self::NotSent(error) | Self::Answered(error) | Self::Lost(error) => error,
        }
    }
}

/// A form body (`application/x-www-form-urlencoded`), wiped when dropped.
#[derive(Default)]
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(byte_serialize(name.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value.as_bytes()));
        self
    }
}

/// The value of an `Authorization: Basic` header as RFC 6749 §2.3.1 wants it: both parts form-encoded first.
pub(crate) fn basic(client_id: &str, client_secret: &str) -> Option<HeaderValue> {
    let mut pair = Zeroizing::new(String::new());
    pair.extend(byte_serialize(client_id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(client_secret.as_bytes()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The network as it is to be reached now.
pub(crate) struct Transport {
    network: RwLock<Arc<Network>>,
    /// Why nothing but loopback is reached.
    closed: RwLock<Option<String>>,
}

/// One network; never changed.
pub(crate) struct Network {
    /// For loopback and hosts that are excepted; never through a proxy.
    direct: reqwest::Client,
    /// For everything else; https only.
    outbound: reqwest::Client,
    /// What both speak TLS with.
    pub(crate) trust: Trust,
    pub(crate) ways: Ways,
}

/// How TLS is spoken, and who says which certificates are believed.
pub(crate) struct Trust {
    pub(crate) config: rustls::ClientConfig,
    /// `None`: there are no root certificates at all, so none is believed.
    pub(crate) verifier: Option<Arc<dyn ServerCertVerifier>>,
}

/// Whether a text is nothing but certificates in PEM that can be trusted as roots, one at least.
///
/// # Errors
/// [`OidcError::Config`].
pub fn check_roots(pem: &[u8]) -> Result<(), OidcError> {
    let mut store = rustls::RootCertStore::empty();
    for certificate in certificates(pem)? {
        store.add(certificate).map_err(|_| bad_root())?;
    }
    Ok(())
}

fn bad_root() -> OidcError {
    OidcError::Config("an additional root certificate is not valid PEM".to_owned())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OidcError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(bad_root)
}

impl Network {
    fn new(options: &Options) -> Result<Self, OidcError> {
        let trust = trust(&options.extra_roots_pem)?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(trust.config.clone())
                .user_agent(concat!("daypass/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .pool_max_idle_per_host(0)
                .timeout(options.total_timeout)
                .connect_timeout(options.connect_timeout)
        };
        let mut outbound = builder().https_only(true);
        match &options.proxy {
            Proxy::System => {}
            Proxy::None => outbound = outbound.no_proxy(),
            Proxy::Url(proxy) => {
                // The address may hold a password: the error must not repeat it.
                let bad = |_| OidcError::Config("the proxy is no address like http://proxy.example:3128".to_owned());
                outbound = outbound.no_proxy().proxy(reqwest::Proxy::https(proxy.as_str()).map_err(bad)?);
            }
        }
        let build = |b: reqwest::ClientBuilder| b.build().map_err(|e| OidcError::Config(cause(&e)));
        let (direct, outbound) = (build(builder().no_proxy())?, build(outbound)?);
        Ok(Self { direct, outbound, trust, ways: Ways::new(&options.proxy, &options.no_proxy) })
    }
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, OidcError> {
        Ok(Self { network: RwLock::new(Arc::new(Network::new(options)?)), closed: RwLock::default() })
    }

    /// Reaches everything by these options from here on.
    pub(crate) fn replace(&self, options: &Options) -> Result<(), OidcError> {
        let network = Arc::new(Network::new(options)?);
        *self.network.write().unwrap_or_else(PoisonError::into_inner) = network;
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    /// Reaches nothing but loopback until it is replaced.
    pub(crate) fn close(&self, why: &str) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Why this address is not to be reached at all.
    pub(crate) fn barred(&self, url: &Url) -> Option<OidcError> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner).clone();
        closed.filter(|_| !is_loopback(url)).map(|detail| OidcError::Unavailable { detail, retry_after: None })
    }

    /// The network as it is now; whoever holds it is not disturbed by another that comes.
    pub(crate) fn network(&self) -> Arc<Network> {
        Arc::clone(&self.network.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) async fn get(&self, url: &Url, what: What) -> Result<Answer, Trouble> {
        self.send(Request::new(reqwest::Method::GET, url.clone()), what).await
    }

    pub(crate) async fn post(
        &self,
        url: &Url,
        form: Form,
        authorization: Option<HeaderValue>,
        what: What,
    ) -> Result<Answer, Trouble> {
        let mut request = Request::new(reqwest::Method::POST, url.clone());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value);
        }
        *request.body_mut() = Some(reqwest::Body::from(form.0.as_bytes().to_vec()));
        self.send(request, what).await
    }

    async fn send(&self, mut request: Request, what: What) -> Result<Answer, Trouble> {
        let local = is_loopback(request.url());
        if request.url().scheme() != "https" && !local {
            return Err(Trouble::NotSent(OidcError::BadMetadata("an address is not https".to_owned())));
        }
        if let Some(error) = self.barred(request.url()) {
            return Err(Trouble::NotSent(error));
        }
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let network = self.network();
        let straight = local || network.ways.is_excepted(request.url());
        let client = if straight { &network.direct } else { &network.outbound };
        match client.execute(request).await {
            Ok(response) => read(response, what).await,
            Err(error) if error.is_connect() || error.is_builder() => Err(Trouble::NotSent(failure(&error, what))),
            Err(error) => Err(Trouble::Lost(failure(&error, what))),
        }
    }
}

/// Whether `url` names this machine by a loopback literal or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Reads a response to its end, or says why not. A success that cannot be read is lost: its effect has happened.
async fn read(mut response: Response, what: What) -> Result<Answer, Trouble> {
    let status = response.status().as_u16();
    let unreadable = |detail: String| {
        let error = OidcError::Unavailable { detail: format!("{detail} for {what}"), retry_after: None };
        if (200..300).contains(&status) { Trouble::Lost(error) } else { Trouble::Answered(error) }
    };
    let headers = response.headers();
    if (300..400).contains(&status) {
        return Err(unreadable(format!("a redirect (status {status}), which is never followed,")));
    }
    let packed = |v: &HeaderValue| !v.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(packed) {
        return Err(unreadable("a packed answer nobody asked for".to_owned()));
    }
    if response.content_length().is_some_and(|length| length > MOST_BYTES as u64) {
        return Err(unreadable("an answer above 1 MiB".to_owned()));
    }
    let retry_after = text(headers, &RETRY_AFTER).and_then(retry_after);
    let keep_for = keep_for(text(headers, &CACHE_CONTROL));
    let date = date(text(headers, &DATE), text(headers, &AGE));
    let says_html =
        text(headers, &CONTENT_TYPE).is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_BYTES => {
                return Err(unreadable("an answer above 1 MiB".to_owned()));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(Trouble::Lost(failure(&error, what))),
        }
    }
    let first = body.trim_ascii_start().first();
    Ok(Answer { status, html: says_html || first == Some(&b'<'), retry_after, keep_for, date, body })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

fn retry_after(value: &str) -> Option<Span> {
    let value = value.trim();
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Span::seconds(value.parse().unwrap_or(i64::MAX).min(3600)))
}

fn date(date: Option<&str>, age: Option<&str>) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(date?).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let age = age.and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(Timestamp::from_seconds(i64::try_from(since.as_secs()).ok()?) + Span::seconds(age))
}

fn keep_for(cache_control: Option<&str>) -> Span {
    let (least, most) = (Span::minutes(5), Span::hours(24));
    let Some(value) = cache_control else { return Span::hours(1) };
    let mut keep = Span::hours(1);
    for directive in value.split(',').map(|d| d.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return least;
        }
        if let Some(age) = directive.strip_prefix("max-age=") {
            let age = age.trim_matches('"');
            if !age.is_empty() && age.bytes().all(|b| b.is_ascii_digit()) {
                keep = Span::seconds(age.parse().unwrap_or(i64::MAX));
            }
        }
    }
    keep.clamp(least, most)
}

/// Whether something kept since `since` for `keep` is still good; a clock that went backwards ends it.
pub(crate) fn still_good(since: Timestamp, keep: Span, now: Timestamp) -> bool {
    since <= now && now < since + keep
}

fn failure(error: &reqwest::Error, what: What) -> OidcError {
    if error.is_timeout() {
        OidcError::Timeout(what)
    } else if is_untrusted(error) {
        OidcError::Untrusted { detail: cause(error) }
    } else {
        OidcError::Unavailable { detail: format!("{} for {what}", cause(error)), retry_after: None }
    }
}

/// Whether the connection ended at a certificate that is not trusted.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let refused = matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
    // An io::Error hands out the source of what it holds, not what it holds.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    refused || held.is_some_and(|held| is_untrusted(held)) || error.source().is_some_and(is_untrusted)
}

/// The innermost cause, which names neither address nor content.
fn cause(error: &reqwest::Error) -> String {
    let Some(mut inner) = error.source() else { return "no connection".to_owned() };
    while let Some(next) = inner.source() {
        inner = next;
    }
    show::sentence(&inner.to_string())
}

/// TLS 1.2 and 1.3 with the system's trust and the extra roots. Where the system has no roots at all only the extra
/// ones are trusted, possibly none.
fn trust(extra_roots_pem: &[Vec<u8>]) -> Result<Trust, OidcError> {
    let mut extra: Vec<CertificateDer<'static>> = Vec::new();
    for pem in extra_roots_pem {
        extra.extend(certificates(pem)?);
    }
    let mut only_extra = rustls::RootCertStore::empty();
    for certificate in &extra {
        only_extra.add(certificate.clone()).map_err(|_| bad_root())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| OidcError::Config("TLS is not available".to_owned()))?;
    let (mut config, verifier) = match rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => {
            let verifier: Arc<dyn ServerCertVerifier> = Arc::new(verifier);
            let custom = builder.dangerous().with_custom_certificate_verifier(Arc::clone(&verifier));
            (custom.with_no_client_auth(), Some(verifier))
        }
        Err(error) => {
            tracing::warn!(%error, "the system's root certificates cannot be read; no public issuer can be reached");
            (builder.with_root_certificates(only_extra).with_no_client_auth(), None)
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Trust { config, verifier })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_and_keeping_times_are_clamped() {
        for (value, want) in [
            ("5", Some(5)),
            (" 7 ", Some(7)),
            ("99999999", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("-1", None),
            ("", None),
            ("soon", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("1.5", None),
        ] {
            assert_eq!(retry_after(value).map(Span::as_seconds), want, "{value:?}");
        }
        for (value, want) in [
            (None, 3600),
            (Some("max-age=1000000000"), 86_400),
            (Some("public, max-age=0"), 300),
            (Some("no-store"), 300),
            (Some("max-age=-1"), 3600),
            (Some("max-age=7200"), 7200),
            (Some("Max-Age=99999999999999999999"), 86_400),
        ] {
            assert_eq!(keep_for(value).as_seconds(), want, "{value:?}");
        }
        assert_eq!(date(Some("Thu, 01 Jan 1970 00:01:40 GMT"), Some(" 20")), Some(Timestamp::from_seconds(120)));
        assert_eq!(date(Some("Thu, 01 Jan 1970 00:01:40 GMT"), Some("-20")), Some(Timestamp::from_seconds(100)));
        assert_eq!(date(Some("yesterday"), None), None);
        let at = Timestamp::from_seconds(1000);
        assert!(still_good(at, Span::seconds(10), at) && !still_good(at, Span::seconds(10), at + Span::seconds(10)));
        assert!(!still_good(at + Span::seconds(1), Span::seconds(10), at), "a clock that went backwards");
    }

    #[test]
    fn a_form_is_encoded_and_a_secret_goes_encoded_into_basic() {
        let form = Form::default().with("code", "a+b/c=%2B é").with("x", "");
        assert_eq!(form.0.as_str(), "code=a%2Bb%2Fc%3D%252B+%C3%A9&x=");
        let value = basic("id:1", "CANARY secret/").unwrap();
        assert_eq!(value.to_str().unwrap(), format!("Basic {}", STANDARD.encode("id%3A1:CANARY+secret%2F")));
        assert!(!format!("{value:?}").contains("Basic"), "the header is marked as sensitive");
    }

    #[test]
    fn bad_options_are_typed_errors_without_their_content() {
        for pem in ["", "no pem CANARY", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let options = Options { extra_roots_pem: vec![pem.into()], ..Options::default() };
            assert!(matches!(Transport::new(&options), Err(OidcError::Config(_))), "{pem}");
        }
        let options = Options { proxy: Proxy::Url("http://user:CANARY@[".to_owned()), ..Options::default() };
        let Err(error) = Transport::new(&options) else { panic!("a proxy that is no address") };
        assert!(!format!("{error:?} {error}").contains("CANARY"));
    }
}
