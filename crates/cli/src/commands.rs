//! The commands: one table of name, arguments, help and examples.
//!
//! Invariant: help, completions and manual pages come from this table and from the arguments it names. The arguments of
//! a command are defined only when that command was typed, or all are asked for: `daypass token` pays for its own, and
//! a test holds that it makes no other difference.

use crate::args::{
    Agent, Approve, Audit, Block, Completions, Deny, Form, Grants, Init, Login, Logout, Nothing, Pause, Profile, Run,
    Token, Unblock,
};
use clap::{ArgMatches, Args as _, FromArgMatches as _, error::ErrorKind};
use std::ffi::OsStr;

/// What `daypass` is, in one line.
const ABOUT: &str = "Sign in once; give your programs short-lived tokens";

/// What stands below the help of `daypass` itself.
const AFTER_HELP: &str = "Examples:
  daypass login
  daypass token payments
  daypass run payments -- ./report.sh

Exit codes: 0 ok, 1 internal, 2 usage, 3 agent unreachable, 4 sign-in required, 5 consent denied,
  6 consent pending, 7 authorization server, 8 keychain, 9 profile, 10 not allowed";

/// What the table says of a command.
struct Row {
    name: &'static str,
    about: &'static str,
    arguments: fn(clap::Command) -> clap::Command,
}

/// The definition of the whole command line.
#[cfg(test)]
pub(crate) fn definition() -> clap::Command {
    definition_for(None)
}

/// The definition, without the commands beside the one that was typed: nothing about that one depends on them. Whatever
/// is no command's whole name keeps them all.
pub(crate) fn definition_for(typed: Option<&OsStr>) -> clap::Command {
    let typed = typed.and_then(|typed| ROWS.iter().position(|row| typed == row.name));
    let rows = typed.map_or(ROWS, |at| &ROWS[at..=at]);
    clap::Command::new("daypass")
        .bin_name("daypass")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(rows.iter().map(command))
}

fn command(row: &Row) -> clap::Command {
    clap::Command::new(row.name).about(row.about).defer(row.arguments)
}

/// Makes [`Command`], its definition and its reading from one table.
macro_rules! commands {
    ($(#[doc = $about:literal] $variant:ident($arguments:ty) $name:literal [$($example:literal)+];)+) => {
        /// What is asked for.
        pub(crate) enum Command {
            $(#[doc = $about] $variant($arguments),)+
        }

        impl Command {
            /// What was chosen on the command line.
            pub(crate) fn chosen(mut matches: ArgMatches) -> Result<Self, clap::Error> {
                match matches.remove_subcommand() {
                    $(Some((name, mut own)) if name == $name => {
                        <$arguments>::from_arg_matches_mut(&mut own).map(Self::$variant)
                    })+
                    _ => Err(clap::Error::raw(ErrorKind::MissingSubcommand, "a command is missing\n")),
                }
            }
        }

        /// Every command, in the order of the help.
        const ROWS: &[Row] = &[$(
            Row {
                name: $name,
                about: $about.trim_ascii_start(),
                arguments: |command| {
                    // What the arguments' type says of itself would else take the place of what is said here.
                    <$arguments>::augment_args(command)
                        .about($about.trim_ascii_start())
                        .long_about(None::<&str>)
                        .after_help(concat!("Examples:" $(, "\n  ", $example)+))
                },
            },
        )+];
    };
}

commands! {
    /// Set up an account without IT: find the issuer, say what to register there, write your profile, sign in
    Init(Init) "init" [
        "daypass init"
        "daypass init --provider okta"
        "daypass init https://login.example.com --client-id daypass"
        "daypass init https://login.example.com --dry-run"
        "daypass init --undo"
    ];
    /// Sign in to an account, or to every account that needs it
    Login(Login) "login" [
        "daypass login"
        "daypass login corp"
        "daypass login corp --no-browser"
    ];
    /// Sign out of an account
    Logout(Logout) "logout" [
        "daypass logout corp"
        "daypass logout --all"
    ];
    /// Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required
    Status(Form) "status" [
        "daypass status"
        "daypass status --json"
    ];
    /// List the configured accounts
    Accounts(Form) "accounts" [
        "daypass accounts"
        "daypass accounts --json"
    ];
    /// List the configured resources and what this program could get
    Resources(Form) "resources" [
        "daypass resources"
        "daypass resources --json"
    ];
    /// Print a token for a resource
    Token(Token) "token" [
        "daypass token payments"
        "daypass token https://payments.example.com --wait 2m"
        "daypass token payments --scope payments.read --min-valid 2m"
        "daypass token payments --refresh --format json"
        "curl -H \"$(daypass token payments --format header)\" https://payments.example.com/v1/invoices"
    ];
    /// Run a command with tokens in its environment
    Run(Run) "run" [
        "daypass run payments -- ./report.sh     # reads $PAYMENTS_TOKEN"
        "daypass run payments=API_TOKEN -- ./report.sh --month 7"
        "daypass run payments api --wait 2m -- ./report.sh"
    ];
    /// List the open consent requests
    Requests(Form) "requests" [
        "daypass requests"
        "daypass requests --json"
    ];
    /// Answer a consent request with yes
    Approve(Approve) "approve" [
        "daypass approve 4f2a"
        "daypass approve 4f2a --for today"
    ];
    /// Answer a consent request with no
    Deny(Deny) "deny" [
        "daypass deny 4f2a"
    ];
    /// List or revoke what programs may have without asking again
    Grants(Grants) "grants" [
        "daypass grants"
        "daypass grants --json"
        "daypass grants revoke 7"
        "daypass grants revoke --all"
    ];
    /// Block a program: it gets nothing and asks nothing; without a program, list the blocked ones
    Block(Block) "block" [
        "daypass block /usr/bin/curl"
        "daypass block"
        "daypass block --json"
    ];
    /// Let a blocked program ask again
    Unblock(Unblock) "unblock" [
        "daypass unblock /usr/bin/curl"
    ];
    /// Pause: no program gets a token and nobody is asked, until it is over or taken back; it ends with the agent
    Pause(Pause) "pause" [
        "daypass pause"
        "daypass pause 30m"
        "daypass pause 8h --json"
    ];
    /// End the pause
    Resume(Nothing) "resume" [
        "daypass resume"
    ];
    /// Show what was issued or refused, and to whom
    Audit(Audit) "audit" [
        "daypass audit --since 2h"
        "daypass audit --follow"
        "daypass audit verify"
    ];
    /// Show, check, compare or explain configuration profiles; needs no agent
    Profile(Profile) "profile" [
        "daypass profile show --origin"
        "daypass profile check corp.toml"
        "daypass profile diff corp.toml new.toml"
        "daypass profile explain accounts.corp.offline"
    ];
    /// Look for what is wrong, and say what to do about it: socket, port, keychain, profile, issuer, proxy, TLS, clock
    Doctor(Form) "doctor" [
        "daypass doctor"
        "daypass doctor --json"
    ];
    /// Run the agent in the foreground, or stop the running one
    Agent(Agent) "agent" [
        "daypass agent"
        "daypass agent stop"
        "daypass agent --managed-dir ./profile.d"
    ];
    /// Open the home page in the browser
    Open(Nothing) "open" [
        "daypass open"
    ];
    /// Print what makes a shell complete this command
    Completions(Completions) "completions" [
        "source <(daypass completions bash)     # in ~/.bashrc"
        "daypass completions bash > daypass.bash     # for ~/.local/share/bash-completion/completions"
        "daypass completions zsh > _daypass     # for a directory of $fpath"
        "daypass completions fish > daypass.fish     # for ~/.config/fish/completions"
    ];
}
