//! Which offsets of one queue are acknowledged: all below a watermark, and some ranges above it.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::ops::Range;

/// The acknowledged offsets of one queue.
///
/// Everything below `watermark` is acknowledged; `above` holds what else is, as start → end. The ranges are not
/// empty, in order, never touch each other and never touch the watermark: so each of them ends a gap, and the
/// same set of offsets has one representation only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Acked {
    watermark: u64,
    above: BTreeMap<u64, u64>,
}

impl Acked {
    /// Everything below `watermark`, nothing else.
    pub(crate) const fn below(watermark: u64) -> Self {
        Self { watermark, above: BTreeMap::new() }
    }

    /// The first offset that is not acknowledged.
    pub(crate) const fn watermark(&self) -> u64 {
        self.watermark
    }

    /// The acknowledged ranges above the watermark, in order.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.above.iter().map(|(&start, &end)| start..end)
    }

    /// How many stretches of messages are passed over: not acknowledged, with acknowledged ones behind them.
    pub(crate) fn gaps(&self) -> usize {
        self.above.len()
    }

    /// How many messages are acknowledged above the watermark: what a consumer that knows only the watermark
    /// sees again.
    pub(crate) fn acked_above(&self) -> u64 {
        self.ranges().map(|range| range.end - range.start).sum()
    }

    /// One past the highest acknowledged offset.
    pub(crate) fn reach(&self) -> u64 {
        self.above.last_key_value().map_or(self.watermark, |(_, &end)| end)
    }

    /// Whether `offset` is acknowledged.
    #[cfg(test)]
    pub(crate) fn contains(&self, offset: u64) -> bool {
        offset < self.watermark || self.end_of_range_at(offset).is_some()
    }

    /// The first offset at or after `from` that is not acknowledged. `u64::MAX` never is.
    pub(crate) fn next_unacked(&self, from: u64) -> u64 {
        let from = from.max(self.watermark);
        self.end_of_range_at(from).unwrap_or(from)
    }

    fn end_of_range_at(&self, offset: u64) -> Option<u64> {
        let (_, &end) = self.above.range(..=offset).next_back()?;
        (offset < end).then_some(end)
    }

    /// Acknowledges a range; says how many of its offsets were not acknowledged before.
    ///
    /// In order (the range starts at the watermark and nothing is acknowledged above) this is one assignment.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        let (start, end) = (range.start.max(self.watermark), range.end);
        if start >= end {
            return 0;
        }
        if self.above.is_empty() && start == self.watermark {
            self.watermark = end;
            return end - start;
        }
        let (mut joined_start, mut joined_end, mut known) = (start, end, 0);
        if let Some((&before, &before_end)) = self.above.range(..=start).next_back()
            && before_end >= start
        {
            if before_end >= end {
                return 0;
            }
            known += before_end - start;
            joined_start = before;
        }
        // As `joined_start` is the only key at or below `start` that counts, what follows lies behind it.
        while let Some((&next, &next_end)) =
            self.above.range((Excluded(joined_start), Included(end))).next()
        {
            self.above.remove(&next);
            known += next_end.min(end) - next;
            joined_end = joined_end.max(next_end);
        }
        // A range can begin exactly at `start`; then the lookup before has found it and it is `joined_start`.
        if joined_start == self.watermark {
            self.watermark = joined_end;
        } else {
            self.above.insert(joined_start, joined_end);
        }
        end - start - known
    }

    /// Adds the next range of a list that was written in order. `false`, and nothing changed, if it breaks the
    /// representation: empty, out of order or touching what is there.
    pub(crate) fn push(&mut self, range: Range<u64>) -> bool {
        let fits = range.start > self.reach() && range.end > range.start;
        if fits {
            self.above.insert(range.start, range.end);
        }
        fits
    }

    /// Forgets everything at or after `end`; says whether there was anything.
    pub(crate) fn clip(&mut self, end: u64) -> bool {
        if self.reach() <= end {
            return false;
        }
        self.watermark = self.watermark.min(end);
        self.above.split_off(&end);
        if let Some(mut last) = self.above.last_entry()
            && *last.get() > end
        {
            last.insert(end);
        }
        true
    }

    /// Seeks: everything below `offset` is acknowledged, nothing at or after it.
    pub(crate) fn set(&mut self, offset: u64) {
        *self = Self::below(offset);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stuck_message_costs_one_range_however_many_are_acked_above_it() {
        let mut acked = Acked::below(7);
        for offset in 8..10_000_000 {
            assert_eq!(acked.insert(offset..offset + 1), 1);
        }
        assert_eq!((acked.watermark(), acked.gaps()), (7, 1));
        assert_eq!(acked.acked_above(), 10_000_000 - 8);
        assert_eq!(acked.insert(7..8), 1);
        assert_eq!((acked.watermark(), acked.gaps()), (10_000_000, 0));
    }

    #[test]
    fn the_ends_of_the_number_line_are_ordinary_offsets() {
        let mut acked = Acked::default();
        assert_eq!(acked.insert(u64::MAX - 1..u64::MAX), 1);
        assert_eq!(acked.next_unacked(u64::MAX - 1), u64::MAX);
        assert_eq!(acked.insert(0..u64::MAX), u64::MAX - 1);
        assert_eq!(acked, Acked::below(u64::MAX));
        assert!(acked.clip(0));
        assert_eq!(acked, Acked::default());
    }

    #[test]
    fn a_written_list_must_be_in_order_and_apart() {
        let mut acked = Acked::below(5);
        assert!(!acked.push(5..6), "touches the watermark");
        assert!(!acked.push(7..7), "empty");
        assert!(acked.push(7..9));
        assert!(!acked.push(9..10), "touches the range before");
        assert!(!acked.push(6..8), "out of order");
        assert_eq!(acked.ranges().collect::<Vec<_>>(), vec![7..9]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64, u64),
        Clip(u64),
        Set(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..70u64, 0..12u64).prop_map(|(start, len)| Step::Insert(start, start + len)),
            1 => (0..80u64).prop_map(Step::Clip),
            1 => (0..40u64).prop_map(Step::Set),
        ]
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_offsets_it_says(steps in prop::collection::vec(step(), 1..80)) {
            let (mut acked, mut model) = (Acked::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(start, end) => {
                        let fresh = (start..end).filter(|&o| model.insert(o)).count();
                        prop_assert_eq!(acked.insert(start..end), fresh as u64);
                    }
                    Step::Clip(end) => {
                        let lost = !model.split_off(&end).is_empty();
                        prop_assert_eq!(acked.clip(end), lost);
                    }
                    Step::Set(offset) => {
                        acked.set(offset);
                        model = (0..offset).collect();
                    }
                }
                let watermark = (0..100).find(|o| !model.contains(o)).unwrap();
                prop_assert_eq!(acked.watermark(), watermark);
                prop_assert_eq!(acked.reach(), model.last().map_or(0, |last| last + 1));
                prop_assert_eq!(acked.acked_above(), model.range(watermark..).count() as u64);
                for offset in 0..90 {
                    prop_assert_eq!(acked.contains(offset), model.contains(&offset));
                    let next = (offset..100).find(|o| !model.contains(o)).unwrap();
                    prop_assert_eq!(acked.next_unacked(offset), next);
                }
                let mut again = Acked::below(watermark);
                prop_assert!(acked.ranges().all(|range| again.push(range)), "one representation");
                prop_assert_eq!(&again, &acked);
            }
        }
    }
}
