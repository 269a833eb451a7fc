//! An issuer on loopback that does as it is told with each refresh token, and keeps count of its uses.

use std::{
    collections::{HashMap, VecDeque},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

/// What it does with one refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Tokens, a new refresh token among them.
    Rotate,
    /// Tokens; the refresh token stays.
    Same,
    /// No answer; nothing happened.
    Lost,
    /// No answer; the refresh token was rotated all the same.
    LostAfterRotation,
    /// 500.
    Busy,
    /// 503 with `Retry-After`.
    Later,
    /// `invalid_grant`, although the token is fine.
    Refuse,
    /// A new refresh token in an answer that is no good otherwise.
    Odd,
}

/// What became of one refresh token.
#[derive(Debug, Clone, Copy, Default)]
struct Token {
    uses: u32,
    /// Uses in a row of which the agent could keep no answer.
    open: u32,
    rotated: bool,
    /// Its successor reached the agent and the keychain.
    settled: bool,
    after_rotation: u32,
}

/// What the issuer knows.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The refresh token that counts.
    pub(super) live: String,
    /// Rules that were broken.
    pub(super) wrongs: Vec<String>,
    tokens: HashMap<String, Token>,
    script: VecDeque<Answer>,
    away: bool,
    /// The family is over: a rotated token was shown.
    ended: bool,
    refused: bool,
    /// Uses since the last good end that were written down and have no answer.
    doubts: u32,
    /// Uses in this step: the token, what it was before, and the answer (`None` = refused as it must be).
    step: Vec<(String, Token, Option<Answer>)>,
    given: u32,
    stop: bool,
}

impl State {
    /// A step begins.
    pub(super) fn begin(&mut self, answers: &[Answer], away: bool) {
        self.script = answers.iter().copied().collect();
        self.away = away;
        self.step.clear();
    }

    /// A step has ended; the agent may have died at `died`.
    pub(super) fn end(&mut self, died: Option<&str>, keychain_writes: bool) {
        match (died, self.step.last().cloned()) {
            // Written down, and nothing was sent: the agent cannot know.
            (Some("refresh.noted"), _) | (Some("refresh.answered"), None) => self.doubts += 1,
            (Some("refresh.answered"), Some((name, before, answer))) => self.doubt(&name, before, answer),
            // What the keychain has is safe; without a new token the use is still written down.
            (Some("refresh.stored"), Some((name, before, answer))) if answer == Some(Answer::Same) => {
                self.doubt(&name, before, answer);
            }
            _ => {}
        }
        let all = self.step.len();
        for (at, (name, _, answer)) in self.step.clone().into_iter().enumerate() {
            let delivered = died != Some("refresh.answered") || at + 1 < all;
            let rotated = matches!(answer, Some(Answer::Rotate | Answer::Odd)) && delivered;
            let settles = rotated && keychain_writes;
            // Kept in memory only: the keychain has the old one, whose use still counts.
            self.doubts += u32::from(rotated && !keychain_writes);
            if let Some(token) = self.tokens.get_mut(&name)
                && settles
            {
                token.settled = true;
            }
        }
        if died.is_none()
            && keychain_writes
            && matches!(self.step.last(), Some((_, _, Some(Answer::Rotate | Answer::Same))))
        {
            self.doubts = 0;
        }
    }

    fn doubt(&mut self, name: &str, before: Token, answer: Option<Answer>) {
        if !matches!(answer, Some(Answer::Lost | Answer::LostAfterRotation)) {
            self.doubts += 1;
            if let Some(token) = self.tokens.get_mut(name) {
                token.open = before.open + 1;
            }
        }
    }

    /// Whether there is a reason for a sign-in that is over: a refusal, or two uses without an answer.
    pub(super) fn may_be_lost(&self) -> bool {
        self.refused || self.doubts >= 2
    }

    /// Uses of all refresh tokens.
    pub(super) fn uses(&self) -> u32 {
        self.tokens.values().map(|token| token.uses).sum()
    }

    fn fresh(&mut self) -> String {
        self.given += 1;
        format!("refresh-{}", self.given)
    }

    /// Judges one use of a refresh token; the answer, or none.
    fn refresh(&mut self, name: &str) -> Option<String> {
        let Some(before) = self.tokens.get(name).copied() else {
            self.wrongs.push(format!("{name} was never given"));
            return None;
        };
        let mut token = Token { uses: before.uses + 1, ..before };
        if before.open >= 2 {
            self.wrongs.push(format!("{name}: a third use after two without an answer"));
        }
        if before.settled {
            self.wrongs.push(format!("{name}: used again although its successor is kept"));
        }
        if before.rotated {
            token.after_rotation += 1;
            self.ended = true;
            if token.after_rotation > 1 {
                self.wrongs.push(format!("{name}: used twice after it was rotated"));
            }
        }
        let over = self.ended || name != self.live;
        let answer = (!over).then(|| self.script.pop_front().unwrap_or(Answer::Rotate));
        let ok = |more: &str| {
            let body = format!(r#"{{"access_token":"access","token_type":"Bearer","expires_in":60{more}}}"#);
            Some(whole("200 OK", "", &body))
        };
        let rotates = matches!(answer, Some(Answer::Rotate | Answer::LostAfterRotation | Answer::Odd));
        if rotates {
            token.rotated = true;
            self.live = self.fresh();
            self.tokens.insert(self.live.clone(), Token::default());
        }
        let reply = match answer {
            Some(Answer::Rotate) => ok(&format!(r#","refresh_token":"{}""#, self.live)),
            Some(Answer::Same) => {
                token.open = 0;
                ok("")
            }
            Some(Answer::Lost | Answer::LostAfterRotation) => {
                token.open += 1;
                self.doubts += 1;
                None
            }
            Some(Answer::Busy) => {
                // It may have acted before it failed; but that alone ends nothing, however often it comes.
                self.doubts = self.doubts.max(1);
                Some(whole("500 Internal Server Error", "", "oops"))
            }
            Some(Answer::Later) => Some(whole("503 Service Unavailable", "Retry-After: 1\r\n", "")),
            Some(Answer::Odd) => {
                Some(whole("200 OK", "", &format!(r#"{{"access_token":"a","refresh_token":"{}"}}"#, self.live)))
            }
            Some(Answer::Refuse) | None => {
                self.refused = true;
                Some(whole("400 Bad Request", "", r#"{"error":"invalid_grant"}"#))
            }
        };
        self.tokens.insert(name.to_owned(), token);
        self.step.push((name.to_owned(), before, answer));
        reply
    }
}

fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The issuer; it ends when this value goes.
pub(super) struct Issuer {
    /// Its identifier.
    pub(super) address: String,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
    /// Holds the port of the token endpoint nobody listens at.
    _silent: tokio::net::TcpSocket,
}

impl Issuer {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nowhere = format!("http://{}", silent.local_addr().unwrap());
        let mut first = State::default();
        first.live = first.fresh();
        first.tokens.insert(first.live.clone(), Token::default());
        let state = Arc::new(Mutex::new(first));
        let (known, own) = (Arc::clone(&state), address.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if known.lock().unwrap().stop {
                    return;
                }
                let _ = stream.and_then(|stream| serve(stream, &known, &own, &nowhere));
            }
        });
        Self { address, state, thread: Some(thread), _silent: silent }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stop = true;
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, one answer, or none.
fn serve(mut stream: TcpStream, state: &Mutex<State>, own: &str, nowhere: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = match first.split(' ').nth(1).unwrap_or_default() {
        "/.well-known/openid-configuration" => {
            let tokens = if state.lock().unwrap().away { nowhere } else { own };
            let document = format!(
                r#"{{"issuer":"{own}","authorization_endpoint":"{own}/authorize","token_endpoint":"{tokens}/token","jwks_uri":"{own}/keys"}}"#
            );
            Some(whole("200 OK", "Cache-Control: max-age=300\r\n", &document))
        }
        "/keys" => Some(whole("200 OK", "", r#"{"keys":[]}"#)),
        "/token" => {
            let form = url::form_urlencoded::parse(&body).into_owned();
            let shown = form.into_iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value);
            state.lock().unwrap().refresh(&shown.unwrap_or_default())
        }
        _ => Some(whole("404 Not Found", "", "")),
    };
    stream.write_all(answer.unwrap_or_default().as_bytes())
}
