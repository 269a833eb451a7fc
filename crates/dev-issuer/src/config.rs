//! How a provider is set up. Nothing here changes while it runs; what goes wrong at run time is an order.

use crate::{
    imitation::{Imitation, Redirects},
    keys::EntropyError,
};
use std::io;
use url::{Host, Url};

/// A client known to the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, for "desktop" clients that have one; it is then required.
    pub client_secret: Option<String>,
    /// Its redirect URIs. They match exactly, but for the port of a loopback host (RFC 8252 §7.3); an imitation may have
    /// another rule.
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

    /// Whether an answer may be sent to `asked`, by the provider's rule.
    pub(crate) fn allows(&self, asked: &str, rule: Redirects) -> bool {
        let ipv6 = |uri: &Url| matches!(uri.host(), Some(Host::Ipv6(_)));
        let named = |uri: &Url| matches!(uri.host(), Some(Host::Domain(_)));
        let Some(uri) = loopback(asked) else {
            return rule != Redirects::AnyLoopback && self.redirect_uris.iter().any(|registered| registered == asked);
        };
        match rule {
            Redirects::AnyLoopback => return true,
            Redirects::AnyPortButIpv6 if ipv6(&uri) => return false,
            _ => {}
        }
        self.redirect_uris.iter().any(|registered| {
            let Some(known) = loopback(registered) else { return false };
            let any_port = match rule {
                Redirects::Exact => false,
                Redirects::AnyPortOfAddress => !named(&known) && known.port().is_none(),
                _ => true,
            };
            registered == asked || (any_port && without_port(known) == without_port(uri.clone()))
        })
    }
}

/// A redirect URI of plain http on this machine.
fn loopback(text: &str) -> Option<Url> {
    let uri = Url::parse(text).ok()?;
    let loopback = match uri.host()? {
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    (uri.scheme() == "http" && loopback && uri.fragment().is_none()).then_some(uri)
}

fn without_port(mut uri: Url) -> Option<Url> {
    uri.set_port(None).ok()?;
    Some(uri)
}

/// Lasting peculiarities that each provider of this kind may have; those of one provider alone are its [`Imitation`].
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
    /// Send the authorization response backwards, with a code that holds `+`, `/` and `=`, the latter two as they are.
    pub odd_callback: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            iss_parameter: true,
            rotate_refresh_tokens: true,
            offline_access_required: true,
            remember_browser: true,
            odd_callback: false,
        }
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
    /// The provider to imitate; see [`Config::imitating`].
    pub imitate: Option<Imitation>,
    /// Nobody may have offline access (Keycloak: the role is missing).
    pub refuse_offline: bool,
    /// Seconds after which a refresh token without offline access ends when it is not used (Keycloak).
    pub online_idle: u32,
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
            imitate: None,
            refuse_offline: false,
            online_idle: 1800,
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
            assert_eq!(client.allows(asked, Redirects::AnyPort), expected, "{asked}");
        }
    }

    #[test]
    fn each_rule_of_redirects_has_its_own_idea_of_ports() {
        let client = Registration {
            client_id: "c".to_owned(),
            client_secret: None,
            redirect_uris: ["http://localhost/callback", "http://127.0.0.1/callback", "http://[::1]:8400/callback"]
                .map(str::to_owned)
                .to_vec(),
        };
        // localhost with a port · 127.0.0.1 with a port · [::1] as registered · [::1] with another · another path
        let asked = [
            "http://localhost:9/callback",
            "http://127.0.0.1:9/callback",
            "http://[::1]:8400/callback",
            "http://[::1]:9/callback",
            "http://127.0.0.1:9/",
        ];
        for (rule, expected) in [
            (Redirects::AnyPort, [true, true, true, true, false]),
            (Redirects::AnyPortButIpv6, [true, true, false, false, false]),
            (Redirects::AnyPortOfAddress, [false, true, true, false, false]),
            (Redirects::Exact, [false, false, true, false, false]),
            (Redirects::AnyLoopback, [true; 5]),
        ] {
            assert_eq!(asked.map(|uri| client.allows(uri, rule)), expected, "{rule:?}");
            assert!(!client.allows("https://app.example.com/callback", rule));
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
