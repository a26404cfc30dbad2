//! How a message leaves a consumer's hands: acknowledged, given back, put off; or taken out of them, when the group is moved.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::sync::Ordering;

use super::{Dispatch, Held, Position, State};

/// A payload that does not decode is tried again after these many seconds: RocketMQ's retry levels.
const BACK_OFF_SECONDS: [u64; 16] =
    [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

impl Dispatch {
    /// So many are in nobody's hands any more.
    pub(super) fn landed(&self, count: usize) {
        let less = |n: usize| Some(n.saturating_sub(count));
        let _always = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether the group was moved since the message was taken.
    fn is_stale(&self, held: Held) -> bool {
        self.cursors.get(held.place.0 as usize).is_none_or(|c| c.epoch() != held.epoch)
    }

    fn give_back(&self, state: &mut State, held: Held) {
        if self.is_stale(held) {
            return;
        }
        let (queue, offset) = held.place;
        self.landed(1);
        let acked = self.cursors.get(queue as usize).is_none_or(|c| c.is_acked(offset));
        if let Some(position) = state.queues.get_mut(queue as usize).filter(|_| !acked) {
            position.returned.insert(offset);
        }
    }

    /// A message that was handed out and dropped: somebody else may have it at once.
    pub(crate) fn put_back(&self, held: Held) {
        // Before the lock: in a forked child its holder may not exist.
        if self.store.check_parent().is_err() {
            return;
        }
        let mut state = self.state.lock();
        self.give_back(&mut state, held);
        self.ready.notify_one();
    }

    /// A message whose payload does not decode: tried again later, with its bytes untouched.
    pub(crate) fn park(&self, held: Held) {
        if self.store.check_parent().is_err() {
            return;
        }
        let mut state = self.state.lock();
        if self.is_stale(held) {
            return;
        }
        self.landed(1);
        self.any_undecodable.store(true, Ordering::Relaxed);
        let attempts = state.attempts.entry(held.place).or_default();
        let wait =
            BACK_OFF_SECONDS.get(*attempts).or(BACK_OFF_SECONDS.last()).copied().unwrap_or(0);
        *attempts += 1;
        let at = self.store.clock.now() + Duration::from_secs(wait);
        state.parked.insert((at, held.place));
        // Everybody who sleeps may have to sleep less long now: one alone may have less time than that.
        self.ready.notify_all();
    }

    /// Counts a message and `more` behind it in its queue as done. A process kill does not bring them back.
    pub(crate) fn ack(&self, held: Held, more: u64) -> Result<()> {
        // A store that stopped could write it down, but nobody would make it durable.
        self.store.check_writable()?;
        let (queue, from) = held.place;
        let to = from + 1 + more;
        let cursor = self.cursors.get(queue as usize).ok_or_else(Error::closed)?;
        let written = self.store.progress.ack_in(cursor, held.epoch, from..to);
        self.store.progressed(written)?;
        self.landed(usize::try_from(to - from).unwrap_or(usize::MAX));
        if self.any_undecodable.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            for offset in from..to {
                state.attempts.remove(&(queue, offset));
            }
        }
        self.store.acknowledged();
        Ok(())
    }

    /// Makes acknowledgements durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.store.progress.sync();
        self.store.progressed(synced)
    }

    /// Goes on at these offsets, one for each queue named. What is in consumers' hands is void: it is neither acknowledged nor given
    /// back any more. Durable when this returns.
    pub(crate) fn seek(&self, targets: &[(u32, u64)]) -> Result<()> {
        self.store.check_writable()?;
        let cursor =
            |&(queue, offset): &(u32, u64)| Some((self.cursors.get(queue as usize)?, offset));
        let moves: Vec<_> = targets.iter().filter_map(cursor).collect();
        let mut state = self.state.lock();
        let written = self.store.progress.set_all(&moves);
        self.store.progressed(written)?;
        for (cursor, offset) in moves {
            let queue = cursor.queue();
            if let Some(position) = state.queues.get_mut(queue as usize) {
                *position = Position::at(offset, offset);
            }
            state.parked.retain(|(_, place)| place.0 != queue);
            state.attempts.retain(|place, _| place.0 != queue);
        }
        self.in_flight.store(0, Ordering::Relaxed);
        self.ready.notify_all();
        drop(state);
        self.sync()
    }
}
