//! Comparing a queue with its model.

use std::time::Duration;

use pocketmq::{Message, Raw, Topic};

use super::expected::{Progress, Sent};
use super::ops::Envelope;
use super::world::{World, group_name, place, topic_name};

impl World {
    /// Everything that can be asked is as the model says.
    pub(super) fn check(&mut self) {
        let stats = self.queue.stats().unwrap();
        assert!(!stats.poisoned);
        assert_eq!(stats.topics.len(), self.model.topics.len());
        let numbers: Vec<u8> = self.model.topics.keys().copied().collect();
        for (found, number) in stats.topics.iter().zip(numbers) {
            assert_eq!(found.name, topic_name(number));
            assert_eq!(found.queues.len(), self.model.topics[&number].queues.len());
            for (at, found) in found.queues.iter().enumerate() {
                assert_eq!(found.id.get() as usize, at);
                let most = self.model.min_at_most(number, at);
                let queue = self.model.queue(number, at);
                assert_eq!(found.next.get(), queue.next());
                let possible = queue.min..=most;
                assert!(possible.contains(&found.min.get()), "{found:?}, {possible:?}");
                queue.min = found.min.get();
            }
        }
        assert_eq!(stats.groups.len(), self.model.groups.len());
        for (found, ((group, topic), progress)) in stats.groups.iter().zip(&self.model.groups) {
            let queues = &self.model.topics[topic].queues;
            assert_eq!(found.group, group_name(*group));
            assert_eq!(found.topic, topic_name(*topic));
            let watermarks = found.watermarks.iter().map(|(id, at)| (id.get(), at.get()));
            let expected = (0..).zip(progress.iter().map(Progress::watermark));
            assert!(watermarks.eq(expected), "{found:?}, {progress:?}");
            let backlog: u64 = progress.iter().zip(queues).map(|(p, q)| p.backlog(q)).sum();
            assert_eq!(found.backlog, backlog, "{found:?}");
            let held: usize = progress.iter().map(|p| p.held.len()).sum();
            assert_eq!(found.in_flight, u64::try_from(held).unwrap(), "{found:?}");
            let bad: usize = progress.iter().zip(queues).map(|(p, q)| p.bad(q)).sum();
            assert!(found.failed <= u64::try_from(bad).unwrap(), "{found:?}");
        }
    }

    /// Every group gets the rest, and a new one everything.
    pub(super) fn finish(mut self) {
        self.flush();
        self.held.clear();
        self.model.reopened();
        let joined: Vec<_> = self.model.groups.keys().copied().collect();
        for (group, topic) in joined {
            while self.model.waiting((group, topic)).0 > 0 {
                self.receive(group, topic, 1000);
            }
            self.receive(group, topic, 1);
            self.check();
        }
        for (number, topic) in &self.model.topics {
            let raw = Topic::<[u8], Raw>::named(topic_name(*number)).unwrap();
            let consumer = self.queue.consumer(raw, "fresh").pull().unwrap();
            let mut next = self.watermarks("fresh", *number);
            for (at, start) in next.iter().enumerate() {
                let possible = topic.queues[at].min..=self.model.min_at_most(*number, at);
                assert!(possible.contains(start), "{possible:?}, not {start}");
            }
            let all: u64 = topic.queues.iter().zip(&next).map(|(q, start)| q.next() - start).sum();
            let mut deliveries = Vec::new();
            while (deliveries.len() as u64) < all {
                let batch = consumer.recv_batch(100, Duration::ZERO).unwrap();
                assert!(!batch.is_empty(), "{} of {all}", deliveries.len());
                deliveries.extend(batch);
            }
            assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
            for delivery in &deliveries {
                let (queue, offset) = place(delivery.message());
                assert_eq!(offset, next[queue as usize]);
                next[queue as usize] += 1;
                compare(topic.queues[queue as usize].message(offset), delivery.message());
            }
        }
        self.queue.close().unwrap();
    }
}

/// A message is as it was sent.
pub(super) fn compare(sent: &Sent, message: &Message) {
    assert_eq!(message.body(), sent.body);
    let Envelope { order_key, keys, tag, property } = &sent.envelope;
    assert_eq!(message.order_key(), order_key.as_deref());
    assert!(message.keys().eq(keys));
    assert_eq!(message.tag(), tag.as_deref());
    assert_eq!(message.property("property"), property.as_deref());
}
