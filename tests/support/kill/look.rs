//! What a store gives to whoever asks for everything.

use std::collections::BTreeMap;
use std::time::Duration;

use pocketmq::{Delivery, Queue};

use super::child::Bytes;
use super::ledger::Place;
use super::plan::{Id, TOPICS};

/// Every message with its place, by a group that never acknowledges and so receives the whole log each time.
pub(crate) fn contents(queue: &Queue) -> BTreeMap<Place, Id> {
    let mut found = BTreeMap::new();
    for delivery in receive(queue, "auditor") {
        let id = Id::of(delivery.1.body());
        let id = id.unwrap_or_else(|| panic!("never sent: {:?}", delivery.1));
        found.insert(delivery.0, id);
    }
    for topic in queue.stats().unwrap().topics {
        let index = TOPICS.iter().position(|(name, _)| *name == topic.name).unwrap();
        for there in topic.queues {
            let (from, to) = ((index, there.id.get(), 0), (index, there.id.get(), u64::MAX));
            assert_eq!(there.min.get(), 0);
            assert_eq!(there.next.get(), found.range(from..to).count() as u64, "{there:?}");
        }
    }
    found
}

/// Everything a group can get at once.
pub(crate) fn receive(queue: &Queue, group: &str) -> Vec<(Place, Delivery<Box<[u8]>>)> {
    let mut all = Vec::new();
    for (index, (name, queues)) in TOPICS.into_iter().enumerate() {
        queue.create_topic(name, queues).unwrap();
        let consumer =
            queue.consumer(Bytes::new(name), group).poison_guard(u32::MAX).pull().unwrap();
        loop {
            let batch = consumer.recv_batch(1000, Duration::ZERO).unwrap();
            if batch.is_empty() {
                break;
            }
            let place = |d: &Delivery<Box<[u8]>>| {
                (index, d.message().queue().get(), d.message().queue_offset().get())
            };
            all.extend(batch.into_iter().map(|d| (place(&d), d)));
        }
    }
    all
}
