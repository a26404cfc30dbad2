//! Reading past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Enough for any device's blocks.
const ALIGN: usize = 4096;

/// How much is read at once.
const CHUNK: usize = 1 << 20;

pub(super) fn read(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    if buf.is_empty() {
        return Ok(());
    }
    let file = reopen(file)?;
    let mut memory = vec![0_u8; CHUNK + ALIGN];
    let skew = memory.as_ptr().align_offset(ALIGN);
    let aligned = memory.get_mut(skew..skew.saturating_add(CHUNK)).ok_or_else(unsupported)?;
    while !buf.is_empty() {
        let before = offset % ALIGN as u64;
        let skipped = usize::try_from(before).map_err(io::Error::other)?;
        let wanted = (skipped + buf.len()).next_multiple_of(ALIGN).min(CHUNK);
        let target = aligned.get_mut(..wanted).ok_or_else(unsupported)?;
        let got = match file.read_at(target, offset - before) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(told_apart(error)),
        };
        // A short read ends at the end of the file, or somewhere aligned to go on from.
        let fresh = target.get(skipped..got).filter(|fresh| !fresh.is_empty());
        let fresh = fresh.ok_or(io::ErrorKind::UnexpectedEof)?;
        let len = fresh.len().min(buf.len());
        let (done, rest) = buf.split_at_mut_checked(len).ok_or_else(unsupported)?;
        done.copy_from_slice(fresh.get(..len).ok_or_else(unsupported)?);
        (buf, offset) = (rest, offset + len as u64);
    }
    Ok(())
}

/// The same file through a handle of its own, because the flag would count for all users of the old one. Through
/// the handle and not by name, which may be another file's by now.
fn reopen(file: &File) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((OFlag::O_DIRECT | OFlag::O_CLOEXEC).bits());
    #[expect(clippy::disallowed_methods, reason = "the one implementation of the seam")]
    let direct = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unsupported(),
        _ => told_apart(error),
    })?;
    let (old, new) = (file.metadata()?, direct.metadata()?);
    if (old.dev(), old.ino()) == (new.dev(), new.ino()) { Ok(direct) } else { Err(unsupported()) }
}

/// `EINVAL` is how a file system says that it cannot.
fn told_apart(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::EINVAL as i32) { unsupported() } else { error }
}

fn unsupported() -> io::Error {
    io::ErrorKind::Unsupported.into()
}
