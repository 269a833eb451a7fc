//! What a process holds in memory, as the kernel counts it.

use std::os::unix::fs::MetadataExt as _;

/// Proportional set size of a process in KiB (`/proc/PID/smaps_rollup`).
///
/// `None` when it cannot be read: the agent is not dumpable, so only root may.
pub fn pss(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}

/// How many other processes run the same file: they share its pages, so each has a smaller PSS than it would alone.
pub fn twins(pid: u32) -> usize {
    let file = |pid: &str| std::fs::metadata(format!("/proc/{pid}/exe")).ok().map(|file| (file.dev(), file.ino()));
    let pid = pid.to_string();
    let (Some(own), Ok(processes)) = (file(&pid), std::fs::read_dir("/proc")) else { return 0 };
    let names = processes.flatten().filter_map(|process| process.file_name().into_string().ok());
    names.filter(|name| *name != pid && name.bytes().all(|b| b.is_ascii_digit()) && file(name) == Some(own)).count()
}

/// KiB as MiB.
#[allow(clippy::cast_precision_loss, reason = "megabytes")]
pub fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
