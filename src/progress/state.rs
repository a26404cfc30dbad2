//! Progress as plain data: what is loaded, clipped and started with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::format::Entry;
use super::hands::Hands;
use super::ranges::Acked;
use super::unsettled::Unsettled;

/// A topic created (or grown) since the last clean close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    pub(crate) name: String,
    pub(crate) queues: u32,
}

/// What a group has acknowledged of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CursorRecord {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) queue: u32,
    pub(crate) acked: Acked,
    /// What is known of the rest.
    pub(crate) unsettled: Unsettled,
}

/// A cursor that reached past the end of its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clipped {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) queue: u32,
    /// One past the highest offset that was acknowledged.
    pub(crate) was: u64,
    /// One past the highest offset that still is.
    pub(crate) now: u64,
}

/// Everything the progress files hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Topics created since the last clean close, by name.
    pub(crate) topics: Vec<TopicRecord>,
    /// Groups created since the last clean close, by name.
    pub(crate) groups: Vec<String>,
    /// All cursors, in the order they were defined. No two for the same group, topic and queue.
    pub(crate) cursors: Vec<CursorRecord>,
}

impl State {
    /// Cuts every cursor to the end of its queue, as recovered; a queue that is not known ends at 0.
    ///
    /// Must happen before the first append: an acknowledgement that survived its message would else count for
    /// the next message that gets its offset.
    pub(crate) fn clip(&mut self, end_of: impl Fn(&str, u32) -> Option<u64>) -> Vec<Clipped> {
        let mut clipped = Vec::new();
        for cursor in &mut self.cursors {
            let was = cursor.acked.reach();
            let end = end_of(&cursor.topic, cursor.queue).unwrap_or(0);
            cursor.unsettled.clip(end);
            if cursor.acked.clip(end) {
                clipped.push(Clipped {
                    group: cursor.group.clone(),
                    topic: cursor.topic.clone(),
                    queue: cursor.queue,
                    was,
                    now: cursor.acked.reach(),
                });
            }
        }
        clipped
    }

    /// Nothing is in consumers' hands any more.
    pub(super) fn let_go(&mut self) {
        for cursor in &mut self.cursors {
            cursor.unsettled.hands = Hands::default();
        }
    }

    /// The process that wrote this died: what was in consumers' hands is in nobody's. Comes after [`State::clip`].
    pub(crate) fn died(&mut self) {
        for cursor in &mut self.cursors {
            cursor.unsettled.died();
        }
    }
}

/// The messages that a journal entry speaks of.
fn stretch(from: u64, count: u64) -> Result<Range<u64>, &'static str> {
    let end = from.checked_add(count).ok_or("a journal entry speaks of too many messages")?;
    Ok(from..end)
}

/// A state that journal entries are applied to, one after the other.
pub(super) struct Replay {
    topics: BTreeMap<String, u32>,
    groups: BTreeSet<String>,
    cursors: Vec<CursorRecord>,
    /// Of a start whose last entry was not read yet, and how many more it has: they count all together or not at all.
    begun: Vec<CursorRecord>,
    left: u32,
}

impl Replay {
    pub(super) fn from(state: State) -> Self {
        Self {
            topics: state.topics.into_iter().map(|topic| (topic.name, topic.queues)).collect(),
            groups: state.groups.into_iter().collect(),
            cursors: state.cursors,
            begun: Vec::new(),
            left: 0,
        }
    }

    /// Applies one entry. An entry whose checksum is right and that still makes no sense was never written by us.
    pub(super) fn apply(&mut self, entry: &Entry<'_>) -> Result<(), &'static str> {
        if self.left > 0 && !matches!(entry, Entry::Begin { .. }) {
            return Err("a journal entry stands between those of one start");
        }
        match *entry {
            Entry::Define { id, group, topic, queue, start } => {
                self.begin((id, 0), (group, topic), [(queue, start)].into_iter())?;
            }
            Entry::Begin { id, left, group, topic, starts } => {
                self.begin((id, left), (group, topic), starts.iter())?;
            }
            Entry::Ack { cursor, from, count } => {
                let range = stretch(from, count)?;
                let record = self.cursor(cursor)?;
                record.acked.insert(range.clone());
                record.unsettled.settle(range);
            }
            Entry::Set { cursor, offset } => {
                let CursorRecord { acked, unsettled, .. } = self.cursor(cursor)?;
                unsettled.seek(acked, offset);
            }
            Entry::Taken { cursor, from, count } => {
                self.cursor(cursor)?.unsettled.hands.take(stretch(from, count)?, 0, None);
            }
            Entry::Returned { cursor, from, count } => {
                self.cursor(cursor)?.unsettled.hands.release(stretch(from, count)?);
            }
            Entry::Failed { cursor, offset, failed } => {
                if offset == u64::MAX {
                    return Err("a journal entry names an offset that no message has");
                }
                self.cursor(cursor)?.unsettled.fail(offset, failed);
            }
            Entry::Topic { name, queues } | Entry::TopicGrown { name, queues } => {
                self.topics.insert(name.to_owned(), queues);
            }
            Entry::Group { name } => {
                self.groups.insert(name.to_owned());
            }
            // Not about the state but about the journal: its reader looks at it.
            Entry::Seal { .. } => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        (id, left): (u32, u32),
        (group, topic): (&str, &str),
        starts: impl Iterator<Item = (u32, u64)>,
    ) -> Result<(), &'static str> {
        if usize::try_from(id) != Ok(self.cursors.len() + self.begun.len()) {
            return Err("a journal entry defines a cursor out of order");
        }
        let before = self.begun.len();
        self.begun.extend(starts.map(|(queue, start)| CursorRecord {
            group: group.to_owned(),
            topic: topic.to_owned(),
            queue,
            acked: Acked::below(start),
            unsettled: Unsettled::default(),
        }));
        let count = u32::try_from(self.begun.len() - before).ok();
        if self.left > 0 && count.and_then(|count| count.checked_add(left)) != Some(self.left) {
            return Err("the journal entries of one start do not fit together");
        }
        self.left = left;
        if left == 0 {
            self.cursors.append(&mut self.begun);
        }
        Ok(())
    }

    fn cursor(&mut self, cursor: u32) -> Result<&mut CursorRecord, &'static str> {
        let index = usize::try_from(cursor).unwrap_or(usize::MAX);
        self.cursors.get_mut(index).ok_or("a journal entry names an unknown cursor")
    }

    /// What the entries add up to, without a start that is not complete.
    pub(super) fn into_state(self) -> State {
        State {
            topics: self
                .topics
                .into_iter()
                .map(|(name, queues)| TopicRecord { name, queues })
                .collect(),
            groups: self.groups.into_iter().collect(),
            cursors: self.cursors,
        }
    }
}
