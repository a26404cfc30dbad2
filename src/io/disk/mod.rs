//! Real files.

mod direct;
mod evict;
mod file;
#[cfg(feature = "testing")]
pub(crate) mod image;
mod in_place;
mod lock;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::{Entry, EntryKind, LockGuard, OpenMode, Storage, StoreFile};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;
use file::DiskFile;

/// The operating system's file system.
#[derive(Debug, Default)]
pub(crate) struct Disk;

/// The folder that `path` means now: absolute, with links on the way followed, so that neither a change of the working
/// directory nor one of a link moves a store that is open.
///
/// # Errors
///
/// `NotFound` if the path, or a folder above it, is a link that leads nowhere: nothing is created behind it, because the disk
/// that it is for may not be there yet.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf> {
    let error = match fs::canonicalize(path) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = absolute.ancestors().find(|above| fs::symlink_metadata(above).is_ok());
    match there.and_then(|above| Some((above, fs::read_link(above).ok()?))) {
        Some((link, target)) if fs::metadata(link).is_err() => {
            let why = format!("a symbolic link to {}, which is not there", target.display());
            Err(Error::new(ErrorKind::NotFound, why).at(link).caused_by(error))
        }
        _ => Ok(absolute),
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoreFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(DiskFile::new(open_regular(&mut options, path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            match describe(&entry?) {
                Ok(entry) => entries.push(entry),
                // Removed since the listing began: as if never listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut next = Some(dir);
        let existing = loop {
            let Some(path) = next.filter(|path| !path.as_os_str().is_empty()) else { break None };
            match fs::symlink_metadata(path) {
                Ok(_) => break Some(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(path),
                Err(error) => return Err(error),
            }
            next = path.parent();
        };
        if let Some(existing) = existing {
            // A link on the way is the administrator's business, the folder itself must not be one.
            check_dir(existing, existing != dir)?;
            // Whoever created it may have died before making it durable. Where we may not even open the
            // folder above, it was not one of ours.
            match sync_dir(&parent_of(existing)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    check_dir(path, path != dir)?;
                }
                Err(error) => return Err(error),
            }
            sync_dir(&parent_of(path))?;
        }
        Ok(())
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn write_in_place(&self, dir: &Path) -> io::Result<()> {
        in_place::ask(&open_dir(dir)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the one implementation of the seam")]
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the one implementation of the seam")]
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }

    fn sync_all(&self, root: &Path) -> io::Result<()> {
        Ok(nix::unistd::syncfs(open_dir(root)?)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Box::new(lock::take(open_regular(&mut options, path)?)?))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        match open_regular(OpenOptions::new().read(true), path) {
            Ok(file) => lock::is_held(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Opens a regular file, and nothing else: a link is refused by the kernel, the rest here.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // O_NONBLOCK, because opening a FIFO would wait for its other end; regular files do not know it.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    options.mode(0o600).custom_flags(flags.bits());
    #[expect(clippy::disallowed_methods, reason = "the one implementation of the seam")]
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) => {
            let what = match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ELOOP) => "a symbolic link",
                Some(Errno::EISDIR) => "a folder",
                Some(Errno::ENXIO) => "a socket or a device",
                _ => return Err(error),
            };
            return Err(not_a_file(what));
        }
    };
    let file_type = file.metadata()?.file_type();
    if file_type.is_file() { Ok(file) } else { Err(not_a_file(name_of(file_type))) }
}

fn name_of(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a folder"
    } else if file_type.is_fifo() {
        "a FIFO"
    } else if file_type.is_symlink() {
        "a symbolic link"
    } else {
        "a socket or a device"
    }
}

/// The error of opening something that is not a regular file.
pub(super) fn not_a_file(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}, not a regular file"))
}

/// What an entry is, without following it.
fn describe(entry: &fs::DirEntry) -> io::Result<Entry> {
    let file_type = entry.file_type()?;
    let name = entry.file_name();
    let kind = if name.to_str().is_none() {
        EntryKind::Other
    } else if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Dir
    } else {
        EntryKind::Other
    };
    let len = if kind == EntryKind::File { entry.metadata()?.len() } else { 0 };
    Ok(Entry { name: name.to_string_lossy().into_owned(), kind, len })
}

fn check_dir(path: &Path, follow: bool) -> io::Result<()> {
    let metadata = if follow { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
    if metadata.is_dir() {
        return Ok(());
    }
    let what = name_of(metadata.file_type());
    let what = if metadata.is_file() { "a file" } else { what };
    Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{what}, not a folder")))
}

/// The folder that holds a path's last name.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        // The root is its own parent.
        None => path.to_path_buf(),
        Some(_) => PathBuf::from("."),
    }
}

fn open_dir(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits());
    #[expect(clippy::disallowed_methods, reason = "the one implementation of the seam")]
    options.open(dir)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    open_dir(dir)?.sync_all()
}
