//! Consume queues: for each queue of a topic, where its messages are in the commit log.
//!
//! New units live in memory and go to their files in bulk; every unit can be derived from the log again. So an idle queue
//! costs a few dozen bytes, and neither a file descriptor nor a mapping.

pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod search;

use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

use format::Unit;

/// One queue of a topic.
#[derive(Debug)]
pub(crate) struct ConsumeQueue {
    /// The offset of the next message. Changed only under the append lock, where it can be read without the tail's.
    next: AtomicU64,
    tail: Mutex<Tail>,
}

/// The lock protects: which units are where, and the first offset that still exists.
#[derive(Debug)]
struct Tail {
    /// Units below this offset are in files.
    filed: u64,
    /// The units from `filed` on, on their way to files; `None` when nobody files.
    filing: Option<Arc<Vec<Unit>>>,
    /// The units after those.
    pending: Vec<Unit>,
    min: u64,
}

impl Tail {
    fn filing(&self) -> &[Unit] {
        self.filing.as_deref().map_or(&[], Vec::as_slice)
    }

    fn next(&self) -> u64 {
        self.filed + (self.filing().len() + self.pending.len()) as u64
    }
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
    pub(crate) fn new(extent: Extent) -> Self {
        let tail = Tail { filed: extent.next, filing: None, pending: Vec::new(), min: extent.min };
        Self { next: AtomicU64::new(extent.next), tail: Mutex::new(tail) }
    }

    pub(crate) fn extent(&self) -> Extent {
        let tail = self.tail.lock();
        Extent { min: tail.min, next: tail.next() }
    }

    /// Units below this offset are in files.
    pub(crate) fn filed(&self) -> u64 {
        self.tail.lock().filed
    }

    /// The offset that the next unit will get. Stable only under the append lock.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Appends units at the end. `true` if all units before were in files: the queue now has to be filed again.
    pub(crate) fn push(&self, units: impl ExactSizeIterator<Item = Unit>) -> bool {
        let count = units.len() as u64;
        let mut tail = self.tail.lock();
        let was_filed = tail.pending.is_empty() && tail.filing.is_none();
        tail.pending.extend(units);
        self.next.store(self.next.load(Ordering::Relaxed) + count, Ordering::Relaxed);
        drop(tail);
        was_filed
    }

    /// Copies units from `from` on, at most `max`, if they are in memory. `Err` gives the number of units that are in
    /// files and must be read from there first.
    pub(crate) fn recent(&self, from: u64, max: usize, out: &mut Vec<Unit>) -> Result<(), u64> {
        let tail = self.tail.lock();
        let Some(skip) = from.checked_sub(tail.filed) else { return Err(tail.filed - from) };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let filing = tail.filing().get(skip..).unwrap_or_default();
        let pending =
            tail.pending.get(skip.saturating_sub(tail.filing().len())..).unwrap_or_default();
        let first = filing.len().min(max);
        out.extend_from_slice(filing.get(..first).unwrap_or_default());
        out.extend_from_slice(pending.get(..pending.len().min(max - first)).unwrap_or_default());
        Ok(())
    }

    /// The units to be written to files: their first offset, and all that there are. They stay readable here until
    /// [`ConsumeQueue::mark_filed`]. One caller at a time.
    pub(crate) fn unfiled(&self) -> (u64, Arc<Vec<Unit>>) {
        let mut tail = self.tail.lock();
        let pending = std::mem::take(&mut tail.pending);
        let units = if let Some(failed) = tail.filing.take() {
            // The write of these failed; those that came since go with them.
            [&**failed, &*pending].concat()
        } else {
            // As many will come again, most likely; an idle queue gives the memory back with `mark_filed`.
            tail.pending.reserve(pending.len().min(MANY));
            pending
        };
        let units = Arc::new(units);
        tail.filing = Some(Arc::clone(&units));
        (tail.filed, units)
    }

    /// The units that [`ConsumeQueue::unfiled`] gave are in files now. `true` if more came since.
    pub(crate) fn mark_filed(&self) -> bool {
        let mut tail = self.tail.lock();
        tail.filed += tail.filing().len() as u64;
        let filed = tail.filing.take();
        let more = !tail.pending.is_empty();
        // An idle queue must not keep the memory of its busiest moment.
        if !more {
            tail.pending = Vec::new();
        }
        drop(tail);
        drop(filed);
        more
    }

    /// Retention removed everything before `min`.
    pub(crate) fn raise_min(&self, min: u64) {
        let mut tail = self.tail.lock();
        tail.min = tail.min.max(min);
    }
}

/// No more room than this is made in advance, in units.
const MANY: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(n: u64) -> Unit {
        Unit { offset: n, size: 1, tags_code: 0 }
    }

    fn recent(queue: &ConsumeQueue, from: u64, max: usize) -> Result<Vec<u64>, u64> {
        let mut out = Vec::new();
        queue.recent(from, max, &mut out)?;
        Ok(out.iter().map(|u| u.offset).collect())
    }

    #[test]
    fn units_stay_readable_while_they_are_filed_and_new_ones_come() {
        let queue = ConsumeQueue::new(Extent { min: 2, next: 3 });
        assert!(queue.push((3..6).map(unit).collect::<Vec<_>>().into_iter()));
        let (first, units) = queue.unfiled();
        assert_eq!((first, units.len()), (3, 3));
        assert!(!queue.push([unit(6), unit(7)].into_iter()));
        for round in 0..2 {
            assert_eq!(recent(&queue, 3, 10).unwrap(), [3, 4, 5, 6, 7], "{round}");
            assert_eq!(recent(&queue, 4, 3).unwrap(), [4, 5, 6]);
            assert_eq!(recent(&queue, 5, 1).unwrap(), [5]);
            assert_eq!(recent(&queue, 7, 9).unwrap(), [7]);
            assert_eq!(recent(&queue, 9, 9).unwrap(), [0; 0]);
            assert_eq!(recent(&queue, 1, 9).unwrap_err(), 2);
            // A write that failed is tried again, with what came since.
            assert_eq!(queue.unfiled().1.len(), 5);
        }
        assert!(!queue.push([unit(8)].into_iter()));
        assert_eq!((queue.filed(), queue.next()), (3, 9));
        assert!(queue.mark_filed());
        assert_eq!((queue.filed(), queue.extent()), (8, Extent { min: 2, next: 9 }));
        assert_eq!(recent(&queue, 8, 10).unwrap(), [8]);
        assert_eq!(queue.unfiled().1.len(), 1);
        assert!(!queue.mark_filed());
        assert!(queue.push([unit(9)].into_iter()));
        assert_eq!(queue.extent().next, queue.next());
    }
}
