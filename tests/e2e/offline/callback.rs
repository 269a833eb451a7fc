//! C: what comes to the redirect address, from whom, and how often. What an answer may say is `oidc::callback`.

use super::desk::Desk;
use e2e::http;
use std::{io::Write as _, net::TcpListener};

#[test]
fn what_does_not_fit_leaves_the_sign_in_waiting() {
    let desk = Desk::start("");
    let mut waiting = desk.begin("corp");
    let (own, whole) = (waiting.cookie(), waiting.address().path.clone());
    assert!(own.starts_with("daypass_signin_"), "the window is bound: {own}");
    let state = waiting.parameter("state");
    let code = waiting.parameter("code");
    let name = own.split('=').next().unwrap();
    let authority = waiting.address().authority.clone();

    // C19: a connection that says nothing, one that breaks off, and one that speaks TLS.
    let silent = http::connect(&authority).unwrap();
    let mut broken = http::connect(&authority).unwrap();
    broken.write_all(b"GET /callback?code=").unwrap();
    drop(broken);
    let _ = http::send(&authority, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");

    for (case, method, path, cookie, body) in [
        ("C01 no state", "GET", format!("/callback?code={code}"), own.as_str(), ""),
        ("C01 another state", "GET", format!("/callback?code={code}&state=x{state}"), &own, ""),
        ("C13 no cookie", "GET", whole.clone(), "", ""),
        ("C13 a made-up cookie", "GET", whole.clone(), &format!("{name}=x"), ""),
        ("C13 two cookies", "GET", whole.clone(), &format!("{own}; {name}=x"), ""),
        ("C17 a form", "POST", "/callback".to_owned(), &own, &format!("code={code}&state={state}")),
        ("C18 a token", "GET", format!("/callback?access_token=x&token_type=bearer&state={state}"), &own, ""),
        ("C19 icon", "GET", "/favicon.ico".to_owned(), &own, ""),
        ("C19 robots", "GET", "/robots.txt".to_owned(), &own, ""),
        ("H28 HEAD", "HEAD", whole.clone(), &own, ""),
        ("H43 two codes", "GET", format!("/callback?code={code}&code={code}&state={state}"), &own, ""),
        ("H44 not UTF-8", "GET", format!("/callback?code=%ff&state={state}"), &own, ""),
        ("H41 another spelling", "GET", whole.replace("/callback", "/callback/"), &own, ""),
        ("H41 escaped", "GET", whole.replace("/callback", "/c%61llback"), &own, ""),
    ] {
        let status = if method == "HEAD" {
            let mut stream = http::connect(&authority).unwrap();
            write!(stream, "HEAD {path} HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\n\r\n").unwrap();
            let mut start = [0; 12];
            std::io::Read::read_exact(&mut stream, &mut start).unwrap();
            std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
        } else {
            let answer = waiting.ask(method, &path, cookie, body).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(answer.header("set-cookie"), None, "{case}");
            assert!(!answer.text().contains(&code), "{case}: the code is reflected");
            answer.status
        };
        assert!((400..500).contains(&status), "{case}: {status}");
        assert!(waiting.waits(), "{case} ended the sign-in");
        assert_eq!(desk.redeemed(), 0, "{case}");
    }

    // The right answer from the right browser, C25: it ends on an address and a page without the code.
    let last = waiting.finish();
    assert_eq!(waiting.ended(), 0);
    assert_eq!((last.answer.status, desk.redeemed()), (200, 1));
    assert!(last.url.path.starts_with("/done/") && !last.url.path.contains('?'), "{}", last.url.path);
    assert!(!last.answer.text().contains(&code) && !last.answer.text().contains(&state));
    assert_eq!(last.answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(desk.state("corp"), "signed_in");
    drop(silent);
}

#[test]
fn one_answer_is_redeemed_once_however_often_it_comes() {
    let desk = Desk::start("");
    let mut waiting = desk.begin("corp");
    let (own, whole) = (waiting.cookie(), waiting.address().path.clone());
    // C14: eight at once.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = http::request(
                    &waiting.address().authority,
                    "GET",
                    &whole,
                    &[&super::desk::NAVIGATE[..], &[("Cookie", &own)]].concat(),
                    b"",
                );
                let status = answer.expect("an answer").status;
                assert!(status == 303 || (400..500).contains(&status), "{status}");
            });
        }
    });
    assert_eq!(waiting.ended(), 0);
    assert_eq!((desk.redeemed(), desk.state("corp").as_str()), (1, "signed_in"));
    // C03: and once more afterwards, while the listener still shows its last page.
    if let Ok(late) = waiting.ask("GET", &whole, &own, "") {
        assert!(late.status == 303 || (400..500).contains(&late.status), "{}", late.status);
    }
    assert_eq!((desk.redeemed(), desk.state("corp").as_str()), (1, "signed_in"));
    assert_eq!(desk.lines("sign_in").len(), 1, "{:?}", desk.lines("sign_in"));
}

const SECOND: &str = "\n[accounts.other]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1/callback\"]\nscopes = [\"openid\"]\n";

#[test]
fn an_answer_for_one_account_is_none_for_another() {
    let desk = Desk::start(SECOND);
    let mut first = desk.begin("corp");
    let mut second = desk.begin("other");
    // C04: each listener with the answer of the other.
    for (at, foreign) in [(&first, second.address().path.clone()), (&second, first.address().path.clone())] {
        let answer = at.ask("GET", &foreign, &at.cookie(), "").unwrap();
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert!(first.waits() && second.waits() && desk.redeemed() == 0);
    first.finish();
    second.finish();
    assert_eq!((first.ended(), second.ended()), (0, 0));
    assert_eq!((desk.state("corp"), desk.state("other")), ("signed_in".to_owned(), "signed_in".to_owned()));
}

#[test]
fn a_code_that_was_put_in_from_elsewhere_signs_nobody_in() {
    let desk = Desk::start(SECOND);
    let mut first = desk.begin("corp");
    let second = desk.begin("other");
    // C12: the code of another sign-in with the state of this one; its verifier does not fit.
    let mixed = first.address().path.replace(&first.parameter("code"), &second.parameter("code"));
    let answer = first.ask("GET", &mixed, &first.cookie(), "").unwrap();
    assert!(answer.status == 303 || (400..500).contains(&answer.status), "{}", answer.status);
    assert_eq!(first.ended(), 7);
    assert_eq!(desk.state("corp"), "sign_in_required");
    assert_eq!(desk.redeemed(), 1, "it is not tried again");
    let mut again = desk.begin("corp");
    again.finish();
    assert_eq!(again.ended(), 0);
}

#[test]
fn an_answer_that_comes_too_late_is_none() {
    // C20: after Ctrl-C, and after the agent was started again.
    let mut desk = Desk::start("");
    let mut waiting = desk.begin("corp");
    waiting.interrupt();
    let late = waiting.ask("GET", &waiting.address().path.clone(), &waiting.cookie(), "");
    assert!(late.as_ref().is_err() || late.as_ref().is_ok_and(|a| (400..500).contains(&a.status)), "{late:?}");
    assert_eq!((desk.redeemed(), desk.state("corp").as_str()), (0, "sign_in_required"));

    let waiting = desk.begin("corp");
    desk.agent.stop();
    desk.agent.restart();
    let late = waiting.ask("GET", &waiting.address().path.clone(), &waiting.cookie(), "");
    assert!(late.as_ref().is_err() || late.as_ref().is_ok_and(|a| (400..500).contains(&a.status)), "{late:?}");
    assert_eq!((desk.redeemed(), desk.state("corp").as_str()), (0, "sign_in_required"));
    let mut again = desk.begin("corp");
    again.finish();
    assert_eq!(again.ended(), 0);
}

#[test]
fn without_its_redirect_address_no_browser_is_opened() {
    // C22: somebody else sits on the only port that is registered.
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = squatter.local_addr().unwrap().port();
    let desk = Desk::start(&format!(
        "\n[accounts.fixed]\nissuer = \"ISSUER\"\nclient_id = \"daypass\"\nredirect_uri = [\"http://127.0.0.1:{port}/callback\"]\n"
    ));
    let output = desk.daypass(&["login", "fixed"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains(&port.to_string()) && output.stderr.contains("hint: "), "{}", output.stderr);
    assert!(desk.opened().is_empty(), "nothing is shown that cannot come back");
    drop(squatter);
}
