//! Time since power-on, the clock of every line that init prints.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the kernel started, by `CLOCK_BOOTTIME` (`clock_gettime(2)`): never
/// set back, whatever the wall clock does.
pub fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// `[    2.345] `: as the kernel writes it, so that both kinds of line align.
pub fn stamp(since_boot: Duration) -> String {
    format!("[{:5}.{:03}] ", since_boot.as_secs(), since_boot.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_align() {
        assert_eq!(stamp(Duration::from_millis(2_345)), "[    2.345] ");
        assert_eq!(stamp(Duration::from_millis(86_400_007)), "[86400.007] ");
        assert!(since_boot() < since_boot() + Duration::from_nanos(1));
    }
}
