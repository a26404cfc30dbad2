//! Dropping a file's cached pages, and making sure that they are gone.

use std::fs::File;
use std::io;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};

use super::super::{Eviction, MapAccess, Mapping};

/// How much is looked at in one mapping.
const WINDOW: u64 = 1 << 30;

/// Not among the library's constants.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Pages on their way somewhere else stay at the first try.
const TRIES: usize = 3;

pub(super) fn evict(file: &File) -> io::Result<Eviction> {
    file.sync_data()?;
    if cache_is_content(file)? {
        return Ok(Eviction::Gone);
    }
    for _ in 0..TRIES {
        // 0: to the end of the file, its last, partial page included.
        posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        if !any_resident(file)? {
            return Ok(Eviction::Gone);
        }
    }
    Ok(Eviction::Stayed)
}

/// Whether the file system has nothing but the page cache to keep files in.
pub(super) fn cache_is_content(file: &File) -> io::Result<bool> {
    let kind = fstatfs(file)?.filesystem_type();
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}

/// Mapping a file brings no page in, so that looking does not change the answer.
fn any_resident(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    let mut offset = 0;
    while offset < len {
        let size = (len - offset).min(WINDOW);
        let window = usize::try_from(size).map_err(io::Error::other)?;
        if Mapping::of_file(file, offset, window, MapAccess::Read)?.resident_pages()? > 0 {
            return Ok(true);
        }
        offset += size;
    }
    Ok(false)
}
