//! The throw-away home: its folders, the environment that leads every process there, the profile, the copied program.
//!
//! Invariant: a process started with [`Home::command`] sees no variable of the person's environment but `PATH`.

use crate::{
    Failure,
    tidy::{self, Tidy},
};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Longest path of a Unix socket, less than the kernel's 108 bytes.
const SOCKET_PATH_LIMIT: usize = 100;

/// A home that goes away.
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// Makes the folders.
    pub(crate) fn make(tidy: &Tidy) -> Result<Self, Failure> {
        let home = Self { root: tidy.make_home()? };
        if home.socket().as_os_str().len() > SOCKET_PATH_LIMIT {
            return Err(Failure::new("the folder for temporary files has too long a name for a socket")
                .hint("set TMPDIR to a shorter path"));
        }
        for folder in ["run", "config/daypass", "state", "data", "cache", "bin", "scratch"] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(home.root.join(folder))
                .map_err(Failure::during("the throw-away home cannot be furnished"))?;
        }
        Ok(home)
    }

    /// The runtime folder.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// A folder for files of a moment.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// What the agent says goes here.
    pub(crate) fn agent_log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// The agent's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join(tidy::AGENT_SOCKET)
    }

    /// The file that holds the agent's base address.
    pub(crate) fn address_file(&self) -> PathBuf {
        self.run().join("daypass/address")
    }

    /// The private session bus.
    pub(crate) fn bus(&self) -> PathBuf {
        self.run().join("bus")
    }

    /// `program` in the throw-away environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", &self.root)
            .env("LANG", "C.UTF-8")
            .env("TMPDIR", self.scratch())
            .env("XDG_RUNTIME_DIR", self.run())
            .env("XDG_CONFIG_HOME", self.root.join("config"))
            .env("XDG_STATE_HOME", self.root.join("state"))
            .env("XDG_DATA_HOME", self.root.join("data"))
            .env("XDG_CACHE_HOME", self.root.join("cache"))
            // Set even where no bus is, so that nobody finds the person's own.
            .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.bus().display()));
        command
    }

    /// Writes the user profile layer.
    pub(crate) fn write_profile(&self, issuer: &str, browser: &[String]) -> Result<(), Failure> {
        self.write("config/daypass/profile.toml", profile(issuer, browser).as_bytes())
    }

    /// Writes a file only this user can read.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.root.join(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, content))
            .map_err(Failure::during("a file of the throw-away home cannot be written"))
    }

    /// A copy of this program under another name and with another digest, so that it is another program.
    pub(crate) fn unknown_program(&self, name: &str) -> Result<PathBuf, Failure> {
        let failed = "the unknown program cannot be made";
        let own = std::env::current_exe().map_err(Failure::during(failed))?;
        let path = self.root.join("bin").join(name);
        let mut bytes = fs::read(own).map_err(Failure::during(failed))?;
        // What follows the last section of an ELF file is not looked at when it runs.
        bytes.extend_from_slice(name.as_bytes());
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o700);
        options
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))
            .map_err(Failure::during(failed))?;
        Ok(path)
    }
}

/// The profile, with one account and two resources.
fn profile(issuer: &str, browser: &[String]) -> String {
    // A JSON string or array of strings is one in TOML, too.
    let quote = |value: &serde_json::Value| value.to_string();
    format!(
        r#"version = 1
name = "Daypass demo"

[accounts.demo]
issuer = {issuer}
client_id = "daypass-demo"
redirect_uri = ["http://127.0.0.1/callback"]
scopes = ["openid", "profile", "email"]
offline = "auto"

[resources.local]
account = "demo"
token = "minted"
audience = "http://localhost:8080"
scopes = ["local.read"]

[resources.payments]
account = "demo"
token = "access"
audience = "https://payments.example.com"
request = "resource"
scopes = ["payments.read"]

[browser]
command = {browser}

[broker]
port = 0
"#,
        issuer = quote(&issuer.into()),
        browser = quote(&browser.into()),
    )
}

/// The first file called `name` in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_private_and_its_environment_is_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let tidy = Tidy::plain();
        let home = Home::make(&tidy).unwrap();
        for folder in [home.root.clone(), home.run()] {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let output =
            tidy.run("env", &home.command(Path::new("/usr/bin/env")), None, std::time::Duration::from_secs(10));
        for line in output.unwrap().stdout.lines() {
            let (name, value) = line.split_once('=').unwrap();
            let ours = value.contains(home.root.to_str().unwrap()) || ["PATH", "LANG"].contains(&name);
            assert!(ours, "{line}");
        }
        tidy.clear().unwrap();
    }

    #[test]
    fn the_profile_quotes_what_it_is_given() {
        let text = profile("http://127.0.0.1:1/\"x", &["/a b/\\demo".to_owned(), "drive-browser".to_owned()]);
        assert!(text.contains(r#"issuer = "http://127.0.0.1:1/\"x""#));
        assert!(text.contains(r#"command = ["/a b/\\demo","drive-browser"]"#));
    }

    #[test]
    fn the_unknown_program_is_another_file_with_another_digest() {
        use sha2::{Digest, Sha256};
        use std::os::unix::fs::MetadataExt;
        let tidy = Tidy::plain();
        let home = Home::make(&tidy).unwrap();
        let copied = home.unknown_program("payments-cli").unwrap();
        let own = std::env::current_exe().unwrap();
        let digest = |path: &Path| Sha256::digest(fs::read(path).unwrap());
        assert_ne!(digest(&copied), digest(&own));
        assert_ne!(fs::metadata(&copied).unwrap().ino(), fs::metadata(&own).unwrap().ino());
        let output =
            tidy.run("copy", home.command(&copied).arg("--list"), None, std::time::Duration::from_secs(20)).unwrap();
        assert!(output.status.success(), "the copy runs: {}", output.stderr);
        tidy.clear().unwrap();
    }
}
