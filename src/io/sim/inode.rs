//! One file: what programs see, what the kernel believes to be on disk, and what is.

use std::borrow::Cow;
use std::io;

use super::super::memory::{Budget, Content};
use super::super::{Eviction, MapAccess, Mapping};
use super::rng::Survival;
use crate::sync::{Arc, AtomicBool, Mutex};

pub(super) const PAGE: usize = 4096;
const SECTOR: usize = 512;

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) file: Mutex<FileState>,
    pub(super) locked: AtomicBool,
}

impl Inode {
    pub(super) fn new(file: FileState) -> Arc<Self> {
        Arc::new(Self { file: Mutex::new(file), locked: AtomicBool::new(false) })
    }
}

/// Invariant: where `clean` and `live` agree a page needs no writing, and what is then on disk is `disk`, which is
/// something else after a failed sync. Bytes beyond the end of either count as zero.
#[derive(Debug)]
pub(super) struct FileState {
    pub(super) live: Content,
    clean: Arc<Vec<u8>>,
    disk: Arc<Vec<u8>>,
}

impl FileState {
    pub(super) fn new(budget: &Arc<Budget>) -> io::Result<Self> {
        let nothing = Arc::new(Vec::new());
        let live = Content::new(Arc::clone(budget))?;
        Ok(Self { live, clean: Arc::clone(&nothing), disk: nothing })
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.live.write(offset, data)?;
        if !Arc::ptr_eq(&self.clean, &self.disk) && !data.is_empty() {
            // A page that counted as clean and was not becomes dirty by being written, even with the same bytes.
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let end = (start + data.len()).next_multiple_of(PAGE);
            let disk = padded(&self.disk, self.clean.len()).into_owned();
            let clean = Arc::make_mut(&mut self.clean);
            for page in pages(start / PAGE * PAGE..end.min(clean.len())) {
                clean[page.clone()].copy_from_slice(&disk[page]);
            }
        }
        Ok(())
    }

    pub(super) fn map(&self, offset: u64, len: usize, access: MapAccess) -> io::Result<Mapping> {
        self.live.map(offset, len, access)
    }

    /// Writes dirty pages to the disk: those that `chosen` picks, and the length if `with_len`.
    pub(super) fn write_back(
        &mut self,
        mut chosen: impl FnMut(usize) -> bool,
        with_len: bool,
    ) -> io::Result<()> {
        let live = self.live.bytes()?;
        if live == *self.clean && Arc::ptr_eq(&self.clean, &self.disk) {
            return Ok(());
        }
        let before = padded(&self.clean, live.len());
        let len_is_dirty = live.len() != self.clean.len();
        let mut clean = before.to_vec();
        let mut disk = self.disk.to_vec();
        if len_is_dirty && with_len {
            disk.resize(live.len(), 0);
            clean.resize(live.len(), 0);
        }
        for page in pages(0..live.len()) {
            if live[page.clone()] != before[page.clone()] && chosen(page.start / PAGE) {
                if disk.len() < page.end {
                    disk.resize(live.len(), 0);
                }
                disk[page.clone()].copy_from_slice(&live[page.clone()]);
                clean[page.clone()].copy_from_slice(&live[page]);
            }
        }
        if len_is_dirty && !with_len && disk.len() != live.len() {
            // The length stays dirty: no sign of it in `clean`.
            clean.resize(self.clean.len(), 0);
        }
        self.clean = Arc::new(clean);
        self.disk = if disk == *self.clean { Arc::clone(&self.clean) } else { Arc::new(disk) };
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !Arc::ptr_eq(&self.clean, &self.disk) {
            return self.write_back(|_| true, true);
        }
        let live = self.live.bytes()?;
        if live != *self.clean {
            self.clean = Arc::new(live);
            self.disk = Arc::clone(&self.clean);
        }
        Ok(())
    }

    /// A sync that fails: what was dirty counts as written, and is not.
    pub(super) fn lose_dirty(&mut self) -> io::Result<()> {
        self.clean = Arc::new(self.live.bytes()?);
        if *self.clean == *self.disk {
            self.clean = Arc::clone(&self.disk);
        }
        Ok(())
    }

    /// Drops cached pages, after a sync. Mapped pages cannot be dropped.
    pub(super) fn evict(&mut self) -> io::Result<Eviction> {
        if self.live.is_mapped() {
            return Ok(Eviction::Stayed);
        }
        if !Arc::ptr_eq(&self.clean, &self.disk) {
            let mut disk = padded(&self.disk, self.live.len()).into_owned();
            // The length is not cached with the pages.
            disk.truncate(self.live.len());
            self.live = self.live.copy_with(&disk, self.live.budget())?;
            self.clean = Arc::new(disk);
        }
        Ok(Eviction::Gone)
    }

    /// As the kernel does it: dirty pages in the way are written first, then the disk is read.
    pub(super) fn read_direct(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // Checks the range too.
        self.live.read(offset, buf)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let range = start / PAGE..(start + buf.len()).div_ceil(PAGE);
        self.write_back(|page| range.contains(&page), false)?;
        buf.copy_from_slice(&padded(&self.disk, self.live.len())[start..start + buf.len()]);
        Ok(())
    }

    /// Flips a bit on the medium, and in everything that was read from it.
    pub(super) fn flip_bit(&mut self, bit: u64) -> io::Result<()> {
        let mut byte = [0];
        self.live.read(bit / 8, &mut byte)?;
        let mask = 1 << (bit % 8);
        self.live.write(bit / 8, &[byte[0] ^ mask])?;
        let at = usize::try_from(bit / 8).map_err(io::Error::other)?;
        let same = Arc::ptr_eq(&self.clean, &self.disk);
        for image in [&mut self.clean, &mut self.disk] {
            if let Some(byte) = Arc::make_mut(image).get_mut(at) {
                *byte ^= mask;
            }
        }
        if same {
            self.disk = Arc::clone(&self.clean);
        }
        Ok(())
    }

    /// Dirty pages in blocks without room of their own: on a full disk the write would have been a signal.
    pub(super) fn writes_into_holes(&self) -> io::Result<Vec<usize>> {
        let live = self.live.bytes()?;
        let clean = padded(&self.clean, live.len());
        let hit = |page: &std::ops::Range<usize>| {
            live[page.clone()] != clean[page.clone()] && !self.live.has_block(page.start / PAGE)
        };
        Ok(pages(0..live.len()).filter(hit).map(|page| page.start / PAGE).collect())
    }

    /// The file as a killed process leaves it.
    pub(super) fn killed(&self, budget: &Arc<Budget>) -> io::Result<Self> {
        Ok(Self {
            live: self.live.copy_with(&self.live.bytes()?, budget)?,
            clean: Arc::clone(&self.clean),
            disk: Arc::clone(&self.disk),
        })
    }

    /// The file as a power cut leaves it.
    pub(super) fn after_power_cut(
        &self,
        budget: &Arc<Budget>,
        chance: &mut Survival,
    ) -> io::Result<Self> {
        let live = self.live.bytes()?;
        let bytes = if Arc::ptr_eq(&self.clean, &self.disk) && live == *self.clean {
            Arc::clone(&self.disk)
        } else {
            Arc::new(self.survivors(&live, chance))
        };
        let live = self.live.copy_with(&bytes, budget)?;
        Ok(Self { live, clean: Arc::clone(&bytes), disk: bytes })
    }

    fn survivors(&self, live: &[u8], chance: &mut Survival) -> Vec<u8> {
        let clean = padded(&self.clean, live.len());
        let mut out = padded(&self.disk, live.len()).into_owned();
        let mut grew = false;
        for page in pages(0..live.len()) {
            if live[page.clone()] == clean[page.clone()] {
                continue;
            }
            for start in page.clone().step_by(SECTOR) {
                let sector = start..(start + SECTOR).min(page.end);
                if live[sector.clone()] != out[sector.clone()] && chance.survives() {
                    grew |= sector.end > self.disk.len();
                    out[sector.clone()].copy_from_slice(&live[sector]);
                }
            }
        }
        let len_is_dirty = live.len() != self.clean.len();
        let new_len = grew || (len_is_dirty && chance.survives());
        out.truncate(if new_len { live.len() } else { self.disk.len() });
        out
    }
}

/// The ranges of the pages that cover a range which starts at a page.
fn pages(range: std::ops::Range<usize>) -> impl Iterator<Item = std::ops::Range<usize>> {
    let end = range.end;
    range.step_by(PAGE).map(move |start| start..(start + PAGE).min(end))
}

/// At least `len` bytes, zeros where there were none.
fn padded(bytes: &[u8], len: usize) -> Cow<'_, [u8]> {
    if bytes.len() >= len {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    bytes.resize(len, 0);
    Cow::Owned(bytes)
}
