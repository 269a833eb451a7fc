//! When a process ends, told by the kernel at once: process descriptors (`pidfd_open(2)`, `SO_PEERPIDFD` in `socket(7)`).
//!
//! Invariant: a descriptor is of one process for ever, and while that process lives its number is nobody else's. So what
//! is read by a number before the descriptor says "still alive" was read of this very process.
//! Limit: kernels before 5.3 have none of this, those before 6.5 none of a socket's peer; then the start time alone tells
//! a process from a later one with its number. That it executes another program is not its end.

use super::Lookup;
use broker::ProcessInstance;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether this kernel was found not to tell a socket's peer by a descriptor.
static PEERS_ARE_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// One process until it ends: its descriptor becomes readable then. Close-on-exec.
#[derive(Debug)]
pub struct Life(OwnedFd);

impl Life {
    /// Whether the process has ended; yes when that cannot be told.
    pub fn has_ended(&self) -> bool {
        let mut descriptors = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(0)
    }
}

impl AsFd for Life {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Life {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The process at the other end of a Unix socket.
pub(super) enum Connected {
    /// This one, perhaps ended by now.
    Process(Life),
    /// It has ended, and nobody knows it any more; or the kernel would not say.
    Gone,
    /// This kernel cannot tell.
    Unsupported,
}

/// The process that connected a Unix socket, whatever its number means by now (`SO_PEERPIDFD`).
pub(super) fn connected(socket: BorrowedFd<'_>) -> Connected {
    use nix::{
        errno::Errno,
        sys::socket::{getsockopt, sockopt::PeerPidfd},
    };
    if PEERS_ARE_UNKNOWN.load(Ordering::Relaxed) {
        return Connected::Unsupported;
    }
    match getsockopt(&socket, PeerPidfd) {
        Ok(descriptor) => Connected::Process(Life(descriptor)),
        Err(Errno::ENOPROTOOPT) => {
            PEERS_ARE_UNKNOWN.store(true, Ordering::Relaxed);
            Connected::Unsupported
        }
        Err(_) => Connected::Gone,
    }
}

impl Lookup {
    /// The process that connected this socket, while it lives; `pid` is what [`Lookup::uid_of_unix`] said. Ask right after
    /// the connection was accepted, and keep the answer: it is what tells the process that connected from a later one
    /// with its number.
    pub fn connected(&self, socket: BorrowedFd<'_>, pid: u32) -> Option<ProcessInstance> {
        match connected(socket) {
            Connected::Unsupported => self.instance_of(pid),
            Connected::Gone => None,
            // First who has the number, then that it was still the peer's.
            Connected::Process(life) => self.instance_of(pid).filter(|_| !life.has_ended()),
        }
    }

    /// Something to wait on for the end of this process; `None` when it has ended, or this kernel has no such thing.
    pub fn life_of(&self, instance: ProcessInstance) -> Option<Life> {
        let pid = Pid::from_raw(i32::try_from(instance.pid).ok()?)?;
        let life = Life(pidfd_open(pid, PidfdFlags::empty()).ok()?);
        // It lives after its number was opened: then it had the number throughout.
        (self.instance_of(instance.pid) == Some(instance)).then_some(life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::FirstParty;
    use std::{
        os::unix::net::{UnixListener, UnixStream},
        process::{Command, Stdio},
    };

    fn lookup() -> Lookup {
        Lookup::new(FirstParty::in_directory(std::path::Path::new("/nowhere")))
    }

    #[test]
    fn a_descriptor_tells_the_end_of_its_process() {
        let lookup = lookup();
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let instance = lookup.instance_of(child.id()).unwrap();
        let life = lookup.life_of(instance).expect("kernels since 5.3 have it");
        assert!(!life.has_ended());
        assert!(
            rustix::io::fcntl_getfd(&life).unwrap().contains(rustix::io::FdFlags::CLOEXEC),
            "children do not get it"
        );
        assert!(lookup.life_of(ProcessInstance { start_time: instance.start_time + 1, ..instance }).is_none());
        drop(child.stdin.take());
        // Not waited for yet: it is a zombie, and has ended all the same.
        let mut descriptors = [PollFd::new(&life, PollFlags::IN)];
        let twenty_seconds = Timespec { tv_sec: 20, tv_nsec: 0 };
        assert_eq!(poll(&mut descriptors, Some(&twenty_seconds)), Ok(1));
        assert!(life.has_ended());
        child.wait().unwrap();
        assert!(life.has_ended());
        assert!(lookup.life_of(instance).is_none());
        assert!(lookup.life_of(ProcessInstance { pid: u32::MAX, start_time: 1 }).is_none());
    }

    #[test]
    fn a_sockets_peer_is_told_by_a_descriptor() {
        let room = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(room.path().join("socket")).unwrap();
        let _peer = UnixStream::connect(room.path().join("socket")).unwrap();
        let (stream, _) = listener.accept().unwrap();
        match connected(stream.as_fd()) {
            Connected::Process(life) => {
                assert!(!life.has_ended(), "it is ourselves");
                let flags = rustix::io::fcntl_getfd(&life).unwrap();
                assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "children do not get it");
            }
            Connected::Unsupported => println!("SKIPPED a_sockets_peer_is_told_by_a_descriptor: this kernel has none"),
            Connected::Gone => panic!("it lives"),
        }
        let lookup = lookup();
        let own = lookup.instance_of(std::process::id());
        assert!(own.is_some());
        assert_eq!(lookup.connected(stream.as_fd(), std::process::id()), own);
    }
}
