//! Who holds which messages of one queue, and until when.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;

/// Stretches of messages in consumers' hands, each with the token that its holder has to show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hands {
    /// By last offset, so that a stretch that is settled from its front changes in place. They do not overlap.
    held: BTreeMap<u64, Hand>,
    count: u64,
    /// Those whose lease ends, the soonest first, by their last offset.
    by_end: BTreeSet<(Instant, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hand {
    first: u64,
    token: u64,
    until: Option<Instant>,
}

impl Hands {
    /// How many messages are held.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The stretches, in order. Two may touch.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.held.iter().map(|(&last, hand)| hand.first..last + 1)
    }

    pub(super) fn stretches(&self) -> usize {
        self.held.len()
    }

    /// One past the highest offset that is held.
    pub(super) fn reach(&self) -> u64 {
        self.held.last_key_value().map_or(0, |(&last, _)| last + 1)
    }

    /// Hands out a stretch; whoever held a part of it holds it no more.
    pub(super) fn take(&mut self, range: Range<u64>, token: u64, until: Option<Instant>) {
        if self.reach() > range.start {
            self.release(range.clone());
        }
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return;
        };
        self.count += range.end - range.start;
        self.insert(last, Hand { first: range.start, token, until });
    }

    fn insert(&mut self, last: u64, hand: Hand) {
        self.by_end.extend(hand.until.map(|until| (until, last)));
        self.held.insert(last, hand);
    }

    fn remove(&mut self, last: u64) {
        if let Some(until) = self.held.remove(&last).and_then(|hand| hand.until) {
            self.by_end.remove(&(until, last));
        }
    }

    /// Whether the token holds all of a stretch.
    pub(super) fn holds(&self, range: &Range<u64>, token: u64) -> bool {
        let mut at = range.start;
        for (&last, hand) in self.held.range(range.start..) {
            if hand.first > at || hand.token != token {
                return false;
            }
            at = last + 1;
            if at >= range.end {
                return true;
            }
        }
        false
    }

    /// As [`Hands::release`], if the token holds all of it.
    pub(super) fn give_up(&mut self, range: Range<u64>, token: u64) -> bool {
        if let Some(last) = range.end.checked_sub(1)
            && let Entry::Occupied(whole) = self.held.entry(last)
            && (whole.get().first, whole.get().token) == (range.start, token)
        {
            if let Some(until) = whole.remove().until {
                self.by_end.remove(&(until, last));
            }
            self.count -= range.end - range.start;
            return true;
        }
        let holds = self.holds(&range, token);
        if holds {
            self.release(range);
        }
        holds
    }

    pub(super) fn is_held(&self, offset: u64) -> bool {
        self.held.range(offset..).next().is_some_and(|(_, hand)| hand.first <= offset)
    }

    /// Nobody holds any of a stretch any more. Says how many of it were held.
    pub(super) fn release(&mut self, range: Range<u64>) -> u64 {
        let mut released = 0;
        while let Some((&last, hand)) = self.held.range_mut(range.start..).next() {
            if hand.first >= range.end {
                break;
            }
            let whole = *hand;
            let from = whole.first.max(range.start);
            let behind = last >= range.end;
            let to = if behind { range.end } else { last + 1 };
            released += to - from;
            if behind {
                hand.first = to;
            } else {
                self.remove(last);
            }
            if let Some(before) = from.checked_sub(1).filter(|before| *before >= whole.first) {
                self.insert(before, whole);
            }
            if behind {
                break;
            }
        }
        self.count -= released;
        released
    }

    /// When the first lease ends.
    pub(crate) fn soonest(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// Gives a message that the token holds another end. `false` if it does not hold it.
    pub(super) fn extend(&mut self, offset: u64, token: u64, until: Option<Instant>) -> bool {
        let range = offset..offset.saturating_add(1);
        let holds = self.holds(&range, token);
        if holds {
            self.take(range, token, until);
        }
        holds
    }

    /// Takes out what was held for too long, in the order of offsets. Costs nothing for those that may be held longer.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Range<u64>> {
        let mut expired = Vec::new();
        while self.soonest().is_some_and(|until| until <= now)
            && let Some((_, last)) = self.by_end.pop_first()
        {
            if let Some(hand) = self.held.remove(&last) {
                self.count -= last + 1 - hand.first;
                expired.push(hand.first..last + 1);
            }
        }
        expired.sort_by_key(|range| range.start);
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Take(Range<u64>, u64),
        Release(Range<u64>),
        GiveUp(Range<u64>),
        Extend(u64, u64),
        Expire(u64),
    }

    fn range() -> impl Strategy<Value = Range<u64>> {
        (0..40u64, 1..9u64).prop_map(|(start, len)| start..start + len)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (range(), 0..50u64).prop_map(|(range, until)| Step::Take(range, until)),
            2 => range().prop_map(Step::Release),
            3 => range().prop_map(Step::GiveUp),
            1 => (0..45u64, 0..50u64).prop_map(|(offset, until)| Step::Extend(offset, until)),
            1 => (0..50u64).prop_map(Step::Expire),
        ]
    }

    proptest! {
        #[test]
        fn each_offset_has_one_holder_at_most_and_his_lease(steps in prop::collection::vec(step(), 1..60)) {
            let clock = crate::clock::ManualClock::at(1);
            let start = crate::clock::Clock::now(&clock);
            // 40 and above: without an end.
            let end = |until: u64| (until < 40).then(|| start + Duration::from_secs(until));
            let (mut hands, mut model) = (Hands::default(), BTreeMap::<u64, (u64, Option<Instant>)>::new());
            for (token, step) in (1..).zip(steps) {
                match step {
                    Step::Take(range, until) => {
                        hands.take(range.clone(), token, end(until));
                        model.extend(range.map(|offset| (offset, (token, end(until)))));
                    }
                    Step::GiveUp(range) => {
                        let of = model.get(&range.start).map_or(0, |(token, _)| *token);
                        let all = range.clone().all(|o| model.get(&o).is_some_and(|(t, _)| *t == of));
                        prop_assert_eq!(hands.give_up(range.clone(), of), all);
                        model.retain(|offset, _| !all || !range.contains(offset));
                    }
                    Step::Release(range) => {
                        let held = range.clone().filter(|offset| model.remove(offset).is_some()).count();
                        prop_assert_eq!(hands.release(range), held as u64);
                    }
                    Step::Extend(offset, until) => {
                        let holder = model.get(&offset).map_or(token, |(holder, _)| *holder);
                        let held = model.contains_key(&offset);
                        prop_assert_eq!(hands.extend(offset, holder, end(until)), held);
                        prop_assert!(!hands.extend(offset, token + 1000, None), "not his");
                        if held {
                            model.insert(offset, (holder, end(until)));
                        }
                    }
                    Step::Expire(at) => {
                        let now = start + Duration::from_secs(at);
                        let over = |until: &Option<Instant>| until.is_some_and(|until| until <= now);
                        let gone: Vec<u64> = hands.expire(now).into_iter().flatten().collect();
                        let ended = model.iter().filter(|(_, (_, until))| over(until));
                        let expected: Vec<u64> = ended.map(|(offset, _)| *offset).collect();
                        model.retain(|_, (_, until)| !over(until));
                        prop_assert_eq!(gone, expected);
                    }
                }
                prop_assert_eq!(hands.count(), model.len() as u64);
                prop_assert_eq!(hands.ranges().flatten().collect::<Vec<_>>(), model.keys().copied().collect::<Vec<_>>());
                for (offset, (holder, _)) in &model {
                    prop_assert!(hands.holds(&(*offset..offset + 1), *holder));
                    prop_assert!(!hands.holds(&(*offset..offset + 1), holder + 1000));
                }
                prop_assert_eq!(hands.soonest(), model.values().filter_map(|(_, until)| *until).min());
            }
        }
    }
}
