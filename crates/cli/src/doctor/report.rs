//! The checks as a person reads them, and the exit code that fits them.
//!
//! Invariant: every line that is not ok is shown with its next step. Left out is only what another line says already: the
//! steps to an issuer that answers, and those that were not tried because of a failure that is shown.

use crate::output::clean;
use localapi::{DoctorCheck, ExitCode};

/// Narrower than this nothing is wrapped, wider than that no line gets.
const COLUMNS: std::ops::RangeInclusive<usize> = 60..=110;
/// What stands before a next step.
const NEXT: &str = "      next: ";

/// How wide the terminal on stdout is; `None` where there is none, and lines stay whole.
pub(super) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col))
        .filter(|columns| columns >= COLUMNS.start())
        .map(|columns| columns.min(*COLUMNS.end()))
}

/// One line for each check, with its next step below it.
/// Paths below `home` begin with `~`.
pub(super) fn render(checks: &[DoctorCheck], columns: Option<usize>, home: Option<&str>) -> String {
    let shown: Vec<_> =
        checks.iter().enumerate().filter(|(at, _)| is_shown(checks, *at)).map(|(_, one)| (label(one), one)).collect();
    let widest = shown.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
    let home = home
        .filter(|home| home.len() > 1 && home.starts_with('/'))
        .map(|home| format!("{}/", home.trim_end_matches('/')));
    let words = |text: &str| match &home {
        Some(home) => clean(text).replace(home.as_str(), "~/"),
        None => clean(text),
    };
    let mut text = String::new();
    for (at, (label, one)) in shown.iter().enumerate() {
        let mark = match one.state.as_str() {
            "ok" => "ok",
            "warning" => "warn",
            "failed" => "FAIL",
            _ => "-",
        };
        let begin = format!("{mark:<4}  {label:<widest$}  ");
        wrap(&mut text, &begin, &words(&one.finding), columns);
        // Where several lines lead to one step, it stands below the last of them.
        let again = shown.get(at + 1).is_some_and(|(_, next)| next.check == one.check && next.hint == one.hint);
        if let Some(hint) = one.hint.as_ref().filter(|hint| !hint.is_empty() && !again) {
            wrap(&mut text, NEXT, &words(hint), columns);
        }
    }
    text
}

fn label(one: &DoctorCheck) -> String {
    let name = clean(&one.check).replace('_', "-");
    match &one.account {
        Some(account) => format!("{name} {}", clean(account)),
        None => name,
    }
}

fn is_shown(checks: &[DoctorCheck], at: usize) -> bool {
    let one = &checks[at];
    let same = |other: &&DoctorCheck| other.account.is_some() && other.account == one.account;
    match one.state.as_str() {
        "ok" if matches!(one.check.as_str(), "name" | "connection") => {
            !checks.iter().filter(same).any(|other| other.check == "issuer" && other.state == "ok")
        }
        "skipped" => !checks[..at].iter().filter(same).any(|other| other.state == "failed"),
        _ => true,
    }
}

/// `begin` and the words after it, further lines as far in as the first.
fn wrap(text: &mut String, begin: &str, words: &str, columns: Option<usize>) {
    let indent = begin.chars().count();
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent).max(20));
    text.push_str(begin);
    let mut used = 0;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

/// All of it in a few words.
pub(super) fn summary(checks: &[DoctorCheck]) -> String {
    let count = |state: &str| checks.iter().filter(|one| one.state == state).count();
    let number = |number: usize, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
    match (count("failed"), count("warning")) {
        (0, 0) => "nothing is wrong".to_owned(),
        (0, warnings) => format!("it works, with {}", number(warnings, "warning")),
        (failures, 0) => number(failures, "failure"),
        (failures, warnings) => format!("{}, {}", number(failures, "failure"), number(warnings, "warning")),
    }
}

/// The code of the gravest failure: without the agent, the keychain or the profile the rest cannot be well.
pub(super) fn exit(checks: &[DoctorCheck]) -> ExitCode {
    const GRAVEST: [ExitCode; 6] = [
        ExitCode::AgentUnreachable,
        ExitCode::Keychain,
        ExitCode::Profile,
        ExitCode::Internal,
        ExitCode::Issuer,
        ExitCode::SignInRequired,
    ];
    let failed: Vec<ExitCode> = checks.iter().filter(|one| one.state == "failed").map(code).collect();
    GRAVEST.into_iter().find(|code| failed.contains(code)).unwrap_or(ExitCode::Ok)
}

fn code(one: &DoctorCheck) -> ExitCode {
    match one.check.as_str() {
        "socket" | "agent" | "port" => ExitCode::AgentUnreachable,
        "keychain" => ExitCode::Keychain,
        "profile" => ExitCode::Profile,
        "proxy" | "name" | "connection" | "tls" | "issuer" | "clock" => ExitCode::Issuer,
        "sign_in" => ExitCode::SignInRequired,
        _ => ExitCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(check: &str, state: &str, account: Option<&str>, finding: &str, hint: Option<&str>) -> DoctorCheck {
        DoctorCheck {
            check: check.to_owned(),
            state: state.to_owned(),
            account: account.map(str::to_owned),
            finding: finding.to_owned(),
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn lines_are_aligned_and_each_failure_has_its_next_step_below() {
        let corp = Some("corp");
        let checks = [
            one("socket", "ok", None, "/run/user/1000/daypass/agent.sock, for you alone", None),
            one("screen", "skipped", None, "cannot be told", None),
            one("name", "ok", corp, "login.example.com is 192.0.2.7", None),
            one("connection", "failed", corp, "refused\x1b[2J", Some("check the issuer")),
            one("tls", "skipped", corp, "not tried", None),
            one("sign_in", "warning", corp, "Alice", Some("ask again")),
        ];
        assert_eq!(
            render(&checks, None, None),
            "ok    socket           /run/user/1000/daypass/agent.sock, for you alone\n\
             -     screen           cannot be told\n\
             ok    name corp        login.example.com is 192.0.2.7\n\
             FAIL  connection corp  refused[2J\n\
             \x20     next: check the issuer\n\
             warn  sign-in corp     Alice\n\
             \x20     next: ask again\n"
        );
        assert_eq!(summary(&checks), "1 failure, 1 warning");
    }

    #[test]
    fn the_steps_to_an_issuer_that_answers_are_not_shown() {
        let checks = [
            one("name", "ok", Some("a"), "x", None),
            one("connection", "ok", Some("a"), "x", None),
            one("issuer", "ok", Some("a"), "fine", None),
            one("name", "ok", Some("b"), "shown", None),
            one("issuer", "failed", Some("b"), "not fine", None),
        ];
        assert_eq!(
            render(&checks, None, None),
            "ok    issuer a  fine\nok    name b    shown\nFAIL  issuer b  not fine\n"
        );
    }

    #[test]
    fn long_lines_are_wrapped_at_the_terminals_width() {
        let checks = [one("tls", "failed", None, &"word ".repeat(20), Some(&"step ".repeat(20)))];
        let text = render(&checks, Some(60), None);
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("           word")).count(), 1, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("            step")).count(), 2, "{text}");
        assert_eq!(render(&checks, None, None).lines().count(), 2);
    }

    #[test]
    fn one_step_for_several_lines_stands_once_and_paths_at_home_are_short() {
        let checks = [
            one("profile", "failed", None, "/home/ann/p.toml:1: a", Some("daypass profile check /home/ann/p.toml")),
            one("profile", "failed", None, "/home/ann/p.toml:2: b", Some("daypass profile check /home/ann/p.toml")),
            one("profile", "warning", None, "/home/annex/p.toml:3: c", Some("leave it")),
        ];
        assert_eq!(
            render(&checks, None, Some("/home/ann/")),
            "FAIL  profile  ~/p.toml:1: a\nFAIL  profile  ~/p.toml:2: b\n      next: daypass profile check ~/p.toml\n\
             warn  profile  /home/annex/p.toml:3: c\n      next: leave it\n"
        );
        assert!(render(&checks, None, Some("/")).contains("/home/ann/p.toml:1"));
    }

    #[test]
    fn the_gravest_failure_decides_the_exit_code() {
        let code = |failed: &[&str]| {
            let mut checks: Vec<_> = failed.iter().map(|name| one(name, "failed", None, "", None)).collect();
            checks.push(one("keychain", "warning", None, "", None));
            exit(&checks) as u8
        };
        for (failed, want) in [
            (&[][..], 0),
            (&["sign_in"], 4),
            (&["sign_in", "tls"], 7),
            (&["clock"], 7),
            (&["proxy", "audit"], 1),
            (&["issuer", "profile"], 9),
            (&["profile", "keychain"], 8),
            (&["keychain", "agent"], 3),
            (&["port"], 3),
            (&["something new"], 1),
        ] {
            assert_eq!(code(failed), want, "{failed:?}");
        }
        assert_eq!(summary(&[one("x", "ok", None, "", None)]), "nothing is wrong");
        assert_eq!(summary(&[one("x", "warning", None, "", None)]), "it works, with 1 warning");
        assert_eq!(summary(&[one("x", "failed", None, "", None), one("y", "failed", None, "", None)]), "2 failures");
    }
}
