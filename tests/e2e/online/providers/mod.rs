//! A first token at each provider: the profile its page in `docs/providers` shows, against an imitation of it.
//!
//! An imitation is no provider: which of its habits are documented and which are assumed stands at the head of its module
//! in `crates/dev-issuer/src/imitation`, and at the head of each test here.

mod demo;
mod entra;
mod glewlwyd;
mod google;
mod keycloak;
mod odd;
mod okta;

use dev_issuer::{Config, DevIssuer, Entry, Imitation, Registration};
use e2e::{
    agent::Agent,
    browser::Mode,
    documents,
    home::Home,
    process::Output,
    world::{browser_command, free_port},
};
use serde_json::Value;
use std::sync::Arc;

/// A home with an agent and a browser, and the provider where it is one of ours.
struct Stage {
    agent: Agent,
    issuer: Option<DevIssuer>,
    home: Arc<Home>,
    profile: String,
}

/// The profile on a page of `docs/providers`.
fn documented(page: &str) -> String {
    let blocks = documents::blocks(&format!("docs/providers/{page}.md"));
    let mut profiles = blocks.into_iter().filter(|block| block.language == "toml");
    let profile = profiles.next().unwrap_or_else(|| panic!("{page} shows no profile"));
    assert!(profiles.next().is_none(), "{page} shows more than one profile");
    profile.text
}

/// What stands in quotes behind `key = ` on the first line that has it.
fn value(profile: &str, key: &str) -> String {
    let line = profile.lines().find(|line| line.starts_with(&format!("{key} = "))).expect(key);
    line.split('"').nth(1).unwrap().to_owned()
}

impl Stage {
    /// The documented profile of `page`, with the issuer an imitation has and ports that are free.
    fn imitating(imitation: Imitation, page: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut profile = documented(page);
        for port in [":8400", ":8401"] {
            profile = profile.replace(port, &format!(":{}", free_port()));
        }
        let line = profile.lines().find(|line| line.starts_with("redirect_uri = ")).unwrap();
        let client = Registration {
            client_id: value(&profile, "client_id"),
            client_secret: profile.contains("\nclient_secret = ").then(|| value(&profile, "client_secret")),
            redirect_uris: line.split('"').skip(1).step_by(2).map(str::to_owned).collect(),
        };
        let mut config = Config { clients: vec![client], ..Config::imitating(imitation) };
        change(&mut config);
        Self::with(Arc::new(Home::new()), config, &profile)
    }

    /// A provider of ours and a profile, whose issuer is put right.
    fn with(home: Arc<Home>, config: Config, profile: &str) -> Self {
        let issuer = DevIssuer::start(config).unwrap();
        let profile = profile.replace(&value(profile, "issuer"), issuer.issuer());
        Self { issuer: Some(issuer), ..Self::at(home, &profile) }
    }

    /// A profile as it is.
    fn at(home: Arc<Home>, profile: &str) -> Self {
        let profile = format!("{profile}\n[broker]\nport = {}\n{}", free_port(), browser_command(&home));
        home.write_profile(&profile);
        let agent = Agent::start(&home, None);
        let stage = Self { agent, issuer: None, home, profile };
        stage.answer("ignore");
        stage
    }

    fn answer(&self, consent: &str) {
        self.behave(&Mode { consent: consent.to_owned(), ..Mode::default() });
    }

    fn behave(&self, mode: &Mode) {
        mode.write(&self.home.log("mode.json")).unwrap();
    }

    fn daypass(&self, words: &[&str]) -> Output {
        self.home.daypass(words)
    }

    /// Changes the user layer while the agent runs, and waits until it counts.
    fn change_profile(&self, from: &str, to: &str) {
        assert!(self.profile.contains(from), "{from}");
        let changes = || self.audit("profile.changed");
        let before = changes();
        self.home.write_profile(&self.profile.replace(from, to));
        e2e::until("the new profile", std::time::Duration::from_secs(10), || (changes() > before).then_some(()));
    }

    /// How many lines of this event the audit log has.
    fn audit(&self, event: &str) -> usize {
        let text = self.daypass(&["audit", "--json"]).ok();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).count()
    }

    /// Gets a token, allowing it for today.
    fn permit(&self, resource: &str) -> String {
        self.answer("today");
        let token = self.daypass(&["token", resource, "--wait", "30s"]).ok();
        self.answer("ignore");
        token
    }

    /// A new token, past the pauses between two forced ones and after a failure.
    fn renew(&self, resource: &str) -> String {
        e2e::until("a renewal", std::time::Duration::from_mins(1), || {
            let output = self.daypass(&["token", resource, "--refresh"]);
            (output.code == 0).then(|| output.ok())
        })
    }

    fn account(&self) -> Value {
        let status: Value = serde_json::from_str(&self.daypass(&["status", "--json"]).stdout).unwrap();
        status["accounts"][0].clone()
    }

    fn signed_in(&self) -> bool {
        self.account()["state"] == "signed_in"
    }

    fn issuer(&self) -> &DevIssuer {
        self.issuer.as_ref().unwrap()
    }

    /// What was asked of the token endpoint with this grant type.
    fn asked(&self, grant_type: &str) -> Vec<Entry> {
        let requests = self.issuer().journal().requests.into_iter();
        requests.filter(|entry| entry.grant_type.as_deref() == Some(grant_type)).collect()
    }

    /// What the pages of the browser said, the last first: address without query, status, title.
    fn pages(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.home.log("browser.jsonl")).unwrap_or_default();
        text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Signs in, gets a token of `resource`, and a second one by a refresh.
    fn first_tokens(&self, account: &str, resource: &str) -> (String, String) {
        self.daypass(&["login", account]).ok();
        assert!(self.signed_in(), "{}", self.account());
        let first = self.permit(resource);
        let second = self.renew(resource);
        assert_ne!(first, second);
        assert!(self.signed_in());
        (first, second)
    }
}
