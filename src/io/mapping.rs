//! Memory handed out once and used without system calls: a mapped file, or plain zeroed memory that stands for one.
//!
//! The only module with `unsafe` code. Everything outside works with offsets that are checked here, at each call:
//! an access out of range is refused, never undefined.
//!
//! Two things no check here can see are promises of the storage implementations and of the store:
//! a file is never made shorter than what is mapped of it (the kernel would raise `SIGBUS`), and bytes that
//! [`Mapping::slice`] lends out were published before and are never written again.

#![expect(unsafe_code, reason = "raw access to mapped memory; the rest of the crate forbids it")]

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
// Not through `crate::sync`: these are views of mapped memory, which a schedule checker's types cannot be.
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};

use super::MapAccess;
use crate::sync::Arc;
use through::Through;

pub(super) mod in_place;
mod through;

/// What the offset of a mapping must be a multiple of.
pub(super) const MAP_ALIGN: u64 = 4096;

/// Regions up to this size come from the heap: cheaper to get and to give back than pages from the kernel.
const HEAP_MAX: usize = 256 << 10;

/// A run of bytes shared with a file, or with all other mappings of the same region. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Mapping {
    region: Arc<Region>,
    /// Where this window starts in the region. Invariant: `offset + len` is at most the region's length.
    offset: usize,
    len: usize,
    writable: bool,
    /// Where writes go besides the memory, if the memory is not the file's own.
    through: Option<Arc<Through>>,
}

enum Region {
    Mapped(MmapRaw),
    /// Zeroed memory, 8-aligned. Atomics, because only they may be written through a shared reference.
    Heap(Box<[AtomicU64]>),
}

impl Region {
    fn base(&self) -> *mut u8 {
        match self {
            Self::Mapped(map) => map.as_mut_ptr(),
            Self::Heap(words) => words.as_ptr().cast_mut().cast(),
        }
    }
}

impl Mapping {
    /// Maps part of a file, shared. The caller has checked the range with [`check_window`].
    pub(super) fn of_file(
        file: &File,
        offset: u64,
        len: usize,
        access: MapAccess,
    ) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.offset(offset).len(len);
        let map = match access {
            MapAccess::Read => options.map_raw_read_only(file)?,
            MapAccess::Write => options.map_raw(file)?,
        };
        Ok(Self {
            region: Arc::new(Region::Mapped(map)),
            offset: 0,
            len,
            writable: access == MapAccess::Write,
            through: None,
        })
    }

    /// A copy of part of a file that every write goes through to the file, by a call that can fail: where writing to the file's
    /// own memory could end the process, because the file system has to find room for it.
    pub(super) fn written_through(file: &File, offset: u64, len: usize) -> io::Result<Self> {
        let copy = Self::anonymous(len)?;
        let through = Through::new(file, offset)?;
        through.load(len, |at, bytes| copy.write(at, bytes))?;
        Ok(Self { through: Some(Arc::new(through)), ..copy })
    }

    /// Zeroed memory that belongs to no file. Large regions take memory only where they are written.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        let region = if len <= HEAP_MAX {
            Region::Heap(zeroed_words(len.div_ceil(size_of::<u64>())))
        } else {
            Region::Mapped(MmapOptions::new().len(len).no_reserve_swap().map_anon()?.into())
        };
        Ok(Self { region: Arc::new(region), offset: 0, len, writable: true, through: None })
    }

    /// A part of this mapping as a mapping of its own, over the same memory. `None` if out of range.
    pub(crate) fn window(&self, offset: usize, len: usize, access: MapAccess) -> Option<Self> {
        self.start(offset, len)?;
        Some(Self {
            region: Arc::clone(&self.region),
            offset: self.offset + offset,
            len,
            writable: self.writable && access == MapAccess::Write,
            through: self.through.clone(),
        })
    }

    /// Whether another mapping shares this memory. A file mapping shares with nobody that this can see.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.region) > 1
    }

    /// Locks the memory, so that it is never paged out.
    pub(crate) fn lock_in_memory(&self) -> io::Result<()> {
        let start = self.region.base().wrapping_add(self.offset);
        // SAFETY: the window is within the region, which stays mapped as long as `self` lives; `mlock` changes nothing
        // that a program can see.
        match unsafe { libc::mlock(start.cast(), self.len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where `offset..offset + len` starts, if all of it is in this window.
    fn start(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        // The invariant keeps the sum within the region.
        (end <= self.len).then(|| self.region.base().wrapping_add(self.offset + offset))
    }

    fn start_mut(&self, offset: usize, len: usize) -> Option<*mut u8> {
        self.start(offset, len).filter(|_| self.writable)
    }

    /// Copies bytes out. `false`, and nothing copied, if out of range.
    ///
    /// While somebody writes the same bytes the copy is any mixture of old and new: check what was read.
    #[must_use]
    pub(crate) fn read(&self, offset: usize, buf: &mut [u8]) -> bool {
        let Some(from) = self.start(offset, buf.len()) else { return false };
        // SAFETY: `start` checked the range and `self.region` keeps it mapped. `buf` is exclusively borrowed and
        // no `&mut` into a region ever exists, so the two cannot overlap. Bytes have no invalid values.
        unsafe { std::ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        true
    }

    /// Copies bytes in. `false` if out of range or read-only, and nothing is copied; or if the copy did not get through to the
    /// file, see [`Mapping::written_through`].
    ///
    /// Not ordered against other threads: publish what was written with [`Mapping::store_u64`] or a lock.
    #[must_use]
    pub(crate) fn write(&self, offset: usize, data: &[u8]) -> bool {
        let Some(to) = self.start_mut(offset, data.len()) else { return false };
        // SAFETY: `start_mut` checked the range and that it is writable; `self.region` keeps it mapped. `data` may
        // be a slice of the same region, hence `copy`, which allows overlap. That nobody holds a slice of the
        // bytes written is the store's promise (see `slice`).
        unsafe { std::ptr::copy(data.as_ptr(), to, data.len()) };
        self.reaches_file(offset, data)
    }

    fn reaches_file(&self, offset: usize, data: &[u8]) -> bool {
        self.through.as_ref().is_none_or(|file| file.write(self.offset + offset, data))
    }

    /// Writes zeros. `false` as for [`Mapping::write`].
    #[must_use]
    pub(crate) fn fill_zero(&self, offset: usize, len: usize) -> bool {
        let Some(to) = self.start_mut(offset, len) else { return false };
        // SAFETY: as for `write`.
        unsafe { std::ptr::write_bytes(to, 0, len) };
        self.through.is_none() || self.reaches_file(offset, &vec![0; len])
    }

    /// Lends bytes without copying. `None` if out of range.
    ///
    /// **Only for bytes that were published to this thread and will never be written again** while any mapping
    /// of the file lives: records below the log's visible end. The log is append-only and its files are neither
    /// recycled nor truncated, which is what makes the shared borrow sound; for anything else use
    /// [`Mapping::read`].
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<&[u8]> {
        let len = range.end.checked_sub(range.start)?;
        let start = self.start(range.start, len)?;
        // SAFETY: `start` checked the range, and the borrow of `self` keeps the region mapped. By the contract
        // above nobody writes these bytes any more.
        Some(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// The number at `offset` as an atomic. `None` if out of range or not 8-aligned.
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        #[expect(clippy::cast_ptr_alignment, reason = "checked on the next line")]
        let word = self.start(offset, size_of::<u64>())?.cast::<u64>();
        if !word.is_aligned() {
            return None;
        }
        // SAFETY: in range, aligned, mapped as long as `self` is borrowed; only loaded from if read-only. Concurrent
        // accesses to the same word go through this function, or are byte copies of words not yet or no longer
        // in use as atomics.
        Some(unsafe { AtomicU64::from_ptr(word) })
    }

    /// Publishes a number, big-endian in memory: whoever loads it also sees everything written before.
    /// `false` if out of range, not 8-aligned or read-only, or if it did not get through to the file.
    #[must_use]
    pub(crate) fn store_u64(&self, offset: usize, value: u64) -> bool {
        let word = self.word(offset).filter(|_| self.writable);
        let stored = word.map(|word| word.store(value.to_be(), Ordering::Release));
        stored.is_some() && self.reaches_file(offset, &value.to_be_bytes())
    }

    /// Loads a number that [`Mapping::store_u64`] published. `None` if out of range or not 8-aligned.
    #[cfg_attr(not(test), expect(dead_code, reason = "the counterpart of `store_u64`"))]
    pub(crate) fn load_u64(&self, offset: usize) -> Option<u64> {
        let word = self.word(offset)?;
        // A relaxed load and a fence, because only relaxed loads are promised to work on read-only memory.
        let value = word.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        Some(u64::from_be(value))
    }

    /// How many pages of a mapped file the kernel holds in memory, no matter who brought them in.
    ///
    /// The kernel says "all" to a process that neither owns the file nor may write it.
    pub(crate) fn resident_pages(&self) -> io::Result<usize> {
        let page = page_size()?;
        if matches!(*self.region, Region::Heap(_)) {
            return Ok(self.len.div_ceil(page));
        }
        let base = self.region.base().wrapping_add(self.offset);
        // Down to a page boundary: the kernel maps whole pages, so that is still inside the mapping.
        let skew = base.addr() % page;
        let len = self.len + skew;
        let mut pages = vec![0_u8; len.div_ceil(page)];
        let start = base.wrapping_sub(skew).cast();
        // SAFETY: `start` is page-aligned, and `pages` has one byte for each page of the range.
        let result = unsafe { libc::mincore(start, len, pages.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        // Only the lowest bit means anything.
        Ok(pages.iter().filter(|&&page| page & 1 == 1).count())
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("len", &self.len)
            .field("writable", &self.writable)
            .finish_non_exhaustive()
    }
}

fn zeroed_words(count: usize) -> Box<[AtomicU64]> {
    let mut words: Vec<AtomicU64> = Vec::with_capacity(count);
    // SAFETY: room for `count` elements was just reserved.
    unsafe { words.as_mut_ptr().write_bytes(0, count) };
    // SAFETY: all of them were written, and zero bytes are an atomic zero.
    unsafe { words.set_len(count) };
    words.into_boxed_slice()
}

/// Refuses to map what is not wholly inside a file of `file_len` bytes, or starts off a block boundary.
pub(super) fn check_window(offset: u64, len: usize, file_len: u64) -> io::Result<()> {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    if len == 0 || !offset.is_multiple_of(MAP_ALIGN) || end.is_none_or(|end| end > file_len) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot map {len} bytes at {offset} of a file of {file_len} bytes"),
        ));
    }
    Ok(())
}

fn page_size() -> io::Result<usize> {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?;
    size.and_then(|size| usize::try_from(size).ok())
        .filter(|size| size.is_power_of_two())
        .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

/// Tells a forked child from the process that opened the store: a child has its parent's memory and locks, but
/// none of its threads, and must not touch the files.
#[derive(Debug)]
pub(crate) struct ForkGuard {
    /// A page that the kernel clears in a child, holding a 1. `None` where the kernel cannot do that.
    page: Option<MmapRaw>,
    /// Asked instead where there is no page.
    process: u32,
}

impl ForkGuard {
    pub(crate) fn new() -> Self {
        Self { page: Self::wiped_page(), process: std::process::id() }
    }

    fn wiped_page() -> Option<MmapRaw> {
        let len = page_size().ok()?;
        let mut page = MmapOptions::new().len(len).map_anon().ok()?;
        *page.first_mut()? = 1;
        let page = MmapRaw::from(page);
        let start = page.as_mut_ptr().cast();
        // SAFETY: exactly the page just mapped; the advice changes nothing in this process.
        let result = unsafe { libc::madvise(start, len, libc::MADV_WIPEONFORK) };
        (result == 0).then_some(page)
    }

    /// Whether this is a child that was forked after [`ForkGuard::new`]. One load, where the kernel helps.
    pub(crate) fn in_child(&self) -> bool {
        let Some(page) = &self.page else { return std::process::id() != self.process };
        // SAFETY: the first byte of a page that `self` keeps mapped; nobody writes it but the kernel, while
        // forking.
        let marker = unsafe { AtomicU8::from_ptr(page.as_mut_ptr()) };
        marker.load(Ordering::Relaxed) == 0
    }
}

/// What `run` says in a forked child, which has no other thread and 20 seconds. `None` if it did not get there.
#[cfg(test)]
pub(crate) fn code_of_forked_child(run: impl FnOnce() -> i32) -> Option<i32> {
    // SAFETY: of the parent's threads the child has this one only. It takes no lock of theirs but the allocator's, which the
    // C library hands to it in order.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: takes a number. Ends the child if it waits for something that never comes.
        unsafe { libc::alarm(20) };
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(101);
        // SAFETY: ends the child at once, running nothing of the parent's.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert!(child > 0 && waited == child, "no child");
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

#[cfg(test)]
mod tests;
