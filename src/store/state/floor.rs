//! How far the log is known to be durable, kept outside the staging buffer.
//!
//! ```text
//! slot (two of them, at 0 and 512, written in turn)
//!   0  magic "PMQFLOOR"  8
//!   8  generation        u64
//!  16  durable           u64   log offset
//!  24  queues            u64   log offset below which all units are in queue files, durable
//!  32  CRC-32 of 0..32   u32
//! ```
//!
//! Written when the flush interval is over, at the latest after so much log, and synced every few MiB: a durable send stays one
//! write and one sync. (After a kill the staging buffer's header says more.) A floor that lags is safe: it only means that less is
//! known.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::io::small::{create_anew, read_small};
use crate::io::{Storage, StoreFile};
use crate::layout::Layout;
use crate::sync::Arc;

const MAGIC: &[u8; 8] = b"PMQFLOOR";
const SLOT: usize = 512;
/// The floor is written after this much log, whoever waits.
const WRITE_INTERVAL: u64 = 256 << 10;
/// The floor itself is synced after this much log.
const SYNC_INTERVAL: u64 = 8 << 20;

/// What the floor file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FloorMark {
    pub(crate) durable: u64,
    pub(crate) queues: u64,
}

/// The open floor file of one generation.
#[derive(Debug)]
pub(crate) struct FloorFile {
    file: Arc<dyn StoreFile>,
    path: PathBuf,
    generation: u64,
    mark: FloorMark,
    synced: u64,
    second_slot: bool,
}

impl FloorFile {
    /// Creates the file for `generation`, durably.
    pub(crate) fn create(
        storage: &dyn Storage,
        layout: &Layout,
        generation: u64,
        mark: FloorMark,
    ) -> Result<Self> {
        let path = layout.floor(generation);
        let make = || {
            let file = create_anew(storage, &path)?;
            file.write_at(0, &[0; 2 * SLOT])?;
            file.write_at(0, &encode(generation, mark))?;
            file.sync()?;
            storage.sync_dir(&layout.own())?;
            Ok(file)
        };
        let file = make().map_err(|e| Error::io(e, &path, "create the floor file"))?;
        Ok(Self { file, path, generation, mark, synced: mark.durable, second_slot: true })
    }

    pub(crate) fn durable(&self) -> u64 {
        self.mark.durable
    }

    /// Whether so much became durable since the last [`FloorFile::write`] that it is due.
    pub(crate) fn is_due(&self, durable: u64) -> bool {
        durable >= self.mark.durable + WRITE_INTERVAL
    }

    /// Writes new positions; durable at once if `sync`, else every few MiB.
    pub(crate) fn write(&mut self, durable: u64, queues: u64, sync: bool) -> Result<()> {
        let mark = FloorMark {
            durable: durable.max(self.mark.durable),
            queues: queues.max(self.mark.queues),
        };
        let io = |e| Error::io(e, &self.path, "write the floor file");
        if mark != self.mark {
            let at = if self.second_slot { SLOT as u64 } else { 0 };
            self.file.write_at(at, &encode(self.generation, mark)).map_err(io)?;
            self.second_slot = !self.second_slot;
            self.mark = mark;
        }
        if sync || durable >= self.synced + SYNC_INTERVAL {
            self.file.sync().map_err(io)?;
            self.synced = durable;
        }
        Ok(())
    }

    /// The highest valid mark of `generation`; `None` if there is none.
    pub(crate) fn read(
        storage: &dyn Storage,
        layout: &Layout,
        generation: u64,
    ) -> Result<Option<FloorMark>> {
        let path = layout.floor(generation);
        let Some(bytes) = read_small(storage, &path, 1 << 20)? else {
            return Ok(None);
        };
        let slots = bytes.chunks(SLOT).filter_map(|slot| decode(slot, generation));
        // Of two that say the same of the log, the newer one says more of the queues.
        Ok(slots.max_by_key(|mark| (mark.durable, mark.queues)))
    }
}

fn encode(generation: u64, mark: FloorMark) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for field in [generation, mark.durable, mark.queues] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn decode(slot: &[u8], generation: u64) -> Option<FloorMark> {
    let mut fields = Fields::new(slot);
    let (magic, stored) = (fields.take()?, fields.u64()?);
    let mark = FloorMark { durable: fields.u64()?, queues: fields.u64()? };
    let crc = crc32fast::hash(slot.get(..32)?);
    (magic == *MAGIC && stored == generation && fields.u32()? == crc).then_some(mark)
}
