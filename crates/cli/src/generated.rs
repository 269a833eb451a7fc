//! Completions and manual pages, made from the command's own definition, and the test that holds the files to it.
//!
//! Invariant: `completions/` beside this package's `src` and `docs/man/` in the repository hold exactly what is made
//! here. `make man` (which sets `DAYPASS_WRITE`) writes them; without it the test compares. Only tests know the
//! generators: the program carries their result. The agent's page is made from a copy of its two options, because its
//! own definition is private to its program; the end-to-end tests compare that page with `daypass-agent --help`.

use crate::{args::Shell, commands};
use clap::{Command, ValueEnum as _};
use clap_complete::generate;
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Exit codes in words; the numbers are those of `localapi::ExitCode`.
const EXIT: [(&str, &str); 11] = [
    ("0", "Done."),
    ("1", "An error of Daypass itself."),
    ("2", "The command line or the request makes no sense."),
    ("3", "The agent cannot be reached, or cannot be started."),
    ("4", "Somebody has to sign in first: daypass login."),
    ("5", "Consent was denied, or nobody can be asked."),
    ("6", "Consent is pending or has expired, or the request came too soon after others."),
    ("7", "The authorization server is unavailable or refuses the request."),
    ("8", "The keychain is locked or unavailable."),
    ("9", "The profile has an error."),
    ("10", "Not allowed: an unknown resource, a scope above the ceiling, a program that may not."),
];

const RUNTIME_DIR: (&str, &str) =
    ("XDG_RUNTIME_DIR", "Directory of the user socket. Without it nothing can be asked: exit status 3.");
const CONFIG_HOME: (&str, &str) = ("XDG_CONFIG_HOME", "Directory of the user's own profile; ~/.config when unset.");
const STATE_HOME: (&str, &str) =
    ("XDG_STATE_HOME", "Directory of the agent's database and log; ~/.local/state when unset.");
const HOME: (&str, &str) = ("HOME", "Where the two defaults above begin.");
const SOCKET: (&str, &str) = (
    "$XDG_RUNTIME_DIR/daypass/agent.sock",
    "The socket the agent answers on. Nothing is sent before it, its directory and the listening process were found to be the user's own.",
);
const ADDRESS: (&str, &str) =
    ("$XDG_RUNTIME_DIR/daypass/address", "The base address of the loopback API, for programs that speak HTTP.");
const USER_PROFILE: (&str, &str) = ("$XDG_CONFIG_HOME/daypass/profile.toml", "The user's own profile.");
const MANAGED: (&str, &str) = (
    "/etc/daypass/profile.d/*.toml, *.json",
    "Profiles of the organisation; owned by root and not writable by others.",
);
const DATABASE: (&str, &str) = (
    "$XDG_STATE_HOME/daypass/daypass.db",
    "Permissions, sessions and the audit log. No token is in it: those are in the keychain.",
);
const LOG: (&str, &str) =
    ("$XDG_STATE_HOME/daypass/agent.log", "What an agent in the background says, started afresh beyond 1 MiB.");

/// How each part of a page defines an apostrophe; once is enough.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// What a page says besides what the definition knows.
struct Beside {
    /// Further paragraphs of the description.
    description: &'static [&'static str],
    /// Exit statuses; the others are those of daypass(1).
    exit: Vec<(&'static str, &'static str)>,
    environment: Vec<(&'static str, &'static str)>,
    files: Vec<(&'static str, &'static str)>,
}

fn beside(name: &str) -> Beside {
    let exit = |numbers: &[usize]| numbers.iter().map(|&number| EXIT[number]).collect();
    let speaking = |description, numbers: &[usize]| Beside {
        description,
        exit: exit(numbers),
        environment: vec![RUNTIME_DIR],
        files: vec![SOCKET],
    };
    let offline = |numbers: &[usize]| Beside {
        description: &[],
        exit: exit(numbers),
        environment: vec![CONFIG_HOME, ("HOME", "Where the default above begins.")],
        files: vec![USER_PROFILE, MANAGED],
    };
    match name {
        "daypass" => Beside {
            description: &[
                "A person signs in once, in the browser. The agent keeps the sign-in in the keychain of the system, renews it, and hands short-lived tokens to local programs, after a question that names the program.",
                "This command asks the agent over the user's socket, and starts it when none runs. The answer alone goes to standard output, everything else to standard error. The agent takes the program that started this command for the one that asks.",
            ],
            exit: EXIT.to_vec(),
            environment: vec![RUNTIME_DIR, CONFIG_HOME, STATE_HOME, HOME],
            files: vec![SOCKET, ADDRESS, USER_PROFILE, MANAGED, DATABASE, LOG],
        },
        "daypass-token" => speaking(
            &[
                "A question for consent is asked where a person can answer it: in a browser, or in a terminal where there is none. Without --wait and without a terminal on standard error the command does not wait: it ends with 6, and the same command gives the token once the question was answered.",
            ],
            &[0, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        ),
        "daypass-run" => {
            let mut own = speaking(
                &[
                    "The tokens are in the environment of that command and nowhere else: not in its arguments, not in a file. Without every token nothing is run. This process becomes the command, so signals reach it.",
                ],
                &[],
            );
            own.exit = vec![
                ("126", "The command is there and cannot be run."),
                ("127", "The command is not there."),
                ("otherwise", "That of the command, or a code of daypass(1) when a token could not be had."),
            ];
            own
        }
        "daypass-status" => {
            let mut own = speaking(&["No agent is started to be asked how it is."], &[0, 3]);
            own.exit.push(("4", "An account needs a sign-in."));
            own
        }
        "daypass-doctor" => {
            let mut own = speaking(
                &[
                    "Each line is ok, or comes with the next step. Nothing is changed, no agent is started, and no secret is shown; what fails decides the exit status, the gravest first. Without an agent the socket, the port and the profile are looked at all the same.",
                    "The agent looks at the way to each issuer: the name, the connection or the proxy, TLS and who issued the certificate, the discovery document, and the clock. That takes ten seconds at most.",
                ],
                &[],
            );
            own.exit = vec![
                ("0", "Nothing failed; there may be warnings."),
                ("3", "The agent is not running or cannot be reached."),
                ("8", "The keychain."),
                ("9", "The profile."),
                ("1", "The audit log, or an error of Daypass itself."),
                ("7", "The way to an issuer, or what it answers."),
                ("4", "A sign-in is required."),
            ];
            own.files = vec![SOCKET, ADDRESS, USER_PROFILE, MANAGED];
            own.environment = vec![RUNTIME_DIR, CONFIG_HOME, HOME];
            own
        }
        "daypass-login" => speaking(&[], &[0, 2, 3, 4, 7, 8, 9]),
        "daypass-logout" => {
            let mut own = speaking(
                &[
                    "The sign-in is wiped here in any case; the authorization server is told as far as it can be reached within ten seconds.",
                ],
                &[0, 2, 3],
            );
            own.exit.push(("7", "Signed out here; the authorization server was not told."));
            own
        }
        "daypass-approve" | "daypass-deny" => {
            let mut own = speaking(
                &[
                    "What is asked is shown on standard error; the answer counts for exactly that. A terminal may answer where nobody can be asked in a browser, or as the profile says (consent.terminal). A script cannot answer what it asked itself.",
                ],
                &[0],
            );
            own.exit.extend([
                ("2", "There is no such request, or the choice is not offered for this program."),
                EXIT[3],
                ("5", "This terminal may not answer."),
                ("6", "The request is over."),
            ]);
            own
        }
        "daypass-block" => speaking(
            &[
                "A blocked program is refused at once: no question opens, and not even a profile of the organisation lets it through. Its grants and open requests end with the block. What is blocked is the file at that place, so an updated program stays blocked; of an interpreter or a shell named by its path it is also every script it runs, but not your own prompt.",
            ],
            &[0, 1, 2, 3],
        ),
        "daypass-unblock" => {
            let mut own = speaking(
                &[
                    "The program gets nothing by that: it may ask again. This needs a terminal, and is refused to the blocked program itself; the pages (daypass open) can do it too.",
                ],
                &[0, 1, 2, 3],
            );
            own.exit.push(("5", "This program or terminal may not unblock."));
            own
        }
        "daypass-audit-verify" => speaking(&[], &[0, 1, 3]),
        "daypass-profile" | "daypass-profile-show" | "daypass-profile-check" => offline(&[0, 2, 9]),
        "daypass-profile-diff" => Beside {
            description: &[
                "Both sides are read as managed layers, each file of a directory as in the managed directory, and resolved as the agent would; what differs in the result is told: + for a value that is new, - for one that is gone, ~ for one that changes. The exit status is 0 whether something differs or not.",
            ],
            environment: Vec::new(),
            files: Vec::new(),
            ..offline(&[0, 2, 9])
        },
        "daypass-profile-explain" => Beside { environment: Vec::new(), files: Vec::new(), ..offline(&[0, 2]) },
        "daypass-profile-schema" => Beside { environment: Vec::new(), files: Vec::new(), ..offline(&[0]) },
        "daypass-completions" => Beside {
            description: &[
                "The text completes commands, options and their values; names of accounts and resources are not completed.",
            ],
            exit: exit(&[0, 1, 2]),
            environment: Vec::new(),
            files: Vec::new(),
        },
        "daypass-agent" => Beside {
            description: &[
                "One agent runs for each user session; the command daypass starts it when it is needed. It keeps the sign-ins in the keychain of the system, renews them, and answers on the user's socket and on a loopback address.",
                "It ends in order on SIGTERM, SIGINT, SIGHUP and SIGQUIT.",
            ],
            exit: exit(&[0, 1, 2, 3, 9]),
            environment: vec![
                RUNTIME_DIR,
                CONFIG_HOME,
                STATE_HOME,
                HOME,
                ("DAYPASS_LOG", "How much is said: error, warn, info (the default), debug or trace."),
                (
                    "DBUS_SESSION_BUS_ADDRESS",
                    "The bus of the keychain, of notifications and of the state of the screen.",
                ),
                ("DISPLAY, WAYLAND_DISPLAY", "With one of them, somebody can be asked in a browser."),
            ],
            files: vec![SOCKET, ADDRESS, USER_PROFILE, MANAGED, DATABASE, LOG],
        },
        _ => speaking(&[], &[0, 2, 3]),
    }
}

/// The options of `daypass-agent`.
fn agent() -> Command {
    use clap::Arg;
    Command::new("daypass-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The Daypass agent: holds your sign-ins and hands short-lived passes to local programs")
        .arg(
            Arg::new("detach")
                .long("detach")
                .action(clap::ArgAction::SetTrue)
                .help("Go to the background; return when the agent answers"),
        )
        .arg(Arg::new("managed_dir").long("managed-dir").value_name("DIR").help(
            "Read managed profiles from DIR instead of the system's directory; for tests, and marked as such everywhere",
        ))
        .after_help("Examples:\n  daypass-agent\n  daypass-agent --detach\n  daypass agent stop")
}

/// A page of section 1.
fn page(mut command: Command, name: &str, see_also: &[String]) -> String {
    let usage = command.render_usage().to_string();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let has_subcommands = command.get_subcommands().any(|subcommand| !subcommand.is_hide_set());
    let man = Man::new(command)
        .title(name.to_uppercase())
        .source(concat!("Daypass ", env!("CARGO_PKG_VERSION")))
        .manual("Daypass");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    let lines: Vec<&str> = usage.lines().map(|line| line.trim_start_matches("Usage: ").trim()).collect();
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(&mut text).unwrap();
    man.render_description_section(&mut text).unwrap();
    let Beside { description, exit, environment, files } = beside(name);
    let mut roff = Roff::new();
    for paragraph in description {
        roff.control("PP", []);
        roff.text([roman(*paragraph)]);
    }
    roff.to_writer(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    if has_subcommands {
        man.render_subcommands_section(&mut text).unwrap();
    }
    let mut roff = Roff::new();
    list(&mut roff, "EXIT STATUS", &exit);
    if exit.len() < EXIT.len() && name != "daypass-run" {
        roff.control("PP", []);
        roff.text([roman("All codes are in "), bold("daypass"), roman("(1).")]);
    }
    list(&mut roff, "ENVIRONMENT", &environment);
    list(&mut roff, "FILES", &files);
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for example in after.split("\n\n").next().unwrap_or_default().lines().skip(1) {
        roff.text([roman(example.trim())]);
    }
    roff.control("fi", []);
    roff.control("SH", ["SEE ALSO"]);
    let mut inlines = Vec::new();
    for (at, other) in see_also.iter().filter(|other| *other != name).enumerate() {
        inlines.extend([roman(if at == 0 { "" } else { ", " }), bold(other), roman("(1)")]);
    }
    roff.text(inlines);
    roff.to_writer(&mut text).unwrap();
    // There is no date, and the title leaves it out instead of leaving it empty.
    let text = String::from_utf8(text).unwrap().replace(APOSTROPHE, "").replacen(" 1  \"", " 1 \"\" \"", 1);
    assert!(text.starts_with(".TH ") && text.lines().next().unwrap().contains(" 1 \"\" "), "{name}");
    format!("{APOSTROPHE}{text}")
}

fn list(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [heading]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([if heading == "FILES" { italic(*name) } else { bold(*name) }]);
        roff.text([roman(*meaning)]);
    }
}

/// Every page by its file name.
fn pages() -> BTreeMap<String, String> {
    fn walk(command: &Command, above: Option<&str>, pages: &mut BTreeMap<String, String>) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        // `daypass agent` becomes the agent; its page is the agent's.
        if name == "daypass-agent" {
            return;
        }
        let below = || command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut see_also: Vec<String> = above.map(str::to_owned).into_iter().collect();
        see_also.extend(below().map(|command| command.get_display_name().unwrap_or_default().to_owned()));
        if above.is_none_or(|above| above == "daypass") && name != "daypass" {
            see_also.push("daypass-agent".to_owned());
        }
        pages.insert(format!("{name}.1"), page(command.clone(), &name, &see_also));
        below().for_each(|command| walk(command, Some(&name), pages));
    }
    let mut pages = BTreeMap::new();
    let mut definition = commands::definition().disable_help_subcommand(true);
    definition.build();
    walk(&definition, None, &mut pages);
    pages.insert("daypass-agent.1".to_owned(), page(agent(), "daypass-agent", &["daypass".to_owned()]));
    pages
}

fn completion(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut text = Vec::new();
    generate(shell, &mut commands::definition(), "daypass", &mut text);
    text
}

/// Compares a file with what it must hold, or writes it.
fn hold(file: &Path, text: &str) {
    if std::env::var_os("DAYPASS_WRITE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let held = fs::read_to_string(file).unwrap_or_default();
    assert!(held == text, "{} is not what the definition makes: run `make man`", file.display());
}

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

#[test]
fn manual_pages_are_those_of_the_definition() {
    let folder = package().join("../../docs/man");
    let pages = pages();
    for (name, text) in &pages {
        hold(&folder.join(name), text);
    }
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains_key(&name), "docs/man/{name} is of no command: remove it");
    }
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
        let heading = if section.contains(' ') { format!(".SH \"{section}\"") } else { format!(".SH {section}") };
        for (name, text) in &pages {
            assert!(text.contains(&heading), "{name} has no {section}");
        }
    }
}

#[test]
fn completions_are_those_of_the_definition() {
    let folder = package().join("completions");
    let name = |shell: Shell| match shell {
        Shell::Bash => "daypass.bash",
        Shell::Fish => "daypass.fish",
        Shell::Powershell => "_daypass.ps1",
        Shell::Zsh => "_daypass",
    };
    for &shell in Shell::value_variants() {
        let text = String::from_utf8(completion(shell)).unwrap();
        hold(&folder.join(name(shell)), &text);
        if std::env::var_os("DAYPASS_WRITE").is_none() {
            assert_eq!(crate::completions::text(shell), text);
        }
    }
}

#[test]
fn the_exit_codes_are_those_of_the_table() {
    for (number, (text, _)) in EXIT.iter().enumerate() {
        assert_eq!(*text, number.to_string());
    }
    let last = localapi::Code::ALL.iter().map(|code| code.exit() as usize).max();
    assert_eq!(last, Some(EXIT.len() - 1));
}
