//! Putting records at the end of the log: the append lock, the line of waiting messages, the way to a receipt.

use std::collections::VecDeque;

use crate::commitlog::format;
use crate::commitlog::{Blocking, CHUNK, Room, Tail};
use crate::consumequeue::format::Unit;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Receipt;
use crate::sync::Arc;

use super::Store;
use super::line::Slot;
use super::topics::Topic;

/// Units are written to their files after this much log.
const FILING_INTERVAL: u64 = 4 << 20;

/// What the append lock protects.
#[derive(Debug)]
pub(crate) struct Appender {
    pub(super) tail: Tail,
    /// Store timestamps never decrease.
    pub(super) last_ms: i64,
    /// Messages submitted while there was no room, in order.
    pub(super) line: VecDeque<Lined>,
    /// Queues with units that are not in files.
    pub(super) unfiled: Vec<(Arc<Topic>, u32)>,
    pub(super) filed_at: u64,
    /// The flusher's timers run.
    pub(super) armed: bool,
}

impl Appender {
    pub(super) const fn new(tail: Tail, last_ms: i64) -> Self {
        let filed_at = tail.end;
        Self { tail, last_ms, line: VecDeque::new(), unfiled: Vec::new(), filed_at, armed: false }
    }
}

/// A message in line, and the slot that tells its sender what became of it.
#[derive(Debug)]
pub(super) struct Lined {
    topic: Arc<Topic>,
    queue: u32,
    drafts: Drafts,
    slot: Arc<Slot>,
}

/// What there is to say to those whom an append let in or turned away. Said without locks: who is told may be a future that
/// is polled on the spot, and comes again.
#[derive(Debug, Default)]
#[must_use = "somebody waits for it"]
pub(super) struct Notices {
    settled: Vec<(Arc<Slot>, Result<Part>)>,
    /// How many came into a topic, and their bytes.
    arrived: Vec<(Arc<Topic>, usize, u64)>,
}

impl Notices {
    #[inline]
    pub(super) fn tell(self) {
        if !self.settled.is_empty() {
            self.tell_all();
        }
    }

    fn tell_all(self) {
        for (topic, count, bytes) in self.arrived {
            topic.arrived(count);
            topic.came_in(count, bytes);
        }
        for (slot, outcome) in self.settled {
            slot.settle(outcome);
        }
    }
}

/// Encoded records for one queue, to be appended together.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<Part>,
    /// When they were made, in milliseconds of wall time.
    pub(crate) made_ms: i64,
}

/// One record of [`Drafts`]; the positions are filled in by the append.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) size: u32,
    /// What its unit carries beside the position. Of a delayed message: when it is due, filled in by the append.
    pub(crate) tags_code: i64,
    /// How long it is delayed after it was stored, in milliseconds.
    pub(crate) delay_ms: Option<i64>,
    pub(crate) queue_offset: u64,
    pub(crate) log_offset: u64,
}

impl Part {
    /// The log offset after the record.
    pub(crate) fn end(&self) -> u64 {
        self.log_offset + u64::from(self.size)
    }

    pub(crate) fn receipt(&self, topic: &Topic, queue: u32, durable: bool) -> Receipt {
        Receipt {
            id: format::Host::LOCALHOST.message_id(self.log_offset),
            topic: Arc::clone(topic.name()),
            queue: queue.into(),
            queue_offset: self.queue_offset.into(),
            log_offset: self.log_offset.into(),
            size: self.size,
            durable,
        }
    }
}

impl Drafts {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
    }

    /// The bytes of all records.
    pub(crate) fn size(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.size)).sum()
    }

    /// Appends one record, whose body `body` appends.
    pub(crate) fn push(
        &mut self,
        draft: &format::Draft<'_>,
        tags_code: i64,
        body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let start = self.bytes.len();
        format::encode(&mut self.bytes, draft, body)?;
        let size = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.parts.push(Part { size, tags_code, ..Part::default() });
        Ok(())
    }

    /// The record that was pushed last waits so long after it was stored.
    pub(crate) fn delay_last(&mut self, ms: i64) {
        if let Some(part) = self.parts.last_mut() {
            part.delay_ms = Some(ms);
        }
    }
}

/// How an append that may not block ended.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// Appended: the parts have their positions.
    Done,
    /// Waiting in line; the slot will have the positions.
    Waiting(Arc<Slot>),
}

impl Store {
    /// Appends records to one queue, with consecutive offsets. When this returns, a process kill loses none of them.
    ///
    /// May write to the disk, or wait for somebody who does.
    pub(crate) fn append(&self, topic: &Arc<Topic>, queue: u32, drafts: &mut Drafts) -> Result<()> {
        match self.append_once(topic, queue, drafts) {
            // Groups may have passed messages since the last look.
            Err(full)
                if full.kind() == ErrorKind::Full && self.settings.volatile && self.trim()? > 0 =>
            {
                self.append_once(topic, queue, drafts)
            }
            outcome => outcome,
        }
    }

    fn append_once(&self, topic: &Arc<Topic>, queue: u32, drafts: &mut Drafts) -> Result<()> {
        self.check_fits(drafts)?;
        self.check_open()?;
        let mut notices = Notices::default();
        let mut appender = self.appender.lock();
        let placed = self
            .check_writable()
            .and_then(|()| self.admit_line(&mut appender, &mut notices))
            .and_then(|()| self.room_for(&mut appender, drafts, Blocking::Yes))
            .and_then(|room| self.place(&mut appender, room, (topic, queue), drafts));
        let end = appender.tail.end;
        drop(appender);
        notices.tell();
        placed?;
        topic.arrived(drafts.parts.len());
        self.commit_if_due(end);
        Ok(())
    }

    /// The messages are staged, and that is what was promised: if a write fails here, whoever comes next is told.
    fn commit_if_due(&self, end: u64) {
        let waiting = end.saturating_sub(self.log.committed());
        if waiting < CHUNK {
            return;
        }
        let ring = self.log.ring();
        if !self.settings.threaded || waiting >= ring / 4 * 3 {
            let _ = self.or_poison(self.log.try_commit());
        } else if waiting >= ring / 4 {
            // While another thread writes, this one goes on.
            self.housekeeper.ask_commit();
        }
    }

    /// As [`Store::append`], but never does file operations: without room the message waits in line, if `may_wait`.
    pub(crate) fn submit(
        &self,
        topic: &Arc<Topic>,
        queue: u32,
        drafts: &mut Drafts,
        may_wait: bool,
    ) -> Result<Submitted> {
        self.check_fits(drafts)?;
        // Before the lock: in a forked child its holder may not exist.
        self.check_open()?;
        let mut appender = self.appender.lock();
        self.check_writable()?;
        let room = if appender.line.is_empty() {
            self.room_for(&mut appender, drafts, Blocking::No)?
        } else {
            Room::None
        };
        if room == Room::None {
            if !may_wait || appender.line.len() >= self.settings.line {
                drop(appender);
                self.flusher.ask_commit();
                let what = if may_wait {
                    "the line of waiting messages is full"
                } else {
                    "there is no room right now"
                };
                return Err(Error::new(ErrorKind::Full, what));
            }
            let slot = Arc::new(Slot::default());
            appender.line.push_back(Lined {
                topic: Arc::clone(topic),
                queue,
                drafts: std::mem::take(drafts),
                slot: Arc::clone(&slot),
            });
            drop(appender);
            self.flusher.ask_commit();
            return Ok(Submitted::Waiting(slot));
        }
        self.place(&mut appender, room, (topic, queue), drafts)?;
        let end = appender.tail.end;
        drop(appender);
        topic.arrived(drafts.parts.len());
        if end.saturating_sub(self.log.committed()) >= CHUNK {
            self.flusher.ask_commit();
        }
        Ok(Submitted::Done)
    }

    /// Records that no file can hold are refused before anything else.
    pub(super) fn check_fits(&self, drafts: &Drafts) -> Result<()> {
        self.check_size(drafts.bytes.len() as u64)
    }

    pub(super) fn check_size(&self, len: u64) -> Result<()> {
        if len + format::BLANK_LEN as u64 <= self.log.segment_size() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "{len} bytes do not fit into one commit log file of {} bytes; see Options::segment_size",
                self.log.segment_size()
            ),
        ))
    }

    fn room_for(
        &self,
        appender: &mut Appender,
        drafts: &Drafts,
        blocking: Blocking,
    ) -> Result<Room> {
        let len = drafts.bytes.len() as u64;
        match self.log.reserve(&mut appender.tail, len, blocking) {
            Ok(room) => Ok(room),
            // Nothing was written: when there is space again, appending goes on.
            Err(full) if full.kind() == ErrorKind::Full => Err(full),
            Err(failed) => Err(self.poisoned_by(failed)),
        }
    }

    fn place(
        &self,
        appender: &mut Appender,
        room: Room,
        (topic, queue): (&Arc<Topic>, u32),
        drafts: &mut Drafts,
    ) -> Result<()> {
        let target = topic.queue(queue).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("topic {} has no queue {queue}", topic.name()))
        })?;
        // Never 0 and never decreasing, whatever the clock does.
        let now = drafts.made_ms.max(appender.last_ms).max(1);
        appender.last_ms = now;
        let first = target.next();
        let start = appender.tail.end;
        let mut rest = drafts.bytes.as_mut_slice();
        let (mut queue_offset, mut log_offset) = (first, start);
        for part in &mut drafts.parts {
            let (record, after) = rest.split_at_mut(part.size as usize);
            rest = after;
            if !format::seal(record, queue_offset, log_offset, now) {
                return Err(Error::invalid("a record without room for its checksum"));
            }
            part.queue_offset = queue_offset;
            part.log_offset = log_offset;
            if let Some(delay) = part.delay_ms {
                part.tags_code = now.saturating_add(delay);
            }
            queue_offset += 1;
            log_offset += u64::from(part.size);
        }
        let put = self.log.put(&mut appender.tail, room, &drafts.bytes);
        self.or_poison(put)?;
        let unit = |p: &Part| Unit { offset: p.log_offset, size: p.size, tags_code: p.tags_code };
        if target.push(drafts.parts.iter().map(unit)) {
            appender.unfiled.push((Arc::clone(topic), queue));
        }
        self.after_place(appender);
        Ok(())
    }

    fn after_place(&self, appender: &mut Appender) {
        if !appender.armed {
            appender.armed = true;
            self.flusher.arm();
        }
        let due = appender.tail.end - appender.filed_at >= FILING_INTERVAL;
        if due || self.log.wants_space(&appender.tail) {
            if due {
                appender.filed_at = appender.tail.end;
            }
            self.housekeeper.ask();
        }
    }

    /// Lets in everybody who waits in line.
    pub(super) fn admit(&self) -> Result<()> {
        let mut notices = Notices::default();
        let admitted = self.admit_line(&mut self.appender.lock(), &mut notices);
        notices.tell();
        admitted
    }

    /// Lets in everybody who waits in line, in order; the notices are to be told when the lock is free.
    pub(super) fn admit_line(&self, appender: &mut Appender, notices: &mut Notices) -> Result<()> {
        if appender.line.is_empty() {
            return Ok(());
        }
        while let Some(mut lined) = appender.line.pop_front() {
            let placed = self
                .poison
                .check()
                .and_then(|()| self.room_for(appender, &lined.drafts, Blocking::Yes))
                .and_then(|room| {
                    self.place(appender, room, (&lined.topic, lined.queue), &mut lined.drafts)
                });
            // On a full disk those in line are told, for nobody knows when there will be space.
            if placed.is_ok() {
                let drafts = &lined.drafts;
                notices.arrived.push((lined.topic, drafts.parts.len(), drafts.size()));
            }
            let first = lined.drafts.parts.first().copied().unwrap_or_default();
            notices.settled.push((lined.slot, placed.map(|()| first)));
        }
        self.poison.check()
    }

    /// Turns away everybody who waits in line: the store accepts nothing more.
    pub(super) fn refuse_line(&self, appender: &mut Appender, notices: &mut Notices) {
        for lined in appender.line.drain(..) {
            let why = self.poison.check().err().unwrap_or_else(Error::closed);
            notices.settled.push((lined.slot, Err(why)));
        }
    }
}
