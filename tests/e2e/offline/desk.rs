//! A person's desk for the hostile cases: an agent, an issuer that asks for a name, and windows whose every step is the
//! test's own.

use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    html::{self, Form},
    http::{self, Answer},
    navigate::{Page, Session, Url},
    process::{Output, Running},
    world::{browser_command, free_port, profile},
};
use serde_json::Value;
use std::{io, process::Command, sync::Arc, time::Duration};

/// How long anything here may take.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// What a browser sends when a person opens an address.
pub(super) const NAVIGATE: [(&str, &str); 3] =
    [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// The desk. Opening an address only writes it down; the test is the browser.
pub(super) struct Desk {
    pub(super) agent: Agent,
    pub(super) issuer: DevIssuer,
    pub(super) home: Arc<Home>,
}

impl Desk {
    /// Nobody is signed in. `more` is added to the profile; the word `ISSUER` in it becomes the issuer's.
    pub(super) fn start(more: &str) -> Self {
        let issuer = DevIssuer::start(Config { canary: true, ..Config::default() }).unwrap();
        let home = Arc::new(Home::new());
        Mode { visit: false, ..Mode::default() }.write(&home.log("mode.json")).unwrap();
        let more = more.replace("ISSUER", issuer.issuer());
        home.write_profile(&format!("{}{}{more}", profile(issuer.issuer(), free_port()), browser_command(&home)));
        Self { agent: Agent::start(&home, None), issuer, home }
    }

    /// Alice is signed in to `corp`.
    pub(super) fn signed_in() -> Self {
        let desk = Self::start("");
        let mut waiting = desk.begin("corp");
        waiting.finish();
        assert_eq!(waiting.ended(), 0);
        desk
    }

    /// Runs `daypass login` up to the moment the browser would bring the answer back.
    pub(super) fn begin(&self, account: &str) -> Waiting {
        let before = self.opened().len();
        let mut command = Command::new(e2e::program("daypass"));
        let file = std::fs::File::create(self.home.log("login.log")).unwrap();
        command.args(["login", account]).stdin(std::process::Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let login = Running::start(self.home.prepare(&mut command));
        let mut window = Session::stopping_at("/callback");
        let page = window.go(&self.opened_after(before)).unwrap();
        let form = html::forms(&page.answer.text()).into_iter().find(|form| form.post).expect("the issuer's form");
        let typed = |(name, value, _): (String, String, String)| match name.as_str() {
            "username" => (name, "alice".to_owned()),
            "password" => (name, "any".to_owned()),
            _ => (name, value),
        };
        let fields: Vec<_> = form.inputs.into_iter().map(typed).collect();
        let answer = window.submit(&page, &form.action, &fields).unwrap();
        assert_eq!(answer.answer.status, 0, "the window stops before the redirect address: {}", answer.url.path);
        Waiting { login, window, answer }
    }

    /// A program of its own asks for `payments` and gets no answer yet; its question is open in a window of this test.
    pub(super) fn question(&self) -> (Session, Page) {
        let before = self.opened().len();
        self.home.run(self.home.script("asker"), &["token", "payments"], "", LIMIT).fails(6);
        let mut window = Session::default();
        let page = window.go(&self.opened_after(before)).unwrap();
        assert!(page.consent_form().is_some(), "{}", page.answer.text());
        (window, page)
    }

    /// Every address given to the opener so far.
    pub(super) fn opened(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.home.log("browser.jsonl")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["opened"].as_str().map(str::to_owned)).collect()
    }

    pub(super) fn opened_after(&self, before: usize) -> String {
        e2e::until("a window", LIMIT, || self.opened().into_iter().nth(before))
    }

    pub(super) fn daypass(&self, words: &[&str]) -> Output {
        self.home.daypass(words)
    }

    /// The state of the account `name`.
    pub(super) fn state(&self, name: &str) -> String {
        let status: Value = serde_json::from_str(&self.daypass(&["status", "--json"]).stdout).unwrap();
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().find(|account| account["name"] == name).unwrap()["state"].as_str().unwrap().to_owned()
    }

    /// How many codes were redeemed, or tried to be.
    pub(super) fn redeemed(&self) -> usize {
        let requests = self.issuer.journal().requests;
        requests.iter().filter(|request| request.grant_type.as_deref() == Some("authorization_code")).count()
    }

    /// Audit lines whose event starts so.
    pub(super) fn lines(&self, event: &str) -> Vec<Value> {
        let text = self.daypass(&["audit", "--json"]).ok();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
        lines.filter(|line| line["event"].as_str().is_some_and(|name| name.starts_with(event))).collect()
    }
}

/// A sign-in that waits for its answer, and the window that has it.
pub(super) struct Waiting {
    login: Running,
    pub(super) window: Session,
    answer: Page,
}

impl Waiting {
    /// The redirect address with the answer.
    pub(super) fn address(&self) -> &Url {
        &self.answer.url
    }

    /// The binding cookie, as this window sends it.
    pub(super) fn cookie(&self) -> String {
        self.window.cookie_header(&self.answer.url)
    }

    /// A parameter of the answer, as it was written.
    pub(super) fn parameter(&self, name: &str) -> String {
        let query = self.answer.url.path.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name);
        value.unwrap_or_else(|| panic!("the answer has no {name}")).1.to_owned()
    }

    /// Asks for a path of the sign-in's listener.
    pub(super) fn ask(&self, method: &str, path: &str, cookie: &str, body: &str) -> io::Result<Answer> {
        let mut headers = NAVIGATE.to_vec();
        if !cookie.is_empty() {
            headers.push(("Cookie", cookie));
        }
        if !body.is_empty() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        http::request(&self.answer.url.authority, method, path, &headers, body.as_bytes())
    }

    /// The window goes on to the end of the sign-in.
    pub(super) fn finish(&mut self) -> Page {
        self.window.go_on(&self.answer).unwrap()
    }

    /// Whether `daypass login` still waits.
    pub(super) fn waits(&mut self) -> bool {
        self.login.ended().is_none()
    }

    /// Ctrl-C at `daypass login`.
    pub(super) fn interrupt(&mut self) {
        self.login.stop();
    }

    /// The exit code of `daypass login`.
    pub(super) fn ended(&mut self) -> i32 {
        e2e::until("the end of the sign-in", LIMIT, || self.login.ended())
    }
}

/// The fields of a question's form, with this choice.
pub(super) fn fields(form: &Form, choice: &str) -> Vec<(String, String)> {
    let mut fields: Vec<_> = form.inputs.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
    fields.push(("choice".to_owned(), choice.to_owned()));
    fields
}
