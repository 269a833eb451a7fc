//! `daypass-desktop`: the tray, and each window of it as a short-lived process of the same binary.
//!
//! Invariant: nothing is decided here. Whatever is shown or done goes through the agent over the user's socket, as with
//! the command; a crash of this program costs nobody a token.
//! Limit: whoever controls how this program is started (its environment, its libraries) controls its windows; see
//! `docs/threat-model.md`.

#![allow(clippy::print_stderr, reason = "a program started by hand says why it ends")]

mod agent;
mod menu;
mod tray;
mod view;
mod watch;
mod window;

use agent::Door;
use localapi::ExitCode;
use platform::process::LockError;

const USAGE: &str = "\
daypass-desktop: the tray of Daypass

usage: daypass-desktop                 start the tray and open its home window; when it runs already: the window alone
       daypass-desktop window [PAGE]   one window, until it is closed
       daypass-desktop --version | --help

PAGE is home (the default), activity, permissions, profile or consent/ID.";

/// Why this program ends before it did its work.
struct Failure {
    code: ExitCode,
    said: String,
}

impl Failure {
    fn new(code: ExitCode, said: impl Into<String>) -> Self {
        Self { code, said: said.into() }
    }
}

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["--help" | "-h"] => {
            eprintln!("{USAGE}");
            return std::process::ExitCode::SUCCESS;
        }
        ["--version" | "-V"] => {
            eprintln!("daypass-desktop {}", env!("CARGO_PKG_VERSION"));
            return std::process::ExitCode::SUCCESS;
        }
        [] => start(false),
        ["--autostart"] => start(true),
        ["window"] => show("home"),
        ["window", page] if is_page(page) => show(page),
        _ => Err(Failure::new(ExitCode::Usage, format!("unknown arguments\n\n{USAGE}"))),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("daypass-desktop: {}", failure.said);
            std::process::ExitCode::from(failure.code as u8)
        }
    }
}

/// Whether a page has a name that may go to the agent; whether there is such a page is the agent's to say.
fn is_page(page: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    page.len() <= 200 && page.split('/').count() <= 2 && page.split('/').all(plain)
}

/// Becomes the tray. `auto`: at login, without a person who waits for a window.
fn start(auto: bool) -> Result<(), Failure> {
    let door = Door::find()?;
    check_surroundings()?;
    platform::paths::prepare_private_dir(&door.paths.runtime)
        .map_err(|error| Failure::new(ExitCode::Internal, error.to_string()))?;
    let lock = match platform::process::lock_file(&door.paths.runtime.join("desktop.lock")) {
        Ok(lock) => lock,
        Err(LockError::Held) if auto => return Ok(()),
        // The tray is there: what a second start wants is the window.
        Err(LockError::Held) => return show("home"),
        Err(error) => return Err(Failure::new(ExitCode::Internal, error.to_string())),
    };
    if auto && door.status_started().is_ok_and(|status| !status.desktop.autostart) {
        return Ok(());
    }
    tray::run(door, auto, lock)
}

/// Becomes one window.
fn show(page: &str) -> Result<(), Failure> {
    let door = Door::find()?;
    check_surroundings()?;
    window::run(&door, page)
}

/// Whether there is a display, and nothing around that would let another program drive our windows.
fn check_surroundings() -> Result<(), Failure> {
    const REMOTE_CONTROL: [&str; 3] =
        ["TAURI_WEBVIEW_AUTOMATION", "WEBKIT_INSPECTOR_SERVER", "WEBKIT_INSPECTOR_HTTP_SERVER"];
    // Only a debug build can be driven by a test.
    let driven = REMOTE_CONTROL.iter().find(|name| std::env::var_os(name).is_some());
    if let Some(name) = driven.filter(|_| !cfg!(debug_assertions)) {
        return Err(Failure::new(
            ExitCode::NotAllowed,
            format!(
                "{name} is set, and the windows of Daypass are not driven by programs\nhint: start it without that variable"
            ),
        ));
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let none = "there is no display here, so there is no tray\nhint: run it within a desktop session; daypass works without it";
    if !["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| set(name)) {
        return Err(Failure::new(ExitCode::Usage, none));
    }
    gtk::init().map_err(|_| Failure::new(ExitCode::Usage, format!("the display cannot be used: {none}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_pages() {
        for good in ["home", "consent/0a1b", "program/exe_1-2"] {
            assert!(is_page(good), "{good}");
        }
        for bad in ["", "/", "../x", "consent/", "consent/a/b", "consent/a b", "a?b", "consent/%2e", &"x".repeat(201)] {
            assert!(!is_page(bad), "{bad:?}");
        }
    }
}
