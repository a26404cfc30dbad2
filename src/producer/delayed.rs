//! Sending what is delayed by a level.

use crate::codec::Encode;
use crate::error::Result;
use crate::flush::Waited;
use crate::message::{MessageId, Receipt};
use crate::options::Flush;
use crate::store::append::Submitted;
use crate::store::topics::Topic as StoredTopic;
use crate::sync::Arc;
use crate::timer::levels::Level;

use super::encode::{Extras, Frame, Scratch, Waiting, draft_waiting};
use super::ticket::Origin;
use super::{Producer, Ticket, unconfirmed};

/// Where a delayed message waits, and as whom.
struct Place {
    schedule: Arc<StoredTopic>,
    queue: u32,
    id: MessageId,
}

impl<T: ?Sized, C: Encode<T>> Producer<T, C> {
    /// Encodes a message for `real_queue` as one that waits.
    fn draft_delayed(
        &self,
        scratch: &mut Scratch,
        value: &T,
        (extras, real_queue): (&Extras, u32),
    ) -> Result<Place> {
        let (store, delay) = (self.engine.store(), self.engine.delay());
        let schedule = delay.begin()?;
        let levels = &store.settings.levels;
        let level = Level::new(extras.delay_level)
            .unwrap_or_else(|| levels.highest())
            .min(levels.highest());
        let waiting = Waiting {
            real_topic: self.topic.name(),
            real_queue,
            level,
            delay_ms: levels.due_ms(0, level),
            unique_key: delay.unique_key(),
        };
        let id = MessageId::unique(&waiting.unique_key);
        let queue = level.queue();
        // The exact clock: by that of the last tick the message would be early.
        let frame = Frame { topic: schedule.name(), queue, now_ms: store.clock.wall_ms() };
        draft_waiting::<T, C>(scratch, &frame, value, (extras, &waiting))?;
        store.check_copy_fits(&scratch.drafts, self.topic.name())?;
        Ok(Place { schedule, queue, id })
    }

    pub(super) fn send_delayed(
        &self,
        value: &T,
        extras: &Extras,
        real_queue: u32,
    ) -> Result<Receipt> {
        self.sending(real_queue, |sending, scratch| {
            let store = self.engine.store();
            let Place { schedule, queue, id } =
                self.draft_delayed(scratch, value, (extras, real_queue))?;
            let drafts = &mut scratch.drafts;
            store.append(&schedule, queue, drafts)?;
            let part = drafts.parts.first().copied().unwrap_or_default();
            sending.placed(part.queue_offset, 1, drafts.size());
            schedule.came_in(1, drafts.size());
            let receipt =
                |durable| Receipt { id: id.clone(), ..part.receipt(&schedule, queue, durable) };
            if extras.flush.unwrap_or(store.settings.flush) != Flush::Sync {
                return Ok(receipt(false));
            }
            match store.wait_durable(part.end()) {
                Waited::Durable => Ok(receipt(true)),
                waited => Err(unconfirmed(waited, store, receipt(false))),
            }
        })
    }

    pub(super) fn submit_delayed(
        &self,
        value: &T,
        extras: &Extras,
        real_queue: u32,
        may_wait: bool,
    ) -> Result<Ticket> {
        self.sending(real_queue, |sending, scratch| {
            let store = self.engine.store();
            let Place { schedule, queue, id } =
                self.draft_delayed(scratch, value, (extras, real_queue))?;
            let sync = extras.flush.unwrap_or(store.settings.flush) == Flush::Sync;
            let origin = Origin { queue, sync, id: Some(id) };
            match store.submit(&schedule, queue, &mut scratch.drafts, may_wait)? {
                Submitted::Done => {
                    let drafts = &scratch.drafts;
                    let part = drafts.parts.first().copied().unwrap_or_default();
                    sending.placed(part.queue_offset, 1, drafts.size());
                    schedule.came_in(1, drafts.size());
                    if sync {
                        store.ask_durable(part.end());
                    }
                    Ok(Ticket::placed(&self.engine, &schedule, origin, part))
                }
                Submitted::Waiting(slot) => {
                    Ok(Ticket::waiting(&self.engine, &schedule, origin, slot))
                }
            }
        })
    }
}
