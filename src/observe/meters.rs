//! Counters and gauges, through the `metrics` crate, under `RocketMQ`'s names where it has them.
//!
//! A counter is looked up by its name and labels once, when it first counts, and kept: after that, counting takes no lock of a recorder and no
//! memory. So the recorder has to be there before the first message.

use metrics::{Counter, counter, describe_counter, describe_gauge};

pub(crate) use metrics::Unit;

use crate::sync::OnceLock;

use super::Names;

const MESSAGES_IN: &str = "rocketmq_messages_in_total";
const THROUGHPUT_IN: &str = "rocketmq_throughput_in_total";
const MESSAGES_OUT: &str = "rocketmq_messages_out_total";
const THROUGHPUT_OUT: &str = "rocketmq_throughput_out_total";
const ACKED: &str = "pocketmq_messages_acked_total";
const FAILED: &str = "pocketmq_attempts_failed_total";
const EXPIRED: &str = "pocketmq_leases_expired_total";
const SET_ASIDE: &str = "pocketmq_messages_set_aside_total";

const COUNTERS: [(&str, Unit, &str); 8] = [
    (MESSAGES_IN, Unit::Count, "Messages stored."),
    (THROUGHPUT_IN, Unit::Bytes, "Bytes of their records."),
    (MESSAGES_OUT, Unit::Count, "Messages handed out to consumers of a group, each time anew."),
    (THROUGHPUT_OUT, Unit::Bytes, "Bytes of their records."),
    (ACKED, Unit::Count, "Messages that consumers acknowledged."),
    (FAILED, Unit::Count, "Attempts that consumers said failed."),
    (EXPIRED, Unit::Count, "Leases that ended, each of them a failed attempt."),
    (SET_ASIDE, Unit::Count, "Messages whose last attempt failed."),
];

/// Says what the counters mean. Those who are told twice know it twice.
pub(crate) fn describe() {
    for (name, unit, what) in COUNTERS {
        describe_counter!(name, unit, what);
    }
}

/// Sets a gauge, and says what it means.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; 53 bits are enough to look at")]
pub(crate) fn gauge(
    (name, unit, what): (&'static str, Unit, &'static str),
    names: Option<Names<'_>>,
    value: u64,
) {
    describe_gauge!(name, unit, what);
    let gauge = match names {
        None => metrics::gauge!(name),
        Some(Names { topic, group }) => {
            let (topic, group) = (topic.to_owned(), group.to_owned());
            metrics::gauge!(name, "topic" => topic, "consumer_group" => group)
        }
    };
    gauge.set(value as f64);
}

/// What comes into a topic.
#[derive(Debug, Default)]
pub(crate) struct TopicMeter(OnceLock<In>);

#[derive(Debug)]
struct In {
    messages: Counter,
    bytes: Counter,
}

impl TopicMeter {
    pub(crate) fn came_in(&self, topic: &str, messages: usize, bytes: u64) {
        let counters = kept(&self.0, || {
            let of = |name| counter!(name, "topic" => topic.to_owned());
            In { messages: of(MESSAGES_IN), bytes: of(THROUGHPUT_IN) }
        });
        if let Some(counters) = counters {
            counters.messages.increment(messages as u64);
            counters.bytes.increment(bytes);
        }
    }
}

/// What a group does with the messages of a topic.
#[derive(Debug, Default)]
pub(crate) struct GroupMeter(OnceLock<Out>);

#[derive(Debug)]
struct Out {
    messages: Counter,
    bytes: Counter,
    acked: Counter,
    failed: Counter,
    expired: Counter,
    set_aside: Counter,
}

impl GroupMeter {
    pub(crate) fn went_out(&self, names: Names<'_>, messages: usize, bytes: impl FnOnce() -> u64) {
        if let Some(counters) = self.counters(names) {
            counters.messages.increment(messages as u64);
            counters.bytes.increment(bytes());
        }
    }

    pub(crate) fn acked(&self, names: Names<'_>, messages: u64) {
        if let Some(counters) = self.counters(names) {
            counters.acked.increment(messages);
        }
    }

    pub(super) fn failed(&self, names: Names<'_>) {
        if let Some(counters) = self.counters(names) {
            counters.failed.increment(1);
        }
    }

    pub(super) fn expired(&self, names: Names<'_>) {
        if let Some(counters) = self.counters(names) {
            counters.expired.increment(1);
        }
    }

    pub(super) fn set_aside(&self, names: Names<'_>) {
        if let Some(counters) = self.counters(names) {
            counters.set_aside.increment(1);
        }
    }

    fn counters(&self, names: Names<'_>) -> Option<&Out> {
        let Names { topic, group } = names;
        kept(&self.0, || {
            let of = |name| counter!(name, "topic" => topic.to_owned(), "consumer_group" => group.to_owned());
            Out {
                messages: of(MESSAGES_OUT),
                bytes: of(THROUGHPUT_OUT),
                acked: of(ACKED),
                failed: of(FAILED),
                expired: of(EXPIRED),
                set_aside: of(SET_ASIDE),
            }
        })
    }
}

/// Nobody waits while somebody else looks a counter up: who does it twice gets the same one.
fn kept<T>(slot: &OnceLock<T>, make: impl FnOnce() -> T) -> Option<&T> {
    if slot.get().is_none() {
        let _ = slot.set(make());
    }
    slot.get()
}
