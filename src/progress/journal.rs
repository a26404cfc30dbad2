//! One journal file: entries appended through a mapping, replayed from the file.

use std::path::{Path, PathBuf};

use super::format::{Decoded, Entry, HEADER, SEAL, Scratch, Seed, decode};
use super::state::Replay;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{MapAccess, Mapping, OpenMode, Storage, StoreFile};
use crate::sync::Arc;

/// Blocks are allocated ahead of the writer in steps that double up to this.
const STEP_MAX: usize = 1 << 20;
const STEP_MIN: usize = 64 << 10;
const BLOCK: usize = 4096;

/// How much of a journal is read at once.
const WINDOW: usize = 256 << 10;

/// The journal's path.
pub(super) fn path(dir: &Path, generation: u64, number: u64) -> PathBuf {
    dir.join(format!("journal.{generation}.{number}"))
}

/// Widens a length: no platform has a longer `usize`.
pub(super) fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// A journal file that has a name and nothing else yet.
#[derive(Debug)]
pub(super) struct Blank {
    path: PathBuf,
    file: Arc<dyn StoreFile>,
    number: u64,
    seed: Seed,
}

impl Blank {
    pub(super) fn create(
        storage: &dyn Storage,
        dir: &Path,
        generation: u64,
        number: u64,
    ) -> Result<Self> {
        let path = path(dir, generation, number);
        let file = storage
            .open(&path, OpenMode::CreateNew)
            .map_err(|e| Error::io(e, &path, "create a progress journal"))?;
        Ok(Self { path, file, number, seed: Seed::new(generation, number) })
    }

    /// Gives it its size, durably (but for its name) and without taking blocks.
    pub(super) fn prepare(self, size: usize) -> Result<Journal> {
        let size = size.next_multiple_of(BLOCK);
        let make = || {
            self.file.set_len(wide(size))?;
            self.file.sync()?;
            self.file.map(0, size, MapAccess::Write)
        };
        let map = make().map_err(|e| Error::io(e, &self.path, "prepare a progress journal"))?;
        Ok(Journal {
            blank: self,
            map,
            size,
            allocated: 0,
            at: 0,
            entries: 0,
            scratch: Scratch::default(),
        })
    }
}

/// The journal being written.
///
/// Invariant: `at <= allocated <= size`, and bytes are written below `allocated` only, so that the mapping never
/// meets a full disk.
#[derive(Debug)]
pub(super) struct Journal {
    blank: Blank,
    map: Mapping,
    size: usize,
    allocated: usize,
    at: usize,
    entries: u64,
    scratch: Scratch,
}

impl Journal {
    pub(super) const fn number(&self) -> u64 {
        self.blank.number
    }

    /// The file, for a sync without a lock on the journal.
    pub(super) fn file(&self) -> Arc<dyn StoreFile> {
        Arc::clone(&self.blank.file)
    }

    /// Makes sure that an entry of `len` bytes, and a seal after it, can be written. `false` if the journal is full.
    pub(super) fn reserve(&mut self, len: usize) -> Result<bool> {
        let need = self.at + len + SEAL;
        if need <= self.allocated {
            return Ok(true);
        }
        if need > self.size {
            return Ok(false);
        }
        let step = self.allocated.clamp(STEP_MIN, STEP_MAX);
        let end = need.max(self.allocated + step).next_multiple_of(BLOCK).min(self.size);
        self.blank
            .file
            .allocate(wide(self.allocated), wide(end - self.allocated))
            .map_err(|e| Error::io(e, &self.blank.path, "allocate space for acknowledgements"))?;
        self.allocated = end;
        Ok(true)
    }

    /// Appends an entry that room was reserved for.
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> Result<()> {
        let bytes = self.scratch.encode(self.blank.seed, self.entries, entry);
        let end = self.at + bytes.len();
        if end > self.allocated || !self.map.write(self.at, bytes) {
            let why = "an entry lies outside of the progress journal";
            return Err(Error::new(ErrorKind::Io, why).at(&self.blank.path));
        }
        self.at = end;
        self.entries += 1;
        Ok(())
    }

    /// Says that the journal is complete and which one continues it (0: none). The last thing written to it, where room was
    /// reserved.
    pub(super) fn seal(&mut self, next: u64) -> Result<()> {
        self.append(&Entry::Seal { next })?;
        // With a successor the old entries need not be durable: the next snapshot has them, and a journal that
        // does not lead to its successor is never taken for complete. Only the last one has none to miss.
        if next == 0 { sync(&*self.blank.file, &self.blank.path) } else { Ok(()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.blank.path
    }
}

/// Makes what was written to the journal durable.
pub(super) fn sync(file: &dyn StoreFile, path: &Path) -> Result<()> {
    file.sync().map_err(|e| Error::lost(e, path, "sync the progress journal"))
}

/// How the entries of a journal end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing was written after them.
    Open,
    /// Something that is not an entry follows, at this position.
    Torn(u64),
    /// Completely; this journal continues it (0: none).
    Sealed(u64),
}

/// Applies the entries of a journal to `state`, up to the first that is not one.
pub(super) fn replay(
    file: &dyn StoreFile,
    path: &Path,
    seed: Seed,
    state: &mut Replay,
) -> Result<Ending> {
    let failed = |e| Error::io(e, path, "read the progress journal");
    let len = file.len().map_err(failed)?;
    let (mut window, mut used) = (Vec::new(), 0);
    let (mut base, mut entries) = (0_u64, 0_u64);
    loop {
        let bytes = window.get(used..).unwrap_or_default();
        let offset = base + wide(used);
        match decode(seed, entries, bytes) {
            Decoded::Entry(Entry::Seal { next }, _) => return Ok(Ending::Sealed(next)),
            Decoded::Entry(entry, size) => {
                state.apply(&entry).map_err(|why| Error::corrupt(path, offset, why))?;
                used += size;
                entries += 1;
            }
            Decoded::End => return Ok(Ending::Open),
            Decoded::Bad => return Ok(Ending::Torn(offset)),
            Decoded::Short(need) => {
                let left = len.saturating_sub(base + wide(window.len()));
                let more = usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW.max(need));
                if more == 0 {
                    let blank = bytes.len() < HEADER && bytes.iter().all(|&b| b == 0);
                    return Ok(if blank { Ending::Open } else { Ending::Torn(offset) });
                }
                window.drain(..used);
                (base, used) = (offset, 0);
                let old = window.len();
                window.resize(old + more, 0);
                let fresh = window.get_mut(old..).unwrap_or_default();
                file.read_at(base + wide(old), fresh).map_err(failed)?;
            }
        }
    }
}
