//! One look at a store: what is new since the last one, or everything.

use std::collections::BTreeMap;

use crate::commitlog::scan::{ScanFile, Soundness};
use crate::commitlog::staging::StagedImage;
use crate::consumequeue::files::QueueFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{OpenMode, Storage};
use crate::layout::Layout;
use crate::options::{
    Conflict, DEFAULT_QUEUE_FILE_SIZE, DEFAULT_SEGMENT_SIZE, MAX_QUEUES as LEVELS_MAX,
};
use crate::progress::State;
use crate::store::close::Config;
use crate::store::recovery::{Copies, Gathered, Recovery, Told};
use crate::store::report::{Damage, History};
use crate::store::state::{Generation, OwnRanges};
use crate::store::survey::Survey;
use crate::sync::Arc;
use crate::timer::levels::Levels;

use super::Image;

/// What a look found: everything that changes the image, so that it changes as a whole or not at all.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) log: Log,
    /// Queues whose messages are all gone from the log, and their next offsets.
    pub(super) gone: Vec<(String, u32, u64)>,
    pub(super) state: State,
    pub(super) topics: BTreeMap<String, u32>,
    pub(super) notes: Vec<String>,
    /// For each queue of the schedule topic: how far it was delivered, as far as that is written down.
    pub(super) counted: Vec<u64>,
    pub(super) history: History,
    pub(super) files: Vec<ScanFile>,
    pub(super) segment_size: u64,
    pub(super) generation: Option<Generation>,
    pub(super) own: OwnRanges,
    pub(super) live: bool,
}

/// What was read of the log.
#[derive(Debug)]
pub(super) struct Log {
    /// The queues, where everything was read; `None` if only what is new was.
    pub(super) whole: Option<Gathered<'static>>,
    pub(super) told: Vec<Told<String>>,
    pub(super) records: Vec<(u64, u32)>,
    /// Where the sources of copies end.
    pub(super) copies: Vec<u64>,
    /// The last of them, and the checksum of its bytes.
    pub(super) last: Option<(u64, u32, u32)>,
    /// Where the files end, what goes on there in the staging buffer, and how many of the records are of it.
    pub(super) end: u64,
    pub(super) replay: Vec<u8>,
    pub(super) replayed: u64,
    pub(super) resume: u64,
    pub(super) damage: Vec<Damage>,
}

/// A look that is about to be taken.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) storage: &'a Arc<dyn Storage>,
    pub(super) layout: &'a Layout,
    pub(super) since: &'a Image,
}

impl Look<'_> {
    pub(super) fn look(&self) -> Result<Found> {
        let (storage, layout) = (self.storage, self.layout);
        let live = storage
            .is_locked(&layout.lock())
            .map_err(|e| Error::io(e, &layout.lock(), "look at the lock"))?;
        let survey = Survey::of(&**storage, layout)?;
        let history = survey.history(Conflict::KeepOwn)?;
        let segment_size = survey.segment_size.unwrap_or(DEFAULT_SEGMENT_SIZE);
        let queue_files = QueueFiles::new(
            storage,
            layout,
            survey.queue_file_size.unwrap_or(DEFAULT_QUEUE_FILE_SIZE),
        );
        let levels = survey.levels(&Levels::default());
        let recovery = Recovery {
            storage,
            layout,
            survey: &survey,
            history,
            segment_size,
            files: &queue_files,
            levels: &levels,
        };
        // The staging buffer first: what leaves it afterwards is in the files by then.
        let staged = recovery.staged()?;
        let files = self.files_of(&survey, segment_size)?;
        let log = self.read(&recovery, &files, staged.as_ref(), live)?;
        let log_min = files.first().map_or(0, |f| f.base);
        let config = Config::load(&**storage, layout)?;
        let mut notes = Vec::new();
        let state = recovery.acknowledged(&config, &mut notes)?;
        Ok(Found {
            log,
            gone: gone(&queue_files, log_min)?,
            state,
            topics: config.topic_counts().map(|(name, n)| (name.to_owned(), n)).collect(),
            notes,
            counted: (0..LEVELS_MAX).map(|queue| recovery.counted(&config, queue)).collect(),
            history,
            own: recovery.own(),
            files,
            segment_size,
            generation: survey.generation.clone(),
            live,
        })
    }

    fn read(
        &self,
        recovery: &Recovery<'_>,
        files: &[ScanFile],
        staged: Option<&StagedImage>,
        live: bool,
    ) -> Result<Log> {
        let mark = recovery.floor(staged)?;
        let log_min = recovery.survey.files.first().map_or(0, |f| f.0);
        // A live store with durable sends shows no more than its own readers may see.
        let limit = match staged {
            Some(staged) if live && staged.durable_only => staged.durable.ok_or_else(|| {
                // Its two halves were read while one of them was new. Another look finds both.
                let what = "the store is writing down how far it is durable";
                Error::new(ErrorKind::Busy, what).at(self.layout.root())
            })?,
            _ => u64::MAX,
        };
        let goes_on = self.goes_on(recovery, files, staged)?;
        let from = if goes_on { self.since.resume } else { log_min };
        let mut whole =
            (!goes_on).then(|| Gathered::in_memory(log_min, recovery.own(), recovery.levels));
        let (mut told, mut records) = (Vec::new(), Vec::new());
        let own = recovery.own();
        let mut copies = Copies::from(0, &own);
        let mut hidden = None;
        let read =
            recovery.read_log(files, (from, mark.durable), staged, &mut |record, sound| {
                if sound == Soundness::Sound {
                    if record.physical_offset + u64::from(record.size) > limit {
                        hidden.get_or_insert(record.physical_offset);
                        return Ok(());
                    }
                    records.push((record.physical_offset, record.size));
                    copies.saw(record, sound);
                }
                match &mut whole {
                    Some(whole) => whole.take(record, sound)?,
                    None => {
                        told.extend(
                            Told::by(record, sound, recovery.levels).map(|told| told.kept()),
                        );
                    }
                }
                Ok(())
            })?;
        let end = read.scanned.end;
        let last = match records.last() {
            Some(last) => checksum(files, staged, recovery.segment_size, *last)?,
            None => None,
        };
        Ok(Log {
            whole,
            told,
            last,
            end,
            replayed: records.iter().rev().take_while(|(at, _)| *at >= end).count() as u64,
            resume: hidden.unwrap_or(end + read.replay.len() as u64),
            replay: read.replay,
            damage: read.scanned.faults.iter().map(Damage::from).collect(),
            records,
            copies: copies.ends,
        })
    }

    /// Whether all that was seen before is still there, so that only what follows has to be read.
    ///
    /// Within our own generations the log only grows, except that a crash may have taken its end; then the last record that was
    /// seen is another now, or none.
    fn goes_on(
        &self,
        recovery: &Recovery<'_>,
        files: &[ScanFile],
        staged: Option<&StagedImage>,
    ) -> Result<bool> {
        let (old, survey) = (self.since, recovery.survey);
        let (Some(before), Some(now)) = (&old.generation, &survey.generation) else {
            return Ok(false);
        };
        let Some((at, size, crc)) = old.last else { return Ok(false) };
        let ours = |history| matches!(history, History::Clean | History::Crashed);
        let same = before.number <= now.number
            && before.own == now.own
            && recovery.segment_size == old.segment_size
            && ours(old.report.history)
            && ours(recovery.history)
            && files.first().map(|f| f.base) == old.files.first().map(|f| f.base);
        // Of another store the files may not even reach that far.
        if !same {
            return Ok(false);
        }
        Ok(checksum(files, staged, old.segment_size, (at, size))? == Some((at, size, crc)))
    }

    /// The whole log files. One that is shorter was being created when its writer died (or is being created right now).
    fn files_of(&self, survey: &Survey, segment_size: u64) -> Result<Vec<ScanFile>> {
        let whole = survey.files.iter().filter(|f| f.1 == segment_size);
        whole
            .map(|(base, _)| {
                let path = self.layout.segment(*base);
                let file = self
                    .storage
                    .open(&path, OpenMode::Read)
                    .map_err(|e| Error::io(e, &path, "open the commit log"))?;
                Ok(ScanFile { base: *base, path, file })
            })
            .collect()
    }
}

/// The checksum of a record's bytes, wherever they are; `None` if no record is there.
fn checksum(
    files: &[ScanFile],
    staged: Option<&StagedImage>,
    segment_size: u64,
    (at, size): (u64, u32),
) -> Result<Option<(u64, u32, u32)>> {
    let mut bytes = vec![0; size as usize];
    let holder = files.iter().find(|f| (f.base..f.base + segment_size).contains(&at));
    if let Some(file) = holder.filter(|f| at - f.base + u64::from(size) <= segment_size) {
        file.file
            .read_at(at - file.base, &mut bytes)
            .map_err(|e| Error::io(e, &file.path, "read the commit log"))?;
    }
    // Nothing of it has left the staging buffer yet, or not all.
    if let Some(copy) = staged.and_then(|staged| staged.record_at(at)) {
        bytes = copy;
    }
    let there = bytes.iter().any(|byte| *byte != 0);
    Ok(there.then(|| (at, size, crc32fast::hash(&bytes))))
}

/// The queues that only their files know: retention took all their messages.
fn gone(files: &QueueFiles, log_min: u64) -> Result<Vec<(String, u32, u64)>> {
    let mut gone = Vec::new();
    if log_min > 0 {
        for (topic, id) in files.queues_on_disk()? {
            if let Some(extent) = files.extent((&topic, id))? {
                gone.push((topic, id, extent.next));
            }
        }
    }
    Ok(gone)
}
