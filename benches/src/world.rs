//! The measured world: a private home with keychain, issuers, and an agent whose managed test policy lets any program have
//! the tokens, so that nothing waits for a person. All the agent's checks are on.

use crate::load::{Server, message};
use dev_issuer::{Config, DevIssuer};
use e2e::{
    agent::Agent,
    browser::Mode,
    home::Home,
    keyring::Keyring,
    world::{browser_command, free_port},
};
use std::{os::unix::net::UnixStream, path::PathBuf, process::Command, sync::Arc, time::Duration};

/// The resource every program may have, at the first account.
pub const RESOURCE: &str = "payments";

/// A resource of the first account that a person is asked about.
pub const ASKED: &str = "wages";
/// The resource of the second account.
pub const ORDERS: &str = "orders";
/// A resource of the first account for listed programs only; this one is the last of its list.
pub const LISTED: &str = "listed";
/// The resource of the third account, whose tokens live shortly.
pub const BRIEF: &str = "brief";

/// The world. Its parts end in the order of its fields.
pub struct World {
    /// The agent.
    pub agent: Agent,
    /// The issuers of the accounts `one`, `two` and `three`.
    pub issuers: [DevIssuer; 3],
    /// The keychain.
    pub keyring: Keyring,
    /// The home.
    pub home: Arc<Home>,
    /// The directory of the managed layer.
    pub managed: PathBuf,
    /// Seconds an access token of account `three` lives.
    pub short: u32,
}

impl World {
    /// Starts everything and signs in to every account; access tokens of account `three` live `short` seconds, others an hour.
    pub fn new(short: u32) -> Self {
        Self::with(short, 3, 5, 1)
    }

    /// The same under a profile of so many accounts and resources, and with so many programs listed for [`LISTED`].
    pub fn with(short: u32, accounts: usize, resources: usize, programs: usize) -> Self {
        let home = Arc::new(Home::new());
        let keyring = Keyring::start(&home);
        let issuers = [3600, 3600, short].map(|access_lifetime| {
            DevIssuer::start(Config { access_lifetime, ..Config::default() }).expect("an issuer starts")
        });
        Mode::default().write(&home.log("mode.json")).expect("write");
        let port = free_port();
        home.write_profile(&format!("version = 1\n{}\n[broker]\nport = {port}\n", browser_command(&home)));
        let managed = home.folder("managed");
        home.write("managed/10-bench.toml", &policy(&issuers), 0o644);
        home.write("managed/20-more.toml", &more(&issuers[0], accounts, resources), 0o644);
        home.write("managed/30-listed.toml", &listed(programs), 0o644);
        let agent = Agent::start(&home, Some(managed.clone()));
        let world = Self { agent, issuers, keyring, home, managed, short };
        for account in ["one", "two", "three"] {
            world.home.daypass(&["login", account]).ok();
        }
        world.home.daypass(&["token", RESOURCE]).ok();
        world
    }

    /// A command in this home's environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.home.prepare(command.args(words));
        command
    }

    /// Asks for a token of `resource` as this program and has the person say "always".
    pub fn allow(&self, resource: &str) {
        Mode { consent: "always".to_owned(), ..Mode::default() }.write(&self.home.log("mode.json")).expect("write");
        let body = format!(r#"{{"resource":"{resource}","wait":20}}"#);
        let request = message(&Server::Socket(self.home.socket()), &body, None);
        let stream = UnixStream::connect(self.home.socket()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(25))).expect("own socket");
        let answer = e2e::http::exchange(stream, &request).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// `daypass token RESOURCE`.
    pub fn daypass_token(&self) -> Command {
        self.command(e2e::program("daypass"), &["token", RESOURCE])
    }
}

fn policy(issuers: &[DevIssuer; 3]) -> String {
    let accounts = ["one", "two", "three"].into_iter().zip(issuers).map(|(account, issuer)| {
        let issuer = issuer.issuer();
        format!(
            r#"
[accounts.{account}]
issuer = "{issuer}"
client_id = "daypass"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
"#
        )
    });
    let listed = "consent = \"preapproved\"\npeers = \"any\"\n";
    let resources = [(RESOURCE, "one", listed), (ASKED, "one", ""), (ORDERS, "two", listed), (BRIEF, "three", listed)];
    let resources = resources.map(|(resource, account, consent)| {
        format!(
            r#"
[resources.{resource}]
account = "{account}"
token = "access"
audience = "https://{resource}.example.com"
request = "resource"
scopes = ["{resource}.read"]
{consent}"#
        )
    });
    std::iter::once("version = 1\nname = \"Benchmark\"\n".to_owned()).chain(accounts).chain(resources).collect()
}

/// Accounts and resources that nobody asks for, so that there are this many with those of [`policy`] and [`listed`].
fn more(issuer: &DevIssuer, accounts: usize, resources: usize) -> String {
    let issuer = issuer.issuer();
    let accounts = accounts.saturating_sub(3).max(1);
    let account = |n| {
        format!("\n[accounts.more-{n}]\nissuer = \"{issuer}\"\nclient_id = \"daypass-{n}\"\nscopes = [\"openid\"]\n")
    };
    let resource = |n| {
        format!(
            r#"
[resources.more-{n}]
account = "more-{}"
audience = "https://more-{n}.example.com"
scopes = ["more-{n}.read"]
consent = "preapproved"
peers = [{{ path = "/usr/bin/git" }}]
"#,
            n % accounts
        )
    };
    let accounts_text = (0..if resources > 5 { accounts } else { 0 }).map(account);
    let resources_text = (0..resources.saturating_sub(5)).map(resource);
    std::iter::once("version = 1\n".to_owned()).chain(accounts_text).chain(resources_text).collect()
}

/// The resource for listed programs: this program, by its digest, after all the others.
fn listed(programs: usize) -> String {
    let own = std::env::current_exe().expect("own path");
    let output = Command::new("sha256sum").arg(&own).output().expect("sha256sum runs");
    let digest = String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or_default().to_owned();
    let others = (1..programs).map(|n| format!("  {{ path = \"/opt/vendor/tool-{n}/bin/tool\" }},\n"));
    let own = format!("  {{ path = {:?}, sha256 = \"{digest}\" }},\n", own.display().to_string());
    let peers: String = others.chain([own]).collect();
    format!(
        r#"version = 1

[resources.{LISTED}]
account = "one"
token = "access"
audience = "https://{LISTED}.example.com"
request = "resource"
scopes = ["{LISTED}.read"]
consent = "preapproved"
peers = [
{peers}]
"#
    )
}
