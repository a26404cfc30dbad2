//! Which consumer of a group has which queue. RocketMQ's strategies; pure.

use std::collections::BTreeMap;

use crate::retry::mixed;

/// How the consumers of a group that is [ordered by queue](crate::ConsumerBuilder::ordered_by_queue) share the topic's queues. Every queue
/// has exactly one owner; consumers stand in the order in which they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "AllocateMessageQueueStrategy")]
pub enum Strategy {
    /// Neighbouring queues together, as many for each: 8 queues and 3 consumers make 3, 3 and 2. The default, as in RocketMQ.
    #[default]
    #[doc(alias = "AllocateMessageQueueAveragely")]
    Average,
    /// One queue after the other in turn, like cards that are dealt.
    #[doc(alias = "AllocateMessageQueueAveragelyByCircle")]
    Circle,
    /// Ten points on a ring for each consumer, and a queue belongs to the next point behind its own: when a consumer joins or leaves, only
    /// queues that it gets or had change hands. Loads may differ. The points are not where RocketMQ's are, which come from the MD5 of
    /// network addresses that nobody has here.
    #[doc(alias = "AllocateMessageQueueConsistentHash")]
    ConsistentHash,
}

/// Points on the ring for each consumer, as in RocketMQ.
const POINTS: u64 = 10;

impl Strategy {
    /// The owner of each queue. Without anybody there, nobody.
    pub(super) fn owners(self, queues: usize, members: &[u64]) -> Vec<Option<u64>> {
        match self {
            _ if members.is_empty() => vec![None; queues],
            Self::Average => average(queues, members),
            Self::Circle => members.iter().cycle().take(queues).copied().map(Some).collect(),
            Self::ConsistentHash => on_the_ring(queues, members),
        }
    }
}

/// The first ones have one more, if it does not come out even.
fn average(queues: usize, members: &[u64]) -> Vec<Option<u64>> {
    let (each, more) = (queues / members.len(), queues % members.len());
    let share = |at: usize| each + usize::from(at < more);
    let owners = members.iter().enumerate();
    owners.flat_map(|(at, member)| std::iter::repeat_n(Some(*member), share(at))).collect()
}

fn on_the_ring(queues: usize, members: &[u64]) -> Vec<Option<u64>> {
    let points = members.iter().flat_map(|&of| (0..POINTS).map(move |n| (point(of, n), of)));
    let ring: BTreeMap<u64, u64> = points.collect();
    let owner = |queue: u64| {
        // No consumer has the number 0.
        let next = ring.range(point(0, queue)..).next();
        next.or_else(|| ring.first_key_value()).map(|(_, owner)| *owner)
    };
    (0..).take(queues).map(owner).collect()
}

fn point(of: u64, number: u64) -> u64 {
    mixed(mixed(of).wrapping_add(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy as _, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const ALL: [Strategy; 3] = [Strategy::Average, Strategy::Circle, Strategy::ConsistentHash];

    fn owners(strategy: Strategy, queues: usize, members: &[u64]) -> Vec<u64> {
        strategy.owners(queues, members).into_iter().map(Option::unwrap).collect()
    }

    /// What RocketMQ's `AllocateMessageQueueAveragely` computes for the consumer at `index`, line by line.
    fn averagely(queues: usize, index: usize, count: usize) -> Vec<usize> {
        let extra = queues % count;
        let average = match queues {
            few if few <= count => 1,
            _ if extra > 0 && index < extra => queues / count + 1,
            _ => queues / count,
        };
        let first_ones = extra > 0 && index < extra;
        let start = if first_ones { index * average } else { index * average + extra };
        let range = average.min(queues.saturating_sub(start));
        (0..range).map(|i| (start + i) % queues).collect()
    }

    #[test]
    fn average_gives_neighbours_and_the_first_ones_one_more() {
        assert_eq!(owners(Strategy::Average, 8, &[1, 2, 3]), [1, 1, 1, 2, 2, 2, 3, 3]);
        assert_eq!(owners(Strategy::Average, 4, &[5, 9]), [5, 5, 9, 9]);
        assert_eq!(owners(Strategy::Average, 7, &[1, 2, 3, 4, 5]), [1, 1, 2, 2, 3, 4, 5]);
        assert_eq!(owners(Strategy::Average, 2, &[1, 2, 3]), [1, 2]);
    }

    #[test]
    fn circle_deals_one_after_the_other() {
        assert_eq!(owners(Strategy::Circle, 8, &[1, 2, 3]), [1, 2, 3, 1, 2, 3, 1, 2]);
        assert_eq!(owners(Strategy::Circle, 2, &[4, 5, 6]), [4, 5]);
    }

    #[test]
    fn the_ring_stays_as_it_is() {
        let owners = owners(Strategy::ConsistentHash, 8, &[1, 2, 3]);
        assert_eq!(owners, [2, 2, 3, 2, 2, 3, 2, 3]);
    }

    #[test]
    fn without_a_consumer_no_queue_has_an_owner() {
        for strategy in ALL {
            assert_eq!(strategy.owners(3, &[]), [None; 3]);
        }
    }

    fn members() -> impl proptest::strategy::Strategy<Value = Vec<u64>> {
        let set = prop::collection::btree_set(1..1000u64, 1..12);
        set.prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #[test]
        fn average_is_what_rocketmq_computes(queues in 1..40usize, members in members()) {
            let owners = owners(Strategy::Average, queues, &members);
            for (index, member) in members.iter().enumerate() {
                let own: Vec<_> = (0..queues).filter(|q| owners[*q] == *member).collect();
                prop_assert_eq!(own, averagely(queues, index, members.len()));
            }
        }

        #[test]
        fn every_queue_has_one_owner_who_is_there(queues in 0..40usize, members in members()) {
            for strategy in ALL {
                let owners = owners(strategy, queues, &members);
                prop_assert_eq!(owners.len(), queues);
                prop_assert!(owners.iter().all(|owner| members.contains(owner)));
            }
        }

        #[test]
        fn loads_differ_by_one_at_most(queues in 0..40usize, members in members()) {
            for strategy in [Strategy::Average, Strategy::Circle] {
                let owners = owners(strategy, queues, &members);
                let load = |member| owners.iter().filter(|owner| *owner == member).count();
                let loads: Vec<_> = members.iter().map(load).collect();
                prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            }
        }

        #[test]
        fn on_the_ring_only_what_somebody_had_moves_when_he_leaves(
            queues in 0..40usize,
            members in members(),
            leaves: prop::sample::Index,
        ) {
            let leaver = members[leaves.index(members.len())];
            let others: Vec<_> = members.iter().copied().filter(|m| *m != leaver).collect();
            let before = Strategy::ConsistentHash.owners(queues, &members);
            let after = Strategy::ConsistentHash.owners(queues, &others);
            for (had, has) in before.iter().zip(after) {
                prop_assert!(*had == Some(leaver) || *had == has);
            }
        }
    }
}
