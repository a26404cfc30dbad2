//! The snapshot: the whole state in one checksummed file, in two slots that are replaced in turn.
//!
//! ```text
//!  0  magic "PMQ-ACKS"       8  version u32 = 2      12  crc u32 (all other bytes)
//! 16  generation u64        24  sequence u64         32  journal u64 (0: none follows)
//! 40  length u64 (of all)   48  topics u32           52  groups u32       56  cursors u32
//! 60  topics:  name text · queues u32
//!     groups:  name text
//!     cursors: group text · topic text · queue u32 · watermark u64 · ranges u32 · (start u64 · end u64)…
//!              held u32 · (start u64 · end u64)… · failed u32 · (offset u64 · attempts u32 · deaths u32 · due u64)…
//! ```
//!
//! All big-endian; text = length u16, bytes. Version 1 ended each cursor after its ranges.

use std::path::{Path, PathBuf};

use super::format::{NAME_MAX, put_failed, put_text, take_failed};
use super::journal::wide;
use super::ranges::Acked;
use super::state::{CursorRecord, State, TopicRecord};
use super::unsettled::Unsettled;
use crate::error::{Error, ErrorKind, Result};
use crate::fields::Fields;
use crate::io::{OpenMode, Storage, StoreFile};
use crate::layout::QUEUES_MAX;
use crate::sync::Arc;

const MAGIC: [u8; 8] = *b"PMQ-ACKS";
const VERSION: u32 = 2;
const CRC_AT: usize = 12;
const CRC_END: usize = CRC_AT + 4;
const LENGTH_AT: usize = 40;
const HEADER: usize = 60;

/// The two places of a generation's snapshots, by name.
pub(super) const SLOTS: [&str; 2] = ["a", "b"];

pub(super) fn path(dir: &Path, generation: u64, slot: &str) -> PathBuf {
    dir.join(format!("progress.{generation}.{slot}"))
}

/// What a snapshot file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) generation: u64,
    /// Rises by one from snapshot to snapshot of a generation: the higher one wins.
    pub(super) sequence: u64,
    /// The number of the journal that continues it; 0 if none does.
    pub(super) journal: u64,
    pub(super) state: State,
}

impl Snapshot {
    /// The snapshot's bytes. `TooLarge` if the state holds something that has no place in it.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let too_large = || Error::new(ErrorKind::TooLarge, "the progress state is too large");
        let count = |len: usize| u32::try_from(len).map_err(|_| too_large());
        let State { topics, groups, cursors } = &self.state;
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; CRC_END - CRC_AT]);
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.journal.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        for len in [topics.len(), groups.len(), cursors.len()] {
            out.extend_from_slice(&count(len)?.to_be_bytes());
        }
        let mut fits = true;
        for topic in topics {
            fits &= put_text(&mut out, &topic.name);
            out.extend_from_slice(&topic.queues.to_be_bytes());
        }
        for group in groups {
            fits &= put_text(&mut out, group);
        }
        for cursor in cursors {
            fits &= put_text(&mut out, &cursor.group);
            fits &= put_text(&mut out, &cursor.topic);
            out.extend_from_slice(&cursor.queue.to_be_bytes());
            out.extend_from_slice(&cursor.acked.watermark().to_be_bytes());
            out.extend_from_slice(&count(cursor.acked.gaps())?.to_be_bytes());
            for range in cursor.acked.ranges() {
                out.extend_from_slice(&range.start.to_be_bytes());
                out.extend_from_slice(&range.end.to_be_bytes());
            }
            let Unsettled { hands, .. } = &cursor.unsettled;
            out.extend_from_slice(&count(hands.stretches())?.to_be_bytes());
            for range in hands.ranges() {
                out.extend_from_slice(&range.start.to_be_bytes());
                out.extend_from_slice(&range.end.to_be_bytes());
            }
            out.extend_from_slice(&count(cursor.unsettled.failures())?.to_be_bytes());
            for (offset, failed) in cursor.unsettled.failed() {
                out.extend_from_slice(&offset.to_be_bytes());
                put_failed(&mut out, failed);
            }
        }
        let length = wide(out.len()).to_be_bytes();
        if let Some(place) = out.get_mut(LENGTH_AT..LENGTH_AT + length.len()) {
            place.copy_from_slice(&length);
        }
        let crc = checksum(&out).to_be_bytes();
        if let Some(place) = out.get_mut(CRC_AT..CRC_END) {
            place.copy_from_slice(&crc);
        }
        if fits { Ok(out) } else { Err(too_large()) }
    }
}

/// The CRC-32 of everything but the checksum itself.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes.get(..CRC_AT).unwrap_or_default());
    crc.update(bytes.get(CRC_END..).unwrap_or_default());
    crc.finalize()
}

/// Why bytes are not a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    Damaged(&'static str),
    /// Intact, of a version that this crate does not know.
    Newer(u32),
}

/// Reads a snapshot of `generation`. `bytes` may be anything.
pub(super) fn decode(bytes: &[u8], generation: u64) -> Result<Snapshot, Flaw> {
    let mut fields = Fields::new(bytes);
    let short = Flaw::Damaged("it is too short");
    if fields.take() != Some(MAGIC) {
        return Err(Flaw::Damaged("it does not begin as a snapshot does"));
    }
    let version = fields.u32().ok_or(short)?;
    if fields.u32().ok_or(short)? != checksum(bytes) {
        return Err(Flaw::Damaged("its checksum is wrong"));
    }
    if version > VERSION {
        return Err(Flaw::Newer(version));
    }
    if fields.u64().ok_or(short)? != generation {
        return Err(Flaw::Damaged("it is of another generation"));
    }
    let (sequence, journal) = (fields.u64().ok_or(short)?, fields.u64().ok_or(short)?);
    if fields.u64() != Some(wide(bytes.len())) {
        return Err(Flaw::Damaged("its length is wrong"));
    }
    match decode_state(&mut fields, version) {
        Some(state) if fields.is_empty() => Ok(Snapshot { generation, sequence, journal, state }),
        _ => Err(Flaw::Damaged("its content makes no sense")),
    }
}

fn decode_state(fields: &mut Fields<'_>, version: u32) -> Option<State> {
    let (topics, groups, cursors) = (fields.u32()?, fields.u32()?, fields.u32()?);
    // The counts size nothing: each record must be there before there is a place for it.
    let mut state = State::default();
    for _ in 0..topics {
        let name = fields.text(NAME_MAX)?.to_owned();
        let queues = fields.u32().filter(|queues| *queues <= QUEUES_MAX)?;
        state.topics.push(TopicRecord { name, queues });
    }
    for _ in 0..groups {
        state.groups.push(fields.text(NAME_MAX)?.to_owned());
    }
    for _ in 0..cursors {
        let (group, topic) = (fields.text(NAME_MAX)?.to_owned(), fields.text(NAME_MAX)?.to_owned());
        let queue = fields.u32()?;
        let mut acked = Acked::below(fields.u64()?);
        for _ in 0..fields.u32()? {
            if !acked.push(fields.u64()?..fields.u64()?) {
                return None;
            }
        }
        let unsettled = if version == 1 { Unsettled::default() } else { decode_unsettled(fields)? };
        state.cursors.push(CursorRecord { group, topic, queue, acked, unsettled });
    }
    Some(state)
}

fn decode_unsettled(fields: &mut Fields<'_>) -> Option<Unsettled> {
    let mut unsettled = Unsettled::default();
    for _ in 0..fields.u32()? {
        let range = fields.u64()?..fields.u64()?;
        if range.is_empty() || range.start < unsettled.hands.reach() {
            return None;
        }
        unsettled.hands.take(range, 0, None);
    }
    let mut next = 0;
    for _ in 0..fields.u32()? {
        let offset = fields.u64()?;
        if offset < next {
            return None;
        }
        next = offset.checked_add(1)?;
        if !unsettled.read(offset, take_failed(fields)?) {
            return None;
        }
    }
    Some(unsettled)
}

/// Reads the snapshot in a file. The outer error: it could not be read at all.
pub(super) fn read(
    file: &dyn StoreFile,
    path: &Path,
    generation: u64,
) -> Result<Result<Snapshot, Flaw>> {
    let failed = |e| Error::io(e, path, "read a progress snapshot");
    let len = file.len().map_err(failed)?;
    let mut header = [0; HEADER];
    if len < wide(HEADER) {
        return Ok(Err(Flaw::Damaged("it is too short")));
    }
    file.read_at(0, &mut header).map_err(failed)?;
    // Before memory is asked for: the file must be as long as it says.
    let mut length = Fields::new(header.get(LENGTH_AT..).unwrap_or_default());
    let (Some(true), Ok(len)) = (length.u64().map(|said| said == len), usize::try_from(len)) else {
        return Ok(Err(Flaw::Damaged("its length is wrong")));
    };
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(len).is_err() {
        return Ok(Err(Flaw::Damaged("it is larger than memory")));
    }
    bytes.resize(len, 0);
    file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(decode(&bytes, generation))
}

/// A snapshot on its way into its slot, under another name.
#[derive(Debug)]
pub(super) struct Staged {
    file: Arc<dyn StoreFile>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Creates the temporary file; what a former attempt left is removed.
    pub(super) fn create(
        storage: &dyn Storage,
        dir: &Path,
        generation: u64,
        sequence: u64,
    ) -> Result<Self> {
        let [first, second] = SLOTS;
        let slot = if sequence.is_multiple_of(2) { second } else { first };
        let temporary = path(dir, generation, "tmp");
        // If this fails the creation below does too, unless there was nothing to remove.
        let _ = storage.remove_file(&temporary);
        let file = storage
            .open(&temporary, OpenMode::CreateNew)
            .map_err(|e| Error::io(e, &temporary, "create a progress snapshot"))?;
        Ok(Self { file, temporary, path: path(dir, generation, slot) })
    }

    /// Writes the content, durably.
    pub(super) fn fill(&self, bytes: &[u8]) -> Result<()> {
        self.file
            .allocate(0, wide(bytes.len()))
            .and_then(|()| self.file.write_at(0, bytes))
            .and_then(|()| self.file.sync())
            .map_err(|e| Error::io(e, &self.temporary, "write a progress snapshot"))
    }

    /// Puts it into its slot, durably.
    pub(super) fn commit(self, storage: &dyn Storage, dir: &Path) -> Result<()> {
        storage
            .rename(&self.temporary, &self.path)
            .map_err(|e| Error::io(e, &self.path, "replace a progress snapshot"))?;
        sync_dir(storage, dir)
    }

    /// Gives up. A file that cannot be removed is in nobody's way.
    pub(super) fn discard(self, storage: &dyn Storage) {
        let _ = storage.remove_file(&self.temporary);
    }
}

/// Makes the names in the progress folder durable.
pub(super) fn sync_dir(storage: &dyn Storage, dir: &Path) -> Result<()> {
    storage.sync_dir(dir).map_err(|e| Error::io(e, dir, "sync the folder"))
}
