//! `daypass token`: one question, one token on stdout.
//!
//! Invariant: a token goes to stdout and nowhere else, whole or not at all; what is no token (a control character, a
//! space) is not printed. Protects nothing once it is on stdout: that is the asking shell's.

use crate::{
    args::{Token, TokenFormat},
    connect::{Connection, Door},
    exit::{Failure, Outcome},
    output::{emit_whole, json_line, say},
};
use localapi::{ExitCode, RequestInfo, TokenAnswer, TokenRequest};
use std::{io::IsTerminal, sync::atomic::AtomicBool, sync::atomic::Ordering, time::Duration};

/// Longest wait for consent, in seconds.
const WAIT_LIMIT: u32 = 120;
/// What an answer may take besides the wait for consent: a trip to the authorization server, the keychain.
const MARGIN: Duration = Duration::from_mins(1);

/// Whether somebody was told that an answer is waited for.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Prints a token.
pub(crate) fn token(arguments: Token) -> Outcome {
    let claims = arguments.step_up.claims()?;
    let request = TokenRequest {
        claims,
        acr_values: arguments.step_up.acr_values,
        max_age: arguments.step_up.max_age,
        resource: arguments.resource,
        scope: (!arguments.scopes.is_empty()).then(|| arguments.scopes.join(" ")),
        min_valid: arguments.min_valid,
        wait: Some(wait(arguments.wait)),
        refresh: arguments.refresh.then_some(true),
        ..TokenRequest::default()
    };
    keep_out_of_core_files();
    let answer = ask(&mut Door::find()?.connect()?, &request)?;
    let text = match arguments.format {
        TokenFormat::Raw => format!("{}\n", answer.access_token.expose_secret()),
        TokenFormat::Json => json_line(&answer)?,
        TokenFormat::Header if answer.token_type.eq_ignore_ascii_case("Bearer") => {
            format!("Authorization: Bearer {}\n", answer.access_token.expose_secret())
        }
        TokenFormat::Header => {
            return Err(Failure::usage(format!("{} gives an ID token, which is no bearer token", answer.resource))
                .hint("use --format raw or --format json"));
        }
    };
    emit_whole(&text)?;
    Ok(ExitCode::Ok)
}

/// Seconds to wait for consent: as asked for, else as long as possible if somebody is watching.
pub(crate) fn wait(asked: Option<u32>) -> u32 {
    match asked {
        Some(seconds) if seconds > WAIT_LIMIT => {
            say("daypass: waiting 2m, the longest wait for consent there is");
            WAIT_LIMIT
        }
        Some(seconds) => seconds,
        None if std::io::stderr().is_terminal() => WAIT_LIMIT,
        None => 0,
    }
}

/// Asks for a token; says on a terminal what is waited for when it takes longer than a second.
pub(crate) fn ask(connection: &mut Connection, request: &TokenRequest) -> Result<TokenAnswer, Failure> {
    let wait = request.wait.unwrap_or_default();
    if wait > 0 && std::io::stderr().is_terminal() {
        let resource = request.resource.clone();
        connection.meanwhile(Box::new(move |prober| {
            let open: Vec<RequestInfo> = prober.get("/v1/requests")?;
            let ours = |open: &&RequestInfo| open.state == "pending" && open.resource == resource;
            if let Some(question) = open.iter().find(ours).or(open.first())
                && !TOLD.swap(true, Ordering::Relaxed)
            {
                say(&waiting(question));
            }
            Ok(())
        }));
    }
    let limit = Duration::from_secs(wait.into()) + MARGIN;
    let answer: TokenAnswer = connection.post("/v1/token", request, limit)?;
    let token = answer.access_token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(ExitCode::Internal, format!("what came back for {} is no token", answer.resource)));
    }
    Ok(answer)
}

fn waiting(question: &RequestInfo) -> String {
    let RequestInfo { program, resource, id, .. } = question;
    format!(
        "daypass: waiting for your answer: {program} wants {resource} — answer on its page (`daypass open` shows it), or see \
         `daypass requests` ({id})"
    )
}

/// A crash of this process leaves no token in a core file. Soft limit only; where it cannot be set, nothing is lost.
fn keep_out_of_core_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Core);
    if limit.current != Some(0) {
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_at_most_two_minutes() {
        assert_eq!(wait(Some(0)), 0);
        assert_eq!(wait(Some(30)), 30);
        assert_eq!(wait(Some(121)), 120);
    }
}
