//! Handing a topic's messages to the consumers of one group.
//!
//! One dispatch per group and topic, shared by all its consumers: each message goes to one of them at a time. What was handed
//! out and not acknowledged comes back when it is dropped, or when the store is opened again.

mod settle;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::consumequeue::format::Unit;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Waited;
use crate::progress::Cursor;
use crate::store::Store;
use crate::store::message::Message;
use crate::store::read::{Ahead, View};
use crate::store::topics::{Listener, Topic};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, Weak};

/// A message's place in its topic.
pub(crate) type Place = (u32, u64);

/// A message in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) place: Place,
    /// When it was taken, as its cursor counts: void once the group is moved.
    pub(crate) epoch: u64,
}

/// The messages of one topic for one group.
#[derive(Debug)]
pub(crate) struct Dispatch {
    store: Arc<Store>,
    topic: Arc<Topic>,
    group: Arc<str>,
    /// One per queue, in order.
    cursors: Vec<Cursor>,
    /// Protects what was handed out. Taken before a queue's tail and a cursor, never while holding them.
    state: Mutex<State>,
    /// How many were handed out and are not settled.
    in_flight: AtomicUsize,
    /// Whether there may be attempts to forget.
    any_undecodable: AtomicBool,
    ready: Condvar,
}

#[derive(Debug)]
struct State {
    queues: Vec<Position>,
    /// The queue to look at first next time.
    turn: usize,
    /// Undecodable messages, and when they are tried again.
    parked: BTreeSet<(Instant, Place)>,
    attempts: HashMap<Place, usize>,
}

#[derive(Debug)]
struct Position {
    next: u64,
    /// Below this, some messages were acknowledged before the store was opened.
    acked_below: u64,
    /// Handed out before, and to be handed out again.
    returned: BTreeSet<u64>,
    ahead: Ahead,
}

/// As many are taken under one lock.
const RUN: usize = 1024;

impl Position {
    /// Begins at an offset, with nothing in anybody's hands.
    fn at(next: u64, acked_below: u64) -> Self {
        Self { next, acked_below, returned: BTreeSet::new(), ahead: Ahead::default() }
    }
}

/// How long a receiver waits. The clock is read when it has to.
#[derive(Debug)]
pub(crate) struct Wait {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Wait {
    pub(crate) fn up_to(timeout: Duration) -> Self {
        Self { timeout, deadline: None }
    }

    fn deadline(&mut self, store: &Store) -> Instant {
        *self.deadline.get_or_insert_with(|| store.clock.now() + self.timeout)
    }
}

/// What the next message is, or why there is none.
enum Found {
    Unit(Held, Unit),
    /// The next one is not durable yet.
    After(u64),
    Nothing,
}

impl Dispatch {
    pub(crate) fn new(
        store: &Arc<Store>,
        topic: &Arc<Topic>,
        group: &str,
        cursors: Vec<Cursor>,
    ) -> Arc<Self> {
        let queues =
            cursors.iter().map(|cursor| Position::at(cursor.watermark(), cursor.reach())).collect();
        let dispatch = Arc::new(Self {
            store: Arc::clone(store),
            topic: Arc::clone(topic),
            group: group.into(),
            cursors,
            state: Mutex::new(State {
                queues,
                turn: 0,
                parked: BTreeSet::new(),
                attempts: HashMap::new(),
            }),
            in_flight: AtomicUsize::new(0),
            any_undecodable: AtomicBool::new(false),
            ready: Condvar::new(),
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

    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        self.state.lock()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn undecodable(&self) -> usize {
        self.state.lock().attempts.len()
    }

    /// Takes up to `max` messages, waiting for the first one, and hands each to `out`. Returns how many there were.
    ///
    /// A damaged message ends the call with its error, once; the next call goes on behind it.
    pub(crate) fn take(
        &self,
        max: usize,
        wait: &mut Wait,
        out: &mut dyn FnMut(Message, u64),
    ) -> Result<usize> {
        let (mut taken, mut more) = (0, Vec::new());
        let mut at_once = Wait::up_to(Duration::ZERO);
        loop {
            let wait = if taken == 0 { &mut *wait } else { &mut at_once };
            let first = match self.reserve((max - taken).min(RUN), wait, &mut more) {
                Ok(Some(first)) => first,
                Ok(None) => return Ok(taken),
                // Said by the next call, which meets it first.
                Err(_) if taken > 0 => return Ok(taken),
                Err(e) => return Err(e),
            };
            let is_run = more.len() + 1 == RUN;
            let mut reserved = std::iter::once(first).chain(more.drain(..));
            while let Some((held, unit)) = reserved.next() {
                match self.store.load(&self.topic, held.place, unit) {
                    Ok(message) => {
                        taken += 1;
                        out(message, held.epoch);
                    }
                    // It was removed meanwhile, and is nobody's business any more.
                    Err(removed) if removed.kind() == ErrorKind::NotFound => self.landed(1),
                    Err(e) => {
                        let said = taken == 0;
                        if said && e.kind() == ErrorKind::Corrupt {
                            self.landed(1);
                        } else {
                            // It could not be read now, which says nothing about the message; or it is said by the next call.
                            self.put_back(held);
                        }
                        reserved.for_each(|(held, _)| self.put_back(held));
                        return if said { Err(e) } else { Ok(taken) };
                    }
                }
            }
            drop(reserved);
            if taken > 0 && (taken >= max || !is_run) {
                return Ok(taken);
            }
        }
    }

    /// Waits for a message and counts it as in flight; what else is there, up to `max` in all, goes to `more`. `None` when the
    /// time is up.
    fn reserve(
        &self,
        max: usize,
        wait: &mut Wait,
        more: &mut Vec<(Held, Unit)>,
    ) -> Result<Option<(Held, Unit)>> {
        loop {
            self.store.check_open()?;
            let mut state = self.state.lock();
            match self.find(&mut state)? {
                Found::Unit(held, unit) => {
                    while more.len() + 1 < max {
                        // An error is said by the next call, which meets it first.
                        match self.find(&mut state) {
                            Ok(Found::Unit(held, unit)) => more.push((held, unit)),
                            Ok(Found::Nothing) | Err(_) => break,
                            Ok(Found::After(_)) => {
                                self.ready.notify_one();
                                break;
                            }
                        }
                    }
                    return Ok(Some((held, unit)));
                }
                Found::After(position) => {
                    drop(state);
                    let visible = self.await_visible(position, wait.deadline(&self.store));
                    if !matches!(visible, Ok(true)) {
                        // Somebody else who sleeps may have more time.
                        self.wake_one();
                        return visible.map(|_| None);
                    }
                }
                Found::Nothing => {
                    self.store.check_writable()?;
                    let deadline = wait.deadline(&self.store);
                    if wait.timeout.is_zero() || self.store.clock.now() >= deadline {
                        return Ok(None);
                    }
                    let _asleep = self.topic.sleep();
                    match self.find(&mut state)? {
                        Found::Nothing => {
                            let due = state.parked.first().map_or(deadline, |(at, _)| *at);
                            let _ = self.ready.wait_until(&mut state, due.min(deadline));
                        }
                        Found::After(_) => {}
                        Found::Unit(held, unit) => return Ok(Some((held, unit))),
                    }
                }
            }
        }
    }

    /// `false` when the deadline came first.
    fn await_visible(&self, position: u64, deadline: Instant) -> Result<bool> {
        match self.store.await_durable(position, deadline) {
            Waited::Durable => Ok(true),
            Waited::TimedOut => Ok(false),
            Waited::Failed => {
                self.store.check_writable()?;
                Err(Error::closed())
            }
        }
    }

    /// The next message to hand out. Counts it as in flight.
    fn find(&self, state: &mut State) -> Result<Found> {
        let now = (!state.parked.is_empty()).then(|| self.store.clock.now());
        while let (Some(now), Some(&(at, (queue, offset)))) = (now, state.parked.first()) {
            if at > now {
                break;
            }
            state.parked.pop_first();
            if let Some(position) = state.queues.get_mut(queue as usize) {
                position.returned.insert(offset);
            }
        }
        let count = state.queues.len();
        let mut after = None;
        for step in 0..count {
            let at = (state.turn + step) % count;
            let (Some(position), Some(cursor)) = (state.queues.get_mut(at), self.cursors.get(at))
            else {
                continue;
            };
            let found = self.find_in(position, cursor).inspect_err(|_| {
                // The others come first next time.
                state.turn = (at + 1) % count;
                // What this receiver was woken for is still there.
                self.ready.notify_one();
            })?;
            match found {
                Found::Unit(held, unit) => {
                    state.turn = (at + 1) % count;
                    self.in_flight.fetch_add(1, Ordering::Relaxed);
                    return Ok(Found::Unit(held, unit));
                }
                Found::After(end) => after = Some(after.map_or(end, |first: u64| first.min(end))),
                Found::Nothing => {}
            }
        }
        Ok(after.map_or(Found::Nothing, Found::After))
    }

    fn find_in(&self, position: &mut Position, cursor: &Cursor) -> Result<Found> {
        let queue = cursor.queue();
        loop {
            let again = position.returned.first().copied();
            let offset = match again {
                Some(offset) => offset,
                None if position.next < position.acked_below => cursor.next_unacked(position.next),
                None => position.next,
            };
            let view = self.store.view(&self.topic, queue, offset, &mut position.ahead)?;
            match view {
                View::Unit(unit) => {
                    if again.is_some() {
                        position.returned.remove(&offset);
                    } else {
                        position.next = offset + 1;
                    }
                    let held = Held { place: (queue, offset), epoch: cursor.epoch() };
                    return Ok(Found::Unit(held, unit));
                }
                View::After(end) => return Ok(Found::After(end)),
                View::Nothing => return Ok(Found::Nothing),
                // Retention took it away.
                View::Removed(min) => {
                    position.returned = position.returned.split_off(&min);
                    position.next = position.next.max(min);
                }
            }
        }
    }

    fn wake_one(&self) {
        let _state = self.state.lock();
        self.ready.notify_one();
    }

    pub(crate) fn wake_all(&self) {
        let _state = self.state.lock();
        self.ready.notify_all();
    }
}

impl Listener for Dispatch {
    fn arrived(&self, count: usize) {
        // The lock makes sure that a consumer which found nothing is asleep by now.
        let _state = self.state.lock();
        if count == 1 {
            self.ready.notify_one();
        } else {
            self.ready.notify_all();
        }
    }
}
