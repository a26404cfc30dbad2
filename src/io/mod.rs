//! The storage seam: the few operations the store needs, each with its contract.
//!
//! Calls are per file, chunk or sync, never per record: records move through memory that the seam handed out once
//! (a [`Mapping`]), so a trait object costs nothing on the hot path.
//!
//! Three implementations: [`disk::Disk`] (real files), [`memory::Memory`] (nothing on disk) and, for tests,
//! `sim::SimDisk`, which fails, tears and loses un-synced writes.

pub(crate) mod disk;
pub(crate) mod mapping;
pub(crate) mod memory;
#[cfg(test)]
pub(crate) mod sim;
pub(crate) mod small;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub(crate) use mapping::Mapping;

use crate::sync::Arc;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Dir,
    /// A symbolic link, socket, FIFO or device: never followed, never touched.
    Other,
}

/// One entry of a directory listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
    /// Length in bytes; 0 for anything but a file.
    pub(crate) len: u64,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file, for reading and writing: `AlreadyExists` if the name is taken.
    CreateNew,
}

/// A directory tree that the store lives in.
///
/// Nothing here is durable when it returns unless the method says so. A new name, a rename or a removal survives
/// a power cut only after [`Storage::sync_dir`] on its folder. Symbolic links in the last path component are
/// refused.
pub(crate) trait Storage: Send + Sync + Debug {
    /// Opens a regular file. New files get mode 0600.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>>;

    /// Lists a directory, in no particular order. `NotFound` if it does not exist.
    /// Names that are not UTF-8 are given lossily, with kind [`EntryKind::Other`].
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Creates a directory and its missing parents (mode 0700). Fine if it exists.
    /// **Durable when it returns**: each folder that gained a name was synced.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Creates a directory and its missing parents as [`Storage::create_dir_all`] does, but leaves it to the caller to
    /// sync the folders that gained a name.
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.create_dir_all(dir)
    }

    /// Asks a copy-on-write file system to overwrite in place what will be created in `dir`, so that it can be mapped for writing.
    fn write_in_place(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Atomically replaces `to` (if it exists) by `from`; both in the same folder or the same file system.
    /// After a crash the old or the new file is there, never a mixture and never neither.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Its content stays readable through open handles and mappings.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    #[cfg_attr(not(test), expect(dead_code, reason = "part of the seam; the tests use it"))]
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes names created, renamed or removed in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything written to this tree so far durable, by one call for the whole file system.
    /// Reports write-back errors no better than the kernel does, so it never replaces [`StoreFile::sync`]
    /// for the log itself.
    fn sync_all(&self, root: &Path) -> io::Result<()>;

    /// Takes the exclusive lock on `path` (created if missing), for as long as the returned guard lives.
    /// `WouldBlock` if another process or another open handle holds it. A dead process never holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;

    /// Says whether somebody holds the lock on `path`, without taking it. `false` if the file does not exist.
    fn is_locked(&self, path: &Path) -> io::Result<bool>;
}

/// Holds a lock until dropped.
pub(crate) trait LockGuard: Send + Sync + Debug {
    /// Gives the lock up for every copy of the open file: a child that is just being started holds one for a moment, and must
    /// not keep the next opener out. Never called in a forked child, whose parent's lock it would be.
    fn release(&self) {}
}

/// One open regular file.
pub(crate) trait StoreFile: Send + Sync + Debug {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Sets the length. Growing adds a hole that reads as zero and takes no blocks.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Allocates blocks for `offset..offset + len`, keeping the file's length, so that later writes there, through
    /// [`StoreFile::write_at`] or a mapping, cannot run out of space. `StorageFull` if there is no room.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Reads exactly `buf.len()` bytes. `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// The first place at or after `offset` that may hold something other than zeros; `None` if there is none.
    /// A file system that does not tell holes from data answers `offset`.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok(Some(offset))
    }

    /// Writes all of `data`. Not atomic: after a failure or a crash any part of it may be there.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Makes the file's content (and its length) durable: `fdatasync`.
    ///
    /// **After an error nothing is known**: pages that could not be written count as clean, read as new, and a
    /// second call may return `Ok` without having written them. The caller must not retry.
    fn sync(&self) -> io::Result<()>;

    /// Maps `len` bytes from `offset`, which must be a multiple of 4096, shared with the file: bytes written through the mapping survive the
    /// process. Where the file system could not promise that, each write is a call of its own, and may fail. The mapping keeps the content alive after the file is closed or removed.
    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping>;

    /// Has the disk begin to read a range that will be wanted soon. A hint: nobody waits, and nothing tells whether it was followed.
    fn read_ahead(&self, _offset: u64, _len: u64) {}

    /// Drops the file's cached pages so that the next read sees what the disk holds. Syncs first.
    fn evict(&self) -> io::Result<Eviction>;

    /// Reads past the page cache (`O_DIRECT`), as much as `read_at` would. `Unsupported` if the file system cannot.
    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// What a mapping may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapAccess {
    Read,
    Write,
}

/// What became of the cached pages of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// Verified: none are left (or the storage has no cache apart from its content).
    Gone,
    /// Some stayed, because somebody else maps them: reads may still show bytes that never reached the disk.
    Stayed,
}
