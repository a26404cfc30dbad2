//! The flag that keeps a copy-on-write file system from copying: what was written once is overwritten where it is.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// As in `linux/fs.h`; not among the library's constants.
const NOCOW: c_int = 0x0080_0000;

/// Whether a file or folder has the flag. `false` where there is no such flag.
pub(in crate::io) fn is_set(file: &File) -> bool {
    flags(file).is_ok_and(|flags| flags & NOCOW != 0)
}

/// Sets the flag; files that are created in the folder from then on have it too.
pub(in crate::io) fn set(folder: &File) -> io::Result<()> {
    let flags = flags(folder)? | NOCOW;
    // SAFETY: the call reads one `int`, whatever its number says of the type, and `flags` lives until it returns.
    let done = unsafe { libc::ioctl(folder.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn flags(file: &File) -> io::Result<c_int> {
    // The call's number names a `long`, but an `int` is written: the first of these.
    let mut room: [c_int; 2] = [0; 2];
    // SAFETY: the call writes no more than a `long` to `room`, which is at least as large and lives until it returns.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, room.as_mut_ptr()) };
    let [flags, _] = room;
    if done == 0 { Ok(flags) } else { Err(io::Error::last_os_error()) }
}
