//! What the flusher and the housekeeper do to the store.

use crate::error::{Error, ErrorKind, Result};
use crate::flush::housekeeper::House;
use crate::flush::{Target, Timer, Waited};
use crate::sync::{Arc, Ordering};

use super::Store;
use super::state::QueueEnds;

impl Target for Store {
    fn durable(&self) -> u64 {
        self.log.durable()
    }

    fn commit(&self) -> Result<()> {
        self.or_poison(self.admit().and_then(|()| self.log.commit()))
    }

    fn sync(&self) -> Result<()> {
        self.poison.check()?;
        if !self.appender_line_is_empty() {
            self.commit()?;
        }
        self.or_poison(self.log.sync().map(drop))
    }

    fn settle(&self) -> Result<()> {
        self.poison.check()?;
        self.or_poison(self.raise_floor(self.log.durable(), false))
    }

    fn sync_progress(&self) -> Result<()> {
        self.poison.check()?;
        // What is known is written down now: nobody waits for it.
        let raised = self.raise_floor(self.log.durable(), true);
        self.or_poison(raised)?;
        self.acks_armed.store(false, Ordering::SeqCst);
        let synced = self.progress.sync();
        self.or_poison(synced)
    }

    fn disarm(&self) -> bool {
        // Before the lock, for it may wait for a journal. Whoever acknowledges later arms the timer himself.
        if self.progress.dirty() {
            return false;
        }
        let mut appender = self.appender.lock();
        let quiet = appender.tail.end == self.log.durable() && appender.line.is_empty();
        if quiet {
            appender.armed = false;
        }
        quiet
    }

    fn look_again(&self) {
        for topic in self.topics.all() {
            topic.look_again();
        }
    }

    fn failed(&self) -> bool {
        self.poison.is_set()
    }

    fn abandon(&self) {
        self.stop_writing("the flusher thread died");
    }
}

impl House for Store {
    fn commit_chunks(&self) {
        // A failure stops the store, and that tells everybody.
        let _ = self.or_poison(self.log.commit());
    }

    fn chores(&self) {
        let done = self.tidy();
        let _ = self.or_poison(done);
    }

    fn alarm(&self) {
        self.spread_poison();
        self.poison.say();
    }

    fn abandon(&self) {
        self.stop_writing("the housekeeping thread died");
        self.spread_poison();
        self.poison.say();
    }
}

impl Store {
    fn appender_line_is_empty(&self) -> bool {
        self.appender.lock().line.is_empty()
    }

    /// Space ahead of the writer, and units into their files.
    fn tidy(&self) -> Result<()> {
        self.poison.check()?;
        let wants_space = {
            let appender = self.appender.lock();
            self.log.wants_space(&appender.tail)
        };
        if wants_space {
            match self.log.prepare_space() {
                // Nobody needs it yet; whoever does will be told.
                Err(e) if e.kind() == ErrorKind::Full => {}
                other => other?,
            }
        }
        self.file_units()?;
        if self.settings.volatile {
            self.trim()?;
        }
        Ok(())
    }

    /// Writes the units that are in memory to their files. Returns the log offset below which all units are in files.
    pub(super) fn file_units(&self) -> Result<u64> {
        let _one = self.filing.lock();
        let (queues, filed_to) = {
            let mut appender = self.appender.lock();
            appender.filed_at = appender.tail.end;
            (std::mem::take(&mut appender.unfiled), appender.tail.end)
        };
        for (at, (topic, id)) in queues.iter().enumerate() {
            let Some(queue) = topic.queue(*id) else { continue };
            let (first, units) = queue.unfiled();
            if let Err(e) = self.files.write((topic.name(), *id), first, &units) {
                let rest = queues.get(at..).unwrap_or_default();
                self.appender.lock().unfiled.extend(rest.iter().cloned());
                return Err(e);
            }
            if queue.mark_filed() {
                self.appender.lock().unfiled.push((Arc::clone(topic), *id));
            }
        }
        Ok(filed_to)
    }

    /// Makes queues durable behind the log, in that order, and remembers how far.
    ///
    /// One caller after the other, for they write the same files, and what one is still syncing the next would take for durable.
    /// After the `last` one nobody writes there any more.
    ///
    /// Returns the checksum of the file that says where each queue ends.
    pub(super) fn sync_queues(&self, last: bool) -> Result<u32> {
        let mut over = self.queues_over.lock();
        if *over {
            return Err(Error::closed());
        }
        self.poison.check()?;
        *over = last;
        // A failure stops the store before the next one begins: the disk tells of it only once.
        let synced = self.or_poison(self.sync_queues_alone());
        drop(over);
        synced
    }

    fn sync_queues_alone(&self) -> Result<u32> {
        let filed_to = self.file_units()?;
        let ends = QueueEnds::of(self.generation, &self.topics);
        let durable = self.log.sync()?;
        self.files.sync()?;
        let queues_crc = ends.write(&*self.storage, &self.layout)?;
        self.queues_durable.store(filed_to.min(durable), Ordering::SeqCst);
        self.write_checkpoint()?;
        self.floor.lock().write(durable, filed_to.min(durable), true)?;
        Ok(queues_crc)
    }

    /// Writes down, outside the staging buffer, how far the log is durable.
    fn raise_floor(&self, durable: u64, now: bool) -> Result<()> {
        let segment = self.log.segment_size();
        let mut floor = self.floor.lock();
        let rolled = durable / segment != floor.durable() / segment;
        if rolled || now || floor.is_due(durable) {
            let queues = self.queues_durable.load(Ordering::SeqCst);
            floor.write(durable, queues, rolled)?;
        }
        drop(floor);
        let roll = || {
            // What is marked before the sync is durable after it.
            self.mark_delays();
            self.sync_queues(false)?;
            self.keep_delays()
        };
        match rolled.then(roll) {
            // The log is durable, and that is what was asked for. Units stay in memory until there is room.
            Some(Err(e)) if e.kind() != ErrorKind::Full => Err(e),
            _ => Ok(()),
        }
    }

    /// Waits until `position` is durable, at most for the configured time.
    pub(crate) fn wait_durable(&self, position: u64) -> Waited {
        let deadline = self.clock.os_now() + self.settings.sync_timeout;
        self.flusher.wait_durable(self, position, Some(deadline))
    }

    /// Polls for `position` to become durable; the waker is woken when there is something new.
    pub(crate) fn poll_durable(
        &self,
        position: u64,
        (timer, deadline): (&mut Timer, std::time::Instant),
        waker: &std::task::Waker,
    ) -> Option<Waited> {
        if self.log.durable() < position && !self.settings.threaded {
            return Some(self.flusher.wait_durable(self, position, None));
        }
        if self.flusher.wake_when_durable(self, position, waker) {
            if self.clock.os_now() >= deadline {
                return Some(Waited::TimedOut);
            }
            self.housekeeper.wake_at(timer, deadline, waker);
            return None;
        }
        Some(if self.log.durable() >= position { Waited::Durable } else { Waited::Failed })
    }

    /// Starts making `position` durable without waiting.
    pub(crate) fn ask_durable(&self, position: u64) {
        self.flusher.ask_durable(position);
    }

    /// Has `waker` woken at `deadline` by the operating system's clock; `true` if that is now or past.
    pub(crate) fn remind(
        &self,
        timer: &mut Timer,
        deadline: std::time::Instant,
        waker: &std::task::Waker,
    ) -> bool {
        if self.clock.os_now() >= deadline {
            return true;
        }
        self.housekeeper.wake_at(timer, deadline, waker);
        false
    }

    /// Whoever set the timer goes away. Does nothing in a forked child, where the lock's holder may not exist.
    pub(crate) fn forget(&self, timer: &mut Timer) {
        if timer.is_set() && self.check_parent().is_ok() {
            self.housekeeper.forget(timer);
        }
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.housekeeper.timers()
    }

    /// Everything sent and acknowledged before this call survives a power cut when it returns.
    pub(crate) fn flush(&self) -> Result<()> {
        self.check_writable()?;
        self.admit()?;
        let end = self.log.staged();
        match self.flusher.wait_durable(self, end, None) {
            Waited::Durable => self.sync_progress(),
            Waited::TimedOut | Waited::Failed => {
                self.check_writable()?;
                Err(Error::closed())
            }
        }
    }

    /// An acknowledgement was written: the flusher makes it durable within the flush interval.
    pub(crate) fn acknowledged(&self) {
        if !self.acks_armed.load(Ordering::SeqCst) && !self.acks_armed.swap(true, Ordering::SeqCst)
        {
            self.flusher.arm();
        }
    }

    pub(super) fn stop_threads(&self) {
        self.flusher.stop();
        self.housekeeper.stop();
    }
}
