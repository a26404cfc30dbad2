//! What is known of one queue's messages that are not acknowledged: who holds them, and how often they failed.

use std::collections::BTreeMap;
use std::ops::Range;

use super::hands::Hands;
use super::ranges::Acked;

/// The messages of one queue that were handed out and are not done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unsettled {
    pub(crate) hands: Hands,
    failed: BTreeMap<u64, Failed>,
}

/// A message that was handed out and not acknowledged, once or more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Failed {
    /// How often it failed.
    pub(crate) attempts: u32,
    /// How often the process died while somebody held it.
    pub(crate) deaths: u32,
    /// When it may be tried again: wall-clock time in milliseconds. In the past: at once.
    pub(crate) due_ms: u64,
}

impl Unsettled {
    /// The messages that failed, in order.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (u64, Failed)> + '_ {
        self.failed.iter().map(|(&offset, &failed)| (offset, failed))
    }

    pub(crate) fn failed_at(&self, offset: u64) -> Option<Failed> {
        self.failed.get(&offset).copied()
    }

    /// Of those in a stretch.
    pub(super) fn failed_in(&self, range: Range<u64>) -> Vec<(u64, Failed)> {
        if self.failed.is_empty() {
            return Vec::new();
        }
        self.failed.range(range).map(|(&offset, &failed)| (offset, failed)).collect()
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// As it is written down: tokens and leases end with the process.
    pub(super) fn written(&self) -> Self {
        let mut hands = Hands::default();
        self.hands.ranges().for_each(|range| hands.take(range, 0, None));
        Self { hands, failed: self.failed.clone() }
    }

    /// One past the highest offset that anything is known of.
    pub(crate) fn reach(&self) -> u64 {
        let failed = self.failed.last_key_value().map_or(0, |(&offset, _)| offset + 1);
        failed.max(self.hands.reach())
    }

    /// A stretch is done.
    pub(super) fn settle(&mut self, range: Range<u64>) {
        if !self.failed.is_empty() {
            let done: Vec<u64> = self.failed.range(range.clone()).map(|(&done, _)| done).collect();
            for offset in done {
                self.failed.remove(&offset);
            }
        }
        if self.hands.reach() > range.start {
            self.hands.release(range);
        }
    }

    /// A message failed, or its failures are forgotten (all zero).
    pub(super) fn fail(&mut self, offset: u64, failed: Failed) {
        self.hands.release(offset..offset.saturating_add(1));
        self.failed.insert(offset, failed);
    }

    /// The next of a list that was written in order; a message in somebody's hands may have failed before.
    pub(super) fn read(&mut self, offset: u64, failed: Failed) -> bool {
        self.failed.insert(offset, failed).is_none()
    }

    /// The group goes on at `offset`: nobody holds anything any more. Messages that failed and wait for another attempt are left
    /// alone, wherever they are.
    pub(super) fn seek(&mut self, acked: &mut Acked, offset: u64) {
        let held = std::mem::take(&mut self.hands);
        // What was in hand does not wait, and what never failed in an attempt does not either.
        self.failed
            .retain(|at, failed| *at >= offset || (failed.attempts > 0 && !held.is_held(*at)));
        let Some((&first, _)) = self.failed.first_key_value().filter(|(first, _)| **first < offset)
        else {
            acked.set(offset);
            return;
        };
        acked.set(first);
        let waiting: Vec<u64> = self.failed.range(..offset).map(|(&waiting, _)| waiting).collect();
        for (&before, next) in waiting.iter().zip(waiting.iter().skip(1).chain([&offset])) {
            acked.insert(before + 1..*next);
        }
    }

    /// Forgets everything at or after `end`.
    pub(super) fn clip(&mut self, end: u64) {
        self.failed.split_off(&end);
        self.hands.release(end..u64::MAX);
    }

    /// The process died: what was held comes back, with the death counted.
    pub(super) fn died(&mut self) {
        let held = std::mem::take(&mut self.hands);
        for offset in held.ranges().flatten() {
            let failed = self.failed.entry(offset).or_default();
            failed.deaths = failed.deaths.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_leaves_those_that_wait_for_another_attempt_alone() {
        let (mut acked, mut unsettled) = (Acked::below(2), Unsettled::default());
        for offset in [3, 4, 7, 12] {
            unsettled.fail(offset, Failed { attempts: 1, ..Failed::default() });
        }
        unsettled.hands.take(5..7, 1, None);
        // In hand for the second time, and in hand when the process died.
        unsettled.fail(6, Failed { attempts: 1, ..Failed::default() });
        unsettled.hands.take(6..7, 2, None);
        unsettled.fail(8, Failed { deaths: 1, ..Failed::default() });
        let left =
            |acked: &Acked, end| (0..end).filter(|o| !acked.contains(*o)).collect::<Vec<_>>();
        unsettled.seek(&mut acked, 10);
        assert_eq!((left(&acked, 10), acked.reach()), (vec![3, 4, 7], 10));
        unsettled.seek(&mut acked, 4);
        assert_eq!((left(&acked, 4), acked.reach()), (vec![3], 3));
        unsettled.seek(&mut acked, 3);
        assert_eq!(acked, Acked::below(3));
        assert_eq!((unsettled.hands.count(), unsettled.failures()), (0, 4));
    }

    #[test]
    fn a_death_is_counted_for_what_was_held_and_for_nothing_else() {
        let mut unsettled = Unsettled::default();
        unsettled.hands.take(0..4, 1, None);
        unsettled.settle(0..1);
        unsettled.fail(1, Failed { attempts: 1, ..Failed::default() });
        unsettled.died();
        unsettled.hands.take(2..3, 2, None);
        unsettled.died();
        let deaths: Vec<_> = unsettled.failed().map(|(o, f)| (o, f.attempts, f.deaths)).collect();
        assert_eq!(deaths, [(1, 1, 0), (2, 0, 2), (3, 0, 1)]);
    }
}
