//! The command line: what may be typed, and the help that goes with it.
//!
//! Invariant: whatever is typed — unknown, missing, not UTF-8, far too long — ends as a [`Failure`] with exit code 2
//! before anything is connected to.

use crate::{
    exit::Failure,
    output::{emit, note},
    time,
};
use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use std::{ffi::OsString, path::PathBuf};

#[derive(Parser)]
#[command(
    name = "daypass",
    bin_name = "daypass",
    version,
    about = "Sign in once; give your programs short-lived tokens",
    arg_required_else_help = true,
    after_help = "Examples:\n  daypass login\n  daypass token payments\n  daypass run payments -- ./report.sh\n\n\
        Exit codes: 0 ok, 1 internal, 2 usage, 3 agent unreachable, 4 sign-in required, 5 consent denied,\n  \
        6 consent pending, 7 authorization server, 8 keychain, 9 profile, 10 not allowed"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// What is asked for.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sign in to an account, or to every account that needs it
    #[command(after_help = "Examples:\n  daypass login\n  daypass login corp\n  daypass login corp --no-browser")]
    Login(Login),
    /// Sign out of an account
    #[command(after_help = "Examples:\n  daypass logout corp\n  daypass logout --all")]
    Logout(Logout),
    /// Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required
    #[command(after_help = "Examples:\n  daypass status\n  daypass status --json")]
    Status(Form),
    /// List the configured accounts
    #[command(after_help = "Examples:\n  daypass accounts\n  daypass accounts --json")]
    Accounts(Form),
    /// List the configured resources and what this program could get
    #[command(after_help = "Examples:\n  daypass resources\n  daypass resources --json")]
    Resources(Form),
    /// Print a token for a resource
    #[command(after_help = "Examples:\n  daypass token payments\n  \
        daypass token payments --scope payments.read --min-valid 10m\n  \
        curl -H \"$(daypass token payments --format header)\" https://payments.example.com/v1/invoices")]
    Token(Token),
    /// Run a command with tokens in its environment
    #[command(after_help = "Examples:\n  daypass run payments -- ./report.sh     # reads $PAYMENTS_TOKEN\n  \
        daypass run payments=API_TOKEN -- ./report.sh --month 7")]
    Run(Run),
    /// List the open consent requests
    #[command(after_help = "Examples:\n  daypass requests\n  daypass requests --json")]
    Requests(Form),
    /// Answer a consent request with yes
    #[command(after_help = "Examples:\n  daypass approve 4f2a\n  daypass approve 4f2a --for today")]
    Approve(Approve),
    /// Answer a consent request with no
    #[command(after_help = "Examples:\n  daypass deny 4f2a")]
    Deny(Deny),
    /// List or revoke what programs may have without asking again
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  daypass grants\n  daypass grants revoke 7\n  daypass grants revoke --all"
    )]
    Grants(Grants),
    /// Show what was issued or refused, and to whom
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  daypass audit --since 2h\n  daypass audit --follow\n  daypass audit verify"
    )]
    Audit(Audit),
    /// Show, check or explain the configuration profile; needs no agent
    #[command(after_help = "Examples:\n  daypass profile show --origin\n  daypass profile check corp.toml\n  \
        daypass profile explain accounts.corp.offline")]
    Profile(Profile),
    /// Run the agent in the foreground, or stop the running one
    #[command(
        after_help = "Examples:\n  daypass agent\n  daypass agent stop\n  daypass agent --managed-dir ./profile.d"
    )]
    Agent(Agent),
    /// Open the home page in the browser
    #[command(after_help = "Examples:\n  daypass open")]
    Open,
}

/// How a listing is printed.
#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct Login {
    /// Name of the account; without it every account that needs a sign-in
    pub(crate) account: Option<String>,
    /// Sign in with a code on another device (not in this version)
    #[arg(long, conflicts_with = "no_browser")]
    pub(crate) device: bool,
    /// Print the address instead of opening the browser
    #[arg(long)]
    pub(crate) no_browser: bool,
}

#[derive(Args)]
pub(crate) struct Logout {
    /// Name of the account; not needed when there is only one
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
    pub(crate) resource: String,
    /// A scope the token must carry; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// How long the token must still be valid, such as 10m
    #[arg(long, value_name = "DUR", value_parser = time::duration)]
    pub(crate) min_valid: Option<u32>,
    /// Ask the authorization server for a new token
    #[arg(long)]
    pub(crate) refresh: bool,
    /// How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]
    #[arg(long, value_name = "DUR", value_parser = time::duration)]
    pub(crate) wait: Option<u32>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = TokenFormat::Raw)]
    pub(crate) format: TokenFormat,
}

#[derive(Args)]
pub(crate) struct Run {
    /// Name or exact audience of a resource, and the variable its token goes to [default: `PAYMENTS_TOKEN` for `payments`]
    #[arg(required = true, value_name = "RESOURCE[=ENV]")]
    pub(crate) resources: Vec<String>,
    /// How long each token must still be valid, such as 10m
    #[arg(long, value_name = "DUR", value_parser = time::duration)]
    pub(crate) min_valid: Option<u32>,
    /// How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]
    #[arg(long, value_name = "DUR", value_parser = time::duration)]
    pub(crate) wait: Option<u32>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
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
    pub(crate) id: String,
    /// For how long
    #[arg(long = "for", value_enum, default_value_t = Span::Once, value_name = "SPAN")]
    pub(crate) span: Span,
}

#[derive(Args)]
pub(crate) struct Deny {
    /// The request, as `daypass requests` lists it, or the beginning of its name
    pub(crate) id: String,
}

#[derive(Args)]
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
    pub(crate) id: Option<String>,
    /// Take every grant back
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    /// Wait for new lines and print them as they come
    #[arg(long)]
    pub(crate) follow: bool,
    /// Begin here: a time (RFC 3339), a date, or how long ago (2h)
    #[arg(long, value_name = "T")]
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
        after_help = "Examples:\n  daypass profile check corp.toml\n  daypass profile check --as user profile.toml"
    )]
    Check {
        /// Files to check
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What the files are [default: user for the user's own profile, else managed]
        #[arg(long = "as", value_enum, value_name = "LAYER")]
        layer: Option<Layer>,
        #[command(flatten)]
        form: Form,
    },
    /// Explain a key of the profile
    #[command(
        after_help = "Examples:\n  daypass profile explain resources.payments.consent\n  daypass profile explain consent.idle"
    )]
    Explain {
        /// The key, such as accounts.corp.offline; without it all keys are listed
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

/// What was typed; `None` once help or the version has been printed.
pub(crate) fn read() -> Result<Option<Command>, Failure> {
    let error = match Line::try_parse() {
        Ok(line) => return Ok(Some(line.command)),
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
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, Failure> {
        Line::try_parse_from(line.split(' '))
            .map(|line| line.command)
            .map_err(|error| usage(&error.render().to_string()))
    }

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }

    /// Walks every command: each has help with an `Examples:` section whose lines parse.
    #[test]
    fn every_command_has_examples_that_parse() {
        fn walk(command: &clap::Command, seen: &mut usize) {
            if !command.has_subcommands() || command.get_after_help().is_some() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples = help.split("Exit codes").next().unwrap().strip_prefix("Examples:\n").unwrap();
                for example in examples.lines().filter(|line| !line.is_empty()) {
                    let example = example.split(" #").next().unwrap().split(" > ").next().unwrap().trim();
                    let example = match example.split_once("$(") {
                        Some((_, inner)) => inner.split(')').next().unwrap(),
                        None => example,
                    };
                    assert!(parse(example).is_ok(), "{example}");
                    *seen += 1;
                }
            }
            command.get_subcommands().for_each(|command| walk(command, seen));
        }
        let mut seen = 0;
        walk(&Line::command(), &mut seen);
        assert!(seen > 30, "{seen}");
    }

    #[test]
    fn run_splits_resources_from_the_command() {
        let Ok(Command::Run(run)) = parse("daypass run payments=A files -- sh -c exit --wait 1") else { panic!() };
        assert_eq!(run.resources, ["payments=A", "files"]);
        assert_eq!(run.command, ["sh", "-c", "exit", "--wait", "1"]);
        assert!(parse("daypass run payments").is_err());
        assert!(parse("daypass run -- sh").is_err());
    }

    #[test]
    fn the_agent_takes_what_follows() {
        let Ok(Command::Agent(agent)) = parse("daypass agent --managed-dir /x --port 0") else { panic!() };
        assert_eq!(agent.arguments, ["--managed-dir", "/x", "--port", "0"]);
        let Ok(Command::Agent(agent)) = parse("daypass agent stop") else { panic!() };
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
            let failure = parse(line).err().unwrap_or_else(|| panic!("{line} parsed"));
            assert_eq!(failure.status, 2, "{line}");
            assert!(failure.render().starts_with("daypass: ") && failure.hint.is_some(), "{}", failure.render());
            assert!(!failure.message.starts_with("error"), "{}", failure.message);
        }
    }
}
