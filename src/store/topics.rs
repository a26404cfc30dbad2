//! The topics of a store and what is known about each.

use std::collections::HashMap;

use crate::consumequeue::ConsumeQueue;
use crate::observe::TopicMeter;
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicUsize, Ordering, RwLock, Weak};

/// Somebody who wants to know that messages arrived in a topic.
pub(crate) trait Listener: Send + Sync + std::fmt::Debug {
    /// Up to `count` messages arrived.
    fn arrived(&self, count: usize);

    /// The first offset of a queue that it still has to read, if nobody else keeps that in mind. Never goes back.
    fn needs(&self, _queue: u32) -> Option<u64> {
        None
    }
}

/// One topic: its queues and those who listen.
#[derive(Debug)]
pub(crate) struct Topic {
    name: Arc<str>,
    queues: Box<[ConsumeQueue]>,
    /// The queue the next unkeyed message goes to.
    turn: AtomicU32,
    /// How many threads sleep until a message arrives. An append looks here only.
    sleepers: AtomicUsize,
    /// Something came since those who wait were last made to look.
    fresh: AtomicBool,
    listeners: RwLock<Vec<Weak<dyn Listener>>>,
    meter: TopicMeter,
}

impl Topic {
    pub(crate) fn new(name: &str, queues: impl Iterator<Item = ConsumeQueue>) -> Self {
        Self {
            name: name.into(),
            queues: queues.collect(),
            turn: AtomicU32::new(0),
            sleepers: AtomicUsize::new(0),
            fresh: AtomicBool::new(false),
            listeners: RwLock::new(Vec::new()),
            meter: TopicMeter::default(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    #[expect(clippy::cast_possible_truncation, reason = "queue counts are checked on the way in")]
    pub(crate) fn queue_count(&self) -> u32 {
        self.queues.len() as u32
    }

    pub(crate) fn queue(&self, id: u32) -> Option<&ConsumeQueue> {
        self.queues.get(id as usize)
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = (u32, &ConsumeQueue)> {
        (0u32..).zip(&self.queues)
    }

    /// Round robin.
    pub(crate) fn next_turn(&self) -> u32 {
        match self.queue_count() {
            1 => 0,
            n => self.turn.fetch_add(1, Ordering::Relaxed) % n,
        }
    }

    pub(crate) fn listen(&self, listener: Weak<dyn Listener>) {
        let mut listeners = self.listeners.write();
        listeners.retain(|l| l.strong_count() > 0);
        listeners.push(listener);
    }

    /// The first offset of a queue that some listener still has to read; `None` if none says so.
    pub(crate) fn needed(&self, queue: u32) -> Option<u64> {
        let listeners = self.listeners.read();
        listeners.iter().filter_map(Weak::upgrade).filter_map(|l| l.needs(queue)).min()
    }

    /// For whoever counts: so many messages were stored, of so many bytes. Called without locks.
    pub(crate) fn came_in(&self, messages: usize, bytes: u64) {
        self.meter.came_in(&self.name, messages, bytes);
    }

    /// Counts a thread as sleeping until the guard is dropped. It must look at the queues once more after this, and
    /// sleep in a way that [`Listener::arrived`] cannot miss.
    pub(crate) fn sleep(&self) -> Sleeper<'_> {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        Sleeper(&self.sleepers)
    }

    /// As [`Topic::sleep`], for a future.
    pub(crate) fn sleep_on(self: &Arc<Self>) -> OwnedSleeper {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        OwnedSleeper(Arc::clone(self))
    }

    #[cfg(test)]
    pub(crate) fn sleepers(&self) -> usize {
        self.sleepers.load(Ordering::SeqCst)
    }

    /// Called after units were pushed. No wake-up is lost: a sleeper counts itself before it takes the queue's lock for
    /// its last look, so either that look sees the unit, or this sees the sleeper.
    pub(crate) fn arrived(&self, count: usize) {
        if !self.fresh.load(Ordering::Relaxed) {
            self.fresh.store(true, Ordering::Relaxed);
        }
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.tell(count);
        }
    }

    /// Has everybody who waits look, whether they count as sleepers or not, if something came since they were last told to.
    pub(crate) fn look_again(&self) {
        if self.fresh.swap(false, Ordering::Relaxed) {
            self.tell(usize::MAX);
        }
    }

    /// What arrives while `work` runs wakes nobody.
    #[cfg(test)]
    pub(crate) fn deaf(&self, work: impl FnOnce()) {
        let sleepers = self.sleepers.swap(0, Ordering::SeqCst);
        work();
        self.sleepers.fetch_add(sleepers, Ordering::SeqCst);
    }

    fn tell(&self, count: usize) {
        let listeners: Vec<_> = self.listeners.read().iter().filter_map(Weak::upgrade).collect();
        for listener in listeners {
            listener.arrived(count);
        }
    }
}

/// See [`Topic::sleep`].
#[derive(Debug)]
pub(crate) struct Sleeper<'a>(&'a AtomicUsize);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// As [`Sleeper`], for a future.
#[derive(Debug)]
pub(crate) struct OwnedSleeper(Arc<Topic>);

impl Drop for OwnedSleeper {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All topics by name.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_name: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
}

impl Topics {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().get(name).map(Arc::clone)
    }

    /// Adds a topic unless one of that name exists; returns the one that is there.
    pub(crate) fn insert(&self, topic: Topic) -> Arc<Topic> {
        let mut by_name = self.by_name.write();
        let topic = Arc::new(topic);
        Arc::clone(by_name.entry(Arc::clone(&topic.name)).or_insert(topic))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = self.by_name.read().values().map(Arc::clone).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}
