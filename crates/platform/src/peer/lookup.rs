//! From a connection to a peer.
//!
//! Invariant: see [`super`]. Facts are read through one open process directory, and what could change between two of them
//! (the executable, by exec; the parent, by its death) is read again before the answer is given.

use super::{
    FirstParty, LookupError,
    files::{Digests, Effort, State},
    first_party::Role,
    holder,
    interpreter::{self, Family, Kind, Runs},
    package::Packages,
    proc::{self, Facts, Proc, Process},
    sighting::Recent,
    sockets::{self, Tuple},
};
use crate::own_uid;
use broker::{FileIdentity, Peer, ProcessInstance, Program};
use rustix::io::Errno;
use std::{
    ffi::OsStr,
    net::SocketAddr,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many forks a subshell may be away from the shell a person types into.
const DEEPEST_SUBSHELL: usize = 8;
/// The most ancestors looked at in a session without a leader.
const DEEPEST_SESSION: usize = 128;

type Reason = &'static str;

/// Tells who peers are. Share one: it remembers the digests of files it has seen.
///
/// Every method blocks for as long as the kernel takes, and the first lookup of a program for as long as its file takes to
/// hash: call it where that may happen.
#[derive(Debug)]
pub struct Lookup {
    uid: u32,
    proc: Result<Proc, Errno>,
    first_party: FirstParty,
    digests: Digests,
    packages: Packages,
    pub(super) recent: Recent,
}

impl Lookup {
    /// Prepares lookups for this process's user.
    pub fn new(first_party: FirstParty) -> Self {
        Self {
            uid: own_uid(),
            proc: Proc::open(),
            first_party,
            digests: Digests::default(),
            packages: Packages::default(),
            recent: Recent::default(),
        }
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Whether a quick look may go by this state of a file.
    pub(super) fn vouches_for(&self, state: &State, file: &FileIdentity) -> bool {
        self.digests.vouches_for(state, file)
    }

    pub(super) fn proc(&self) -> Result<&Proc, Reason> {
        self.proc.as_ref().map_err(|_| "there is no process file system")
    }

    /// User id and process id on the other end of a Unix socket, as they were when it connected (`SO_PEERCRED`).
    pub fn uid_of_unix(&self, fd: BorrowedFd<'_>) -> Result<(u32, u32), LookupError> {
        let unknown = |error: Errno| LookupError::Unknown(error.to_string());
        let peer = rustix::net::sockopt::socket_peercred(fd).map_err(unknown)?;
        let pid = u32::try_from(peer.pid.as_raw_nonzero().get());
        Ok((peer.uid.as_raw(), pid.map_err(|_| LookupError::Unknown("it has no process id".to_owned()))?))
    }

    /// The living process with this number now.
    pub fn instance_of(&self, pid: u32) -> Option<ProcessInstance> {
        self.proc().ok()?.living(pid)
    }

    /// The peer on the user socket. A program that cannot be identified is a peer without one.
    pub fn unix(&self, fd: BorrowedFd<'_>) -> Result<Peer, LookupError> {
        let (_, pid) = self.uid_of_unix(fd)?;
        self.unix_at(fd, self.connected(fd, pid))
    }

    /// [`Self::unix`], with what [`Self::connected`] said when the connection was accepted: a later process with the
    /// same number is not the peer.
    ///
    /// Limit: another program that the same process executes between connecting and this look is not seen; before Linux
    /// 6.5 nor is a number given away between connecting and accepting.
    pub fn unix_at(&self, fd: BorrowedFd<'_>, connected: Option<ProcessInstance>) -> Result<Peer, LookupError> {
        self.unix_with(fd, connected, Effort::Full)
    }

    pub(super) fn unix_with(
        &self,
        fd: BorrowedFd<'_>,
        connected: Option<ProcessInstance>,
        effort: Effort,
    ) -> Result<Peer, LookupError> {
        let (uid, pid) = self.uid_of_unix(fd)?;
        if uid != self.uid {
            return Err(LookupError::OtherUser { uid });
        }
        let process = self.proc().and_then(|proc| proc.process(pid)).and_then(|(process, facts)| {
            let same = connected == Some(process.instance(&facts));
            if same { Ok((process, facts)) } else { Err("the process that connected is gone") }
        });
        process
            .and_then(|(process, facts)| self.peer(&process, &facts, true, effort))
            .map_err(|reason| self.unidentified(reason))
    }

    /// User id and socket inode at the other end of a TCP connection; `local` is the agent's address, `remote` the peer's.
    pub fn uid_of_tcp(&self, local: SocketAddr, remote: SocketAddr) -> Result<(u32, u64), LookupError> {
        let unknown = |reason: &str| LookupError::Unknown(reason.to_owned());
        let tuple = Tuple::new(local, remote).ok_or_else(|| unknown("its address is of another family"))?;
        match sockets::owner_of(&tuple) {
            Ok(Some(owner)) => Ok((owner.uid, owner.inode)),
            Ok(None) => Err(unknown("no such socket in this network namespace")),
            Err(error) => Err(unknown(&error.to_string())),
        }
    }

    /// The peer of a TCP connection: the sole process that holds its socket. It is never first-party.
    pub fn tcp(&self, local: SocketAddr, remote: SocketAddr) -> Result<Peer, LookupError> {
        let (uid, inode) = self.uid_of_tcp(local, remote)?;
        if uid != self.uid {
            return Err(LookupError::OtherUser { uid });
        }
        self.holder(inode).map_err(|reason| self.unidentified(reason))
    }

    fn holder(&self, inode: u64) -> Result<Peer, Reason> {
        let process = holder::sole_holder(self.proc()?, inode)?;
        if !process.belongs_to(self.uid) {
            return Err("the process that holds its connection is another user's");
        }
        let peer = self.peer(&process, &process.facts()?, false, Effort::Full)?;
        if holder::still_holds(&process, inode) { Ok(peer) } else { Err("the process let go of its connection") }
    }

    fn unidentified(&self, reason: Reason) -> LookupError {
        LookupError::Unidentified { uid: self.uid, reason: reason.to_owned() }
    }

    /// Whether the peer is still what it was: the same living process, attributed alike, running the same file.
    pub fn recheck(&self, peer: &Peer) -> bool {
        self.recheck_with(peer, Effort::Full)
    }

    pub(super) fn recheck_with(&self, peer: &Peer, effort: Effort) -> bool {
        let now = self.proc().and_then(|proc| proc.process(peer.instance.pid));
        now.and_then(|(process, facts)| self.told(&process, &facts, peer.first_party, effort))
            .is_ok_and(|(now, _)| (effort == Effort::Full || now.program.is_some()) && is_same(&now, peer))
    }

    /// [`Self::recheck`], and the same process is still the sole holder of the connection.
    pub fn recheck_tcp(&self, peer: &Peer, local: SocketAddr, remote: SocketAddr) -> bool {
        self.tcp(local, remote).is_ok_and(|now| is_same(&now, peer))
    }

    /// Why this peer has no program; `None` when it has one now. For the log; slow enough to be asked only then.
    pub fn why_unidentified(&self, peer: &Peer) -> Option<&'static str> {
        match self.proc().and_then(|proc| proc.process(peer.subject.pid)) {
            Err(reason) => Some(reason),
            Ok(_) if peer.first_party && peer.subject == peer.instance => Some("its parent cannot be told"),
            Ok((process, facts)) => self.program(&process, &facts, Effort::Full).err(),
        }
    }

    /// The package that owns a file, such as `deb:git` or `rpm:git-core`; `None` where none does. The first question
    /// about a file reads the whole package database, so ask it where that may take its time (5 s at most for RPM's).
    /// Later peers with that file carry the answer.
    pub fn package_of(&self, file: &FileIdentity) -> Option<String> {
        self.packages.look_up(file)
    }

    /// Whether a permission may follow this file through updates by its package: nobody but root could have put it there
    /// (every step of its path), and the package database is no older than the file. Some looks at the file system.
    pub fn may_follow(&self, file: &FileIdentity, package: &str) -> bool {
        crate::managed::only_root_can_write(&file.path) && self.packages.has_settled(&file.path, package)
    }

    /// What [`Self::package_of`] would say, if it is known already: `Some(None)` where no package owns the file.
    #[allow(clippy::option_option, reason = "not asked yet, and asked and owned by none, are two answers")]
    pub fn package_cached(&self, file: &FileIdentity) -> Option<Option<String>> {
        self.packages.known(file)
    }

    /// Whether this living process runs code from a script or from its command line, rather than being a program or a
    /// person's shell of its own; `true` when that cannot be told.
    pub fn is_scripted(&self, instance: ProcessInstance) -> bool {
        let Ok((process, facts)) = self.proc().and_then(|proc| proc.process(instance.pid)) else { return true };
        if process.instance(&facts) != instance {
            return true;
        }
        // A process of another user is no script of this user's.
        process.belongs_to(self.uid)
            && match self.program(&process, &facts, Effort::Full) {
                Ok(program) => matches!(program, Program::Script { .. } | Program::Inline { .. }),
                // A desktop's own processes may hide what they run; a script cannot tell them what to do.
                Err(_) => matches!(interpreter::kind(facts.name.as_bytes()), Kind::Interpreter(_)),
            }
    }

    /// A quick look that finds no program is no look: it may be for want of effort.
    fn peer(&self, process: &Process, facts: &Facts, on_user_socket: bool, effort: Effort) -> Result<Peer, Reason> {
        let (mut peer, facts) = self.told(process, facts, on_user_socket, effort)?;
        if effort == Effort::Quick && peer.program.is_none() {
            return Err("it cannot be told at once");
        }
        self.surroundings(&mut peer, &facts);
        Ok(peer)
    }

    /// The peer without its surroundings, and the facts of its subject.
    fn told(
        &self,
        process: &Process,
        facts: &Facts,
        on_user_socket: bool,
        effort: Effort,
    ) -> Result<(Peer, Facts), Reason> {
        let proc = self.proc()?;
        if self.uid == 0 && !process.belongs_to(0) {
            return Err("it is root's no more");
        }
        let file = if proc.shares_namespaces(process) { self.executable(process, effort).ok() } else { None };
        let role = file.as_ref().filter(|_| on_user_socket).and_then(|(file, _)| self.first_party.role(file));
        let instance = process.instance(facts);
        let mut peer = Peer {
            uid: self.uid,
            instance,
            subject: instance,
            session_leader: None,
            program: None,
            first_party: role.is_some(),
            started_by: None,
            package: None,
        };
        let mut subject = facts.clone();
        if role == Some(Role::Command) {
            // Without a parent that can be told the question is nobody's: no program, and no other subject.
            if let Some((parent, parent_facts)) = self.parent(facts) {
                peer.subject = parent.instance(&parent_facts);
                // It shares our namespaces, or it would be nobody's parent here.
                let file = self.executable(&parent, effort).ok();
                let program =
                    file.and_then(|(file, state)| self.program_of(&parent, &parent_facts, file, &state, effort).ok());
                peer.program = program.map(demote_own_command(&self.first_party));
                if process.facts()?.parent != facts.parent {
                    return Err("its parent ended while it was looked at");
                }
                subject = parent_facts;
            }
        } else {
            peer.program = file.and_then(|(file, state)| self.program_of(process, facts, file, &state, effort).ok());
        }
        peer.package = peer.program.as_ref().and_then(|program| self.packages.known(program.file()).flatten());
        Ok((peer, subject))
    }

    /// Session leader and the starter's name.
    fn surroundings(&self, peer: &mut Peer, facts: &Facts) {
        peer.session_leader = Some(self.leader(facts.session).unwrap_or_else(|| self.eldest(peer.subject, facts)));
        peer.started_by = match facts.parent {
            0 => None,
            parent => self.proc().and_then(|proc| proc.process(parent)).map(|(_, facts)| facts.name).ok(),
        };
    }

    fn leader(&self, session: u32) -> Option<ProcessInstance> {
        let (leader, facts) = self.proc().ok()?.process(session).ok()?;
        (facts.session == session).then(|| leader.instance(&facts))
    }

    /// The eldest in the unbroken line of ancestors in this process's own session, perhaps the process itself. It stands
    /// for a session whose leader has ended, or lives where we cannot see it: a job a script left behind, a container's.
    fn eldest(&self, of: ProcessInstance, facts: &Facts) -> ProcessInstance {
        let Ok(proc) = self.proc() else { return of };
        let (mut eldest, mut next) = (of, facts.parent);
        for _ in 0..DEEPEST_SESSION {
            match proc.process(next) {
                Ok((process, above)) if above.session == facts.session => {
                    (eldest, next) = (process.instance(&above), above.parent);
                }
                _ => break,
            }
        }
        eldest
    }

    /// The living parent, if it is an ordinary process of this user in our namespaces. That its number was not given to
    /// another meanwhile is for the caller to see: the child must still name it as its parent afterwards.
    fn parent(&self, facts: &Facts) -> Option<(Arc<Process>, Facts)> {
        if facts.parent <= 1 {
            return None;
        }
        let proc = self.proc().ok()?;
        let (parent, parent_facts) = proc.process(facts.parent).ok()?;
        (parent.belongs_to(self.uid) && proc.shares_namespaces(&parent)).then_some((parent, parent_facts))
    }

    fn program(&self, process: &Process, facts: &Facts, effort: Effort) -> Result<Program, Reason> {
        if !self.proc()?.shares_namespaces(process) {
            return Err("it lives in another namespace");
        }
        let (file, state) = self.executable(process, effort)?;
        self.program_of(process, facts, file, &state, effort)
    }

    /// The file the process runs, if it is still the very file at its path.
    fn executable(&self, process: &Process, effort: Effort) -> Result<(FileIdentity, State), Reason> {
        // The path first: it is asked of no file system.
        let path = process.executable_path()?;
        if effort == Effort::Quick && !self.digests.knows_place(&path) {
            return Err("its executable is not known yet");
        }
        let state = process.executable(effort)?;
        let named = State::at(&path, effort).map_err(|_| "its executable is no longer at its path")?;
        if !named.is_same_file(&state) {
            return Err("its executable is no longer at its path");
        }
        if state.changes_user() {
            return Err("its executable changes the user");
        }
        let digest = self.digests.of(&state, effort, || process.open_executable())?;
        self.digests.note_place(&path, &state);
        Ok((FileIdentity { path, device: state.device, inode: state.inode, digest }, state))
    }

    fn program_of(
        &self,
        process: &Process,
        facts: &Facts,
        file: FileIdentity,
        state: &State,
        effort: Effort,
    ) -> Result<Program, Reason> {
        match interpreter::kind(file.path.file_name().unwrap_or_default().as_bytes()) {
            Kind::Ordinary => Ok(Program::Executable { file, generic_client: false }),
            Kind::Generic => Ok(Program::Executable { file, generic_client: true }),
            Kind::Loader => Err("it was started through the dynamic loader"),
            Kind::Interpreter(family) => {
                let program = self.interpreted(process, facts, file, state, family, effort)?;
                // The command line must be of the executable seen before it.
                if process.executable(effort)? == *state {
                    Ok(program)
                } else {
                    Err("it executed another program meanwhile")
                }
            }
        }
    }

    fn interpreted(
        &self,
        process: &Process,
        facts: &Facts,
        interpreter: FileIdentity,
        state: &State,
        family: Family,
        effort: Effort,
    ) -> Result<Program, Reason> {
        let arguments = process.arguments().unwrap_or_default();
        Ok(match interpreter::runs(family, &arguments) {
            Runs::File(path) if effort == Effort::Quick => {
                Program::Script { interpreter, script: self.known_script(process, Path::new(OsStr::from_bytes(path)))? }
            }
            Runs::File(path) => match self.script(process, path, family) {
                Ok(script) => Program::Script { interpreter, script },
                Err(_) => Program::Inline { interpreter },
            },
            Runs::Nothing if effort == Effort::Quick => return Err("what it reads is looked at in full"),
            Runs::Nothing if family.is_shell() => match self.terminal(process, facts, state) {
                Some(leader) => Program::Terminal { shell: interpreter, tty: facts.terminal, leader },
                None => Program::Inline { interpreter },
            },
            Runs::Nothing | Runs::Inline => Program::Inline { interpreter },
        })
    }

    /// A script that is named by its full path, was seen there before, and is there by that very path.
    fn known_script(&self, process: &Process, path: &Path) -> Result<FileIdentity, Reason> {
        const UNKNOWN: Reason = "its script is looked at in full";
        if !path.is_absolute() || !self.digests.knows_place(path) || !process.has_our_root() {
            return Err(UNKNOWN);
        }
        let state = State::at(path, Effort::Quick).map_err(|_| UNKNOWN)?;
        let digest = self.digests.of(&state, Effort::Quick, || Err(Errno::NOENT))?;
        Ok(FileIdentity { path: path.to_owned(), device: state.device, inode: state.inode, digest })
    }

    fn script(&self, process: &Process, path: &[u8], family: Family) -> Result<FileIdentity, Reason> {
        const GONE: Reason = "its script cannot be opened";
        let opened = match process.open_as_it_would(Path::new(OsStr::from_bytes(path))) {
            Err(Errno::NOENT) if family == Family::Node => {
                let with_suffix = PathBuf::from(std::ffi::OsString::from_vec([path, b".js"].concat()));
                process.open_as_it_would(&with_suffix)
            }
            other => other,
        };
        let fd = opened.map_err(|_| GONE)?;
        let state = State::of_open(&fd, Effort::Full).map_err(|_| GONE)?;
        let path = proc::path_of_open(fd.as_fd()).map_err(|_| GONE)?;
        if !State::at(&path, Effort::Full).map_err(|_| GONE)?.is_same_file(&state) {
            return Err(GONE);
        }
        let digest = self.digests.of(&state, Effort::Full, || Ok(fd))?;
        self.digests.note_place(&path, &state);
        Ok(FileIdentity { path, device: state.device, inode: state.inode, digest })
    }

    /// The leader of the terminal session this shell is typed into: its input is the terminal, or it is a fork without
    /// exec (a subshell) of a shell whose input is.
    fn terminal(&self, process: &Process, facts: &Facts, state: &State) -> Option<ProcessInstance> {
        if facts.terminal == 0 || !self.is_typed_into(process, facts, state) {
            return None;
        }
        self.leader(facts.session)
    }

    fn is_typed_into(&self, process: &Process, facts: &Facts, state: &State) -> bool {
        if process.reads_terminal(facts.terminal) {
            return true;
        }
        let Ok(proc) = self.proc() else { return false };
        let mut facts = facts.clone();
        for _ in 0..DEEPEST_SUBSHELL {
            let Ok((parent, above)) = proc.process(facts.parent) else { return false };
            let is_fork = facts.arguments_at != 0
                && (above.arguments_at, above.session, above.terminal)
                    == (facts.arguments_at, facts.session, facts.terminal)
                && parent.executable(Effort::Full).is_ok_and(|parent| parent.is_same_file(state));
            if !is_fork {
                return false;
            }
            if parent.reads_terminal(facts.terminal) {
                return true;
            }
            facts = above;
        }
        false
    }
}

/// `daypass` started by `daypass` stands for one level only: like an interpreter without a file, it may get one token.
fn demote_own_command(first_party: &FirstParty) -> impl FnOnce(Program) -> Program {
    let first_party = first_party.clone();
    move |program| match program {
        Program::Executable { file, .. } if first_party.role(&file) == Some(Role::Command) => {
            Program::Inline { interpreter: file }
        }
        other => other,
    }
}

fn is_same(now: &Peer, then: &Peer) -> bool {
    (now.uid, now.instance, now.subject, now.first_party) == (then.uid, then.instance, then.subject, then.first_party)
        && now.program == then.program
}
