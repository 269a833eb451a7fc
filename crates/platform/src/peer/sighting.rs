//! A peer that was told, kept so that the next look at it is cheap enough for the token path.
//!
//! Invariant: [`Lookup::is_unchanged`] says yes only when the same living process still runs the same file in the same
//! state at the same path (and for an interpreter: with the same arguments, in our namespaces, and the script at the very
//! path that is among them), and over TCP still holds the connection with no process beside it that was not there at the
//! last full look. Whatever it cannot say at once it leaves to the full look; it waits for no file system.
//! Limits: for [`FULL_LOOK_LASTS`] an older process that was handed the connection on purpose is not noticed; nor is an
//! ordinary program that moved itself into other namespaces after it was told, which makes it no other program.

use super::{
    Lookup, LookupError,
    files::{Effort, State},
    holder::{self, Bystander},
    interpreter::{self, Kind, Runs},
    proc::{self, Proc, Process},
};
use broker::{Peer, ProcessInstance, Program};
use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long what was found by a look at every process holds, as far as processes are concerned that were there then.
const FULL_LOOK_LASTS: Duration = Duration::from_secs(1);
/// The most new processes that are looked at one by one, and the most of their descriptors together.
const MOST_NEW: u32 = 128;
const MOST_DESCRIPTORS: usize = 4096;
/// How many processes may be in the making at once, and for how long.
const IN_THE_MAKING: u32 = 32;
const MADE_WITHIN: Duration = Duration::from_millis(100);
/// How long a sighting on one connection serves the next connection of the same process.
const SERVES_NEXT: Duration = Duration::from_secs(10);
/// Most sightings kept for a next connection.
const MOST_KEPT: usize = 32;

/// A peer as it was told, and what shows that it is still that. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Sighting {
    peer: Arc<Peer>,
    watched: Option<Arc<Watched>>,
    /// The connection of a TCP peer.
    held: Option<Arc<Held>>,
    at: Instant,
}

impl Sighting {
    /// Who it is.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Adds which package the program's file belongs to.
    pub fn set_package(&mut self, package: Option<String>) {
        Arc::make_mut(&mut self.peer).package = package;
    }
}

/// One process and the file it runs.
#[derive(Debug)]
struct Watched {
    process: Arc<Process>,
    file: State,
    path: PathBuf,
    interpreted: Option<Interpreted>,
}

/// What an interpreter's arguments tell, and what they mean to it.
#[derive(Debug)]
struct Interpreted {
    command_line: Vec<u8>,
    script: Option<(PathBuf, State)>,
}

impl Watched {
    fn new(process: Arc<Process>, program: &Program, effort: Effort) -> Option<Self> {
        let path = program.executable().path.clone();
        let file = process.executable(effort).ok()?;
        let script = match program {
            Program::Executable { .. } => return Some(Self { process, file, path, interpreted: None }),
            // What makes a shell a person's own is more than can be looked at cheaply.
            Program::Terminal { .. } => return None,
            Program::Inline { .. } => None,
            Program::Script { script, .. } => Some((script.path.clone(), State::at(&script.path, effort).ok()?)),
        };
        let command_line = process.command_line().ok()?;
        // Words that mean something else from another directory, by a link that is turned, or once a file can be read,
        // mean another script after an exec.
        let Kind::Interpreter(family) = interpreter::kind(path.file_name()?.as_bytes()) else { return None };
        let arguments = proc::arguments_of(&command_line);
        let as_told = match (interpreter::runs(family, &arguments), &script) {
            (Runs::File(word), Some((script, _))) => *word == *script.as_os_str().as_bytes(),
            (Runs::Inline, None) => true,
            _ => false,
        };
        as_told.then_some(Self { process, file, path, interpreted: Some(Interpreted { command_line, script }) })
    }

    fn is_unchanged(&self, proc: &Proc) -> bool {
        // Paths first: they are asked of no file system.
        self.process.executable_path().as_ref() == Ok(&self.path)
            && self.interpreted.as_ref().is_none_or(|interpreted| {
                let script = interpreted.script.as_ref();
                proc.shares_namespaces(&self.process)
                    && self.process.has_our_root()
                    && self.process.command_line().as_ref() == Ok(&interpreted.command_line)
                    && script.is_none_or(|(path, state)| State::at(path, Effort::Quick) == Ok(*state))
            })
            && State::at(&self.path, Effort::Quick) == Ok(self.file)
            && self.process.executable(Effort::Quick) == Ok(self.file)
    }
}

/// The connection of a TCP peer, as the last look at every process found it.
#[derive(Debug)]
struct Held {
    inode: u64,
    /// Name of the descriptor in the holder's table.
    descriptor: String,
    full_look: FullLook,
    /// Numbers of processes that came since then and were found not to hold it.
    harmless: Mutex<HashSet<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct FullLook {
    at: Instant,
    newest: u32,
}

/// Sightings on the user socket by process number.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<u32, Sighting>>);

impl Recent {
    fn get(&self, pid: u32) -> Option<Sighting> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.get(&pid).is_some_and(|sighting| sighting.at.elapsed() > SERVES_NEXT) {
            kept.remove(&pid);
        }
        kept.get(&pid).cloned()
    }

    fn keep(&self, sighting: &Sighting) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, sighting| sighting.at.elapsed() <= SERVES_NEXT);
        }
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(sighting.peer.instance.pid, sighting.clone());
    }
}

impl Lookup {
    /// [`Lookup::unix_at`], kept for cheap looks later. With [`Effort::Quick`] an error says only that more effort is
    /// needed.
    pub fn sight_unix(
        &self,
        fd: BorrowedFd<'_>,
        connected: Option<ProcessInstance>,
        effort: Effort,
    ) -> Result<Sighting, LookupError> {
        let sighting = self.watch(Arc::new(self.unix_with(fd, connected, effort)?), None, effort);
        let sighting = sighting.ok_or_else(|| self.not_the_same())?;
        if sighting.watched.is_some() {
            self.recent.keep(&sighting);
        }
        Ok(sighting)
    }

    /// Who connected to the user socket, if it was seen there a moment ago and is unchanged; cheap. `None` says nothing.
    pub fn seen_unix(&self, connected: Option<ProcessInstance>) -> Option<Sighting> {
        let connected = connected?;
        let sighting = self.recent.get(connected.pid)?;
        (sighting.peer.instance == connected && self.is_unchanged(&sighting)).then_some(sighting)
    }

    /// [`Lookup::tcp`], kept for cheap looks later.
    pub fn sight_tcp(&self, local: SocketAddr, remote: SocketAddr) -> Result<Sighting, LookupError> {
        // Before the look at every process: who comes later is newer than this.
        let full_look = FullLook::begin();
        let peer = Arc::new(self.tcp(local, remote)?);
        let held = self.held(&peer, local, remote, full_look);
        self.watch_tcp(peer, held).ok_or_else(|| self.not_the_same())
    }

    /// Whether the peer is known to be what it was, by a cheap look; no says only that another look is needed
    /// ([`Lookup::look_again`]). Waits for no file system.
    pub fn is_unchanged(&self, sighting: &Sighting) -> bool {
        let (Some(watched), Ok(proc)) = (&sighting.watched, self.proc()) else { return false };
        watched.is_unchanged(proc)
            && sighting.held.as_ref().is_none_or(|held| {
                (self.uid() != 0 || watched.process.belongs_to(0)) && held.alone_by(proc, &watched.process)
            })
    }

    /// [`Lookup::recheck`], or over TCP [`Lookup::recheck_tcp`]: the peer as it is seen now, when it is the same. With
    /// [`Effort::Quick`], which there is not over TCP, `None` says only that more effort is needed.
    pub fn look_again(
        &self,
        sighting: &Sighting,
        tcp: Option<(SocketAddr, SocketAddr)>,
        effort: Effort,
    ) -> Option<Sighting> {
        let before = &sighting.peer;
        let Some((local, remote)) = tcp else {
            return self.recheck_with(before, effort).then(|| self.watch(Arc::clone(before), None, effort))?;
        };
        if effort == Effort::Quick {
            return None;
        }
        let full_look = FullLook::begin();
        if !self.recheck_tcp(before, local, remote) {
            return None;
        }
        let held = self.held(before, local, remote, full_look);
        self.watch_tcp(Arc::clone(before), held)
    }

    /// Notes what shows a change later, then looks once more: what was noted is of the peer that was told. `None` when it
    /// is another by now.
    fn watch(&self, peer: Arc<Peer>, held: Option<Arc<Held>>, effort: Effort) -> Option<Sighting> {
        let watched = self.notes_on(&peer, effort).map(Arc::new);
        if watched.is_some() && !self.recheck_with(&peer, effort) {
            return None;
        }
        Some(Sighting { watched, peer, held, at: Instant::now() })
    }

    /// Without a connection to watch there is no cheap look.
    fn watch_tcp(&self, peer: Arc<Peer>, held: Option<Arc<Held>>) -> Option<Sighting> {
        match held {
            Some(held) => self.watch(peer, Some(held), Effort::Full),
            None => Some(Sighting { peer, watched: None, held: None, at: Instant::now() }),
        }
    }

    /// Only for programs that speak for themselves: `daypass` asks once and is gone.
    fn notes_on(&self, peer: &Peer, effort: Effort) -> Option<Watched> {
        let program = peer.program.as_ref().filter(|_| peer.instance == peer.subject)?;
        let (process, facts) = self.proc().ok()?.process(peer.instance.pid).ok()?;
        if process.instance(&facts) != peer.instance {
            return None;
        }
        // A file that changed just now may change again without showing it, and one of another machine unseen.
        Watched::new(process, program, effort).filter(|one| {
            let script = one.interpreted.as_ref().and_then(|interpreted| interpreted.script.as_ref());
            self.vouches_for(&one.file, program.executable())
                && script.is_none_or(|(_, state)| self.vouches_for(state, program.file()))
        })
    }

    fn held(
        &self,
        peer: &Peer,
        local: SocketAddr,
        remote: SocketAddr,
        full_look: Option<FullLook>,
    ) -> Option<Arc<Held>> {
        let full_look = full_look?;
        let (_, inode) = self.uid_of_tcp(local, remote).ok()?;
        let (process, _) = self.proc().ok()?.process(peer.instance.pid).ok()?;
        let descriptor = holder::descriptor_of(&process, inode)?;
        Some(Arc::new(Held { inode, descriptor, full_look, harmless: Mutex::default() }))
    }

    fn not_the_same(&self) -> LookupError {
        LookupError::Unidentified { uid: self.uid(), reason: "it changed while it was looked at".to_owned() }
    }
}

impl FullLook {
    /// A process that is just being made has its number before it can be seen: so some numbers back.
    fn begin() -> Option<Self> {
        let (at, newest) = (Instant::now(), proc::newest_process()?);
        Some(Self { at, newest: newest.saturating_sub(IN_THE_MAKING) })
    }
}

impl Held {
    /// Who came since and does not hold the connection will not come by it either.
    fn is_harmless(&self, proc: &Proc, process: &Process, pid: u32, budget: &mut usize) -> bool {
        if self.harmless.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid) {
            return true;
        }
        match holder::bystander(proc, process, pid, self.inode, budget) {
            // Who had a number at the full look and is not there a while later was never made, or has ended.
            Bystander::Nobody => {
                let settled = pid <= self.full_look.newest + IN_THE_MAKING && self.full_look.at.elapsed() > MADE_WITHIN;
                if settled {
                    self.harmless.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
                }
                true
            }
            Bystander::Holder => false,
            Bystander::Harmless => {
                self.harmless.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
                true
            }
        }
    }

    /// Whether this process still holds the connection, and nobody who came since the full look does.
    fn alone_by(&self, proc: &Proc, process: &Process) -> bool {
        let Some(newest) = proc::newest_process() else { return false };
        let count = newest.wrapping_sub(self.full_look.newest);
        let mut budget = MOST_DESCRIPTORS;
        self.full_look.at.elapsed() <= FULL_LOOK_LASTS
            && holder::is_descriptor_of(process, &self.descriptor, self.inode)
            && count <= MOST_NEW
            && (1..=count)
                .map(|step| self.full_look.newest.wrapping_add(step))
                .all(|pid| self.is_harmless(proc, process, pid, &mut budget))
    }
}
