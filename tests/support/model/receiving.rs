//! Receiving, and every way to be done with what was received.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pocketmq::{GroupStats, Start, Topic};

use super::check::compare;
use super::ops::{Ack, From};
use super::world::{Delivered, SOON, World, group_name, place, topic_name};

impl World {
    pub(super) fn join(&mut self, group: u8, topic: u8, from: From) {
        let start = match from {
            From::Earliest => Start::Earliest,
            From::Latest => Start::Latest,
            From::Offset(offset) => Start::Offset(offset.into()),
            From::LongAgo => Start::At(UNIX_EPOCH),
            From::Tomorrow => Start::At(SystemTime::now() + Duration::from_secs(24 * 3600)),
        };
        if self.unsettled {
            self.flush();
        }
        let consumer = self
            .queue
            .consumer(Topic::named(topic_name(topic)).unwrap(), &group_name(group))
            .start(start)
            .pull()
            .unwrap();
        self.consumers.insert((group, topic), consumer);
        self.model.create(topic, self.setup.default_queues);
        let starts = self.watermarks(&group_name(group), topic);
        self.model.join(group, topic, from, &starts);
    }

    pub(super) fn receive(&mut self, group: u8, topic: u8, max: usize) {
        let at = (group, topic);
        if !self.consumers.contains_key(&at) {
            self.join(group, topic, From::Earliest);
        }
        let (available, bad) = self.model.waiting(at);
        let wait = if self.unsettled && available > 0 { SOON } else { Duration::ZERO };
        let batch = if max == 1 {
            Vec::from_iter(self.consumers[&at].recv(wait).unwrap())
        } else {
            self.consumers[&at].recv_batch(max, wait).unwrap()
        };
        let most = available.min(max);
        // What does not decode takes room in a batch, and is passed over.
        let least = if bad > 0 || self.unsettled { most.min(1) } else { most };
        assert!((least..=most).contains(&batch.len()), "{} of {least} to {most}", batch.len());
        if batch.is_empty() && !self.unsettled {
            assert_eq!(
                self.group_stats(&group_name(group), topic).failed,
                u64::try_from(bad).unwrap()
            );
        }
        for delivery in batch {
            let (queue, offset) = place(delivery.message());
            let sent = self.model.received(at, queue, offset);
            compare(sent, delivery.message());
            assert_eq!(**delivery.value(), *sent.body);
            self.held.push((at, delivery));
        }
    }

    fn group_stats(&self, group: &str, topic: u8) -> GroupStats {
        let topic = topic_name(topic);
        let mut groups = self.queue.stats().unwrap().groups.into_iter();
        groups.find(|g| g.group == group && g.topic == topic).unwrap()
    }

    pub(super) fn watermarks(&self, group: &str, topic: u8) -> Vec<u64> {
        let stats = self.group_stats(group, topic);
        stats.watermarks.iter().map(|(_, offset)| offset.get()).collect()
    }

    fn pick(&mut self, which: u8) -> Option<((u8, u8), Delivered)> {
        let at = usize::from(which).checked_rem(self.held.len())?;
        Some(self.held.remove(at))
    }

    pub(super) fn ack(&mut self, which: u8, how: Ack) {
        let Some((at, delivery)) = self.pick(which) else { return };
        let (queue, offset) = place(delivery.message());
        match how {
            Ack::Plain => delivery.ack().unwrap(),
            Ack::Durable => delivery.ack_durable().unwrap(),
            Ack::Into => {
                let value = delivery.into_acked().unwrap();
                let sent = self.model.topics[&at.1].queues[queue as usize].message(offset);
                assert_eq!(*value, *sent.body);
            }
        }
        self.model.acked(at, queue, offset);
    }

    pub(super) fn ack_all(&mut self, at: (u8, u8), mask: u64) {
        let Some(consumer) = self.consumers.get(&at) else { return };
        let mut bits = mask;
        let chosen = self.held.extract_if(.., |(of, _)| {
            let mine = *of == at;
            if mine {
                bits = bits.rotate_right(1);
            }
            mine && bits & 1 == 1
        });
        let chosen: Vec<Delivered> = chosen.map(|(_, delivery)| delivery).collect();
        let places: Vec<_> = chosen.iter().map(|d| place(d.message())).collect();
        consumer.ack_all(chosen).unwrap();
        for (queue, offset) in places {
            self.model.acked(at, queue, offset);
        }
    }

    pub(super) fn give_back(&mut self, which: u8) {
        let Some((at, delivery)) = self.pick(which) else { return };
        let (queue, offset) = place(delivery.message());
        drop(delivery);
        self.model.progress(at, queue).held.remove(&offset);
    }
}
