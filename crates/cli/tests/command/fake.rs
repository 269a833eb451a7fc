//! A scripted agent on a socket in a home of its own, and the command run against it.

use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Every secret of these tests contains it; it may reach stdout and nothing else.
pub(crate) const CANARY: &str = "CANARY-5f0c";

/// One process at a time is begun, and no file is written meanwhile, so that no executable is open for writing when run.
static SPAWN: Mutex<()> = Mutex::new(());

/// What the command asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Asked {
    /// Method and path as one text.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What the agent does then.
pub(crate) enum Reply {
    Json(u16, Value),
    Nothing,
    Late(Duration, Box<Reply>),
    Raw(Vec<u8>),
    Hang,
}

/// 200 with a body.
pub(crate) fn ok(body: Value) -> Reply {
    Reply::Json(200, body)
}

/// A refusal with this code.
pub(crate) fn refusal(code: localapi::Code) -> Reply {
    Reply::Json(
        code.status(),
        json!({"error": code.error(), "code": code.as_str(), "error_description": format!("this is {}", code.as_str())}),
    )
}

/// A token answer.
pub(crate) fn token_answer(resource: &str) -> Value {
    json!({
        "access_token": format!("{CANARY}.{resource}"), "token_type": "Bearer", "expires_in": 290,
        "expires_at": "2026-01-01T00:00:00Z", "scope": "payments.read", "resource": resource,
        "issued_token_type": localapi::ACCESS_TOKEN_TYPE,
    })
}

/// A home with nothing running in it.
pub(crate) struct Home {
    directory: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Asked>>>,
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["runtime", "runtime/daypass", "config", "state", "bin"] {
            let path = directory.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        Self { directory, seen: Arc::default() }
    }

    /// A home with an agent that does what `script` says.
    pub(crate) fn with(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let home = Self::new();
        home.serve(script);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn serve(&self, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        let socket = self.path("runtime/daypass/agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        fs::set_permissions(&socket, Permissions::from_mode(0o600)).unwrap();
        let (seen, script): (_, Arc<Script>) = (Arc::clone(&self.seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                std::thread::spawn(move || converse(stream.unwrap(), &seen, &*script));
            }
        });
    }

    /// What was asked so far.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// The lines of what was asked so far.
    pub(crate) fn seen_lines(&self) -> Vec<String> {
        self.seen().iter().map(Asked::line).collect()
    }

    /// The command in this home, without a terminal.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.directory.path()).stdin(Stdio::null());
        for (name, place) in
            [("XDG_RUNTIME_DIR", "runtime"), ("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")]
        {
            command.env(name, self.path(place));
        }
        command
    }

    /// `daypass` with these arguments.
    pub(crate) fn daypass(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_daypass"));
        command.args(arguments);
        command
    }

    /// Runs `daypass` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        end(&mut self.daypass(arguments))
    }

    /// The executable of these tests under another name.
    pub(crate) fn own_executable_as(&self, name: &str) -> PathBuf {
        let _guard = SPAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        place(&std::env::current_exe().unwrap(), &self.path(name));
        self.path(name)
    }

    /// A `daypass` in a directory of its own, with this script as the `daypass-agent` beside it.
    pub(crate) fn beside(&self, script: Option<&str>) -> PathBuf {
        let _guard = SPAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let daypass = self.path("bin/daypass");
        place(env!("CARGO_BIN_EXE_daypass").as_ref(), &daypass);
        if let Some(script) = script {
            let agent = self.path("bin/daypass-agent");
            fs::write(&agent, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
        }
        daypass
    }
}

/// The same executable at another place.
fn place(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// It ended with `code`, said `text` on stderr, and left stdout empty.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, text: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(text), "{text:?} is not in {:?}", self.err);
        assert!(self.err.starts_with("daypass: "), "{:?}", self.err);
        assert_eq!(self.out, "");
        assert!(!self.err.contains("panicked"));
    }

    /// It ended well, with exactly this on stdout.
    #[track_caller]
    pub(crate) fn answered(&self, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(0), out), "{:?}", self.err);
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ended.err.contains(CANARY), "a token on stderr: {}", ended.err);
        ended
    }
}

/// Starts a command whose stdout and stderr are kept.
pub(crate) fn begin(command: &mut Command) -> Child {
    let _guard = SPAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts a command as it is set up.
pub(crate) fn begin_as_is(command: &mut Command) -> Child {
    let _guard = SPAWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    command.spawn().unwrap()
}

/// Runs a command to its end.
pub(crate) fn end(command: &mut Command) -> Ended {
    begin(command).wait_with_output().unwrap().into()
}

fn converse(mut stream: UnixStream, seen: &Mutex<Vec<Asked>>, script: &Script) {
    let mut buffer = Vec::new();
    while let Some(asked) = question(&mut stream, &mut buffer) {
        seen.lock().unwrap().push(asked.clone());
        if !answer(&mut stream, script(&asked)) {
            return;
        }
    }
}

fn question(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let mut more = |buffer: &mut Vec<u8>| {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).ok().filter(|&read| read > 0)?;
        buffer.extend_from_slice(&chunk[..read]);
        Some(())
    };
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(buffer)?;
    };
    let text = String::from_utf8(buffer[..head].to_vec()).unwrap();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while buffer.len() < head + length {
        more(buffer)?;
    }
    let body = serde_json::from_slice(&buffer[head..head + length]).unwrap_or(Value::Null);
    buffer.drain(..head + length);
    let mut words = text.split(' ');
    Some(Asked { method: words.next()?.to_owned(), path: words.next()?.to_owned(), body })
}

/// Whether the connection goes on.
fn answer(stream: &mut UnixStream, reply: Reply) -> bool {
    match reply {
        Reply::Json(status, body) => {
            let body = body.to_string();
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).is_ok()
        }
        Reply::Nothing => stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok(),
        Reply::Late(time, reply) => {
            std::thread::sleep(time);
            answer(stream, *reply)
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            false
        }
        Reply::Hang => {
            // Until the other end gives up.
            let _ = stream.read(&mut [0; 16]);
            false
        }
    }
}
