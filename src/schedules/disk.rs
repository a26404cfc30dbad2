//! Memory that knows what of the log is durable, and whose syncs may fail.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::io::memory::Memory;
use crate::io::{Entry, Eviction, LockGuard, MapAccess, Mapping, OpenMode, Storage, StoreFile};
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, model, thread};

#[derive(Debug)]
pub(super) struct Disk {
    memory: Memory,
    log: Arc<Log>,
}

/// What is known about the first file of the log.
#[derive(Debug)]
pub(super) struct Log {
    written: AtomicU64,
    durable: AtomicU64,
    /// Syncs that succeed before all others fail.
    good: AtomicUsize,
}

impl Log {
    /// Up to here the log survives a power cut.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// After `good` more syncs all fail.
    pub(super) fn fail_after(&self, good: usize) {
        self.good.store(good, Ordering::SeqCst);
    }
}

impl Disk {
    pub(super) fn watched() -> (Arc<dyn Storage>, Arc<Log>) {
        let log = Arc::new(Log {
            written: 0.into(),
            durable: 0.into(),
            good: AtomicUsize::new(usize::MAX),
        });
        (Arc::new(Self { memory: Memory::new(None), log: Arc::clone(&log) }), log)
    }
}

#[derive(Debug)]
struct File {
    inner: Arc<dyn StoreFile>,
    log: Option<Arc<Log>>,
}

impl Storage for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        let is_log = path.ends_with("commitlog/00000000000000000000");
        let log = is_log.then(|| Arc::clone(&self.log));
        Ok(Arc::new(File { inner: self.memory.open(path, mode)?, log }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.memory.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.memory.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.memory.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.memory.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.memory.remove_dir(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.memory.sync_dir(dir)
    }
    fn sync_all(&self, root: &Path) -> io::Result<()> {
        self.memory.sync_all(root)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.memory.lock(path)
    }
    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        self.memory.is_locked(path)
    }
}

impl StoreFile for File {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.allocate(offset, len)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, data)?;
        if let Some(log) = &self.log {
            log.written.fetch_max(offset + data.len() as u64, Ordering::SeqCst);
        }
        Ok(())
    }
    /// What was written before it began is durable when it returns; the disk may be fast or slow.
    fn sync(&self) -> io::Result<()> {
        let Some(log) = &self.log else { return self.inner.sync() };
        let written = log.written.load(Ordering::SeqCst);
        model::spend(Duration::from_millis(model::choose(2) as u64));
        thread::yield_now();
        let less = |good: usize| if good == usize::MAX { Some(good) } else { good.checked_sub(1) };
        if log.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            return Err(io::Error::other("the disk is gone"));
        }
        log.durable.fetch_max(written, Ordering::SeqCst);
        Ok(())
    }
    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        self.inner.map(offset, len, access)
    }
    fn evict(&self) -> io::Result<Eviction> {
        self.inner.evict()
    }
    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_direct(offset, buf)
    }
}
