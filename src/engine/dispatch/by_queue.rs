//! Groups that are ordered by queue: what becomes of queues and messages when their consumers come, go, and give no sign of life.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::options::LONGEST_WAIT;
use crate::progress::{Cursor, Failed};
use crate::sync::{MutexGuard, Ordering};

use super::find::State;
use super::members::{By, Lost};
use super::{Dispatch, Held, Place};

impl Dispatch {
    pub(super) fn is_by_queue(&self) -> bool {
        self.terms.order.is_by_queue()
    }

    /// A new consumer. Returns its number; 0 where consumers have no queues of their own.
    pub(crate) fn join(&self) -> u64 {
        if !self.is_by_queue() || self.store.check_parent().is_err() {
            return 0;
        }
        let mut state = self.state.lock();
        let number = state.members.join(self.store.clock.now());
        self.rouse_all(state);
        number
    }

    /// A consumer is gone, until it asks again. What it holds can be settled, as long as it would count as alive.
    pub(crate) fn leave(&self, member: u64) {
        // Before the lock: in a forked child its holder may not exist.
        if member == 0 || self.store.check_parent().is_err() {
            return;
        }
        let mut state = self.state.lock();
        if state.members.leave(member) {
            self.rouse_all(state);
        }
    }

    /// For what a consumer takes from now on.
    pub(crate) fn batch(&self, member: u64) -> By {
        if member == 0 {
            return By::default();
        }
        By { member, batch: self.batches.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    /// The queues that a consumer has at the moment.
    pub(crate) fn queues_of(&self, member: u64) -> Vec<u32> {
        if self.store.check_parent().is_err() {
            return Vec::new();
        }
        if !self.is_by_queue() {
            return self.cursors.iter().map(Cursor::queue).collect();
        }
        self.end_memberships();
        self.state.lock().members.queues_of(member)
    }

    /// A sign of life of a consumer: good for the time of a heartbeat, or for as long as its handlers have.
    pub(crate) fn lives(&self, member: u64, handlers: Option<Duration>) {
        if member == 0 || self.store.check_parent().is_err() {
            return;
        }
        let handlers = handlers.map(|time| time.min(LONGEST_WAIT));
        let mut state = self.state.lock();
        state.members.beat(member, self.store.clock.now(), handlers);
        let unwatched = state.members.is_unwatched(member);
        self.rouse(state, usize::from(unwatched));
    }

    /// Asks for messages until the guard is dropped: that long it is alive.
    pub(super) fn asks(&self, by: By) -> Option<Asks<'_>> {
        if by.member == 0 || self.store.check_parent().is_err() {
            return None;
        }
        let mut state = self.state.lock();
        if state.members.asks(by.member, self.store.clock.now()) {
            self.rouse_all(state);
        }
        Some(Asks { dispatch: self, member: by.member })
    }

    /// A future lies down among those who wait.
    pub(super) fn lies_down(&self, state: &mut State, by: By) {
        if by.member > 0 {
            state.members.asks(by.member, self.store.clock.now());
        }
    }

    pub(super) fn gets_up(&self, state: &mut State, member: u64) {
        if member > 0 {
            state.members.asked(member, self.store.clock.now());
        }
    }

    /// Everybody is awake, these futures too.
    pub(super) fn are_awake(&self, state: &mut State, futures: &VecDeque<(u64, u64, Waker)>) {
        if self.is_by_queue() {
            let now = self.store.clock.now();
            for (_, member, _) in futures {
                state.members.asked(*member, now);
            }
            state.members.all_awake();
        }
    }

    /// Takes the queues of those who gave no sign of life for too long, and what they hold. What a handler is at that has had its time
    /// has failed.
    pub(super) fn end_memberships(&self) {
        if !self.is_by_queue() {
            return;
        }
        let mut state = self.state.lock();
        let Some(lost) = state.members.expire(self.store.clock.now()) else { return };
        let mut failed = Vec::new();
        for Lost { queue, overdue } in lost {
            if overdue {
                failed.extend(self.fail_out_of(&mut state, queue));
            }
            self.take_back(&mut state, queue, 0);
        }
        self.rouse_all(state);
        for &(place, failed) in &failed {
            self.has_expired(place, failed);
        }
        if !failed.is_empty() {
            self.store.acknowledged();
        }
    }

    /// Whatever is in hand of a queue is a failed attempt.
    fn fail_out_of(&self, state: &mut State, queue: u32) -> Vec<(Place, Failed)> {
        let Ok(cursor) = self.cursor(queue) else { return Vec::new() };
        let mut all = Vec::new();
        for offset in state.members.out_of(queue) {
            let place = (queue, offset);
            let fail = |failed| self.failed_once_more(place, failed, None);
            if let Some(failed) = self.store.progress.fail_in_any_hands(cursor, offset, fail) {
                state.drops.remove(&place);
                all.push((place, failed));
            }
        }
        all
    }

    /// Takes back what was held for too long, and what is behind it in its batch.
    pub(super) fn end_leases_in_turn(&self, cursor: &Cursor, now: Instant, now_ms: u64) {
        let mut state = self.state.lock();
        let expired = self.store.progress.expire(cursor, now, now_ms);
        if let Some((first, _)) = expired.first() {
            self.take_back(&mut state, cursor.queue(), *first);
        }
        self.rouse(state, expired.len());
        if let Some(next) = cursor.first_lease() {
            self.lease_ends(next);
        }
        for (offset, failed) in expired {
            self.has_expired((cursor.queue(), offset), failed);
        }
    }

    /// A message comes back from its consumer, which lives. What is behind it in its batch is taken back, so that nothing overtakes it. `false` if it had been
    /// taken back itself.
    pub(super) fn comes_back(&self, state: &mut State, held: Held) -> bool {
        let (queue, offset) = held.place;
        state.members.beat(held.by.member, self.store.clock.now(), None);
        let back = state.members.back(held.place, held.by);
        if back {
            self.take_back(state, queue, offset + 1);
        }
        back
    }

    /// Takes back what is out of a queue at or behind an offset: to be handed out again in order, and no failed attempt.
    fn take_back(&self, state: &mut State, queue: u32, from: u64) {
        let taken = state.members.take_back(queue, from);
        let (Some(first), Some(last), Ok(cursor)) =
            (taken.first(), taken.last(), self.cursor(queue))
        else {
            return;
        };
        self.store.progress.withdraw(cursor, *first..*last + 1);
        for offset in taken {
            self.comes_again(state, (queue, offset));
        }
    }

    /// A message that nobody has is handed out again, when it is due; if it is not done, or set aside.
    pub(super) fn comes_again(&self, state: &mut State, (queue, offset): Place) {
        let Ok(cursor) = self.cursor(queue) else { return };
        match cursor.next_unacked(offset) {
            (next, _) if next != offset => {}
            (_, Some(failed)) if self.terms.sets_aside(failed) => {}
            (_, Some(failed)) if !self.is_due(failed) => {
                state.members.waits((queue, offset));
                self.park_in(&mut state.parked, (queue, offset), failed);
            }
            _ => state.again((queue, offset)),
        }
    }

    /// Messages that were on their way when their consumer was taken for dead.
    pub(super) fn let_go(&self, queue: u32, offsets: Range<u64>, by: By) {
        if !self.is_by_queue() {
            return;
        }
        let mut state = self.state.lock();
        for offset in offsets {
            if state.members.back((queue, offset), by) {
                self.comes_again(&mut state, (queue, offset));
            }
        }
        self.rouse(state, 1);
    }

    /// A consumer settled something, which is a sign of life: wakes those who may go on.
    pub(super) fn rouse_for(&self, mut state: MutexGuard<'_, State>, held: Held) {
        state.members.beat(held.by.member, self.store.clock.now(), None);
        let awaited = state.members.is_awaited(held.place.0);
        let unwatched = state.members.is_unwatched(held.by.member);
        self.rouse(state, usize::from(awaited || unwatched));
    }
}

/// A consumer that asks for messages.
pub(super) struct Asks<'a> {
    dispatch: &'a Dispatch,
    member: u64,
}

impl Drop for Asks<'_> {
    fn drop(&mut self) {
        // Before the lock: in a forked child its holder may not exist.
        if self.dispatch.store.check_parent().is_err() {
            return;
        }
        let mut state = self.dispatch.state.lock();
        state.members.asked(self.member, self.dispatch.store.clock.now());
        let unwatched = state.members.is_unwatched(self.member);
        self.dispatch.rouse(state, usize::from(unwatched));
    }
}

#[cfg(test)]
mod tests;
