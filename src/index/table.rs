//! How entries get into an index file, and are found in it.

use crate::index::format::{ENTRY_LEN, Entry, HEADER_LEN, Header, SLOT_LEN, Shape, slot_at};
use crate::index::key::KeyHash;

/// The bytes of an index file, to read from or to write to.
#[derive(Debug)]
pub(crate) struct Table<B> {
    shape: Shape,
    bytes: B,
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Done,
    /// The file is full: the key belongs into the next one.
    Full,
}

impl<B: AsRef<[u8]>> Table<B> {
    /// `None` if a file of this shape has another size. Nothing else shows that a file has another shape.
    pub(crate) fn new(bytes: B, shape: Shape) -> Option<Self> {
        let len = u64::try_from(bytes.as_ref().len()).ok()?;
        (len == shape.file_len()).then_some(Self { shape, bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    pub(crate) fn header(&self) -> Header {
        self.read::<HEADER_LEN>(0).as_ref().map(Header::decode).unwrap_or_default()
    }

    /// Whether no further entry goes in.
    pub(crate) fn is_full(&self) -> bool {
        self.header().next_entry() >= self.shape.places()
    }

    /// Where messages lie that may have this key, and that were stored in this time, both ends of it included: the newest
    /// first. A message counts as stored up to a second earlier than it was, as whole seconds since the begin time are kept. Hashes are
    /// compared, so the messages must be too.
    ///
    /// It ends whatever the bytes say: each entry names an older one.
    pub(crate) fn lookup(&self, hash: KeyHash, from_ms: i64, to_ms: i64) -> Lookup<'_, B> {
        let header = self.header();
        let slot = slot_at(hash.slot(self.shape.slots()));
        let newest = self.read::<SLOT_LEN>(slot).map_or(0, i32::from_be_bytes);
        let below = header.next_entry().min(self.shape.places());
        let next = entry_number(newest, below);
        Lookup { table: self, hash, header, from_ms, to_ms, next }
    }

    fn entry(&self, number: u32) -> Option<Entry> {
        self.read::<ENTRY_LEN>(self.shape.entry_at(number)).as_ref().map(Entry::decode)
    }

    fn read<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let rest = self.bytes.as_ref().get(usize::try_from(at).ok()?..)?;
        rest.first_chunk().copied()
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Table<B> {
    /// Makes zeros the file that follows one with the header `previous`.
    pub(crate) fn follow(&mut self, previous: &Header) {
        self.write(0, &previous.of_next_file().encode());
    }

    /// Puts in one key of the message at `offset`, stored at `stored_ms`.
    ///
    /// The header is written last: a key that the process dies over is none.
    pub(crate) fn put(&mut self, hash: KeyHash, offset: u64, stored_ms: i64) -> Put {
        let header = self.header();
        let number = header.next_entry();
        if number >= self.shape.places() {
            return Put::Full;
        }
        let slot = slot_at(hash.slot(self.shape.slots()));
        let newest = self.read::<SLOT_LEN>(slot).map_or(0, i32::from_be_bytes);
        let previous = entry_number(newest, number);
        let (offset, signed) = (i64::try_from(offset).unwrap_or(i64::MAX), number.cast_signed());
        let entry = Entry {
            hash: hash.get(),
            offset,
            seconds: seconds_since(header.begin_ms, stored_ms),
            previous: previous.map_or(0, u32::cast_signed),
        };
        self.write(self.shape.entry_at(number), &entry.encode());
        self.write(slot, &signed.to_be_bytes());
        let fresh = i32::from(previous.is_none());
        let first = number == 1;
        let header = Header {
            begin_ms: if first { stored_ms } else { header.begin_ms },
            end_ms: stored_ms,
            begin_offset: if first { offset } else { header.begin_offset },
            end_offset: offset,
            used_slots: header.used_slots.saturating_add(fresh),
            next: signed + 1,
        };
        self.write(0, &header.encode());
        Put::Done
    }

    fn write(&mut self, at: u64, field: &[u8]) {
        let rest = usize::try_from(at).ok().and_then(|at| self.bytes.as_mut().get_mut(at..));
        if let Some(place) = rest.and_then(|rest| rest.get_mut(..field.len())) {
            place.copy_from_slice(field);
        }
    }
}

/// A number that an entry below `below` has.
fn entry_number(number: i32, below: u32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| (1..below).contains(number))
}

/// An entry's time, as a broker counts it: by the begin time that the header has *before* the first entry sets it.
fn seconds_since(begin_ms: i64, stored_ms: i64) -> i32 {
    if begin_ms <= 0 {
        return 0;
    }
    let seconds = stored_ms.saturating_sub(begin_ms) / 1000;
    i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
}

/// See [`Table::lookup`].
#[derive(Debug)]
pub(crate) struct Lookup<'a, B> {
    table: &'a Table<B>,
    hash: KeyHash,
    header: Header,
    from_ms: i64,
    to_ms: i64,
    next: Option<u32>,
}

impl<B: AsRef<[u8]>> Iterator for Lookup<'_, B> {
    /// A position in the log.
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        while let Some(number) = self.next.take() {
            let entry = self.table.entry(number).filter(|entry| entry.seconds >= 0)?;
            let time = self.header.begin_ms.saturating_add(i64::from(entry.seconds) * 1000);
            if time >= self.from_ms {
                self.next = entry_number(entry.previous, number);
            }
            let matches =
                entry.hash == self.hash.get() && (self.from_ms..=self.to_ms).contains(&time);
            if matches && let Ok(offset) = u64::try_from(entry.offset) {
                return Some(offset);
            }
        }
        None
    }
}
