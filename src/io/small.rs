//! Files that are read and replaced as a whole, through the seam.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::{OpenMode, Storage, StoreFile};
use crate::error::{Error, Result};
use crate::sync::Arc;

/// Removes a file if there is one of that name.
pub(crate) fn remove_if_there(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    match storage.remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Creates a file on a new inode: what an attempt that did not get further left under that name goes first.
pub(crate) fn create_anew(storage: &dyn Storage, path: &Path) -> io::Result<Arc<dyn StoreFile>> {
    remove_if_there(storage, path)?;
    storage.open(path, OpenMode::CreateNew)
}

/// Reads a whole file; `None` if it does not exist. One longer than `limit` bytes is not what it should be.
pub(crate) fn read_small(
    storage: &dyn Storage,
    path: &Path,
    limit: u64,
) -> Result<Option<Vec<u8>>> {
    let io = |e| Error::io(e, path, "read");
    let file = match storage.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let len = file.len().map_err(io)?;
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= limit) else {
        return Err(Error::corrupt(path, limit, "the file is larger than it can be"));
    };
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

/// Replaces a file as a whole: after a crash the old or the new one is there. Durable when it returns.
pub(crate) fn write_small(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let write = || {
        let file = create_anew(storage, temporary)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        storage.rename(temporary, path)
    };
    let replaced = write();
    if replaced.is_err() {
        // Not needed for correctness, but a disk that is full should not be kept so.
        storage.remove_file(temporary).ok();
    }
    replaced
        .and_then(|()| storage.sync_dir(path.parent().unwrap_or(path)))
        .map_err(|e| Error::io(e, path, "write"))
}
