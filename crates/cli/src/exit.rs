//! How a command ends: the exit code and what is said on stderr.
//!
//! Invariant: every failure is one lower-case line with its stable code, then a hint where a next step is known. What
//! the agent sent is stripped of control characters before a terminal sees it; tokens never get here.

use crate::output::{clean, note};
use localapi::{Code, ErrorBody, ExitCode, client::ClientError};
use std::{fmt::Write as _, io};

/// Most characters of one line on stderr.
const LINE_LIMIT: usize = 2000;

/// What a command comes to.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Why a command gave no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit status: of the table, or 126 and 127 as shells use them for a command that cannot be run.
    pub(crate) status: u8,
    /// The agent's stable code, where it gave one.
    pub(crate) code: Option<Code>,
    /// What happened; empty = nothing is said.
    pub(crate) message: String,
    /// More lines for those who look closer.
    pub(crate) details: Vec<String>,
    /// The next step.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub(crate) fn new(exit: ExitCode, message: impl Into<String>) -> Self {
        Self::with_status(exit as u8, message)
    }

    /// A failure that ends with a status outside the table.
    pub(crate) fn with_status(status: u8, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), details: Vec::new(), hint: None }
    }

    /// The command line does not make sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// The agent cannot be reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::AgentUnreachable, message)
    }

    /// No agent runs, and this command starts none.
    pub(crate) fn no_agent() -> Self {
        Self::unreachable("no agent is running").hint("start it: daypass agent")
    }

    /// A failure from an error text that may hold lines beginning with `hint: `; other lines are details.
    pub(crate) fn told(exit: ExitCode, text: &str) -> Self {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        Self::new(exit, first).with_lines(rest)
    }

    /// The same with more lines of detail; those that begin with `hint: ` are the next step.
    pub(crate) fn with_lines(mut self, text: &str) -> Self {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self = match line.strip_prefix("hint: ") {
                Some(hint) => self.hint(hint),
                None => self.detail(line),
            };
        }
        self
    }

    /// Whoever reads our output has seen enough: not a failure, and nothing is said.
    pub(crate) fn cut() -> Self {
        Self::with_status(ExitCode::Ok as u8, "")
    }

    /// The same with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a line of detail.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The same, with another failure told below it: that of `subject`.
    pub(crate) fn also(mut self, subject: &str, other: &Self) -> Self {
        let code = other.code.map(|code| format!(" ({})", code.as_str())).unwrap_or_default();
        self.details.push(format!("{subject}: {}{code}", other.message));
        self.details.extend(other.hint.iter().map(|hint| format!("hint: {hint}")));
        self
    }

    /// The lines for stderr.
    pub(crate) fn render(&self) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let mut text = format!("daypass: {}", line(&self.message));
        if let Some(code) = self.code {
            let _ = write!(text, " ({})", code.as_str());
        }
        text.push('\n');
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {}", line(hint));
        }
        for detail in &self.details {
            let _ = writeln!(text, "{}", line(detail));
        }
        text
    }

    /// Says it on stderr and gives the exit status.
    pub(crate) fn report(&self) -> u8 {
        note(&self.render());
        self.status
    }
}

fn line(text: &str) -> String {
    clean(text).chars().take(LINE_LIMIT).collect()
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        let hint = next_step(&body);
        let mut failure = Self::new(body.code.exit(), body.error_description);
        failure.code = Some(body.code);
        failure.hint = hint;
        if failure.message.is_empty() {
            failure.message = body.code.error().replace('_', " ");
        }
        if let Some(detail) = body.detail {
            failure.details.push(format!("detail: {detail}"));
        }
        failure
    }
}

/// The agent's own hint, or what is known here about the code.
fn next_step(body: &ErrorBody) -> Option<String> {
    if let Some(hint) = &body.hint {
        return Some(hint.clone());
    }
    if let (Code::ConsentRequired, Some(id)) = (body.code, &body.consent_id) {
        return Some(format!(
            "answer it in the browser or with: daypass approve {id} (see daypass requests), then ask again"
        ));
    }
    if let (Code::RateLimited | Code::IssuerUnavailable, Some(seconds)) = (body.code, body.retry_after) {
        return Some(format!("try again in {}", crate::time::span(seconds)));
    }
    let hint = match body.code {
        Code::AccountUnknown => "see: daypass accounts",
        Code::LoginRequired | Code::InteractionRequired => "run: daypass login",
        Code::WrongAccount => "run: daypass login, and choose the account your organisation expects",
        Code::ConsentRequired => "see: daypass requests, then ask again",
        Code::ConsentGone | Code::SessionInvalid => "ask again",
        Code::ConsentUnavailable => "ask again with --wait 2m while somebody can answer",
        Code::RateLimited | Code::IssuerUnavailable => "try again in a minute",
        Code::NotFirstParty => {
            "this daypass is not the one beside the running agent; restart the agent: daypass agent stop"
        }
        Code::ResourceUnknown | Code::ResourceNotAllowed | Code::ScopeNotAllowed => "see: daypass resources",
        Code::KeychainLocked => "unlock the keychain and try again",
        Code::KeychainUnavailable | Code::ProfileInvalid => "see: daypass status",
        _ => return None,
    };
    Some(hint.to_owned())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(body) => (*body).into(),
            ClientError::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    Self::unreachable("the agent does not answer").hint("restart it: daypass agent stop")
                }
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    Self::unreachable("the agent closed the connection without an answer").hint("see: daypass status")
                }
                _ => Self::unreachable(format!("the connection to the agent failed: {error}")),
            },
            ClientError::Protocol(what) => Self::unreachable("the agent's answer cannot be understood")
                .hint("the agent may be of another version; restart it: daypass agent stop")
                .detail(format!("detail: {what}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: Code) -> ErrorBody {
        ErrorBody {
            error: code.error().to_owned(),
            code,
            error_description: "nobody is signed in to corp".to_owned(),
            hint: None,
            consent_id: None,
            expires_in: None,
            retry_after: None,
            detail: None,
        }
    }

    #[test]
    fn a_refusal_shows_message_code_hint_and_detail() {
        let mut refusal = body(Code::LoginRequired);
        refusal.hint = Some("run: daypass login corp".to_owned());
        refusal.detail = Some("AADSTS50058".to_owned());
        assert_eq!(
            Failure::from(refusal).render(),
            "daypass: nobody is signed in to corp (login_required)\nhint: run: daypass login corp\ndetail: AADSTS50058\n"
        );
    }

    #[test]
    fn what_the_agent_says_cannot_steer_the_terminal() {
        let mut refusal = body(Code::Internal);
        refusal.error_description = "oh\x1b[2J\u{9b}31m no\ndaypass: fine\u{202e}".to_owned();
        let text = Failure::from(refusal).render();
        assert_eq!(text, "daypass: oh[2J31m no daypass: fine (internal)\n");
    }

    #[test]
    fn a_parked_question_names_the_command_that_answers_it() {
        let mut refusal = body(Code::ConsentRequired);
        refusal.consent_id = Some("c17".to_owned());
        let text = Failure::from(refusal.clone()).render();
        assert!(text.contains("daypass approve c17") && text.contains("daypass requests"), "{text}");
        // The agent knows better where it can be answered.
        refusal.hint = Some("answer in the window that opened".to_owned());
        assert!(Failure::from(refusal).render().ends_with("hint: answer in the window that opened\n"));
    }

    #[test]
    fn every_code_has_its_exit_status_and_an_empty_description_still_says_something() {
        for &code in Code::ALL {
            let mut refusal = body(code);
            refusal.error_description.clear();
            let failure = Failure::from(refusal);
            assert_eq!(failure.status, code.exit() as u8);
            assert!(failure.render().starts_with("daypass: ") && failure.render().contains(code.as_str()));
            assert!(failure.message.len() > 3);
        }
    }

    #[test]
    fn texts_with_hints_become_message_hint_and_details() {
        let failure = Failure::told(ExitCode::Profile, "HOME is not set\nhint: set it\n\nand more\n");
        assert_eq!(failure.render(), "daypass: HOME is not set\nhint: set it\nand more\n");
        assert_eq!(failure.status, 9);
    }

    #[test]
    fn lines_are_capped_and_a_cut_listing_says_nothing() {
        assert!(Failure::usage("x".repeat(100_000)).render().len() < 2100);
        assert_eq!(Failure::cut().render(), "");
        assert_eq!(Failure::cut().status, 0);
    }
}
