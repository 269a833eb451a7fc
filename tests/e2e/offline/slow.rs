//! H39: slow, stalled and idle connections end, and nobody waits for them.

use super::nonsense::lone_agent;
use e2e::http;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// Reads until the other side closes; panics if that takes longer than `limit`.
fn closed_within(name: &str, stream: &mut TcpStream, limit: Duration) {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            _ => assert!(start.elapsed() < limit, "{name}: still open after {limit:?}"),
        }
    }
}

#[test]
fn slow_and_idle_connections_are_closed_and_delay_nobody() {
    let (_agent, home) = lone_agent();
    let authority = home.authority();
    let begin = |bytes: &str| {
        let mut stream = http::connect(&authority).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    };
    let head = format!(
        "POST /v1/token HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    );
    let mut stalled = begin(&format!("{head}{{"));
    let mut idle = begin(&format!("GET /healthz HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let mut silent = begin("");
    let mut slow = begin("GET /healthz HTTP/1.1\r\n");
    let trickle = {
        let mut slow = slow.try_clone().unwrap();
        thread::spawn(move || {
            for _ in 0..30 {
                if slow.write_all(b"X").is_err() {
                    return;
                }
                thread::sleep(Duration::from_secs(1));
            }
        })
    };
    // Many half-open ones of one program: the agent may refuse some of them, and answers others at once.
    let crowd: Vec<_> = (0..300).filter_map(|_| http::connect(&authority).ok()).collect();
    let start = Instant::now();
    let status = home.daypass(&["status", "--json"]);
    assert!(status.took < Duration::from_secs(2), "the user's socket is not delayed: {:?}", status.took);
    drop(crowd);
    let answer = e2e::until("an answer after the crowd", Duration::from_secs(5), || {
        http::request(&authority, "GET", "/healthz", &[], b"").ok()
    });
    assert_eq!(answer.status, 204);
    assert!(start.elapsed() < Duration::from_secs(8));
    thread::scope(|scope| {
        scope.spawn(|| closed_within("one byte a second", &mut slow, Duration::from_secs(14)));
        scope.spawn(|| closed_within("silent", &mut silent, Duration::from_secs(14)));
        scope.spawn(|| closed_within("stalled body", &mut stalled, Duration::from_secs(34)));
        scope.spawn(|| closed_within("idle", &mut idle, Duration::from_secs(34)));
    });
    trickle.join().unwrap();
}
