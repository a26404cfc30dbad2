//! The bytes of an index file.
//!
//! ```text
//! header: begin time i64 | end time i64 | begin offset i64 | end offset i64 | used slots i32 | next entry i32
//! slots:  number of the newest entry i32, for each slot
//! entries: key hash i32 | log offset i64 | seconds since the begin time i32 | number of the entry before i32
//! ```
//!
//! Entries are numbered from 1: 0 says that there is none, and its place is never used. Times are store times in milliseconds.
//! There is no checksum, and nothing says how many slots a file has: whoever opens it must know.

/// The size of the header.
pub(crate) const HEADER_LEN: usize = 4 * 8 + 2 * 4;
/// The size of a slot.
pub(crate) const SLOT_LEN: usize = 4;
/// The size of an entry.
pub(crate) const ENTRY_LEN: usize = 4 + 8 + 4 + 4;

/// How many slots a file has, and how many places for entries: one more than go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    slots: u32,
    places: u32,
}

impl Shape {
    /// A broker's `maxHashSlotNum` and `maxIndexNum`.
    pub(crate) const DEFAULT: Self = Self { slots: 5_000_000, places: 20_000_000 };

    /// `None` if no file can be so: without a slot, without an entry, or larger than a broker's files get.
    pub(crate) fn new(slots: u32, places: u32) -> Option<Self> {
        let shape = Self { slots, places };
        let fits = i32::try_from(shape.file_len()).is_ok();
        (slots > 0 && places > 1 && fits).then_some(shape)
    }

    pub(crate) const fn slots(self) -> u32 {
        self.slots
    }

    /// The number that no entry has any more.
    pub(crate) const fn places(self) -> u32 {
        self.places
    }

    pub(crate) const fn file_len(self) -> u64 {
        self.entry_at(self.places)
    }

    /// At which byte an entry begins.
    pub(crate) const fn entry_at(self, number: u32) -> u64 {
        slot_at(self.slots) + ENTRY_LEN as u64 * number as u64
    }
}

/// At which byte a slot begins, whatever the shape.
pub(crate) const fn slot_at(slot: u32) -> u64 {
    HEADER_LEN as u64 + SLOT_LEN as u64 * slot as u64
}

/// What a file holds, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Header {
    /// The store time of the first message; before there is one, of the last message in the file before.
    pub(crate) begin_ms: i64,
    /// The store time of the last message.
    pub(crate) end_ms: i64,
    /// Where in the log the first message is; before there is one, the last message in the file before.
    pub(crate) begin_offset: i64,
    /// Where in the log the last message is.
    pub(crate) end_offset: i64,
    /// How many slots have an entry.
    pub(crate) used_slots: i32,
    /// The number of the next entry.
    pub(crate) next: i32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&self.begin_ms.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.end_ms.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.begin_offset.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.end_offset.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.used_slots.to_be_bytes());
        bytes[36..].copy_from_slice(&self.next.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let [begin, end, first, last, rest] = *bytes.as_chunks::<8>().0 else {
            return Self::default();
        };
        let [a, b, c, d, next @ ..] = rest;
        Self {
            begin_ms: i64::from_be_bytes(begin),
            end_ms: i64::from_be_bytes(end),
            begin_offset: i64::from_be_bytes(first),
            end_offset: i64::from_be_bytes(last),
            used_slots: i32::from_be_bytes([a, b, c, d]),
            next: i32::from_be_bytes(next),
        }
    }

    /// The header of a new file that follows one with this header.
    #[must_use]
    pub(crate) const fn of_next_file(&self) -> Self {
        Self {
            begin_ms: positive(self.end_ms),
            end_ms: positive(self.end_ms),
            begin_offset: positive(self.end_offset),
            end_offset: positive(self.end_offset),
            used_slots: 0,
            next: 1,
        }
    }

    /// The number of the next entry: a broker reads what is no number as the first one's.
    pub(crate) fn next_entry(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(1).max(1)
    }

    /// Whether the keys of the record at this offset are in this file, or in one before. Not those of the last record, of which a
    /// broker may have stopped in the middle: it puts them in again.
    pub(crate) fn is_past(&self, offset: u64) -> bool {
        i64::try_from(offset).is_ok_and(|offset| offset < self.end_offset)
    }

    /// Whether a message of these store times, both among them, can be in the file.
    pub(crate) const fn overlaps(&self, from_ms: i64, to_ms: i64) -> bool {
        from_ms <= self.end_ms && to_ms >= self.begin_ms
    }
}

/// A broker leaves out what is not positive.
const fn positive(number: i64) -> i64 {
    if number > 0 { number } else { 0 }
}

/// One key of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// See [`KeyHash`](crate::index::key::KeyHash).
    pub(crate) hash: i32,
    /// Where in the log the message is.
    pub(crate) offset: i64,
    /// The store time, in seconds since the header's begin time.
    pub(crate) seconds: i32,
    /// The number of the entry before in the same slot, 0 if there is none.
    pub(crate) previous: i32,
}

impl Entry {
    pub(crate) fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..4].copy_from_slice(&self.hash.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&self.previous.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; ENTRY_LEN]) -> Self {
        let [hash, high, low, seconds, previous] = *bytes.as_chunks::<4>().0 else {
            return Self::default();
        };
        let offset =
            (i64::from(i32::from_be_bytes(high)) << 32) | i64::from(u32::from_be_bytes(low));
        Self {
            hash: i32::from_be_bytes(hash),
            offset,
            seconds: i32::from_be_bytes(seconds),
            previous: i32::from_be_bytes(previous),
        }
    }
}
