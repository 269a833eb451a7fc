//! The command line: what may be typed, and the help that goes with it.
//!
//! Invariant: whatever is typed — unknown, missing, not UTF-8, far too long — ends as a [`Failure`] with exit code 2
//! before anything is connected to.

use crate::{
    commands::{self, Command},
    exit::Failure,
    init::Provider,
    output::{emit, note},
    time,
};
use clap::{Args, Subcommand, ValueEnum, ValueHint, error::ErrorKind};
use std::{ffi::OsString, mem::ManuallyDrop, path::PathBuf};

/// A command that takes no arguments.
#[derive(Args)]
pub(crate) struct Nothing {}

/// How a listing is printed.
#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Init {
    /// The issuer, such as <https://login.example.com>; without it you are asked
    #[arg(value_hint = ValueHint::Url)]
    pub(crate) issuer: Option<String>,
    /// What kind of provider it is
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) provider: Option<Provider>,
    /// The client ID registered there
    #[arg(long, value_name = "ID", value_hint = ValueHint::Other)]
    pub(crate) client_id: Option<String>,
    /// A file with the client secret, where the provider insists on one; - reads standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// A redirect address registered there; may be repeated [default: what is printed]
    #[arg(long = "redirect-uri", value_name = "URI", value_hint = ValueHint::Url)]
    pub(crate) redirect_uris: Vec<String>,
    /// How a refresh token is asked for: auto, scope, parameter or none [default: what fits the provider]
    #[arg(long, value_name = "WAY", value_parser = ["auto", "scope", "parameter", "none"])]
    pub(crate) offline: Option<String>,
    /// Name of the account [default: work]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub(crate) account: Option<String>,
    /// Audience of a service to get access tokens for [default: an ID token of your own]
    #[arg(long, value_name = "AUDIENCE", value_hint = ValueHint::Other)]
    pub(crate) audience: Option<String>,
    /// A scope of that service; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", value_hint = ValueHint::Other, requires = "audience")]
    pub(crate) scopes: Vec<String>,
    /// Name of the resource [default: me, with --audience api]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub(crate) resource: Option<String>,
    /// Print the profile instead of writing it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the profile, but do not sign in
    #[arg(long)]
    pub(crate) no_login: bool,
    /// Sign out and take out what an earlier run wrote
    #[arg(long, conflicts_with_all = ["issuer", "provider", "client_id", "client_secret_file", "redirect_uris", "offline", "audience", "resource", "dry_run", "no_login"])]
    pub(crate) undo: bool,
}

#[derive(Args, Default)]
pub(crate) struct Login {
    /// Name of the account; without it every account that needs a sign-in
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) account: Option<String>,
    /// Sign in with a code on another device, as when there is no browser here
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device: bool,
    /// Print the address instead of opening the browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Let the provider ask which of your accounts to use
    #[arg(long, conflicts_with = "device")]
    pub(crate) other_account: bool,
    #[command(flatten)]
    pub(crate) step_up: StepUp,
}

/// What a sign-in has to be like (RFC 9470).
#[derive(Args, Clone, Default)]
pub(crate) struct StepUp {
    /// How long ago you may have signed in at the provider, such as 5m
    #[arg(long, value_name = "DUR", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) max_age: Option<u32>,
    /// Authentication context classes, separated by spaces, one of which the sign-in must have
    #[arg(long, value_name = "ACR", value_hint = ValueHint::Other)]
    pub(crate) acr_values: Option<String>,
    /// Claims the sign-in must show, as JSON (OpenID Connect Core 5.5)
    #[arg(long, value_name = "JSON", value_hint = ValueHint::Other)]
    pub(crate) claims: Option<String>,
}

impl StepUp {
    /// `--claims` as JSON.
    pub(crate) fn claims(&self) -> Result<Option<serde_json::Value>, Failure> {
        let Some(text) = &self.claims else { return Ok(None) };
        match serde_json::from_str(text) {
            Ok(value @ serde_json::Value::Object(_)) => Ok(Some(value)),
            _ => Err(Failure::usage("--claims is no JSON object")
                .hint(r#"write it like '{"id_token":{"acr":{"essential":true,"value":"urn:example:mfa"}}}'"#)),
        }
    }
}

#[derive(Args)]
pub(crate) struct Logout {
    /// Name of the account; not needed when there is only one
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) account: Option<String>,
    /// Sign out of every account
    #[arg(long, conflicts_with = "account")]
    pub(crate) all: bool,
}

/// How a token is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TokenFormat {
    /// The token alone
    Raw,
    /// The whole answer as JSON
    Json,
    /// An Authorization header
    Header,
}

#[derive(Args)]
pub(crate) struct Token {
    /// Name or exact audience of the resource
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) resource: String,
    /// A scope the token must carry; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", value_hint = ValueHint::Other)]
    pub(crate) scopes: Vec<String>,
    /// How long the token must still be valid, such as 10m
    #[arg(long, value_name = "DUR", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) min_valid: Option<u32>,
    /// Ask the authorization server for a new token
    #[arg(long)]
    pub(crate) refresh: bool,
    /// How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]
    #[arg(long, value_name = "DUR", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) wait: Option<u32>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = TokenFormat::Raw)]
    pub(crate) format: TokenFormat,
    #[command(flatten)]
    pub(crate) step_up: StepUp,
}

#[derive(Args)]
pub(crate) struct Run {
    /// Name or exact audience of a resource, and the variable its token goes to [default: `PAYMENTS_TOKEN` for `payments`]
    #[arg(required = true, value_name = "RESOURCE[=ENV]", value_hint = ValueHint::Other)]
    pub(crate) resources: Vec<String>,
    /// How long each token must still be valid, such as 10m
    #[arg(long, value_name = "DUR", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) min_valid: Option<u32>,
    /// How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]
    #[arg(long, value_name = "DUR", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) wait: Option<u32>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// For how long a yes counts.
#[derive(ValueEnum, Clone, Copy)]
pub(crate) enum Span {
    /// One token
    Once,
    /// 12 hours, or until the sign-out
    Today,
    /// Until revoked
    Always,
}

impl Span {
    /// The word of the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Today => "today",
            Self::Always => "always",
        }
    }
}

#[derive(Args)]
pub(crate) struct Approve {
    /// The request, as `daypass requests` lists it, or the beginning of its name
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) id: String,
    /// For how long
    #[arg(long = "for", value_enum, default_value_t = Span::Once, value_name = "SPAN")]
    pub(crate) span: Span,
}

#[derive(Args)]
pub(crate) struct Deny {
    /// The request, as `daypass requests` lists it, or the beginning of its name
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) id: String,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Grants {
    #[command(subcommand)]
    pub(crate) command: Option<GrantsCommand>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Subcommand)]
pub(crate) enum GrantsCommand {
    /// Take a grant back
    #[command(after_help = "Examples:\n  daypass grants revoke 7\n  daypass grants revoke --all")]
    Revoke(Revoke),
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Revoke {
    /// The grant, as `daypass grants` lists it
    #[arg(value_hint = ValueHint::Other)]
    pub(crate) id: Option<String>,
    /// Take every grant back
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct Block {
    /// Path of the program's file, or the ID of a request or grant; without it the blocked programs are listed
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) program: Option<String>,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Args)]
pub(crate) struct Unblock {
    /// The program's path or its ID, as `daypass block` lists it
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) program: String,
}

#[derive(Args)]
pub(crate) struct Pause {
    /// For how long, at most 24h
    #[arg(value_name = "DUR", default_value = "1h", value_hint = ValueHint::Other, value_parser = time::duration)]
    pub(crate) span: u32,
    #[command(flatten)]
    pub(crate) form: Form,
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    /// Wait for new lines and print them as they come
    #[arg(long)]
    pub(crate) follow: bool,
    /// Begin here: a time (RFC 3339), a date, or how long ago (2h); without it the newest 500 lines are shown
    #[arg(long, value_name = "T", value_hint = ValueHint::Other)]
    pub(crate) since: Option<String>,
    /// Print JSON, one document a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line was changed or taken out
    #[command(after_help = "Examples:\n  daypass audit verify")]
    Verify(Form),
}

#[derive(Args)]
pub(crate) struct Profile {
    #[command(subcommand)]
    pub(crate) command: ProfileCommand,
}

#[derive(Subcommand)]
pub(crate) enum ProfileCommand {
    /// Show the effective profile of this machine and user
    #[command(after_help = "Examples:\n  daypass profile show\n  daypass profile show --origin")]
    Show {
        /// Show where each value comes from
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Check profile files; exit code 9 when one has an error
    #[command(
        after_help = "Examples:\n  daypass profile check corp.toml\n  daypass profile check profile.d\n  daypass profile check --as user profile.toml"
    )]
    Check {
        /// Files to check, each alone; the files of a directory are checked together
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
        files: Vec<PathBuf>,
        /// What the files are [default: user for the user's own profile, else managed]
        #[arg(long = "as", value_enum, value_name = "LAYER")]
        layer: Option<Layer>,
        #[command(flatten)]
        form: Form,
    },
    /// Tell what a change of managed profiles comes to: each value that differs, secrets not shown
    #[command(
        after_help = "Examples:\n  daypass profile diff corp.toml new.toml\n  daypass profile diff profile.d new.toml --json"
    )]
    Diff {
        /// What is in force: a file or a directory
        #[arg(value_name = "OLD", value_hint = ValueHint::AnyPath)]
        old: PathBuf,
        /// What shall be: a file or a directory
        #[arg(value_name = "NEW", value_hint = ValueHint::AnyPath)]
        new: PathBuf,
        #[command(flatten)]
        form: Form,
    },
    /// Explain a key of the profile
    #[command(
        after_help = "Examples:\n  daypass profile explain resources.payments.consent\n  daypass profile explain consent.idle"
    )]
    Explain {
        /// The key, such as accounts.corp.offline; without it all keys are listed
        #[arg(value_hint = ValueHint::Other)]
        key: Option<String>,
    },
    /// Print the JSON Schema of a profile
    #[command(after_help = "Examples:\n  daypass profile schema > profile.schema.json")]
    Schema,
}

/// Which kind of layer a profile file is.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The user's own
    User,
    /// From the organisation
    Managed,
}

#[derive(Args)]
pub(crate) struct Agent {
    /// `stop`, or arguments for daypass-agent
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "stop | ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

/// A shell whose completion can be printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shell {
    /// GNU bash
    Bash,
    /// The friendly interactive shell
    Fish,
    /// PowerShell
    Powershell,
    /// The Z shell
    Zsh,
}

#[derive(Args)]
pub(crate) struct Completions {
    /// The shell to complete for
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

fn parse(line: &[OsString]) -> Result<Command, clap::Error> {
    // The process ends soon: taking the definition apart piece by piece would cost more than reading the line.
    let mut definition = ManuallyDrop::new(commands::definition_for(line.get(1).map(OsString::as_os_str)));
    let matches = definition.try_get_matches_from_mut(line)?;
    Command::chosen(matches).map_err(|error| error.format(&mut definition))
}

/// What was typed; `None` once help or the version has been printed.
pub(crate) fn read() -> Result<Option<Command>, Failure> {
    let error = match parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(command) => return Ok(Some(command)),
        Err(error) => error,
    };
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => emit(&text).map(|()| None),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            note(&text);
            Err(Failure::usage(""))
        }
        _ => Err(usage(&text)),
    }
}

/// What the parser says, in the form of every other failure.
fn usage(text: &str) -> Failure {
    let mut paragraphs = text.trim().split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let mut failure = Failure::usage(first.strip_prefix("error: ").unwrap_or(&first));
    for paragraph in paragraphs {
        if paragraph.starts_with("For more information") {
            failure = failure.hint("--help shows what can be typed, with examples");
        } else {
            failure = failure.detail(paragraph.replacen("Usage: ", "usage: ", 1));
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn read(line: &str) -> Result<Command, Failure> {
        parse(&words(line)).map_err(|error| usage(&error.render().to_string()))
    }

    /// Without the commands beside it, a command is read, refused and explained as with them.
    #[test]
    fn a_command_is_the_same_without_the_others() {
        let mut whole = commands::definition();
        whole.build();
        let mut compared = 0;
        for command in whole.get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            let below: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let mut rests: Vec<String> = [
                "",
                "--help",
                "-h",
                "help",
                "--version",
                "x",
                "x y",
                "--no-such",
                "--json",
                "x --json",
                "--all",
                "-- x",
                "a -- b",
                "x --wait 1m",
                "x --wait soon",
                "--since 1h",
                "token",
                "bash",
                "stop",
                "\u{fffd}",
            ]
            .map(str::to_owned)
            .to_vec();
            rests.extend(
                below.iter().flat_map(|below| {
                    ["", " --help", " x", " --json", " --all x"].map(|rest| format!("{below}{rest}"))
                }),
            );
            for rest in rests {
                let line = words(format!("daypass {name} {rest}").trim_end());
                let said = |mut definition: clap::Command| match definition.try_get_matches_from_mut(&line) {
                    Ok(matches) => format!("{:?}", matches.subcommand()),
                    Err(error) => format!("{:?}\n{}", error.kind(), error.render()),
                };
                let alone = said(commands::definition_for(line.get(1).map(OsString::as_os_str)));
                assert_eq!(alone, said(commands::definition()), "{line:?}");
                compared += 1;
            }
        }
        assert!(compared > 300, "{compared}");
        for line in ["daypass", "daypass help token", "daypass tok", "daypass --help", "daypass -h token"] {
            let said = |mut definition: clap::Command| {
                definition.try_get_matches_from_mut(words(line)).expect_err(line).render().to_string()
            };
            assert_eq!(
                said(commands::definition_for(words(line).get(1).map(OsString::as_os_str))),
                said(commands::definition())
            );
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        commands::definition().debug_assert();
    }

    /// Walks every command: each has help with an `Examples:` section whose lines parse. The end-to-end tests run them.
    #[test]
    fn every_command_has_examples_that_parse() {
        fn walk(command: &clap::Command, seen: &mut usize) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split("\n\n").next().unwrap().strip_prefix("Examples:\n");
            for example in examples.unwrap_or_else(|| panic!("no examples: {}", command.get_name())).lines() {
                let example = example.split(" #").next().unwrap().split(" > ").next().unwrap().trim();
                let example = match example.split_once("$(").or(example.split_once("<(")) {
                    Some((_, inner)) => inner.split(')').next().unwrap(),
                    None => example,
                };
                if let Err(failure) = read(example) {
                    panic!("{example}: {}", failure.render());
                }
                *seen += 1;
            }
            command
                .get_subcommands()
                .filter(|command| command.get_name() != "help")
                .for_each(|command| walk(command, seen));
        }
        let mut seen = 0;
        let mut definition = commands::definition();
        definition.build();
        walk(&definition, &mut seen);
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn run_splits_resources_from_the_command() {
        let Ok(Command::Run(run)) = read("daypass run payments=A files -- sh -c exit --wait 1") else { panic!() };
        assert_eq!(run.resources, ["payments=A", "files"]);
        assert_eq!(run.command, ["sh", "-c", "exit", "--wait", "1"]);
        assert!(read("daypass run payments").is_err());
        assert!(read("daypass run -- sh").is_err());
    }

    #[test]
    fn the_agent_takes_what_follows() {
        let Ok(Command::Agent(agent)) = read("daypass agent --managed-dir /x --port 0") else { panic!() };
        assert_eq!(agent.arguments, ["--managed-dir", "/x", "--port", "0"]);
        let Ok(Command::Agent(agent)) = read("daypass agent stop") else { panic!() };
        assert_eq!(agent.arguments, ["stop"]);
    }

    #[test]
    fn what_cannot_be_is_a_usage_failure_with_a_next_step() {
        for line in [
            "daypass frobnicate",
            "daypass token",
            "daypass token a --wait soon",
            "daypass token a --format xml",
            "daypass approve x --for ever",
            "daypass grants revoke",
            "daypass grants revoke 1 --all",
            "daypass logout a --all",
            "daypass profile check",
            "daypass audit --follow verify",
        ] {
            let failure = read(line).err().unwrap_or_else(|| panic!("{line} parsed"));
            assert_eq!(failure.status, 2, "{line}");
            assert!(failure.render().starts_with("daypass: ") && failure.hint.is_some(), "{}", failure.render());
            assert!(!failure.message.starts_with("error"), "{}", failure.message);
        }
    }
}
