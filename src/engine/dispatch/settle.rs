//! How a message leaves a consumer's hands: acknowledged, given back, failed, put off; or taken out of them, when the group is moved.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::observe::{self, Attempt};
use crate::progress::Failed;
use crate::sync::Ordering;

use super::find::{Position, State};
use super::{By, Dispatch, Held, Place, Spot};

/// So often a message is given back before it has to wait.
const DROPS: u32 = 16;

/// What a message waits that was given back too often, doubled each time up to the most.
const DROP_WAIT: Duration = Duration::from_millis(10);
const DROP_WAIT_MAX: Duration = Duration::from_secs(10);

impl Dispatch {
    /// Whether the group was moved since the message was taken.
    fn is_stale(&self, queue: u32, epoch: u64) -> bool {
        self.cursor(queue).is_ok_and(|cursor| cursor.epoch() != epoch)
    }

    /// Whether whoever took the message may still settle it.
    pub(crate) fn holds(&self, held: Held) -> bool {
        self.end_leases();
        let (queue, offset) = held.place;
        self.cursor(queue).is_ok_and(|cursor| cursor.holds(held.token, offset))
    }

    /// Messages that were found, and that nobody took.
    pub(super) fn not_taken(&self, spots: impl Iterator<Item = Spot>, by: By) {
        let mut spots = spots.peekable();
        if spots.peek().is_none() {
            return;
        }
        let mut state = self.state.lock();
        let mut there = 0;
        for Spot { place, epoch } in spots {
            there += 1;
            if self.is_by_queue() {
                if state.members.back(place, by) {
                    self.comes_again(&mut state, place);
                }
            } else if !self.is_stale(place.0, epoch) {
                state.again(place);
            }
        }
        // Whoever looked meanwhile found none of them, and sleeps.
        self.rouse(state, there);
    }

    /// A message that was handed out and dropped: somebody else may have it at once. One that is dropped again and again has to wait.
    pub(crate) fn put_back(&self, held: Held) {
        // Before the lock: in a forked child its holder may not exist.
        if self.store.check_parent().is_err() {
            return;
        }
        self.end_leases();
        let (queue, offset) = held.place;
        let Ok(cursor) = self.cursor(queue) else { return };
        if !self.store.progress.give_back(cursor, held.token, offset) {
            return;
        }
        let mut state = self.state.lock();
        if self.is_by_queue() {
            if !self.comes_back(&mut state, held) {
                return;
            }
        } else if self.is_stale(queue, held.epoch) {
            return;
        }
        let drops = state.drops.entry(held.place).or_default();
        *drops = drops.saturating_add(1);
        let over = drops.saturating_sub(DROPS);
        self.any_drops.store(true, Ordering::Relaxed);
        if over == 0 {
            state.again(held.place);
            self.rouse_one(state);
        } else {
            let wait = DROP_WAIT.saturating_mul(1_u32.checked_shl(over - 1).unwrap_or(u32::MAX));
            state.parked.insert(self.store.clock.now() + wait.min(DROP_WAIT_MAX), held.place);
            state.members.waits(held.place);
            self.rouse(state, usize::from(self.is_by_queue()));
        }
    }

    /// A message that failed: tried again after `wait`, or after what the group's retries say.
    pub(crate) fn fail(&self, held: Held, wait: Option<Duration>) -> Result<()> {
        let failed =
            self.put_off(held, |failed| self.failed_once_more(held.place, failed, wait))?;
        observe::failed(self.names(), &self.meter, self.attempt(held.place, failed));
        Ok(())
    }

    /// What is known of a message that failed once more: it is tried again after `wait`, or after what the group's retries say.
    pub(super) fn failed_once_more(
        &self,
        (queue, offset): Place,
        failed: Failed,
        wait: Option<Duration>,
    ) -> Failed {
        let attempts = failed.attempts.saturating_add(1);
        let seed = offset.rotate_left(32) ^ u64::from(queue);
        let wait = wait.unwrap_or_else(|| self.terms.retry().delay(attempts, seed));
        Failed { attempts, ..self.due_in(wait, failed) }
    }

    fn due_in(&self, wait: Duration, failed: Failed) -> Failed {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Failed { due_ms: self.store.clock.wall_ms().saturating_add(wait), ..failed }
    }

    /// A failed attempt, for whoever observes.
    pub(super) fn attempt(&self, place: Place, failed: Failed) -> Attempt {
        Attempt { place, number: failed.attempts, last: self.terms.sets_aside(failed) }
    }

    /// A message that nobody wants to handle now, without a failure.
    pub(crate) fn snooze(&self, held: Held, wait: Duration) -> Result<()> {
        self.put_off(held, |failed| self.due_in(wait, failed)).map(drop)
    }

    fn put_off(&self, held: Held, change: impl FnOnce(Failed) -> Failed) -> Result<Failed> {
        self.store.check_open()?;
        self.end_leases();
        let (queue, offset) = held.place;
        let cursor = self.cursor(queue)?;
        let failed = self.store.progress.fail(cursor, held.token, offset, change);
        let failed = failed.ok_or_else(|| {
            let why =
                "the message is in other hands by now: its lease ended, or the group was moved";
            Error::new(ErrorKind::Stale, why)
        })?;
        self.forget_drops(queue, offset..offset + 1);
        let mut state = self.state.lock();
        if self.is_by_queue() {
            if self.comes_back(&mut state, held) {
                self.comes_again(&mut state, held.place);
            }
            self.rouse_for(state, held);
            self.store.acknowledged();
            return Ok(failed);
        }
        let mut next = 0;
        if !self.is_stale(queue, held.epoch) {
            next = self.park(&mut state, held.place, failed);
        }
        self.rouse(state, next);
        self.store.acknowledged();
        Ok(failed)
    }

    /// A message that failed waits for its time, in its lane or outside. Says for how many somebody should look instead.
    pub(super) fn park(&self, state: &mut State, place: Place, failed: Failed) -> usize {
        let known = self.cursor(place.0).ok().and_then(|cursor| cursor.failed(place.1));
        if known != Some(failed) {
            // It was set aside and forgiven meanwhile, and is on its way again.
            return 0;
        }
        let leaves = !self.terms.order.is_strict() || self.terms.sets_aside(failed);
        self.park_in(&mut state.parked, place, failed);
        if leaves { self.leave_lane(state, place) } else { 0 }
    }

    /// A message that is not there any more, or never was.
    pub(super) fn gone(&self, Spot { place, epoch }: Spot, by: By) {
        if self.is_by_queue() {
            let mut state = self.state.lock();
            state.members.back(place, by);
            let next = state.members.is_awaited(place.0);
            self.rouse(state, usize::from(next));
        } else if !self.terms.order.is_free() {
            let mut state = self.state.lock();
            // After a move the lane is somebody else's.
            let moved = self.is_stale(place.0, epoch);
            let next = if moved { 0 } else { self.leave_lane(&mut state, place) };
            self.rouse(state, next);
        }
    }

    /// Retention took away what a queue held before an offset: it waits for nobody any more, and nobody waits for it. What is in hands leaves
    /// its lane when it is settled.
    pub(super) fn removed(&self, state: &mut State, (queue, min): Place) {
        let Some(position) = state.queues.get_mut(queue as usize) else { return };
        position.next = position.next.max(min);
        let left = position.returned.split_off(&min);
        let returned = std::mem::replace(&mut position.returned, left);
        let parked = state.parked.take_before((queue, min));
        state.drops.retain(|place, _| place.0 != queue || place.1 >= min);
        for offset in returned.into_iter().chain(parked) {
            state.members.waits_no_more((queue, offset));
            if self.leave_lane(state, (queue, offset)) > 0 || self.is_by_queue() {
                // More may come than whoever looks here takes.
                state.parked.tell();
            }
        }
    }

    fn forget_drops(&self, queue: u32, offsets: std::ops::Range<u64>) {
        if self.any_drops.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            for offset in offsets {
                state.drops.remove(&(queue, offset));
            }
            if state.drops.is_empty() {
                self.any_drops.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Counts a message and `more` behind it in its queue as done. A process kill does not bring them back.
    pub(crate) fn ack(&self, held: Held, more: u64) -> Result<()> {
        // A store that stopped could write it down, but nobody would make it durable.
        self.store.check_writable()?;
        self.end_leases();
        let (queue, from) = held.place;
        let to = from + 1 + more;
        let written = self.store.progress.ack_held(self.cursor(queue)?, held.token, from..to);
        self.store.progressed(written)?;
        self.forget_drops(queue, from..to);
        if self.is_by_queue() {
            let mut state = self.state.lock();
            for offset in from..to {
                state.members.back((queue, offset), held.by);
            }
            self.rouse_for(state, held);
        } else if !self.terms.order.is_free() {
            let mut state = self.state.lock();
            let mut next = 0;
            if !self.is_stale(queue, held.epoch) {
                let leave = |offset| self.leave_lane(&mut state, (queue, offset));
                next = (from..to).map(leave).sum();
            }
            self.rouse(state, next);
        }
        self.store.acknowledged();
        self.meter.acked(self.names(), to - from);
        Ok(())
    }

    /// The consumer may hold the message for so long from now on.
    pub(crate) fn extend(&self, held: Held, lease: Duration) -> Result<()> {
        self.store.check_open()?;
        self.end_leases();
        let (queue, offset) = held.place;
        let until = self.store.clock.now().checked_add(lease);
        if !self.store.progress.extend(self.cursor(queue)?, held.token, offset, until) {
            let why = "the message is in other hands by now; it cannot be held any longer";
            return Err(Error::new(ErrorKind::Stale, why));
        }
        if let Some(until) = until {
            self.lease_ends(until);
        }
        self.lives(held.by.member, None);
        Ok(())
    }

    /// Forgets how a message failed that is set aside. `false` if it is not.
    pub(crate) fn forgive(&self, (queue, offset): Place) -> Result<bool> {
        self.store.check_writable()?;
        let cursor = self.cursor(queue)?;
        // Held meanwhile: nobody comes to it after it is forgiven and before it is known whether he will.
        let mut state = self.state.lock();
        let forgiven = self.store.progress.forgive(cursor, offset, |f| self.terms.sets_aside(f));
        if !self.store.progressed(forgiven)? {
            return Ok(false);
        }
        state.forgiven((queue, offset));
        self.rouse_one(state);
        self.store.acknowledged();
        Ok(true)
    }

    /// Makes acknowledgements durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.store.progress.sync();
        self.store.progressed(synced)
    }

    /// Goes on at these offsets, one for each queue named. What is in consumers' hands is void: it is neither acknowledged nor given
    /// back any more. What waits for another attempt goes on waiting. Durable when this returns.
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
                *position = Position::at(offset, cursor.reach());
            }
            state.parked.clear(queue);
            state.drops.retain(|place, _| place.0 != queue);
            state.lanes.clear(queue);
            state.members.clear(queue);
            // Those behind are met in their turn.
            for (failed, known) in cursor.all_failed() {
                if failed < offset {
                    self.park_in(&mut state.parked, (queue, failed), known);
                }
            }
        }
        self.rouse_all(state);
        self.sync()
    }
}
