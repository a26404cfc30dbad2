//! Writing what is written to memory to a file too.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// The part of a file that a piece of memory is a copy of.
#[derive(Debug)]
pub(super) struct Through {
    file: File,
    offset: u64,
}

impl Through {
    pub(super) fn new(file: &File, offset: u64) -> io::Result<Self> {
        Ok(Self { file: file.try_clone()?, offset })
    }

    /// Hands out the first `len` bytes, piece by piece.
    pub(super) fn load(
        &self,
        len: usize,
        mut put: impl FnMut(usize, &[u8]) -> bool,
    ) -> io::Result<()> {
        let mut buf = vec![0; CHUNK.min(len)];
        let mut at = 0;
        while at < len {
            let count = buf.len().min(len - at);
            let part = buf.get_mut(..count).unwrap_or_default();
            self.file.read_exact_at(part, self.offset + at as u64)?;
            // Memory that was never touched costs nothing.
            if part.iter().any(|byte| *byte != 0) && !put(at, part) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += count;
        }
        Ok(())
    }

    /// Whether all of `data` is in the file now.
    pub(super) fn write(&self, at: usize, data: &[u8]) -> bool {
        self.file.write_all_at(data, self.offset + at as u64).is_ok()
    }
}
