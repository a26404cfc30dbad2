//! The staging buffer: where records wait, in memory that outlives the process, until they are written to their file.
//!
//! ```text
//!   0  magic "PMQSTAGE"        8      header page, 4096 bytes
//!   8  generation             u64
//!  16  ring size              u64
//!  24  base: log offset at creation  u64
//!  32  1 if readers stop at the durable position, else 0  u64
//!  40  CRC-32 of bytes 0..40  u32
//!  64  committed: log offset up to which records are in their files   u64, atomic
//!  72  durable: log offset up to which they survive a power cut       u64, atomic
//!  80  durable, all bits inverted: a pair torn by a crash is ignored  u64
//! 4096 the ring: the byte of log offset o is at 4096 + o mod ring size
//! ```
//!
//! A process kill keeps the whole buffer; a power cut may keep any of its pages. So nothing in the ring is believed for
//! its place alone: a record counts only if its checksum holds and it names the very offset it is wanted for.

use super::format::{self, BLANK_LEN, Checks, Decoded, RecordCrc};
use crate::error::{Error, Result};
use crate::io::small::create_anew;
use crate::io::{MapAccess, Mapping, OpenMode, Storage, StoreFile};
use crate::layout::Layout;
use crate::sync::{Arc, AtomicBool, Ordering, point};

const MAGIC: &[u8; 8] = b"PMQSTAGE";
const HEADER: usize = 4096;
const COMMITTED: usize = 64;
const DURABLE: usize = 72;
const DURABLE_CHECK: usize = 80;

/// The mapped ring of one generation.
#[derive(Debug)]
pub(crate) struct Staging {
    file: Arc<dyn StoreFile>,
    map: Mapping,
    ring: u64,
    /// Something that was put here is in memory only.
    failed: AtomicBool,
}

impl Staging {
    /// Creates a new file for `generation`, durable in name and header. Blocks come with the first
    /// [`Staging::allocate`].
    pub(crate) fn create(
        storage: &Arc<dyn Storage>,
        layout: &Layout,
        generation: u64,
        (ring, base, durable_only): (u64, u64, bool),
    ) -> Result<Self> {
        let path = layout.staging(generation);
        let make = || {
            let file = create_anew(&**storage, &path)?;
            let len = HEADER as u64 + ring;
            file.set_len(len)?;
            file.allocate(0, HEADER as u64)?;
            file.write_at(0, &header([generation, ring, base, durable_only.into()]))?;
            file.sync()?;
            storage.sync_dir(&layout.own())?;
            let len = usize::try_from(len).map_err(std::io::Error::other)?;
            let map = file.map(0, len, MapAccess::Write)?;
            Ok((file, map))
        };
        let (file, map) = make().map_err(|e| Error::io(e, &path, "create the staging buffer"))?;
        let staging = Self { file, map, ring, failed: AtomicBool::new(false) };
        staging.publish_committed(base);
        staging.publish_durable(base);
        Ok(staging)
    }

    /// Allocates the ring's blocks, so that writing to it cannot fail.
    pub(crate) fn allocate(&self, layout: &Layout, generation: u64) -> Result<()> {
        self.file.allocate(HEADER as u64, self.ring).map_err(|e| {
            Error::io(e, &layout.staging(generation), "allocate space for the staging buffer")
        })
    }

    /// Locks the ring in memory.
    pub(crate) fn lock_in_memory(&self, layout: &Layout, generation: u64) -> Result<()> {
        self.map.lock_in_memory().map_err(|e| {
            Error::io(e, &layout.staging(generation), "lock the staging buffer in memory")
        })
    }

    pub(crate) fn ring(&self) -> u64 {
        self.ring
    }

    /// Copies `data` to the place of log offset `offset`. The caller made sure that nothing uncommitted is there. `false`: it
    /// would not outlive the process, for the buffer's file system found no room to write it to.
    #[must_use]
    pub(crate) fn put(&self, offset: u64, data: &[u8]) -> bool {
        let at = self.position(offset);
        let room = self.map.len() - at;
        let (first, rest) = data.split_at(room.min(data.len()));
        debug_assert!(data.len() as u64 <= self.ring, "a record larger than the ring");
        point();
        let kept = self.map.write(at, first) && (rest.is_empty() || self.map.write(HEADER, rest));
        if !kept {
            self.failed.store(true, Ordering::Release);
        }
        kept
    }

    /// Whether the buffer once did not keep what was put there: what comes must not take this way.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The staged bytes `from..to`, as one or two runs with their log offsets.
    #[expect(clippy::cast_possible_truncation, reason = "the ring was mapped, so it fits usize")]
    pub(crate) fn runs(&self, from: u64, to: u64) -> [(u64, &[u8]); 2] {
        let at = self.position(from);
        let len = (to - from) as usize;
        let first = len.min(self.map.len() - at);
        let run = |at: usize, len: usize| self.map.slice(at..at + len).unwrap_or_default();
        [(from, run(at, first)), (from + first as u64, run(HEADER, len - first))]
    }

    #[expect(clippy::cast_possible_truncation, reason = "the ring was mapped, so it fits usize")]
    fn position(&self, offset: u64) -> usize {
        HEADER + (offset % self.ring) as usize
    }

    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn publish_committed(&self, offset: u64) {
        let _mapped = self.map.store_u64(COMMITTED, offset);
    }

    pub(crate) fn publish_durable(&self, offset: u64) {
        let _mapped = self.map.store_u64(DURABLE, offset);
        let _mapped = self.map.store_u64(DURABLE_CHECK, !offset);
    }
}

fn header(fields: [u64; 4]) -> Vec<u8> {
    let [_, _, base, _] = fields;
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(MAGIC);
    for field in fields {
        out.extend_from_slice(&field.to_be_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out.resize(COMMITTED, 0);
    for field in [base, base, !base] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    out
}

/// A staging buffer left behind by another process (or still being written by one), read without mapping it.
#[derive(Debug)]
pub(crate) struct StagedImage {
    ring: Vec<u8>,
    /// `None` when the pair was torn.
    pub(crate) durable: Option<u64>,
    /// Readers of this store stop at the durable position.
    pub(crate) durable_only: bool,
}

impl StagedImage {
    /// Reads the buffer of `generation`. `None` when there is none, or not one that this generation wrote.
    pub(crate) fn read(
        storage: &dyn Storage,
        layout: &Layout,
        generation: u64,
    ) -> Result<Option<Self>> {
        let path = layout.staging(generation);
        let file = match storage.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(e, &path, "open the staging buffer")),
        };
        let io = |e| Error::io(e, &path, "read the staging buffer");
        let len = file.len().map_err(io)?;
        if !(HEADER as u64..=HEADER as u64 + (1 << 30)).contains(&len) {
            return Ok(None);
        }
        let mut head = vec![0; HEADER];
        file.read_at(0, &mut head).map_err(io)?;
        let field = |at: usize| {
            head.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes)
        };
        let (Some(gen_), Some(size)) = (field(8), field(16)) else { return Ok(None) };
        let crc = head.get(..40).map(crc32fast::hash);
        let stored = head.get(40..44).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        let ours = head.starts_with(MAGIC)
            && crc == stored
            && gen_ == generation
            && size.is_power_of_two()
            && size + HEADER as u64 == len;
        if !ours {
            return Ok(None);
        }
        let mut ring = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_at(HEADER as u64, &mut ring).map_err(io)?;
        let durable = field(DURABLE).filter(|d| field(DURABLE_CHECK) == Some(!d));
        Ok(Some(Self { ring, durable, durable_only: field(32) == Some(1) }))
    }

    /// The record at log offset `at`, if the ring still has it: it keeps what went to the log's files until it is written over.
    pub(crate) fn record_at(&self, at: u64) -> Option<Vec<u8>> {
        let start = usize::try_from(at % self.ring.len() as u64).ok()?;
        let (head, tail) = self.ring.split_at(start);
        let take = |len: usize| {
            let bytes: Vec<u8> = tail.iter().chain(head).take(len).copied().collect();
            (bytes.len() == len).then_some(bytes)
        };
        let checks = Checks { body_crc: true, record_crc: RecordCrc::Require };
        let Decoded::Incomplete { needed } = format::decode(&take(BLANK_LEN)?, checks) else {
            return None;
        };
        let bytes = take(needed)?;
        match format::decode(&bytes, checks) {
            Decoded::Record(record) if record.physical_offset == at => Some(bytes),
            _ => None,
        }
    }

    /// The ring's bytes as they would go on from log offset `from`, at most one ring's length.
    pub(crate) fn from(&self, from: u64) -> Vec<u8> {
        let at = usize::try_from(from % self.ring.len() as u64).unwrap_or(0);
        let (head, tail) = self.ring.split_at(at);
        [tail, head].concat()
    }
}
