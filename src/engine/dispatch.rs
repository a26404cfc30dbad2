//! Handing a topic's messages to the consumers of one group.
//!
//! One dispatch per group and topic, shared by all its consumers: each message goes to one of them at a time. What was handed
//! out and not acknowledged comes back when it is dropped, when it failed and has waited, when its lease ends, or when the store is
//! opened again.
//!
//! A message on its way out is in nobody's hands for a moment: taken from its position under the dispatch's lock, loaded and
//! filtered without it, and then handed out under the journal's lock. If the group is moved in between, the cursor's epoch has
//! changed and the message is let go. So the dispatch's lock, for which a sender may wait that announces a message, is not held over
//! the disk's work for a journal, but when the group is moved, or what it set aside is tried again.

mod by_queue;
mod few;
mod find;
mod lanes;
mod leases;
mod members;
mod run;
mod settle;
mod strategy;
mod terms;
mod waiting;

use std::ops::Range;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::observe::{GroupMeter, Names};
use crate::progress::{Cursor, Failed};
use crate::store::Store;
use crate::store::message::Message;
use crate::store::topics::{Listener, Topic};
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Weak};

use find::State;
use leases::Bystanders;
use run::{Found, Run};

pub(crate) use lanes::Order;
pub(crate) use leases::Bystander;
pub(crate) use members::By;
pub(crate) use terms::Terms;
pub(crate) use waiting::{Asleep, Wait};

pub use strategy::Strategy;
pub use terms::DEFAULT_HEARTBEAT_TIMEOUT;

/// A message's place in its topic.
pub(crate) type Place = (u32, u64);

/// A message on its way to a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    place: Place,
    /// When it was found, as its cursor counts: void once the group is moved.
    epoch: u64,
}

/// A message in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) place: Place,
    epoch: u64,
    /// What settling it has to show.
    pub(crate) token: u64,
    /// How it failed before.
    pub(crate) failed: Failed,
    pub(crate) by: By,
}

impl Held {
    /// Which attempt this is, counted from 1.
    pub(crate) const fn attempt(&self) -> u32 {
        self.failed.attempts.saturating_add(1)
    }
}

/// The messages of one topic for one group.
#[derive(Debug)]
pub(crate) struct Dispatch {
    store: Arc<Store>,
    topic: Arc<Topic>,
    group: Arc<str>,
    /// One per queue, in order.
    cursors: Vec<Cursor>,
    terms: Terms,
    /// Protects what is to be handed out. Taken before a queue's tail and a cursor, never while holding them.
    state: Mutex<State>,
    ready: Condvar,
    /// Times are counted from here.
    began: Instant,
    /// No lease ends earlier: milliseconds from the beginning. `u64::MAX`: none ends.
    first_lease: AtomicU64,
    /// Whether there may be drops to forget.
    any_drops: AtomicBool,
    /// How many batches were asked for, by consumers that have queues of their own.
    batches: AtomicU64,
    meter: GroupMeter,
    bystanders: Bystanders,
}

/// As many are taken under one lock.
const RUN: usize = 1024;

/// So often one poll of a future looks, if nothing passes the filter.
const POLL_LOOKS: u32 = 16;

impl Dispatch {
    pub(crate) fn new(
        store: &Arc<Store>,
        topic: &Arc<Topic>,
        group: &str,
        cursors: Vec<Cursor>,
        terms: Terms,
    ) -> Arc<Self> {
        let dispatch = Arc::new(Self {
            store: Arc::clone(store),
            topic: Arc::clone(topic),
            group: group.into(),
            state: Mutex::new(State::at_the_watermarks(&cursors, &terms)),
            cursors,
            terms,
            ready: Condvar::new(),
            began: store.clock.now(),
            first_lease: AtomicU64::new(u64::MAX),
            any_drops: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            meter: GroupMeter::default(),
            bystanders: Bystanders::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&dispatch);
        topic.listen(weak);
        dispatch
    }

    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(crate) fn group(&self) -> &Arc<str> {
        &self.group
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names { topic: self.topic.name(), group: &self.group }
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How many messages are set aside.
    pub(crate) fn set_aside(&self) -> usize {
        let aside = |cursor: &Cursor| {
            let failed = cursor.all_failed();
            failed.into_iter().filter(|(_, failed)| self.terms.sets_aside(*failed)).count()
        };
        self.cursors.iter().map(aside).sum()
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> u64 {
        self.cursors.iter().map(Cursor::in_hands).sum()
    }

    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        self.state.lock()
    }

    fn cursor(&self, queue: u32) -> Result<&Cursor> {
        self.cursors.get(queue as usize).ok_or_else(Error::closed)
    }

    /// Takes up to `max` messages, waiting for the first one, and hands each to `out`. Returns how many there were.
    ///
    /// A damaged message ends the call with its error, once; the next call goes on behind it.
    pub(crate) fn take(
        &self,
        by: By,
        max: usize,
        wait: &mut Wait,
        out: &mut dyn FnMut(Message, Held),
    ) -> Result<usize> {
        let mut at_once = Wait::up_to(Duration::ZERO);
        let _asks = self.asks(by);
        let look = |first: bool, want: usize, found: &mut Found| {
            Poll::Ready(self.reserve(want, if first { &mut *wait } else { &mut at_once }, found))
        };
        match self.take_with(by, max, look, out) {
            Poll::Ready(taken) => taken,
            Poll::Pending => Ok(0),
        }
    }

    /// Takes messages as `look` finds them, which is told whether they are the first, and how many are wanted.
    fn take_with(
        &self,
        by: By,
        max: usize,
        mut look: impl FnMut(bool, usize, &mut Found) -> Poll<Result<bool>>,
        out: &mut dyn FnMut(Message, Held),
    ) -> Poll<Result<usize>> {
        let (mut taken, mut found) = (0, Found { by, ..Found::default() });
        // While nothing passes the filter, more and more are looked at together.
        let mut ask = 1;
        loop {
            let want = (max - taken).max(ask).min(RUN);
            match look(taken == 0, want, &mut found) {
                Poll::Ready(Ok(true)) => {}
                // An error is said by the next call, which meets it first.
                Poll::Ready(Ok(false)) | Poll::Pending if taken > 0 => {
                    return Poll::Ready(Ok(taken));
                }
                Poll::Ready(Err(_)) if taken > 0 => return Poll::Ready(Ok(taken)),
                Poll::Ready(looked) => return Poll::Ready(looked.map(|_| 0)),
                Poll::Pending => return Poll::Pending,
            }
            let all = found.units.len() == want;
            let now = match self.hand_out(&mut found, max - taken, taken == 0, out) {
                Ok(now) => now,
                Err(e) => return Poll::Ready(Err(e)),
            };
            taken += now;
            if taken > 0 && (taken >= max || !all || now == 0) {
                return Poll::Ready(Ok(taken));
            }
            ask = (want * 2).min(RUN);
        }
    }

    /// As [`Dispatch::take`], for a future, which `asleep` belongs to. Some thousand messages that the filter does not want are passed over
    /// in one call at most.
    pub(crate) fn poll_take(
        &self,
        max: usize,
        wait: &mut Wait,
        (asleep, waker): (&mut Asleep, &Waker),
        out: &mut dyn FnMut(Message, Held),
    ) -> Poll<Result<usize>> {
        let mut at_once = Wait::up_to(Duration::ZERO);
        let by = asleep.by();
        let _asks = self.asks(by);
        let mut looks = 0;
        let look = |first: bool, want: usize, found: &mut Found| {
            looks += 1;
            if !first {
                return Poll::Ready(self.reserve(want, &mut at_once, found));
            }
            if looks > POLL_LOOKS {
                return self.poll_later(wait, (asleep, waker)).map(|()| Ok(false));
            }
            self.poll_reserve(want, wait, (asleep, waker), found)
        };
        self.take_with(by, max, look, out)
    }

    /// For a future that has done enough in one poll: it goes on in the next one, unless its time is up.
    pub(crate) fn poll_later(
        &self,
        wait: &mut Wait,
        (asleep, waker): (&mut Asleep, &Waker),
    ) -> Poll<()> {
        if wait.has_run_out(&self.store) {
            self.wake_one();
            return Poll::Ready(());
        }
        asleep.owe();
        waker.wake_by_ref();
        Poll::Pending
    }

    /// Loads what was found, passes over what the filter does not want, and hands out up to `max` messages. Says how many.
    fn hand_out(
        &self,
        found: &mut Found,
        max: usize,
        say_errors: bool,
        out: &mut dyn FnMut(Message, Held),
    ) -> Result<usize> {
        self.are_crowded(found.crowded.drain(..));
        for (queue, moves, range) in found.passed.drain(..) {
            self.pass(queue, |cursor| cursor.moves() == moves, range);
        }
        if self.cursors.len() > 1 {
            // What follows each other in a queue is handed out together.
            found.units.sort_by_key(|(spot, _)| spot.place);
        }
        let mut taken = 0;
        let mut run = Run::default();
        let mut units = found.units.drain();
        for (spot, unit) in units.by_ref() {
            match self.store.load(&self.topic, spot.place, unit) {
                Ok(message) if self.wants(spot, &message) => {
                    if !run.goes_on_with(spot) {
                        taken += self.deal(&mut run, found.by, out)?;
                    }
                    run.add(spot, message);
                    if taken + run.messages.len() == max {
                        break;
                    }
                }
                Ok(_) => {
                    let (queue, offset) = spot.place;
                    self.pass(queue, |cursor| cursor.epoch() == spot.epoch, offset..offset + 1);
                    self.gone(spot, found.by);
                }
                // It was removed meanwhile, and is nobody's business any more.
                Err(removed) if removed.kind() == ErrorKind::NotFound => self.gone(spot, found.by),
                Err(e) => {
                    let said = say_errors && taken == 0 && run.messages.is_empty();
                    if !said || e.kind() != ErrorKind::Corrupt {
                        // It could not be read now, which says nothing about the message; or it is said by the next call.
                        self.not_taken(std::iter::once(spot), found.by);
                    } else {
                        self.gone(spot, found.by);
                    }
                    self.not_taken(units.map(|(spot, _)| spot), found.by);
                    if said {
                        return Err(e);
                    }
                    return Ok(taken + self.deal(&mut run, found.by, out)?);
                }
            }
        }
        self.not_taken(units.map(|(spot, _)| spot), found.by);
        Ok(taken + self.deal(&mut run, found.by, out)?)
    }

    fn wants(&self, spot: Spot, message: &Message) -> bool {
        // What was handed out before is not filtered again.
        self.terms.filter.matches(message)
            || self.cursor(spot.place.0).is_ok_and(|cursor| cursor.failed(spot.place.1).is_some())
    }

    /// Counts messages as done that the filter does not want. If that cannot be written down now, they are looked at again later.
    fn pass(&self, queue: u32, still: impl FnOnce(&Cursor) -> bool, range: Range<u64>) {
        let Ok(cursor) = self.cursor(queue) else { return };
        let passed = self.store.progress.pass(cursor, still, range);
        if self.store.progressed(passed).is_ok() {
            self.store.acknowledged();
        }
    }

    /// Puts a run into a consumer's hands.
    fn deal(&self, run: &mut Run, by: By, out: &mut dyn FnMut(Message, Held)) -> Result<usize> {
        let Some(Spot { place: (queue, first), epoch }) = run.first.take() else { return Ok(0) };
        let count = run.messages.len();
        // One that is longer than time goes on never ends.
        let until = self.terms.lease.and_then(|lease| self.store.clock.now().checked_add(lease));
        let range = first..first + u64::try_from(count).unwrap_or(0);
        let taken = self.store.progress.take(self.cursor(queue)?, epoch, range.clone(), until)?;
        let Some(taken) = taken else {
            // The group was moved, or the consumer taken for dead.
            run.messages.drain().for_each(drop);
            self.let_go(queue, range, by);
            return Ok(0);
        };
        if let Some(until) = until {
            self.lease_ends(until);
        }
        let bytes = || run.messages.iter().map(|message| u64::from(message.size())).sum();
        self.meter.went_out(self.names(), count, bytes);
        for (offset, message) in (first..).zip(run.messages.drain()) {
            let known = taken.failed.binary_search_by_key(&offset, |(failed, _)| *failed).ok();
            let failed = known.and_then(|at| taken.failed.get(at)).map(|(_, failed)| *failed);
            let failed = failed.unwrap_or_default();
            let place = (queue, offset);
            out(message, Held { place, epoch, token: taken.token, failed, by });
        }
        Ok(count)
    }
}

impl Listener for Dispatch {
    fn arrived(&self, count: usize) {
        // The lock makes sure that a consumer which found nothing is asleep by now.
        let state = self.state.lock();
        if count == 1 {
            self.rouse_one(state);
        } else {
            self.rouse_all(state);
        }
    }
}
