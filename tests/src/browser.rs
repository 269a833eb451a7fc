//! The person at the browser without a browser: signs in, authorizes, and answers questions as a file says.

use crate::{
    html::{self, Form},
    navigate::{Page, Session, Url},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How the person behind the browser behaves, as kept in a file that a test rewrites at will.
#[derive(Debug, Clone)]
pub struct Mode {
    /// Who signs in.
    pub user: String,
    /// `approve`, `deny` or `ignore`.
    pub sign_in: String,
    /// `once`, `today`, `always`, `deny` or `ignore`.
    pub consent: String,
    /// Milliseconds between seeing a consent page and answering it.
    pub pause: u64,
    /// False: only the log learns the address.
    pub visit: bool,
    /// Who signs in instead where a page offers to use another account; empty = nobody.
    pub other: String,
    /// Socket of a real browser that gets the address instead.
    pub robot: Option<PathBuf>,
}

impl Default for Mode {
    fn default() -> Self {
        let [user, sign_in, consent] = ["alice", "approve", "ignore"].map(str::to_owned);
        Self { user, sign_in, consent, pause: 1200, visit: true, other: String::new(), robot: None }
    }
}

impl Mode {
    /// Reads it from its file.
    ///
    /// # Errors
    /// When the file cannot be read or is not JSON.
    pub fn read(file: &Path) -> io::Result<Self> {
        let value: Value = serde_json::from_slice(&fs::read(file)?)?;
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            user: text("user"),
            sign_in: text("sign_in"),
            consent: text("consent"),
            pause: value["pause"].as_u64().unwrap_or_default(),
            visit: value["visit"].as_bool().unwrap_or_default(),
            other: text("other"),
            robot: value["robot"].as_str().map(PathBuf::from),
        })
    }

    /// Writes it to its file, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let value = json!({
            "user": self.user, "sign_in": self.sign_in, "consent": self.consent,
            "pause": self.pause, "visit": self.visit, "other": self.other, "robot": self.robot,
        });
        let draft = file.with_extension("draft");
        fs::write(&draft, value.to_string())?;
        fs::rename(draft, file)
    }
}

/// Opens one address the way `mode` says; `log` gets a line for the opening and one for each document.
///
/// # Errors
/// When the address is none of ours or does not answer.
pub fn open(address: &str, mode: &Mode, log: &Path) -> io::Result<()> {
    note(log, &json!({"opened": address}));
    if let Some(robot) = &mode.robot {
        let mut stream = UnixStream::connect(robot)?;
        stream.write_all(address.as_bytes())?;
        return stream.shutdown(std::net::Shutdown::Write);
    }
    if !mode.visit {
        return Ok(());
    }
    let (mut session, mut mode) = (Session::default(), mode.clone());
    let mut page = session.go(address)?;
    // A trip through sign-in, authorization, consent and the pages in between is far shorter than this.
    for _ in 0..12 {
        let next = next_step(&page, &mode);
        note(
            log,
            &json!({"url": bare(&page.url), "status": page.answer.status, "title": html::title(&page.answer.text()), "kind": next.kind}),
        );
        match next.step {
            Step::Stay => return Ok(()),
            Step::Link(address) => {
                if next.kind == "page" {
                    mode.user = std::mem::take(&mut mode.other);
                }
                page = session.click(&page, &address)?;
            }
            Step::Submit(action, fields) => {
                if next.kind == "consent" {
                    thread::sleep(Duration::from_millis(mode.pause));
                }
                page = session.submit(&page, &action, &fields)?;
                if next.kind == "consent" {
                    note(
                        log,
                        &json!({"url": bare(&page.url), "status": page.answer.status, "title": html::title(&page.answer.text()), "kind": "answered"}),
                    );
                    return Ok(());
                }
            }
        }
    }
    Err(io::Error::other("the pages lead in a circle"))
}

fn note(log: &Path, line: &Value) {
    let file = fs::OpenOptions::new().create(true).append(true).open(log);
    let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
}

fn bare(url: &Url) -> String {
    format!("{}{}", url.origin(), url.path.split('?').next().unwrap_or_default())
}

enum Step {
    Stay,
    Link(String),
    Submit(String, Vec<(String, String)>),
}

struct Next {
    kind: &'static str,
    step: Step,
}

/// What the person does on this page.
fn next_step(page: &Page, mode: &Mode) -> Next {
    let text = page.answer.text();
    let Some(form) = html::forms(&text).into_iter().find(|form| form.post) else {
        let again = html::link_beginning(&text, "/start/").filter(|_| !mode.other.is_empty());
        return Next { kind: "page", step: again.map_or(Step::Stay, Step::Link) };
    };
    let asks = form.buttons.iter().any(|(name, ..)| name == "choice");
    if asks {
        let offered = form.buttons.iter().any(|(name, value, _)| name == "choice" && *value == mode.consent);
        let step = if offered { consent(&form, &mode.consent) } else { Step::Stay };
        return Next { kind: "consent", step };
    }
    // A page that sends its form by itself, by way of a script.
    if html::title(&text) == "Submitting Callback" {
        let fields = form.inputs.into_iter().map(|(name, value, _)| (name, value)).collect();
        return Next { kind: "relay", step: Step::Submit(form.action, fields) };
    }
    // The code of a device sign-in: entered, then confirmed, or taken back.
    if form.inputs.iter().any(|(name, ..)| name == "user_code") {
        let typed = form.inputs.iter().any(|(name, _, kind)| name == "user_code" && kind == "text");
        let mut fields: Vec<_> = form.inputs.into_iter().map(|(name, value, _)| (name, value)).collect();
        let confirming = fields.iter().any(|(name, _)| name == "confirm");
        if confirming && mode.sign_in == "deny" {
            fields.push(("abort".to_owned(), "yes".to_owned()));
        }
        let step = if typed || mode.sign_in == "ignore" { Step::Stay } else { Step::Submit(form.action, fields) };
        return Next { kind: "device", step };
    }
    let signs_in = form.inputs.iter().any(|(name, ..)| name == "login" || name == "username");
    let authorizes = form.inputs.iter().any(|(name, value, _)| name == "prompt" && value == "consent");
    let kind = match (signs_in, authorizes) {
        (true, _) => "sign-in",
        (false, true) => "authorization",
        (false, false) => return Next { kind: "page", step: Step::Stay },
    };
    let step = match mode.sign_in.as_str() {
        "approve" => {
            let fields = form.inputs.into_iter().map(|(name, value, _)| {
                let typed = match name.as_str() {
                    "login" | "username" => mode.user.clone(),
                    "password" => "any".to_owned(),
                    _ => value,
                };
                (name, typed)
            });
            Step::Submit(form.action, fields.filter(|(name, _)| !name.is_empty()).collect())
        }
        "deny" => html::link_ending(&text, "/abort").map_or(Step::Stay, Step::Link),
        _ => Step::Stay,
    };
    Next { kind, step }
}

fn consent(form: &Form, choice: &str) -> Step {
    let mut fields: Vec<_> = form.inputs.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
    fields.push(("choice".to_owned(), choice.to_owned()));
    Step::Submit(form.action.clone(), fields)
}
