//! One file of the commit log.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::io::{MapAccess, Mapping, OpenMode, Storage, StoreFile};
use crate::layout::Layout;
use crate::options::Reads;
use crate::sync::{Arc, AtomicU64, Mutex, OnceLock, Ordering};

const SMALLEST_STEP: u64 = 4 << 20;
const LARGEST_STEP: u64 = 64 << 20;

/// One fixed-size file of the log, holding the offsets `base..base + size`.
///
/// File and mapping are opened when first needed, so that opening a store with many segments costs nothing for those
/// that nobody reads.
#[derive(Debug)]
pub(crate) struct Segment {
    base: u64,
    size: u64,
    path: PathBuf,
    storage: Arc<dyn Storage>,
    file: OnceLock<Arc<dyn StoreFile>>,
    map: OnceLock<Mapping>,
    /// Bytes from the start of the file whose blocks are known to be allocated.
    allocated: AtomicU64,
    /// Serialises allocation, so that the writer and the background thread do not do it twice.
    allocating: Mutex<()>,
}

/// Bytes of the log handed to a reader: they stay valid as long as this lives, whatever becomes of the file's name.
#[derive(Clone)]
pub(crate) enum LogBytes {
    /// A window of the file's mapping.
    Mapped(Mapping),
    Copied(Arc<[u8]>),
}

impl LogBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.slice(0..map.len()).unwrap_or_default(),
            Self::Copied(bytes) => bytes,
        }
    }
}

impl Segment {
    pub(crate) fn existing(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        base: u64,
        size: u64,
    ) -> Self {
        Self {
            base,
            size,
            path: layout.segment(base),
            storage: Arc::clone(storage),
            file: OnceLock::new(),
            map: OnceLock::new(),
            allocated: AtomicU64::new(0),
            allocating: Mutex::new(()),
        }
    }

    /// Creates the file: full size by name, no blocks yet. Its name and length are durable when this returns.
    pub(crate) fn create(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        base: u64,
        size: u64,
    ) -> Result<Self> {
        let segment = Self::existing(storage, layout, base, size);
        let make = || {
            let file = match storage.open(&segment.path, OpenMode::CreateNew) {
                // Left by an attempt that failed, without a byte in it.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    storage.remove_file(&segment.path)?;
                    storage.open(&segment.path, OpenMode::CreateNew)?
                }
                other => other?,
            };
            file.set_len(size)?;
            file.sync()?;
            storage.sync_dir(&layout.commitlog())?;
            Ok(file)
        };
        let file = make().map_err(|e| {
            // Not part of the log, so it must not stay among its files.
            let _ = storage.remove_file(&segment.path);
            Error::io(e, &segment.path, "create a commit log file")
        })?;
        let _ = segment.file.set(file);
        Ok(segment)
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The offset after the last byte of the file.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.size
    }

    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(crate) fn file(&self) -> Result<&Arc<dyn StoreFile>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self
            .storage
            .open(&self.path, OpenMode::Write)
            .or_else(|e| match e.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    self.storage.open(&self.path, OpenMode::Read)
                }
                _ => Err(e),
            })
            .map_err(|e| Error::io(e, &self.path, "open a commit log file"))?;
        Ok(self.file.get_or_init(|| file))
    }

    fn map(&self) -> Result<&Mapping> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let len = usize::try_from(self.size).map_err(|_| Error::invalid("segment too large"))?;
        let map = self
            .file()?
            .map(0, len, MapAccess::Read)
            .map_err(|e| Error::io(e, &self.path, "map a commit log file"))?;
        Ok(self.map.get_or_init(|| map))
    }

    /// The bytes `offset..offset + len` of the log; the caller knows that they are published.
    pub(crate) fn read(&self, offset: u64, len: usize, reads: Reads) -> Result<LogBytes> {
        let at = offset.wrapping_sub(self.base);
        let inside = at.checked_add(len as u64).is_some_and(|end| end <= self.size);
        if !inside {
            return Err(Error::corrupt(&self.path, at, "a record reaches beyond its file"));
        }
        match reads {
            Reads::Mapped => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let window = self.map()?.window(at, len, MapAccess::Read);
                window.map(LogBytes::Mapped).ok_or_else(|| {
                    Error::corrupt(&self.path, at as u64, "a record reaches beyond its file")
                })
            }
            Reads::Copied => {
                let mut bytes = vec![0; len];
                self.read_into(offset, &mut bytes)?;
                Ok(LogBytes::Copied(bytes.into()))
            }
        }
    }

    pub(crate) fn read_into(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let at = offset - self.base;
        self.file()?
            .read_at(at, buf)
            .map_err(|e| Error::io(e, &self.path, "read the commit log").at_offset(at))
    }

    /// Writes into allocated space: no failure of it is harmless.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.file()?
            .write_at(offset - self.base, data)
            .map_err(|e| Error::lost(e, &self.path, "write the commit log"))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file()?.sync().map_err(|e| Error::lost(e, &self.path, "sync the commit log"))
    }

    /// In what steps blocks are allocated ahead of a writer who is at a log offset, in bytes: small while the log is small, and
    /// larger for a long one, whose writer may be fast and must not wait for the file system in every step.
    pub(crate) fn allocation_step(&self, log_offset: u64) -> u64 {
        let most = (self.size / 8).clamp(SMALLEST_STEP, LARGEST_STEP);
        (log_offset / 8).clamp(SMALLEST_STEP, most).next_multiple_of(SMALLEST_STEP)
    }

    /// Bytes from the start of the segment that can be written without asking for space.
    pub(crate) fn allocated_end(&self) -> u64 {
        self.base + self.allocated.load(Ordering::Acquire)
    }

    /// Allocates blocks up to the log offset `end`, and up to the end of the step that it is in.
    pub(crate) fn allocate_to(&self, end: u64) -> Result<()> {
        let need = end - self.base;
        if self.allocated.load(Ordering::Acquire) >= need {
            return Ok(());
        }
        let _one = self.allocating.lock();
        let have = self.allocated.load(Ordering::Acquire);
        if have >= need {
            return Ok(());
        }
        let want = need.next_multiple_of(self.allocation_step(end)).min(self.size);
        self.file()?
            .allocate(have, want - have)
            .map_err(|e| Error::io(e, &self.path, "allocate space for the commit log"))?;
        self.allocated.store(want, Ordering::Release);
        Ok(())
    }

    /// After recovery: everything below `end` exists already.
    pub(crate) fn start_allocation_at(&self, end: u64) {
        self.allocated.store((end - self.base).min(self.size), Ordering::Release);
    }
}
