//! Time, real or moved by hand: nobody else in the crate asks the operating system what time it is.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[cfg(target_os = "linux")]
use nix::time::{ClockId, clock_getres, clock_gettime};

/// Where time comes from.
///
/// Wall-clock time is data (store timestamps, due times); waits are monotonic and never depend on it.
pub(crate) trait Clock: Send + Sync + fmt::Debug {
    /// Wall-clock time in milliseconds since the Unix epoch, never 0.
    fn wall_ms(&self) -> u64;

    /// As [`Clock::wall_ms`], up to [`Clock::tick_ms`] ago: for the stamps of messages, which are many.
    fn recent_wall_ms(&self) -> u64 {
        self.wall_ms()
    }

    /// How old [`Clock::recent_wall_ms`] may be, in milliseconds.
    fn tick_ms(&self) -> u64 {
        0
    }

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

    /// The time of the kernel's last tick: reading it costs a fifth of reading the clock, and that is a fifth of a send.
    #[cfg(target_os = "linux")]
    fn recent_wall_ms(&self) -> u64 {
        let Ok(time) = clock_gettime(ClockId::CLOCK_REALTIME_COARSE) else { return self.wall_ms() };
        let ms = time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000;
        ms.max(1).unsigned_abs()
    }

    #[cfg(target_os = "linux")]
    fn tick_ms(&self) -> u64 {
        let tick = clock_getres(ClockId::CLOCK_REALTIME_COARSE).map(Duration::from);
        // No kernel ticks less often than a hundred times a second.
        tick.map_or(10, |tick| tick.as_millis().try_into().unwrap_or(10)) + 1
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock {
    start: Instant,
    since: crate::sync::AtomicU64,
    wall: crate::sync::AtomicU64,
}

#[cfg(test)]
impl ManualClock {
    /// Monotonic time starts now, wall-clock time at `wall_ms`.
    #[expect(clippy::disallowed_methods, reason = "an `Instant` has to come from somewhere")]
    pub(crate) fn at(wall_ms: u64) -> Self {
        Self { start: Instant::now(), since: 0.into(), wall: wall_ms.into() }
    }

    /// Moves both clocks on.
    pub(crate) fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap();
        self.since.fetch_add(ms, crate::sync::Ordering::SeqCst);
        self.wall.fetch_add(ms, crate::sync::Ordering::SeqCst);
    }

    /// Sets the wall clock, as a person might; monotonic time takes no notice.
    pub(crate) fn set_wall_ms(&self, wall_ms: u64) {
        self.wall.store(wall_ms, crate::sync::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall.load(crate::sync::Ordering::SeqCst)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.since.load(crate::sync::Ordering::SeqCst))
    }
}
