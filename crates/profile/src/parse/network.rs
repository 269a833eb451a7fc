//! The network's values: proxy, hosts without it, certification authorities.
//!
//! Invariant: what is let through here is well formed to the letter; an entry of a list that is not is void alone, and
//! nothing of it is quoted, as a proxy address may hold a password and a PEM text a key.

use super::{Faults, text};
use crate::{
    ceilings,
    file::{Node, Tree},
};
use broker::Proxy;
use std::net::{IpAddr, Ipv6Addr};

/// Which proxy is used.
pub(crate) fn proxy(node: &Node, faults: &mut Faults) -> Option<Proxy> {
    let text = text(node, faults)?;
    match text {
        "system" => return Some(Proxy::System),
        "none" => return Some(Proxy::None),
        _ => {}
    }
    if text.contains('@') {
        faults.hinted(
            node,
            "must not name a user or password",
            "a proxy that asks who it is cannot be told in a profile, which everybody can read",
        );
        return None;
    }
    let address = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let well_formed = address.and_then(|address| address.rsplit_once(':')).is_some_and(|(host, port)| {
        let ipv6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
        ipv6.map_or_else(|| is_host(host), |inner| inner.parse::<Ipv6Addr>().is_ok())
            && digits
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let Some(address) = address.filter(|_| well_formed) else {
        let hint = "for example http://proxy.example.com:3128";
        faults.hinted(node, "must be \"system\", \"none\" or http://host:port", hint);
        return None;
    };
    Some(Proxy::Url(format!("http://{address}")))
}

/// A host name or an IPv4 address, as it may stand in an address.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
                && !label.starts_with('-')
        })
}

/// Hosts that are reached directly; each that is wrong is void alone.
pub(crate) fn no_proxy(node: &Node, faults: &mut Faults) -> Option<Vec<String>> {
    let rule = "a host, a .suffix or a network such as 10.0.0.0/8";
    entries(node, faults, ceilings::NO_PROXY, rule, |text| {
        let network = text.split_once('/').is_some_and(|(address, bits)| {
            let most = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        });
        (network || text.parse::<IpAddr>().is_ok() || is_host(text.strip_prefix('.').unwrap_or(text)))
            .then(|| text.to_ascii_lowercase())
    })
}

/// Additional certification authorities; each that is wrong is void alone.
pub(crate) fn authorities(node: &Node, faults: &mut Faults) -> Option<Vec<String>> {
    let rule = "a certificate as PEM text or the absolute path of a PEM file";
    entries(node, faults, ceilings::AUTHORITIES, rule, |text| {
        if text.trim_start().starts_with("-----BEGIN") {
            return is_certificates(text).then(|| text.trim().to_owned());
        }
        let drive = matches!(text.as_bytes(), [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic());
        let steps = text.split(if drive { &['/', '\\'][..] } else { &['/'][..] }).skip(1);
        let canonical = steps.into_iter().all(|step| !matches!(step, "" | "." | ".."));
        let plain = text.len() <= 4096 && !text.chars().any(crate::diagnostic::hidden);
        ((text.starts_with('/') || drive) && canonical && plain).then(|| text.to_owned())
    })
}

/// Whether a text is one or more certificates (RFC 7468 §5.1) and nothing else: above all no key.
fn is_certificates(text: &str) -> bool {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let (mut inside, mut count, mut body) = (false, 0, 0);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match (line, inside) {
            (BEGIN, false) => (inside, body) = (true, 0),
            (END, true) if body > 0 => (inside, count) = (false, count + 1),
            (line, true) if line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)) => {
                body += line.len();
            }
            _ => return false,
        }
    }
    !inside && count > 0 && text.len() <= ceilings::PEM
}

fn entries(
    node: &Node,
    faults: &mut Faults,
    most: usize,
    rule: &str,
    read: impl Fn(&str) -> Option<String>,
) -> Option<Vec<String>> {
    let Tree::List(nodes) = &node.value else { return faults.wrong_kind(node, &format!("a list: each {rule}")) };
    if nodes.len() > most {
        faults.error(node, format!("must hold at most {most} entries: the others are void"));
    }
    let mut found: Vec<String> = Vec::new();
    for (place, node) in nodes.iter().take(most).enumerate() {
        let value = match &node.value {
            Tree::Text(text) => read(text),
            _ => None,
        };
        match value {
            Some(value) if !found.contains(&value) => found.push(value),
            Some(_) => {}
            None => faults.error(node, format!("must hold {rule}: entry {} is void", place + 1)),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<'a>(texts: &[&'a str]) -> Node<'a> {
        let node = |text: &&'a str| Node { line: Some(1), value: Tree::Text((*text).into()) };
        Node { line: Some(1), value: Tree::List(texts.iter().map(node).collect()) }
    }

    #[test]
    fn proxies_are_read_to_the_letter() {
        let read = |text: &str| {
            let mut faults = Faults::default();
            let read = proxy(&Node { line: None, value: Tree::Text(text.into()) }, &mut faults);
            assert_eq!(read.is_none(), !faults.0.is_empty(), "{text}");
            assert!(faults.0.iter().all(|fault| !fault.text.contains("hunter2")));
            read
        };
        let url = |text: &str| Some(Proxy::Url(text.to_owned()));
        for (text, proxy) in [
            ("system", Some(Proxy::System)),
            ("none", Some(Proxy::None)),
            ("http://proxy.example.com:3128", url("http://proxy.example.com:3128")),
            ("http://127.0.0.1:3128/", url("http://127.0.0.1:3128")),
            ("http://[fd00::1]:8080", url("http://[fd00::1]:8080")),
            ("direct", None),
            ("None", None),
            ("", None),
            ("proxy:3128", None),
            ("https://proxy:3128", None),
            ("socks5://proxy:1080", None),
            ("http://proxy", None),
            ("http://proxy:0", None),
            ("http://proxy:99999", None),
            ("http://proxy:+80", None),
            ("http://:80", None),
            ("http://[fd00::1:8080", None),
            ("http://user:hunter2@proxy:3128", None),
            ("http://proxy:3128/path", None),
            ("http://proxy:3128?q", None),
            ("http://pro xy:3128", None),
            ("http://proxy:3128\r\nx: y", None),
        ] {
            assert_eq!(read(text), proxy, "{text:?}");
        }
    }

    #[test]
    fn entries_that_are_wrong_go_alone() {
        let mut faults = Faults::default();
        let hosts = ["intra.example", ".Corp.example", "10.0.0.0/8", "fd00::/8", "192.0.2.1", "intra.example"];
        let wrong = ["*", "", "10.0.0.0/33", "a b", "http://x", ".", "10.0.0.0/+8", "-x"];
        let read = no_proxy(&list(&[hosts.as_slice(), &wrong].concat()), &mut faults).unwrap_or_default();
        assert_eq!(read, ["intra.example", ".corp.example", "10.0.0.0/8", "fd00::/8", "192.0.2.1"]);
        assert_eq!(faults.0.len(), wrong.len());

        let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let good = pem("CERTIFICATE", "MIIB+/ab\nAA==");
        let two = format!("{good}{good}");
        let wrong = [
            pem("PRIVATE KEY", "MIIB"),
            format!("{good}{}", pem("RSA PRIVATE KEY", "MIIB")),
            pem("CERTIFICATE", ""),
            pem("CERTIFICATE", "<html>"),
            "-----BEGIN CERTIFICATE-----\nMIIB".to_owned(),
            pem("CERTIFICATE", &"A".repeat(ceilings::PEM)),
            "ca.pem".to_owned(),
            "/etc/../ca.pem".to_owned(),
            "/etc/\u{202e}ca.pem".to_owned(),
        ];
        let all: Vec<&str> =
            ["/etc/daypass/ca.pem", &good, &two].into_iter().chain(wrong.iter().map(String::as_str)).collect();
        let mut faults = Faults::default();
        let read = authorities(&list(&all), &mut faults).unwrap_or_default();
        assert_eq!(read, ["/etc/daypass/ca.pem", good.trim(), two.trim()]);
        assert_eq!(faults.0.len(), wrong.len());
        assert!(faults.0.iter().all(|fault| !fault.text.contains("MIIB")));
    }
}
