//! The note that a store which somebody else wrote, or changed, is being taken over.
//!
//! Durable before the marker and our own `abort` are there, and valid until the generation rises. Without it a crash on the way
//! would leave what looks like a crash of our own, or like a broker that died: our progress would win over theirs, and damage to
//! what was durable would be cut like a torn end.

use crate::error::Result;
use crate::fields::Fields;
use crate::io::Storage;
use crate::io::small::write_small;
use crate::layout::Layout;

use super::seal::sealed;
use super::{CleanStamp, VERSION, read};

/// The name of the note, in `pocketmq/`.
pub(in crate::store) const TAKEOVER: &str = "takeover";

/// How the store was before we touched it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Takeover {
    /// The generation that is being left; 0 if there was none.
    pub(crate) generation: u64,
    /// `abort` was there, and it was not ours.
    pub(crate) broker_died: bool,
    /// How we had left the store; empty if we had not, or if nobody knows.
    pub(crate) stamp: CleanStamp,
}

impl Takeover {
    pub(super) const MAGIC: [u8; 8] = *b"PMQTAKEN";

    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(Self::MAGIC, VERSION, |out| {
            out.extend_from_slice(&self.generation.to_be_bytes());
            out.extend_from_slice(&u32::from(self.broker_died).to_be_bytes());
            self.stamp.put(out);
        })
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let generation = fields.u64()?;
        let broker_died = match fields.u32()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self { generation, broker_died, stamp: CleanStamp::decode(fields)? })
    }

    pub(crate) fn read(storage: &dyn Storage, layout: &Layout) -> Result<Option<Self>> {
        read(storage, &layout.own().join(TAKEOVER), Self::MAGIC, Self::decode)
    }

    /// Durable when it returns, with the folder that it is in.
    pub(crate) fn write(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        let own = layout.own();
        storage
            .create_dir_all(&own)
            .map_err(|e| crate::Error::io(e, &own, "create a store folder"))?;
        write_small(storage, &own.join(TAKEOVER), &self.encode())
    }
}
