//! Who is on the other end of a connection, as the kernel tells.
//!
//! Invariant: a program is told only when every fact about it came from one process that lived throughout, whose
//! executable is the very file at its path, in the agent's own namespaces. Everything else is a peer without a program.
//! A TCP peer is the sole process that holds the socket at the other end of exactly this connection.
//!
//! Limits: a process chooses its own command line, so *which script* an interpreter runs is what it says; a process may
//! hand its open connection to another; a process of the same user that is traced by another is that other. A process
//! that is not dumpable, and one whose file is not readable, cannot be identified.

mod first_party;
mod interpreter;
mod lineage;

#[cfg(all(target_os = "linux", any(test, feature = "fuzzing")))]
#[doc(hidden)]
pub mod fuzzing;

#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod holder;
#[cfg(target_os = "linux")]
mod life;
#[cfg(target_os = "linux")]
mod lookup;
#[cfg(target_os = "linux")]
mod package;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod sighting;
#[cfg(target_os = "linux")]
mod sockets;

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere_files.rs"]
mod files;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod lookup;
#[cfg(not(target_os = "linux"))]
use lookup as sighting;

#[cfg(target_os = "linux")]
pub use files::Effort;
pub use first_party::FirstParty;
#[cfg(target_os = "linux")]
pub use life::Life;
pub use lineage::{Common, Lineage};
pub use lookup::Lookup;
#[cfg(not(target_os = "linux"))]
pub use lookup::{Effort, Life};
pub use sighting::Sighting;

/// Why a peer could not be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It runs as somebody else: close the connection without a byte.
    #[error("the peer runs as user {uid}")]
    OtherUser {
        /// The other user id.
        uid: u32,
    },
    /// Nothing is known about it, not even its user: close the connection without a byte.
    #[error("the peer's user cannot be told: {0}")]
    Unknown(String),
    /// It runs as this user, but which process it is cannot be told.
    #[error("the peer cannot be identified: {reason}")]
    Unidentified {
        /// Its user id, equal to ours.
        uid: u32,
        /// Why, for the log; holds nothing the peer chose.
        reason: String,
    },
}
