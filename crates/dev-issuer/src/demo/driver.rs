//! The two browsers of the demo: a tiny one that answers for the person where there is no display, and the person's own.
//!
//! Invariant: neither goes anywhere but to loopback http, and the tiny one presses nothing but "sign in" and "allow today".

use crate::{Failure, home::find_program};
use dev_issuer::{
    user_agent::{Form, Page, UserAgent},
    wire::is_loopback,
};
use std::{
    os::unix::process::CommandExt,
    process::Command,
    time::{Duration, Instant},
};
use url::Url;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time a person looks at a question; the buttons are not armed in the first second.
const LOOK: Duration = Duration::from_millis(1400);
/// Most forms answered in a row.
const FORMS: usize = 6;

/// Variables by which programs find the person's own browser.
const BROWSER_VARIABLES: [&str; 15] = [
    "HOME",
    "USER",
    "LANG",
    "BROWSER",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_SESSION",
    "XDG_CURRENT_DESKTOP",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_DATA_DIRS",
    "XDG_SESSION_TYPE",
];

/// Opens `address`, signs in and allows, as pages ask for it.
pub(crate) fn drive(address: &str) -> Result<(), Failure> {
    let url = own_address(address)?;
    let parent = rustix::process::getppid();
    let mut browser = UserAgent::new(PATIENCE);
    let failed = "the page cannot be had";
    let mut page = browser.open(&url).map_err(Failure::during(failed))?;
    for _ in 0..FORMS {
        let Some(answer) = answer(&page) else { break };
        if answer.looks {
            let until = Instant::now() + LOOK;
            while Instant::now() < until {
                // Without the agent there is nobody to answer.
                if rustix::process::getppid() != parent {
                    return Err(Failure::new("the agent is gone"));
                }
                std::thread::sleep(LOOK / 14);
            }
        }
        page = browser.send(&page, &answer.form, Some(answer.button)).map_err(Failure::during(failed))?;
    }
    if (200..300).contains(&page.status) {
        Ok(())
    } else {
        Err(Failure::new(format!("the last page answers {}", page.status)))
    }
}

/// A form as it is to be sent.
struct Answer {
    form: Form,
    button: (&'static str, &'static str),
    looks: bool,
}

/// What the demo answers to `page`, if it asks for anything.
fn answer(page: &Page) -> Option<Answer> {
    page.forms().into_iter().filter(|form| form.post).find_map(|mut form| {
        if form.has_field("username") && form.has_field("password") {
            form.fill("username", "demo");
            form.fill("password", "demo");
            return Some(Answer { form, button: ("action", "sign-in"), looks: false });
        }
        let asks = form.has_field("page_token") && form.has_field("digest") && form.has_button("choice", "today");
        asks.then_some(Answer { form, button: ("choice", "today"), looks: true })
    })
}

/// Becomes the system's opener in the environment given as `NAME=VALUE`; returns only when that fails.
pub(crate) fn open(set: &[String], address: &str) -> Result<(), Failure> {
    let url = own_address(address)?;
    let opener = find_program("xdg-open").ok_or_else(|| Failure::new("xdg-open is not installed"))?;
    let variables = set.iter().filter_map(|pair| pair.split_once('=')).filter(|(n, _)| BROWSER_VARIABLES.contains(n));
    let mut command = Command::new(opener);
    command.arg(url.as_str()).env_clear().envs(variables);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    Err(Failure::during("the browser cannot be opened")(command.exec()))
}

/// The command that brings the agent's addresses to the person's own browser, if there is a display for it.
pub(crate) fn own_browser(demo: &str) -> Option<Vec<String>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("DISPLAY").or_else(|| variable("WAYLAND_DISPLAY"))?;
    find_program("xdg-open")?;
    let mut command = vec![demo.to_owned(), "open-browser".to_owned()];
    for name in BROWSER_VARIABLES {
        if let Some(value) = variable(name) {
            command.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
    }
    Some(command)
}

/// The agent's one-time local addresses, and no others.
fn own_address(address: &str) -> Result<Url, Failure> {
    Url::parse(address)
        .ok()
        .filter(|url| is_loopback(url) && (url.path().starts_with("/start/") || url.path().starts_with("/open/")))
        .ok_or_else(|| Failure::new("this is no address of the agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> Page {
        Page { url: Url::parse("http://127.0.0.1:1/consent/1").unwrap(), status: 200, html: html.to_owned() }
    }

    #[test]
    fn only_the_agents_own_addresses_are_opened() {
        for (address, fine) in [
            ("http://127.0.0.1:6174/open/abc", true),
            ("http://[::1]:6174/start/abc", true),
            ("http://127.0.0.1:6174/", false),
            ("http://example.com/open/abc", false),
            ("https://127.0.0.1:6174/open/abc", false),
            ("file:///open/abc", false),
            ("--help", false),
        ] {
            assert_eq!(own_address(address).is_ok(), fine, "{address}");
        }
    }

    #[test]
    fn a_question_is_answered_with_today_and_its_hidden_fields() {
        let html = r#"<form method="post" action="/consent/1"><input type="hidden" name="digest" value="d">
            <input type="hidden" name="page_token" value="p"><button name="choice" value="deny">Deny</button>
            <button name="choice" value="today">Allow today</button></form>"#;
        let found = answer(&page(html)).unwrap();
        assert_eq!((found.button, found.looks), (("choice", "today"), true));
        assert_eq!(
            found.form.fields,
            [("digest".to_owned(), "d".to_owned()), ("page_token".to_owned(), "p".to_owned())]
        );
    }

    #[test]
    fn a_sign_in_form_is_filled() {
        let html = r#"<form method="post"><input type="hidden" name="interaction" value="i"><input name="username">
            <input name="password" type="password"><button name="action" value="sign-in">Sign in</button></form>"#;
        let found = answer(&page(html)).unwrap();
        assert_eq!((found.button, found.looks), (("action", "sign-in"), false));
        assert!(found.form.fields.contains(&("username".to_owned(), "demo".to_owned())));
        assert!(found.form.fields.contains(&("interaction".to_owned(), "i".to_owned())));
    }

    #[test]
    fn other_forms_are_left_alone() {
        for html in [
            "",
            "<form method=post><input name=page_token><input name=digest><button name=revoke value=1></form>",
            "<form><input name=page_token><input name=digest><button name=choice value=today></form>",
            "<form method=post><input name=page_token><button name=choice value=today></form>",
            "<form method=post><input name=page_token><input name=digest><button name=choice value=deny></form>",
        ] {
            assert!(answer(&page(html)).is_none(), "{html}");
        }
    }
}
