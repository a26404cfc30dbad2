//! Delayed messages in the store: the schedule topic, how far each of its queues was delivered, and the copies that deliver.
//!
//! Who delivers what when is decided above. Here it is kept exactly, over a kill and a power cut: a copy and the position behind its
//! source are one. The copy itself says whose copy it is, in the field that points a broker's committed message to its half: the log
//! offset where the source ends. So the positions need to be on the disk only now and then ([`DelayMark`]), and the log after that tells
//! the rest.

use crate::error::{ErrorKind, Result};
use crate::message::names::{SCHEDULE_TOPIC, is_loadable_topic, java_hash};
use crate::message::properties::{self, name};
use crate::options::MAX_QUEUES;
use crate::sync::{Arc, Mutex, OnceLock};

use super::Store;
use super::append::Drafts;
use super::message::Message;
use super::state::DelayMark;
use super::topics::Topic;

/// Positions are written after so many deliveries, so that recovery has no more copies to look for.
const MARK_EVERY: u64 = 65_536;

/// How far delayed messages were delivered.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    /// The schedule topic, once the file is there.
    topic: OnceLock<Arc<Topic>>,
    state: Mutex<State>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// For each queue of the schedule topic: the first message that was not delivered.
    next: Vec<u64>,
    /// A copy is on its way into the log, to this offset or behind it.
    under_way: Option<u64>,
    /// To be written when the log is durable that far.
    taken: Option<DelayMark>,
    /// Deliveries since the last mark was taken.
    since: u64,
}

impl Delays {
    /// With the positions that opening found. `topic`: the schedule topic, if there is one, and then the file is there too.
    pub(super) fn new(topic: Option<Arc<Topic>>, mut next: Vec<u64>) -> Self {
        let known = OnceLock::new();
        if let Some(topic) = topic {
            next.resize(topic.queue_count() as usize, 0);
            let _ = known.set(topic);
        }
        let state = State { next, ..State::default() };
        Self { topic: known, state: Mutex::new(state), writing: Mutex::new(()) }
    }

    /// The schedule topic, if anything was ever delayed.
    pub(crate) fn topic(&self) -> Option<&Arc<Topic>> {
        self.topic.get()
    }

    /// The first message of a queue of the schedule topic that was not delivered.
    pub(crate) fn next(&self, queue: u32) -> u64 {
        self.state.lock().next.get(queue as usize).copied().unwrap_or(0)
    }

    /// Everything below was delivered, or is gone.
    pub(crate) fn pass(&self, queue: u32, next: u64) {
        self.state.lock().pass(queue, next);
    }

    /// How many messages wait in each queue of the schedule topic.
    pub(crate) fn waiting(&self) -> Vec<(u32, u64)> {
        let Some(topic) = self.topic() else { return Vec::new() };
        let count = |queue: u32, next: u64| next.saturating_sub(self.next(queue));
        topic.queues().map(|(id, queue)| (id, count(id, queue.extent().next))).collect()
    }
}

impl State {
    fn pass(&mut self, queue: u32, next: u64) {
        let at = queue as usize;
        if self.next.len() <= at {
            self.next.resize(at + 1, 0);
        }
        if let Some(slot) = self.next.get_mut(at) {
            *slot = next.max(*slot);
        }
    }
}

impl Store {
    /// The schedule topic, created if it is not there. Durable before its first use, and so is the file that recovery begins with.
    pub(crate) fn schedule(&self) -> Result<Arc<Topic>> {
        if let Some(topic) = self.delays.topic() {
            return Ok(Arc::clone(topic));
        }
        let topic = self.make_topic(SCHEDULE_TOPIC, self.settings.levels.highest().get(), false)?;
        let _one = self.delays.writing.lock();
        if self.delays.topic().is_none() {
            // Nothing was delivered yet: whatever the log holds, no copy is in it.
            let mark = DelayMark { log_offset: self.log.durable(), ..self.mark_now() };
            self.or_poison(mark.write(&*self.storage, &self.layout))?;
        }
        Ok(Arc::clone(self.delays.topic.get_or_init(|| topic)))
    }

    /// The topic and queue that a delayed message is meant for, created if need be: also where topics are not created on first use, for it was
    /// there when the message was sent. A queue that it does not have any more is another one of it. `None` if there can be no such topic.
    pub(crate) fn meant_for(&self, message: &Message) -> Result<Option<(Arc<Topic>, u32)>> {
        let real = |name| message.property(name);
        let queue = real(name::REAL_QUEUE_ID).and_then(|id| id.parse::<u32>().ok());
        let (Some(name), Some(queue)) = (real(name::REAL_TOPIC), queue) else { return Ok(None) };
        if name == SCHEDULE_TOPIC || !is_loadable_topic(name) {
            return Ok(None);
        }
        if let Some(topic) = self.topics.get(name) {
            let count = topic.queue_count().max(1);
            return Ok(Some((topic, queue % count)));
        }
        if queue >= MAX_QUEUES {
            return Ok(None);
        }
        let topic = self.make_topic(name, self.settings.default_queues.max(queue + 1), false)?;
        Ok(Some((topic, queue)))
    }

    /// Appends the copy of a message of the schedule topic, and counts that as its delivery. `false` if there can be no such copy.
    ///
    /// One caller at a time.
    pub(crate) fn deliver(
        &self,
        (from, offset): (u32, u64),
        message: &Message,
        to: (&Arc<Topic>, u32),
        drafts: &mut Drafts,
    ) -> Result<bool> {
        drafts.clear();
        let now = self.clock.wall_ms();
        drafts.made_ms = i64::try_from(now).unwrap_or(i64::MAX);
        let (topic, queue) = to;
        let again = **topic.name() == *SCHEDULE_TOPIC;
        let block = if again {
            let mut block = message.properties_without(&[name::CRC32, name::DELAY]);
            if block.last().is_some_and(|byte| *byte != properties::PIECE_END) {
                block.push(properties::PIECE_END);
            }
            properties::push(&mut block, name::DELAY, &(queue + 1).to_string());
            block
        } else {
            let block = message.properties_without(&[name::CRC32]);
            if properties::validate_len(block.len()).is_ok() {
                block
            } else {
                // A broker's, which has no checksum and so had more room.
                message.properties_without(&[name::CRC32, name::REAL_TOPIC, name::REAL_QUEUE_ID])
            }
        };
        let tag = properties::get(&block, name::TAGS);
        let tags_code = tag.map_or(0, |tag| i64::from(java_hash(tag)));
        let copied = message.copy_to((topic.name(), queue), &block, tags_code, drafts);
        match copied.and_then(|()| self.check_fits(drafts)) {
            Err(e) if e.kind() == ErrorKind::TooLarge => return Ok(false),
            other => other?,
        }
        if again {
            let levels = self.settings.levels.as_ms();
            let level = (queue as usize).min(levels.len().saturating_sub(1));
            drafts.delay_last(levels.get(level).copied().unwrap_or_default());
        }
        self.delays.state.lock().under_way = Some(self.log.staged());
        let appended = self.append(topic, queue, drafts);
        let mut state = self.delays.state.lock();
        state.under_way = None;
        if appended.is_ok() {
            state.pass(from, offset + 1);
            state.since += 1;
        }
        drop(state);
        appended?;
        topic.came_in(1, drafts.size());
        Ok(true)
    }

    fn mark_now(&self) -> DelayMark {
        let state = self.delays.state.lock();
        let levels = self.settings.levels.as_ms().iter().map(|ms| ms.unsigned_abs()).collect();
        DelayMark {
            generation: self.generation,
            // What is counted lies below, and what is not counted does not.
            log_offset: state.under_way.unwrap_or_else(|| self.log.staged()),
            next: state.next.clone(),
            levels,
        }
    }

    /// Takes the mark that [`Store::keep_delays`] writes down, as of now.
    pub(super) fn mark_delays(&self) {
        if self.delays.topic().is_some() {
            let mark = self.mark_now();
            let mut state = self.delays.state.lock();
            state.since = 0;
            state.taken = Some(mark);
        }
    }

    /// Writes down the mark that was taken, if the log is durable that far. An older one in its place is as right; it only leaves more to
    /// read after a kill.
    pub(super) fn keep_delays(&self) -> Result<()> {
        let durable = self.log.durable();
        let ready = |state: &mut State| state.taken.take_if(|mark| mark.log_offset <= durable);
        let _one = self.delays.writing.lock();
        let Some(mark) = ready(&mut self.delays.state.lock()) else { return Ok(()) };
        match mark.write(&*self.storage, &self.layout) {
            Err(e) if e.kind() == ErrorKind::Full => Ok(()),
            written => self.or_poison(written),
        }
    }

    /// After some deliveries: now and then the positions are written down.
    pub(crate) fn delivered(&self) -> Result<()> {
        let state = self.delays.state.lock();
        let due = state.taken.is_none() && state.since >= MARK_EVERY;
        drop(state);
        if due {
            self.mark_delays();
            self.ask_durable(self.log.staged());
        }
        self.keep_delays()
    }

    /// At close, when everything is durable and nobody delivers any more.
    pub(super) fn close_delays(&self) -> Result<()> {
        if self.delays.topic().is_none() {
            return Ok(());
        }
        let _one = self.delays.writing.lock();
        self.mark_now().write(&*self.storage, &self.layout)
    }

    /// What a record of this many bytes in the schedule topic becomes has to fit into a log file too.
    pub(crate) fn check_copy_fits(&self, drafts: &Drafts, real_topic: &str) -> Result<()> {
        self.check_size(drafts.bytes.len() as u64 + real_topic.len() as u64 + 1)
    }
}
