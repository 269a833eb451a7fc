//! What is said about each finding, and that each that is not well comes with a next step.

use super::*;
use broker::{Offline, Timestamp};
use oidc::{Fault, Handshake, OidcError, Skew, Stage, Way};
use std::collections::BTreeMap;

fn account(issuer: &str) -> Account {
    Account {
        name: "corp".parse().unwrap(),
        title: None,
        issuer: issuer.parse().unwrap(),
        client_id: "daypass".to_owned(),
        client_secret: None,
        redirect_uris: Vec::new(),
        scopes: "openid".parse().unwrap(),
        offline: Offline::Auto,
        authorization_parameters: BTreeMap::new(),
        required_claims: BTreeMap::new(),
    }
}

fn healthy() -> Diagnosis {
    Diagnosis {
        way: Way::Straight,
        place: "login.example.com:443".to_owned(),
        name: Stage::Good(vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]),
        connection: Stage::Good("192.0.2.7:443".parse().unwrap()),
        tunnel: Stage::Needless,
        tls: Stage::Good(Handshake { version: "1.3", issued_by: Some("\"R11\" of \"Example Trust\"".to_owned()) }),
        document: Stage::Good(Duration::from_millis(34)),
        clock: Some(Skew { by: Span::seconds(1), ahead: true }),
    }
}

/// Each check as one line, after it was held to the rule: what is not well has a next step, what is well has none.
fn told(checks: &[DoctorCheck]) -> Vec<String> {
    let line = |one: &DoctorCheck| {
        assert_eq!(one.hint.is_some(), matches!(one.state.as_str(), "failed" | "warning"), "{one:?}");
        assert!(!one.finding.ends_with('.') && !one.finding.contains('\n'), "{one:?}");
        format!("{} {}: {}", one.state, one.check, one.finding)
    };
    checks.iter().map(line).collect()
}

fn way_of(found: &Diagnosis) -> Vec<String> {
    let account = account("https://login.example.com/realm");
    let checks = way::checks(&account, found, true);
    assert!(checks.iter().all(|one| one.account.as_deref() == Some("corp")));
    told(&checks)
}

#[test]
fn a_healthy_way_is_told_line_by_line() {
    assert_eq!(
        way_of(&healthy()),
        [
            "ok proxy: none is set",
            "ok name: login.example.com is 192.0.2.7 and 1 more",
            "ok connection: 192.0.2.7:443 answers",
            "ok tls: TLS 1.3, certificate issued by \"R11\" of \"Example Trust\"",
            "ok issuer: https://login.example.com/realm answers in 34 ms",
            "ok clock: agrees with the issuer's",
        ]
    );
    let without = way::without_proxy(&[&healthy()]).unwrap();
    assert_eq!(without.finding, "none is set in the agent's environment; issuers are reached directly");
    assert_eq!(way::without_proxy(&[]), None);
}

#[test]
fn behind_a_failure_nothing_is_guessed() {
    let refused = Diagnosis {
        connection: Stage::Failed(Fault::Refused),
        tls: Stage::Untried,
        document: Stage::Untried,
        clock: None,
        ..healthy()
    };
    let lines = way_of(&refused);
    assert_eq!(lines[2], "failed connection: login.example.com:443: the connection is refused: nobody listens there");
    assert!(lines[3..].iter().all(|line| line.starts_with("skipped ") && line.contains("not tried")), "{lines:?}");
}

#[test]
fn every_fault_of_tls_and_of_the_document_has_its_words() {
    let not_trusted = |self_issued, no_roots| Fault::NotTrusted {
        issued_by: Some("\"Inspector\"".to_owned()),
        self_issued,
        no_roots,
    };
    for (fault, want) in [
        (not_trusted(false, false), "the certificate is not trusted: it was issued by \"Inspector\""),
        (not_trusted(true, true), "the certificate is not trusted: it is its own issuer, \"Inspector\""),
        (
            Fault::Expired { at: Some(Timestamp::from_seconds(1_767_225_600)) },
            "the certificate has expired on 2026-01-01",
        ),
        (Fault::NotYetValid { from: None }, "the certificate is not valid yet"),
        (Fault::OtherHost(vec!["portal.example".to_owned()]), "the certificate is for another host: portal.example"),
        (Fault::NoTls, "what answers there does not speak TLS"),
        (Fault::TimedOut, "there was no answer in time"),
        (Fault::BadCertificate("BadEncoding".to_owned()), "the certificate is not valid: BadEncoding"),
    ] {
        let found = Diagnosis { tls: Stage::Failed(fault), document: Stage::Untried, clock: None, ..healthy() };
        assert_eq!(way_of(&found)[3], format!("failed tls: login.example.com: {want}"));
    }
    let captive = OidcError::CaptivePortal { at: "the discovery document" };
    let redirect = OidcError::Unavailable { detail: "a redirect (status 302)".to_owned(), retry_after: None };
    for (fault, want) in [
        (Fault::Document(captive), "a web page came instead of the discovery document"),
        (Fault::Document(redirect), "a redirect (status 302)"),
        (
            Fault::OtherIssuer("https://login.example.com".to_owned()),
            "the discovery document names another issuer: https",
        ),
        (Fault::Document(OidcError::BadMetadata("x".to_owned())), "its metadata cannot be used: x"),
        (Fault::TimedOut, "there was no answer in time"),
    ] {
        let found = Diagnosis { document: Stage::Failed(fault), clock: None, ..healthy() };
        let line = way_of(&found).remove(4);
        assert!(line.starts_with(&format!("failed issuer: https://login.example.com/realm: {want}")), "{line}");
    }
}

#[test]
fn clocks_that_differ_by_more_than_a_minute_are_told() {
    for (by, ahead, want) in [
        (0, false, "ok clock: agrees with the issuer's"),
        (60, false, "ok clock: 60 s behind the issuer's"),
        (61, true, "warning clock: this computer's clock is 61 s ahead of the issuer's"),
        (3661, false, "warning clock: this computer's clock is 61 min 1 s behind the issuer's"),
        (864_000, false, "warning clock: this computer's clock is 10 days behind the issuer's"),
    ] {
        let found = Diagnosis { clock: Some(Skew { by: Span::seconds(by), ahead }), ..healthy() };
        assert_eq!(way_of(&found)[5], want);
    }
}

#[test]
fn a_proxy_is_one_line_with_what_is_wrong_with_it() {
    let way = Way::Proxy { address: "http://proxy.example:3128".to_owned(), from: "HTTPS_PROXY", signs_in: true };
    let behind = |tunnel| Diagnosis { way: way.clone(), tunnel, ..healthy() };
    assert_eq!(
        way_of(&behind(Stage::Good(())))[0],
        "ok proxy: http://proxy.example:3128 (HTTPS_PROXY of the agent, with a user name) lets us through"
    );
    for fault in [
        Fault::ProxyWantsPassword,
        Fault::ProxyRefuses(403),
        Fault::NoProxy,
        Fault::Socks,
        Fault::Broken("x".to_owned()),
    ] {
        let said = fault.to_string();
        let lines = way_of(&behind(Stage::Failed(fault)));
        assert_eq!(lines.len(), 4, "name and connection are the proxy's: {lines:?}");
        assert!(
            lines[0].starts_with("failed proxy: http://proxy.example:3128 (") && lines[0].ends_with(&said),
            "{lines:?}"
        );
    }
    for (way, want) in [
        (Way::Excepted("NO_PROXY"), "ok proxy: not used: NO_PROXY of the agent names this host"),
        (Way::Excepted("profile"), "ok proxy: not used: no_proxy of the profile names this host"),
        (Way::Forbidden, "ok proxy: not used, as the profile says"),
        (Way::Unreadable("ALL_PROXY"), "warning proxy: ALL_PROXY is no address of a proxy, so none is used"),
    ] {
        let found = Diagnosis { way, ..healthy() };
        assert_eq!(way_of(&found)[0], want);
        assert_eq!(way::without_proxy(&[&found, &healthy()]), None);
    }
}

#[test]
fn port_and_keychain_are_told_as_they_are() {
    let taken = ["port 6174 is taken (Address in use): using 40123 instead".to_owned()];
    for (address, wanted, notices, want) in [
        ("http://127.0.0.1:6174", 6174, &[][..], "ok port: http://127.0.0.1:6174"),
        ("http://127.0.0.1:9", 0, &[], "ok port: http://127.0.0.1:9, any free port as the profile says"),
        (
            "http://127.0.0.1:40123",
            6174,
            &taken,
            "warning port: 6174 was taken when the agent started; it is at http://127.0.0.1:40123",
        ),
        (
            "http://127.0.0.1:6174",
            7000,
            &[],
            "warning port: the profile says 7000 by now; the agent is still at http://127.0.0.1:6174",
        ),
    ] {
        assert_eq!(told(&[port(address, wanted, notices)]), [want]);
    }
    let without = keychain(Some("no keychain service: no bus".to_owned()), &Ok(None));
    assert_eq!(told(&[without]), ["warning keychain: there is none: sign-ins end with the agent (no bus)"]);
    for (anchor, want) in [
        (Ok(None), "ok keychain: it is open, and keeps the sign-ins"),
        (Err(KeychainError::Locked), "failed keychain: it is locked"),
        (Err(KeychainError::TimedOut), "failed keychain: it does not answer in time"),
        (Err(KeychainError::Denied), "failed keychain: it denies the agent access"),
        (Err(KeychainError::Absent("gone".to_owned())), "failed keychain: there is none any more: gone"),
    ] {
        assert_eq!(told(&[keychain(None, &anchor)]), [want]);
    }
}

#[test]
fn a_diagnostic_names_its_file() {
    for (line, file) in [
        ("/etc/daypass/profile.d/10.toml:4: consent.idle is no duration", "/etc/daypass/profile.d/10.toml"),
        ("/home/ann/profile.toml: it is a symbolic link", "/home/ann/profile.toml"),
        ("/odd:name/p.toml:12: x: y", "/odd:name/p.toml"),
    ] {
        assert_eq!(file_of(line), file);
    }
}

#[test]
fn what_to_do_about_a_void_certificate_names_its_own_file() {
    let of = |why: &str| repair_of(&format!("/etc/10.toml:7: network.ca entry 1 counts for nothing: {why}"));
    for why in ["/etc/ca.pem cannot count: others than root may write to it", "/etc/ca.pem holds no certificate in PEM"]
    {
        let step = of(why);
        assert!(step.contains("PEM into /etc/ca.pem, ") && step.contains("chown root:root /etc/ca.pem"), "{step}");
    }
    assert!(of("holds no certificate in PEM").contains("under [network] ca in /etc/10.toml"));
    assert_eq!(repair_of("/etc/10.toml:7: name must be text"), "daypass profile check /etc/10.toml");
}
