//! The agent's news: server-sent events, read off a connection that carries nothing else from then on.
//!
//! Limit: only what the agent sends is understood (`event` and `data`, one line each); comments keep the connection alive
//! and are passed over.

use super::{Client, ClientError};
use std::io::{self, Read, Write};

/// Most bytes of one event, and of what is read ahead of it.
const EVENT_LIMIT: usize = 64 * 1024;

/// One event of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name, such as `requests`.
    pub name: String,
    /// Its data, a JSON object.
    pub data: String,
}

/// Events as they come. Whoever holds this listens; the agent counts a listening desktop as attached.
pub struct Events<S> {
    stream: S,
    /// As it came, chunk sizes and all.
    raw: Vec<u8>,
    /// Taken out of its chunks.
    text: Vec<u8>,
    chunk: Chunk,
}

/// Where in the transfer coding (RFC 9112 §7.1) the reader is.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size,
    Data(usize),
    End,
    /// Not chunked: all that comes is text.
    Plain,
}

impl<S: Read + Write> Client<S> {
    /// Listens to `GET /v1/events`. Each read ends with the read timeout of the stream: set one above the agent's
    /// interval of comments (60 s), and take its passing as an agent that is gone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn events(mut self) -> Result<Events<S>, ClientError> {
        let question = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        self.stream.write_all(question.as_bytes())?;
        self.stream.flush()?;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(&self.buffer) {
                Ok(httparse::Status::Complete(_)) if response.code != Some(200) => {
                    // An error with a body of a known length, like any other.
                    return match self.read_answer::<serde_json::Value>() {
                        Err(error) => Err(error),
                        Ok(_) => Err(ClientError::Protocol("no events".to_owned())),
                    };
                }
                Ok(httparse::Status::Complete(head)) => {
                    let chunked = response.headers.iter().any(|header| {
                        header.name.eq_ignore_ascii_case("transfer-encoding")
                            && header.value.eq_ignore_ascii_case(b"chunked")
                    });
                    let chunk = if chunked { Chunk::Size } else { Chunk::Plain };
                    self.buffer.drain(..head);
                    return Ok(Events { stream: self.stream, raw: self.buffer, text: Vec::new(), chunk });
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < super::HEAD_LIMIT => self.fill(4096)?,
                Ok(httparse::Status::Partial) => return Err(ClientError::Protocol("head too large".to_owned())),
                Err(error) => return Err(ClientError::Protocol(error.to_string())),
            }
        }
    }
}

impl<S: Read> Events<S> {
    /// The next event, waited for as long as the stream lets.
    ///
    /// # Errors
    /// [`ClientError::Io`] when the agent is gone or silent for too long, [`ClientError::Protocol`] for anything else
    /// than events.
    #[allow(clippy::should_implement_trait, reason = "an end of the stream is an error, not an end of the listening")]
    pub fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(event) = read(&String::from_utf8_lossy(&block)) {
                    return Ok(event);
                }
                continue;
            }
            if self.text.len() > EVENT_LIMIT || self.raw.len() > EVENT_LIMIT {
                return Err(ClientError::Protocol("an event is too large".to_owned()));
            }
            if !self.unpack()? {
                self.fill()?;
            }
        }
    }

    /// Takes what is there out of its chunks; false when more bytes are needed.
    fn unpack(&mut self) -> Result<bool, ClientError> {
        let malformed = || ClientError::Protocol("malformed chunk".to_owned());
        match self.chunk {
            _ if self.raw.is_empty() => return Ok(false),
            Chunk::Plain => self.text.append(&mut self.raw),
            Chunk::Size => match httparse::parse_chunk_size(&self.raw) {
                Ok(httparse::Status::Complete((_, 0))) => {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                Ok(httparse::Status::Complete((used, size))) => {
                    self.raw.drain(..used);
                    self.chunk = Chunk::Data(usize::try_from(size).map_err(|_| malformed())?);
                }
                Ok(httparse::Status::Partial) => return Ok(false),
                Err(_) => return Err(malformed()),
            },
            Chunk::Data(left) => {
                let here = left.min(self.raw.len());
                self.text.extend(self.raw.drain(..here));
                self.chunk = if here == left { Chunk::End } else { Chunk::Data(left - here) };
            }
            Chunk::End if self.raw.len() < 2 => return Ok(false),
            Chunk::End if self.raw.starts_with(b"\r\n") => {
                self.raw.drain(..2);
                self.chunk = Chunk::Size;
            }
            Chunk::End => return Err(malformed()),
        }
        Ok(true)
    }

    fn fill(&mut self) -> Result<(), ClientError> {
        let mut part = [0; 4096];
        let read = loop {
            match self.stream.read(&mut part) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.raw.extend_from_slice(&part[..read]);
        Ok(())
    }
}

/// One block of lines; `None` when there is no event in it.
fn read(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    Some(Event { name: field("event")?, data: field("data").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in the pieces it was given.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.first_mut() else { return Ok(0) };
            let here = piece.len().min(buffer.len());
            buffer[..here].copy_from_slice(&piece[..here]);
            piece.drain(..here);
            if piece.is_empty() {
                self.0.remove(0);
            }
            Ok(here)
        }
    }

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn client(pieces: Vec<Vec<u8>>) -> Result<Events<Pieces>, ClientError> {
        Client::new(Pieces(pieces)).events()
    }

    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\n:\n\n\r\n1b\r\nevent: requests\ndata: {}\n\n\n\r\ne\r\nevent: show\nda\r\nd\r\nta: {\"a\":1}\n\n\r\n0\r\n\r\n";

    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        let want = [("requests", "{}"), ("show", "{\"a\":1}")];
        for size in [1, 2, 7, 1000] {
            let pieces = STREAM.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let mut events = client(pieces).unwrap();
            for (name, data) in want {
                let event = events.next().unwrap();
                assert_eq!((event.name.as_str(), event.data.as_str()), (name, data), "pieces of {size}");
            }
            assert!(matches!(events.next(), Err(ClientError::Io(_))), "the end is told");
        }
    }

    #[test]
    fn what_is_no_stream_of_events_is_an_error() {
        let body = r#"{"error":"access_denied","code":"not_first_party","error_description":"no"}"#;
        let refused = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let error = client(vec![refused.into_bytes()]).err().unwrap();
        assert_eq!(error.code(), Some(crate::Code::NotFirstParty));
        let nonsense = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        let mut events = client(vec![nonsense.into()]).unwrap();
        assert!(matches!(events.next(), Err(ClientError::Protocol(_))));
        let mut flood = client(vec!["HTTP/1.1 200 OK\r\n\r\n".into(), vec![b'x'; 200_000]]).unwrap();
        assert!(matches!(flood.next(), Err(ClientError::Protocol(_))), "no event grows without an end");
    }
}
