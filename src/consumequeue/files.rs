//! The files of consume queues: fixed size, 20-byte units, slot number = queue offset.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::io::{Eviction, OpenMode, Storage, StoreFile};
use crate::layout::{Layout, QUEUES_MAX, file_name, parse_file_name};
use crate::sync::{Arc, Mutex};

use super::format::{FILLER, UNIT_LEN, Unit};

/// With more files than this to sync, one call for the whole file system is cheaper.
const MANY_FILES: usize = 32;
/// How much of a file is looked at in one go when it is cut.
const WINDOW: usize = 64 << 10;
/// Units that are read in one go to find where a run of them ends.
const RUN: usize = 16 << 10;

/// Reads and writes the units of all queues of a store.
#[derive(Debug)]
pub(crate) struct QueueFiles {
    storage: Arc<dyn Storage>,
    layout: Layout,
    units_per_file: u64,
    /// Files written, and folders changed, since the last sync.
    dirty: Mutex<Dirty>,
}

#[derive(Debug, Default)]
struct Dirty {
    files: std::collections::BTreeSet<PathBuf>,
    folders: std::collections::BTreeSet<PathBuf>,
}

/// The name of a queue: topic and number.
pub(crate) type QueueName<'a> = (&'a str, u32);

impl QueueFiles {
    pub(crate) fn new(storage: &Arc<dyn Storage>, layout: &Layout, file_size: u64) -> Self {
        Self {
            storage: Arc::clone(storage),
            layout: layout.clone(),
            units_per_file: (file_size / UNIT_LEN as u64).max(1),
            dirty: Mutex::new(Dirty::default()),
        }
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.units_per_file * UNIT_LEN as u64
    }

    fn path(&self, queue: QueueName<'_>, base: u64) -> PathBuf {
        self.layout.queue_dir(queue.0, queue.1).join(file_name(base * UNIT_LEN as u64))
    }

    /// Splits `from..from + count` at file boundaries: base unit of the file, first unit in it, number of units.
    fn pieces(&self, from: u64, count: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let per_file = self.units_per_file;
        let end = from + count;
        let mut at = from;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let base = at / per_file * per_file;
                let n = (base + per_file).min(end) - at;
                let piece = (base, at - base, n);
                at += n;
                piece
            })
        })
    }

    /// Writes units at their slots, creating files as needed. Durable after [`QueueFiles::sync`].
    pub(crate) fn write(&self, queue: QueueName<'_>, from: u64, units: &[Unit]) -> Result<()> {
        let mut rest = units;
        for (base, skip, count) in self.pieces(from, units.len() as u64) {
            let path = self.path(queue, base);
            let (now, later) = rest.split_at(usize::try_from(count).unwrap_or(0).min(rest.len()));
            rest = later;
            let mut bytes = Vec::with_capacity(now.len() * UNIT_LEN);
            for unit in now {
                bytes.extend_from_slice(&unit.encode());
            }
            let file = self.open_or_create(queue, &path, skip)?;
            file.write_at(skip * UNIT_LEN as u64, &bytes)
                .map_err(|e| Error::io(e, &path, "write a consume queue"))?;
            self.dirty.lock().files.insert(path);
        }
        Ok(())
    }

    /// A file that starts in the middle (its queue's first messages are gone) has fillers before its first unit.
    fn open_or_create(
        &self,
        queue: QueueName<'_>,
        path: &Path,
        first_unit: u64,
    ) -> Result<Arc<dyn StoreFile>> {
        let io = |e| Error::io(e, path, "create a consume queue file");
        match self.storage.open(path, OpenMode::Write) {
            Ok(file) => return Ok(file),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(e, path, "open a consume queue file")),
        }
        let dir = self.layout.queue_dir(queue.0, queue.1);
        let file = match self.storage.open(path, OpenMode::CreateNew) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.storage.make_dirs(&dir).map_err(io)?;
                let mut dirty = self.dirty.lock();
                dirty.folders.extend(dir.ancestors().skip(1).take(2).map(Path::to_path_buf));
                drop(dirty);
                self.storage.open(path, OpenMode::CreateNew)
            }
            other => other,
        }
        .map_err(io)?;
        file.set_len(self.file_size()).map_err(io)?;
        if first_unit > 0 {
            let bytes = FILLER.repeat(usize::try_from(first_unit).unwrap_or(0));
            file.write_at(0, &bytes).map_err(io)?;
        }
        self.dirty.lock().folders.insert(dir);
        Ok(file)
    }

    /// Reads units from `from` on, at most `max`, as far as files hold them.
    ///
    /// Slots that were never written come as empty units; a missing or short file ends the answer.
    pub(crate) fn read(
        &self,
        queue: QueueName<'_>,
        from: u64,
        max: usize,
        out: &mut Vec<Unit>,
    ) -> Result<()> {
        for (base, skip, count) in self.pieces(from, max as u64) {
            let path = self.path(queue, base);
            let file = match self.storage.open(&path, OpenMode::Read) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                Err(e) => return Err(Error::io(e, &path, "open a consume queue file")),
            };
            let io = |e| Error::io(e, &path, "read a consume queue");
            let present =
                (file.len().map_err(io)? / UNIT_LEN as u64).saturating_sub(skip).min(count);
            if present == 0 {
                return Ok(());
            }
            let mut bytes = vec![0; usize::try_from(present).unwrap_or(0) * UNIT_LEN];
            file.read_at(skip * UNIT_LEN as u64, &mut bytes).map_err(io)?;
            out.extend(bytes.as_chunks::<UNIT_LEN>().0.iter().map(Unit::decode));
            if present < count {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes slots `from..` hold exactly `units`: what is already right on disk is left alone. Durable after
    /// [`QueueFiles::sync`].
    pub(crate) fn mend(&self, queue: QueueName<'_>, from: u64, units: &[Unit]) -> Result<u64> {
        let mut mended = 0;
        let mut have = Vec::new();
        // File by file: a wrong-sized file is made anew from what is known to be in it.
        let mut rest = units;
        for (base, skip, count) in self.pieces(from, units.len() as u64) {
            let (now, later) = rest.split_at(usize::try_from(count).unwrap_or(0).min(rest.len()));
            rest = later;
            let truthful = self.show_what_is_on_disk(queue, base)?;
            have.clear();
            self.read(queue, base + skip, now.len(), &mut have)?;
            if have != now || !truthful {
                let wrong = have.iter().zip(now).filter(|(a, b)| a != b).count();
                mended += (wrong + now.len() - have.len()) as u64;
                self.write(queue, base + skip, now)?;
            }
        }
        Ok(mended)
    }

    /// Gets a file ready to be compared: of the right size, its name and its units on disk, and read from there.
    ///
    /// A killed process leaves units that are right in the cache and nowhere else, and after a failed sync the kernel takes such
    /// units for written. Whoever compares them calls them durable afterwards. `false` if the cache may still show more than
    /// there is on disk.
    fn show_what_is_on_disk(&self, queue: QueueName<'_>, base: u64) -> Result<bool> {
        let path = self.path(queue, base);
        let file = match self.storage.open(&path, OpenMode::Write) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(true),
            Err(e) => return Err(Error::io(e, &path, "open a consume queue file")),
        };
        let dir = self.layout.queue_dir(queue.0, queue.1);
        self.dirty.lock().folders.extend(dir.ancestors().take(3).map(Path::to_path_buf));
        let evicted = file
            .evict()
            .map_err(|e| Error::lost(e, &path, "drop cached pages of a consume queue file"))?;
        let io = |e| Error::io(e, &path, "set the size of a consume queue file");
        if file.len().map_err(io)? != self.file_size() {
            file.set_len(self.file_size()).map_err(io)?;
            self.dirty.lock().files.insert(path);
        }
        Ok(evicted == Eviction::Gone)
    }

    /// Cuts a queue at `end`: later slots become empty, later files go.
    pub(crate) fn cut(&self, queue: QueueName<'_>, end: u64) -> Result<bool> {
        let mut changed = false;
        let dir = self.layout.queue_dir(queue.0, queue.1);
        for base in self.bases(queue)? {
            let path = self.path(queue, base);
            let io = |e| Error::io(e, &path, "cut a consume queue");
            if base >= end {
                self.storage.remove_file(&path).map_err(io)?;
                let mut dirty = self.dirty.lock();
                dirty.files.remove(&path);
                dirty.folders.insert(dir.clone());
                drop(dirty);
                changed = true;
            } else if base + self.units_per_file > end {
                let file = self.storage.open(&path, OpenMode::Write).map_err(io)?;
                if self.empty_from(&*file, (end - base) * UNIT_LEN as u64).map_err(io)? {
                    self.dirty.lock().files.insert(path);
                    changed = true;
                }
            }
        }
        Ok(changed)
    }

    /// Whether anything had to be changed for a file to hold zeros from a place on, and nothing behind its size.
    fn empty_from(&self, file: &dyn StoreFile, mut from: u64) -> io::Result<bool> {
        let longer = file.len()? > self.file_size();
        if longer {
            // Somebody made it so: however long it is, it is not read.
            file.set_len(self.file_size())?;
        }
        let (len, mut changed) = (file.len()?, longer);
        let mut window = vec![0; WINDOW];
        while let Some(at) = file.next_data(from)?.map(|data| data.max(from)).filter(|at| *at < len)
        {
            let count = usize::try_from(len - at).unwrap_or(WINDOW).min(WINDOW);
            let bytes = window.get_mut(..count).unwrap_or_default();
            file.read_at(at, bytes)?;
            if let Some(last) = bytes.iter().rposition(|b| *b != 0) {
                bytes.fill(0);
                file.write_at(at, bytes.get(..=last).unwrap_or_default())?;
                changed = true;
            }
            from = at + count as u64;
        }
        Ok(changed)
    }

    /// Removes the files whose units all lie below `min`. Durable after [`QueueFiles::sync`].
    pub(crate) fn remove_before(&self, queue: QueueName<'_>, min: u64) -> Result<()> {
        for base in self.bases(queue)? {
            if base + self.units_per_file <= min {
                let path = self.path(queue, base);
                self.storage
                    .remove_file(&path)
                    .map_err(|e| Error::io(e, &path, "remove a consume queue file"))?;
                let mut dirty = self.dirty.lock();
                dirty.files.remove(&path);
                dirty.folders.insert(self.layout.queue_dir(queue.0, queue.1));
            }
        }
        Ok(())
    }

    /// First units of the queue's files, in order.
    pub(super) fn bases(&self, queue: QueueName<'_>) -> Result<Vec<u64>> {
        let dir = self.layout.queue_dir(queue.0, queue.1);
        let entries = match self.storage.list(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(e, &dir, "list a consume queue")),
        };
        let mut bases: Vec<u64> = entries
            .iter()
            .filter_map(|e| parse_file_name(&e.name))
            .filter(|bytes| bytes % self.file_size() == 0)
            .map(|bytes| bytes / UNIT_LEN as u64)
            .collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// What the files of a queue hold, without looking at the log: from the first real unit to the last one before
    /// an empty slot. `None` if there is no file.
    pub(crate) fn extent(&self, queue: QueueName<'_>) -> Result<Option<super::Extent>> {
        let bases = self.bases(queue)?;
        let (Some(first), Some(last)) = (bases.first(), bases.last()) else { return Ok(None) };
        let min = self.end_of_run(queue, *first, Unit::is_filler)?;
        let next = self.end_of_run(queue, *last, |unit| !unit.is_empty())?;
        Ok(Some(super::Extent { min, next: next.max(min) }))
    }

    /// The first slot of a file, from its beginning on, whose unit is another than those of the run that it begins with.
    fn end_of_run(
        &self,
        queue: QueueName<'_>,
        base: u64,
        in_run: impl Fn(&Unit) -> bool,
    ) -> Result<u64> {
        let (mut at, end) = (base, base + self.units_per_file);
        let mut units = Vec::new();
        while at < end {
            units.clear();
            self.read(queue, at, RUN.min(usize::try_from(end - at).unwrap_or(RUN)), &mut units)?;
            let run = units.iter().take_while(|unit| in_run(unit)).count();
            at += run as u64;
            if run < units.len() || units.is_empty() {
                break;
            }
        }
        Ok(at)
    }

    /// The queues that have a folder: topic and number.
    pub(crate) fn queues_on_disk(&self) -> Result<Vec<(String, u32)>> {
        let root = self.layout.consumequeue();
        let list = |dir: &Path| match self.storage.list(dir) {
            Ok(entries) => Ok(entries),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(Error::io(e, dir, "list the consume queues")),
        };
        let mut queues = Vec::new();
        for topic in list(&root)? {
            if topic.kind != crate::io::EntryKind::Dir {
                continue;
            }
            for queue in list(&root.join(&topic.name))? {
                // Somebody's folder with an impossible number is none of ours.
                if let (crate::io::EntryKind::Dir, Ok(number @ ..QUEUES_MAX)) =
                    (queue.kind, queue.name.parse())
                {
                    queues.push((topic.name.clone(), number));
                }
            }
        }
        Ok(queues)
    }

    /// Has everything that is in the cache written, by one call, if so many files are about to be compared that one sync for each
    /// would take long. What that call does not tell of, [`QueueFiles::mend`] finds out.
    pub(crate) fn before_comparing(&self, queues: usize) -> Result<()> {
        if queues <= MANY_FILES {
            return Ok(());
        }
        let root = self.layout.root();
        self.storage.sync_all(root).map_err(|e| Error::lost(e, root, "sync the consume queues"))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut dirty = std::mem::take(&mut *self.dirty.lock());
        if dirty.files.len() > MANY_FILES {
            let root = self.layout.root();
            return self
                .storage
                .sync_all(root)
                .map_err(|e| Error::lost(e, root, "sync the consume queues"));
        }
        while let Some(path) = dirty.files.pop_first() {
            match self.storage.open(&path, OpenMode::Write) {
                Ok(file) => {
                    file.sync().map_err(|e| Error::lost(e, &path, "sync a consume queue"))?;
                }
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    // Nothing is lost yet: whoever tries again finds it here.
                    let failed = Error::io(e, &path, "open a consume queue file");
                    dirty.files.insert(path);
                    let mut later = self.dirty.lock();
                    later.files.append(&mut dirty.files);
                    later.folders.append(&mut dirty.folders);
                    return Err(failed);
                }
            }
        }
        for dir in dirty.folders.iter().rev() {
            match self.storage.sync_dir(dir) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(Error::lost(e, dir, "sync a consume queue folder"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
