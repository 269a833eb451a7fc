//! The real browser: `tests/provider/robot.mjs` with a headless Chromium.

use crate::orders::Orders;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A running browser that answers as it is told.
pub struct Robot {
    orders: Orders,
    /// Where addresses to open are written to.
    pub socket: PathBuf,
}

impl Robot {
    /// Starts one with a fresh profile in `folder`.
    pub fn start(folder: &Path) -> Self {
        let folders = std::env::var("PATH").unwrap_or_default();
        let chromium = ["chromium", "chromium-browser", "google-chrome"]
            .iter()
            .flat_map(|name| folders.split(':').map(move |folder| Path::new(folder).join(name)))
            .find(|file| file.is_file())
            .expect("Chromium is not installed: run `make test`");
        let socket = folder.join("robot.sock");
        let mut command = Command::new("node");
        command
            .current_dir(crate::provider_folder())
            .args(["robot.mjs", "--chromium"])
            .arg(chromium)
            .arg("--socket")
            .arg(&socket)
            .arg("--profile")
            .arg(folder.join("chromium"))
            .env("HOME", folder)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stderr(Stdio::null());
        Self { orders: Orders::start(&mut command), socket }
    }

    /// How consent questions are answered from now on; pictures of Daypass's pages go to `tests/artefacts/`.
    pub fn answer(&self, consent: &str) {
        let pictures = crate::repository().join("tests/artefacts");
        self.orders.obey(&json!({"do": "mode", "consent": consent, "pictures": pictures}));
    }

    /// Every document shown so far.
    pub fn pages(&self) -> Vec<Value> {
        self.orders.obey(&json!({"do": "pages"}))["pages"].as_array().cloned().unwrap_or_default()
    }

    /// The documents of one kind (`sign-in`, `authorization`, `consent`, `page`).
    pub fn pages_of(&self, kind: &str) -> Vec<Value> {
        self.pages().into_iter().filter(|page| page["kind"] == kind).collect()
    }
}
