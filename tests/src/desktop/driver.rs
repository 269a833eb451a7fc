//! The real window, driven as `WebDriver` (W3C) drives a browser.

use crate::desktop::Session;
use crate::{http, process::Running, until, world};
use serde_json::{Value, json};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(30);
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The window of the shell that is open. It can be driven until it closes.
pub struct Driver {
    authority: String,
    session: String,
    _program: Running,
}

impl Driver {
    /// Waits for a window, and takes it.
    pub fn attach(session: &Session) -> Self {
        let port = world::free_port();
        let mut command = Command::new("WebKitWebDriver");
        command.arg(format!("--port={port}")).arg(format!("--target={}", session.inspector));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Running::start(session.home.prepare(&mut command));
        let authority = format!("127.0.0.1:{port}");
        until("WebDriver", LIMIT, || http::connect(&authority).ok());
        until("a window that can be driven", LIMIT, || http::connect(&session.inspector).ok());
        let id = until("a session in the window", LIMIT, || {
            let answer = call(&authority, "POST", "/session", &json!({"capabilities": {"alwaysMatch": {}}}));
            answer.ok()?["sessionId"].as_str().map(str::to_owned)
        });
        Self { authority, session: id, _program: program }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        call(&self.authority, method, &format!("/session/{}{path}", self.session), body)
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, &Value::Null).expect("an answer")["_"].as_str().unwrap_or_default().to_owned()
    }

    /// The title of the page.
    pub fn title(&self) -> String {
        self.get("/title")
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.get("/url")
    }

    /// Waits for an element, and returns its name for other calls.
    fn find(&self, css: &str) -> String {
        until(css, LIMIT, || {
            let found = self.ask("POST", "/element", &json!({"using": "css selector", "value": css})).ok()?;
            found[ELEMENT].as_str().map(str::to_owned)
        })
    }

    /// The text of an element.
    pub fn text(&self, css: &str) -> String {
        self.get(&format!("/element/{}/text", self.find(css)))
    }

    /// Clicks an element as soon as it can be used.
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        until(&format!("{css} to be usable"), LIMIT, || {
            let enabled = self.ask("GET", &format!("/element/{element}/enabled"), &Value::Null).ok()?;
            (enabled["_"] == true).then_some(())
        });
        self.ask("POST", &format!("/element/{element}/click"), &json!({})).expect("a click");
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.ask("POST", "/actions", &actions).expect("a key");
    }

    /// Runs a script that calls its last argument with its result.
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({"script": script, "args": []})).expect("a result")["_"].clone()
    }

    /// Lets the window go.
    pub fn release(self) {
        let _ = self.ask("DELETE", "", &Value::Null);
    }
}

/// One command; a value that is no object comes as `{"_": value}`.
fn call(authority: &str, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("Content-Type", "application/json")];
    let answer =
        http::request(authority, method, path, &headers, text.as_bytes()).map_err(|error| error.to_string())?;
    let value = answer.json()["value"].clone();
    match (answer.status, value) {
        (200, Value::Object(object)) => Ok(Value::Object(object)),
        (200, other) => Ok(json!({ "_": other })),
        (status, error) => Err(format!("{method} {path}: {status} {error}")),
    }
}
