//! The lock: a record lock on byte 0, as the broker takes it, and `flock` for those who look only there.
//!
//! Both belong to the open file, not to the process: a second handle in the same process is kept out too, closing
//! some other handle of the file loses nothing, and a dead process holds nothing. A forked child shares them.

use std::fs::{File, TryLockError};
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, c_int, c_short, flock};

use super::super::LockGuard;

/// Dropping it only closes the file: a child that drops its copy must not free the parent's.
#[derive(Debug)]
pub(super) struct DiskLock {
    file: File,
}

impl LockGuard for DiskLock {
    fn release(&self) {
        // Whatever fails here, closing the file does as well.
        let _ = self.file.unlock();
        let record = of_type(F_UNLCK);
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&record));
    }
}

pub(super) fn take(file: File) -> io::Result<DiskLock> {
    let record = first_byte();
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&record)) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    match file.try_lock() {
        Ok(()) => Ok(DiskLock { file }),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Asks for the record lock only. Trying `flock` would take it for a moment, and keep out an opener who is right.
pub(super) fn is_held(file: &File) -> io::Result<bool> {
    let mut record = first_byte();
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut record))?;
    Ok(i32::from(record.l_type) != F_UNLCK)
}

/// A write lock on byte 0.
pub(super) fn first_byte() -> flock {
    of_type(F_WRLCK)
}

/// A record on byte 0. The process id must be 0 for locks of open files.
#[expect(
    clippy::cast_possible_truncation,
    reason = "tiny constants, declared wider than their field"
)]
fn of_type(kind: c_int) -> flock {
    flock { l_type: kind as c_short, l_whence: SEEK_SET as c_short, l_start: 0, l_len: 1, l_pid: 0 }
}
