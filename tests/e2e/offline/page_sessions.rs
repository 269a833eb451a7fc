//! H and N: what a page session is worth. A cookie alone, a page alone or a form alone decides nothing.

use super::desk::{Desk, NAVIGATE, fields};
use e2e::{html::Form, http, navigate::Page};
use std::{thread, time::Duration};

/// Longer than a page has to stand before it may be answered.
const ARMED: Duration = Duration::from_millis(1100);

fn encode(fields: &[(String, String)]) -> String {
    // Digests and page tokens need no escaping.
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The name of the page cookie, and its value.
fn pair(cookie: &str) -> (&str, &str) {
    let pair = cookie.split("; ").find(|pair| pair.starts_with("daypass_page_")).expect("a page session");
    pair.split_once('=').unwrap()
}

fn action(page: &Page, form: &Form) -> String {
    if form.action.is_empty() { page.url.path.clone() } else { form.action.clone() }
}

#[test]
fn a_form_that_is_not_our_own_pages_decides_nothing() {
    let desk = Desk::signed_in();
    let (mut window, first) = desk.question();
    let base = first.url.origin();
    let address = format!("{base}{}", first.url.path);
    let own = [("Sec-Fetch-Site", "same-origin"), ("Origin", base.as_str())];
    let localhost = base.replace("127.0.0.1", "localhost");
    for (case, site, with_cookie, other) in [
        ("N01 another site", &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")][..], true, ""),
        ("N02 another port", &[("Sec-Fetch-Site", "same-site"), ("Origin", "http://127.0.0.1:3000")], true, ""),
        ("N02 another port, old browser", &[("Origin", "http://127.0.0.1:3000")], true, ""),
        ("H13 a sandbox", &[("Origin", "null")], true, ""),
        ("H18 this machine's other name", &[("Origin", &localhost)], true, ""),
        ("H22 typed", &[("Sec-Fetch-Site", "none")], true, ""),
        ("nothing said", &[], true, ""),
        ("no page session", &own, false, ""),
        ("another page's token", &own, true, "page_token"),
        ("N08 another digest", &own, true, "digest"),
    ] {
        // A page of its own for each, so that it is refused for this reason and no other.
        let page = window.go(&address).unwrap();
        let form = page.consent_form().unwrap_or_else(|| panic!("before {case}: the question is still open"));
        let mut fields = fields(&form, "today");
        for (_, value) in fields.iter_mut().filter(|(name, _)| name == other) {
            *value = value.chars().rev().collect();
        }
        thread::sleep(ARMED);
        let cookie = window.cookie_header(&page.url);
        let mut headers = vec![
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        headers.extend_from_slice(site);
        if with_cookie {
            headers.push(("Cookie", &cookie));
        }
        let body = encode(&fields);
        let answer =
            http::request(&page.url.authority, "POST", &action(&page, &form), &headers, body.as_bytes()).unwrap();
        assert!(answer.header("access-control-allow-origin").is_none(), "{case}");
        assert!(desk.daypass(&["grants", "--json"]).json().as_array().unwrap().is_empty(), "{case}: {}", answer.text());
        assert_eq!(desk.lines("consent.today").len(), 0, "{case}");
    }
    let page = window.go(&address).unwrap();
    let form = page.consent_form().expect("the question is still open");
    thread::sleep(ARMED);
    let decided = window.submit(&page, &form.action, &fields(&form, "today")).unwrap();
    assert_eq!((decided.answer.status, desk.lines("consent.today").len()), (200, 1));
}

#[test]
fn a_stolen_page_cookie_ends_the_session_and_decides_nothing() {
    // H56: another program has the cookie, the digest and even the token of the page, and forges every header.
    let desk = Desk::signed_in();
    let (mut window, page) = desk.question();
    let form = page.consent_form().unwrap();
    let cookie = window.cookie_header(&page.url);
    let body = encode(&fields(&form, "always"));
    thread::sleep(ARMED);
    let address = format!("{}{}", page.url.origin(), action(&page, &form));
    let origin = format!("Origin: {}", page.url.origin());
    let said = desk.home.curl(&[
        "-H",
        &format!("Cookie: {cookie}"),
        "-H",
        &origin,
        "-H",
        "Sec-Fetch-Site: same-origin",
        "-H",
        "Sec-Fetch-Mode: navigate",
        "-H",
        "Sec-Fetch-Dest: document",
        "-d",
        &body,
        &address,
    ]);
    assert!(desk.daypass(&["grants", "--json"]).json().as_array().unwrap().is_empty(), "{said:?}");
    assert!(!said.stdout.contains("payments"), "the thief learns nothing: {}", said.stdout);
    let after = window.go(&format!("{}{}", page.url.origin(), page.url.path)).unwrap();
    assert!(after.consent_form().is_none(), "the session it stole is over");
    desk.home.run(desk.home.script("asker"), &["token", "payments"], "", super::desk::LIMIT).fails(6);
}

#[test]
fn cookies_that_others_set_open_nothing() {
    let desk = Desk::signed_in();
    let (window, page) = desk.question();
    let cookie = window.cookie_header(&page.url);
    let (name, value) = pair(&cookie);
    let get = |path: &str, cookie: &str| {
        let headers = [&NAVIGATE[..], &[("Cookie", cookie)]].concat();
        http::request(&page.url.authority, "GET", path, &headers, b"").unwrap()
    };
    assert!(get(&page.url.path, &cookie).text().contains("payments"), "the session holds");
    let constant = get("/", "").body;
    // H50: two of one name, in both orders.
    for two in [format!("{name}=x; {name}={value}"), format!("{name}={value}; {name}=x")] {
        let answer = get(&page.url.path, &two);
        assert!(!answer.text().contains("payments"), "H50 {}", answer.status);
    }
    // H51: a web server on another port has pushed our cookie out of the jar, or fills the header.
    let many: Vec<_> = (0..500).map(|n| format!("c{n}={n}")).collect();
    let crowded = get("/", &many.join("; "));
    assert!(crowded.body == constant || (400..500).contains(&crowded.status), "H51 {}", crowded.status);
    // H52: a cookie planted before the ticket is redeemed is not taken over.
    let before = desk.opened().len();
    desk.daypass(&["open"]).ok();
    let ticket = desk.opened_after(before);
    let path = ticket.strip_prefix(&page.url.origin()).expect("our own address");
    let planted = format!("{name}=AAAAAAAAAAAAAAAAAAAAAA");
    let redeemed = get(path, &planted);
    let fresh = redeemed.all("set-cookie").find(|line| line.starts_with(name)).expect("a session of its own");
    assert!(!fresh.contains("AAAAAAAAAAAAAAAAAAAAAA"), "H52");
    assert_eq!(get("/", &planted).body, constant, "H52: what was planted opens nothing");
}

#[test]
fn a_question_is_not_shown_where_it_could_be_covered() {
    // N04, H20: in a frame, as a script, ahead of time; always with the right cookie.
    let desk = Desk::signed_in();
    let (window, page) = desk.question();
    let cookie = window.cookie_header(&page.url);
    for (case, headers) in [
        ("frame", [("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-site")]),
        (
            "own frame",
            [("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "same-origin")],
        ),
        ("script", [("Sec-Fetch-Dest", "script"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Site", "same-site")]),
        ("image", [("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Site", "same-site")]),
        ("fetch", [("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-site")]),
    ] {
        let headers = [&headers[..], &[("Cookie", &cookie)]].concat();
        let answer = http::request(&page.url.authority, "GET", &page.url.path, &headers, b"").unwrap();
        assert_eq!(answer.status, 403, "{case}: {}", answer.text());
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{case}");
        assert!(!answer.text().contains("payments"), "{case}");
    }
    let shown = {
        let headers = [&NAVIGATE[..], &[("Cookie", &cookie)]].concat();
        http::request(&page.url.authority, "GET", &page.url.path, &headers, b"").unwrap()
    };
    assert_eq!(shown.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(shown.text().contains("payments"), "and to the person it is shown");
}

#[test]
fn a_question_is_decided_once_whatever_comes_at_the_same_time() {
    // N06: both answers, many times, at the same moment.
    let desk = Desk::signed_in();
    let (window, page) = desk.question();
    let form = page.consent_form().unwrap();
    let cookie = window.cookie_header(&page.url);
    thread::sleep(ARMED);
    let base = page.url.origin();
    thread::scope(|scope| {
        for turn in 0..24 {
            let (desk_form, cookie, base, page) = (&form, &cookie, &base, &page);
            scope.spawn(move || {
                let body = encode(&fields(desk_form, if turn % 2 == 0 { "today" } else { "deny" }));
                let headers = [
                    ("Sec-Fetch-Site", "same-origin"),
                    ("Sec-Fetch-Mode", "navigate"),
                    ("Sec-Fetch-Dest", "document"),
                    ("Origin", base.as_str()),
                    ("Content-Type", "application/x-www-form-urlencoded"),
                    ("Cookie", cookie.as_str()),
                ];
                let path = action(page, desk_form);
                let answer = http::request(&page.url.authority, "POST", &path, &headers, body.as_bytes());
                assert!(answer.unwrap().status < 500);
            });
        }
    });
    let (yes, no) = (desk.lines("consent.today").len(), desk.lines("consent.denied").len());
    assert_eq!(yes + no, 1, "one answer, one line: {:?}", desk.lines("consent."));
    assert_eq!(desk.daypass(&["grants", "--json"]).json().as_array().unwrap().len(), yes);
}

#[test]
fn an_answer_to_a_question_that_is_over_decides_nothing() {
    // N09: after the sign-out, and after the agent was started again.
    for how in ["sign-out", "restart"] {
        let mut desk = Desk::signed_in();
        let (mut window, page) = desk.question();
        let form = page.consent_form().unwrap();
        thread::sleep(ARMED);
        if how == "sign-out" {
            desk.daypass(&["logout", "corp"]);
        } else {
            desk.agent.stop();
            desk.agent.restart();
        }
        let answer = window.submit(&page, &form.action, &fields(&form, "always"));
        if let Ok(page) = answer {
            assert!(page.answer.status < 500, "{how}: {}", page.answer.status);
            assert!(page.consent_form().is_none(), "{how}: nothing is left to answer");
        }
        assert!(desk.daypass(&["grants", "--json"]).json().as_array().unwrap().is_empty(), "{how}");
        assert_eq!(desk.lines("consent.always").len(), 0, "{how}");
    }
}
