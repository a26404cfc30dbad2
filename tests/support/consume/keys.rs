//! What may come next, and what must come if anything does.

use super::group::{Group, Log, Place, Sent};
use super::ops::Order;

impl Group {
    /// Why a message must not come now, in a batch.
    pub(super) fn objection(
        &self,
        log: &Log,
        place: Place,
        now_ms: u64,
        batch: u64,
    ) -> Option<&'static str> {
        let sent = log.get(&place)?;
        if self.done.contains(&place) {
            return Some("it was done");
        }
        if !self.wants(sent) {
            return Some("the filter does not want it");
        }
        if self.is_aside(place) {
            return Some("it is set aside");
        }
        if !self.is_due(place, now_ms) {
            return Some("it is in somebody's hands, or has to wait");
        }
        if self.terms.order == Order::ByQueue {
            return self.objection_in_queue(log, place, batch);
        }
        let key = sent.key?;
        let held = self.held_of(log, place.0, key);
        match self.terms.order {
            Order::Free | Order::ByQueue => None,
            Order::AtOnce(most) => {
                (held >= most as usize).then_some("too many of its key are held")
            }
            Order::PerKey if held > 0 => Some("another one of its key is held"),
            Order::PerKey => {
                let first = self.first_in_order(log, place.0, key);
                let overtakes = first.is_some_and(|first| first < place);
                let astray = self.astray.contains(&place);
                (overtakes && !astray).then_some("it overtakes another one of its key")
            }
        }
    }

    fn objection_in_queue(&self, log: &Log, place: Place, batch: u64) -> Option<&'static str> {
        let mut held = self.held.iter().filter(|(other, _)| other.0 == place.0);
        if held.any(|(_, holder)| holder.batch != batch) {
            return Some("others of its queue are held");
        }
        let mut before = self.of_queue(log, place.0).filter(|other| *other < place);
        let overtakes = before.any(|p| !self.astray.contains(&p) && !self.held.contains_key(&p));
        (overtakes && !self.astray.contains(&place)).then_some("it overtakes another one")
    }

    /// A message that should have come to who receives from these queues, if nothing comes now.
    pub(super) fn missing(&self, log: &Log, now_ms: u64, queues: &[u32]) -> Option<Place> {
        let due = |place: Place| self.is_due(place, now_ms);
        let left = || log.iter().filter(|(place, sent)| self.is_left(**place, sent));
        left().map(|(place, sent)| (*place, sent)).find_map(|(place, sent)| {
            let must = match (self.terms.order, sent.key) {
                (Order::ByQueue, _) => {
                    let mut all = self.of_queue(log, place.0);
                    queues.contains(&place.0)
                        && !self.held.keys().any(|held| held.0 == place.0)
                        && all.all(|p| due(p) || (p > place && !self.astray.contains(&p)))
                }
                (Order::Free, _) | (_, None) => true,
                (Order::AtOnce(most), Some(key)) => {
                    let resting = self.of_key(log, place.0, key).filter(|place| {
                        !self.held.contains_key(place)
                            && self.resting.get(place).is_some_and(|until| *until > now_ms)
                    });
                    self.held_of(log, place.0, key) + resting.count() < most as usize
                }
                (Order::PerKey, Some(key)) => {
                    // Those astray stand somewhere in the line: which one comes is not known while one of them waits.
                    self.held_of(log, place.0, key) == 0
                        && self.first_in_order(log, place.0, key).is_none_or(due)
                        && self
                            .of_key(log, place.0, key)
                            .filter(|p| self.astray.contains(p))
                            .all(due)
                }
            };
            (must && due(place) && self.objection(log, place, now_ms, 0).is_none()).then_some(place)
        })
    }

    /// Those of a queue that are left.
    fn of_queue<'a>(&'a self, log: &'a Log, queue: u32) -> impl Iterator<Item = Place> + use<'a> {
        let here = log.range((queue, 0)..(queue + 1, 0));
        here.filter(|(place, sent)| self.is_left(**place, sent)).map(|(place, _)| *place)
    }

    fn of_key<'a>(
        &'a self,
        log: &'a Log,
        queue: u32,
        key: u8,
    ) -> impl Iterator<Item = Place> + use<'a> {
        let same = move |(place, sent): &(&Place, &Sent)| place.0 == queue && sent.key == Some(key);
        let left = |(place, sent): &(&Place, &Sent)| self.is_left(**place, sent);
        log.iter().filter(same).filter(left).map(|(place, _)| *place)
    }

    fn held_of(&self, log: &Log, queue: u32, key: u8) -> usize {
        let same = |place: &&Place| place.0 == queue && log[*place].key == Some(key);
        self.held.keys().filter(same).count()
    }

    /// The first of its key that keeps the order.
    fn first_in_order(&self, log: &Log, queue: u32, key: u8) -> Option<Place> {
        self.of_key(log, queue, key).find(|place| !self.astray.contains(place))
    }
}
