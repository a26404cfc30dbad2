//! A look at a store directory, before anything in it is changed.

use std::io::ErrorKind as IoKind;
use std::path::Path;

use crate::consumequeue::format::UNIT_LEN;
use crate::error::{Error, ErrorKind, Result};
use crate::io::small::read_small;
use crate::io::{Entry, EntryKind, OpenMode, Storage};
use crate::layout::{Layout, MARKER_NAME, parse_file_name};
use crate::options::Conflict;
use crate::timer::levels::Levels;

use super::report::History;
use super::state::{CleanStamp, Generation, Kept, LARGEST_FILE, Takeover};

/// The names of the configuration files that we write.
pub(super) const CONFIG_FILES: [&str; 3] =
    ["topics.json", "subscriptionGroup.json", "consumerOffset.json"];

/// Written too where messages were delayed.
pub(super) const DELAY_FILE: &str = "delayOffset.json";

/// What the directory says.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a directory")]
pub(crate) struct Survey {
    pub(super) generation: Option<Generation>,
    pub(super) stamp: Option<CleanStamp>,
    /// The stamp is there, and everything is as it says.
    stamp_holds: bool,
    /// Somebody else had changed the store, and opening it was interrupted.
    taken_over: bool,
    marker: bool,
    abort: bool,
    /// Whoever wrote the store last, and was not us, did not stop cleanly.
    pub(super) broker_died: bool,
    /// The log's files in order, without gaps: base and length.
    pub(super) files: Vec<(u64, u64)>,
    pub(super) segment_size: Option<u64>,
    pub(super) queue_file_size: Option<u64>,
    /// How far delayed messages were delivered.
    pub(super) delays: Kept,
    has_config: bool,
    /// Nothing was ever written to the log.
    log_is_blank: bool,
}

impl Survey {
    pub(crate) fn of(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        let generation = Generation::read(storage, layout)?;
        let number = generation.as_ref().map_or(0, |g| g.number);
        let takeover = Takeover::read(storage, layout)?.filter(|note| note.generation == number);
        let taken_over = takeover.is_some() && generation.is_some();
        let (marker, files) = log_files(storage, layout)?;
        let segment_size = segment_size(layout, generation.as_ref(), &files)?;
        let abort = exists(storage, &layout.abort())?;
        // Beside our marker, `abort` may be ours: the note was written before. Without it, a broker may have come since.
        let broker_died = match &takeover {
            Some(note) if marker => note.broker_died,
            _ => abort,
        };
        let stamp = CleanStamp::read(storage, layout)?;
        let stamp = stamp.or_else(|| takeover.map(|note| note.stamp));
        let queue_file_size = match &generation {
            Some(generation) => Some(generation.queue_file_size),
            None => queue_file_size(storage, layout)?,
        };
        let has_config = !list(storage, &layout.config())?.is_empty();
        let mut survey = Self {
            generation,
            stamp,
            stamp_holds: false,
            taken_over,
            marker,
            abort,
            broker_died,
            files,
            segment_size,
            queue_file_size,
            delays: Kept::read(storage, layout)?,
            has_config,
            log_is_blank: false,
        };
        survey.log_is_blank = survey.generation.is_none() && survey.check_blank(storage, layout)?;
        survey.stamp_holds = survey.check_stamp(storage, layout)?;
        Ok(survey)
    }

    /// Who was here last.
    pub(crate) fn history(&self, conflict: Conflict) -> Result<History> {
        let Some(_) = &self.generation else {
            // A first open that was interrupted leaves the marker, and perhaps an empty file.
            let begun = self.marker && self.log_is_blank;
            return Ok(if (self.files.is_empty() || begun) && !self.has_config {
                History::New
            } else {
                History::Foreign
            });
        };
        if self.taken_over {
            return Ok(History::Foreign);
        }
        if self.stamp_holds {
            return Ok(History::Clean);
        }
        if self.stamp.is_some() {
            return Ok(History::Foreign);
        }
        if self.marker {
            return Ok(History::Crashed);
        }
        match conflict {
            Conflict::KeepOwn => Ok(History::Crashed),
            Conflict::KeepConfig => Ok(History::Foreign),
            Conflict::Refuse => Err(Error::new(
                ErrorKind::Corrupt,
                "this store was neither closed nor left open: the files that would say which were removed. \
                 Options::on_conflict chooses whether config/ or pocketmq/ is right",
            )),
        }
    }

    /// Whether all log files are there that a close left. Asked before anything is changed, so that a file can be put back.
    pub(crate) fn check_complete(&self, layout: &Layout) -> Result<()> {
        let size = self.segment_size.unwrap_or(0);
        let end = self.files.iter().rfind(|f| f.1 == size).map_or(0, |f| f.0 + size);
        match &self.stamp {
            Some(stamp) if end < stamp.log_end => Err(Error::corrupt(
                &layout.segment(end),
                0,
                "this commit log file is missing, and it held messages when the store was closed",
            )),
            _ => Ok(()),
        }
    }

    /// A config file can be byte-identical after a broker's run while the log has grown: so the log is looked at too.
    ///
    /// `abort` beside our marker is our own, left by a close that was interrupted after the stamp; without the marker it is a
    /// broker's.
    fn check_stamp(&self, storage: &dyn Storage, layout: &Layout) -> Result<bool> {
        let (Some(generation), Some(stamp)) = (&self.generation, &self.stamp) else {
            return Ok(false);
        };
        let first = self.files.first().map_or(stamp.first_base, |f| f.0);
        let last = self.files.last().map_or(stamp.last_base, |f| f.0);
        let same = stamp.generation == generation.number
            && (!self.abort || self.marker)
            && self.files.len() as u64 == u64::from(stamp.files)
            && (first, last) == (stamp.first_base, stamp.last_base)
            && self.files.iter().all(|f| Some(f.1) == self.segment_size);
        if !same {
            return Ok(false);
        }
        for (name, crc) in &stamp.configs {
            let path = layout.config().join(name);
            let text = read_small(storage, &path, 1 << 30)?;
            if text.is_none_or(|text| crc32fast::hash(&text) != *crc) {
                return Ok(false);
            }
        }
        self.nothing_after(storage, layout, stamp)
    }

    /// How long the levels of delay waited when the store was written: its queues' units go by that. What it does not tell is `asked`.
    pub(super) fn levels(&self, asked: &Levels) -> Levels {
        match &self.delays {
            Kept::Mark(mark) => Levels::of_ms(&mark.levels),
            _ => None,
        }
        .unwrap_or_else(|| asked.clone())
    }

    fn check_blank(&self, storage: &dyn Storage, layout: &Layout) -> Result<bool> {
        for (base, len) in &self.files {
            let path = layout.segment(*base);
            let io = |e| Error::io(e, &path, "read the commit log");
            let mut head = vec![0; usize::try_from((*len).min(4096)).unwrap_or(0)];
            let file = storage.open(&path, OpenMode::Read).map_err(io)?;
            file.read_at(0, &mut head).map_err(io)?;
            if head.iter().any(|b| *b != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn nothing_after(
        &self,
        storage: &dyn Storage,
        layout: &Layout,
        stamp: &CleanStamp,
    ) -> Result<bool> {
        let Some((base, len)) = self.files.last().filter(|(base, len)| stamp.log_end < base + len)
        else {
            return Ok(true);
        };
        let path = layout.segment(*base);
        let io = |e| Error::io(e, &path, "read the end of the commit log");
        let at = stamp.log_end.saturating_sub(*base);
        let mut head = vec![0; usize::try_from((len - at).min(4096)).unwrap_or(0)];
        let file = storage.open(&path, OpenMode::Read).map_err(io)?;
        file.read_at(at, &mut head).map_err(io)?;
        Ok(head.iter().all(|b| *b == 0))
    }
}

fn exists(storage: &dyn Storage, path: &Path) -> Result<bool> {
    match storage.open(path, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == IoKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(e, path, "look at")),
    }
}

fn list(storage: &dyn Storage, dir: &Path) -> Result<Vec<Entry>> {
    match storage.list(dir) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == IoKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io(e, dir, "list")),
    }
}

/// The files in `commitlog/`, and whether our marker is among them. Anything else there is refused: a broker would refuse it
/// too, and we do not delete what we do not know.
fn log_files(storage: &dyn Storage, layout: &Layout) -> Result<(bool, Vec<(u64, u64)>)> {
    let dir = layout.commitlog();
    let (mut marker, mut files) = (false, Vec::new());
    for entry in list(storage, &dir)? {
        let stray = |what: &str| {
            Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{what} does not belong into a commit log; move it away"),
            )
            .at(&dir.join(&entry.name)))
        };
        match (entry.kind, parse_file_name(&entry.name)) {
            (EntryKind::File, Some(base)) => files.push((base, entry.len)),
            (EntryKind::File, None) if entry.name == MARKER_NAME => marker = true,
            (EntryKind::Dir, None) => {}
            (EntryKind::File, None) => return stray("this file"),
            _ => return stray("this entry"),
        }
    }
    files.sort_unstable();
    Ok((marker, files))
}

fn segment_size(
    layout: &Layout,
    generation: Option<&Generation>,
    files: &[(u64, u64)],
) -> Result<Option<u64>> {
    let size = match (generation, files) {
        (Some(generation), _) => generation.segment_size,
        (None, []) => return Ok(None),
        (None, [(_, len)]) => *len,
        // The distance of two names is the size of the first.
        (None, [(first, _), (second, _), ..]) => second - first,
    };
    let wrong = |base: u64, what: String| {
        Err(Error::new(ErrorKind::Corrupt, what).at(&layout.segment(base)))
    };
    let last = files.last().map_or(0, |f| f.0);
    for (at, (base, len)) in files.iter().enumerate() {
        let expected = files.first().map_or(0, |f| f.0) + at as u64 * size;
        if *base != expected {
            return wrong(expected, "a commit log file is missing".to_owned());
        }
        // A file whose creation was cut short by a crash is the last one, and shorter.
        if *len != size && (*base != last || *len > size) {
            return wrong(
                *base,
                format!("this commit log file has {len} bytes, not {size} like the others"),
            );
        }
    }
    if size > LARGEST_FILE {
        // We would write it into `generation`, and not believe it when it is read.
        let base = files.first().map_or(0, |f| f.0);
        let what = format!("commit log files of {size} bytes are larger than any broker's");
        return wrong(base, what);
    }
    if size == 0 {
        return Ok(None);
    }
    Ok(Some(size))
}

/// For a store that we have not written: the size of its largest consume queue file (a shorter one was cut short).
fn queue_file_size(storage: &dyn Storage, layout: &Layout) -> Result<Option<u64>> {
    let root = layout.consumequeue();
    let mut size = None;
    for topic in list(storage, &root)?.iter().filter(|e| e.kind == EntryKind::Dir) {
        let topic_dir = root.join(&topic.name);
        for queue in list(storage, &topic_dir)?.iter().filter(|e| e.kind == EntryKind::Dir) {
            for file in list(storage, &topic_dir.join(&queue.name))? {
                let sound = parse_file_name(&file.name).is_some()
                    && (1..=LARGEST_FILE).contains(&file.len)
                    && file.len.is_multiple_of(UNIT_LEN as u64);
                if sound {
                    size = size.max(Some(file.len));
                }
            }
        }
    }
    Ok(size)
}
