//! The life of a connection: what is answered, when it ends. Time is the test's own, so nobody waits.

use super::*;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

/// Serves one end of a connection; gives the other one.
fn served() -> (UnixStream, Arc<Shared>) {
    let (near, far) = UnixStream::pair().unwrap();
    let shared = Arc::new(Shared::new(Stream::Unix(far)));
    let serving = Arc::clone(&shared);
    tokio::spawn(async move {
        let _ = drive(&serving, &vec!["localhost".to_owned()].into(), answer).await;
        serving.shut_down();
    });
    (near, shared)
}

/// `/slow` waits a minute between the two halves of its answer, `/held` before it; `/echo` gives its body back.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let body = match request.uri().path() {
        "/slow" => Body::from_stream(futures_util::stream::unfold(0, |n| async move {
            if n == 1 {
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            (n < 2).then(|| (Ok::<_, Infallible>(format!("half {n}")), n + 1))
        })),
        "/held" => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Body::from("at last")
        }
        "/echo" => Body::from(guard::body(request).await.unwrap_or_default()),
        path => Body::from(path.to_owned()),
    };
    Ok(Response::new(body))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// All that comes until the other side closes, and how long that took.
async fn rest(stream: &mut UnixStream) -> (String, Duration) {
    let (start, mut text) = (Instant::now(), String::new());
    stream.read_to_string(&mut text).await.unwrap();
    (text, start.elapsed())
}

async fn until(stream: &mut UnixStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut part = [0; 256];
        let n = stream.read(&mut part).await.unwrap();
        assert_ne!(n, 0, "closed before {end:?}: {text}");
        text += std::str::from_utf8(&part[..n]).unwrap();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn requests_sent_at_once_are_all_answered_and_the_idle_connection_ends() {
    let (mut stream, _) = served();
    let start = Instant::now();
    stream.write_all([get("/one"), get("/two"), get("/three")].concat().as_bytes()).await.unwrap();
    let text = until(&mut stream, "/three").await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(text.contains("/one") && text.contains("/two"), "{text}");
    let (more, took) = rest(&mut stream).await;
    assert_eq!(more, "");
    assert!((29..=31).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_held_call_is_no_idle_connection_but_its_end_is_the_beginning_of_one() {
    let (mut stream, shared) = served();
    stream.write_all(get("/held").as_bytes()).await.unwrap();
    let start = Instant::now();
    until(&mut stream, "at last").await;
    assert!(start.elapsed() >= Duration::from_mins(1));
    let (more, took) = rest(&mut stream).await;
    assert!(more.is_empty() && (29..=31).contains(&took.as_secs()), "{took:?}");
    assert!(!shared.is_busy());
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_request_is_answered_and_the_connection_ends() {
    let (mut stream, shared) = served();
    stream.write_all(get("/one").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let (text, took) = rest(&mut stream).await;
    assert!(text.ends_with("/one"), "{text}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(shared.refusal(), None);
}

#[tokio::test]
async fn requests_sent_at_once_and_half_closed_are_all_answered() {
    for _ in 0..200 {
        let (mut stream, _) = served();
        stream.write_all([get("/one"), get("/two"), get("/three")].concat().as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let (text, _) = rest(&mut stream).await;
        assert!(text.ends_with("/three"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_not_cut_short_and_keeps_its_length_when_it_has_one() {
    let (mut stream, shared) = served();
    stream.write_all(get("/slow").as_bytes()).await.unwrap();
    let text = until(&mut stream, "half 0").await;
    assert!(shared.is_busy(), "{text}");
    until(&mut stream, "half 1").await;
    stream.write_all(get("/one").as_bytes()).await.unwrap();
    let text = until(&mut stream, "/one").await;
    assert!(text.contains("content-length: 4"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_chunked_request_is_the_last_of_its_connection() {
    let (mut stream, _) = served();
    let chunked = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    stream.write_all(b"GET /secret HTTP/1.1\r\nHost: evil.example\r\n\r\n").await.unwrap();
    let (text, took) = rest(&mut stream).await;
    assert!(text.contains("connection: close") && text.ends_with("hello"), "{text}");
    assert!(!text.contains("secret") && took < Duration::from_secs(1), "{took:?}: {text}");
}

#[tokio::test(start_paused = true)]
async fn the_other_side_going_away_is_told_while_a_call_waits() {
    let (mut stream, shared) = served();
    let connection = Connection::new(Arc::clone(&shared), Side::Socket { connected: None });
    stream.write_all(get("/held").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(stream);
    let start = Instant::now();
    connection.hung_up().await;
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_connection_whose_task_panics_leaves_no_entry() {
    let open = Open::default();
    let shared = Arc::new(Shared::new(Stream::Unix(UnixStream::pair().unwrap().0)));
    let entry = Entry { open: Arc::clone(&open), id: 7 };
    let task = tokio::spawn(async move {
        let _entry = entry;
        tokio::task::yield_now().await;
        panic!("on purpose");
    });
    lock(&open).insert(7, (shared, task.abort_handle()));
    assert!(task.await.is_err());
    assert!(lock(&open).is_empty());
}
