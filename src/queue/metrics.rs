//! What is set, not counted: how the queue is at the moment, for whoever collects metrics.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::observe::{Names, Unit, gauge};

use super::Queue;
use super::group::lag_of;
use super::look::{GroupStats, Stats};

type Gauge = (&'static str, Unit, &'static str);

const TOPICS: Gauge = ("rocketmq_topic_number", Unit::Count, "Topics.");
const GROUPS: Gauge = ("rocketmq_consumer_group_number", Unit::Count, "Consumer groups.");
const SIZE: Gauge = ("rocketmq_storage_size", Unit::Bytes, "Bytes of the log that are there.");
const FLUSH_BEHIND: Gauge =
    ("rocketmq_storage_flush_behind_bytes", Unit::Bytes, "Bytes of the log that are not durable.");
const POISONED: Gauge =
    ("pocketmq_poisoned", Unit::Count, "1 if a failure has stopped the store from writing.");

const LAG: Gauge =
    ("rocketmq_consumer_lag_messages", Unit::Count, "Messages that a group did not acknowledge.");
const LAG_AGE: Gauge = (
    "rocketmq_consumer_lag_latency",
    Unit::Milliseconds,
    "Age of the oldest message that a group did not acknowledge.",
);
const IN_FLIGHT: Gauge =
    ("rocketmq_consumer_inflight_messages", Unit::Count, "Messages in consumers' hands.");
const FAILED: Gauge =
    ("pocketmq_failed_messages", Unit::Count, "Messages that failed, and are tried again.");
const SET_ASIDE: Gauge =
    ("pocketmq_set_aside_messages", Unit::Count, "Messages that are not received any more.");

impl Queue {
    /// Sets the gauges of the installed recorder (crate `metrics`): backlogs, their age, what is in consumers' hands, the size of the log. Call it
    /// when they are collected, or every few seconds; nothing else sets them.
    ///
    /// Counters need no call: messages are counted as they come and go. Install the recorder before the queue is opened, for whatever counted
    /// before does not look for a recorder again. docs/ARCHITECTURE.md names them all.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let queue = pocketmq::Queue::in_memory()?;
    /// queue.record_metrics()?;
    /// # queue.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); [`ErrorKind::Io`](crate::ErrorKind::Io) if the age of a message cannot be read.
    pub fn record_metrics(&self) -> Result<()> {
        let stats = self.stats()?;
        record_store(&stats);
        let ages = self.ages()?;
        for of in &stats.groups {
            let age = ages.get(&(of.group.clone(), of.topic.clone())).copied();
            record_group(of, age.unwrap_or_default());
        }
        Ok(())
    }

    /// Of the oldest message of each group in each topic, in milliseconds.
    fn ages(&self) -> Result<BTreeMap<(String, String), u64>> {
        let store = self.engine.store();
        let mut ages = BTreeMap::new();
        for cursor in store.group_progress() {
            let lag = lag_of(store, &cursor.topic, cursor.queue, &cursor.acked)?;
            let oldest = lag.and_then(|lag| lag.oldest).unwrap_or_default().as_millis();
            let age: &mut u64 = ages.entry((cursor.group, cursor.topic)).or_default();
            *age = (*age).max(u64::try_from(oldest).unwrap_or(u64::MAX));
        }
        Ok(ages)
    }
}

fn record_store(stats: &Stats) {
    let mut groups: Vec<&str> = stats.groups.iter().map(|of| of.group.as_str()).collect();
    groups.dedup();
    let log = stats.log;
    gauge(TOPICS, None, stats.topics.len() as u64);
    gauge(GROUPS, None, groups.len() as u64);
    gauge(SIZE, None, log.next.get() - log.min.get());
    gauge(FLUSH_BEHIND, None, log.next.get() - log.durable.get());
    gauge(POISONED, None, u64::from(stats.poisoned));
}

fn record_group(of: &GroupStats, age_ms: u64) {
    let names = Some(Names { topic: &of.topic, group: &of.group });
    gauge(LAG, names, of.backlog);
    gauge(LAG_AGE, names, age_ms);
    gauge(IN_FLIGHT, names, of.in_flight);
    gauge(FAILED, names, of.failed);
    gauge(SET_ASIDE, names, of.set_aside);
}
