//! `daypass run`: a command with tokens in its environment, and nowhere else.
//!
//! Invariant: the tokens are in the environment of that command only; this process becomes the command, so its exit
//! status and its signals are the command's own. What fails without a question fails before one is opened, so that
//! nobody is asked in vain. No protection from what the command does with its environment.

use crate::{
    args::Run,
    connect::{Connection, Door},
    exit::{Failure, Outcome},
    listing::QUICK,
    token,
};
use localapi::{ResourceInfo, TokenAnswer, TokenRequest};
use std::{
    collections::BTreeSet,
    io,
    os::unix::process::CommandExt,
    process::Command,
    sync::mpsc::{self, Receiver},
};

/// Exit status of a command that is there but cannot be run, as in shells (POSIX.1-2024, XCU 2.8.2).
const NOT_EXECUTABLE: u8 = 126;
/// Exit status of a command that is not there.
const NOT_FOUND: u8 = 127;

/// A resource and the variable its token goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    resource: String,
    variable: String,
}

/// Fetches the tokens and becomes the command. Returns only if that fails.
pub(crate) fn run(arguments: &Run) -> Outcome {
    let wishes = wishes(&arguments.resources)?;
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::usage("no command to run"));
    };
    let template = TokenRequest {
        min_valid: arguments.min_valid,
        wait: Some(token::wait(arguments.wait)),
        ..TokenRequest::default()
    };
    let door = Door::find()?;
    let mut command = Command::new(program);
    command.args(rest);
    if let [wish] = wishes.as_slice() {
        let request = TokenRequest { resource: wish.resource.clone(), ..template };
        let answer = token::ask(&mut door.connect()?, &request)?;
        command.env(&wish.variable, answer.access_token.expose_secret());
    } else {
        // The agent is started once, before the questions go out side by side.
        let mut connection = door.connect()?;
        let (asked, plain): (Vec<_>, Vec<_>) = {
            let questions = questions(&mut connection);
            wishes.into_iter().partition(|wish| questions(&wish.resource))
        };
        for wish in plain {
            let request = TokenRequest { resource: wish.resource, ..template.clone() };
            command.env(wish.variable, token::ask(&mut connection, &request)?.access_token.expose_secret());
        }
        drop(connection);
        let mut failed: Option<Failure> = None;
        for (wish, answer) in ask_for_all(&door, &asked, &template).iter().take(asked.len()) {
            match (answer, failed.take()) {
                (Ok(answer), before) => {
                    command.env(wish.variable, answer.access_token.expose_secret());
                    failed = before;
                }
                // A question that waits ends with this process; one that is parked stays, and is to be answered, too.
                (Err(failure), None) if template.wait.is_some_and(|wait| wait > 0) => return Err(failure),
                (Err(failure), None) => failed = Some(failure),
                (Err(failure), Some(before)) => failed = Some(before.also(&wish.resource, &failure)),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    let error = command.exec();
    let name = program.to_string_lossy();
    Err(match error.kind() {
        io::ErrorKind::NotFound => Failure::with_status(NOT_FOUND, format!("{name}: command not found")),
        io::ErrorKind::PermissionDenied => Failure::with_status(NOT_EXECUTABLE, format!("{name}: permission denied"))
            .hint("is it a file, and executable?"),
        kind => Failure::with_status(NOT_EXECUTABLE, format!("{name}: cannot be run: {kind}")),
    })
}

type Answer = (Wish, Result<TokenAnswer, Failure>);

/// Which resources would open a question now. Where that cannot be told, all of them.
fn questions(connection: &mut Connection) -> impl Fn(&str) -> bool + use<> {
    let resources: Option<Vec<ResourceInfo>> = connection.get("/v1/resources", QUICK).ok();
    move |name| {
        resources.as_ref().is_none_or(|resources| {
            let named = resources.iter().find(|resource| resource.name == name);
            let meant = named.or(resources.iter().find(|resource| resource.audience.as_deref() == Some(name)));
            meant.is_some_and(|resource| resource.access == "question")
        })
    }
}

/// Asks for all at once, so that one look at one page answers every question.
fn ask_for_all(door: &Door, wishes: &[Wish], template: &TokenRequest) -> Receiver<Answer> {
    let (sender, answers) = mpsc::channel();
    for wish in wishes.iter().cloned() {
        let (door, sender) = (door.clone(), sender.clone());
        let request = TokenRequest { resource: wish.resource.clone(), ..template.clone() };
        std::thread::spawn(move || {
            let answer = door.running().and_then(|mut connection| token::ask(&mut connection, &request));
            // Nobody listens any more once another one failed.
            let _ = sender.send((wish, answer));
        });
    }
    answers
}

/// What `RESOURCE[=ENV]…` means.
fn wishes(arguments: &[String]) -> Result<Vec<Wish>, Failure> {
    let mut taken = BTreeSet::new();
    let mut wishes = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let wish = wish(argument)?;
        if !taken.insert(wish.variable.clone()) {
            return Err(Failure::usage(format!("two tokens for the variable {}", wish.variable))
                .hint("name another one: RESOURCE=ENV"));
        }
        wishes.push(wish);
    }
    Ok(wishes)
}

fn wish(argument: &str) -> Result<Wish, Failure> {
    let (resource, variable) = match argument.rsplit_once('=') {
        Some((resource, variable)) => (resource, variable.to_owned()),
        None => (argument, variable_for(argument)),
    };
    if resource.is_empty() {
        return Err(Failure::usage(format!("no resource in {argument:?}")).hint("write RESOURCE or RESOURCE=ENV"));
    }
    let mut letters = variable.bytes();
    let begins = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !begins || !letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Failure::usage(format!("{variable:?} is no name for a variable"))
            .hint("letters, digits and _ only, and no digit first"));
    }
    if steers_programs(&variable) {
        return Err(Failure::usage(format!(
            "{variable} decides what programs load or run, so it cannot carry a token"
        ))
        .hint("name another variable: RESOURCE=ENV"));
    }
    Ok(Wish { resource: resource.to_owned(), variable })
}

/// Whether loaders, shells or interpreters read this variable for what to run.
fn steers_programs(variable: &str) -> bool {
    const NAMES: [&str; 14] = [
        "PATH",
        "IFS",
        "ENV",
        "BASH_ENV",
        "SHELLOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONHOME",
        "NODE_OPTIONS",
        "PERL5OPT",
        "PERL5LIB",
        "RUBYOPT",
    ];
    variable.starts_with("LD_") || variable.starts_with("DYLD_") || NAMES.contains(&variable)
}

/// The default variable: `PAYMENTS_TOKEN` for `payments`.
fn variable_for(resource: &str) -> String {
    let mut name: String =
        resource.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name + "_TOKEN"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_follow_the_resource() {
        for (resource, variable) in [
            ("payments", "PAYMENTS_TOKEN"),
            ("build-cache.eu", "BUILD_CACHE_EU_TOKEN"),
            ("3d", "_3D_TOKEN"),
            ("https://a.example", "HTTPS___A_EXAMPLE_TOKEN"),
        ] {
            assert_eq!(variable_for(resource), variable);
        }
    }

    #[test]
    fn a_variable_may_be_named() {
        let read = |text: &str| wish(text).map(|wish| (wish.resource, wish.variable));
        assert_eq!(read("payments=API").unwrap(), ("payments".into(), "API".into()));
        assert_eq!(read("https://a/?b=c=D_1").unwrap(), ("https://a/?b=c".into(), "D_1".into()));
        for text in ["", "=A", "a=", "a=1B", "a=B-C", "a=B C", "a=É"] {
            assert_eq!(read(text).unwrap_err().status, 2, "{text}");
        }
    }

    #[test]
    fn no_variable_is_set_twice() {
        let text = |list: &[&str]| wishes(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(text(&["a", "b"]).unwrap().len(), 2);
        assert_eq!(text(&["a.b", "a-b"]).unwrap_err().status, 2);
        assert_eq!(text(&["a=X", "b=X"]).unwrap_err().status, 2);
    }
}
