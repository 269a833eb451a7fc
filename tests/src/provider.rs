//! The certified OpenID Provider of `tests/provider/server.mjs`, told by the test how to behave.

use crate::orders::Orders;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// A running provider.
pub struct Provider {
    orders: Orders,
    /// Its issuer identifier.
    pub issuer: String,
}

/// How the provider is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Lifetime of access tokens in seconds.
    pub access_token_ttl: u32,
    /// Whether it offers revocation.
    pub revocation: bool,
    /// Whether it offers sign-ins with a code on another device.
    pub device: bool,
    /// Whether it takes pushed authorization requests only.
    pub requires_pushing: bool,
    /// Whether a native client may find a person it knows without showing anything.
    pub lenient: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { access_token_ttl: 300, revocation: true, device: true, requires_pushing: false, lenient: false }
    }
}

impl Provider {
    /// Starts one on a free port.
    pub fn start(setup: Setup) -> Self {
        let mut command = Command::new("node");
        command
            .current_dir(crate::provider_folder())
            .args(["server.mjs", "--access-token-ttl", &setup.access_token_ttl.to_string()])
            .env_remove("NODE_OPTIONS")
            .stderr(Stdio::null());
        for (wanted, flag) in [
            (!setup.revocation, "--no-revocation"),
            (!setup.device, "--no-device"),
            (setup.requires_pushing, "--require-par"),
            (setup.lenient, "--lenient"),
        ] {
            if wanted {
                command.arg(flag);
            }
        }
        let orders = Orders::start(&mut command);
        let issuer = orders.greeting["issuer"].as_str().expect("an issuer").to_owned();
        Self { orders, issuer }
    }

    /// Every request seen so far.
    pub fn requests(&self) -> Vec<Value> {
        self.orders.obey(&json!({"do": "requests"}))["requests"].as_array().cloned().unwrap_or_default()
    }

    /// How many requests of this grant type the token endpoint has answered.
    pub fn token_requests(&self, grant_type: &str) -> usize {
        self.requests().iter().filter(|r| r["route"] == "token" && r["grant_type"] == grant_type).count()
    }

    /// How many refreshes it has answered.
    pub fn refreshes(&self) -> usize {
        self.token_requests("refresh_token")
    }

    /// Every code and token it gave out or was shown.
    pub fn secrets(&self) -> Vec<String> {
        let answer = self.orders.obey(&json!({"do": "secrets"}));
        answer["secrets"].as_array().into_iter().flatten().filter_map(|s| s.as_str().map(str::to_owned)).collect()
    }

    /// Never answers on `path` from now on.
    pub fn hang(&self, path: &str) {
        self.orders.obey(&json!({"do": "rule", "path": path, "delay": -1}));
    }

    /// Answers on `path` this many milliseconds late.
    pub fn delay(&self, path: &str, milliseconds: u32) {
        self.orders.obey(&json!({"do": "rule", "path": path, "delay": milliseconds}));
    }

    /// Answers on `path` with something else.
    pub fn answer(&self, path: &str, status: u16, content_type: &str, body: &str) {
        self.orders.obey(&json!({"do": "rule", "path": path, "status": status, "type": content_type, "body": body}));
    }

    /// Behaves again on `path`.
    pub fn behave(&self, path: &str) {
        self.orders.obey(&json!({"do": "rule", "path": path}));
    }

    /// Whoever signs in from now on did so this many seconds ago.
    pub fn age(&self, seconds: u32) {
        self.orders.obey(&json!({"do": "age", "seconds": seconds}));
    }

    /// Whoever signs in from now on does so by this authentication context class.
    pub fn acr(&self, class: Option<&str>) {
        self.orders.obey(&json!({"do": "acr", "value": class}));
    }

    /// The requests of one route seen so far.
    pub fn requests_to(&self, route: &str) -> Vec<Value> {
        self.requests().into_iter().filter(|request| request["route"] == route).collect()
    }

    /// Closes the listener and every connection.
    pub fn down(&self) {
        self.orders.obey(&json!({"do": "down"}));
    }

    /// Listens again on the same port, with everything it knew.
    pub fn up(&self) {
        self.orders.obey(&json!({"do": "up"}));
    }
}
