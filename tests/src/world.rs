//! A whole small world for one test: home, keychain, provider, browser and agent, with an account and four resources.

use crate::{
    agent::Agent,
    browser::Mode,
    home::Home,
    keyring::Keyring,
    process::Output,
    provider::{self, Provider},
    robot::Robot,
    until,
};
use serde_json::Value;
use std::{fs, net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

/// What a test wants otherwise than usual.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A real keychain; without it tokens stay in memory.
    pub keyring: bool,
    /// A real browser; without it `e2e-browser` answers.
    pub robot: bool,
    /// No `[browser] command`: nobody can be asked.
    pub nobody: bool,
    /// Programs of its own, with a stand-in for `daypass-desktop` beside the agent.
    pub desktop: bool,
    /// How the provider is set up.
    pub provider: provider::Setup,
    /// Text of a managed layer for `--managed-dir`; the words `ISSUER` and `HOME` in it are replaced.
    pub managed: Option<String>,
    /// Text added to the user layer; the word `ISSUER` in it becomes the provider's.
    pub more_profile: String,
}

/// The world. Its parts end in the order of its fields.
pub struct World {
    /// The agent.
    pub agent: Agent,
    /// The real browser, where one was wanted.
    pub robot: Option<Robot>,
    /// The provider of account `corp`.
    pub provider: Provider,
    /// The keychain, where one was wanted.
    pub keyring: Option<Keyring>,
    /// The home.
    pub home: Arc<Home>,
}

impl World {
    /// Starts everything; nobody is signed in.
    pub fn new(options: Options) -> Self {
        let home = Arc::new(Home::new());
        if options.desktop {
            home.install_with_desktop();
        }
        let keyring = options.keyring.then(|| Keyring::start(&home));
        let provider = Provider::start(options.provider);
        let robot = options.robot.then(|| Robot::start(&home.folder("robot")));
        let mode = Mode { robot: robot.as_ref().map(|robot| robot.socket.clone()), ..Mode::default() };
        mode.write(&home.log("mode.json")).expect("write");
        let browser = if options.nobody { String::new() } else { browser_command(&home) };
        let more = options.more_profile.replace("ISSUER", &provider.issuer);
        home.write_profile(&format!("{}{browser}{more}", profile(&provider.issuer, free_port())));
        let managed = options.managed.map(|text| {
            let folder = home.folder("managed");
            let text = text.replace("ISSUER", &provider.issuer);
            let text = text.replace("HOME", &home.path().join("home").display().to_string());
            home.write("managed/10-test.toml", &text, 0o644);
            folder
        });
        let agent = Agent::start(&home, managed);
        Self { agent, robot, provider, keyring, home }
    }

    /// Starts everything and signs alice in to `corp`, as `daypass login` does it.
    pub fn signed_in(options: Options) -> Self {
        let world = Self::new(options);
        world.sign_in();
        world
    }

    /// Signs in to `corp`.
    pub fn sign_in(&self) {
        self.daypass(&["login", "corp"]).ok();
    }

    /// Runs `daypass` as a child of this test.
    pub fn daypass(&self, words: &[&str]) -> Output {
        self.home.daypass(words)
    }

    /// Says how questions are answered from now on.
    pub fn answer(&self, consent: &str) {
        match &self.robot {
            Some(robot) => robot.answer(consent),
            None => self.behave(&Mode { consent: consent.to_owned(), ..Mode::default() }),
        }
    }

    /// Says how `e2e-browser` behaves from now on.
    pub fn behave(&self, mode: &Mode) {
        mode.write(&self.home.log("mode.json")).expect("write");
    }

    /// What the browser was given and saw, one line each.
    pub fn browser_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.home.log("browser.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How many windows were opened so far.
    pub fn windows(&self) -> usize {
        self.browser_log().iter().filter(|line| line.get("opened").is_some()).count()
    }

    /// Waits for the next address given to the browser after `before` of them, and returns it.
    pub fn opened_after(&self, before: usize) -> String {
        until("a window to open", Duration::from_secs(10), || {
            let log = self.browser_log();
            let opened = log.iter().filter_map(|line| line["opened"].as_str()).nth(before);
            opened.map(str::to_owned)
        })
    }

    /// Opens an address in a browser of its own.
    pub fn visit(&self, address: &str) -> Output {
        visit(&self.home, address)
    }

    /// Gets a token for `resource` with a permission for today, so that later calls need no question.
    pub fn permit(&self, resource: &str, more: &[&str]) -> String {
        self.answer("today");
        let token = self.daypass(&[&["token", resource, "--wait", "30s"], more].concat()).ok();
        self.answer("ignore");
        token
    }

    /// Status, as scripts read it.
    pub fn status(&self) -> Value {
        let output = self.daypass(&["status", "--json"]);
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("no status: {output:?}"))
    }

    /// The rows of a listing.
    pub fn rows(&self, words: &[&str]) -> Vec<Value> {
        let text = self.daypass(&[words, &["--json"]].concat()).ok();
        match serde_json::from_str(&text) {
            Ok(Value::Array(rows)) => rows,
            // One row a line, as `audit` may print them.
            _ => text.lines().map(|line| serde_json::from_str(line).expect("a row of JSON")).collect(),
        }
    }

    /// Everything the agent was told by the provider that may be nowhere else.
    pub fn secrets(&self) -> Vec<String> {
        self.provider.secrets()
    }
}

/// The `[browser]` table that makes `e2e-browser` the browser.
pub fn browser_command(home: &Home) -> String {
    let words = [crate::program("e2e-browser"), home.log("mode.json"), home.log("browser.jsonl")];
    let words: Vec<String> = words.iter().map(|word: &PathBuf| format!("{:?}", word.display().to_string())).collect();
    format!("\n[browser]\ncommand = [{}]\n", words.join(", "))
}

/// Opens an address in `e2e-browser`, which is another program than the test.
pub fn visit(home: &Home, address: &str) -> Output {
    let words = [home.log("mode.json"), home.log("browser.jsonl")].map(|word| word.display().to_string());
    home.run(crate::program("e2e-browser"), &[&words[0], &words[1], address], "", Duration::from_secs(20))
}

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The user layer: account `corp` at `issuer`, and a resource of each kind.
pub fn profile(issuer: &str, port: u16) -> String {
    format!(
        r#"version = 1

[accounts.corp]
issuer = "{issuer}"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]

[resources.payments]
account = "corp"
token = "access"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]
allowed_scopes = ["payments.read", "payments.write"]

[resources.api]
account = "corp"
token = "access"
audience = "https://api.example.com"
request = "resource"
scopes = ["api.read"]

[resources.local]
account = "corp"
token = "minted"
audience = "http://localhost:8080"

[resources.me]
account = "corp"
token = "id"

[broker]
port = {port}
"#
    )
}
