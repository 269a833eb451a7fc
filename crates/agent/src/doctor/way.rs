//! The way to an issuer in words: each failure with what a person can do about it.

use super::{More as _, State, check};
use crate::times;
use broker::Account;
use localapi::DoctorCheck;
use oidc::{Diagnosis, Fault, OidcError, Skew, Stage, Way};
use std::net::IpAddr;

/// A clock that is off by more seconds than this is told.
const MOST_SKEW: i64 = 60;

/// The one line about proxies where none is in anybody's way.
pub(super) fn without_proxy(ways: &[&Diagnosis]) -> Option<DoctorCheck> {
    let plain = |found: &&Diagnosis| matches!(found.way, Way::Straight | Way::Loopback);
    if ways.is_empty() || !ways.iter().all(plain) {
        return None;
    }
    let local = ways.iter().all(|found| found.way == Way::Loopback);
    let finding = if local {
        "none is used for an issuer on this machine"
    } else {
        "none is set in the agent's environment; issuers are reached directly"
    };
    Some(check("proxy", State::Ok, finding))
}

/// The checks of one account's way, in the order in which one rests on the other.
pub(super) fn checks(account: &Account, found: &Diagnosis, tell_proxy: bool) -> Vec<DoctorCheck> {
    let mut checks = Vec::new();
    let host = host_of(account.issuer.as_str());
    if let Way::Proxy { address, from, signs_in } = &found.way {
        checks.push(through_proxy(found, &proxy_in_words(address, from, *signs_in), from, *signs_in));
    } else {
        checks.extend(tell_proxy.then(|| no_proxy(&found.way)));
        checks.extend((found.name != Stage::Needless).then(|| name(found, host)));
        checks.push(connection(found));
    }
    checks.push(tls(found, host));
    checks.push(issuer(account, found));
    checks.push(clock(found.clock, matches!(found.document, Stage::Untried)));
    checks.into_iter().map(|one| one.of(&account.name)).collect()
}

/// Host and port of an issuer, as written.
fn host_of(issuer: &str) -> &str {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn untried(name: &str) -> DoctorCheck {
    check(name, State::Skipped, "not tried, because of the failure above")
}

fn proxy_in_words(address: &str, from: &str, signs_in: bool) -> String {
    let from = if from == "profile" { "the profile".to_owned() } else { format!("{from} of the agent") };
    let with = if signs_in { ", with a user name" } else { "" };
    format!("{address} ({from}{with})")
}

fn no_proxy(way: &Way) -> DoctorCheck {
    match way {
        Way::Excepted("profile") => check("proxy", State::Ok, "not used: no_proxy of the profile names this host"),
        Way::Excepted(from) => check("proxy", State::Ok, format!("not used: {from} of the agent names this host")),
        Way::Forbidden => check("proxy", State::Ok, "not used, as the profile says"),
        Way::Loopback => check("proxy", State::Ok, "not used for an issuer on this machine"),
        Way::Unreadable(from) => {
            check("proxy", State::Warning, format!("{from} is no address of a proxy, so none is used"))
                .hint("write it like http://proxy.example:3128; then start the agent anew: daypass agent stop")
        }
        Way::Straight | Way::Proxy { .. } => check("proxy", State::Ok, "none is set"),
    }
}

const PROXY_HINT: &str = "check the proxy's address; the agent has the variables of whoever started it, so after a change: \
    daypass agent stop";

fn through_proxy(found: &Diagnosis, proxy: &str, from: &str, signs_in: bool) -> DoctorCheck {
    let fault = fault(&found.name).or(fault(&found.connection)).or(fault(&found.tunnel));
    let Some(fault) = fault else {
        return check("proxy", State::Ok, format!("{proxy} lets us through"));
    };
    let hint = match fault {
        Fault::ProxyWantsPassword if from == "profile" => {
            "the profile's proxy gets no user name and password from here: ask IT for one that lets this computer through"
        }
        Fault::ProxyRefuses(_) if from == "profile" => {
            "ask IT to let the issuer's host through, or to except it with no_proxy under [network] in the profile"
        }
        _ if from == "profile" => {
            "ask IT: the managed profile names this proxy, under [network]; a change counts within seconds"
        }
        Fault::ProxyWantsPassword if signs_in => {
            "it does not take the user name and password in its address: check them, or ask IT; then: daypass agent stop"
        }
        Fault::ProxyWantsPassword => {
            "put user name and password into the proxy's address (http://USER:PASSWORD@HOST:PORT), or ask IT for a proxy \
            that takes none; then: daypass agent stop"
        }
        Fault::ProxyRefuses(_) => "ask IT to let the issuer's host through, or to except it with NO_PROXY",
        Fault::Socks => "name an HTTP proxy in HTTPS_PROXY; then: daypass agent stop",
        _ => PROXY_HINT,
    };
    check("proxy", State::Failed, format!("{proxy}: {fault}")).hint(hint)
}

fn fault<T>(stage: &Stage<T>) -> Option<&Fault> {
    match stage {
        Stage::Failed(fault) => Some(fault),
        _ => None,
    }
}

fn name(found: &Diagnosis, host: &str) -> DoctorCheck {
    match &found.name {
        Stage::Good(addresses) => check("name", State::Ok, format!("{host} is {}", listed(addresses))),
        Stage::Untried | Stage::Needless => untried("name"),
        Stage::Failed(fault) => check("name", State::Failed, format!("{host}: {fault}")).hint(match fault {
            Fault::TimedOut => "the name server does not answer: check the network connection, and the VPN if it takes one",
            _ => "check the network connection (and the VPN, if the name is known inside only), and the issuer in the profile",
        }),
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "nowhere".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

fn connection(found: &Diagnosis) -> DoctorCheck {
    match &found.connection {
        Stage::Good(to) => check("connection", State::Ok, format!("{to} answers")),
        Stage::Untried | Stage::Needless => untried("connection"),
        Stage::Failed(fault) => {
            let local = found.way == Way::Loopback;
            let hint = match fault {
                Fault::Refused if local => "start the provider on this machine, or check the issuer in the profile",
                Fault::Refused => {
                    "check the issuer in the profile, its port too; if it is right, the issuer is down or a firewall says no"
                }
                Fault::TimedOut => {
                    "a firewall may swallow it; if this network wants a proxy, have IT name it in the managed profile \
                    ([network] proxy), or set HTTPS_PROXY where the agent is started, then: daypass agent stop"
                }
                _ => "check the network connection, and the VPN if it takes one",
            };
            check("connection", State::Failed, format!("{}: {fault}", found.place)).hint(hint)
        }
    }
}

fn tls(found: &Diagnosis, host: &str) -> DoctorCheck {
    match &found.tls {
        Stage::Good(agreed) => {
            let by = agreed.issued_by.as_ref().map_or_else(String::new, |by| format!(", certificate issued by {by}"));
            check("tls", State::Ok, format!("TLS {}{by}", agreed.version))
        }
        Stage::Needless => check("tls", State::Skipped, "plain http on this machine, for development only"),
        Stage::Untried => untried("tls"),
        Stage::Failed(fault) => {
            let on = |at: &Option<broker::Timestamp>, word: &str| {
                at.map_or_else(String::new, |at| format!(" {word} {}", &times::rfc3339(at)[..10]))
            };
            let more = match fault {
                Fault::Expired { at } => on(at, "on"),
                Fault::NotYetValid { from } => on(from, "before"),
                _ => String::new(),
            };
            check("tls", State::Failed, format!("{host}: {fault}{more}")).hint(tls_hint(fault))
        }
    }
}

fn tls_hint(fault: &Fault) -> &'static str {
    match fault {
        Fault::NotTrusted { no_roots: true, .. } => {
            "this system trusts no certificates at all: install its package of root certificates (ca-certificates), then: \
            daypass agent stop"
        }
        Fault::NotTrusted { .. } => {
            "if this is the proxy of your organisation that looks into TLS, have IT name its root certificate in the managed \
            profile ([network] ca), or install it in the system's trust store, then: daypass agent stop. If you do not know \
            it, somebody may be listening in: do not sign in"
        }
        Fault::Expired { .. } | Fault::NotYetValid { .. } => {
            "check the date of this computer; if it is right, tell whoever runs the issuer"
        }
        Fault::OtherHost(_) => {
            "check the issuer in the profile; else something answers in its place, such as the sign-in page of the network"
        }
        Fault::NoTls => "check the issuer in the profile, its port too; else something answers in its place",
        Fault::TimedOut | Fault::Broken(_) => {
            "something on the way may hold TLS up, such as a firewall; try from another network"
        }
        _ => "tell whoever runs the issuer, or the network, what it says here",
    }
}

fn issuer(account: &Account, found: &Diagnosis) -> DoctorCheck {
    match &found.document {
        Stage::Good(took) => {
            let millis = took.as_millis().max(1);
            check("issuer", State::Ok, format!("{} answers in {millis} ms", account.issuer))
        }
        Stage::Untried | Stage::Needless => untried("issuer"),
        Stage::Failed(fault) => check("issuer", State::Failed, format!("{}: {}", account.issuer, issuer_words(fault)))
            .hint(issuer_hint(fault)),
    }
}

/// What is wrong, where that is said shorter beside the issuer's address than alone.
fn issuer_words(fault: &Fault) -> String {
    match fault {
        Fault::Document(OidcError::CaptivePortal { at }) => format!("a web page came instead of {at}"),
        Fault::Document(OidcError::Unavailable { detail, .. }) => detail.clone(),
        Fault::Document(OidcError::BadMetadata(why)) => format!("its metadata cannot be used: {why}"),
        Fault::Document(OidcError::Rejected(said)) => match said.error.strip_prefix("http_") {
            Some(status) => format!("status {status} for the discovery document"),
            None => fault.to_string(),
        },
        _ => fault.to_string(),
    }
}

fn issuer_hint(fault: &Fault) -> String {
    match fault {
        Fault::OtherIssuer(said) => format!(
            "if that is the one meant, write it into the profile to the letter: issuer = \"{said}\"; else check its address"
        ),
        Fault::Document(OidcError::CaptivePortal { .. }) => {
            "open any web page in a browser: the network may want a sign-in of its own first".to_owned()
        }
        Fault::Document(OidcError::BadMetadata(_)) => {
            "check the issuer in the profile; if it is right, tell whoever runs the issuer what it says here".to_owned()
        }
        Fault::Document(OidcError::Rejected(said)) if said.error == "http_407" => {
            "a proxy in front of the issuer wants a user name and password: ask IT".to_owned()
        }
        Fault::Document(OidcError::Rejected(_)) => {
            "check the issuer in the profile; a firewall or proxy may be refusing, too".to_owned()
        }
        Fault::Document(OidcError::Unavailable { detail, .. }) if detail.contains("redirect") => {
            "check the issuer in the profile (with or without www, the path too); a network that wants a sign-in of its own \
            redirects as well: open any web page"
                .to_owned()
        }
        Fault::TimedOut | Fault::Document(OidcError::Timeout(_)) => {
            "it is connected and says nothing: try again later, and tell whoever runs the issuer".to_owned()
        }
        _ => "try again later; if it stays so, tell whoever runs the issuer what it says here".to_owned(),
    }
}

fn clock(skew: Option<Skew>, untold: bool) -> DoctorCheck {
    let Some(Skew { by, ahead }) = skew else {
        return if untold {
            untried("clock")
        } else {
            check("clock", State::Skipped, "the issuer did not tell its own")
        };
    };
    let seconds = by.as_seconds();
    let side = if ahead { "ahead of" } else { "behind" };
    match seconds {
        0..=1 => check("clock", State::Ok, "agrees with the issuer's"),
        2..=MOST_SKEW => check("clock", State::Ok, format!("{seconds} s {side} the issuer's")),
        _ => check("clock", State::Warning, format!("this computer's clock is {} {side} the issuer's", span(seconds)))
            .hint("set it by the network: timedatectl set-ntp true; sign-ins fail while it is wrong"),
    }
}

/// A length of time, precise enough to see what is wrong: an hour off is a time zone, ten years an empty battery.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}
