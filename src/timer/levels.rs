//! Delay by level: the table of `RocketMQ`'s `messageDelayLevel`, and where the messages of a level wait.
//!
//! They lie in the schedule topic, those of level *n* in its queue *n* − 1, with their due time in the place of the tag's hash: store
//! time plus delay, to the millisecond. So each queue is in the order of its due times.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Error, Result};

/// A broker's own table.
pub(crate) const DEFAULT: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

/// What a message of a level waits that the table does not have: such a record comes from a broker with a longer table.
const UNKNOWN_MS: i64 = 1000;

/// A level: 1 and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Level(NonZeroU32);

impl Level {
    /// `None` for 0.
    pub(crate) const fn new(level: u32) -> Option<Self> {
        match NonZeroU32::new(level) {
            Some(level) => Some(Self(level)),
            None => None,
        }
    }

    pub(crate) const fn get(self) -> u32 {
        self.0.get()
    }

    /// The queue of [`SCHEDULE_TOPIC`](crate::message::names::SCHEDULE_TOPIC) that its messages wait in.
    pub(crate) const fn queue(self) -> u32 {
        self.get() - 1
    }

    /// The level whose messages wait in this queue.
    pub(crate) const fn of_queue(queue: u32) -> Option<Self> {
        Self::new(queue.saturating_add(1))
    }
}

/// How long each level waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    /// In milliseconds, of level 1 first. There is one at least.
    ms: Vec<i64>,
}

impl Default for Levels {
    fn default() -> Self {
        Self::read(DEFAULT).unwrap_or_else(|| Self { ms: vec![UNKNOWN_MS] })
    }
}

impl Levels {
    /// Reads a table: whole numbers with a unit (`s`, `m`, `h` or `d`), with one space between.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if it is something else, empty, or with a delay that no clock reaches. A broker does not start with such a one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is no table of delay levels, as \"1s 5m 2h 1d\" is"))
        })
    }

    fn read(text: &str) -> Option<Self> {
        // A broker overlooks spaces at the end, and only there.
        let ms = text.trim_end_matches(' ').split(' ').map(milliseconds).collect::<Option<_>>()?;
        Some(Self { ms })
    }

    /// The table of these delays, in milliseconds. `None` if it has none, or one that no clock reaches.
    pub(crate) fn of_ms(ms: &[u64]) -> Option<Self> {
        let ms: Vec<i64> = ms.iter().map(|ms| i64::try_from(*ms).ok()).collect::<Option<_>>()?;
        (!ms.is_empty()).then_some(Self { ms })
    }

    /// The delays of levels 1, 2, … in milliseconds.
    pub(crate) fn as_ms(&self) -> &[i64] {
        &self.ms
    }

    /// The highest level.
    pub(crate) fn highest(&self) -> Level {
        Level::new(u32::try_from(self.ms.len()).unwrap_or(u32::MAX))
            .unwrap_or(Level(NonZeroU32::MIN))
    }

    /// The level that a message with this property `DELAY` is stored with: one above the highest counts as that. `None` if it is not
    /// delayed.
    pub(crate) fn asked(&self, delay: i32) -> Option<Level> {
        let level = Level::new(u32::try_from(delay).ok()?)?;
        Some(level.min(self.highest()))
    }

    /// How long the level waits. `None` if the table ends before.
    pub(crate) fn delay(&self, level: Level) -> Option<Duration> {
        let ms = self.ms.get(usize::try_from(level.queue()).ok()?)?;
        Some(Duration::from_millis(ms.unsigned_abs()))
    }

    /// When a message of this level is due that was stored then, in milliseconds: what its queue has in the place of a tag's hash. A
    /// level that the table does not have waits a second.
    pub(crate) fn due_ms(&self, stored_ms: i64, level: Level) -> i64 {
        let ms = usize::try_from(level.queue()).ok().and_then(|at| self.ms.get(at));
        stored_ms.saturating_add(*ms.unwrap_or(&UNKNOWN_MS))
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    let unit = match text.bytes().last()? {
        b's' => 1000,
        b'm' => 60 * 1000,
        b'h' => 3600 * 1000,
        b'd' => 24 * 3600 * 1000,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<i64>().ok().filter(|_| whole)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::config::json;
    use crate::config::offsets::DelayOffsets;
    use crate::message::names::SCHEDULE_TOPIC;
    use crate::tests::{expected_states, golden_file, manifest};

    fn level(level: u32) -> Level {
        Level::new(level).unwrap()
    }

    #[test]
    fn the_default_table_is_rocketmqs() {
        let levels = Levels::default();
        let seconds =
            [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
        assert_eq!(levels.as_ms(), seconds.map(|s| s * 1000));
        assert_eq!(levels.highest(), level(18));
        assert_eq!(levels.delay(level(18)), Some(Duration::from_secs(7200)));
        assert_eq!((levels.delay(level(19)), Level::new(0)), (None, None));
    }

    #[test]
    fn a_table_has_four_units() {
        assert_eq!(
            Levels::parse("90s 2m 3h 4d  ").unwrap().as_ms(),
            [90_000, 120_000, 10_800_000, 345_600_000]
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let huge = "1s 9999999999999999999d";
        for text in [
            "",
            " ",
            "1s  5s",
            " 1s",
            "1",
            "s",
            "1S",
            "-1s",
            "+1s",
            "1 s",
            "1s,5s",
            "1.5s",
            "1\u{b5}",
            huge,
            "106751991168d",
        ] {
            let why = Levels::parse(text).unwrap_err();
            assert!(why.to_string().contains("delay levels"), "{text:?}: {why}");
        }
        assert!(Levels::parse("106751991167d").is_ok());
    }

    #[test]
    fn a_level_above_the_highest_counts_as_that() {
        let levels = Levels::default();
        assert_eq!(
            [25, 18, 1, 0, -3, i32::MIN].map(|delay| levels.asked(delay).map(Level::get)),
            [Some(18), Some(18), Some(1), None, None, None]
        );
    }

    #[test]
    fn a_level_of_a_longer_table_waits_a_second() {
        let levels = Levels::parse("1m").unwrap();
        assert_eq!((levels.due_ms(5, level(1)), levels.due_ms(5, level(2))), (60_005, 1005));
        assert_eq!(levels.due_ms(i64::MAX, level(1)), i64::MAX);
    }

    #[test]
    fn a_levels_queue_is_one_below_it() {
        assert_eq!((level(1).queue(), level(18).queue()), (0, 17));
        assert_eq!(Level::of_queue(17), Some(level(18)));
        assert_eq!(level(u32::MAX).queue(), u32::MAX - 1);
    }

    #[test]
    fn a_brokers_delayed_messages_are_due_to_the_millisecond() {
        let (levels, manifest) = (Levels::default(), manifest("delay-levels"));
        let mut seen = 0;
        for record in manifest["records"].as_array().unwrap() {
            if record["topic"] != SCHEDULE_TOPIC {
                continue;
            }
            let property = |name: &str| record["properties"][name].as_str().unwrap();
            // One asked for level 25; the broker wrote down what it made of it.
            let stored = levels.asked(property("asked").parse().unwrap()).unwrap();
            assert_eq!(property("DELAY"), stored.get().to_string());
            assert_eq!(record["queueId"], stored.queue());
            let due = levels.due_ms(record["storeTimestamp"].as_i64().unwrap(), stored);
            assert_eq!(record["dispatch"]["tagsCode"], due);
            seen += 1;
        }
        assert_eq!(seen, 13);
    }

    #[test]
    fn queues_and_progress_of_a_broker_name_exactly_the_messages_that_wait() {
        let manifest = manifest("delay-levels");
        let text = golden_file("delay-levels", "config/delayOffset.json");
        let progress = DelayOffsets::from_value(Some(&json::parse(&text).unwrap())).unwrap();
        let mut queues: BTreeMap<Level, Vec<String>> = BTreeMap::new();
        for record in manifest["records"].as_array().unwrap() {
            if record["topic"] == SCHEDULE_TOPIC {
                let queue = u32::try_from(record["queueId"].as_u64().unwrap()).unwrap();
                let key = record["properties"]["KEYS"].as_str().unwrap().to_owned();
                queues.entry(Level::of_queue(queue).unwrap()).or_default().push(key);
            }
        }
        let mut waiting = BTreeMap::new();
        let mut pending = BTreeSet::new();
        for (level, keys) in queues {
            let next = usize::try_from(progress.get(level.get()).unwrap()).unwrap();
            waiting.insert(level.get(), keys.len() - next);
            pending.extend(keys.into_iter().skip(next));
        }
        let counts = [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (9, 1), (14, 1), (18, 3)];
        assert_eq!(waiting, BTreeMap::from(counts));
        let expected = expected_states(&manifest, "delay");
        let expected = expected.into_iter().filter(|(_, state)| state == "pending");
        assert_eq!(pending, expected.map(|(key, _)| key).collect());
        // Every level whose queue there is has a place, and no other.
        assert_eq!(
            progress.iter().map(|(level, _)| level).collect::<Vec<_>>(),
            counts.map(|(level, _)| level)
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9smhd \u{e9}]{0,24}") {
            if let Ok(levels) = Levels::parse(&text) {
                prop_assert_eq!(levels.as_ms().len(), text.trim_end().split(' ').count());
                prop_assert!(levels.as_ms().iter().all(|ms| *ms >= 0));
                prop_assert!(levels.delay(levels.highest()).is_some());
            }
        }
    }
}
