//! What the small browser makes of pages, cookies and redirects.

use super::*;
use std::{
    io::{Read, Write},
    net::TcpListener,
};

fn page(html: &str) -> Page {
    Page { url: Url::parse("http://127.0.0.1:1/a/b").unwrap(), status: 200, html: html.to_owned() }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn forms_are_found_with_their_fields_and_buttons() {
    let forms = page(
        r#"<!doctype html><!-- <form action="/no"> --><style>form > input {}</style>
        <script>if (a < b) document.write("<form action='/no'><input name=x>")</script>
        <input name="outside" value="1">
        <FORM method='POST' action="/consent/1?a=1&amp;b=2">
          <input type=hidden name=digest value=abc123><input type="hidden" name="page_token" value="&quot;t&#x27;&#39;&lt;&bogus;&">
          <input name="empty" autofocus required><input type=checkbox name=off><input type=checkbox name=on value=y checked>
          <button name="choice" value="deny">Deny</button><button type="submit" name="choice" value='today' disabled>Allow</button>
          <button>Nothing</button><input type="submit" name="go" value="Go"/>
        </FORM>
        <form><input name=second></form>"#,
    )
    .forms();
    assert_eq!(forms.len(), 2);
    assert_eq!(forms[0].action, "/consent/1?a=1&b=2");
    assert!(forms[0].post && !forms[1].post);
    let fields = [("digest", "abc123"), ("page_token", "\"t''<&bogus;&"), ("empty", ""), ("on", "y")];
    assert_eq!(forms[0].fields, pairs(&fields));
    assert_eq!(forms[0].buttons, pairs(&[("choice", "deny"), ("choice", "today"), ("go", "Go")]));
    assert!(forms[0].has_button("choice", "today") && !forms[0].has_button("choice", "always"));
    assert_eq!(forms[1].fields, pairs(&[("second", "")]));
}

#[test]
fn broken_pages_end_the_search_and_nothing_else() {
    for html in [
        "<",
        "<form",
        "<form action=",
        "<form action=\"x",
        "<form = = =>",
        "<form <input name",
        "<!--",
        "<script>",
        "<input ==>",
    ] {
        let _ = page(html).forms();
    }
    assert_eq!(page("<form action=x").forms().len(), 1);
}

#[test]
fn forms_are_filled_in_place() {
    let mut form = page("<form><input name=a value=1><input name=b></form>").forms().remove(0);
    form.fill("b", "2");
    form.fill("c", "3");
    assert_eq!(form.fields, pairs(&[("a", "1"), ("b", "2"), ("c", "3")]));
}

#[test]
fn cookies_go_where_they_belong() {
    let mut browser = UserAgent::new(Duration::from_secs(1));
    let url = |text: &str| Url::parse(text).unwrap();
    let set = |browser: &mut UserAgent, at: &str, cookie: &str| {
        let headers = vec![("set-cookie".to_owned(), cookie.to_owned())];
        browser.keep_cookies(&url(at), &Answer { status: 200, headers, body: Vec::new() });
    };
    let home = "http://127.0.0.1:1/cb/x";
    set(&mut browser, home, "page=1; Path=/; HttpOnly; SameSite=Strict");
    set(&mut browser, home, "lax=2; Path=/cb; SameSite=Lax");
    set(&mut browser, home, "dropped=3; Path=/; Secure");
    let sent = |browser: &UserAgent, to: &str, site, post| browser.cookies_for(&url(to), site, post);
    assert_eq!(sent(&browser, home, Distance::Typed, false), "lax=2; page=1");
    assert_eq!(
        sent(&browser, "http://127.0.0.1:2/cb", Distance::SameSite, true),
        "lax=2; page=1",
        "ports do not matter"
    );
    assert_eq!(sent(&browser, "http://127.0.0.1:1/cbx", Distance::Typed, false), "page=1");
    assert_eq!(sent(&browser, home, Distance::CrossSite, false), "lax=2");
    assert_eq!(sent(&browser, home, Distance::CrossSite, true), "");
    assert_eq!(sent(&browser, "http://localhost:1/cb", Distance::Typed, false), "");
    set(&mut browser, home, "page=; Path=/; Max-Age=0");
    assert_eq!(sent(&browser, home, Distance::Typed, false), "lax=2");
}

/// Serves `answers` one connection after the other and returns the requests.
fn serve(listener: TcpListener, answers: Vec<String>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.windows(4).any(|w| w == b"\r\n\r\n")
                || request.starts_with(b"POST") && !request.ends_with(b"=1")
            {
                let count = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            requests.push(String::from_utf8(request).unwrap());
        }
        requests
    })
}

#[test]
fn navigations_look_like_a_browser() {
    let (first, second) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let origin = |l: &TcpListener| format!("http://{}", l.local_addr().unwrap());
    let (a, b) = (origin(&first), origin(&second));
    let see = |to: &str| format!("HTTP/1.1 303 See Other\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let html = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let form = html("<form method=post action=/send><input name=x value=1></form>");
    let at_first = serve(first, vec![see(&format!("{b}/form"))]);
    let at_second = serve(second, vec![form, see("/cb"), see("/done"), html("bye")]);
    let mut browser = UserAgent::new(Duration::from_secs(5));
    let page = browser.open(&Url::parse(&format!("{a}/start/t")).unwrap()).unwrap();
    assert_eq!(page.url.as_str(), format!("{b}/form"));
    let last = browser.send(&page, &page.forms()[0], None).unwrap();
    assert_eq!((last.status, last.html.as_str()), (200, "bye"));
    let (one, two) = (at_first.join().unwrap(), at_second.join().unwrap());
    assert!(one[0].starts_with("GET /start/t HTTP/1.1\r\n") && one[0].contains("sec-fetch-site: none\r\n"));
    assert!(two[0].contains("sec-fetch-site: none\r\n") && !two[0].contains("\r\norigin:"), "redirects stay typed");
    assert!(
        two[1].starts_with("POST /send") && two[1].contains(&format!("\r\norigin: {b}\r\n")) && two[1].ends_with("x=1")
    );
    assert!(two[1].contains("sec-fetch-site: same-origin\r\n") && two[1].contains("sec-fetch-mode: navigate\r\n"));
    assert!(two[2].starts_with("GET /cb") && !two[2].contains("\r\norigin:"));
    assert!(two[3].starts_with("GET /done") && two[3].contains("sec-fetch-dest: document\r\n"));
}

#[test]
fn another_port_is_another_origin_of_the_same_site() {
    let url = |text: &str| Url::parse(text).unwrap();
    let from = url("http://127.0.0.1:1/");
    for (to, expected) in [
        ("http://127.0.0.1:1/x", Distance::SameOrigin),
        ("http://127.0.0.1:2/x", Distance::SameSite),
        ("http://localhost:1/x", Distance::CrossSite),
    ] {
        assert_eq!(Distance::between(&from, &url(to)), expected, "{to}");
    }
}
