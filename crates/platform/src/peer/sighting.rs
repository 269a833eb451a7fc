//! A peer that was told, kept so that the next look at it is cheap enough for the token path.
//!
//! Invariant: [`Lookup::is_unchanged`] says yes only when the same living process still runs the same file in the same
//! state at the same path (and for an interpreter: with the same arguments and the same script), and over TCP still holds
//! the connection with no process beside it that was not there at the last full look. Whatever it cannot say at once it
//! leaves to the full look.
//! Limits: for [`FULL_LOOK_LASTS`] an older process that was handed the connection on purpose is not noticed; nor is a
//! process that moved itself into other namespaces after it was told, which makes it no other program.

use super::{
    Lookup, LookupError,
    files::State,
    holder,
    proc::{self, Proc, Process},
};
use broker::{Peer, ProcessInstance, Program};
use rustix::fs::{AtFlags, CWD, statat};
use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long what was found by a look at every process holds, as far as processes are concerned that were there then.
const FULL_LOOK_LASTS: Duration = Duration::from_secs(1);
/// The most new processes that are looked at one by one.
const MOST_NEW: u32 = 128;
/// How long a sighting on one connection serves the next connection of the same process.
const SERVES_NEXT: Duration = Duration::from_secs(10);
/// Most sightings kept for a next connection.
const MOST_KEPT: usize = 32;

/// A peer as it was told, and what shows that it is still that. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Sighting {
    peer: Arc<Peer>,
    watched: Option<Arc<[Watched]>>,
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
    /// The arguments of an interpreter, which tell what it runs.
    arguments: Option<Vec<u8>>,
    script: Option<(PathBuf, State)>,
}

impl Watched {
    fn new(process: Arc<Process>, path: &Path, program: Option<&Program>) -> Option<Self> {
        let (told_by_arguments, script) = match program {
            None | Some(Program::Executable { .. }) => (false, None),
            Some(Program::Script { script, .. }) => (true, Some(script)),
            Some(Program::Inline { .. }) => (true, None),
            // What makes a shell a person's own is more than can be looked at cheaply.
            Some(Program::Terminal { .. }) => return None,
        };
        Some(Self {
            file: process.executable().ok()?,
            path: path.to_owned(),
            arguments: if told_by_arguments { Some(process.command_line().ok()?) } else { None },
            script: match script {
                Some(file) => Some((file.path.clone(), state_at(&file.path)?)),
                None => None,
            },
            process,
        })
    }

    fn is_unchanged(&self) -> bool {
        self.process.executable() == Ok(self.file)
            && state_at(&self.path) == Some(self.file)
            && self.arguments.as_ref().is_none_or(|then| self.process.command_line().as_ref() == Ok(then))
            && self.script.as_ref().is_none_or(|(path, state)| state_at(path) == Some(*state))
    }
}

/// The connection of a TCP peer, as the last look at every process found it.
#[derive(Debug)]
struct Held {
    inode: u64,
    /// Name of the descriptor in the holder's table.
    descriptor: String,
    full_look: FullLook,
}

#[derive(Debug, Clone, Copy)]
struct FullLook {
    at: Instant,
    newest: u32,
}

fn state_at(path: &Path) -> Option<State> {
    statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| State::new(&stat))
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
    /// [`Lookup::unix_at`], kept for cheap looks later.
    pub fn sight_unix(&self, fd: BorrowedFd<'_>, connected: Option<ProcessInstance>) -> Result<Sighting, LookupError> {
        let sighting = self.watch(Arc::new(self.unix_at(fd, connected)?), None);
        if sighting.watched.is_some() && sighting.peer.instance == sighting.peer.subject {
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
        let (at, newest) = (Instant::now(), proc::newest_process());
        let peer = self.tcp(local, remote)?;
        let held = newest.and_then(|newest| self.held(&peer, local, remote, FullLook { at, newest }));
        Ok(self.watch_tcp(Arc::new(peer), held))
    }

    /// Without a connection to watch there is no cheap look.
    fn watch_tcp(&self, peer: Arc<Peer>, held: Option<Arc<Held>>) -> Sighting {
        match held {
            Some(held) => self.watch(peer, Some(held)),
            None => Sighting { peer, watched: None, held: None, at: Instant::now() },
        }
    }

    fn held(&self, peer: &Peer, local: SocketAddr, remote: SocketAddr, full_look: FullLook) -> Option<Arc<Held>> {
        let (_, inode) = self.uid_of_tcp(local, remote).ok()?;
        let (process, _) = self.proc().ok()?.process(peer.instance.pid).ok()?;
        let descriptor = holder::descriptor_of(&process, inode)?;
        Some(Arc::new(Held { inode, descriptor, full_look }))
    }

    /// Whether the peer is known to be what it was, by a cheap look; no says only that a full look is needed
    /// ([`Lookup::recheck`], [`Lookup::recheck_tcp`]). Never blocks on a file's bytes.
    pub fn is_unchanged(&self, sighting: &Sighting) -> bool {
        let (Some(watched), Ok(proc)) = (&sighting.watched, self.proc()) else { return false };
        watched.iter().all(Watched::is_unchanged)
            && match (&sighting.held, watched.first()) {
                (Some(held), Some(one)) => holds_alone(proc, held, &one.process),
                _ => true,
            }
    }

    /// The full look for a sighting: [`Lookup::recheck`], or over TCP [`Lookup::recheck_tcp`]. The peer as it is seen now
    /// when it is the same.
    pub fn look_again(&self, sighting: &Sighting, tcp: Option<(SocketAddr, SocketAddr)>) -> Option<Sighting> {
        let before = &sighting.peer;
        let Some((local, remote)) = tcp else {
            return self.recheck(before).then(|| self.watch(Arc::clone(before), None));
        };
        let (at, newest) = (Instant::now(), proc::newest_process());
        if !self.recheck_tcp(before, local, remote) {
            return None;
        }
        let held = newest.and_then(|newest| self.held(before, local, remote, FullLook { at, newest }));
        Some(self.watch_tcp(Arc::clone(before), held))
    }

    /// Notes what shows a change later, then looks once more in full: what was noted is of the peer that was told.
    fn watch(&self, peer: Arc<Peer>, held: Option<Arc<Held>>) -> Sighting {
        let watched = self.notes_on(&peer).filter(|_| self.recheck(&peer));
        Sighting { watched: watched.map(Into::into), peer, held, at: Instant::now() }
    }

    fn notes_on(&self, peer: &Peer) -> Option<Vec<Watched>> {
        let program = peer.program.as_ref()?;
        let proc = self.proc().ok()?;
        let of = |instance: ProcessInstance| {
            let (process, facts) = proc.process(instance.pid).ok()?;
            (process.instance(&facts) == instance).then_some(process)
        };
        let mut watched = vec![Watched::new(of(peer.subject)?, &program.executable().path, Some(program))?];
        if peer.instance != peer.subject {
            let own = of(peer.instance)?;
            let path = own.executable_path().ok()?;
            watched.push(Watched::new(own, &path, None)?);
        }
        // A file that changed just now may change again without showing it.
        let is_settled = |one: &Watched| {
            self.is_remembered(&one.file) && one.script.as_ref().is_none_or(|(_, state)| self.is_remembered(state))
        };
        watched.iter().all(is_settled).then_some(watched)
    }
}

fn holds_alone(proc: &Proc, held: &Held, process: &Process) -> bool {
    let look = held.full_look;
    let Some(newest) = proc::newest_process() else { return false };
    let count = newest.wrapping_sub(look.newest);
    look.at.elapsed() <= FULL_LOOK_LASTS
        && holder::is_descriptor_of(process, &held.descriptor, held.inode)
        && count <= MOST_NEW
        && (1..=count).all(|step| !holder::holds_too(proc, look.newest.wrapping_add(step), held.inode))
}
