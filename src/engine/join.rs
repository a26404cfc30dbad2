//! How a group comes to a topic, and where it begins.

use std::collections::hash_map::Entry;
use std::ops::Deref;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::id::QueueOffset;
use crate::observe;
use crate::progress::Cursor;
use crate::store::Store;
use crate::store::topics::Topic;
use crate::sync::{Arc, Weak};

use super::Engine;
use super::dispatch::{Dispatch, Terms};

/// Where a group, or a durable subscription, begins that has no progress yet; and where one without a name does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest message that is still there.
    #[default]
    Earliest,
    /// With the next message sent.
    Latest,
    /// With the first message stored at or after this time, to within a tick of the clock (at most 11 ms): a few that were stored just before
    /// it may come too, none is missed.
    At(SystemTime),
    /// With this offset, in every queue.
    Offset(QueueOffset),
}

impl Start {
    /// The offset in one queue.
    pub(crate) fn resolve(self, store: &Store, topic: &Arc<Topic>, queue: u32) -> Result<u64> {
        let extent = topic.queue(queue).map(crate::consumequeue::ConsumeQueue::extent);
        let extent = extent.unwrap_or_default();
        Ok(match self {
            Self::Earliest => extent.min,
            Self::Latest => extent.next,
            Self::Offset(offset) => offset.get().clamp(extent.min, extent.next),
            Self::At(time) => {
                let ms = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                store.offset_at(topic, queue, i64::try_from(ms).unwrap_or(i64::MAX))?
            }
        })
    }
}

/// A hold on a dispatch, of consumers and of what is in their hands: while there is one, its terms stay.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Dispatch>);

impl Deref for Seat {
    type Target = Arc<Dispatch>;

    fn deref(&self) -> &Arc<Dispatch> {
        &self.0
    }
}

/// A dispatch, and who is there.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) dispatch: Arc<Dispatch>,
    seat: Weak<Seat>,
    /// So many do something to the group without consuming.
    visitors: usize,
}

/// A dispatch that is not replaced while somebody does something to it who is no consumer: its terms are nobody's.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    engine: &'a Engine,
    dispatch: Arc<Dispatch>,
}

impl Deref for Visit<'_> {
    type Target = Arc<Dispatch>;

    fn deref(&self) -> &Arc<Dispatch> {
        &self.dispatch
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        // Before the lock: in a forked child its holder may not exist.
        if self.engine.store().check_parent().is_err() {
            return;
        }
        let mut groups = self.engine.groups.lock();
        let halls = groups.values_mut().filter(|h| Arc::ptr_eq(&h.dispatch, &self.dispatch));
        halls.for_each(|hall| hall.visitors -= 1);
        drop(groups);
        self.engine.visit_over.notify_all();
    }
}

/// Somebody who comes with other terms waits so long for visitors.
const PATIENCE: Duration = Duration::from_secs(10);

impl Hall {
    fn sit_down(&mut self) -> Arc<Seat> {
        let seat = Arc::new(Seat(Arc::clone(&self.dispatch)));
        self.seat = Arc::downgrade(&seat);
        seat
    }
}

impl Engine {
    /// What the consumers of a group agree on in a topic; where none came yet, what they would by default.
    pub(crate) fn terms(&self, group: &str, topic: &str) -> Terms {
        let groups = self.groups.lock();
        let there = groups.get(&(group.to_owned(), topic.to_owned()));
        there.map(|hall| hall.dispatch.terms().clone()).unwrap_or_default()
    }

    /// The one dispatch of a group in a topic. What `start` resolves to, where the group has no progress yet, is durable when this returns.
    ///
    /// Whoever names no terms takes those that are there.
    pub(crate) fn join(
        &self,
        group: &str,
        topic: &Arc<Topic>,
        start: Start,
        terms: Option<Terms>,
    ) -> Result<Arc<Seat>> {
        let store = self.store();
        let mut groups = self.groups.lock();
        let key = (group.to_owned(), topic.name().to_string());
        let mut until = None;
        while let Some(there) = groups.get_mut(&key) {
            let differs = terms.as_ref().and_then(|terms| there.dispatch.terms().difference(terms));
            match (there.seat.upgrade(), differs) {
                (Some(seat), None) => return Ok(seat),
                (None, None) => return Ok(there.sit_down()),
                (Some(_), Some(what)) => {
                    let what = format!("other consumers of group {group} have another {what}");
                    return Err(Error::invalid(what));
                }
                // Nobody consumes, and nothing is in anybody's hands.
                (None, Some(_)) if there.visitors == 0 => drop(groups.remove(&key)),
                (None, Some(_)) => {
                    let until = *until.get_or_insert_with(|| store.clock.os_now() + PATIENCE);
                    if self.visit_over.wait_until(&mut groups, until).timed_out() {
                        let what = format!("group {group} is being moved at the moment");
                        return Err(Error::new(ErrorKind::Busy, what));
                    }
                }
            }
        }
        let mut hall = self.hall(group, topic, start, terms)?;
        let seat = hall.sit_down();
        groups.insert(key, hall);
        drop(groups);
        observe::came(seat.names(), || seat.set_aside());
        Ok(seat)
    }

    /// The one dispatch of a group in a topic, for somebody who does not consume. The group begins with the oldest message, if it has no
    /// progress yet.
    pub(crate) fn visit(&self, group: &str, topic: &Arc<Topic>) -> Result<Visit<'_>> {
        let mut groups = self.groups.lock();
        let hall = match groups.entry((group.to_owned(), topic.name().to_string())) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => place.insert(self.hall(group, topic, Start::Earliest, None)?),
        };
        hall.visitors += 1;
        Ok(Visit { engine: self, dispatch: Arc::clone(&hall.dispatch) })
    }

    fn hall(
        &self,
        group: &str,
        topic: &Arc<Topic>,
        start: Start,
        terms: Option<Terms>,
    ) -> Result<Hall> {
        let store = self.store();
        let cursors = cursors(store, topic, group, start)?;
        let dispatch = Dispatch::new(store, topic, group, cursors, terms.unwrap_or_default());
        Ok(Hall { dispatch, seat: Weak::new(), visitors: 0 })
    }
}

/// A durable position in every queue: the stored one, or what `start` resolves to.
fn cursors(
    store: &Arc<Store>,
    topic: &Arc<Topic>,
    group: &str,
    start: Start,
) -> Result<Vec<Cursor>> {
    let _memory_stays = store.joining();
    let added = store.progress.add_group(group);
    store.progressed(added)?;
    let any_before =
        topic.queues().any(|(id, _)| store.progress.cursor(group, topic.name(), id).is_some());
    let mut starts = Vec::new();
    for (id, _) in topic.queues() {
        // A queue that appeared after the group began: nothing of it may be missed. (One that is known already keeps what it has.)
        let start = if any_before { Start::Earliest } else { start };
        starts.push((id, start.resolve(store, topic, id)?));
    }
    let defined = store.progress.define_all(group, topic.name(), &starts);
    store.progressed(defined)
}
