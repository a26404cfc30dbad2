//! Showing a topic's messages to one subscriber: all of them, each queue's in order.
//!
//! Unlike a group's dispatch it hands nothing out that could come back, so one position for each queue is all there is. A
//! transient subscriber's is in memory; a durable one's is a cursor of the progress journal, under a key that no group can have.

mod names;
mod waiting;

use std::task::Waker;

use crate::consumequeue::format::Unit;
use crate::error::{ErrorKind, Result};
use crate::filter::Filter;
use crate::message::names::subscription_key;
use crate::progress::Cursor;
use crate::store::Store;
use crate::store::message::Message;
use crate::store::read::{Ahead, View};
use crate::store::topics::Topic;
use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering, Weak};

use super::Engine;
use super::join::Start;
use names::Live;
pub(super) use names::Names;
use waiting::Asleep;
pub(crate) use waiting::Waiting;

/// One subscriber's way through a topic.
#[derive(Debug)]
pub(crate) struct Subscriber {
    store: Arc<Store>,
    topic: Arc<Topic>,
    wanted: Filter,
    /// One per queue, in order.
    queues: Vec<Position>,
    /// The queue to look at first next time.
    turn: usize,
    ear: Arc<Ear>,
    asleep: Asleep,
    /// Nobody else goes by this name while it lives.
    name: Option<Live>,
}

#[derive(Debug)]
struct Position {
    next: u64,
    ahead: Ahead,
    /// How many messages were gone when their turn came, since the last one that was shown.
    missed: u64,
    durable: Option<Durable>,
}

/// Where a position is kept that outlives the subscriber.
#[derive(Debug)]
struct Durable {
    cursor: Cursor,
    /// So far it was written down.
    committed: u64,
}

/// What senders, and whoever frees memory, see of a subscriber.
#[derive(Debug)]
struct Ear {
    /// Held from the last look to the sleep. Whom to wake, if a future sleeps.
    gate: Mutex<Option<Waker>>,
    arrived: Condvar,
    /// By queue, the next offset to read. Empty if cursors say it.
    next: Box<[AtomicU64]>,
}

/// What the next message is, or why there is none.
enum Look {
    /// The queue it is in.
    Unit(usize, Unit),
    /// The next one is not durable yet.
    After(u64),
    /// So many were passed over that it is time to write the position down.
    Passed,
    Nothing,
}

/// No more are passed over at once: closing does not wait for a filter.
const RUN: usize = 1024;

impl Engine {
    /// A subscriber of a topic. Under a name it goes on where the last of that name was, and what `start` resolves to, if there was
    /// none, is durable when this returns.
    ///
    /// # Errors
    ///
    /// `Busy` if the name is in use.
    pub(crate) fn subscribe(
        &self,
        topic: &Arc<Topic>,
        name: Option<&str>,
        start: Start,
        wanted: Filter,
    ) -> Result<Subscriber> {
        let store = self.store();
        let live = name.map(|name| self.subscriptions.take(store, name, topic.name()));
        let live = live.transpose()?;
        // What it begins with is not freed before it counts.
        let _memory_stays = store.joining();
        let queues: Vec<Position> = if let Some(name) = name {
            let cursors = cursors(store, topic, name, start)?;
            cursors.into_iter().map(Position::kept).collect()
        } else {
            let at = |(id, _)| Ok(Position::at(start.resolve(store, topic, id)?, None));
            topic.queues().map(at).collect::<Result<_>>()?
        };
        let transient = queues.iter().filter(|p| p.durable.is_none());
        let ear = Arc::new(Ear {
            gate: Mutex::default(),
            arrived: Condvar::new(),
            next: transient.map(|p| AtomicU64::new(p.next)).collect(),
        });
        let weak: Weak<Ear> = Arc::downgrade(&ear);
        topic.listen(weak);
        Ok(Subscriber {
            store: Arc::clone(store),
            topic: Arc::clone(topic),
            wanted,
            queues,
            turn: 0,
            ear,
            asleep: Asleep::default(),
            name: live,
        })
    }
}

/// The durable position in every queue: the stored one, or what `start` resolves to.
fn cursors(
    store: &Arc<Store>,
    topic: &Arc<Topic>,
    name: &str,
    start: Start,
) -> Result<Vec<Cursor>> {
    let key = subscription_key(name);
    let began =
        topic.queues().any(|(id, _)| store.progress.cursor(&key, topic.name(), id).is_some());
    // A queue that appeared since: nothing of it may be missed, at least not silently.
    let at = |(id, _)| Ok((id, if began { 0 } else { start.resolve(store, topic, id)? }));
    let starts = topic.queues().map(at).collect::<Result<Vec<_>>>()?;
    let defined = store.progress.define_all(&key, topic.name(), &starts);
    store.progressed(defined)
}

impl Position {
    fn at(next: u64, durable: Option<Durable>) -> Self {
        Self { next, ahead: Ahead::default(), missed: 0, durable }
    }

    fn kept(cursor: Cursor) -> Self {
        let committed = cursor.watermark();
        Self::at(committed, Some(Durable { cursor, committed }))
    }
}

impl Subscriber {
    pub(crate) fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(Live::name)
    }

    /// Finds the next message, passing over those whose entry says that they are not wanted.
    fn look(&mut self) -> Result<Look> {
        let (count, mut after) = (self.queues.len(), None);
        for step in 0..count {
            let at = (self.turn + step) % count;
            let look = self.look_in(at).inspect_err(|_| {
                // The others come first next time.
                self.turn = (at + 1) % count;
            })?;
            match look {
                Look::After(end) => after = Some(after.map_or(end, |first: u64| first.min(end))),
                Look::Nothing => {}
                found => return Ok(found),
            }
        }
        Ok(after.map_or(Look::Nothing, Look::After))
    }

    fn look_in(&mut self, at: usize) -> Result<Look> {
        let Some(position) = self.queues.get_mut(at) else { return Ok(Look::Nothing) };
        let queue = u32::try_from(at).unwrap_or(u32::MAX);
        for _ in 0..RUN {
            match self.store.view(&self.topic, queue, position.next, &mut position.ahead)? {
                View::Unit(unit) => {
                    // What a damaged slot held, nobody knows.
                    let wanted = !unit.points_somewhere() || self.wanted.may_match(unit.tags_code);
                    if wanted {
                        return Ok(Look::Unit(at, unit));
                    }
                    position.next += 1;
                }
                View::After(end) => return Ok(Look::After(end)),
                View::Nothing => return Ok(Look::Nothing),
                View::Removed(min) => {
                    position.missed += min - position.next;
                    position.next = min;
                }
            }
            self.ear.goes_on(at, position.next);
        }
        Ok(Look::Passed)
    }

    /// Reads the message that [`Subscriber::look`] found, and goes on behind it. `None` if it is not wanted, or gone.
    fn show(&mut self, at: usize, unit: Unit) -> Result<Option<(Message, u64)>> {
        let count = self.queues.len();
        let Some(position) = self.queues.get_mut(at) else { return Ok(None) };
        self.turn = (at + 1) % count;
        let place = (u32::try_from(at).unwrap_or(u32::MAX), position.next);
        let shown = match self.store.load(&self.topic, place, unit) {
            Ok(message) if self.wanted.matches(&message) => {
                Ok(Some((message, std::mem::take(&mut position.missed))))
            }
            Ok(_) => Ok(None),
            Err(removed) if removed.kind() == ErrorKind::NotFound => {
                position.missed += 1;
                Ok(None)
            }
            Err(damaged) if damaged.kind() == ErrorKind::Corrupt => Err(damaged),
            // It could not be read now, which says nothing about the message.
            Err(e) => return Err(e),
        };
        position.next += 1;
        self.ear.goes_on(at, position.next);
        shown
    }

    /// The subscriber heard nothing of the message shown last, so it hears with the next one what was gone before it.
    pub(crate) fn not_told(&mut self, message: &Message, missed: u64) {
        if let Some(position) = self.queues.get_mut(message.queue().get() as usize) {
            position.missed += missed;
        }
    }

    /// Writes down that everything shown and passed over so far was seen: the death of the process does not bring it back.
    fn commit(&mut self) -> Result<()> {
        let mut any = false;
        for position in &mut self.queues {
            let Some(durable) = &mut position.durable else { return Ok(()) };
            // That messages are gone is told before it is forgotten.
            if durable.committed == position.next || position.missed > 0 {
                continue;
            }
            match self.store.check_writable() {
                // It comes again after the next open.
                Err(e) if e.kind() == ErrorKind::Poisoned => return Ok(()),
                other => other?,
            }
            let (cursor, seen) = (&durable.cursor, durable.committed..position.next);
            let written = self.store.progress.pass(cursor, |_| true, seen);
            self.store.progressed(written)?;
            durable.committed = position.next;
            any = true;
        }
        if any {
            self.store.acknowledged();
        }
        Ok(())
    }
}

impl Ear {
    fn goes_on(&self, queue: usize, next: u64) {
        if let Some(at) = self.next.get(queue) {
            at.store(next, Ordering::SeqCst);
        }
    }
}
