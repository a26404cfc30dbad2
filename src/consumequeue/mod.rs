//! Consume queues: for each queue of a topic, where its messages are in the commit log.
//!
//! New units live in memory and go to their files in bulk; every unit can be derived from the log again. So an idle queue
//! costs a few dozen bytes, and neither a file descriptor nor a mapping.

pub(crate) mod files;
pub(crate) mod format;

use crate::sync::Mutex;

use format::Unit;

/// One queue of a topic.
#[derive(Debug)]
pub(crate) struct ConsumeQueue {
    tail: Mutex<Tail>,
}

/// The lock protects: the next queue offset, the units not yet in files, and the first offset that still exists.
#[derive(Debug)]
struct Tail {
    /// Units below this offset are in files.
    filed: u64,
    /// The units from `filed` on.
    pending: Vec<Unit>,
    min: u64,
}

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// The first offset that still exists.
    pub(crate) min: u64,
    /// The offset of the next message.
    pub(crate) next: u64,
}

impl ConsumeQueue {
    /// A queue whose units `extent` are all in files.
    pub(crate) const fn new(extent: Extent) -> Self {
        Self { tail: Mutex::new(Tail { filed: extent.next, pending: Vec::new(), min: extent.min }) }
    }

    pub(crate) fn extent(&self) -> Extent {
        let tail = self.tail.lock();
        Extent { min: tail.min, next: tail.filed + tail.pending.len() as u64 }
    }

    /// Units below this offset are in files.
    pub(crate) fn filed(&self) -> u64 {
        self.tail.lock().filed
    }

    /// The offset that the next unit will get. Stable only under the append lock.
    pub(crate) fn next(&self) -> u64 {
        self.extent().next
    }

    /// Appends units at the end. `true` if all units before were in files: the queue now has to be filed again.
    pub(crate) fn push(&self, units: &[Unit]) -> bool {
        let mut tail = self.tail.lock();
        let was_filed = tail.pending.is_empty();
        tail.pending.extend_from_slice(units);
        was_filed
    }

    /// Copies units from `from` on, at most `max`, if they are in memory. `Err` gives the number of units that are in
    /// files and must be read from there first.
    pub(crate) fn recent(&self, from: u64, max: usize, out: &mut Vec<Unit>) -> Result<(), u64> {
        let tail = self.tail.lock();
        let Some(skip) = from.checked_sub(tail.filed) else { return Err(tail.filed - from) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        out.extend(tail.pending.iter().skip(skip).take(max));
        Ok(())
    }

    /// The units to be written to files: their first offset, and a copy.
    pub(crate) fn unfiled(&self) -> (u64, Vec<Unit>) {
        let tail = self.tail.lock();
        (tail.filed, tail.pending.clone())
    }

    /// The first `count` of the units that [`ConsumeQueue::unfiled`] gave are in files now. `true` if more came since.
    pub(crate) fn mark_filed(&self, count: usize) -> bool {
        let mut tail = self.tail.lock();
        tail.pending.drain(..count);
        tail.filed += count as u64;
        // An idle queue must not keep the memory of its busiest moment.
        if tail.pending.is_empty() {
            tail.pending = Vec::new();
        }
        !tail.pending.is_empty()
    }

    /// Retention removed everything before `min`.
    pub(crate) fn raise_min(&self, min: u64) {
        let mut tail = self.tail.lock();
        tail.min = tail.min.max(min);
    }
}
