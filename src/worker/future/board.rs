//! What a [`Work`](super::Work) and its controls share.

use std::fmt;
use std::task::Waker;
use std::time::Instant;

use crate::clock::Sleeper;
use crate::engine::dispatch::{Bystander, Place};
use crate::handler::{Events, WorkerEvent};
use crate::store::Store;
use crate::sync::{Arc, Mutex, Weak};
use crate::worker::crew::{Busy, Counts};
use crate::worker::settle::tell_set_aside;
use crate::worker::{Unfinished, WorkerStats};

use super::bells::{Bells, What};

pub(super) struct Board {
    pub(super) store: Arc<Store>,
    pub(super) events: Events,
    pub(super) counts: Counts,
    /// Short, and nothing is called while it is held but the clock.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bells: Bells,
    orders: Orders,
    /// What the handler in each slot is at.
    busy: Vec<Option<Busy>>,
    /// Nothing is handled any more.
    over: bool,
    /// What was not finished when the time was over.
    unfinished: Vec<Unfinished>,
    /// Those who wait for the end, with their numbers.
    waiting: Vec<(u64, Waker)>,
    next: u64,
}

/// What the work was told to do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    pub(super) paused: bool,
    /// No message is taken any more.
    pub(super) stopped: bool,
    /// The handlers have time until then, by the operating system's clock.
    pub(super) until: Option<Instant>,
    /// They had their time.
    pub(super) cut: bool,
}

/// What the task finds when it looks.
pub(super) struct Found {
    pub(super) orders: Orders,
    /// Whether a time came, or something was ordered.
    pub(super) ordered: bool,
    pub(super) intake: bool,
    pub(super) slots: Vec<usize>,
}

impl Board {
    pub(super) fn new(store: &Arc<Store>, events: Events) -> Arc<Self> {
        let (store, counts, state) = (Arc::clone(store), Counts::default(), Mutex::default());
        let board = Arc::new(Self { store, events, counts, state });
        let sleeper: Weak<Self> = Arc::downgrade(&board);
        board.store.clock.tell_when_moved(sleeper);
        board
    }

    pub(super) fn ring(&self, what: What) {
        let task = self.state.lock().bells.ring(what);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let mut state = self.state.lock();
        change(&mut state.orders);
        let task = state.bells.ring(What::Orders);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    pub(super) fn pause(&self, paused: bool) {
        self.order(|orders| orders.paused = paused);
    }

    /// No message is taken any more, and handlers have time until then.
    pub(super) fn stop(&self, until: Instant) {
        self.order(|orders| {
            orders.stopped = true;
            orders.until = Some(orders.until.map_or(until, |before| before.min(until)));
        });
    }

    /// The time is over. Those who still run are told so; the first call says which these are.
    pub(super) fn cut(&self) {
        let now = self.store.clock.now();
        let mut state = self.state.lock();
        let State { orders, busy, unfinished, .. } = &mut *state;
        if !orders.cut {
            orders.cut = true;
            for busy in busy.iter().flatten() {
                busy.cancel.interrupt();
                let running = now.saturating_duration_since(busy.since);
                unfinished.extend(busy.jobs.iter().map(|job| Unfinished::new(job, running)));
            }
        }
        let task = state.bells.ring(What::Orders);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// What is to be done; up to `most` handlers that rang.
    pub(super) fn look(&self, most: usize) -> Found {
        let mut state = self.state.lock();
        // It may have been polled though no bell rang.
        let task = state.bells.silence();
        let (ordered, intake) = (state.bells.take_orders(), state.bells.take_intake());
        let slots = state.bells.take_slots(most);
        let found = Found { orders: state.orders, ordered, intake, slots };
        drop(state);
        drop(task);
        found
    }

    /// The task rests. `false` if there is something to do.
    pub(super) fn rest(&self, task: &Waker) -> bool {
        let task = task.clone();
        let (rests, old) = self.state.lock().bells.rest(task);
        drop(old);
        rests
    }

    /// A handler begins; it is to be polled.
    pub(super) fn begin(&self, slot: usize, busy: Busy) {
        let mut state = self.state.lock();
        if state.busy.len() <= slot {
            state.busy.resize_with(slot + 1, || None);
        }
        if let Some(place) = state.busy.get_mut(slot) {
            *place = Some(busy);
        }
        // It is called by the task, which does not rest.
        let _ = state.bells.ring(What::Slot(slot));
    }

    pub(super) fn finish(&self, slot: usize) {
        let busy = self.state.lock().busy.get_mut(slot).and_then(Option::take);
        drop(busy);
    }

    /// Nothing is handled any more, and whoever waits for it learns that.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.over = true;
        let busy = std::mem::take(&mut state.busy);
        let task = state.bells.silence();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop((busy, task));
        crate::flush::wake_all(waiting.into_iter().map(|(_, waker)| waker));
    }

    /// What was not finished, if it is over; or has `waker` woken when it is.
    pub(super) fn wait(&self, number: &mut Option<u64>, waker: &Waker) -> Option<Vec<Unfinished>> {
        let mine = waker.clone();
        let mut state = self.state.lock();
        if state.over {
            return Some(state.unfinished.clone());
        }
        let old = number.take().and_then(|number| state.leave(number));
        state.next += 1;
        let next = state.next;
        state.waiting.push((next, mine));
        *number = Some(next);
        drop(state);
        drop(old);
        None
    }

    pub(super) fn unfinished(&self) -> Vec<Unfinished> {
        self.state.lock().unfinished.clone()
    }

    /// Whoever waited goes away.
    pub(super) fn leave(&self, number: u64) {
        let old = self.state.lock().leave(number);
        drop(old);
    }

    pub(super) fn stats(&self) -> WorkerStats {
        let running = self.state.lock().busy.iter().flatten().count();
        self.counts.stats(running)
    }
}

impl Bystander for Board {
    fn set_aside(&self, topic: &str, place: Place) {
        let busy: Vec<_> = self.state.lock().busy.iter().flatten().cloned().collect();
        tell_set_aside(&self.events, &busy, (topic, place));
    }

    fn crowded(&self, topic: &str, queue: u32) {
        self.events.tell(&WorkerEvent::ReadAheadFull { topic, queue: queue.into() });
    }
}

impl Sleeper for Board {
    fn time_moved(&self) {
        self.ring(What::Orders);
    }
}

impl State {
    fn leave(&mut self, number: u64) -> Option<(u64, Waker)> {
        let at = self.waiting.iter().position(|(known, _)| *known == number)?;
        Some(self.waiting.swap_remove(at))
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("counts", &self.counts).finish_non_exhaustive()
    }
}
