//! Which process holds a socket open.
//!
//! Invariant: a process is the holder only when it is the sole one among all processes whose open files we may read; two
//! holders (a forked child, a passed descriptor) are none.
//! Limit: a process that hides its files, and a descriptor on its way inside a message, are not seen.

use super::proc::{self, Proc, Process};
use rustix::{
    fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw},
    io::Errno,
};
use std::{io::Write as _, mem::MaybeUninit, os::fd::OwnedFd};

/// The sole holder of the socket with this inode.
pub(super) fn sole_holder(proc: &Proc, inode: u64) -> Result<Process, &'static str> {
    let wanted = link_text(inode);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listing = openat(proc.root(), ".", flags, Mode::empty())
        .or_else(|_| openat(CWD, "/proc", flags, Mode::empty()))
        .map_err(|_| "the processes cannot be listed")?;
    let mut room = [MaybeUninit::uninit(); 16 * 1024];
    let mut entries = RawDir::new(&listing, &mut room);
    let mut holder = None;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(|_| "the processes cannot be listed")?;
        let Some(pid) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        let opened = proc.directory(pid).and_then(|directory| Ok((proc::open_descriptors(&directory)?, directory)));
        let (descriptors, directory) = match opened {
            Ok(opened) => opened,
            Err(error) if is_nobody_or_hidden(error) => continue,
            Err(_) => return Err("not every process can be looked at"),
        };
        let found = find(&descriptors, &wanted).map_err(|_| "not every process can be looked at")?;
        if found.is_some() && holder.replace((pid, directory)).is_some() {
            return Err("several processes hold its connection");
        }
    }
    let (pid, directory) = holder.ok_or("no process that can be read holds its connection")?;
    Process::open(pid, directory).map_err(|_| "the process is gone")
}

/// Whether this process has the socket open now.
pub(super) fn still_holds(process: &Process, inode: u64) -> bool {
    process
        .open_descriptors()
        .and_then(|descriptors| find(&descriptors, &link_text(inode)))
        .is_ok_and(|found| found.is_some())
}

/// Name of the descriptor by which this process holds the socket.
pub(super) fn descriptor_of(process: &Process, inode: u64) -> Option<String> {
    find(&process.open_descriptors().ok()?, &link_text(inode)).ok()?
}

/// Whether this very descriptor of the process is the socket still.
pub(super) fn is_descriptor_of(process: &Process, name: &str, inode: u64) -> bool {
    process.descriptor(name, |link| link == link_text(inode).as_slice())
}

/// What is known of the process with some number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bystander {
    /// There is none, or not yet.
    Nobody,
    /// It does not hold the socket, and got its files before it could be seen.
    Harmless,
    /// It holds the socket, or that cannot be told.
    Holder,
}

/// Whether another process than `holder` has this number and the socket open. At most `budget` descriptors are looked at;
/// where that is not enough it cannot be told.
pub(super) fn bystander(proc: &Proc, holder: &Process, pid: u32, inode: u64, budget: &mut usize) -> Bystander {
    let directory = match proc.directory(pid) {
        Err(Errno::NOENT) => return Bystander::Nobody,
        other => other,
    };
    if holder.has_thread(pid) {
        return Bystander::Harmless;
    }
    let harmless = match directory.and_then(|directory| proc::open_descriptors(&directory)) {
        Ok(descriptors) => {
            find_within(&descriptors, &link_text(inode), budget).is_ok_and(|found| found.is_none()) && *budget > 0
        }
        Err(Errno::NOENT) => return Bystander::Nobody,
        Err(error) => is_nobody_or_hidden(error),
    };
    if harmless { Bystander::Harmless } else { Bystander::Holder }
}

/// Nobody is there, or somebody whose files are none of our business.
fn is_nobody_or_hidden(error: Errno) -> bool {
    [Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM].contains(&error)
}

fn find(descriptors: &OwnedFd, wanted: &[u8]) -> Result<Option<String>, Errno> {
    let mut all = usize::MAX;
    find_within(descriptors, wanted, &mut all)
}

/// Looks at no more than `budget` descriptors, which it uses up.
fn find_within(descriptors: &OwnedFd, wanted: &[u8], budget: &mut usize) -> Result<Option<String>, Errno> {
    let mut room = [MaybeUninit::uninit(); 8 * 1024];
    let mut entries = RawDir::new(descriptors, &mut room);
    let mut link = [0; 64];
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_nobody_or_hidden(error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(left) = budget.checked_sub(1) else { return Ok(None) };
        *budget = left;
        match readlinkat_raw(descriptors, entry.file_name(), &mut link[..]) {
            Ok(length) if link[..length] == *wanted => {
                return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
            }
            // The process is gone, and with it everything it held.
            Err(Errno::SRCH) => return Ok(None),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Err(Errno::NOMEM),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

fn link_text(inode: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(32);
    let _ = write!(text, "socket:[{inode}]");
    text
}
