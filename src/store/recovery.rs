//! Opening a store that was not closed, or not by us: finding the end of the log, and making everything agree with it.
//!
//! The order matters, and each step is safe to repeat after a crash in the middle:
//!
//! 1. Sync each log file to be read and drop its cached pages, so that what is read is what the disk holds.
//! 2. Scan to the end. Below the floor a bad record is damage; above it, the log is cut.
//! 3. Replay the staging buffer, if it belongs to this generation and goes on exactly at the end.
//! 4. Keep a copy of what is cut, zero the tail, remove later files, sync.
//! 5. Compare consume queue units with the log, overwrite wrong ones, cut, sync.
//! 6. Clip acknowledgements to the recovered ends ([`Recovery::progress`]).

mod cache;
mod cut;
mod gather;
mod settle;

use std::collections::BTreeMap;

use crate::commitlog::format::{self, Checks, Decoded, RecordCrc};
use crate::commitlog::scan::{Fault, Plan, ScanFile, Scanned, scan};
use crate::commitlog::staging::StagedImage;
use crate::consumequeue::Extent;
use crate::consumequeue::files::QueueFiles;
use crate::error::{Error, Result};
use crate::io::{OpenMode, Storage};
use crate::layout::Layout;
use crate::progress::{self, CursorRecord, State};
use crate::sync::Arc;

use super::checkpoint::Checkpoint;
use super::close::Config;
use super::report::History;
use super::state::{FloorFile, FloorMark, QueueEnds};
use super::survey::Survey;

pub(super) use gather::{DELAY_LEVELS_MS, Gathered};
pub(super) use settle::Starts;

/// What recovery works on.
#[derive(Debug)]
pub(super) struct Recovery<'a> {
    pub(super) storage: &'a Arc<dyn Storage>,
    pub(super) layout: &'a Layout,
    pub(super) survey: &'a Survey,
    pub(super) history: History,
    pub(super) segment_size: u64,
    pub(super) files: &'a QueueFiles,
}

/// A store whose files agree.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) history: History,
    /// The log's files.
    pub(super) bases: Vec<u64>,
    pub(super) end: u64,
    pub(super) last_timestamp: i64,
    /// By topic: its queues, in order of their numbers.
    pub(super) extents: BTreeMap<String, Vec<Extent>>,
    pub(super) scanned: u64,
    pub(super) replayed: u64,
    pub(super) bytes_cut: u64,
    pub(super) mended: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) notes: Vec<String>,
}

impl Recovered {
    fn note_extent(&mut self, topic: &str, queue: u32, extent: Extent) {
        let queues = self.extents.entry(topic.to_owned()).or_default();
        let at = queue as usize;
        if queues.len() <= at {
            queues.resize(at + 1, Extent::default());
        }
        if let Some(slot) = queues.get_mut(at) {
            *slot = extent;
        }
    }
}

impl Recovery<'_> {
    pub(super) fn run(&self) -> Result<Recovered> {
        match self.history {
            History::New => {
                // A first open that was interrupted may have left an empty file.
                self.remove_files_from(0)?;
                Ok(Recovered { history: self.history, ..Recovered::default() })
            }
            History::Clean => match self.clean()? {
                Some(clean) => Ok(clean),
                None => self.full(),
            },
            History::Crashed | History::Foreign => self.full(),
        }
    }

    /// The stamp holds: nothing needs to be read but the ends of the queues.
    fn clean(&self) -> Result<Option<Recovered>> {
        let Some(stamp) = &self.survey.stamp else { return Ok(None) };
        let ends = QueueEnds::read(&**self.storage, self.layout, stamp.queues_crc)?;
        Ok(ends.map(|ends| Recovered {
            history: self.history,
            bases: self.survey.files.iter().map(|f| f.0).collect(),
            end: stamp.log_end,
            last_timestamp: self.checkpoint().map_or(0, |c| c.physic_timestamp),
            extents: ends.topics.into_iter().collect(),
            ..Recovered::default()
        }))
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let path = self.layout.checkpoint();
        let bytes = super::read_small(&**self.storage, &path, 1 << 20).ok()??;
        Checkpoint::decode(&bytes)
    }

    fn full(&self) -> Result<Recovered> {
        let mut done = Recovered { history: self.history, ..Recovered::default() };
        let staged = self.staged()?;
        let mark = self.floor(staged.as_ref())?;
        let log_min = self.survey.files.first().map_or(0, |f| f.0);
        let known = self.known_ends()?;
        let mut from = mark.queues.max(log_min);
        loop {
            let (files, gathered, scanned, replay) =
                self.read_log(from, mark.durable, staged.as_ref(), &mut done)?;
            if scanned.end < mark.durable && !files.is_empty() {
                return Err(Error::corrupt(
                    &self.layout.segment(scanned.end),
                    0,
                    "a commit log file is missing that held durable messages",
                ));
            }
            let partial = from > log_min;
            if partial && !self.queues_reach(&gathered, &known, from)? {
                done.notes.push(
                    "consume queues were incomplete and are derived from the whole log".to_owned(),
                );
                from = log_min;
                continue;
            }
            done.scanned = scanned.records;
            done.faults = scanned.faults;
            done.end = scanned.end;
            self.make_log_true(&files, replay, &mut done)?;
            self.settle_queues(gathered, (from, log_min), &mut done)?;
            return Ok(done);
        }
    }

    /// The staging buffer that a killed process left. Only our own crash leaves one that counts.
    fn staged(&self) -> Result<Option<StagedImage>> {
        match (&self.survey.generation, self.history) {
            (Some(generation), History::Crashed) => {
                StagedImage::read(&**self.storage, self.layout, generation.number)
            }
            _ => Ok(None),
        }
    }

    fn known_ends(&self) -> Result<QueueEnds> {
        if self.history != History::Crashed {
            return Ok(QueueEnds::default());
        }
        // From the last close; a lower bound, if it can be read at all.
        Ok(QueueEnds::read_any(&**self.storage, self.layout).unwrap_or_default())
    }

    /// Up to where the log is known to be durable, and up to where its queues are.
    fn floor(&self, staged: Option<&StagedImage>) -> Result<FloorMark> {
        match (&self.survey.generation, self.history) {
            (Some(generation), History::Crashed) => {
                let written = FloorFile::read(&**self.storage, self.layout, generation.number)?
                    .unwrap_or_default();
                let staged = staged.and_then(|s| s.durable).unwrap_or(0);
                Ok(FloorMark { durable: written.durable.max(staged), queues: written.queues })
            }
            (_, History::Clean) => {
                let end = self.survey.stamp.as_ref().map_or(0, |s| s.log_end);
                Ok(FloorMark { durable: end, queues: 0 })
            }
            _ => Ok(FloorMark { durable: self.foreign_floor()?, queues: 0 }),
        }
    }

    /// A broker that stopped cleanly had everything on disk that its queues speak of. One that died had flushed what is older
    /// than its checkpoint: the files before the newest one that begins before it.
    fn foreign_floor(&self) -> Result<u64> {
        if !self.survey.abort {
            let mut end = 0;
            for (topic, queue) in self.files.queues_on_disk()? {
                if let Some(extent) = self.files.extent((&topic, queue))? {
                    let mut last = Vec::new();
                    self.files.read(
                        (&topic, queue),
                        extent.next.saturating_sub(1),
                        1,
                        &mut last,
                    )?;
                    let last = last.first().filter(|u| !u.is_filler());
                    end = end.max(last.map_or(0, |u| u.offset + u64::from(u.size)));
                }
            }
            let log_end = self.survey.files.last().map_or(0, |f| f.0 + self.segment_size);
            return Ok(if end <= log_end { end } else { 0 });
        }
        let safe = self.checkpoint().map_or(0, |c| c.min_timestamp());
        for (base, len) in self.survey.files.iter().rev() {
            let path = self.layout.segment(*base);
            let io = |e| Error::io(e, &path, "read the commit log");
            let file = self.storage.open(&path, OpenMode::Read).map_err(io)?;
            let mut head = vec![0; usize::try_from((*len).min(64 << 10)).unwrap_or(0)];
            file.read_at(0, &mut head).map_err(io)?;
            if let Decoded::Record(first) = format::decode(&head, Checks::NONE) {
                if first.store_timestamp > 0 && first.store_timestamp <= safe {
                    return Ok(*base);
                }
            }
        }
        Ok(0)
    }

    /// Steps 1 to 3: the log as the disk (and the staging buffer) has it.
    fn read_log(
        &self,
        from: u64,
        floor: u64,
        staged: Option<&StagedImage>,
        done: &mut Recovered,
    ) -> Result<(Vec<ScanFile>, Gathered, Scanned, Vec<u8>)> {
        let files = self.truthful_files(from, &mut done.notes)?;
        let mut gathered = Gathered::spilling_to(self.files);
        let mut resume = settle::Starts::new(self.files);
        let own = |offset| self.survey.generation.as_ref().is_some_and(|g| g.own.contains(offset));
        let own_here = |offset| {
            self.history != History::Foreign && own(offset)
                || self.history == History::Foreign
                    && own(offset)
                    && self.survey.stamp.as_ref().is_some_and(|s| offset < s.log_end)
        };
        let mut last_timestamp = 0;
        let plan = Plan {
            files: &files,
            segment_size: self.segment_size,
            from,
            floor,
            own: &own_here,
            resume: &mut |after, end| resume.next_after(after, end),
            overlay: None,
        };
        let mut scanned = scan(plan, &mut |record, _| {
            last_timestamp = record.store_timestamp.max(last_timestamp);
            gathered.take(record)
        })?;
        if files.is_empty() {
            scanned.end = from.max(floor);
        }
        let mut replay = Vec::new();
        if let Some(staged) = staged {
            let bytes = staged.from(scanned.end);
            let file_end = scanned.end - scanned.end % self.segment_size + self.segment_size;
            let mut at = 0;
            while let Decoded::Record(record) = format::decode(
                bytes.get(at..).unwrap_or_default(),
                Checks { body_crc: true, record_crc: RecordCrc::Require },
            ) {
                let offset = scanned.end + at as u64;
                let size = u64::from(record.size);
                if record.physical_offset != offset || offset + size + 8 > file_end {
                    break;
                }
                last_timestamp = record.store_timestamp.max(last_timestamp);
                gathered.take(&record)?;
                at += record.size as usize;
                done.replayed += 1;
            }
            replay.extend_from_slice(bytes.get(..at).unwrap_or_default());
        }
        done.last_timestamp = last_timestamp;
        done.notes.append(&mut gathered.notes);
        Ok((files, gathered, scanned, replay))
    }

    /// Step 6: what was acknowledged, cut to what is there.
    ///
    /// Must happen before the first append: an acknowledgement that survived its message would else count for the next message
    /// that gets its offset.
    pub(super) fn progress(&self, config: &Config, recovered: &Recovered) -> Result<State> {
        let mut state = match (&self.survey.generation, self.history) {
            (Some(generation), History::Clean | History::Crashed) => {
                progress::load(&**self.storage, &self.layout.own(), generation.number)?.state
            }
            _ => State {
                cursors: config
                    .group_offsets()
                    .map(|(group, topic, queue, offset)| CursorRecord {
                        group: group.to_owned(),
                        topic: topic.to_owned(),
                        queue,
                        acked: progress::Acked::below(offset),
                    })
                    .collect(),
                ..State::default()
            },
        };
        let extents = &recovered.extents;
        state.clip(|topic, queue| extents.get(topic)?.get(queue as usize).map(|e| e.next));
        Ok(state)
    }
}
