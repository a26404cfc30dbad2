//! Where the data go: a directory of our own, empty again before each turn.

use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::syncfs;
use tempfile::TempDir;

use crate::Result;
use crate::calls::Counter;
use crate::meter::Meter;

/// Left free in any case.
const RESERVE: u64 = 1 << 30;

/// A temporary directory on the file system that is measured; removed when dropped.
#[derive(Debug)]
pub(crate) struct Ground {
    root: TempDir,
    /// Attached while system calls are counted.
    counter: RefCell<Option<Counter>>,
}

impl Ground {
    /// A new directory below `parent`, or below the system's directory for temporary files.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let root = tempfile::Builder::new().prefix("pocketmq-bench-").tempdir_in(parent)?;
        Ok(Self { root, counter: RefCell::new(None) })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// What the figures depend on.
    pub(crate) fn describe(&self) -> Result<String> {
        let cores = std::thread::available_parallelism()?;
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kind = statfs(self.root.path())?.filesystem_type();
        let memory = if kind == TMPFS_MAGIC {
            "\nThe directory is in memory: durable figures mean nothing. See --dir."
        } else {
            ""
        };
        let free = self.free()? >> 30;
        Ok(format!(
            "{cores} cores, kernel {}, file system {:#x}, {free} GiB free{memory}\n",
            release.trim(),
            kind.0
        ))
    }

    #[expect(clippy::useless_conversion, reason = "the widths differ between platforms")]
    fn free(&self) -> Result<u64> {
        let stat = statvfs(self.root.path())?;
        Ok(u64::from(stat.blocks_available()) * u64::from(stat.fragment_size()))
    }

    /// Whether `bytes` more fit.
    pub(crate) fn has_room(&self, bytes: u64) -> Result<bool> {
        Ok(self.free()? >= bytes + bytes / 4 + RESERVE)
    }

    /// Removes everything and waits until the disk has nothing left to write, so that no turn pays for the one before.
    pub(crate) fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(self.root.path())? {
            remove(&entry?.path())?;
        }
        self.settle()
    }

    /// Starts what measures the part of a turn that counts.
    pub(crate) fn meter(&self) -> Result<Meter<'_>> {
        Meter::start(&self.counter)
    }

    /// The system calls of what meters of this ground run in while `turn` does its work.
    pub(crate) fn calls<T>(&self, turn: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
        self.counter.replace(Some(Counter::attach()?));
        let outcome = turn();
        let counter = self.counter.take();
        let calls = counter.map_or(Ok(0), Counter::finish)?;
        Ok((outcome?, calls))
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn settle(&self) -> Result<()> {
        Ok(syncfs(File::open(self.root.path())?)?)
    }
}

/// Removes a file or directory, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The bytes of disk that all files below `path` occupy.
pub(crate) fn occupied(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    let mut bytes = meta.blocks() * 512;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += occupied(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// Drops the cached pages of all files below `path`.
pub(crate) fn evict(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            evict(&entry?.path())?;
        }
    } else {
        evict_file(&File::open(path)?)?;
    }
    Ok(())
}

/// Drops the cached pages of a file, which are written first.
pub(crate) fn evict_file(file: &File) -> Result<()> {
    file.sync_data()?;
    Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}
