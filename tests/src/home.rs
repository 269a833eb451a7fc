//! A throw-away home: every folder, variable and program of one imagined user.

use crate::{
    http,
    process::{self, Output},
};
use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

/// The home. It is removed when this value goes, and an agent that was started in it by `daypass` is ended.
pub struct Home {
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    bus: Mutex<Option<String>>,
    variables: Mutex<Vec<(String, String)>>,
    programs: Mutex<Option<PathBuf>>,
    errors: Mutex<Vec<String>>,
}

impl Home {
    /// A home of the present user.
    pub fn new() -> Self {
        Self::of(None)
    }

    /// A home of another user (`uid`, `gid`); only root can make one.
    pub fn of(user: Option<(u32, u32)>) -> Self {
        // Short, because the path of a Unix socket has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("dp").tempdir().expect("a temporary folder");
        let (bus, variables, errors) = (Mutex::default(), Mutex::default(), Mutex::default());
        let home = Self { folder, user, bus, variables, programs: Mutex::default(), errors };
        if let Some((uid, gid)) = user {
            chown(home.path(), Some(uid), Some(gid)).expect("chown");
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
        for name in ["home", "home/.config", "home/.config/daypass", "home/bin", "run", "log"] {
            home.folder(name);
        }
        fs::set_permissions(home.runtime(), fs::Permissions::from_mode(0o700)).expect("chmod");
        home
    }

    /// The folder all of it is in.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in it, made when missing, of the home's user.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path().join(name);
        fs::create_dir_all(&folder).expect("mkdir");
        if let Some((uid, gid)) = self.user {
            chown(&folder, Some(uid), Some(gid)).expect("chown");
        }
        folder
    }

    /// `XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The agent's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("daypass/agent.sock")
    }

    /// The agent's database.
    pub fn database(&self) -> PathBuf {
        self.path().join("home/.local/state/daypass/daypass.db")
    }

    /// Where processes of this home leave what they say.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path().join("log").join(name)
    }

    /// The base address the agent has written down.
    pub fn address(&self) -> String {
        fs::read_to_string(self.runtime().join("daypass/address")).expect("an address file").trim().to_owned()
    }

    /// Host and port of the base address.
    pub fn authority(&self) -> String {
        self.address().strip_prefix("http://").expect("http on loopback").to_owned()
    }

    /// Makes every later process use this D-Bus, or none.
    pub fn use_bus(&self, address: Option<String>) {
        *self.bus.lock().unwrap() = address;
    }

    /// A folder with Daypass's programs that this home uses from now on, with `e2e-desktop` in the place of
    /// `daypass-desktop`.
    pub fn install_with_desktop(&self) -> PathBuf {
        let folder = self.folder("programs");
        for (from, to) in
            [("daypass-agent", "daypass-agent"), ("daypass", "daypass"), ("e2e-desktop", "daypass-desktop")]
        {
            let (from, to) = (crate::program(from), folder.join(to));
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(from, to).expect("copy");
            }
        }
        *self.programs.lock().unwrap() = Some(folder.clone());
        folder
    }

    /// One of Daypass's programs as this home uses it.
    pub fn program(&self, name: &str) -> PathBuf {
        let installed = self.programs.lock().unwrap().as_ref().map(|folder| folder.join(name));
        installed.unwrap_or_else(|| crate::program(name))
    }

    /// Gives every later process this variable.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.variables.lock().unwrap().push((name.to_owned(), value.to_owned()));
    }

    /// Writes the user layer of the profile.
    pub fn write_profile(&self, text: &str) {
        self.write("home/.config/daypass/profile.toml", text, 0o600);
    }

    /// Writes a file of the home's user.
    pub fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = self.path().join(name);
        fs::write(&file, text).expect("write");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
        if let Some((uid, gid)) = self.user {
            chown(&file, Some(uid), Some(gid)).expect("chown");
        }
        file
    }

    /// A program of its own: a script that hands its words to `daypass` and ends as that did.
    pub fn script(&self, name: &str) -> PathBuf {
        let text = format!("#!/bin/sh\n# {name}\n\"{}\" \"$@\"\nexit $?\n", self.program("daypass").display());
        self.write(&format!("home/bin/{name}"), &text, 0o755)
    }

    /// Gives a command this home's environment and user, and nothing else.
    pub fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let home = self.path().join("home");
        command.env_clear().current_dir(&home);
        for name in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LANG", "C.UTF-8")
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            .env("XDG_RUNTIME_DIR", self.runtime())
            // Nobody listens there unless a test wants it: the screen of this machine is none of the tests' business.
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.runtime().join("system_bus").display()))
            .env("NO_PROXY", "127.0.0.1,localhost,[::1]")
            .env("HOME", &home);
        if let Some(bus) = &*self.bus.lock().unwrap() {
            command.env("DBUS_SESSION_BUS_ADDRESS", bus);
        }
        command.envs(self.variables.lock().unwrap().iter().cloned());
        process::as_user(command, self.user)
    }

    /// Runs a command in this home to its end.
    pub fn run(&self, program: impl AsRef<OsStr>, words: &[&str], input: &str, limit: Duration) -> Output {
        let mut command = Command::new(program);
        let output = process::run(self.prepare(command.args(words)), input, limit);
        self.errors.lock().unwrap().push(output.stderr.clone());
        output
    }

    /// Runs `daypass` as a child of this test, which is the program it asks for.
    pub fn daypass(&self, words: &[&str]) -> Output {
        self.run(self.program("daypass"), words, "", Duration::from_secs(150))
    }

    /// Runs curl in this home; each answer starts with its status line and headers.
    pub fn curl(&self, words: &[&str]) -> Output {
        let words = [&["--silent", "--show-error", "--include", "--max-time", "140"], words].concat();
        self.run("curl", &words, "", Duration::from_secs(150))
    }

    /// Whether an agent answers on the socket; asked as the home's user, because nobody else gets an answer.
    pub fn healthy(&self) -> bool {
        if self.user.is_some() {
            let socket = self.socket().display().to_string();
            return self
                .curl(&["--unix-socket", &socket, "http://localhost/healthz"])
                .stdout
                .starts_with("HTTP/1.1 204");
        }
        http::get_on_socket(&self.socket(), "/healthz").is_ok_and(|answer| answer.status == 204)
    }

    /// What every command run here so far said on standard error.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// The process at the other end of the agent's socket, if somebody listens there.
    pub fn agent_pid(&self) -> Option<u32> {
        let _quiet = process::quiet();
        let stream = std::os::unix::net::UnixStream::connect(self.socket()).ok()?;
        let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Ends an agent that `daypass` has started here.
    pub fn stop_agent(&self) {
        if let Some(pid) = self.agent_pid() {
            process::signal(pid, rustix::process::Signal::TERM);
            for _ in 0..500 {
                if !process::lives(pid) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            process::signal(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.stop_agent();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log("agent.log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the agent's last lines\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            let seen = fs::read_to_string(self.log("browser.jsonl")).unwrap_or_default();
            eprintln!("--- the browser's pages\n{seen}");
        }
    }
}
