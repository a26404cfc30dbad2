//! One open file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::libc::off_t;
use nix::unistd::{Whence, lseek};

use super::super::mapping::check_window;
use super::super::{Eviction, MapAccess, Mapping, StoreFile};
use super::{direct, evict, in_place};

const BLOCK: u64 = 4096;

/// Known to be a regular file.
#[derive(Debug)]
pub(super) struct DiskFile(File);

impl DiskFile {
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// What `allocate` does on a file system without it: blocks that read as zero may be holes and are written
    /// as zeros. The rest have their place already.
    ///
    /// Not beyond the end of the file, whose length must stay. Nobody may write to the range meanwhile, which
    /// holds because allocation runs ahead of the writer.
    fn write_holes(&self, offset: u64, end: u64) -> io::Result<()> {
        let end = end.min(self.0.metadata()?.len());
        let (mut block, mut at) = ([0; 4096], offset);
        while at < end {
            let to_boundary = BLOCK - at % BLOCK;
            let len = usize::try_from(to_boundary.min(end - at)).unwrap_or(block.len());
            let Some(part) = block.get_mut(..len) else { break };
            self.0.read_exact_at(part, at)?;
            if part.iter().all(|&byte| byte == 0) {
                self.0.write_all_at(part, at)?;
            }
            at += len as u64;
        }
        Ok(())
    }
}

impl StoreFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let end = offset.checked_add(len).ok_or(io::ErrorKind::FileTooLarge)?;
        let start = off_t::try_from(offset).map_err(too_large)?;
        let size = off_t::try_from(len).map_err(too_large)?;
        if size == 0 {
            return Ok(());
        }
        loop {
            match fallocate(&self.0, FallocateFlags::FALLOC_FL_KEEP_SIZE, start, size) {
                Ok(()) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return self.write_holes(offset, end),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        let start =
            off_t::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match lseek(&self.0, start, Whence::SeekData) {
            Ok(data) => Ok(u64::try_from(data).ok()),
            Err(Errno::ENXIO) => Ok(None),
            // Not every file system tells holes from data.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Some(offset)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        check_window(offset, len, self.len()?)?;
        if access == MapAccess::Write && !in_place::may_map(&self.0)? {
            return Mapping::written_through(&self.0, offset, len);
        }
        Mapping::of_file(&self.0, offset, len, access)
    }

    fn read_ahead(&self, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) else { return };
        let _hint = posix_fadvise(&self.0, offset, len, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }

    fn evict(&self) -> io::Result<Eviction> {
        evict::evict(&self.0)
    }

    fn read_direct(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        direct::read(&self.0, offset, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_fallocate_holes_are_filled_and_content_and_length_stay() {
        let file = DiskFile(tempfile::tempfile().unwrap());
        file.set_len(20_000).unwrap();
        file.write_at(5000, b"content").unwrap();
        let blocks = |file: &DiskFile| {
            use std::os::unix::fs::MetadataExt;
            file.0.sync_all().unwrap();
            file.0.metadata().unwrap().blocks()
        };
        let before = blocks(&file);
        file.write_holes(100, 1 << 40).unwrap();
        assert!(blocks(&file) >= before + 4 * 8);
        assert_eq!(file.len().unwrap(), 20_000);
        let mut all = vec![0; 20_000];
        file.read_at(0, &mut all).unwrap();
        assert_eq!(&all[5000..5007], b"content");
        assert_eq!(all.iter().filter(|&&byte| byte != 0).count(), 7);
    }
}
