//! The operating system behind small types: who the peer is, where things lie, what the keychain holds, what the time is.
//!
//! Invariant: what this crate cannot tell, it does not guess. An owner that cannot be checked is a refusal, a process that
//! cannot be identified is a [`broker::Peer`] without a program, a keychain that does not answer is an error in time.
//! Linux is proven by the tests here. On macOS and Windows the same names exist, are untested, and fail closed.
//!
//! Limit: the kernel, root, and a process of the same user that may trace its siblings are trusted by every answer here.

pub mod browser;
pub mod clock;
pub mod entropy;
#[cfg(feature = "keychain")]
pub mod keychain;
pub mod managed;
#[cfg(feature = "notifications")]
pub mod notifications;
pub mod paths;
#[cfg(feature = "peers")]
pub mod peer;
pub mod process;
pub mod screen;
pub mod system_log;

/// The user id this process acts for.
#[cfg(unix)]
pub(crate) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}
