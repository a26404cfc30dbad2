//! The small files under `pocketmq/`: what this store is, how it was left, how far it is durable.
//!
//! Each is checksummed as a whole and replaced atomically; a damaged one is an error that names it, never "absent".
//!
//! ```text
//! every file    magic 8 · version u32 · payload · CRC-32 of all before u32
//!
//! generation    "PMQGENER"  generation u64 · segment size u64 · queue file size u64
//!                           · count u32 · count × (start u64, end u64): the log ranges that we wrote
//! clean         "PMQCLEAN"  generation u64 · log end u64 · files u32 · first base u64 · last base u64
//!                           · CRC of `queues` u32 · count u32 · count × (name, CRC-32 of the config file u32)
//! takeover      "PMQTAKEN"  generation u64, 0 for none · 1 if the broker died, else 0 u32 · what `clean` said, as there
//! queues        "PMQQUEUE"  generation u64 · topics u32 · topics × (name, queues u32 × (min u64, next u64))
//! delays        see `delays.rs`
//! name          length u16 · bytes
//! ```

mod delays;
mod floor;
mod seal;
mod takeover;

pub(super) use delays::{DelayMark, Kept};
pub(super) use floor::{FloorFile, FloorMark};
pub(super) use takeover::{TAKEOVER, Takeover};

use std::path::Path;

use crate::consumequeue::Extent;
use crate::error::{Error, ErrorKind, Result};
use crate::fields::Fields;
use crate::io::Storage;
use crate::io::small::{read_small, write_small};
use crate::layout::Layout;

use super::topics::{Topic, Topics};
use seal::{put_name, sealed};

const VERSION: u32 = 1;
const SMALL: u64 = 64 << 20;
/// No broker has larger files: it counts their bytes in an `int`. What is larger is nonsense, and would be walked through.
pub(super) const LARGEST_FILE: u64 = 1 << 31;
/// No queue ends behind this, and the places of units up to there can be counted.
const FARTHEST_END: u64 = 1 << 59;

/// What this store is: written once per open, last of all ("the generation rises last").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) segment_size: u64,
    pub(crate) queue_file_size: u64,
    pub(crate) own: OwnRanges,
}

/// The parts of the log that we wrote, in order; the last one is open-ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct OwnRanges(pub(crate) Vec<(u64, u64)>);

impl OwnRanges {
    pub(crate) fn contains(&self, offset: u64) -> bool {
        self.0.iter().rev().any(|(start, end)| (*start..*end).contains(&offset))
    }

    /// From `start` on, we write.
    pub(crate) fn open_at(&mut self, start: u64) {
        if self.0.last().is_none_or(|(_, end)| *end < start) {
            self.0.push((start, u64::MAX));
        }
    }

    /// Somebody else wrote from `end` on.
    pub(crate) fn close_at(&mut self, end: u64) {
        self.0.retain(|(start, _)| *start < end);
        if let Some((_, last_end)) = self.0.last_mut() {
            *last_end = end.min(*last_end);
        }
    }
}

impl Generation {
    const MAGIC: [u8; 8] = *b"PMQGENER";

    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(Self::MAGIC, VERSION, |out| {
            for field in [self.number, self.segment_size, self.queue_file_size] {
                out.extend_from_slice(&field.to_be_bytes());
            }
            out.extend_from_slice(&count(self.own.0.len()).to_be_bytes());
            for (start, end) in &self.own.0 {
                out.extend_from_slice(&start.to_be_bytes());
                out.extend_from_slice(&end.to_be_bytes());
            }
        })
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let (number, segment_size, queue_file_size) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let sizes = 1..=LARGEST_FILE;
        if !(sizes.contains(&segment_size) && sizes.contains(&queue_file_size)) {
            return None;
        }
        let own = fields.list(|f| Some((f.u64()?, f.u64()?)))?;
        Some(Self { number, segment_size, queue_file_size, own: OwnRanges(own) })
    }

    pub(crate) fn read(storage: &dyn Storage, layout: &Layout) -> Result<Option<Self>> {
        read(storage, &layout.generation(), Self::MAGIC, Self::decode)
    }

    pub(crate) fn write(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        write_small(storage, &layout.generation(), &self.encode())
    }
}

/// How a cleanly closed store was left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CleanStamp {
    pub(crate) generation: u64,
    pub(crate) log_end: u64,
    pub(crate) files: u32,
    pub(crate) first_base: u64,
    pub(crate) last_base: u64,
    pub(crate) queues_crc: u32,
    pub(crate) configs: Vec<(String, u32)>,
}

impl CleanStamp {
    const MAGIC: [u8; 8] = *b"PMQCLEAN";

    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(Self::MAGIC, VERSION, |out| self.put(out))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.log_end.to_be_bytes());
        out.extend_from_slice(&self.files.to_be_bytes());
        out.extend_from_slice(&self.first_base.to_be_bytes());
        out.extend_from_slice(&self.last_base.to_be_bytes());
        out.extend_from_slice(&self.queues_crc.to_be_bytes());
        out.extend_from_slice(&count(self.configs.len()).to_be_bytes());
        for (name, crc) in &self.configs {
            put_name(out, name);
            out.extend_from_slice(&crc.to_be_bytes());
        }
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            generation: fields.u64()?,
            log_end: fields.u64()?,
            files: fields.u32()?,
            first_base: fields.u64()?,
            last_base: fields.u64()?,
            queues_crc: fields.u32()?,
            configs: fields.list(|f| Some((name(f)?, f.u32()?)))?,
        })
    }

    pub(crate) fn read(storage: &dyn Storage, layout: &Layout) -> Result<Option<Self>> {
        read(storage, &layout.clean(), Self::MAGIC, Self::decode)
    }

    pub(crate) fn write(&self, storage: &dyn Storage, layout: &Layout) -> Result<()> {
        write_small(storage, &layout.clean(), &self.encode())
    }
}

/// The extents of one topic's queues.
pub(crate) type TopicExtents = (String, Vec<Extent>);

/// Where every queue begins and ends, so that a clean open need not look into their folders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QueueEnds {
    pub(crate) generation: u64,
    pub(crate) topics: Vec<TopicExtents>,
}

impl QueueEnds {
    const MAGIC: [u8; 8] = *b"PMQQUEUE";

    pub(crate) fn encode(&self) -> Vec<u8> {
        sealed(Self::MAGIC, VERSION, |out| {
            out.extend_from_slice(&self.generation.to_be_bytes());
            out.extend_from_slice(&count(self.topics.len()).to_be_bytes());
            for (name, queues) in &self.topics {
                put_name(out, name);
                out.extend_from_slice(&count(queues.len()).to_be_bytes());
                for extent in queues {
                    out.extend_from_slice(&extent.min.to_be_bytes());
                    out.extend_from_slice(&extent.next.to_be_bytes());
                }
            }
        })
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let generation = fields.u64()?;
        let extent = |f: &mut Fields<'_>| {
            let extent = Extent { min: f.u64()?, next: f.u64()? };
            (extent.min <= extent.next && extent.next <= FARTHEST_END).then_some(extent)
        };
        let topics = fields.list(|f| Some((name(f)?, f.list(extent)?)))?;
        Some(Self { generation, topics })
    }

    /// As far as the queues are in their files.
    pub(crate) fn of(generation: u64, topics: &Topics) -> Self {
        let extents = |topic: &Topic| {
            topic.queues().map(|(_, q)| Extent { min: q.extent().min, next: q.filed() }).collect()
        };
        let topics = topics.all().iter().map(|t| (t.name().to_string(), extents(t))).collect();
        Self { generation, topics }
    }

    /// Reads the file if it is the one with this checksum.
    pub(crate) fn read(storage: &dyn Storage, layout: &Layout, crc: u32) -> Result<Option<Self>> {
        let path = layout.queue_ends();
        let Some(bytes) = read_small(storage, &path, SMALL)? else { return Ok(None) };
        if crc32fast::hash(&bytes) != crc {
            return Ok(None);
        }
        parse_file(&bytes, &path, Self::MAGIC, Self::decode).map(Some)
    }

    /// Reads the file, whoever wrote it.
    pub(crate) fn read_any(storage: &dyn Storage, layout: &Layout) -> Option<Self> {
        read(storage, &layout.queue_ends(), Self::MAGIC, Self::decode).ok()?
    }

    pub(crate) fn write(&self, storage: &dyn Storage, layout: &Layout) -> Result<u32> {
        let bytes = self.encode();
        write_small(storage, &layout.queue_ends(), &bytes)?;
        Ok(crc32fast::hash(&bytes))
    }
}

fn name(fields: &mut Fields<'_>) -> Option<String> {
    fields.text(u16::MAX.into()).map(str::to_owned)
}

#[expect(clippy::cast_possible_truncation, reason = "nobody has four billion queues")]
fn count(n: usize) -> u32 {
    n as u32
}

fn read<T>(
    storage: &dyn Storage,
    path: &Path,
    magic: [u8; 8],
    decode: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<Option<T>> {
    let Some(bytes) = read_small(storage, path, SMALL)? else { return Ok(None) };
    parse_file(&bytes, path, magic, decode).map(Some)
}

fn parse_file<T>(
    bytes: &[u8],
    path: &Path,
    magic: [u8; 8],
    decode: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T> {
    let damaged = |what: &str| Error::corrupt(path, 0, what);
    let (payload, crc) =
        bytes.split_last_chunk::<4>().ok_or_else(|| damaged("the file is too short"))?;
    let mut fields = Fields::new(payload);
    if fields.take() != Some(magic) {
        return Err(damaged("the file does not begin with its magic number"));
    }
    let version = fields.u32().ok_or_else(|| damaged("the file is too short"))?;
    if version > VERSION {
        return Err(Error::new(
            ErrorKind::UnsupportedVersion,
            format!("written by a newer version of this library (format {version}, this one knows {VERSION})"),
        )
        .at(path));
    }
    if crc32fast::hash(payload) != u32::from_be_bytes(*crc) {
        return Err(damaged("the checksum does not match"));
    }
    decode(&mut fields)
        .filter(|_| fields.is_empty())
        .ok_or_else(|| damaged("the fields do not add up"))
}

#[cfg(test)]
mod tests;
