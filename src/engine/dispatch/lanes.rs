//! Messages with the same key, one after the other.
//!
//! Who takes a message enters the lane of its key; what comes behind it in a full lane waits there, read and not handed out. A lane
//! is left when its message is done. In an ordered group a message that failed stays in its lane while it waits, so that nothing
//! overtakes it; where only the number at once is limited, it leaves, and enters again with its next attempt.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Place;

/// What the consumers of a group agree on about messages with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    /// Nothing.
    #[default]
    Free,
    /// First in, first out for each key.
    PerKey,
    /// So many of a key at once, in whatever order they are done.
    AtOnce(u32),
    /// First in, first out for each queue, which one consumer has at a time: no lanes (`members.rs`).
    ByQueue,
}

impl Order {
    /// How many of one key may be in consumers' hands.
    const fn width(self) -> u32 {
        match self {
            Self::Free | Self::ByQueue => u32::MAX,
            Self::PerKey => 1,
            Self::AtOnce(most) => most,
        }
    }

    pub(super) const fn is_free(self) -> bool {
        matches!(self, Self::Free)
    }

    pub(super) const fn is_by_queue(self) -> bool {
        matches!(self, Self::ByQueue)
    }

    /// Whether what failed keeps those behind it waiting.
    pub(super) const fn is_strict(self) -> bool {
        matches!(self, Self::PerKey | Self::ByQueue)
    }
}

/// A queue and a key.
type Key = (u32, Box<[u8]>);

/// The lanes of all keys that have a message in somebody's hands.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_key: HashMap<Key, Lane>,
    /// Messages in a lane, and which.
    inside: HashMap<Place, Box<[u8]>>,
    /// How many wait before lanes, for each queue.
    waiting: HashMap<u32, usize>,
    /// Queues that are crowded, or were and still are half full.
    crowds: HashSet<u32>,
    /// Those of them of which nobody was told.
    untold: Vec<u32>,
}

#[derive(Debug, Default)]
struct Lane {
    inside: u32,
    waiting: VecDeque<u64>,
}

/// So many messages of a queue may wait before full lanes; then the queue is not read any further.
const WAITING_MAX: usize = 10_000;

impl Lanes {
    pub(super) fn is_inside(&self, place: Place) -> bool {
        self.inside.contains_key(&place)
    }

    /// Whether so many wait that no more should be read.
    pub(super) fn is_crowded(&self, queue: u32) -> bool {
        self.waiting.get(&queue).is_some_and(|waiting| *waiting >= WAITING_MAX)
    }

    /// Enters the lane of a key, or waits before it. Whether it entered. To be called in the order of offsets.
    pub(super) fn enter(&mut self, (queue, offset): Place, key: &[u8], order: Order) -> bool {
        let lane = self.by_key.entry((queue, key.into())).or_default();
        let enters = lane.inside < order.width() && (lane.waiting.is_empty() || !order.is_strict());
        if enters {
            lane.inside += 1;
            self.inside.insert((queue, offset), key.into());
        } else {
            lane.waiting.push_back(offset);
            let waiting = self.waiting.entry(queue).or_default();
            *waiting += 1;
            if *waiting == WAITING_MAX && self.crowds.insert(queue) {
                self.untold.push(queue);
            }
        }
        enters
    }

    /// Leaves the lane. Returns who is inside instead.
    pub(super) fn leave(&mut self, (queue, offset): Place) -> Option<Place> {
        let key = (queue, self.inside.remove(&(queue, offset))?);
        let lane = self.by_key.get_mut(&key)?;
        if let Some(next) = lane.waiting.pop_front() {
            if let Some(waiting) = self.waiting.get_mut(&queue) {
                *waiting -= 1;
                if *waiting <= WAITING_MAX / 2 {
                    self.crowds.remove(&queue);
                }
            }
            self.inside.insert((queue, next), key.1);
            return Some((queue, next));
        }
        lane.inside -= 1;
        if lane.inside == 0 {
            self.by_key.remove(&key);
        }
        None
    }

    /// Nobody of a queue is inside or waits.
    pub(super) fn clear(&mut self, queue: u32) {
        self.by_key.retain(|(of, _), _| *of != queue);
        self.inside.retain(|(of, _), _| *of != queue);
        self.waiting.remove(&queue);
        self.crowds.remove(&queue);
        self.untold.retain(|of| *of != queue);
    }

    /// The queues that became crowded since they were last asked for.
    pub(super) fn take_crowded(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_lets_in_one_at_a_time_in_order_and_others_take_no_notice() {
        let mut lanes = Lanes::default();
        let order = Order::PerKey;
        assert!(lanes.enter((0, 1), b"a", order));
        assert!(!lanes.enter((0, 2), b"a", order));
        assert!(lanes.enter((0, 3), b"b", order));
        assert!(!lanes.enter((0, 4), b"a", order));
        assert!(lanes.enter((1, 5), b"a", order), "of another queue");
        assert_eq!(lanes.leave((0, 1)), Some((0, 2)));
        assert_eq!(lanes.leave((0, 1)), None, "it is not inside any more");
        assert!(!lanes.enter((0, 6), b"a", order));
        assert_eq!(lanes.leave((0, 2)), Some((0, 4)));
        assert_eq!(lanes.leave((0, 4)), Some((0, 6)));
        assert_eq!(lanes.leave((0, 6)), None);
        assert!(lanes.enter((0, 7), b"a", order));
    }

    #[test]
    fn a_lane_of_some_width_has_as_many_inside_and_forgets_keys_that_are_done() {
        let mut lanes = Lanes::default();
        let order = Order::AtOnce(2);
        assert!(lanes.enter((0, 1), b"a", order) && lanes.enter((0, 2), b"a", order));
        assert!(!lanes.enter((0, 3), b"a", order));
        assert_eq!(lanes.leave((0, 2)), Some((0, 3)));
        assert_eq!((lanes.leave((0, 1)), lanes.leave((0, 3))), (None, None));
        assert!(lanes.by_key.is_empty() && lanes.inside.is_empty());
    }

    #[test]
    fn a_queue_with_too_many_that_wait_is_crowded_until_some_are_let_in() {
        let mut lanes = Lanes::default();
        for offset in 0..=10_000 {
            assert!(!lanes.is_crowded(0));
            lanes.enter((0, offset), b"a", Order::PerKey);
        }
        assert!(lanes.is_crowded(0) && !lanes.is_crowded(1));
        assert_eq!(lanes.leave((0, 0)), Some((0, 1)));
        assert!(!lanes.is_crowded(0));
        assert_eq!((lanes.take_crowded(), lanes.take_crowded()), (vec![0], vec![]));
        lanes.enter((0, 10_001), b"a", Order::PerKey);
        assert!(lanes.is_crowded(0) && lanes.take_crowded().is_empty(), "it was told");
        for offset in 1..=5000 {
            lanes.leave((0, offset));
        }
        for offset in 0..5000 {
            assert!(lanes.take_crowded().is_empty());
            lanes.enter((0, 20_000 + offset), b"a", Order::PerKey);
        }
        assert_eq!(lanes.take_crowded(), [0], "half of them came out");
        lanes.clear(0);
        assert!(lanes.by_key.is_empty() && lanes.inside.is_empty() && lanes.waiting.is_empty());
    }
}
