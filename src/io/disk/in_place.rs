//! Whether a file may be written through a mapping.
//!
//! Blocks that are allocated keep a write to mapped memory from ending the process on a full disk, if the file system writes where
//! they are. A copy-on-write file system writes somewhere else, and has to find room each time: there, a file is mapped for writing
//! only with the flag that makes it overwrite in place. Otherwise its content is kept in memory, and each write is a call that can
//! fail.

use std::fs::File;
use std::io;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, NILFS_SUPER_MAGIC, fstatfs};

use super::super::mapping::in_place;

/// Not among the library's constants.
const BCACHEFS_MAGIC: FsType = FsType(0xca45_1a4e);
const ZFS_MAGIC: FsType = FsType(0x2fc1_2fc1);

/// Whether memory mapped from `file` may be written to.
pub(super) fn may_map(file: &File) -> io::Result<bool> {
    let kind = fstatfs(file)?.filesystem_type();
    Ok(decide(kind, || in_place::is_set(file)))
}

/// Asks for in-place writes to the files that will be created in `folder`, where that makes a difference. Where it cannot be had,
/// [`may_map`] says no.
pub(super) fn ask(folder: &File) -> io::Result<()> {
    if copies_on_write(fstatfs(folder)?.filesystem_type()) && !in_place::is_set(folder) {
        drop(in_place::set(folder));
    }
    Ok(())
}

fn decide(kind: FsType, has_flag: impl FnOnce() -> bool) -> bool {
    // Only here the flag is known to do what it says.
    let obeys = kind == BTRFS_SUPER_MAGIC;
    !copies_on_write(kind) || (obeys && has_flag())
}

fn copies_on_write(kind: FsType) -> bool {
    [BTRFS_SUPER_MAGIC, BCACHEFS_MAGIC, ZFS_MAGIC, NILFS_SUPER_MAGIC].contains(&kind)
}

#[cfg(test)]
mod tests {
    use nix::sys::statfs::{EXT4_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC};

    use super::*;

    #[test]
    fn a_copy_on_write_file_system_is_mapped_for_writing_only_where_it_overwrites_in_place() {
        for kind in [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC] {
            assert!(decide(kind, || panic!("{kind:?}: nothing depends on the flag")));
        }
        assert!(decide(BTRFS_SUPER_MAGIC, || true));
        assert!(!decide(BTRFS_SUPER_MAGIC, || false));
        for kind in [ZFS_MAGIC, BCACHEFS_MAGIC, NILFS_SUPER_MAGIC] {
            for flag in [false, true] {
                assert!(!decide(kind, || flag), "{kind:?}");
            }
        }
    }

    #[test]
    fn asking_changes_nothing_on_other_file_systems() {
        let folder = tempfile::tempdir().unwrap();
        let dir = super::super::open_dir(folder.path()).unwrap();
        if copies_on_write(fstatfs(&dir).unwrap().filesystem_type()) {
            ask(&dir).unwrap();
            return;
        }
        ask(&dir).unwrap();
        assert!(!in_place::is_set(&dir));
        assert!(may_map(&tempfile::tempfile_in(folder.path()).unwrap()).unwrap());
    }
}
