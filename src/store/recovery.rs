//! Opening a store that was not closed, or not by us: finding the end of the log, and making everything agree with it.
//!
//! The order matters, and each step is safe to repeat after a crash in the middle:
//!
//! 1. Sync each log file to be read and drop its cached pages, so that what is read is what the disk holds.
//! 2. Scan to the end. Below the floor a bad record is damage; above it, the log is cut.
//! 3. Replay the staging buffer, if it belongs to this generation and goes on exactly at the end.
//! 4. Keep a copy of what is cut, zero the tail, remove later files, sync.
//! 5. Sync consume queue files and drop their cached pages, compare their units with the log, overwrite wrong ones, cut, sync.
//! 6. Clip acknowledgements to the recovered ends ([`Recovery::progress`]).

mod cache;
mod cut;
mod delays;
mod floor;
mod gather;
mod settle;
mod times;

use std::collections::BTreeMap;

use crate::commitlog::format::{self, Checks, Decoded, RecordCrc, RecordView};
use crate::commitlog::scan::{Fault, Plan, ScanFile, Scanned, Soundness, scan};
use crate::commitlog::staging::StagedImage;
use crate::consumequeue::Extent;
use crate::consumequeue::files::QueueFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::io::Storage;
use crate::layout::Layout;
use crate::message::names::subscription_of;
use crate::progress::{self, CursorRecord, State};
use crate::sync::Arc;
use crate::timer::levels::Levels;

use super::close::Config;
use super::report::History;
use super::state::{OwnRanges, QueueEnds};
use super::survey::Survey;

pub(super) use delays::Copies;
pub(super) use gather::{Gathered, QueueUnits, Told};
pub(super) use settle::Starts;
use times::Times;

/// What recovery works on.
#[derive(Debug)]
pub(super) struct Recovery<'a> {
    pub(super) storage: &'a Arc<dyn Storage>,
    pub(super) layout: &'a Layout,
    pub(super) survey: &'a Survey,
    pub(super) history: History,
    pub(super) segment_size: u64,
    pub(super) files: &'a QueueFiles,
    /// How long the levels of delay waited, as far as the units of delayed messages tell of it.
    pub(super) levels: &'a Levels,
}

/// The log as files and staging buffer have it.
#[derive(Debug)]
pub(super) struct LogImage {
    pub(super) scanned: Scanned,
    /// Records that go on behind the end of the scan.
    pub(super) replay: Vec<u8>,
    pub(super) replayed: u64,
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
    /// Where the sources of delivered copies end that no file tells of.
    pub(super) copies: Vec<u64>,
}

impl Recovered {
    pub(super) fn note_extent(&mut self, topic: &str, queue: u32, extent: Extent) {
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
        let ends = match QueueEnds::read(&**self.storage, self.layout, stamp.queues_crc) {
            // It can be derived, whatever became of it, be it only that there are too many queues for it to be read.
            Err(e) if e.kind() == ErrorKind::Corrupt => None,
            other => other?,
        };
        let Some(ends) = ends else { return Ok(None) };
        Ok(Some(Recovered {
            history: self.history,
            bases: self.survey.files.iter().map(|f| f.0).collect(),
            end: stamp.log_end,
            last_timestamp: self.last_time_below(stamp.log_end)?,
            extents: ends.topics.into_iter().collect(),
            ..Recovered::default()
        }))
    }

    fn full(&self) -> Result<Recovered> {
        let mut done = Recovered { history: self.history, ..Recovered::default() };
        let staged = self.staged()?;
        let mark = self.floor(staged.as_ref())?;
        self.reaches(mark.durable.max(mark.queues))?;
        let log_min = self.survey.files.first().map_or(0, |f| f.0);
        let known = self.known_ends();
        let copies_from = self.copies_from(log_min)?;
        let mut from = mark.queues.min(copies_from).max(log_min);
        loop {
            let files = self.truthful_files(from, &mut done.notes)?;
            let mut times = Times::default();
            let own = self.own();
            let mut copies = Copies::from(copies_from, &own);
            let mut gathered = Gathered::spilling_to(self.files, from, self.own(), self.levels);
            let image = self.read_log(
                &files,
                (from, mark.durable),
                staged.as_ref(),
                &mut |record, sound| {
                    if sound == Soundness::Sound {
                        times.saw(record.store_timestamp, own.contains(record.physical_offset));
                    }
                    copies.saw(record, sound);
                    gathered.take(record, sound)
                },
            )?;
            let partial = from > log_min;
            if partial && !self.queues_reach(&gathered, &known, from)? {
                let note = "consume queues were incomplete and are derived from the whole log";
                done.notes.push(note.to_owned());
                from = log_min;
                continue;
            }
            done.notes.append(&mut gathered.notes());
            if image.scanned.untold > 0 {
                done.notes.push(format!(
                    "{} damaged places do not tell which queue they belong to: a message that was the last of its queue there is not \
                     among its offsets any more, and the next one gets its offset",
                    image.scanned.untold
                ));
            }
            done.last_timestamp = times.believed.max(self.last_time_below(from)?);
            done.scanned = image.scanned.records;
            done.replayed = image.replayed;
            done.faults = image.scanned.faults;
            done.end = image.scanned.end;
            done.copies = copies.ends;
            self.make_log_true(&files, &image.replay, &mut done)?;
            self.settle_queues(&gathered, &known, (from, log_min), &mut done)?;
            return Ok(done);
        }
    }

    /// Whether there are files for all that is known to be durable.
    fn reaches(&self, durable: u64) -> Result<()> {
        let whole = self.survey.files.iter().rfind(|f| f.1 == self.segment_size);
        let end = whole.map_or(0, |f| f.0 + self.segment_size);
        if durable <= end {
            return Ok(());
        }
        let what = "a commit log file is missing that held durable messages";
        Err(Error::corrupt(&self.layout.segment(end), 0, what))
    }

    /// The staging buffer that a killed process left. Only our own crash leaves one that counts.
    pub(super) fn staged(&self) -> Result<Option<StagedImage>> {
        match (&self.survey.generation, self.history) {
            (Some(generation), History::Crashed) => {
                StagedImage::read(&**self.storage, self.layout, generation.number)
            }
            _ => Ok(None),
        }
    }

    fn known_ends(&self) -> QueueEnds {
        if self.history != History::Crashed {
            return QueueEnds::default();
        }
        let number = self.survey.generation.as_ref().map_or(0, |g| g.number);
        // As of the last opening, or the last time that queues were synced since: a lower bound, if it can be read at all.
        QueueEnds::read_any(&**self.storage, self.layout)
            .filter(|ends| ends.generation >= number)
            .unwrap_or_default()
    }

    /// Where we wrote the log ourselves. Somebody else may have gone on since the stamp, and without one we do not know since
    /// when.
    pub(super) fn own(&self) -> OwnRanges {
        let mut own = self.survey.generation.as_ref().map(|g| g.own.clone()).unwrap_or_default();
        if self.history == History::Foreign {
            own.close_at(self.survey.stamp.as_ref().map_or(0, |s| s.log_end));
        }
        own
    }

    /// Steps 2 and 3: reads the log from `from` to its end in `files` and on in the staging buffer.
    pub(super) fn read_log(
        &self,
        files: &[ScanFile],
        (from, floor): (u64, u64),
        staged: Option<&StagedImage>,
        on_record: &mut dyn FnMut(&RecordView<'_>, Soundness) -> Result<()>,
    ) -> Result<LogImage> {
        let mut starts = Starts::new(self.files);
        let own = self.own();
        let mut plan = Plan {
            files,
            segment_size: self.segment_size,
            from,
            floor,
            own: &|offset| own.contains(offset),
            resume: &mut |after, end| starts.next_after(after, end),
            copy: &|at| staged?.record_at(at),
        };
        let mut scanned = scan(&mut plan, on_record)?;
        if files.is_empty() {
            scanned.end = from.max(floor);
        }
        let mut image = LogImage { replay: Vec::new(), replayed: 0, scanned };
        let Some(staged) = staged else { return Ok(image) };
        let start = image.scanned.end;
        let bytes = staged.from(start);
        let file_end = start - start % self.segment_size + self.segment_size;
        let checks = Checks { body_crc: true, record_crc: RecordCrc::Require };
        let mut at = 0;
        while let Decoded::Record(record) =
            format::decode(bytes.get(at..).unwrap_or_default(), checks)
        {
            let offset = start + at as u64;
            let end = offset + u64::from(record.size) + format::BLANK_LEN as u64;
            if record.physical_offset != offset || end > file_end {
                break;
            }
            on_record(&record, Soundness::Sound)?;
            at += record.size as usize;
            image.replayed += 1;
        }
        image.replay.extend_from_slice(bytes.get(..at).unwrap_or_default());
        Ok(image)
    }

    /// Step 6: what was acknowledged, cut to what is there.
    ///
    /// Must happen before the first append: an acknowledgement that survived its message would else count for the next message
    /// that gets its offset.
    pub(super) fn progress(&self, config: &Config, recovered: &mut Recovered) -> Result<State> {
        let mut state = self.acknowledged(config, &mut recovered.notes)?;
        let extents = &recovered.extents;
        clip(&mut state, &mut recovered.notes, |topic, queue| {
            extents.get(topic)?.get(queue as usize).map(|e| e.next)
        });
        state.died();
        Ok(state)
    }

    /// What was acknowledged, as whoever wrote the store last has it.
    pub(super) fn acknowledged(&self, config: &Config, notes: &mut Vec<String>) -> Result<State> {
        if let (Some(generation), History::Clean | History::Crashed) =
            (&self.survey.generation, self.history)
        {
            let loaded = progress::load(&**self.storage, &self.layout.own(), generation.number)?;
            notes.extend(loaded.notes);
            return Ok(loaded.state);
        }
        let cursor = |(group, topic, queue, offset): (&str, &str, u32, u64)| CursorRecord {
            group: group.to_owned(),
            topic: topic.to_owned(),
            queue,
            acked: progress::Acked::below(offset),
            unsettled: progress::Unsettled::default(),
        };
        Ok(State { cursors: config.group_offsets().map(cursor).collect(), ..State::default() })
    }
}

/// Cuts what was acknowledged to what is there: `next` says where a queue ends.
pub(super) fn clip(
    state: &mut State,
    notes: &mut Vec<String>,
    next: impl Fn(&str, u32) -> Option<u64>,
) {
    let clipped = state.clip(next);
    notes.extend(clipped.iter().map(|c| {
        let who = subscription_of(&c.group)
            .map_or_else(|| format!("group {}", c.group), |name| format!("subscription {name}"));
        format!(
            "{who} had acknowledged {} queue {} up to {}, which the log no longer reaches; it is at {} now",
            c.topic, c.queue, c.was, c.now
        )
    }));
}
