//! Handing a topic's messages to the consumers of one group.
//!
//! One dispatch per group and topic, shared by all its consumers: each message goes to one of them at a time. What was handed
//! out and not acknowledged comes back when it is dropped, or when the store is opened again.

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
use crate::sync::{Arc, Condvar, Mutex, Weak};

/// A payload that does not decode is tried again after these many seconds: RocketMQ's retry levels.
const BACK_OFF_SECONDS: [u64; 16] =
    [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];

/// A message's place in its topic.
pub(crate) type Place = (u32, u64);

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
    in_flight: usize,
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

/// What the next message is, or why there is none.
enum Found {
    Unit(Place, Unit),
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
        let queues = cursors
            .iter()
            .map(|cursor| Position {
                next: cursor.watermark(),
                acked_below: cursor.reach(),
                returned: BTreeSet::new(),
                ahead: Ahead::default(),
            })
            .collect();
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
                in_flight: 0,
            }),
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
        self.state.lock().in_flight
    }

    pub(crate) fn undecodable(&self) -> usize {
        self.state.lock().attempts.len()
    }

    /// Takes up to `max` messages, waiting for the first one until `deadline`.
    ///
    /// A damaged message ends the call with its error, once; the next call goes on behind it.
    pub(crate) fn take(&self, max: usize, deadline: Instant, out: &mut Vec<Message>) -> Result<()> {
        loop {
            // What was taken already is handed out; an error is said by the next call.
            if let Err(closed) = self.store.check_open() {
                return if out.is_empty() { Err(closed) } else { Ok(()) };
            }
            let mut state = self.state.lock();
            let found = match self.find(&mut state) {
                Err(_) if !out.is_empty() => return Ok(()),
                found => found?,
            };
            let (place, unit) = match found {
                Found::Unit(place, unit) => (place, unit),
                Found::After(position) if out.is_empty() => {
                    drop(state);
                    let visible = self.await_visible(position, deadline);
                    if !matches!(visible, Ok(true)) {
                        // Somebody else who sleeps may have more time.
                        self.wake_one();
                        return visible.map(drop);
                    }
                    continue;
                }
                Found::Nothing if out.is_empty() => {
                    self.store.check_writable()?;
                    if self.store.clock.now() >= deadline {
                        return Ok(());
                    }
                    let _asleep = self.topic.sleep();
                    match self.find(&mut state)? {
                        Found::Nothing => {
                            let due = state.parked.first().map_or(deadline, |(at, _)| *at);
                            let _ = self.ready.wait_until(&mut state, due.min(deadline));
                        }
                        Found::After(_) => {}
                        Found::Unit(place, _) => self.give_back(&mut state, place),
                    }
                    continue;
                }
                Found::After(_) => {
                    self.ready.notify_one();
                    return Ok(());
                }
                Found::Nothing => return Ok(()),
            };
            drop(state);
            match self.store.load(&self.topic, place, unit) {
                Ok(message) => out.push(message),
                Err(removed) if removed.kind() == ErrorKind::NotFound => {
                    self.state.lock().in_flight -= 1;
                    continue;
                }
                Err(e) if out.is_empty() => {
                    if e.kind() == ErrorKind::Corrupt {
                        self.state.lock().in_flight -= 1;
                    } else {
                        // It could not be read now; that says nothing about the message.
                        self.put_back(place);
                    }
                    return Err(e);
                }
                Err(_) => {
                    // Said by the next call, which begins with it.
                    self.put_back(place);
                    return Ok(());
                }
            }
            if out.len() >= max {
                return Ok(());
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
            })?;
            match found {
                Found::Unit(place, unit) => {
                    state.turn = (at + 1) % count;
                    state.in_flight += 1;
                    return Ok(Found::Unit(place, unit));
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
                    return Ok(Found::Unit((queue, offset), unit));
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

    fn give_back(&self, state: &mut State, (queue, offset): Place) {
        state.in_flight -= 1;
        let acked = self.cursors.get(queue as usize).is_none_or(|c| c.is_acked(offset));
        if let Some(position) = state.queues.get_mut(queue as usize).filter(|_| !acked) {
            position.returned.insert(offset);
        }
    }

    /// A message that was handed out and dropped: somebody else may have it at once.
    pub(crate) fn put_back(&self, place: Place) {
        // Before the lock: in a forked child its holder may not exist.
        if self.store.check_parent().is_err() {
            return;
        }
        let mut state = self.state.lock();
        self.give_back(&mut state, place);
        self.ready.notify_one();
    }

    /// A message whose payload does not decode: tried again later, with its bytes untouched.
    pub(crate) fn park(&self, place: Place) {
        if self.store.check_parent().is_err() {
            return;
        }
        let mut state = self.state.lock();
        state.in_flight -= 1;
        let attempts = state.attempts.entry(place).or_default();
        let wait =
            BACK_OFF_SECONDS.get(*attempts).or(BACK_OFF_SECONDS.last()).copied().unwrap_or(0);
        *attempts += 1;
        let at = self.store.clock.now() + Duration::from_secs(wait);
        state.parked.insert((at, place));
        // Everybody who sleeps may have to sleep less long now: one alone may have less time than that.
        self.ready.notify_all();
    }

    /// Counts offsets `from..to` of a queue as done. A process kill does not bring them back.
    pub(crate) fn ack(&self, queue: u32, from: u64, to: u64) -> Result<()> {
        // A store that stopped could write it down, but nobody would make it durable.
        self.store.check_writable()?;
        let cursor = self.cursors.get(queue as usize).ok_or_else(Error::closed)?;
        let written = self.store.progress.ack(cursor, from..to);
        self.store.progressed(written)?;
        let mut state = self.state.lock();
        let done = usize::try_from(to - from).unwrap_or(usize::MAX);
        state.in_flight = state.in_flight.saturating_sub(done);
        if !state.attempts.is_empty() {
            for offset in from..to {
                state.attempts.remove(&(queue, offset));
            }
        }
        drop(state);
        self.store.acknowledged();
        Ok(())
    }

    /// Makes acknowledgements durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let synced = self.store.progress.sync();
        self.store.progressed(synced)
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
