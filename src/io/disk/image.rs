//! The image of a directory, as a process that is killed leaves it: for tests.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::error::{Error, Result};

/// Copies a directory that nobody changes. Files keep their lengths, and their holes as far as the file system tells of them.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to).map_err(|e| Error::io(e, to, "create the folder"))?;
    let listed = |e| Error::io(e, from, "list the folder");
    for entry in fs::read_dir(from).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(|e| Error::io(e, &from, "look at"))?.is_dir() {
            copy(&from, &to)?;
        } else {
            copy_file(&from, &to).map_err(|e| Error::io(e, &from, "copy"))?;
        }
    }
    Ok(())
}

/// Puts a directory into the place of another one, which is removed.
#[expect(clippy::disallowed_methods, reason = "this is io")]
pub(crate) fn replace(old: &Path, new: &Path) -> Result<()> {
    fs::remove_dir_all(old).map_err(|e| Error::io(e, old, "remove"))?;
    fs::rename(new, old).map_err(|e| Error::io(e, new, "rename"))
}

#[expect(clippy::disallowed_methods, reason = "this is io")]
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create_new(to)?);
    let len = from.metadata()?.len();
    let mut at = 0;
    while let Some(start) = seek(&from, at, Whence::SeekData)? {
        let end = seek(&from, start, Whence::SeekHole)?.unwrap_or(len);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        io::copy(&mut (&mut from).take(end - start), &mut to)?;
        at = end;
    }
    to.set_len(len)?;
    to.flush()
}

/// Where the next data, or the next hole, begins. `None`: there is no more.
fn seek(file: &File, at: u64, what: Whence) -> io::Result<Option<u64>> {
    match lseek(file, i64::try_from(at).unwrap_or(i64::MAX), what) {
        Ok(found) => Ok(u64::try_from(found).ok()),
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
