//! Time, real or moved by hand: nobody else in the crate asks the operating system what time it is.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sync::Weak;
#[cfg(any(test, feature = "testing"))]
use crate::sync::{AtomicU64, Mutex, Ordering};

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

    /// Monotonic time: leases, retries and the flush interval go by it.
    fn now(&self) -> Instant;

    /// Monotonic time that no test moves: sleeps are over by it, and whoever waits for the disk.
    fn os_now(&self) -> Instant {
        self.now()
    }

    /// How long to sleep for what is due at `at`, by [`Clock::os_now`]. Whoever moves the time wakes all that sleep.
    fn os(&self, at: Instant) -> Instant {
        at
    }

    /// Has `sleeper` told when the time is moved, as long as it is there.
    fn tell_when_moved(&self, _sleeper: Weak<dyn Sleeper>) {}
}

/// Somebody who waits for times that a test may move.
pub(crate) trait Sleeper: Send + Sync {
    /// The time was moved: what is due is done. Called without locks.
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "nobody moves it"))]
    fn time_moved(&self);
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
#[cfg(any(test, feature = "testing"))]
pub(crate) struct ManualClock {
    start: Instant,
    /// Both in nanoseconds.
    since: AtomicU64,
    wall: AtomicU64,
    sleepers: Mutex<Vec<Weak<dyn Sleeper>>>,
}

#[cfg(any(test, feature = "testing"))]
impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (since, wall) = (&self.since, &self.wall);
        f.debug_struct("ManualClock")
            .field("since", since)
            .field("wall", wall)
            .finish_non_exhaustive()
    }
}

/// What does not come by itself.
#[cfg(any(test, feature = "testing"))]
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// Monotonic time starts now, wall-clock time at `wall_ms`.
    pub(crate) fn at(wall_ms: u64) -> Self {
        let wall = wall_ms.saturating_mul(1_000_000);
        let sleepers = Mutex::default();
        Self { start: SystemClock.now(), since: 0.into(), wall: wall.into(), sleepers }
    }

    /// Tells those who sleep that it was moved.
    #[cfg(feature = "testing")]
    pub(crate) fn wake_sleepers(&self) {
        let sleepers: Vec<_> = self.sleepers.lock().iter().filter_map(Weak::upgrade).collect();
        for sleeper in sleepers {
            sleeper.time_moved();
        }
    }

    /// Moves both clocks on.
    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // The wall first: what is due by the one is due by the other.
        for clock in [&self.wall, &self.since] {
            let _ = clock
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |at| Some(at.saturating_add(by)));
        }
    }

    /// Sets the wall clock, as a person might; monotonic time takes no notice.
    pub(crate) fn set_wall_ms(&self, wall_ms: u64) {
        self.wall.store(wall_ms.saturating_mul(1_000_000), Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        (self.wall.load(Ordering::SeqCst) / 1_000_000).max(1)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.since.load(Ordering::SeqCst))
    }

    fn os_now(&self) -> Instant {
        SystemClock.now()
    }

    fn os(&self, at: Instant) -> Instant {
        let now = self.os_now();
        if at <= self.now() { now } else { now + FAR }
    }

    fn tell_when_moved(&self, sleeper: Weak<dyn Sleeper>) {
        let mut sleepers = self.sleepers.lock();
        sleepers.retain(|sleeper| sleeper.strong_count() > 0);
        sleepers.push(sleeper);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stands_still_is_moved_and_sleeps_go_by_the_real_one() {
        let clock = ManualClock::at(5);
        let (began, due) = (clock.now(), clock.now() + Duration::from_millis(10));
        assert!(clock.os(due) > clock.os_now() + FAR / 2, "it does not come by itself");
        clock.advance(Duration::from_micros(9500));
        assert_eq!((clock.wall_ms(), clock.now() - began), (14, Duration::from_micros(9500)));
        clock.advance(Duration::from_micros(500));
        assert_eq!((clock.wall_ms(), clock.now()), (15, due));
        assert!(clock.os(due) <= clock.os_now(), "it is due");
        clock.set_wall_ms(1);
        assert_eq!((clock.wall_ms(), clock.now()), (1, due));
    }
}
