//! What a queue should do, written down as plainly as possible.

use std::collections::{BTreeMap, BTreeSet};

use super::ops::{Envelope, From};

/// A stored message. Its place is its position in its queue.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) body: Vec<u8>,
    pub(crate) envelope: Envelope,
    /// The codec refuses it.
    pub(crate) bad: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) messages: Vec<Sent>,
    /// The first offset that is still there: in memory, what all groups have acknowledged goes.
    pub(crate) min: u64,
}

impl Queue {
    pub(crate) fn next(&self) -> u64 {
        self.messages.len() as u64
    }

    pub(crate) fn message(&self, offset: u64) -> &Sent {
        &self.messages[usize::try_from(offset).unwrap()]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Topic {
    pub(crate) queues: Vec<Queue>,
    /// The queue that the next message without a key goes to, where that is known.
    pub(crate) turn: Option<u32>,
    /// Where messages with an order key went.
    order_keys: BTreeMap<String, u32>,
}

/// A group's progress in one queue.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) start: u64,
    pub(crate) acked: BTreeSet<u64>,
    pub(crate) held: BTreeSet<u64>,
}

impl Progress {
    fn unacked<'a>(&'a self, queue: &Queue) -> impl Iterator<Item = u64> + use<'a> {
        (self.start..queue.next()).filter(|offset| !self.acked.contains(offset))
    }

    /// Everything below is acknowledged.
    pub(crate) fn watermark(&self) -> u64 {
        let end = self.acked.last().map_or(self.start, |last| last + 1);
        (self.start..end).find(|offset| !self.acked.contains(offset)).unwrap_or(end)
    }

    /// Acknowledged above a message that is not.
    pub(crate) fn above_gaps(&self) -> u64 {
        self.acked.range(self.watermark()..).count() as u64
    }

    pub(crate) fn backlog(&self, queue: &Queue) -> u64 {
        self.unacked(queue).count() as u64
    }

    /// What can be received, in order.
    pub(crate) fn available<'a>(&'a self, queue: &'a Queue) -> impl Iterator<Item = u64> + use<'a> {
        self.unacked(queue).filter(|o| !self.held.contains(o) && !queue.message(*o).bad)
    }

    /// What the codec refuses.
    pub(crate) fn bad(&self, queue: &Queue) -> usize {
        self.unacked(queue).filter(|offset| queue.message(*offset).bad).count()
    }
}

/// The whole store. Topics and groups are numbers.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// In memory.
    pub(crate) volatile: bool,
    pub(crate) topics: BTreeMap<u8, Topic>,
    /// By group and topic.
    pub(crate) groups: BTreeMap<(u8, u8), Vec<Progress>>,
    /// Makes every body different.
    count: u64,
}

impl Model {
    /// The body of the next message.
    pub(crate) fn body(&mut self, len: usize, bad: bool) -> Vec<u8> {
        self.count += 1;
        let mut body = self.count.to_be_bytes().repeat(len / 8 + 1);
        body.truncate(len);
        if bad {
            body.insert(0, u8::MAX);
        }
        body
    }

    /// Makes a topic, unless it is there.
    pub(crate) fn create(&mut self, topic: u8, queues: u32) -> &mut Topic {
        let empty = || Topic {
            queues: (0..queues).map(|_| Queue::default()).collect(),
            ..Topic::default()
        };
        self.topics.entry(topic).or_insert_with(empty)
    }

    pub(crate) fn queue(&mut self, topic: u8, at: usize) -> &mut Queue {
        &mut self.topics.get_mut(&topic).unwrap().queues[at]
    }

    /// A message was stored there. Says so only if that is where it belongs.
    pub(crate) fn sent(&mut self, topic: u8, (queue, offset): (u32, u64), message: Sent) {
        let topic = self.topics.get_mut(&topic).unwrap();
        if let Some(key) = &message.envelope.order_key {
            let before = *topic.order_keys.entry(key.clone()).or_insert(queue);
            assert_eq!(queue, before, "a key changed its queue");
        }
        let queue = &mut topic.queues[queue as usize];
        assert_eq!(offset, queue.next(), "not the next offset");
        queue.messages.push(message);
    }

    /// A message without a key went to this queue.
    pub(crate) fn took_turn(&mut self, topic: u8, queue: u32) {
        let topic = self.topics.get_mut(&topic).unwrap();
        assert_eq!(topic.turn.unwrap_or(queue), queue, "not this queue's turn");
        topic.turn = Some((queue + 1) % u32::try_from(topic.queues.len()).unwrap());
    }

    /// A send failed: whether it used up a turn is nobody's business.
    pub(crate) fn lost_turn(&mut self, topic: u8) {
        self.topics.get_mut(&topic).unwrap().turn = None;
    }

    /// How far a queue's beginning may have moved: on disk not at all, in memory up to what all groups have acknowledged.
    pub(crate) fn min_at_most(&self, topic: u8, at: usize) -> u64 {
        let min = self.topics[&topic].queues[at].min;
        let groups = self.groups.iter().filter(|((_, of), _)| self.volatile && *of == topic);
        groups.map(|(_, progress)| progress[at].watermark()).min().unwrap_or(min).max(min)
    }

    /// A consumer began, and its group with these watermarks if it was new. They must be where it was told to begin.
    pub(crate) fn join(&mut self, group: u8, topic: u8, from: From, starts: &[u64]) {
        if self.groups.contains_key(&(group, topic)) {
            return;
        }
        let queues = &self.topics[&topic].queues;
        assert_eq!(starts.len(), queues.len());
        for (at, (start, queue)) in starts.iter().zip(queues).enumerate() {
            let begin = |min: u64| match from {
                From::Earliest | From::LongAgo => min,
                From::Latest | From::Tomorrow => queue.next(),
                From::Offset(offset) => offset.clamp(min, queue.next()),
            };
            let possible = begin(queue.min)..=begin(self.min_at_most(topic, at));
            assert!(possible.contains(start), "{from:?} is {possible:?}, not {start}");
        }
        let (acked, held) = (BTreeSet::new(), BTreeSet::new());
        let begun = |start| Progress { start, acked: acked.clone(), held: held.clone() };
        self.groups.insert((group, topic), starts.iter().copied().map(begun).collect());
    }

    pub(crate) fn progress(&mut self, (group, topic): (u8, u8), queue: u32) -> &mut Progress {
        &mut self.groups.get_mut(&(group, topic)).unwrap()[queue as usize]
    }

    /// A message was received: it must be the first one of its queue that could be.
    pub(crate) fn received(&mut self, at: (u8, u8), queue: u32, offset: u64) -> &Sent {
        let messages = &self.topics[&at.1].queues[queue as usize];
        let progress = &mut self.groups.get_mut(&at).unwrap()[queue as usize];
        let first = progress.available(messages).next();
        assert_eq!(Some(offset), first, "not the first message that waits in queue {queue}");
        progress.held.insert(offset);
        messages.message(offset)
    }

    pub(crate) fn acked(&mut self, at: (u8, u8), queue: u32, offset: u64) {
        let progress = self.progress(at, queue);
        progress.held.remove(&offset);
        progress.acked.insert(offset);
    }

    /// How many messages a group can receive in a topic, and how many its codec refuses.
    pub(crate) fn waiting(&self, at: (u8, u8)) -> (usize, usize) {
        let queues = self.topics[&at.1].queues.iter();
        let each = self.groups[&at].iter().zip(queues);
        each.fold((0, 0), |(available, bad), (progress, queue)| {
            (available + progress.available(queue).count(), bad + progress.bad(queue))
        })
    }

    /// All handles are gone.
    pub(crate) fn reopened(&mut self) {
        self.groups.values_mut().flatten().for_each(|progress| progress.held.clear());
        self.topics.values_mut().for_each(|topic| topic.turn = None);
    }
}
