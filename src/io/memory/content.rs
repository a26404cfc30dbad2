//! The bytes of a file that lives in memory, and the room they take.

use std::io;
use std::ops::Range;

use nix::errno::Errno;

use super::super::mapping::check_window;
use super::super::{MapAccess, Mapping};
use super::os;
use crate::sync::{Arc, AtomicU64, Ordering};

/// What room is counted in.
pub(in crate::io) const BLOCK: u64 = 4096;

/// Beyond any file of ours; keeps a nonsense length from becoming a huge allocation.
const LEN_MAX: u64 = 1 << 36;

/// Room shared by all files of a storage.
#[derive(Debug)]
pub(in crate::io) struct Budget {
    limit: AtomicU64,
    used: AtomicU64,
}

impl Budget {
    pub(in crate::io) fn new(limit: Option<u64>) -> Self {
        Self { limit: AtomicU64::new(limit.unwrap_or(u64::MAX)), used: AtomicU64::new(0) }
    }

    #[cfg(test)]
    pub(in crate::io) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(in crate::io) fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(in crate::io) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(bytes).filter(|&used| bytes == 0 || used <= limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(os(Errno::ENOSPC)),
        }
    }

    /// Takes room without asking: for a copy of what already had it.
    #[cfg(test)]
    fn take(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A file's bytes: one region that all mappings of the file share.
///
/// Files are given their full size before they are mapped. Growing beyond the region moves the content to a new
/// one; mappings made before then go on showing the old region, which stays valid but is the file no longer.
#[derive(Debug)]
pub(in crate::io) struct Content {
    /// At least `len` bytes; zero beyond `len`.
    region: Mapping,
    len: usize,
    /// Which blocks have room of their own, so that writes into them cannot fail.
    blocks: Vec<bool>,
    budget: Arc<Budget>,
}

impl Content {
    pub(in crate::io) fn new(budget: Arc<Budget>) -> io::Result<Self> {
        Ok(Self { region: Mapping::anonymous(0)?, len: 0, blocks: Vec::new(), budget })
    }

    /// The same room as another file's, in another budget, with other bytes.
    #[cfg(test)]
    pub(in crate::io) fn copy_with(&self, bytes: &[u8], budget: &Arc<Budget>) -> io::Result<Self> {
        let region = Mapping::anonymous(bytes.len())?;
        put(&region, 0, bytes)?;
        let copy = Self {
            region,
            len: bytes.len(),
            blocks: self.blocks.clone(),
            budget: Arc::clone(budget),
        };
        copy.budget.take(count(&copy.blocks));
        Ok(copy)
    }

    #[cfg(test)]
    pub(in crate::io) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(in crate::io) fn len(&self) -> usize {
        self.len
    }

    /// Whether any mapping of these bytes is alive.
    #[cfg(test)]
    pub(in crate::io) fn is_mapped(&self) -> bool {
        self.region.is_shared()
    }

    /// Whether the block with this number has room of its own.
    #[cfg(test)]
    pub(in crate::io) fn has_block(&self, block: usize) -> bool {
        self.blocks.get(block).copied().unwrap_or(false)
    }

    #[cfg(test)]
    pub(in crate::io) fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    pub(in crate::io) fn set_len(&mut self, len: u64) -> io::Result<()> {
        let wanted = checked(len)?;
        if wanted < self.len {
            self.shrink(wanted)?;
            let kept = wanted.div_ceil(checked(BLOCK)?).min(self.blocks.len());
            let dropped = self.blocks.split_off(kept);
            self.budget.release(count(&dropped));
        } else {
            self.make_room(wanted)?;
        }
        self.len = wanted;
        Ok(())
    }

    /// Clears what is cut off, or leaves it behind with the region where nobody looks at it.
    fn shrink(&mut self, len: usize) -> io::Result<()> {
        if self.region.is_shared() {
            let done = self.region.fill_zero(len, self.len - len);
            return if done { Ok(()) } else { Err(out_of_range()) };
        }
        self.region = self.copy_of_region(len, len)?;
        Ok(())
    }

    fn make_room(&mut self, len: usize) -> io::Result<()> {
        if len > self.region.len() {
            self.region = self.copy_of_region(len, self.len)?;
        }
        Ok(())
    }

    fn copy_of_region(&self, size: usize, copied: usize) -> io::Result<Mapping> {
        let copy = Mapping::anonymous(size)?;
        let mut chunk = vec![0; copied.min(1 << 20)];
        let mut at = 0;
        while at < copied {
            chunk.truncate(copied - at);
            if !self.region.read(at, &mut chunk) {
                return Err(out_of_range());
            }
            put(&copy, at, &chunk)?;
            at += chunk.len();
        }
        Ok(copy)
    }

    /// Gives blocks to all of `offset..offset + len`, or to none of it.
    pub(in crate::io) fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let blocks = blocks_of(offset, len)?;
        let had = self.blocks.get(blocks.start..blocks.end.min(self.blocks.len())).map_or(0, count);
        let wanted = (blocks.end - blocks.start) as u64 * BLOCK;
        self.budget.reserve(wanted.saturating_sub(had))?;
        if self.blocks.len() < blocks.end {
            self.blocks.resize(blocks.end, false);
        }
        if let Some(range) = self.blocks.get_mut(blocks) {
            range.fill(true);
        }
        Ok(())
    }

    pub(in crate::io) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let range = range_of(offset, buf.len()).filter(|range| range.end <= self.len);
        match range {
            Some(range) if self.region.read(range.start, buf) => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    pub(in crate::io) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.allocate(offset, data.len() as u64)?;
        let range = range_of(offset, data.len()).ok_or_else(out_of_range)?;
        if range.end > self.region.len() {
            // Twice as much as before, so that a file written piece by piece is not copied each time.
            self.make_room(range.end.max(self.region.len() * 2))?;
        }
        put(&self.region, range.start, data)?;
        self.len = self.len.max(range.end);
        Ok(())
    }

    pub(in crate::io) fn map(
        &self,
        offset: u64,
        len: usize,
        access: MapAccess,
    ) -> io::Result<Mapping> {
        check_window(offset, len, self.len as u64)?;
        let range = range_of(offset, len).ok_or_else(out_of_range)?;
        self.region.window(range.start, len, access).ok_or_else(out_of_range)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.budget.release(count(&self.blocks));
    }
}

fn put(region: &Mapping, offset: usize, data: &[u8]) -> io::Result<()> {
    if region.write(offset, data) { Ok(()) } else { Err(out_of_range()) }
}

fn range_of(offset: u64, len: usize) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(len)?)
}

/// The bytes that these blocks take.
fn count(blocks: &[bool]) -> u64 {
    blocks.iter().filter(|&&taken| taken).count() as u64 * BLOCK
}

fn blocks_of(offset: u64, len: u64) -> io::Result<Range<usize>> {
    let end = offset.checked_add(len).ok_or_else(|| os(Errno::EFBIG))?;
    let last = if len == 0 { offset } else { end };
    Ok(checked(offset)? / checked(BLOCK)?..checked(last)?.div_ceil(checked(BLOCK)?))
}

fn checked(len: u64) -> io::Result<usize> {
    usize::try_from(len).ok().filter(|_| len <= LEN_MAX).ok_or_else(|| os(Errno::EFBIG))
}

/// Cannot happen while `Content`'s invariants hold; an error rather than a panic.
fn out_of_range() -> io::Error {
    io::Error::other("a file in memory is shorter than its length says")
}
