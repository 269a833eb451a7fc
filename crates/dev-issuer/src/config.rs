//! How a provider is set up. Nothing here changes while it runs; what goes wrong at run time is an order.

use crate::keys::EntropyError;
use std::io;
use url::{Host, Url};

/// A client known to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, for "desktop" clients that have one; it is then required.
    pub client_secret: Option<String>,
    /// Its redirect URIs. They match exactly, but for the port of a loopback host (RFC 8252 §7.3).
    pub redirect_uris: Vec<String>,
}

impl Registration {
    /// A public client that comes back to `/callback` on 127.0.0.1, `[::1]` or localhost.
    pub fn public(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: None,
            redirect_uris: ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("http://{host}/callback")).to_vec(),
        }
    }

    /// Whether an answer may be sent to `asked`.
    pub(crate) fn allows(&self, asked: &str) -> bool {
        self.redirect_uris.iter().any(|registered| registered == asked || same_but_port(registered, asked))
    }
}

fn same_but_port(registered: &str, asked: &str) -> bool {
    let without_port = |text: &str| {
        let mut uri = Url::parse(text).ok()?;
        let loopback = match uri.host()? {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => name == "localhost",
        };
        if uri.scheme() != "http" || !loopback || uri.fragment().is_some() {
            return None;
        }
        uri.set_port(None).ok()?;
        Some(uri)
    };
    matches!((without_port(registered), without_port(asked)), (Some(a), Some(b)) if a == b)
}

/// Lasting peculiarities, as real providers have them. A preset for one provider is a value of this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// Send `iss` in the authorization response (RFC 9207) and say so in the metadata.
    pub iss_parameter: bool,
    /// Give a new refresh token on each use and treat the old one as stolen (RFC 9700 §4.14.2).
    pub rotate_refresh_tokens: bool,
    /// Give a refresh token only where `offline_access` was asked for (OpenID Connect Core §11).
    pub offline_access_required: bool,
    /// Remember the browser, so a second sign-in shows no form.
    pub remember_browser: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { iss_parameter: true, rotate_refresh_tokens: true, offline_access_required: true, remember_browser: true }
    }
}

/// How to set up a provider.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port on 127.0.0.1; 0 = a free one.
    pub port: u16,
    /// Path of the issuer, such as `/tenant`; empty for none.
    pub issuer_path: String,
    /// Put `CANARY-` into every secret issued.
    pub canary: bool,
    /// Seconds an access token lives.
    pub access_lifetime: u32,
    /// Seconds a refresh token lives.
    pub refresh_lifetime: u32,
    /// Seconds an authorization code lives.
    pub code_lifetime: u32,
    /// Known clients.
    pub clients: Vec<Registration>,
    /// Lasting peculiarities.
    pub behaviour: Behaviour,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            issuer_path: String::new(),
            canary: false,
            access_lifetime: 300,
            refresh_lifetime: 30 * 24 * 3600,
            code_lifetime: 60,
            clients: vec![Registration::public("daypass"), Registration::public("daypass-demo")],
            behaviour: Behaviour::default(),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let path = &self.issuer_path;
        let fine = path.is_empty()
            || (path.starts_with('/')
                && !path.ends_with('/')
                && !path.contains("//")
                && path != "/control"
                && path != "/log"
                && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b)));
        if fine { Ok(()) } else { Err(StartError::IssuerPath(path.clone())) }
    }
}

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("port {port} of 127.0.0.1 cannot be opened: {error}; hint: choose another, or 0 for a free one")]
    Bind {
        /// The port asked for.
        port: u16,
        /// What the system says.
        error: io::Error,
    },
    /// The issuer's path is not usable.
    #[error("{0:?} is no issuer path; hint: like /tenant, with no slash at the end")]
    IssuerPath(String),
    /// No thread, or no runtime on it.
    #[error("the provider cannot run: {0}")]
    Runtime(io::Error),
    /// No key could be made.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_redirect_may_differ() {
        let client = Registration {
            client_id: "c".to_owned(),
            client_secret: None,
            redirect_uris: vec!["http://127.0.0.1/callback".to_owned(), "https://app.example.com:444/cb".to_owned()],
        };
        for (asked, expected) in [
            ("http://127.0.0.1/callback", true),
            ("http://127.0.0.1:4711/callback", true),
            ("http://127.0.0.1:4711/callback/", false),
            ("http://127.0.0.1:4711/callback?x=1", false),
            ("http://127.0.0.1:4711/other", false),
            ("http://localhost:4711/callback", false),
            ("http://[::1]:4711/callback", false),
            ("https://127.0.0.1:4711/callback", false),
            ("http://127.0.0.1:4711/callback#f", false),
            ("http://u@127.0.0.1:4711/callback", false),
            ("https://app.example.com:444/cb", true),
            ("https://app.example.com:445/cb", false),
            ("nonsense", false),
        ] {
            assert_eq!(client.allows(asked), expected, "{asked}");
        }
    }

    #[test]
    fn issuer_paths_that_would_shadow_or_confuse_are_refused() {
        for (path, fine) in [
            ("", true),
            ("/tenant/v2.0", true),
            ("tenant", false),
            ("/tenant/", false),
            ("/control", false),
            ("/a?b", false),
        ] {
            let config = Config { issuer_path: path.to_owned(), ..Config::default() };
            assert_eq!(config.check().is_ok(), fine, "{path:?}");
        }
    }
}
