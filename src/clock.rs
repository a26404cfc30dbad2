//! Time, real or moved by hand: nobody else in the crate asks the operating system what time it is.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
///
/// Wall-clock time is data (store timestamps, due times); waits are monotonic and never depend on it.
pub(crate) trait Clock: Send + Sync + fmt::Debug {
    /// Wall-clock time in milliseconds since the Unix epoch, never 0.
    fn wall_ms(&self) -> u64;

    /// Monotonic time.
    fn now(&self) -> Instant;
}

/// The operating system's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        let since =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::from_millis(1));
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
