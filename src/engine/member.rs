//! A consumer of a group, as the engine knows it.

use std::ops::Deref;
use std::time::Duration;

use crate::error::Result;
use crate::store::message::Message;
use crate::sync::Arc;

use super::dispatch::{Asleep, By, Held, Wait};
use super::join::Seat;

/// A consumer of a group. Where consumers have queues of their own, it is one of those who share them until it is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    seat: Arc<Seat>,
    /// 0 where consumers have no queues of their own.
    number: u64,
}

impl Member {
    pub(crate) fn join(seat: Arc<Seat>) -> Self {
        let number = seat.join();
        Self { seat, number }
    }

    /// Another one of the same group; itself, if there is nothing to share.
    pub(crate) fn another(this: &Arc<Self>) -> Arc<Self> {
        if this.number == 0 {
            return Arc::clone(this);
        }
        Arc::new(Self::join(Arc::clone(&this.seat)))
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Takes up to `max` messages, together.
    pub(crate) fn take(
        &self,
        max: usize,
        wait: &mut Wait,
        out: &mut dyn FnMut(Message, Held),
    ) -> Result<usize> {
        self.seat.take(self.batch(), max, wait, out)
    }

    /// For what is taken together.
    pub(crate) fn batch(&self) -> By {
        self.seat.batch(self.number)
    }

    /// A place among those who wait, for what is taken together.
    pub(crate) fn asleep(&self, batch: By) -> Asleep {
        Asleep::new(&self.seat, batch)
    }

    /// Its handlers may take so long from now on: it counts as alive until then, or until they have settled all that it holds.
    pub(crate) fn is_busy_for(&self, time: Duration) {
        self.seat.lives(self.number, Some(time));
    }

    /// Whether consumers have queues of their own.
    pub(crate) const fn has_own_queues(&self) -> bool {
        self.number > 0
    }

    /// It is given nothing more until it asks again.
    pub(crate) fn leave(&self) {
        self.seat.leave(self.number);
    }

    /// The queues that it receives from at the moment.
    pub(crate) fn queues(&self) -> Vec<u32> {
        self.seat.queues_of(self.number)
    }
}

impl Deref for Member {
    type Target = Arc<Seat>;

    fn deref(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}
