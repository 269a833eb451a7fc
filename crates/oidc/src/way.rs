//! Which way leads to an address: straight, or through a proxy, and who says so.
//!
//! Invariant: it is told by the same rules the HTTP client follows (the environment as it is, loopback never through a
//! proxy), and the user name and password of a proxy are in nothing that can be printed.
//! Limit: the proxy settings of macOS and Windows are not read; only the environment counts there too.

use crate::http;
use broker::Proxy as Rule;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::header::HeaderValue;
use url::Url;

/// The variables that name a proxy for https, the first that is set of each pair counts; the second pair is looked at
/// where the first names none.
const VARIABLES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// How an address is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Straight: no proxy is set.
    Straight,
    /// Straight, because it is on this machine.
    Loopback,
    /// Straight: the profile says that there is none.
    Forbidden,
    /// Straight although a proxy may be set, because this names the host: `NO_PROXY` or `profile`.
    Excepted(&'static str),
    /// Straight, because what this variable says is no address of a proxy.
    Unreadable(&'static str),
    /// Through a proxy.
    Proxy {
        /// Where it is, without user name and password: `http://proxy.example:3128`.
        address: String,
        /// Who says so: the name of the variable, or `profile`.
        from: &'static str,
        /// Whether a user name is sent to it.
        signs_in: bool,
    },
}

/// A proxy as it is connected to.
pub(crate) struct Proxy {
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

/// What decides about the way.
pub(crate) struct Ways {
    rule: Rule,
    configured: Option<Matcher>,
    environment: Matcher,
    /// Stops at what the profile excepts; `None` where it excepts nothing.
    not_excepted: Option<Matcher>,
}

impl Ways {
    /// By the configured proxy, or else by the environment as it is now.
    pub(crate) fn new(rule: &Rule, no_proxy: &[String]) -> Self {
        let configured = match rule {
            Rule::Url(address) => Some(Matcher::builder().https(address.clone()).build()),
            Rule::System | Rule::None => None,
        };
        let anything = || Matcher::builder().https("http://proxy.invalid:1").no(no_proxy.join(",")).build();
        let not_excepted = (!no_proxy.is_empty()).then(anything);
        Self { rule: rule.clone(), configured, environment: Matcher::from_system(), not_excepted }
    }

    /// Whether the profile excepts this host from every proxy.
    pub(crate) fn is_excepted(&self, url: &Url) -> bool {
        self.not_excepted.as_ref().is_some_and(|matcher| {
            let uri = url.as_str().parse();
            uri.is_ok_and(|uri| matcher.intercept(&uri).is_none())
        })
    }

    /// The way to `url`, with the proxy on it.
    pub(crate) fn to(&self, url: &Url) -> (Way, Option<Proxy>) {
        if http::is_loopback(url) {
            return (Way::Loopback, None);
        }
        if self.rule == Rule::None {
            return (Way::Forbidden, None);
        }
        if self.is_excepted(url) {
            return (Way::Excepted("profile"), None);
        }
        let intercept = |matcher: &Matcher| url.as_str().parse().ok().and_then(|uri| matcher.intercept(&uri));
        if let Some(configured) = &self.configured {
            return intercept(configured)
                .map_or((Way::Unreadable("profile"), None), |found| through(&found, "profile"));
        }
        let named = VARIABLES.iter().filter_map(|names| first(names));
        let readable = |value: &str| intercept(&Matcher::builder().https(value.to_owned()).build()).is_some();
        let named: Vec<(&'static str, bool)> = named.map(|(name, value)| (name, readable(&value))).collect();
        let good = named.iter().find(|(_, readable)| *readable).map(|(name, _)| *name);
        match (intercept(&self.environment), good, named.first()) {
            (Some(found), name, _) => through(&found, name.unwrap_or("environment")),
            (None, Some(_), _) => (Way::Excepted("NO_PROXY"), None),
            (None, None, Some((name, _))) => (Way::Unreadable(name), None),
            (None, None, None) => (Way::Straight, None),
        }
    }
}

/// The first of these variables that is set and not empty.
fn first(names: &[&'static str; 2]) -> Option<(&'static str, String)> {
    let (name, value) = names.iter().find_map(|name| std::env::var(name).ok().map(|value| (*name, value)))?;
    (!value.is_empty()).then_some((name, value))
}

fn through(found: &Intercept, from: &'static str) -> (Way, Option<Proxy>) {
    let uri = found.uri();
    let scheme = uri.scheme_str().unwrap_or("http").to_owned();
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or(match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => 1080,
    });
    let way = Way::Proxy {
        address: format!("{scheme}://{host}:{port}"),
        from,
        signs_in: found.basic_auth().is_some() || found.raw_auth().is_some(),
    };
    (way, Some(Proxy { scheme, host, port, authorization: found.basic_auth().cloned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(ways: &Ways, address: &str) -> Way {
        ways.to(&address.parse().unwrap()).0
    }

    fn by(proxy: &str) -> Ways {
        Ways::new(&Rule::Url(proxy.to_owned()), &[])
    }

    #[test]
    fn what_the_profile_excepts_is_reached_straight() {
        let none = ["intern.example", ".corp.example", "10.0.0.0/8"].map(str::to_owned);
        let ways = Ways::new(&Rule::Url("http://proxy.example:3128".to_owned()), &none);
        for (address, excepted) in [
            ("https://intern.example/x", true),
            ("https://login.corp.example", true),
            ("https://10.1.2.3/", true),
            ("https://login.example.com", false),
            ("https://xintern.example", false),
            ("https://11.1.2.3/", false),
        ] {
            let url = address.parse().unwrap();
            assert_eq!(ways.is_excepted(&url), excepted, "{address}");
            assert_eq!(matches!(ways.to(&url).0, Way::Excepted("profile")), excepted, "{address}");
        }
        let ways = Ways::new(&Rule::None, &none);
        assert_eq!(to(&ways, "https://login.example.com"), Way::Forbidden);
        assert_eq!(to(&ways, "https://127.0.0.1:1"), Way::Loopback);
    }

    #[test]
    fn a_configured_proxy_is_told_without_its_password_and_never_stands_before_loopback() {
        let ways = Ways::new(&Rule::Url("http://user:CANARY@proxy.example:3128/x".to_owned()), &[]);
        let way = to(&ways, "https://login.example.com/realm");
        let proxy = Way::Proxy { address: "http://proxy.example:3128".to_owned(), from: "profile", signs_in: true };
        assert_eq!(way, proxy);
        assert!(!format!("{way:?}").contains("CANARY"));
        for local in ["http://127.0.0.1:4020/", "https://localhost/", "http://[::1]:1/"] {
            assert_eq!(to(&ways, local), Way::Loopback, "{local}");
        }
    }

    #[test]
    fn ports_follow_the_scheme_and_odd_schemes_are_no_proxy() {
        for (configured, address) in [
            ("http://p.example", "http://p.example:80"),
            ("https://p.example", "https://p.example:443"),
            ("socks5h://p.example", "socks5h://p.example:1080"),
            ("p.example:8080", "http://p.example:8080"),
            ("http://[::1]:3128", "http://[::1]:3128"),
        ] {
            match to(&by(configured), "https://login.example.com") {
                Way::Proxy { address: found, signs_in: false, .. } => assert_eq!(found, address),
                other => panic!("{configured}: {other:?}"),
            }
        }
        for configured in ["ftp://p.example", "http://", "not an address"] {
            let way = to(&by(configured), "https://login.example.com");
            assert_eq!(way, Way::Unreadable("profile"), "{configured}");
        }
    }
}
