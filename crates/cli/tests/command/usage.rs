//! Command lines that make no sense, and help.

use crate::fake::{Home, end};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

#[test]
fn what_is_not_utf_8_is_a_usage_error() {
    let home = Home::new();
    let bad = OsStr::from_bytes(b"pay\xff\xfements");
    for (before, after) in [
        (&[][..], &[][..]),
        (&["token"], &[]),
        (&["token", "x", "--scope"], &[]),
        (&["login"], &[]),
        (&["run"], &["--", "true"]),
        (&["approve"], &[]),
        (&["profile", "explain"], &[]),
    ] {
        let ended = end(home.daypass(before).arg(bad).args(after));
        ended.failed(2, "daypass: ");
        assert!(ended.err.contains("hint: "), "{}", ended.err);
    }
}

#[test]
fn strange_arguments_end_as_usage_errors() {
    let home = Home::with(|_| crate::fake::refusal(localapi::Code::ResourceUnknown));
    home.run(&["token", "--", "--format"]).failed(10, "resource_unknown");
    home.run(&["token", "-"]).failed(10, "resource_unknown");
    home.run(&["token", "@file"]).failed(10, "resource_unknown");
    home.run(&["token", "a", "b"]).failed(2, "unexpected argument");
    home.run(&["logout", "--all", "corp"]).failed(2, "cannot be used with");
    home.run(&["login", "--device", "--no-browser"]).failed(2, "cannot be used with");
    home.run(&["login", "--claims", "[]"]).failed(2, "--claims is no JSON object");
    home.run(&["login", "--max-age", "soon"]).failed(2, "90s");
    home.run(&["token", "x", "--claims", "{"]).failed(2, "--claims is no JSON object");
    let long = "x".repeat(100_000);
    let ended = home.run(&["frobnicate", &long]);
    ended.failed(2, "unrecognized subcommand");
    let ended = home.run(&["logout", &long]);
    ended.failed(2, "no name");
    let ended = home.run(&["token", "x", &long]);
    assert!(ended.code == Some(2) && ended.err.len() < 8000, "{}", ended.err.len());
    home.run(&["token", "x", "--\x1b[2Jevil"]).failed(2, "unexpected argument '--[2Jevil'");
}

#[test]
fn nothing_typed_shows_the_help_on_stderr() {
    let ended = Home::new().run(&[]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    assert!(ended.err.contains("Usage: daypass"), "{}", ended.err);
}

#[test]
fn help_and_version_go_to_stdout() {
    let home = Home::new();
    let ended = home.run(&["--version"]);
    ended.answered(&format!("daypass {}\n", env!("CARGO_PKG_VERSION")));
    for line in ["--help", "help", "token --help", "grants revoke --help", "agent --help", "audit verify --help"] {
        let ended = home.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{line}");
        assert!(ended.out.contains("Examples:"), "{line}: {}", ended.out);
    }
}

#[test]
fn an_empty_program_name_changes_nothing() {
    use std::os::unix::process::CommandExt;
    let ended = end(Home::new().daypass(&["--version"]).arg0(""));
    ended.answered(&format!("daypass {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bash_completes_what_the_definition_knows() {
    let home = Home::new();
    let daypass = env!("CARGO_BIN_EXE_daypass");
    for (words, expected) in [
        ("daypass tok", "token"),
        ("daypass grants rev", "revoke"),
        ("daypass token payments --form", "--format"),
        ("daypass token payments --format js", "json"),
        ("daypass approve x --for to", "today"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let script = format!(
            "source <({daypass} completions bash)\nCOMP_WORDS=({}); COMP_CWORD={}\n_daypass daypass {} {}\necho \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let mut command = home.command("bash");
        end(command.args(["--norc", "-c", &script])).answered(&format!("{expected}\n"));
    }
    for shell in ["bash", "fish", "powershell", "zsh"] {
        let ended = home.run(&["completions", shell]);
        assert!(ended.code == Some(0) && ended.out.contains("daypass") && ended.err.is_empty(), "{shell}");
    }
    home.run(&["completions", "tcsh"]).failed(2, "invalid value 'tcsh'");
}
