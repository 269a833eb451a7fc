//! Time: the wall clock for every decision about expiry, and the clock since boot for noticing that the machine slept.
//!
//! Invariant: no decision rests on a monotonic timer alone, because that stands still while a laptop sleeps.

use broker::{Timestamp, ports::Clock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock of this machine, with millisecond precision.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp::from_millis(millis)
    }
}

/// Time since boot, sleep included (Linux `CLOCK_BOOTTIME`).
///
/// It never steps, so a wall clock that moved against it was set by somebody, and a timer that fired late against it
/// slept. Where the system has no such clock this is the wall clock since the epoch.
pub fn boottime() -> Duration {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
    #[cfg(not(target_os = "linux"))]
    {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_together() {
        let (wall, boot) = (WallClock.now().as_millis(), boottime());
        assert!(wall > 1_700_000_000_000, "the wall clock is not in this century: {wall}");
        std::thread::sleep(Duration::from_millis(30));
        assert!(WallClock.now().as_millis() >= wall + 25);
        assert!(boottime().checked_sub(boot).unwrap() >= Duration::from_millis(25));
    }
}
