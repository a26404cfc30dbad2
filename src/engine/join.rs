//! How a group comes to a topic, and where it begins.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Result;
use crate::id::QueueOffset;
use crate::progress::Cursor;
use crate::store::Store;
use crate::store::topics::Topic;
use crate::sync::Arc;

use super::Engine;
use super::dispatch::Dispatch;

/// Where a group begins that has no progress yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest message that is still there.
    #[default]
    Earliest,
    /// With the next message sent.
    Latest,
    /// With the first message stored at or after this time, to within a tick of the clock (at most 11 ms): a few that were stored just before
    /// it may come too, none is missed.
    At(SystemTime),
    /// With this offset, in every queue.
    Offset(QueueOffset),
}

impl Start {
    /// The offset in one queue.
    pub(crate) fn resolve(self, store: &Store, topic: &Arc<Topic>, queue: u32) -> Result<u64> {
        let extent = topic.queue(queue).map(crate::consumequeue::ConsumeQueue::extent);
        let extent = extent.unwrap_or_default();
        Ok(match self {
            Self::Earliest => extent.min,
            Self::Latest => extent.next,
            Self::Offset(offset) => offset.get().clamp(extent.min, extent.next),
            Self::At(time) => {
                let ms = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                store.offset_at(topic, queue, i64::try_from(ms).unwrap_or(i64::MAX))?
            }
        })
    }
}

impl Engine {
    /// The one dispatch of a group in a topic. What `start` resolves to, where the group has no progress yet, is durable when this returns.
    pub(crate) fn join(
        &self,
        group: &str,
        topic: &Arc<Topic>,
        start: Start,
    ) -> Result<Arc<Dispatch>> {
        let store = self.store();
        self.dispatch(group, topic.name(), || {
            let cursors = cursors(store, topic, group, start)?;
            Ok(Dispatch::new(store, topic, group, cursors))
        })
    }
}

/// A durable position in every queue: the stored one, or what `start` resolves to.
fn cursors(
    store: &Arc<Store>,
    topic: &Arc<Topic>,
    group: &str,
    start: Start,
) -> Result<Vec<Cursor>> {
    let _memory_stays = store.joining();
    let added = store.progress.add_group(group);
    store.progressed(added)?;
    let any_before =
        topic.queues().any(|(id, _)| store.progress.cursor(group, topic.name(), id).is_some());
    let mut starts = Vec::new();
    for (id, _) in topic.queues() {
        // A queue that appeared after the group began: nothing of it may be missed. (One that is known already keeps what it has.)
        let start = if any_before { Start::Earliest } else { start };
        starts.push((id, start.resolve(store, topic, id)?));
    }
    let defined = store.progress.define_all(group, topic.name(), &starts);
    store.progressed(defined)
}
