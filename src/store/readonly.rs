//! A store looked at without changing it: closed, killed, a broker's, or open in another process.
//!
//! Everything is derived from the log, as recovery would, but nothing is written, locked or mapped, and the kernel is given no
//! advice about pages that somebody else is using. So it shows what the page cache shows.

use std::collections::BTreeMap;
use std::path::Path;

use crate::commitlog::format::BLANK_LEN;
use crate::commitlog::scan::{ScanFile, Scanned, Soundness};
use crate::commitlog::segment::LogBytes;
use crate::consumequeue::Extent;
use crate::consumequeue::files::QueueFiles;
use crate::consumequeue::format::Unit;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{OpenMode, Storage};
use crate::layout::Layout;
use crate::options::{Conflict, DEFAULT_QUEUE_FILE_SIZE, DEFAULT_SEGMENT_SIZE};
use crate::progress::CursorRecord;
use crate::sync::Arc;

use super::close::Config;
use super::message::Message;
use super::recovery::{Gathered, Recovered, Recovery};
use super::report::{Damage, History, OpenReport};
use super::state::{Generation, OwnRanges};
use super::survey::Survey;

/// How often a look at a store that is changing its generation is begun anew.
const TRIES: usize = 5;

/// The units of one queue: the offset of the first, and the units.
pub(crate) type QueueImage = (u64, Vec<Unit>);

/// What a store holds at the moment of looking.
#[derive(Debug)]
pub(crate) struct Image {
    files: Vec<ScanFile>,
    segment_size: u64,
    own: OwnRanges,
    /// Bytes that go on behind the files, from the staging buffer: where they start, and they.
    staged: (u64, Vec<u8>),
    /// Every record of the log: its position and size.
    pub(crate) records: Vec<(u64, u32)>,
    /// By topic and queue.
    pub(crate) queues: BTreeMap<String, BTreeMap<u32, QueueImage>>,
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
        let layout = Layout::new(root);
        storage.list(root).map_err(|e| Error::io(e, root, "look into the store folder"))?;
        let mut last = Ok(());
        for _ in 0..TRIES {
            let before = Generation::read(&**storage, &layout)?.map(|g| g.number);
            let image = Self::look(storage, &layout);
            let after = Generation::read(&**storage, &layout)?.map(|g| g.number);
            match image {
                // Somebody opened the store meanwhile: what was read may belong to two lives.
                _ if before != after => {}
                Ok(image) => return Ok(image),
                // A live writer replaces its small files; another look finds the new ones.
                Err(e) if storage.is_locked(&layout.lock()).unwrap_or(false) => last = Err(e),
                Err(e) => return Err(e),
            }
        }
        last?;
        Err(Error::new(ErrorKind::Busy, "the store is being opened and closed all the time")
            .at(root))
    }

    fn look(storage: &Arc<dyn Storage>, layout: &Layout) -> Result<Self> {
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
        let recovery = Recovery {
            storage,
            layout,
            survey: &survey,
            history,
            segment_size,
            files: &queue_files,
        };
        // The staging buffer first: what leaves it afterwards is in the files by then.
        let staged = recovery.staged()?;
        let mark = recovery.floor(staged.as_ref())?;
        let log_min = survey.files.first().map_or(0, |f| f.0);
        let files = files_of(storage, layout, &survey, segment_size)?;
        // A live store with durable sends shows no more than its own readers may see.
        let limit = match &staged {
            Some(staged) if live && staged.durable_only => staged.durable.unwrap_or(0),
            _ => u64::MAX,
        };
        let mut gathered = Gathered::in_memory(log_min, recovery.own());
        let mut records = Vec::new();
        let log = recovery.read_log(
            &files,
            (log_min, mark.durable),
            staged.as_ref(),
            &mut |record, sound| {
                if sound == Soundness::Sound {
                    if record.physical_offset + u64::from(record.size) > limit {
                        return Ok(());
                    }
                    records.push((record.physical_offset, record.size));
                }
                gathered.take(record, sound)
            },
        )?;
        let config = Config::load(&**storage, layout)?;
        let mut recovered = Recovered { history, ..Recovered::default() };
        let queues = queues_of(gathered, &queue_files, log_min, &mut recovered)?;
        let state = recovery.progress(&config, &mut recovered)?;
        let mut topics: BTreeMap<String, u32> =
            config.topic_counts().map(|(name, n)| (name.to_owned(), n)).collect();
        topics.extend(state.topics.iter().map(|t| (t.name.clone(), t.queues)));
        Ok(Self {
            own: recovery.own(),
            staged: (log.scanned.end, log.replay),
            files,
            segment_size,
            records,
            queues,
            topics,
            cursors: state.cursors,
            report: report_of(history, &log.scanned, log.replayed, recovered.notes),
            live,
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

fn report_of(history: History, scanned: &Scanned, replayed: u64, notes: Vec<String>) -> OpenReport {
    OpenReport {
        history,
        records_scanned: scanned.records,
        records_replayed: replayed,
        damage: scanned.faults.iter().map(Damage::from).collect(),
        notes,
        ..OpenReport::default()
    }
}

fn beyond_end(offset: u64) -> Error {
    Error::new(ErrorKind::NotFound, "the log does not reach that far").at_offset(offset)
}

/// The whole log files. One that is shorter was being created when its writer died (or is being created right now).
fn files_of(
    storage: &Arc<dyn Storage>,
    layout: &Layout,
    survey: &Survey,
    segment_size: u64,
) -> Result<Vec<ScanFile>> {
    let whole = survey.files.iter().filter(|f| f.1 == segment_size);
    whole
        .map(|(base, _)| {
            let path = layout.segment(*base);
            let file = storage
                .open(&path, OpenMode::Read)
                .map_err(|e| Error::io(e, &path, "open the commit log"))?;
            Ok(ScanFile { base: *base, path, file })
        })
        .collect()
}

/// The queues that the log gave, and those whose messages are all gone from it.
fn queues_of(
    gathered: Gathered<'_>,
    files: &QueueFiles,
    log_min: u64,
    recovered: &mut Recovered,
) -> Result<BTreeMap<String, BTreeMap<u32, QueueImage>>> {
    recovered.notes.append(&mut gathered.notes());
    let mut queues: BTreeMap<String, BTreeMap<u32, QueueImage>> = BTreeMap::new();
    for (topic, by_id) in gathered.queues {
        for (id, queue) in by_id {
            recovered.note_extent(&topic, id, Extent { min: queue.first, next: queue.next() });
            queues.entry(topic.clone()).or_default().insert(id, (queue.first, queue.units));
        }
    }
    for (topic, id) in files.queues_on_disk()? {
        if log_min == 0 || queues.get(&topic).is_some_and(|q| q.contains_key(&id)) {
            continue;
        }
        if let Some(extent) = files.extent((&topic, id))? {
            recovered.note_extent(&topic, id, Extent { min: extent.next, ..extent });
            queues.entry(topic).or_default().insert(id, (extent.next, Vec::new()));
        }
    }
    Ok(queues)
}
