//! The harness of the end-to-end tests: real processes, a certified provider, a real keychain, a real browser.
//!
//! Everything a test starts lives in a throw-away home, speaks on loopback only and is ended by its process id when the
//! test is over. Of Daypass only the wire's tables are linked in: the tests
//! see what a user and a program see.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a harness fails loudly")]
#![allow(clippy::format_push_string, reason = "plain to read, and speed does not matter here")]

pub mod agent;
pub mod browser;
pub mod bus;
pub mod canary;
#[cfg(feature = "desktop")]
pub mod desktop;
pub mod documents;
pub mod glewlwyd;
pub mod home;
pub mod html;
pub mod http;
pub mod keyring;
pub mod navigate;
pub mod notifications;
pub mod orders;
pub mod process;
pub mod prompt;
pub mod provider;
pub mod robot;
pub mod screen;
pub mod world;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The folder of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// Folder of the test provider, with its npm packages installed.
pub fn provider_folder() -> PathBuf {
    let folder = repository().join("tests/provider");
    assert!(folder.join("node_modules/oidc-provider").is_dir(), "the test provider is not installed: run `make test`");
    folder
}

/// A program of this workspace, built beside the running test.
pub fn program(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().expect("a test knows its own file");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let file = folder.join(name);
    assert!(file.is_file(), "{name} is not built: run `make build`, which puts it into {}", folder.display());
    file
}

/// Polls `done` every 20 ms until it gives a value.
///
/// # Panics
/// After `limit`, naming `what`.
pub fn until<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The claims of a JWT, unverified: tests compare them, verifiers of other makers verify them.
pub fn claims(jwt: &str) -> serde_json::Value {
    use base64::Engine as _;
    let body = jwt.split('.').nth(1).unwrap_or_else(|| panic!("not a JWT: {} characters", jwt.len()));
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).expect("base64url");
    serde_json::from_slice(&body).expect("JSON claims")
}
