//! When a message that failed is tried again, and how often.

use std::time::Duration;

/// RocketMQ's `messageDelayLevel` from the third on: what its consumers wait between their attempts, in seconds.
const LEVELS: [u64; 16] =
    [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// RocketMQ's `suspendCurrentQueueTimeMillis`: what its consumers in order wait at first.
const FIRST_IN_ORDER: Duration = Duration::from_secs(1);

/// How long a message that failed waits before its next attempt, and how many attempts it has.
///
/// ```
/// use std::time::Duration;
/// use pocketmq::Retry;
///
/// let patient = Retry::exponential(Duration::from_secs(1), Duration::from_secs(600)).jitter().max_attempts(12);
/// assert!(patient != Retry::levels());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    backoff: Backoff,
    jitter: bool,
    max_attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Backoff {
    Levels,
    /// 1 s, then the levels.
    InOrder,
    Exponential {
        first: Duration,
        most: Duration,
    },
    Fixed(Duration),
}

impl Default for Retry {
    fn default() -> Self {
        Self::levels()
    }
}

impl Retry {
    const fn new(backoff: Backoff, max_attempts: u32) -> Self {
        Self { backoff, jitter: false, max_attempts }
    }

    /// RocketMQ's: 10 s, 30 s, 1 min … 2 h between the attempts, 17 attempts in all. The default.
    pub const fn levels() -> Self {
        Self::new(Backoff::Levels, 17)
    }

    /// Where a message that failed holds up others: 1 s, then as [`Retry::levels`]; 17 attempts in all.
    pub(crate) const fn in_order() -> Self {
        Self::new(Backoff::InOrder, 17)
    }

    /// `first`, twice that, four times … up to `most`; 17 attempts in all.
    pub const fn exponential(first: Duration, most: Duration) -> Self {
        Self::new(Backoff::Exponential { first, most }, 17)
    }

    /// The same time before each attempt; 17 attempts in all.
    pub const fn fixed(delay: Duration) -> Self {
        Self::new(Backoff::Fixed(delay), 17)
    }

    /// A message that failed is not tried again.
    pub const fn never() -> Self {
        Self::new(Backoff::Levels, 1)
    }

    /// How many attempts a message has, the first among them. 0 counts as 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// Waits between half and all of each time, so that messages that failed together are not tried again together.
    #[must_use]
    pub const fn jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// Whether a message that failed so often has had all its attempts.
    pub(crate) const fn is_over(&self, attempts: u32) -> bool {
        attempts >= self.max_attempts
    }

    /// How long a message waits that failed so often (at least once). `seed` differs from message to message.
    pub(crate) fn delay(&self, attempts: u32, seed: u64) -> Duration {
        let before = attempts.saturating_sub(1);
        let whole = match self.backoff {
            Backoff::InOrder if before == 0 => FIRST_IN_ORDER,
            Backoff::InOrder => level(before - 1),
            Backoff::Levels => level(before),
            Backoff::Exponential { first, most } => {
                first.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX)).min(most)
            }
            Backoff::Fixed(delay) => delay,
        };
        if !self.jitter {
            return whole;
        }
        let half = whole / 2;
        let parts = u32::try_from(mixed(seed ^ u64::from(attempts)) & 0xffff).unwrap_or(0);
        half + half / 0xffff * parts
    }
}

fn level(at: u32) -> Duration {
    let level = usize::try_from(at).ok().and_then(|at| LEVELS.get(at));
    Duration::from_secs(level.or(LEVELS.last()).copied().unwrap_or_default())
}

/// The finaliser of `SplitMix64`: near inputs become far outputs.
pub(crate) const fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(retry: &Retry, attempts: u32) -> Vec<u64> {
        (1..=attempts).map(|n| retry.delay(n, 0).as_secs()).collect()
    }

    #[test]
    fn each_kind_waits_as_it_says() {
        assert_eq!(seconds(&Retry::levels(), 17)[..5], [10, 30, 60, 120, 180]);
        assert_eq!(seconds(&Retry::levels(), 20)[14..], [3600, 7200, 7200, 7200, 7200, 7200]);
        assert_eq!(seconds(&Retry::in_order(), 17)[..5], [1, 10, 30, 60, 120]);
        let exponential = Retry::exponential(Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(seconds(&exponential, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(exponential.delay(u32::MAX, 0).as_secs(), 60);
        assert_eq!(seconds(&Retry::fixed(Duration::from_secs(7)), 3), [7, 7, 7]);
        assert!(!Retry::levels().is_over(16) && Retry::levels().is_over(17));
        assert!(Retry::never().is_over(1));
        assert!(!Retry::fixed(Duration::ZERO).max_attempts(0).is_over(0));
    }

    #[test]
    fn jitter_spreads_over_the_upper_half() {
        let retry = Retry::fixed(Duration::from_secs(100)).jitter();
        let delays: Vec<_> = (0..1000).map(|seed| retry.delay(1, seed).as_secs_f64()).collect();
        assert!(delays.iter().all(|d| (50.0..=100.0).contains(d)));
        let in_each = |low: f64| delays.iter().filter(|d| (low..low + 10.0).contains(*d)).count();
        assert!([50.0, 60.0, 70.0, 80.0, 90.0].iter().all(|low| in_each(*low) > 100));
    }
}
