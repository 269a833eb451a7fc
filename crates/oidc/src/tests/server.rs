//! A small HTTP server on loopback that answers each path as it was told to, by the letter.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The head and a part of the body, then nothing, for ever.
    Drip(Vec<u8>),
    /// A reset after the request was read.
    Reset,
}

impl Reply {
    pub(crate) fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Raw(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::with(status, "Content-Type: application/json\r\n", &body.to_string())
    }

    pub(crate) fn html(status: u16) -> Self {
        Self::with(
            status,
            "Content-Type: text/html; charset=utf-8\r\n",
            "<!doctype html><p>invalid_grant, please sign in",
        )
    }

    pub(crate) fn redirect(status: u16, to: &str) -> Self {
        Self::with(status, &format!("Location: {to}\r\n"), "")
    }
}

/// A request that came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    /// The values of a form field, decoded.
    pub(crate) fn field(&self, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
            .collect()
    }
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) port: u16,
    routes: Arc<Mutex<HashMap<String, Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            routes: Arc::default(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(accepting.clone().answer(stream));
            }
        });
        server
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, path: &str, reply: Reply) {
        self.routes.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The requests that came for a path.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|s| s.path == path).cloned().collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut chunk = [0_u8; 4096];
        let (head, body) = loop {
            let read = stream.read(&mut chunk).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            bytes.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(Seen { path: path.clone(), head, body });
        let reply = self.routes.lock().unwrap().get(&path).cloned();
        match reply.unwrap_or_else(|| Reply::with(404, "", "")) {
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Reply::Hang => std::future::pending().await,
            Reply::Drip(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
            Reply::Reset => {
                let _ = stream.set_zero_linger();
            }
        }
    }
}
