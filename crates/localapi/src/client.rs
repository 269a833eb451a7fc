//! The typed client: one blocking HTTP/1.1 exchange over a stream that is already connected and checked.
//!
//! The stream is expected to have its own read and write timeouts; limits on the answer are kept here.

mod events;

pub use events::{Event, Events};

use crate::{code::Code, types::ErrorBody};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};

/// Most bytes of an answer's head.
const HEAD_LIMIT: usize = 16 * 1024;
/// Most bytes of an answer's body.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// Why an exchange gave no answer of the wanted type.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The agent answered with an error.
    #[error("{}", .0.error_description)]
    Refused(Box<ErrorBody>),
    /// The connection failed.
    #[error("the connection to the agent failed: {0}")]
    Io(#[from] io::Error),
    /// What came back is not an answer of this API.
    #[error("the agent's answer cannot be understood: {0}")]
    Protocol(String),
}

impl ClientError {
    /// The stable code, where the agent gave one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(body) => Some(body.code),
            Self::Io(_) | Self::Protocol(_) => None,
        }
    }
}

/// A connection to the agent that can be used for one exchange after the other.
pub struct Client<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    /// Speaks over `stream`, whose other end must already have been checked to be the user's own agent.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// Sends `GET path`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get<A: DeserializeOwned>(&mut self, path: &str) -> Result<A, ClientError> {
        self.exchange("GET", path, None)
    }

    /// Sends `DELETE path`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete<A: DeserializeOwned>(&mut self, path: &str) -> Result<A, ClientError> {
        self.exchange("DELETE", path, None)
    }

    /// Sends `POST path` with a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post<Q: Serialize, A: DeserializeOwned>(&mut self, path: &str, body: &Q) -> Result<A, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Protocol(e.to_string()))?;
        self.exchange("POST", path, Some(&body))
    }

    fn exchange<A: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<A, ClientError> {
        debug_assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()));
        let mut message = Vec::with_capacity(256 + body.map_or(0, <[u8]>::len));
        write!(message, "{method} {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n")?;
        if let Some(body) = body {
            write!(message, "content-type: application/json\r\ncontent-length: {}\r\n", body.len())?;
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(body.unwrap_or_default());
        self.stream.write_all(&message)?;
        self.stream.flush()?;
        self.read_answer()
    }

    fn read_answer<A: DeserializeOwned>(&mut self) -> Result<A, ClientError> {
        let (status, body) = self.answer()?;
        if (200..300).contains(&status) {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|_| ClientError::Protocol("unexpected body".to_owned()));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) => Err(ClientError::Refused(Box::new(error))),
            Err(_) => Err(ClientError::Protocol(format!("status {status} without an error body"))),
        }
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>), ClientError> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(&self.buffer) {
                Ok(httparse::Status::Complete(head)) => {
                    let status = response.code.unwrap_or_default();
                    let mut length = None;
                    for header in response.headers.iter() {
                        if header.name.eq_ignore_ascii_case("transfer-encoding") {
                            return Err(ClientError::Protocol("unexpected transfer coding".to_owned()));
                        }
                        if header.name.eq_ignore_ascii_case("content-length") {
                            length =
                                std::str::from_utf8(header.value).ok().and_then(|v| v.trim().parse::<usize>().ok());
                        }
                    }
                    let length = match (status, length) {
                        (204 | 304, _) => 0,
                        (_, Some(length)) if length <= BODY_LIMIT => length,
                        _ => return Err(ClientError::Protocol("no usable content length".to_owned())),
                    };
                    while self.buffer.len() < head + length {
                        self.fill(16 * 1024)?;
                    }
                    let body = self.buffer[head..head + length].to_vec();
                    self.buffer.drain(..head + length);
                    return Ok((status, body));
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < HEAD_LIMIT => self.fill(4096)?,
                Ok(httparse::Status::Partial) => return Err(ClientError::Protocol("head too large".to_owned())),
                Err(error) => return Err(ClientError::Protocol(error.to_string())),
            }
        }
    }

    fn fill(&mut self, most: usize) -> Result<(), ClientError> {
        let used = self.buffer.len();
        self.buffer.resize(used + most, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[used..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(used + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }
}
