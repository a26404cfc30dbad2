//! Reading messages by queue and offset, up to what is visible.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::consumequeue::format::Unit;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Waited;
use crate::sync::{Arc, Ordering};

use super::Store;
use super::message::Message;
use super::topics::Topic;

/// How many units are fetched at once.
const AHEAD: usize = 1024;

/// Units that a reader fetched ahead for one queue: one file read serves many messages.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    first: u64,
    units: Vec<Unit>,
}

impl Ahead {
    fn get(&self, offset: u64) -> Option<Unit> {
        let at = usize::try_from(offset.checked_sub(self.first)?).ok()?;
        self.units.get(at).copied()
    }
}

/// What is at an offset of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// A message that readers may see (or a slot that turns out to be damaged).
    Unit(Unit),
    /// A message that readers may see once the log is durable up to this position.
    After(u64),
    /// Nothing was sent there yet.
    Nothing,
    /// The message was removed; the queue now begins at this offset.
    Removed(u64),
}

impl Store {
    /// Readers never pass this position: the durable one where sends are durable, else what is in the log's files.
    fn visible(&self) -> u64 {
        if self.settings.is_sync() { self.log.durable() } else { self.log.committed() }
    }

    /// What is at `offset`, if readers may see it.
    ///
    /// In an asynchronous store a reader that has caught up writes the staged records to their file itself.
    pub(crate) fn view(
        &self,
        topic: &Topic,
        queue: u32,
        offset: u64,
        ahead: &mut Ahead,
    ) -> Result<View> {
        let Some(state) = topic.queue(queue) else { return Ok(View::Nothing) };
        let unit = if let Some(unit) = ahead.get(offset) {
            unit
        } else {
            let extent = state.extent();
            if offset < extent.min {
                return Ok(View::Removed(extent.min));
            }
            if offset >= extent.next {
                return Ok(View::Nothing);
            }
            self.fetch(topic, queue, offset, ahead)?
        };
        let end = unit.offset.saturating_add(u64::from(unit.size));
        if unit.is_filler() || end <= self.visible() || end > self.log.staged() {
            return Ok(View::Unit(unit));
        }
        if self.settings.is_sync() || self.poison.is_set() {
            return Ok(View::After(end));
        }
        let written = self.log.commit();
        self.or_poison(written)?;
        Ok(View::Unit(unit))
    }

    /// Reads a run of units, from memory or from the file.
    pub(super) fn fetch(
        &self,
        topic: &Topic,
        queue: u32,
        offset: u64,
        ahead: &mut Ahead,
    ) -> Result<Unit> {
        ahead.units.clear();
        ahead.first = offset;
        let recent = topic.queue(queue).map(|state| state.recent(offset, AHEAD, &mut ahead.units));
        if let Some(Err(in_files)) = recent {
            let max = usize::try_from(in_files).unwrap_or(AHEAD).min(AHEAD);
            self.files.read((topic.name(), queue), offset, max, &mut ahead.units)?;
        }
        // A file that ends early leaves nothing: an empty unit, which reads as wrong.
        if ahead.units.is_empty() {
            ahead.units.push(Unit { offset: 0, size: 0, tags_code: 0 });
        }
        Ok(ahead.get(offset).unwrap_or(Unit { offset: 0, size: 0, tags_code: 0 }))
    }

    /// The message of a unit that [`Store::view`] gave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] if the bytes there are not the message: it stays that way, and the offsets after it are fine.
    pub(crate) fn load(
        &self,
        topic: &Arc<Topic>,
        (queue, offset): (u32, u64),
        unit: Unit,
    ) -> Result<Message> {
        match self.load_once(topic, (queue, offset), unit) {
            // Its memory was given back since the unit was looked at: every group had passed it.
            Err(_) if topic.queue(queue).is_some_and(|q| offset < q.extent().min) => {
                let what =
                    format!("message {offset} of {} queue {queue} was removed", topic.name());
                Err(Error::new(ErrorKind::NotFound, what))
            }
            Err(e) if e.kind() == ErrorKind::Corrupt => {
                // The queue may be wrong where the log is right.
                self.heal_once()?;
                let unit = self.fetch(topic, queue, offset, &mut Ahead::default())?;
                let again = self.load_once(topic, (queue, offset), unit);
                if again.is_err() {
                    self.damaged.store(true, Ordering::SeqCst);
                }
                again
            }
            other => other,
        }
    }

    /// Derives the queues from the log again, once per open. Whoever finds another wrong unit meanwhile waits for the outcome; a
    /// store that may not be written stays as it is.
    fn heal_once(&self) -> Result<()> {
        let mut healed = self.healed.lock();
        if !*healed && self.check_writable().is_ok() {
            let derived = self.derive_queues_again();
            self.or_poison(derived)?;
            *healed = true;
        }
        drop(healed);
        Ok(())
    }

    fn load_once(&self, topic: &Topic, (queue, offset): (u32, u64), unit: Unit) -> Result<Message> {
        let corrupt = |what: &str| {
            Error::new(
                ErrorKind::Corrupt,
                format!("message {offset} of {} queue {queue} is damaged: {what}", topic.name()),
            )
            .at(&self.layout.commitlog())
            .at_offset(unit.offset)
        };
        if unit.is_empty() || unit.is_filler() {
            return Err(corrupt("its record is not in the log"));
        }
        let end = unit.offset.saturating_add(u64::from(unit.size));
        if end > self.log.staged() {
            return Err(corrupt("its queue points beyond the end of the log"));
        }
        let own = self.own.contains(unit.offset);
        let bytes = self.log.read(unit.offset, unit.size as usize, self.settings.reads)?;
        let message = Message::parse(bytes, own).map_err(corrupt)?;
        let same = message.queue_offset().get() == offset
            && message.queue().get() == queue
            && message.log_offset().get() == unit.offset
            && message.is_in(topic.name());
        if same { Ok(message) } else { Err(corrupt("another record is there")) }
    }

    /// Waits for what a [`View::After`] named.
    pub(crate) fn await_durable(&self, position: u64, deadline: Instant) -> Waited {
        self.flusher.wait_durable(self, position, Some(deadline))
    }

    /// What came of waiting for a [`View::After`], for whoever receives: `false` when the deadline came first.
    pub(crate) fn seen(&self, waited: Waited) -> Result<bool> {
        match waited {
            Waited::Durable => Ok(true),
            Waited::TimedOut => Ok(false),
            Waited::Failed => {
                self.check_writable()?;
                Err(Error::closed())
            }
        }
    }

    /// The first offset of a queue whose message was stored at or after `wall_ms`; the end, if there is none.
    ///
    /// A stamp may be a clock's tick older than its message: none stored at `wall_ms` is missed, a few stored just before
    /// may come. Stamps never decrease along a queue, so this is a binary search.
    pub(crate) fn offset_at(&self, topic: &Arc<Topic>, queue: u32, wall_ms: i64) -> Result<u64> {
        let wall_ms = wall_ms.saturating_sub_unsigned(self.clock.tick_ms());
        let Some(state) = topic.queue(queue) else { return Ok(0) };
        let extent = state.extent();
        let (mut low, mut high) = (extent.min, extent.next);
        let mut ahead = Ahead::default();
        while low < high {
            let middle = low + (high - low) / 2;
            // A damaged message has no time: the next one that has decides for both.
            let (mut at, mut time) = (middle, None);
            while time.is_none() && at < high {
                time = self.time_at(topic, queue, at, &mut ahead)?;
                at += 1;
            }
            let earlier = time.is_some_and(|time| time < wall_ms);
            if earlier {
                low = at;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// When a message was stored. `None` if it is damaged, or there is none.
    pub(crate) fn stored_at(
        &self,
        topic: &Arc<Topic>,
        queue: u32,
        offset: u64,
    ) -> Result<Option<SystemTime>> {
        let time = self.time_at(topic, queue, offset, &mut Ahead::default())?;
        let known = time.filter(|time| (0..i64::MAX).contains(time));
        Ok(known.map(|ms| UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())))
    }

    /// The store time of a message. `None` if it is damaged; before all times, if it was removed; after them, if there is none
    /// yet.
    fn time_at(
        &self,
        topic: &Arc<Topic>,
        queue: u32,
        offset: u64,
        ahead: &mut Ahead,
    ) -> Result<Option<i64>> {
        Ok(match self.view(topic, queue, offset, ahead)? {
            View::Unit(unit) => match self.load(topic, (queue, offset), unit) {
                Ok(message) => Some(message.store_timestamp()),
                Err(e) if e.kind() == ErrorKind::NotFound => Some(i64::MIN),
                Err(e) if e.kind() == ErrorKind::Corrupt => None,
                Err(e) => return Err(e),
            },
            View::Removed(_) => Some(i64::MIN),
            View::After(_) | View::Nothing => Some(i64::MAX),
        })
    }
}
