//! Peers on systems where they cannot be told yet. Untested; every lookup fails, so nobody gets anything.

use super::{FirstParty, LookupError};
use broker::{FileIdentity, Peer};
use std::{net::SocketAddr, sync::Arc};

/// Tells who peers are: nobody can be told on this system.
#[derive(Debug)]
pub struct Lookup {
    _first_party: FirstParty,
}

/// A peer as it was told; there is none on this system.
#[derive(Debug, Clone)]
pub struct Sighting {
    peer: Arc<Peer>,
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

/// How much a look may take upon itself; nothing helps on this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// At once.
    Quick,
    /// Whatever it takes.
    Full,
}

/// The life of a process; there is none to be had on this system.
#[derive(Debug)]
pub enum Life {}

impl Life {
    /// Never asked: there is no life.
    pub fn has_ended(&self) -> bool {
        match *self {}
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Life {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        match *self {}
    }
}

fn unsupported() -> LookupError {
    LookupError::Unknown("peers cannot be told on this system yet".to_owned())
}

impl Lookup {
    /// Prepares lookups.
    pub fn new(first_party: FirstParty) -> Self {
        Self { _first_party: first_party }
    }

    /// Always an error on this system.
    #[cfg(unix)]
    pub fn uid_of_unix(&self, _: std::os::fd::BorrowedFd<'_>) -> Result<(u32, u32), LookupError> {
        Err(unsupported())
    }

    /// Always an error on this system.
    #[cfg(unix)]
    pub fn unix(&self, _: std::os::fd::BorrowedFd<'_>) -> Result<Peer, LookupError> {
        Err(unsupported())
    }

    /// Always an error on this system.
    #[cfg(unix)]
    pub fn unix_at(
        &self,
        _: std::os::fd::BorrowedFd<'_>,
        _: Option<broker::ProcessInstance>,
    ) -> Result<Peer, LookupError> {
        Err(unsupported())
    }

    /// Always an error on this system.
    #[cfg(unix)]
    pub fn sight_unix(
        &self,
        _: std::os::fd::BorrowedFd<'_>,
        _: Option<broker::ProcessInstance>,
        _: Effort,
    ) -> Result<Sighting, LookupError> {
        Err(unsupported())
    }

    /// Always `None` on this system.
    pub fn seen_unix(&self, _: Option<broker::ProcessInstance>) -> Option<Sighting> {
        None
    }

    /// Always an error on this system.
    pub fn sight_tcp(&self, _: SocketAddr, _: SocketAddr) -> Result<Sighting, LookupError> {
        Err(unsupported())
    }

    /// Always `false` on this system.
    pub fn is_unchanged(&self, _: &Sighting) -> bool {
        false
    }

    /// Always `None` on this system.
    pub fn look_again(&self, _: &Sighting, _: Option<(SocketAddr, SocketAddr)>, _: Effort) -> Option<Sighting> {
        None
    }

    /// Always `None` on this system.
    #[cfg(unix)]
    pub fn connected(&self, _: std::os::fd::BorrowedFd<'_>, _: u32) -> Option<broker::ProcessInstance> {
        None
    }

    /// Always `None` on this system.
    pub fn life_of(&self, _: broker::ProcessInstance) -> Option<Life> {
        None
    }

    /// Always `None` on this system.
    pub fn instance_of(&self, _: u32) -> Option<broker::ProcessInstance> {
        None
    }

    /// Always an error on this system.
    pub fn uid_of_tcp(&self, _: SocketAddr, _: SocketAddr) -> Result<(u32, u64), LookupError> {
        Err(unsupported())
    }

    /// Always an error on this system.
    pub fn tcp(&self, _: SocketAddr, _: SocketAddr) -> Result<Peer, LookupError> {
        Err(unsupported())
    }

    /// Always `false` on this system.
    pub fn recheck(&self, _: &Peer) -> bool {
        false
    }

    /// Always `false` on this system.
    pub fn recheck_tcp(&self, _: &Peer, _: SocketAddr, _: SocketAddr) -> bool {
        false
    }

    /// Always the same reason on this system.
    pub fn why_unidentified(&self, _: &Peer) -> Option<&'static str> {
        Some("peers cannot be told on this system yet")
    }

    /// Always `None` on this system.
    pub fn package_of(&self, _: &FileIdentity) -> Option<String> {
        None
    }

    /// Always `false` on this system.
    pub fn may_follow(&self, _: &FileIdentity, _: &str) -> bool {
        false
    }

    /// Always `None` on this system.
    #[allow(clippy::option_option, reason = "not asked yet, and asked and owned by none, are two answers")]
    pub fn package_cached(&self, _: &FileIdentity) -> Option<Option<String>> {
        None
    }

    /// Always `true` on this system: it cannot be told.
    pub fn is_scripted(&self, _: broker::ProcessInstance) -> bool {
        true
    }
}
