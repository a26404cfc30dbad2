//! A handle on what one group has acknowledged of one queue, and the table of all of them.

use std::collections::{BTreeMap, HashMap};

use super::ranges::Acked;
use super::state::CursorRecord;
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
    acked: Mutex<Acked>,
    /// How often it was moved: whoever took a message before that may not acknowledge it any more. Changed under the journal's
    /// lock only.
    epoch: AtomicU64,
}

impl Cursor {
    pub(crate) fn queue(&self) -> u32 {
        self.0.queue
    }

    /// The first offset that is not acknowledged.
    pub(crate) fn watermark(&self) -> u64 {
        self.acked().watermark()
    }

    pub(crate) fn is_acked(&self, offset: u64) -> bool {
        self.acked().contains(offset)
    }

    /// The first offset at or after `from` that is not acknowledged.
    pub(crate) fn next_unacked(&self, from: u64) -> u64 {
        self.acked().next_unacked(from)
    }

    /// What an acknowledgement must name.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn next_epoch(&self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// One past the highest offset that is acknowledged.
    pub(crate) fn reach(&self) -> u64 {
        self.acked().reach()
    }

    /// All that is acknowledged; acknowledging waits for the guard.
    pub(super) fn acked(&self) -> MutexGuard<'_, Acked> {
        self.0.acked.lock()
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id
    }

    pub(super) fn defined(&self) -> u64 {
        self.0.defined
    }

    pub(super) fn record(&self) -> CursorRecord {
        CursorRecord {
            group: self.0.group.as_ref().to_owned(),
            topic: self.0.topic.as_ref().to_owned(),
            queue: self.0.queue,
            acked: self.acked().clone(),
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
        let CursorRecord { group, topic, queue, acked } = record;
        // Names are shared between the cursors that have them.
        let (group, topics) = shared(&mut self.named, &group);
        let (topic, queues) = shared(topics, &topic);
        let acked = Mutex::new(acked);
        let epoch = AtomicU64::new(0);
        let cursor = Cursor(Arc::new(Inner { id, group, topic, queue, defined, acked, epoch }));
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
