//! Who is asking, as the kernel tells.

use crate::grant::ProgramKey;
use std::path::PathBuf;

/// One process, for as long as it lives: a pid alone may be used again, a pid with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessInstance {
    /// Process id in the agent's own pid namespace.
    pub pid: u32,
    /// Start time, in the kernel's own unit (Linux: clock ticks since boot).
    pub start_time: u64,
}

/// One file as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Canonical path.
    pub path: PathBuf,
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

impl FileIdentity {
    /// The digest as 64 lower-case hexadecimal digits.
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// The program a process is, by the contract's "Who the peer is".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Program {
    /// An ordinary executable.
    Executable {
        /// The file the process runs.
        file: FileIdentity,
        /// A generic HTTP client (curl, wget): whoever starts it is behind it, so it holds no lasting grant.
        generic_client: bool,
    },
    /// An interpreter or a shell running a file: that file is the program.
    Script {
        /// The interpreter.
        interpreter: FileIdentity,
        /// The file it runs.
        script: FileIdentity,
    },
    /// An interpreter or a shell without a file (`-c`, standard input, a module).
    Inline {
        /// The interpreter.
        interpreter: FileIdentity,
    },
    /// A person's terminal: an interactive shell stands for its terminal session.
    Terminal {
        /// The shell.
        shell: FileIdentity,
        /// Device number of the controlling terminal.
        tty: u32,
        /// Leader of the terminal session.
        leader: ProcessInstance,
    },
}

impl Program {
    /// What grants and sessions are bound to. Equal keys mean the same program.
    pub fn key(&self) -> ProgramKey {
        ProgramKey::new(match self {
            Self::Executable { file, .. } => format!("exe:{}:{}", file.digest_hex(), file.path.display()),
            Self::Script { interpreter, script } => format!(
                "script:{}:{}:{}:{}",
                interpreter.digest_hex(),
                script.digest_hex(),
                interpreter.path.display(),
                script.path.display()
            ),
            Self::Inline { interpreter } => {
                format!("inline:{}:{}", interpreter.digest_hex(), interpreter.path.display())
            }
            Self::Terminal { tty, leader, .. } => format!("terminal:{tty}:{}:{}", leader.pid, leader.start_time),
        })
    }

    /// The file shown as its name: the script where there is one.
    pub fn file(&self) -> &FileIdentity {
        match self {
            Self::Executable { file, .. } => file,
            Self::Script { script, .. } => script,
            Self::Inline { interpreter } => interpreter,
            Self::Terminal { shell, .. } => shell,
        }
    }

    /// The executable the kernel runs, whatever it reads.
    pub fn executable(&self) -> &FileIdentity {
        match self {
            Self::Executable { file, .. } => file,
            Self::Script { interpreter, .. } | Self::Inline { interpreter } => interpreter,
            Self::Terminal { shell, .. } => shell,
        }
    }

    /// Whether it may hold a grant for today.
    pub fn may_hold_today(&self) -> bool {
        !matches!(self, Self::Inline { .. })
    }

    /// Whether it may hold a grant for always: only what has an executable identity of its own.
    pub fn may_hold_always(&self) -> bool {
        matches!(self, Self::Executable { generic_client: false, .. })
    }

    /// Whether its question may be parked instead of held on the connection.
    pub fn may_park(&self) -> bool {
        !matches!(self, Self::Inline { .. })
    }
}

/// The local process that asks, as it was identified at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its real user id, equal to the agent's.
    pub uid: u32,
    /// The process on the other end of the connection (for `daypass`: `daypass` itself).
    pub instance: ProcessInstance,
    /// The process the question is attributed to; differs from `instance` only for `daypass`, which stands for its parent.
    pub subject: ProcessInstance,
    /// Leader of the subject's session; the eldest of its ancestors in that session where the leader has ended or cannot be
    /// seen. Tells where the question came from, not who asks; `None` where the system does not tell.
    pub session_leader: Option<ProcessInstance>,
    /// What program the subject is; `None` = not identified.
    pub program: Option<Program>,
    /// Whether the connected process itself is one of Daypass's own programs on the user socket.
    pub first_party: bool,
    /// Who started the subject, shown only: a short name such as `bash`.
    pub started_by: Option<String>,
    /// The package that owns the program's file, such as `deb:git`, where one does.
    pub package: Option<String>,
}
