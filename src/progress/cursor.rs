//! A handle on what one group has acknowledged of one queue, and the table of all of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::ranges::Acked;
use super::state::CursorRecord;
use super::unsettled::{Failed, Unsettled};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

/// What one group has acknowledged of one queue. A cheap handle; reading through it blocks nobody for long.
#[derive(Debug, Clone)]
pub(crate) struct Cursor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u32,
    group: Arc<str>,
    topic: Arc<str>,
    queue: u32,
    /// How many journal entries there were once it was defined: durable with these.
    defined: u64,
    /// Changed under the journal's lock only.
    marks: Mutex<Marks>,
    /// How often it was moved, or something was withdrawn: who found a message before that may not take it any more. Changed under the
    /// journal's lock only.
    epoch: AtomicU64,
    /// How often it was moved. Changed under the journal's lock only.
    moves: AtomicU64,
}

/// What is known of a queue's messages.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) acked: Acked,
    pub(super) unsettled: Unsettled,
}

impl Cursor {
    pub(crate) fn queue(&self) -> u32 {
        self.0.queue
    }

    /// The first offset that is not acknowledged.
    pub(crate) fn watermark(&self) -> u64 {
        self.marks().acked.watermark()
    }

    #[cfg(test)]
    pub(crate) fn is_acked(&self, offset: u64) -> bool {
        self.marks().acked.contains(offset)
    }

    /// The first offset at or after `from` that is not acknowledged, and how it failed before.
    pub(crate) fn next_unacked(&self, from: u64) -> (u64, Option<Failed>) {
        let marks = self.marks();
        let offset = marks.acked.next_unacked(from);
        (offset, marks.unsettled.failed_at(offset))
    }

    /// How a message failed before.
    pub(crate) fn failed(&self, offset: u64) -> Option<Failed> {
        self.marks().unsettled.failed_at(offset)
    }

    /// All messages that failed, in order.
    pub(crate) fn all_failed(&self) -> Vec<(u64, Failed)> {
        self.marks().unsettled.failed().collect()
    }

    /// Whether the token holds a message.
    pub(crate) fn holds(&self, token: u64, offset: u64) -> bool {
        self.marks().unsettled.hands.holds(&(offset..offset.saturating_add(1)), token)
    }

    /// No lease ends before this.
    pub(crate) fn first_lease(&self) -> Option<Instant> {
        self.marks().unsettled.hands.soonest()
    }

    /// How many messages are in consumers' hands.
    #[cfg(test)]
    pub(crate) fn in_hands(&self) -> u64 {
        self.marks().unsettled.hands.count()
    }

    /// What has to be named by whoever takes a message out.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }

    /// What has to be named by whoever passes over messages.
    pub(crate) fn moves(&self) -> u64 {
        self.0.moves.load(Ordering::SeqCst)
    }

    pub(super) fn moved(&self) {
        self.0.moves.fetch_add(1, Ordering::SeqCst);
        self.next_epoch();
    }

    pub(super) fn next_epoch(&self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// One past the highest offset that is acknowledged, or known to have failed.
    pub(crate) fn reach(&self) -> u64 {
        let marks = self.marks();
        marks.acked.reach().max(marks.unsettled.reach())
    }

    /// All that is known; acknowledging waits for the guard.
    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.marks.lock()
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id
    }

    pub(super) fn defined(&self) -> u64 {
        self.0.defined
    }

    pub(super) fn record(&self) -> CursorRecord {
        let marks = self.marks();
        CursorRecord {
            group: self.0.group.as_ref().to_owned(),
            topic: self.0.topic.as_ref().to_owned(),
            queue: self.0.queue,
            acked: marks.acked.clone(),
            unsettled: marks.unsettled.written(),
        }
    }
}

/// All cursors, by number and by name.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    all: Vec<Cursor>,
    /// By group, then by topic.
    named: HashMap<Arc<str>, HashMap<Arc<str>, Queues>>,
}

/// A group's cursors in one topic.
type Queues = BTreeMap<u32, Cursor>;

impl Cursors {
    pub(super) fn find(&self, group: &str, topic: &str, queue: u32) -> Option<&Cursor> {
        self.named.get(group)?.get(topic)?.get(&queue)
    }

    /// Whether the group has a cursor in any topic.
    pub(super) fn has(&self, group: &str) -> bool {
        self.named.contains_key(group)
    }

    /// The number that the next cursor gets; `None` if there are no more.
    pub(super) fn next_id(&self) -> Option<u32> {
        u32::try_from(self.all.len()).ok()
    }

    /// Adds a cursor that is not there yet.
    pub(super) fn add(&mut self, id: u32, record: CursorRecord, defined: u64) -> Cursor {
        let CursorRecord { group, topic, queue, acked, unsettled } = record;
        // Names are shared between the cursors that have them.
        let (group, topics) = shared(&mut self.named, &group);
        let (topic, queues) = shared(topics, &topic);
        let marks = Mutex::new(Marks { acked, unsettled });
        let (epoch, moves) = (AtomicU64::new(0), AtomicU64::new(0));
        let inner = Inner { id, group, topic, queue, defined, marks, epoch, moves };
        let cursor = Cursor(Arc::new(inner));
        queues.insert(queue, cursor.clone());
        self.all.push(cursor.clone());
        cursor
    }

    pub(super) fn records(&self) -> Vec<CursorRecord> {
        self.all.iter().map(Cursor::record).collect()
    }

    /// Whether the handle is one of these.
    pub(super) fn contains(&self, cursor: &Cursor) -> bool {
        let index = usize::try_from(cursor.id()).unwrap_or(usize::MAX);
        self.all.get(index).is_some_and(|own| Arc::ptr_eq(&own.0, &cursor.0))
    }
}

/// The entry for `name`, made if missing, and the one copy of the name.
fn shared<'a, V: Default>(map: &'a mut HashMap<Arc<str>, V>, name: &str) -> (Arc<str>, &'a mut V) {
    let name = map.get_key_value(name).map_or_else(|| Arc::from(name), |(own, _)| Arc::clone(own));
    let value = map.entry(Arc::clone(&name)).or_default();
    (name, value)
}
