//! How far the delivery of delayed messages has come, for a store that is killed.
//!
//! ```text
//! delays  "PMQDELAY"  generation u64 · log offset u64 · count u32 · count × next offset u64, by the schedule topic's queues
//!                     · count u32 · count × milliseconds u64, of the delay levels
//! ```
//!
//! A copy that was delivered says in its own record which message it is the copy of. So it is enough to write down now and then from
//! where the log has to be read: copies below the log offset are counted in the positions, and no other copies are.

use crate::error::{ErrorKind, Result};
use crate::fields::Fields;
use crate::io::Storage;
use crate::io::small::write_small;
use crate::layout::Layout;

use super::seal::sealed;
use super::{VERSION, count, read};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DelayMark {
    pub(crate) generation: u64,
    /// The log was durable up to here when the file was written.
    pub(crate) log_offset: u64,
    /// For each queue of the schedule topic: the first message that was not delivered below `log_offset`.
    pub(crate) next: Vec<u64>,
    /// What the levels waited, in milliseconds: due times in the queues go by it.
    pub(crate) levels: Vec<u64>,
}

/// What there is of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Kept {
    #[default]
    Nothing,
    /// Nobody can tell what it said.
    Damaged,
    Mark(DelayMark),
}

impl DelayMark {
    const MAGIC: [u8; 8] = *b"PMQDELAY";

    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(Self::MAGIC, VERSION, |out| {
            out.extend_from_slice(&self.generation.to_be_bytes());
            out.extend_from_slice(&self.log_offset.to_be_bytes());
            for list in [&self.next, &self.levels] {
                out.extend_from_slice(&count(list.len()).to_be_bytes());
                for number in list {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
        })
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            generation: fields.u64()?,
            log_offset: fields.u64()?,
            next: fields.list(Fields::u64)?,
            levels: fields.list(Fields::u64)?,
        })
    }

    pub(crate) fn write(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        write_small(storage, &layout.delays(), &self.encode())
    }
}

impl Kept {
    /// Reads the file. Without it everything can be found out, if need be from the whole log.
    pub(crate) fn read(storage: &dyn Storage, layout: &Layout) -> Result<Self> {
        match read(storage, &layout.delays(), DelayMark::MAGIC, DelayMark::decode) {
            Ok(mark) => Ok(mark.map_or(Self::Nothing, Self::Mark)),
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(Self::Damaged),
            Err(e) => Err(e),
        }
    }
}
