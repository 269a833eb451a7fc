//! One process, read through an open `/proc/PID` directory.
//!
//! Invariant: the open directory belongs to one process for ever: when that process is gone the kernel answers `ESRCH`,
//! even if its number was given to another. So all facts read through one [`Process`] are of one process, and one that
//! was kept open can be asked again as if it were opened anew.
//! Limit: a process may execute another program between two facts; whoever combines facts checks that.

use super::files::{Effort, State};
use broker::ProcessInstance;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, readlinkat_raw, statat, statx},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::OsStr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Most processes kept open: peers, their parents and session leaders come back.
const MOST_KEPT: usize = 32;
/// Longest path the kernel gives out, and a little more.
const PATH_ROOM: usize = 4200;
/// Most bytes of a command line that are read.
const COMMAND_LINE_ROOM: usize = 64 * 1024;

/// Namespaces that must be the agent's own for names and numbers to mean the same.
const NAMESPACES: [&str; 4] = ["ns/mnt", "ns/net", "ns/user", "ns/pid"];

type Link = [u8; 40];

/// `/proc` and the agent's own namespaces.
#[derive(Debug)]
pub(super) struct Proc {
    root: OwnedFd,
    namespaces: [Link; 4],
    kept: Mutex<HashMap<u32, Arc<Process>>>,
}

/// What `/proc/PID/stat` says, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) parent: u32,
    pub(super) session: u32,
    pub(super) terminal: u32,
    pub(super) start_time: u64,
    /// Where its arguments lie in memory; 0 when that is hidden. Equal to the parent's only after a fork without exec.
    pub(super) arguments_at: u64,
    /// Its short name, made fit to be shown: at most 64 characters, none of them a control character.
    pub(super) name: String,
}

/// A process that was there when it was opened.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    directory: OwnedFd,
    status: OwnedFd,
    /// Its start time, once it was read.
    started: OnceLock<u64>,
}

impl Proc {
    pub(super) fn open() -> Result<Self, Errno> {
        let root = openat(CWD, "/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let own = Process::open(std::process::id(), open_directory(root.as_fd(), "self")?)?;
        let mut link = [0; 16];
        let length = readlinkat_raw(&root, "self", &mut link[..])?;
        if link[..length] != *std::process::id().to_string().as_bytes() {
            // It is of another pid namespace: its numbers are not those the kernel gives us.
            return Err(Errno::XDEV);
        }
        let mut namespaces = [[0; 40]; 4];
        for (link, name) in namespaces.iter_mut().zip(NAMESPACES) {
            *link = own.link(name)?;
        }
        Ok(Self { root, namespaces, kept: Mutex::default() })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory of a process, for a look at it without keeping it.
    pub(super) fn directory(&self, pid: u32) -> Result<OwnedFd, Errno> {
        let mut digits = [0_u8; 10];
        open_directory(self.root(), decimal(pid, &mut digits))
    }

    /// The living process of this number, and its facts now.
    pub(super) fn process(&self, pid: u32) -> Result<(Arc<Process>, Facts), &'static str> {
        const GONE: &str = "the process is gone";
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).cloned();
        if let Some(process) = kept
            && let Ok(facts) = process.facts()
        {
            return Ok((process, facts));
        }
        let process = Arc::new(Process::open(pid, self.directory(pid).map_err(|_| GONE)?).map_err(|_| GONE)?);
        let facts = process.facts()?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, process| process.facts().is_ok());
        }
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(pid, Arc::clone(&process));
        Ok((process, facts))
    }

    /// The living process of this number.
    pub(super) fn living(&self, pid: u32) -> Option<ProcessInstance> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).cloned();
        if let Some(process) = kept
            && let Some(start_time) = process.started.get()
            // An open directory is never another process's.
            && process.lives()
        {
            return Some(ProcessInstance { pid, start_time: *start_time });
        }
        let (process, facts) = self.process(pid).ok()?;
        Some(process.instance(&facts))
    }

    /// Whether files, sockets, users and process numbers mean the same to this process as to us.
    pub(super) fn shares_namespaces(&self, process: &Process) -> bool {
        self.namespaces.iter().zip(NAMESPACES).all(|(own, name)| process.link(name).is_ok_and(|link| link == *own))
    }
}

fn open_directory(at: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The open files of the process of this directory.
pub(super) fn open_descriptors(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(directory, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn decimal(number: u32, digits: &mut [u8; 10]) -> &str {
    let mut left = number;
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            return std::str::from_utf8(&digits[start..]).unwrap_or_default();
        }
    }
}

impl Process {
    /// The process of this open directory.
    pub(super) fn open(pid: u32, directory: OwnedFd) -> Result<Self, Errno> {
        let status = openat(&directory, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { pid, directory, status, started: OnceLock::new() })
    }

    fn link(&self, name: &str) -> Result<Link, Errno> {
        let mut link = [0; 40];
        readlinkat_raw(&self.directory, name, &mut link[..])?;
        Ok(link)
    }

    fn read(&self, name: &str, buffer: &mut [u8]) -> Result<usize, Errno> {
        let fd = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut length = 0;
        while length < buffer.len() {
            match rustix::io::read(&fd, &mut buffer[length..]) {
                Ok(0) => break,
                // A short read of a small procfs file is its end; the next read would only cost time.
                Ok(count) if count < buffer.len() - length && buffer.len() <= 4096 => {
                    length += count;
                    break;
                }
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Parent, session, terminal and start time.
    pub(super) fn facts(&self) -> Result<Facts, &'static str> {
        let mut buffer = [0; 2048];
        let length = rustix::io::pread(&self.status, &mut buffer[..], 0).map_err(|_| "the process is gone")?;
        let facts = parse_stat(&buffer[..length]).ok_or("its process status cannot be understood")?;
        let _ = self.started.set(facts.start_time);
        Ok(facts)
    }

    /// Whether it is this user's own: its real, effective, saved and file-system user.
    ///
    /// To a user who is not root the owner procfs shows says so: it is the effective user of a dumpable process, and the
    /// kernel lets nobody but root read the executable of one whose other users differ. Root may read all, so for root
    /// every one is compared.
    pub(super) fn belongs_to(&self, uid: u32) -> bool {
        if uid != 0 {
            return statat(&self.directory, "stat", AtFlags::empty()).is_ok_and(|stat| stat.st_uid == uid);
        }
        let mut buffer = [0; 4096];
        let Ok(length) = self.read("status", &mut buffer) else { return false };
        users_are(&buffer[..length], uid)
    }

    /// The file it runs: what the kernel holds open for it, not what its name leads to.
    pub(super) fn executable(&self, effort: Effort) -> Result<State, &'static str> {
        State::behind(&self.directory, "exe", effort).map_err(|_| "its executable cannot be looked at")
    }

    /// Whether it lives and runs a program that may be looked at; no file system is asked. One that has ended runs nothing.
    fn lives(&self) -> bool {
        let mut room = [0; 8];
        readlinkat_raw(&self.directory, "exe", &mut room[..]).is_ok()
    }

    /// Whether this number is one of its own threads.
    pub(super) fn has_thread(&self, number: u32) -> bool {
        let mut digits = [0; 10];
        let name = format!("task/{}", decimal(number, &mut digits));
        number == self.pid || statat(&self.directory, name, AtFlags::empty()).is_ok()
    }

    pub(super) fn executable_path(&self) -> Result<PathBuf, &'static str> {
        path_of(self.directory.as_fd(), "exe").map_err(|_| "its executable has no path")
    }

    pub(super) fn open_executable(&self) -> Result<OwnedFd, Errno> {
        openat(&self.directory, "exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Its command line as the kernel gives it, cut off at [`COMMAND_LINE_ROOM`] bytes.
    pub(super) fn command_line(&self) -> Result<Vec<u8>, Errno> {
        let mut buffer = [0; 4096];
        let length = self.read("cmdline", &mut buffer)?;
        if length < buffer.len() {
            return Ok(buffer[..length].to_vec());
        }
        let mut buffer = vec![0; COMMAND_LINE_ROOM];
        let length = self.read("cmdline", &mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Its arguments; see [`arguments_of`].
    pub(super) fn arguments(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.command_line().map(|bytes| arguments_of(&bytes))
    }

    /// Opens a path as this process would: relative to where it is now, magic links refused.
    pub(super) fn open_as_it_would(&self, path: &Path) -> Result<OwnedFd, Errno> {
        use rustix::fs::{ResolveFlags, openat2};
        let root = State::behind(&self.directory, "root", Effort::Full)?;
        if !root.is_same_file(&State::at(Path::new("/"), Effort::Full)?) {
            return Err(Errno::XDEV);
        }
        let here = openat(&self.directory, "cwd", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat2(here, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
    }

    /// Whether a full path means the same to it as to us, as far as its root goes; asked of no file system.
    pub(super) fn has_our_root(&self) -> bool {
        let mut link = [0; 8];
        readlinkat_raw(&self.directory, "root", &mut link[..]).is_ok_and(|length| link[..length] == *b"/")
    }

    /// Whether its standard input is this terminal (or whatever `/dev/tty` is to it).
    pub(super) fn reads_terminal(&self, terminal: u32) -> bool {
        let mut link = [0; 8];
        let length = readlinkat_raw(&self.directory, "fd/0", &mut link[..]);
        if !length.is_ok_and(|length| link[..length].starts_with(b"/dev/")) {
            return false;
        }
        let flags = (AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE);
        let Ok(input) = statx(&self.directory, "fd/0", flags.0, flags.1) else { return false };
        let (major, minor) = (input.stx_rdev_major, input.stx_rdev_minor);
        // The kernel's encoding of a device number in `stat` (include/linux/kdev_t.h, new_encode_dev).
        let number = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        u32::from(input.stx_mode) & 0o170_000 == 0o020_000 && (number == terminal || (major, minor) == (5, 0))
    }

    /// Whether what this descriptor of the process is open on looks as wanted.
    pub(super) fn descriptor(&self, name: &str, is_wanted: impl FnOnce(&[u8]) -> bool) -> bool {
        let mut link = [0; 64];
        let length = readlinkat_raw(&self.directory, format!("fd/{name}"), &mut link[..]);
        length.is_ok_and(|length| is_wanted(&link[..length]))
    }

    pub(super) fn open_descriptors(&self) -> Result<OwnedFd, Errno> {
        open_descriptors(&self.directory)
    }

    pub(super) fn instance(&self, facts: &Facts) -> ProcessInstance {
        ProcessInstance { pid: self.pid, start_time: facts.start_time }
    }
}

/// Number of the newest process or thread of this pid namespace (`proc_loadavg(5)`); it grows by one for each, and starts
/// again at the bottom when the numbers are used up.
pub(super) fn newest_process() -> Option<u32> {
    let file = openat(CWD, "/proc/loadavg", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buffer = [0; 128];
    let length = rustix::io::read(&file, &mut buffer[..]).ok()?;
    let number = last_number(&buffer[..length])?;
    // A stand-in for procfs (LXCFS, gVisor) may give a number that does not move.
    let real = rustix::fs::fstatfs(&file).is_ok_and(|facts| facts.f_type == rustix::fs::PROC_SUPER_MAGIC);
    (real && number != 0).then_some(number)
}

/// The last word of `/proc/loadavg`, as a number.
pub(super) fn last_number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Whether each of the four users in `/proc/PID/status` (`proc_pid_status(5)`) is this one.
pub(super) fn users_are(status: &[u8], uid: u32) -> bool {
    let mut lines = status.split(|&byte| byte == b'\n');
    let Some(line) = lines.find_map(|line| line.strip_prefix(b"Uid:")) else { return false };
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut count = 0;
    line.split_ascii_whitespace().all(|word| {
        count += 1;
        word.parse() == Ok(uid)
    }) && count == 4
}

/// The arguments in a command line, the program's own name first. One that was cut off at the end is left out.
pub(super) fn arguments_of(command_line: &[u8]) -> Vec<Vec<u8>> {
    let whole = command_line.len() < COMMAND_LINE_ROOM;
    let mut arguments: Vec<Vec<u8>> = command_line.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    if command_line.ends_with(b"\0") || !whole {
        arguments.pop();
    }
    arguments
}

/// The absolute path a link of procfs shows.
pub(super) fn path_of(at: BorrowedFd<'_>, name: &str) -> Result<PathBuf, Errno> {
    let mut buffer = [0; PATH_ROOM];
    let length = readlinkat_raw(at, name, &mut buffer[..])?;
    if length == buffer.len() || buffer[0] != b'/' {
        return Err(Errno::NAMETOOLONG);
    }
    Ok(PathBuf::from(OsStr::from_bytes(&buffer[..length])))
}

/// The path of a file we hold open ourselves.
pub(super) fn path_of_open(fd: BorrowedFd<'_>) -> Result<PathBuf, Errno> {
    use std::os::fd::AsRawFd as _;
    path_of(CWD, &format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// `proc_pid_stat(5)`. The name in parentheses is the process's own choice, so fields are counted from the last `)`.
pub(super) fn parse_stat(bytes: &[u8]) -> Option<Facts> {
    let end = bytes.iter().rposition(|&byte| byte == b')')?;
    let start = bytes.iter().position(|&byte| byte == b'(')?;
    let text = std::str::from_utf8(&bytes[end + 1..]).ok()?;
    let name = shown(bytes.get(start + 1..end)?);
    let mut facts = Facts { parent: 0, session: 0, terminal: 0, start_time: 0, arguments_at: 0, name };
    let mut seen = 0;
    for (field, word) in (3..).zip(text.split_ascii_whitespace()) {
        match field {
            4 => facts.parent = word.parse().ok()?,
            6 => facts.session = word.parse().ok()?,
            7 => facts.terminal = word.parse::<i32>().ok()?.cast_unsigned(),
            22 => facts.start_time = word.parse().ok()?,
            48 => facts.arguments_at = word.parse().ok()?,
            _ => continue,
        }
        seen += 1;
    }
    (seen >= 4).then_some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_cannot_imitate_the_fields_behind_it() {
        let line =
            |name: &str| format!("7 ({name}) S 5 7 6 34816 7 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 0 0").into_bytes();
        for name in ["sh", ") R 1 1", "a) R 1 1 1 1 1 1 1 1", "(", "x\ny", ")"] {
            let facts = parse_stat(&line(name)).unwrap();
            let read = (facts.parent, facts.session, facts.terminal, facts.start_time);
            assert_eq!(read, (5, 6, 34816, 4242), "{name:?}");
            assert_eq!(facts.name, name.replace('\n', "?"));
        }
        for bad in ["", "7 (sh", "7 (sh) S", "7 (sh) S x 7 6 0 7 4 1 2 3 4 5 6 7 8 20 0 1 0 4242", "7 (sh) S 5 7 6 0"] {
            assert_eq!(parse_stat(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn our_own_process_reads_as_itself() {
        let proc = Proc::open().unwrap();
        let (own, facts) = proc.process(std::process::id()).unwrap();
        let (again, _) = proc.process(std::process::id()).unwrap();
        assert!(Arc::ptr_eq(&own, &again), "it is kept open");
        assert_eq!(facts.parent, std::os::unix::process::parent_id());
        assert!(facts.start_time > 0 && own.belongs_to(crate::own_uid()) && !own.belongs_to(crate::own_uid() + 1));
        assert!(proc.shares_namespaces(&own));
        assert_eq!(own.executable_path().unwrap(), std::fs::canonicalize(std::env::current_exe().unwrap()).unwrap());
        let arguments = own.arguments().unwrap();
        let real: Vec<_> = std::env::args_os().map(|argument| argument.as_bytes().to_vec()).collect();
        assert_eq!(arguments, real);
        assert!(proc.process(u32::MAX).is_err());
        let mut digits = [0; 10];
        assert_eq!(["0", "10", "4294967295"], [0, 10, u32::MAX].map(|n| decimal(n, &mut digits).to_owned()));
    }
}
