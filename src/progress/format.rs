//! The bytes of a journal entry.
//!
//! ```text
//!  0        4      6    7    8
//! ┌────────┬──────┬────┬────┬───────────┐
//! │ crc    │ len  │kind│ 0  │ payload   │   all big-endian; `len` is the payload's
//! └────────┴──────┴────┴────┴───────────┘
//!
//! 1 Define      id u32 · queue u32 · start u64 · group text · topic text (read, no longer written)
//! 2 Ack         cursor u32 · from u64 · count u64
//! 3 Set         cursor u32 · offset u64
//! 4 Topic       queues u32 · name text
//! 5 Group       name text
//! 6 TopicGrown  queues u32 · name text
//! 7 Seal        next u64
//! 8 Begin       id u32 · left u32 · group text · topic text · (queue u32 · start u64)…
//! 9 Taken       cursor u32 · from u64 · count u64
//! 10 Returned   cursor u32 · from u64 · count u64
//! 11 Failed     cursor u32 · offset u64 · attempts u32 · deaths u32 · due u64
//!                                            text = length u16, bytes
//! ```
//!
//! A group begins in all queues of a topic at once or in none: a `Begin` counts when none is `left`. The starts of more
//! than [`STARTS_MAX`] queues go into several entries, one after the other in the same journal, of which each says how
//! many starts are left for those behind it.
//!
//! The CRC-32 covers the generation, the journal's number and the entry's number in it (from 0), none of which is
//! stored, then everything from `len` on: so bytes of another life, another journal or another place in this one
//! are never taken for an entry. Eight zero bytes where an entry would begin are the end.

use super::unsettled::Failed;
use crate::fields::Fields;
use crate::layout::QUEUES_MAX;

/// CRC, length, kind and a zero byte.
pub(super) const HEADER: usize = 8;

/// What an acknowledgement takes.
pub(super) const ACK: usize = HEADER + 4 + 8 + 8;

/// What a seal takes: a journal keeps this much free.
pub(super) const SEAL: usize = HEADER + 8;

/// The longest group or topic name that is stored, in bytes: two of them fit into an entry.
pub(super) const NAME_MAX: usize = 4096;

/// What one queue's start takes in a `Begin`.
const START: usize = 4 + 8;

/// How many starts one `Begin` holds at most: with the longest names it still fits into an entry.
pub(super) const STARTS_MAX: usize = 4096;

const _: () = assert!(4 + 4 + 2 * (2 + NAME_MAX) + STARTS_MAX * START <= u16::MAX as usize);

/// Queues and where a group begins in each, as an entry has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Starts<'a>(&'a [[u8; START]]);

impl<'a> Starts<'a> {
    pub(super) const fn new(bytes: &'a [[u8; START]]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes_of(queue: u32, start: u64) -> [u8; START] {
        let mut bytes = [0; START];
        let (number, offset) = bytes.split_at_mut(4);
        number.copy_from_slice(&queue.to_be_bytes());
        offset.copy_from_slice(&start.to_be_bytes());
        bytes
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (u32, u64)> + use<'a> {
        self.0.iter().map(|[q0, q1, q2, q3, start @ ..]| {
            (u32::from_be_bytes([*q0, *q1, *q2, *q3]), u64::from_be_bytes(*start))
        })
    }

    pub(super) const fn len(self) -> usize {
        self.0.len()
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// A group begins to consume a queue at `start`. `id` is the number of cursors there were before. Earlier versions
    /// wrote one for each queue.
    Define { id: u32, group: &'a str, topic: &'a str, queue: u32, start: u64 },
    /// `count` messages from `from` are done.
    Ack { cursor: u32, from: u64, count: u64 },
    /// A seek: everything below `offset` is done, nothing else.
    Set { cursor: u32, offset: u64 },
    /// A new topic.
    Topic { name: &'a str, queues: u32 },
    /// A new group.
    Group { name: &'a str },
    /// A known topic got more queues.
    TopicGrown { name: &'a str, queues: u32 },
    /// This journal is complete; `next` continues it. 0: nothing does.
    Seal { next: u64 },
    /// A group begins to consume some queues of a topic. `id` is the number of cursors there were before, those of a
    /// `Begin` before it that is not complete among them; so many starts are `left` for the entries behind it.
    Begin { id: u32, left: u32, group: &'a str, topic: &'a str, starts: Starts<'a> },
    /// `count` messages from `from` are in somebody's hands.
    Taken { cursor: u32, from: u64, count: u64 },
    /// They are not any more, and nobody acknowledged them.
    Returned { cursor: u32, from: u64, count: u64 },
    /// A message failed: so often by now, in so many attempts and deaths of the process, and it waits until `due`.
    Failed { cursor: u32, offset: u64, failed: Failed },
}

impl Entry<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Define { .. } => 1,
            Self::Ack { .. } => 2,
            Self::Set { .. } => 3,
            Self::Topic { .. } => 4,
            Self::Group { .. } => 5,
            Self::TopicGrown { .. } => 6,
            Self::Seal { .. } => 7,
            Self::Begin { .. } => 8,
            Self::Taken { .. } => 9,
            Self::Returned { .. } => 10,
            Self::Failed { .. } => 11,
        }
    }

    /// How many bytes it takes; `None` if a name in it is longer than [`NAME_MAX`].
    pub(super) fn size(&self) -> Option<usize> {
        let text = |text: &str| (text.len() <= NAME_MAX).then_some(2 + text.len());
        Some(match *self {
            Self::Define { group, topic, .. } => HEADER + 4 + 4 + 8 + text(group)? + text(topic)?,
            Self::Ack { .. } | Self::Taken { .. } | Self::Returned { .. } => ACK,
            Self::Failed { .. } => HEADER + 4 + 8 + 4 + 4 + 8,
            Self::Set { .. } => HEADER + 4 + 8,
            Self::Topic { name, .. } | Self::TopicGrown { name, .. } => HEADER + 4 + text(name)?,
            Self::Group { name } => HEADER + text(name)?,
            Self::Seal { .. } => SEAL,
            Self::Begin { group, topic, starts, .. } => {
                HEADER + 4 + 4 + text(group)? + text(topic)? + starts.len() * START
            }
        })
    }
}

/// What the checksums of one journal begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(u32);

impl Seed {
    pub(super) fn new(generation: u64, journal: u64) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&generation.to_be_bytes());
        crc.update(&journal.to_be_bytes());
        Self(crc.finalize())
    }

    fn crc(self, number_and_body: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new_with_initial(self.0);
        crc.update(number_and_body);
        crc.finalize()
    }
}

/// Where an entry is made; reused, so that encoding allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<u8>);

/// The entry's number stands before its bytes while the checksum is taken.
const NUMBER: usize = 8;
const CRC: usize = 4;

impl Scratch {
    /// The bytes of `entry`, whose [`Entry::size`] was looked at.
    pub(super) fn encode(&mut self, seed: Seed, number: u64, entry: &Entry<'_>) -> &[u8] {
        let out = &mut self.0;
        out.clear();
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&[0, 0, entry.kind(), 0]);
        let body = out.len();
        put_payload(out, entry);
        let len = u16::try_from(out.len() - body).unwrap_or(u16::MAX);
        if let Some(place) = out.get_mut(NUMBER..NUMBER + 2) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        let crc = seed.crc(out).to_be_bytes();
        // The number's second half makes room for the checksum: what is stored begins there.
        if let Some(place) = out.get_mut(NUMBER - CRC..NUMBER) {
            place.copy_from_slice(&crc);
        }
        out.get(NUMBER - CRC..).unwrap_or_default()
    }
}

fn put_payload(out: &mut Vec<u8>, entry: &Entry<'_>) {
    match *entry {
        Entry::Define { id, group, topic, queue, start } => {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&queue.to_be_bytes());
            out.extend_from_slice(&start.to_be_bytes());
            put_text(out, group);
            put_text(out, topic);
        }
        Entry::Ack { cursor, from, count }
        | Entry::Taken { cursor, from, count }
        | Entry::Returned { cursor, from, count } => {
            out.extend_from_slice(&cursor.to_be_bytes());
            out.extend_from_slice(&from.to_be_bytes());
            out.extend_from_slice(&count.to_be_bytes());
        }
        Entry::Set { cursor, offset } => {
            out.extend_from_slice(&cursor.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        Entry::Topic { name, queues } | Entry::TopicGrown { name, queues } => {
            out.extend_from_slice(&queues.to_be_bytes());
            put_text(out, name);
        }
        Entry::Group { name } => {
            put_text(out, name);
        }
        Entry::Failed { cursor, offset, failed } => {
            out.extend_from_slice(&cursor.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
            put_failed(out, failed);
        }
        Entry::Seal { next } => out.extend_from_slice(&next.to_be_bytes()),
        Entry::Begin { id, left, group, topic, starts } => {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&left.to_be_bytes());
            put_text(out, group);
            put_text(out, topic);
            out.extend_from_slice(starts.0.as_flattened());
        }
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded<'a> {
    /// An entry, and how many bytes it takes.
    Entry(Entry<'a>, usize),
    /// Zeroes: nothing was written here.
    End,
    /// More bytes are needed to tell: this many in all.
    Short(usize),
    /// Not what we write here: torn, or of another life.
    Bad,
}

/// Reads the entry at the beginning of `bytes`.
pub(super) fn decode(seed: Seed, number: u64, bytes: &[u8]) -> Decoded<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Decoded::Short(HEADER);
    };
    if *header == [0; HEADER] {
        return Decoded::End;
    }
    let [c0, c1, c2, c3, len0, len1, kind, zero] = *header;
    let len = usize::from(u16::from_be_bytes([len0, len1]));
    let Some(payload) = rest.get(..len) else { return Decoded::Short(HEADER + len) };
    let mut crc = crc32fast::Hasher::new_with_initial(seed.0);
    crc.update(&number.to_be_bytes());
    crc.update(&[len0, len1, kind, zero]);
    crc.update(payload);
    if crc.finalize() != u32::from_be_bytes([c0, c1, c2, c3]) || zero != 0 {
        return Decoded::Bad;
    }
    match decode_payload(kind, payload) {
        Some(entry) => Decoded::Entry(entry, HEADER + len),
        None => Decoded::Bad,
    }
}

/// How many queues a topic has.
fn queues(fields: &mut Fields<'_>) -> Option<u32> {
    fields.u32().filter(|queues| *queues <= QUEUES_MAX)
}

fn decode_payload(kind: u8, payload: &[u8]) -> Option<Entry<'_>> {
    let mut fields = Fields::new(payload);
    let entry = match kind {
        1 => {
            let (id, queue, start) = (fields.u32()?, fields.u32()?, fields.u64()?);
            Entry::Define {
                id,
                group: fields.text(NAME_MAX)?,
                topic: fields.text(NAME_MAX)?,
                queue,
                start,
            }
        }
        2 => Entry::Ack { cursor: fields.u32()?, from: fields.u64()?, count: fields.u64()? },
        3 => Entry::Set { cursor: fields.u32()?, offset: fields.u64()? },
        4 => Entry::Topic { queues: queues(&mut fields)?, name: fields.text(NAME_MAX)? },
        5 => Entry::Group { name: fields.text(NAME_MAX)? },
        6 => Entry::TopicGrown { queues: queues(&mut fields)?, name: fields.text(NAME_MAX)? },
        7 => Entry::Seal { next: fields.u64()? },
        8 => {
            let (id, left) = (fields.u32()?, fields.u32()?);
            let (group, topic) = (fields.text(NAME_MAX)?, fields.text(NAME_MAX)?);
            let (starts, rest) = fields.rest().as_chunks();
            let fits = rest.is_empty() && (1..=STARTS_MAX).contains(&starts.len());
            return fits.then_some(Entry::Begin { id, left, group, topic, starts: Starts(starts) });
        }
        9 => Entry::Taken { cursor: fields.u32()?, from: fields.u64()?, count: fields.u64()? },
        10 => Entry::Returned { cursor: fields.u32()?, from: fields.u64()?, count: fields.u64()? },
        11 => Entry::Failed {
            cursor: fields.u32()?,
            offset: fields.u64()?,
            failed: take_failed(&mut fields)?,
        },
        _ => return None,
    };
    fields.is_empty().then_some(entry)
}

pub(super) fn put_failed(out: &mut Vec<u8>, failed: Failed) {
    out.extend_from_slice(&failed.attempts.to_be_bytes());
    out.extend_from_slice(&failed.deaths.to_be_bytes());
    out.extend_from_slice(&failed.due_ms.to_be_bytes());
}

pub(super) fn take_failed(fields: &mut Fields<'_>) -> Option<Failed> {
    let (attempts, deaths) = (fields.u32()?, fields.u32()?);
    Some(Failed { attempts, deaths, due_ms: fields.u64()? })
}

/// Appends a text. `false` if it is longer than [`NAME_MAX`].
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) -> bool {
    let Ok(len) = u16::try_from(text.len()) else { return false };
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    text.len() <= NAME_MAX
}
