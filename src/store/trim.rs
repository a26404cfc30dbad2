//! Giving back the memory of an in-memory store: segments that every group and every subscriber has passed.

use crate::consumequeue::search::first_at_or_after;
use crate::error::Result;
use crate::progress::State;
use crate::sync::{Arc, MutexGuard};

use super::Store;
use super::read::Ahead;
use super::topics::Topic;

impl Store {
    /// Removes the segments that nobody needs any more. A topic that nobody consumes or subscribes to keeps its messages.
    pub(super) fn trim(&self) -> Result<u64> {
        let _nobody_joins = self.joining.lock();
        let _one = self.filing.lock();
        let state = self.progress.snapshot_state();
        let mut needed = self.log.committed();
        for topic in self.topics.all() {
            for (id, queue) in topic.queues() {
                let extent = queue.extent();
                let watermark = passed(&state, &topic, id).unwrap_or(extent.min);
                let first_needed = watermark.clamp(extent.min, extent.next);
                if first_needed < extent.next {
                    needed = needed.min(self.log_offset_of(&topic, id, first_needed)?);
                }
            }
        }
        // The queues first: a reader that finds nothing in the log any more then finds out why.
        self.forget_below(self.log.min_after_removal(needed))?;
        self.log.remove_before(needed)
    }

    fn log_offset_of(&self, topic: &Topic, queue: u32, offset: u64) -> Result<u64> {
        Ok(self.fetch(topic, queue, offset, &mut Ahead::default())?.offset)
    }

    /// While this guard lives, no memory is given back: what a group's start resolves to is still there when it is written down.
    pub(crate) fn joining(&self) -> MutexGuard<'_, ()> {
        self.joining.lock()
    }

    /// The queues begin where the log will begin.
    fn forget_below(&self, log_min: u64) -> Result<()> {
        for topic in self.topics.all() {
            for (id, queue) in topic.queues() {
                let extent = queue.extent();
                let mut ahead = Ahead::default();
                let first = first_at_or_after(extent, log_min, |from, to| {
                    for offset in from..to {
                        let unit = self.fetch(&topic, id, offset, &mut ahead)?;
                        if unit.points_somewhere() {
                            return Ok(Some((offset, unit.offset)));
                        }
                    }
                    Ok(None)
                })?;
                if first > extent.min {
                    queue.raise_min(first);
                    self.files.remove_before((topic.name(), id), first)?;
                }
            }
        }
        Ok(())
    }
}

/// The lowest position of the groups and subscribers of this queue; `None` if there are none.
fn passed(state: &State, topic: &Arc<Topic>, queue: u32) -> Option<u64> {
    let cursors = state
        .cursors
        .iter()
        .filter(|c| c.queue == queue && c.topic == **topic.name())
        .map(|c| c.acked.watermark());
    cursors.chain(topic.needed(queue)).min()
}
