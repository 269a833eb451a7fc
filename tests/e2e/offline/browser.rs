//! Our own stand-in for a browser keeps to what a browser does; otherwise the tests that use it prove nothing.

use e2e::navigate::Session;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

/// Serves these answers, one a connection, and returns the heads of the requests.
fn serve(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let serving = thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 8192];
                let read = stream.read(&mut bytes).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&bytes[..read]).into_owned()
            })
            .collect()
    });
    (authority, serving)
}

#[test]
fn it_sends_what_a_browser_sends() {
    let form = r#"<form method="post" action="/sent"><input name="a" value="1 &amp; 2"></form>"#;
    let page = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: strict=1; SameSite=Strict; Path=/\r\nSet-Cookie: elsewhere=1; Path=/elsewhere\r\nReferrer-Policy: same-origin\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let redirect = "HTTP/1.1 303 See Other\r\nLocation: /done\r\nContent-Length: 0\r\n\r\n".to_owned();
    let done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (authority, serving) = serve(vec![page, redirect, done]);
    let mut session = Session::default();
    let first = session.go(&format!("http://{authority}/start")).unwrap();
    let fields = [("a".to_owned(), "1 & 2".to_owned())];
    session.submit(&first, "/sent", &fields).unwrap();
    let seen = serving.join().unwrap();
    assert!(seen[0].contains("Sec-Fetch-Site: none") && !seen[0].contains("Cookie:"), "{}", seen[0]);
    assert!(
        seen[1].starts_with("POST /sent HTTP/1.1") && seen[1].contains("Sec-Fetch-Site: same-origin"),
        "{}",
        seen[1]
    );
    assert!(seen[1].contains(&format!("Origin: http://{authority}")) && seen[1].ends_with("a=1+%26+2"), "{}", seen[1]);
    assert!(seen[1].contains("Cookie: strict=1\r\n"), "{}", seen[1]);
    assert!(seen[2].starts_with("GET /done HTTP/1.1") && !seen[2].contains("Origin:"), "{}", seen[2]);
}

#[test]
fn it_goes_nowhere_but_loopback() {
    let mut session = Session::default();
    for address in ["https://127.0.0.1/", "http://example.com/", "http://127.0.0.1@example.com/", "file:///etc/passwd"]
    {
        assert!(session.go(address).is_err(), "{address}");
    }
}
