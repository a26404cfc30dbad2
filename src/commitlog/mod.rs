//! The commit log: one append-only sequence of records, in files of a fixed size.
//!
//! Records are staged in a mapped buffer that outlives the process and written to their file in chunks, by whoever first
//! needs them there. Three positions, each a log offset:
//!
//! ```text
//!   durable  ≤  committed  ≤  staged
//!   survives    is in the     is in the staging buffer:
//!   a power     log file      survives the process
//!   cut
//! ```
//!
//! The buffer holds records of one segment only: it is drained before the log moves to the next one.

pub(crate) mod format;
mod removal;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod staging;

use crate::error::{Error, ErrorKind, Result};
use crate::io::Storage;
use crate::layout::Layout;
use crate::options::Reads;
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, RwLock};

use segment::{LogBytes, Segment};
use staging::Staging;

/// Staged bytes that are worth a write of their own.
pub(crate) const CHUNK: u64 = 64 << 10;

/// The part of the log that the appender owns; it lives under the store's append lock.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Where the next record goes.
    pub(crate) end: u64,
    segment: Arc<Segment>,
    ring_ready: bool,
}

/// Whether an append may do file operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocking {
    Yes,
    No,
}

/// The outcome of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Records of the asked-for length can be put now.
    Staged,
    /// The record is too large for the ring, or nothing can be kept there any more: it goes straight to the file.
    Direct,
    /// Only a file operation could make room, and the caller forbade it.
    None,
}

/// The log's files, staging buffer and positions.
#[derive(Debug)]
pub(crate) struct CommitLog {
    storage: Arc<dyn Storage>,
    layout: Layout,
    generation: u64,
    segment_size: u64,
    /// In order of their offsets, without gaps. Written only under the append lock (roll) or by retention.
    segments: RwLock<Vec<Arc<Segment>>>,
    /// A file created ahead of need, not yet part of the log.
    next: Mutex<Option<Arc<Segment>>>,
    staging: Staging,
    staged: AtomicU64,
    committed: AtomicU64,
    durable: AtomicU64,
    /// Held while staged bytes are written to their file.
    committing: Mutex<()>,
    /// Held while files are synced.
    syncing: Mutex<()>,
    /// The positions move no more. Set and looked at while `committing` is held.
    frozen: AtomicBool,
}

/// Whether little is left of the blocks that a file has.
fn wants_blocks(segment: &Segment, end: u64) -> bool {
    let allocated = segment.allocated_end();
    allocated < segment.end() && allocated - end.min(allocated) < segment.allocation_step(end) / 2
}

/// What a [`CommitLog`] starts from, found by opening the directory.
#[derive(Debug)]
pub(crate) struct LogStart {
    pub(crate) generation: u64,
    pub(crate) segment_size: u64,
    /// Bases of the existing files, in order, without gaps.
    pub(crate) bases: Vec<u64>,
    /// The end of the log, durable; inside the last file (or at its end), or the base of a file to come.
    pub(crate) end: u64,
    pub(crate) staging_size: u64,
    pub(crate) lock_staging: bool,
    /// Readers stop at the durable position.
    pub(crate) durable_only: bool,
}

impl CommitLog {
    /// Takes over recovered files; creates the staging buffer of this generation.
    pub(crate) fn start(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        start: &LogStart,
    ) -> Result<(Self, Tail)> {
        let size = start.segment_size;
        let mut segments: Vec<_> = start
            .bases
            .iter()
            .map(|base| Arc::new(Segment::existing(storage, layout, *base, size)))
            .collect();
        if segments.last().is_none_or(|last| last.end() <= start.end) {
            let created = Segment::create(storage, layout, start.end, size)?;
            segments.push(Arc::new(created));
        }
        let current = segments.last().map(Arc::clone).ok_or_else(Error::closed)?;
        current.start_allocation_at(start.end);
        let staging = Staging::create(
            storage,
            layout,
            start.generation,
            (start.staging_size, start.end, start.durable_only),
        )?;
        if start.lock_staging {
            staging.lock_in_memory(layout, start.generation)?;
        }
        let log = Self {
            storage: Arc::clone(storage),
            layout: layout.clone(),
            generation: start.generation,
            segment_size: size,
            segments: RwLock::new(segments),
            next: Mutex::new(None),
            staging,
            staged: AtomicU64::new(start.end),
            committed: AtomicU64::new(start.end),
            durable: AtomicU64::new(start.end),
            committing: Mutex::new(()),
            syncing: Mutex::new(()),
            frozen: AtomicBool::new(false),
        };
        Ok((log, Tail { end: start.end, segment: current, ring_ready: false }))
    }

    pub(crate) fn segment_size(&self) -> u64 {
        self.segment_size
    }

    /// The size of the staging buffer.
    pub(crate) fn ring(&self) -> u64 {
        self.staging.ring()
    }

    pub(crate) fn staged(&self) -> u64 {
        self.staged.load(Ordering::Acquire)
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The first offset that still has a file.
    pub(crate) fn min_offset(&self) -> u64 {
        self.segments.read().first().map_or(0, |s| s.base())
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().clone()
    }

    /// Makes sure that records of `len` bytes in total can be put at the tail, in one file.
    ///
    /// Nothing is staged beyond space that is allocated in the log file, so writing it there later cannot run out of disk.
    pub(crate) fn reserve(&self, tail: &mut Tail, len: u64, blocking: Blocking) -> Result<Room> {
        let io_allowed = blocking == Blocking::Yes;
        if tail.end + len + format::BLANK_LEN as u64 > tail.segment.end() {
            if !io_allowed {
                return Ok(Room::None);
            }
            self.roll(tail)?;
        }
        let end = tail.end + len;
        // The end mark must fit as well: a full disk must not keep the log from rolling.
        if tail.segment.allocated_end() < end + format::BLANK_LEN as u64 {
            if !io_allowed {
                return Ok(Room::None);
            }
            tail.segment.allocate_to(end + format::BLANK_LEN as u64)?;
        }
        if len > self.staging.ring() / 4 || self.staging.has_failed() {
            return Ok(if io_allowed { Room::Direct } else { Room::None });
        }
        if !tail.ring_ready {
            if !io_allowed {
                return Ok(Room::None);
            }
            self.staging.allocate(&self.layout, self.generation)?;
            tail.ring_ready = true;
        }
        if end - self.committed() > self.staging.ring() {
            if !io_allowed {
                return Ok(Room::None);
            }
            self.commit()?;
        }
        Ok(Room::Staged)
    }

    /// Makes sealed records part of the log: a process kill keeps them from now on.
    pub(crate) fn put(&self, tail: &mut Tail, room: Room, records: &[u8]) -> Result<()> {
        if room == Room::Staged && self.staging.put(tail.end, records) {
            tail.end += records.len() as u64;
            self.publish(tail);
            return Ok(());
        }
        self.put_directly(tail, records)
    }

    /// Writes sealed records straight to their file, past the ring.
    fn put_directly(&self, tail: &mut Tail, record: &[u8]) -> Result<()> {
        self.commit()?;
        let _one = self.committing.lock();
        self.check_frozen()?;
        self.write_locked(&tail.segment, tail.end, record)?;
        tail.end += record.len() as u64;
        self.staged.store(tail.end, Ordering::Release);
        self.set_committed(tail.end);
        Ok(())
    }

    fn publish(&self, tail: &Tail) {
        self.staged.store(tail.end, Ordering::Release);
    }

    /// Closes the current file with an end mark and goes on in the next one.
    fn roll(&self, tail: &mut Tail) -> Result<()> {
        self.publish(tail);
        self.commit()?;
        let next_base = tail.segment.end();
        // Held until the file is part of the log: the background must not create it a second time.
        let mut spare = self.next.lock();
        let next = if let Some(next) = spare.take() {
            next
        } else {
            let (storage, layout) = (&self.storage, &self.layout);
            Arc::new(Segment::create(storage, layout, next_base, self.segment_size)?)
        };
        // Space first: once the end mark is written there is no way back to this file.
        if let Err(full) = next.allocate_to(next_base + 1) {
            *spare = Some(next);
            return Err(full);
        }
        let _one = self.committing.lock();
        self.check_frozen()?;
        let left = u32::try_from(next_base - tail.end).unwrap_or(u32::MAX);
        self.write_locked(&tail.segment, tail.end, &format::blank(left))?;
        self.segments.write().push(Arc::clone(&next));
        tail.segment = next;
        tail.end = next_base;
        self.staged.store(next_base, Ordering::Release);
        self.set_committed(next_base);
        Ok(())
    }

    fn set_committed(&self, offset: u64) {
        self.committed.store(offset, Ordering::Release);
        self.staging.publish_committed(offset);
    }

    /// Writes everything staged so far to its file.
    pub(crate) fn commit(&self) -> Result<()> {
        let guard = self.committing.lock();
        self.commit_locked()?;
        drop(guard);
        Ok(())
    }

    /// As [`CommitLog::commit`], unless somebody is at it already.
    pub(crate) fn try_commit(&self) -> Result<()> {
        if let Some(_one) = self.committing.try_lock() {
            self.commit_locked()?;
        }
        Ok(())
    }

    /// After a failure: what readers can see stays as it is, from the moment this returns.
    pub(crate) fn freeze(&self) {
        let _nobody_commits = self.committing.lock();
        self.frozen.store(true, Ordering::SeqCst);
    }

    fn check_frozen(&self) -> Result<()> {
        if self.frozen.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Poisoned, "an earlier write failed"));
        }
        Ok(())
    }

    fn commit_locked(&self) -> Result<()> {
        self.check_frozen()?;
        let (from, to) = (self.committed(), self.staged());
        if from == to {
            return Ok(());
        }
        let segment = self.segment_of(from).ok_or_else(Error::closed)?;
        for (offset, run) in self.staging.runs(from, to) {
            if !run.is_empty() {
                self.write_locked(&segment, offset, run)?;
            }
        }
        self.set_committed(to);
        Ok(())
    }

    /// Writes to a file while `committing` is held. After a failure nobody who waits for that lock goes on.
    fn write_locked(&self, segment: &Segment, offset: u64, data: &[u8]) -> Result<()> {
        segment.write(offset, data).inspect_err(|e| {
            if e.kind() != ErrorKind::Full {
                self.frozen.store(true, Ordering::SeqCst);
            }
        })
    }

    /// Makes everything staged so far durable; returns the new durable position.
    pub(crate) fn sync(&self) -> Result<u64> {
        let one = self.syncing.lock();
        self.commit()?;
        let (from, to) = (self.durable(), self.committed());
        if from < to {
            for segment in self.segments() {
                if segment.end() > from && segment.base() < to {
                    // Before anybody else may try: a disk tells of what it lost only once.
                    segment.sync().inspect_err(|_| self.freeze())?;
                }
            }
            let _nobody_freezes = self.committing.lock();
            self.check_frozen()?;
            self.durable.store(to, Ordering::Release);
            self.staging.publish_durable(to);
        }
        drop(one);
        Ok(to)
    }

    fn segment_of(&self, offset: u64) -> Option<Arc<Segment>> {
        self.find(&self.segments.read(), offset).map(Arc::clone)
    }

    /// The bytes of a published record.
    pub(crate) fn read(&self, offset: u64, len: usize, reads: Reads) -> Result<LogBytes> {
        let none = || {
            Error::corrupt(&self.layout.commitlog(), offset, "no commit log file holds this offset")
        };
        if reads == Reads::Mapped {
            // Nothing here waits for the disk, so the list may stay locked.
            let segments = self.segments.read();
            return self.find(&segments, offset).ok_or_else(none)?.read(offset, len, reads);
        }
        self.segment_of(offset).ok_or_else(none)?.read(offset, len, reads)
    }

    fn find<'a>(&self, segments: &'a [Arc<Segment>], offset: u64) -> Option<&'a Arc<Segment>> {
        let first = segments.first()?.base();
        let index = usize::try_from(offset.checked_sub(first)? / self.segment_size).ok()?;
        segments.get(index)
    }

    /// Whether the background should get space ready: little is left of what is allocated, or of the file.
    pub(crate) fn wants_space(&self, tail: &Tail) -> bool {
        wants_blocks(&tail.segment, tail.end)
            // Whoever holds the lock is creating the next file: then there is nothing to ask for, and no reason to wait.
            || (self.wants_next(&tail.segment, tail.end)
                && self.next.try_lock().is_some_and(|next| next.is_none()))
    }

    /// The next file is made once a quarter of this one is used: a disk that is busy with a fast log takes more than a second to
    /// make a name durable (measured), and the log must not wait for that.
    fn wants_next(&self, segment: &Segment, end: u64) -> bool {
        end - segment.base().min(end) >= self.segment_size / 4
    }

    /// Allocates the next step, and creates the next file when the current one is coming to its end.
    pub(crate) fn prepare_space(&self) -> Result<()> {
        let Some(current) = self.segments.read().last().map(Arc::clone) else { return Ok(()) };
        let end = self.staged();
        if wants_blocks(&current, end) {
            current.allocate_to(current.allocated_end() + 1)?;
        }
        if !self.wants_next(&current, end) {
            return Ok(());
        }
        // Under the lock all the while: a roll that finds nothing here creates the same file itself.
        let mut next = self.next.lock();
        let is_last = self.segments.read().last().is_some_and(|s| s.base() == current.base());
        if next.is_none() && is_last {
            let created =
                Segment::create(&self.storage, &self.layout, current.end(), self.segment_size)?;
            *next = Some(Arc::new(created));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
