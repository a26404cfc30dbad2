//! Going round the levels, and delivering what is due.

use crate::error::{ErrorKind, Result};
use crate::flush::Waited;
use crate::store::Store;
use crate::store::append::Drafts;
use crate::store::read::{Ahead, View};
use crate::store::topics::Topic;
use crate::sync::Arc;

/// A level has its turn until so many of it were delivered: none waits long for the others.
const TURN: usize = 256;

/// What whoever delivers keeps from turn to turn.
#[derive(Debug, Default)]
pub(super) struct Round {
    drafts: Drafts,
    ahead: Vec<Ahead>,
    /// Where the last copy ends in the log.
    end: Option<u64>,
}

/// What is left after a turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// More is due already.
    pub(super) more: bool,
    /// When the first of those that wait is due, in milliseconds of the wall clock.
    pub(super) until: Option<i64>,
    /// Queues in which nothing waits.
    pub(super) empty: Vec<u32>,
}

/// What is next in one queue.
enum Next {
    Due,
    At(i64),
    Nothing,
}

impl Round {
    pub(super) const fn end(&self) -> Option<u64> {
        self.end
    }

    /// Delivers what is due, of each level a few. What fails in one holds up no other; the first failure is returned.
    pub(super) fn turn(&mut self, store: &Arc<Store>) -> Result<Turn> {
        let mut turn = Turn::default();
        let Some(topic) = store.delays.topic() else { return Ok(turn) };
        let topic = &Arc::clone(topic);
        self.ahead.resize_with(topic.queue_count() as usize, Ahead::default);
        let mut failed = None;
        for (id, _) in topic.queues() {
            match self.level(store, topic, id) {
                Ok(Next::Due) => turn.more = true,
                Ok(Next::At(due)) => turn.until = Some(turn.until.map_or(due, |at| at.min(due))),
                Ok(Next::Nothing) => turn.empty.push(id),
                Err(e) => {
                    failed.get_or_insert(e);
                }
            }
        }
        failed.map_or(Ok(turn), Err)
    }

    /// A level's turn.
    fn level(&mut self, store: &Store, topic: &Arc<Topic>, id: u32) -> Result<Next> {
        let now = i64::try_from(store.clock.wall_ms()).unwrap_or(i64::MAX);
        let mut delivered = 0;
        loop {
            let offset = store.delays.next(id);
            let Some(ahead) = self.ahead.get_mut(id as usize) else { return Ok(Next::Nothing) };
            let unit = match store.view(topic, id, offset, ahead)? {
                View::Unit(unit) => unit,
                View::Nothing => return Ok(Next::Nothing),
                View::Removed(min) => {
                    store.delays.pass(id, min);
                    continue;
                }
                View::After(position) => {
                    // It will be, most likely by the time that it is due.
                    if store.wait_durable(position) != Waited::Durable {
                        store.check_writable()?;
                        return Ok(Next::At(now.saturating_add(1000)));
                    }
                    continue;
                }
            };
            if unit.points_somewhere() && unit.tags_code > now {
                return Ok(Next::At(unit.tags_code));
            }
            if delivered == TURN {
                return Ok(Next::Due);
            }
            store.check_writable()?;
            delivered += 1;
            let message = match store.load(topic, (id, offset), unit) {
                Ok(message) => message,
                // It is damaged, and the report names it.
                Err(e) if matches!(e.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                    store.delays.pass(id, offset + 1);
                    continue;
                }
                Err(e) => return Err(e),
            };
            if !unit.points_somewhere() {
                // The queue was wrong, and its unit told nothing.
                let due = message.due_ms(&store.settings.levels);
                if due > now {
                    return Ok(Next::At(due));
                }
            }
            let source = (id, offset);
            let to = store.meant_for(&message)?;
            let done = match &to {
                Some((real, queue)) => {
                    store.deliver(source, &message, (real, *queue), &mut self.drafts)?
                }
                None => false,
            };
            // What cannot be delivered waits once more: perhaps it can then.
            if !done && !store.deliver(source, &message, (topic, id), &mut self.drafts)? {
                store.delays.pass(id, offset + 1);
                continue;
            }
            self.end = self.drafts.parts.last().map(crate::store::append::Part::end);
        }
    }
}
