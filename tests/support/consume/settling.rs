//! What settling a delivery answers, and what it changes.

use std::time::Duration;

use pocketmq::{Delivery, ErrorKind};

use super::group::Place;
use super::ops::Op;
use super::world::World;

/// What the group's retries wait, in seconds.
pub(super) const RETRY: u64 = 30;

/// A delivery that was received, and may be anybody's by now.
pub(super) struct Received {
    pub(super) group: usize,
    pub(super) place: Place,
    /// Its number.
    pub(super) id: u64,
    /// Which opening of the queue it is of.
    pub(super) life: u32,
    pub(super) delivery: Delivery<u64>,
}

impl World {
    pub(super) fn settle(&mut self, op: &Op, which: usize) {
        if self.received.is_empty() {
            return;
        }
        let at = which % self.received.len();
        let now = self.now;
        let seconds = Duration::from_secs;
        if let Op::Extend { seconds: more, .. } = *op {
            let expected = self.expected(at);
            let Received { group, place, delivery, .. } = &self.received[at];
            assert_eq!(answer(delivery.extend(seconds(more))), expected, "extending {place:?}");
            if expected.is_ok()
                && let Some(holder) = self.groups[*group].held.get_mut(place)
            {
                holder.until = Some(now + more);
            }
            return;
        }
        let expected = self.expected(at);
        let Received { group, place, delivery, .. } = self.received.swap_remove(at);
        let group = &mut self.groups[group];
        let answered = match *op {
            Op::Ack { .. } => answer(delivery.ack()),
            Op::Fail { .. } => answer(delivery.fail()),
            Op::RetryAfter { seconds: wait, .. } => answer(delivery.retry_after(seconds(wait))),
            Op::Snooze { seconds: wait, .. } => answer(delivery.snooze(seconds(wait))),
            _ => {
                drop(delivery);
                expected
            }
        };
        assert_eq!(answered, expected, "settling {place:?}");
        if expected.is_ok() {
            match *op {
                Op::Ack { .. } => group.ack(place),
                Op::Fail { .. } => group.put_off(place, 1, now + RETRY),
                Op::RetryAfter { seconds, .. } => group.put_off(place, 1, now + seconds),
                Op::Snooze { seconds, .. } => group.put_off(place, 0, now + seconds),
                _ => group.give_back(place, now),
            }
        }
    }

    /// What settling a delivery has to answer.
    fn expected(&mut self, at: usize) -> Result<(), ErrorKind> {
        let Received { group, place, id, life, .. } = &self.received[at];
        if *life != self.life {
            return Err(ErrorKind::Closed);
        }
        let group = &mut self.groups[*group];
        group.look(self.now);
        if group.holds(*place, *id) { Ok(()) } else { Err(ErrorKind::Stale) }
    }

    pub(super) fn ack_all(&mut self, group: usize) {
        let (life, now, model) = (self.life, self.now, &mut self.groups[group]);
        let theirs = self.received.extract_if(.., |received| {
            (received.group, received.life) == (group, life)
                && model.holds(received.place, received.id)
                && !model.is_lost(received.place, now)
        });
        let (places, all): (Vec<_>, Vec<_>) = theirs.map(|r| (r.place, r.delivery)).unzip();
        self.consumers[group][0].ack_all(all).unwrap();
        if !places.is_empty() {
            model.look(now);
        }
        for place in places {
            model.ack(place);
        }
    }
}

fn answer(result: pocketmq::Result<()>) -> Result<(), ErrorKind> {
    result.map_err(|e| e.kind())
}
