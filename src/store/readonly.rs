//! A store looked at without changing it: closed, killed, a broker's, or open in another process.
//!
//! Everything is derived from the log, as recovery would, but nothing is written, locked or mapped, and the kernel is given no
//! advice about pages that somebody else is using. So it shows what the page cache shows.

mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::commitlog::format::BLANK_LEN;
use crate::commitlog::scan::ScanFile;
use crate::commitlog::segment::LogBytes;
use crate::consumequeue::format::Unit;
use crate::error::{Error, ErrorKind, Result};
use crate::io::Storage;
use crate::layout::Layout;
use crate::message::names::SCHEDULE_TOPIC;
use crate::progress::CursorRecord;
use crate::sync::Arc;
use crate::timer::levels::Levels;

use super::message::Message;
use super::recovery::{Gathered, QueueUnits, clip};
use super::report::OpenReport;
use super::state::{Generation, OwnRanges};
use look::{Found, Log, Look};

/// How often a look at a store that is changing its generation is begun anew.
const TRIES: usize = 5;

/// What a store holds at the moment of looking.
#[derive(Debug)]
pub(crate) struct Image {
    files: Vec<ScanFile>,
    segment_size: u64,
    generation: Option<Generation>,
    own: OwnRanges,
    /// Bytes that go on behind the files, from the staging buffer: where they start, and they.
    staged: (u64, Vec<u8>),
    /// Where the next look goes on.
    resume: u64,
    /// The last record, with the checksum of its bytes: if it is still there, so is all that lies before it.
    last: Option<(u64, u32, u32)>,
    /// Every record of the log: its position and size.
    pub(crate) records: Vec<(u64, u32)>,
    gathered: Gathered<'static>,
    /// How far each queue of the schedule topic was delivered, as far as that is written down; and where the sources of copies end.
    counted: Vec<u64>,
    copies: Vec<u64>,
    /// Topics that are configured, and with how many queues.
    pub(crate) topics: BTreeMap<String, u32>,
    pub(crate) cursors: Vec<CursorRecord>,
    pub(crate) report: OpenReport,
    /// Another process has the store open.
    pub(crate) live: bool,
}

impl Image {
    /// Looks at the store in `root`.
    pub(crate) fn of(storage: &Arc<dyn Storage>, root: &Path) -> Result<Self> {
        let mut image = Self {
            files: Vec::new(),
            segment_size: 0,
            generation: None,
            own: OwnRanges::default(),
            staged: (0, Vec::new()),
            resume: 0,
            last: None,
            records: Vec::new(),
            gathered: Gathered::in_memory(0, OwnRanges::default(), &Levels::default()),
            counted: Vec::new(),
            copies: Vec::new(),
            topics: BTreeMap::new(),
            cursors: Vec::new(),
            report: OpenReport::default(),
            live: false,
        };
        image.refresh(storage, root)?;
        Ok(image)
    }

    /// Looks again, and reads only what the log has more than before; all of it, if what was seen is not there any more. After an
    /// error everything is as it was.
    pub(crate) fn refresh(&mut self, storage: &Arc<dyn Storage>, root: &Path) -> Result<()> {
        let layout = Layout::new(root);
        storage.list(root).map_err(|e| Error::io(e, root, "look into the store folder"))?;
        let mut last = Ok(());
        for _ in 0..TRIES {
            let before = Generation::read(&**storage, &layout)?.map(|g| g.number);
            let found = Look { storage, layout: &layout, since: self }.look();
            let after = Generation::read(&**storage, &layout)?.map(|g| g.number);
            match found {
                // Somebody opened the store meanwhile: what was read may belong to two lives.
                _ if before != after => {}
                Ok(found) => return self.take(found),
                // A live writer replaces its small files; another look finds the new ones.
                Err(e) if storage.is_locked(&layout.lock()).unwrap_or(false) => last = Err(e),
                Err(e) => return Err(e),
            }
        }
        last?;
        Err(Error::new(ErrorKind::Busy, "the store is being opened and closed all the time")
            .at(root))
    }

    /// Puts what was found to what is known.
    fn take(&mut self, found: Found) -> Result<()> {
        self.take_log(found.log)?;
        for (topic, id, next) in found.gone {
            let queue = || QueueUnits::empty_at(next);
            self.gathered.queues.entry(topic).or_default().entry(id).or_insert_with(queue);
        }
        let (mut state, mut notes) = (found.state, found.notes);
        notes.extend(self.gathered.notes());
        let (queues, mut clipped) = (&self.gathered.queues, Vec::new());
        clip(&mut state, &mut clipped, |topic, id| Some(queues.get(topic)?.get(&id)?.next()));
        // A live store goes on while it is looked at: its journal is read last, and speaks of messages that came after the look.
        if !found.live {
            notes.append(&mut clipped);
        }
        self.counted = found.counted;
        self.topics = found.topics;
        self.topics.extend(state.topics.iter().map(|t| (t.name.clone(), t.queues)));
        self.cursors = state.cursors;
        self.report.history = found.history;
        self.report.notes = notes;
        self.files = found.files;
        self.segment_size = found.segment_size;
        self.generation = found.generation;
        self.own = found.own;
        self.live = found.live;
        Ok(())
    }

    fn take_log(&mut self, log: Log) -> Result<()> {
        // Where no more came into the files, what was staged before may still be nowhere else; it is the same.
        let staged_goes_on =
            log.whole.is_none() && log.end == self.resume && self.staged.0 <= log.end;
        if let Some(whole) = log.whole {
            self.gathered = whole;
            self.records.clear();
            self.copies.clear();
            self.report.damage.clear();
            self.last = None;
        }
        for told in &log.told {
            self.gathered.place(told)?;
        }
        self.records.extend(log.records);
        self.copies.extend(log.copies);
        self.copies.sort_unstable();
        self.last = log.last.or(self.last);
        if staged_goes_on {
            let keep = usize::try_from(self.resume - self.staged.0).unwrap_or(usize::MAX);
            self.staged.1.truncate(keep);
            self.staged.1.extend(log.replay);
        } else {
            self.staged = (log.end, log.replay);
        }
        self.resume = log.resume;
        self.report.damage.extend(log.damage);
        self.report.records_replayed = log.replayed;
        self.report.records_scanned = (self.records.len() as u64).saturating_sub(log.replayed);
        Ok(())
    }

    /// The topics that have messages or are configured.
    pub(crate) fn topic_names(&self) -> BTreeSet<&String> {
        self.gathered.queues.keys().chain(self.topics.keys()).collect()
    }

    /// How many queues of a topic have, or had, messages: the highest number that does, and one.
    pub(crate) fn queue_count(&self, topic: &str) -> u32 {
        let last = self.gathered.queues.get(topic).and_then(|q| q.keys().next_back());
        last.map_or(0, |last| last + 1)
    }

    /// The offset of a queue's first unit, and its units.
    pub(crate) fn units(&self, topic: &str, queue: u32) -> (u64, &[Unit]) {
        let queue = self.gathered.queues.get(topic).and_then(|q| q.get(&queue));
        queue.map_or((0, &[]), |queue| (queue.first, &queue.units))
    }

    /// The messages of the schedule topic that were not delivered: queue and unit, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (u32, Unit)> {
        let queues = self.gathered.queues.get(SCHEDULE_TOPIC).into_iter().flatten();
        queues.flat_map(|(id, queue)| {
            let counted = self.counted.get(*id as usize).copied().unwrap_or(0);
            let skip = usize::try_from(counted.saturating_sub(queue.first)).unwrap_or(usize::MAX);
            let copied = |unit: &Unit| {
                unit.points_somewhere() && self.copies.binary_search(&unit.end()).is_ok()
            };
            let behind = queue.units.iter().rposition(copied).map_or(0, |last| last + 1);
            queue.units.iter().skip(skip.max(behind)).map(|unit| (*id, *unit))
        })
    }

    /// The record at a position of the log.
    pub(crate) fn message(&self, offset: u64, size: u32) -> Result<Message> {
        let bytes = self.bytes(offset, size as usize)?;
        let own = self.own.contains(offset);
        Message::parse(LogBytes::Copied(bytes.into()), own).map_err(|what| {
            Error::new(ErrorKind::Corrupt, format!("the record is damaged: {what}"))
                .at_offset(offset)
        })
    }

    fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (staged_from, staged) = (self.staged.0, &self.staged.1);
        if offset >= staged_from {
            let at = usize::try_from(offset - staged_from).unwrap_or(usize::MAX);
            let part = at.checked_add(len).and_then(|end| staged.get(at..end));
            return part.map(<[u8]>::to_vec).ok_or_else(|| beyond_end(offset));
        }
        let file = self
            .files
            .iter()
            .find(|f| (f.base..f.base + self.segment_size).contains(&offset))
            .filter(|f| offset + len as u64 + BLANK_LEN as u64 <= f.base + self.segment_size)
            .ok_or_else(|| beyond_end(offset))?;
        let mut bytes = vec![0; len];
        file.file
            .read_at(offset - file.base, &mut bytes)
            .map_err(|e| Error::io(e, &file.path, "read the commit log"))?;
        Ok(bytes)
    }
}

fn beyond_end(offset: u64) -> Error {
    Error::new(ErrorKind::NotFound, "the log does not reach that far").at_offset(offset)
}
