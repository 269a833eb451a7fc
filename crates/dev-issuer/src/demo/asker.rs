//! The unknown local program: it asks the agent for a token as any program of the user may, and hands the answer to
//! whoever started it.

use localapi::{ErrorBody, TokenAnswer, TokenRequest, client::Client, client::ClientError};
use std::{
    io::{self, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// Name of the resource asked for.
pub(crate) const RESOURCE: &str = "local";
/// Seconds the answer may take longer than the person.
const SLACK: u64 = 10;

/// What came of asking.
pub(crate) enum Answer {
    /// A token.
    Token(Box<TokenAnswer>),
    /// A reason.
    Refused(Box<ErrorBody>),
}

/// Asks over `socket` and prints the answer, good or bad, as one line of JSON.
pub(crate) fn ask(socket: &Path, wait: u32) -> ExitCode {
    let printed = match request(socket, wait) {
        Ok(answer) => serde_json::to_string(&answer).map(|line| (line, ExitCode::SUCCESS)),
        Err(ClientError::Refused(body)) => serde_json::to_string(&*body).map(|line| (line, ExitCode::FAILURE)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            return ExitCode::FAILURE;
        }
    };
    match printed {
        Ok((line, code)) if writeln!(io::stdout(), "{line}").is_ok() => code,
        _ => ExitCode::FAILURE,
    }
}

/// Reads what [`ask`] printed.
pub(crate) fn read(line: &str) -> Option<Answer> {
    if let Ok(token) = serde_json::from_str(line) {
        return Some(Answer::Token(Box::new(token)));
    }
    serde_json::from_str(line).ok().map(|refusal| Answer::Refused(Box::new(refusal)))
}

fn request(socket: &Path, wait: u32) -> Result<TokenAnswer, ClientError> {
    // Both sides check: a folder others may write to could hold anybody's socket.
    let folder = socket.parent().unwrap_or(socket).metadata()?;
    if folder.uid() != rustix::process::getuid().as_raw() || folder.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the socket's folder is not private").into());
    }
    let stream = UnixStream::connect(socket)?;
    let patience = Some(Duration::from_secs(u64::from(wait) + SLACK));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    let question = TokenRequest {
        resource: RESOURCE.to_owned(),
        wait: Some(wait),
        name: Some("Payments CLI".to_owned()),
        ..TokenRequest::default()
    };
    Client::new(stream).post("/v1/token", &question)
}
