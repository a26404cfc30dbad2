//! The bytes of `timerlog`: one unit for each message put into the wheel, in files of one size named by their first position.
//!
//! ```text
//! size u32 (52) | previous position i64 | magic u32 | write time i64 | delay i32 |
//! log offset i64 | record size i32 | hash of the real topic i32 | zero i64
//! ```
//!
//! The previous position is that of the unit put before into the same slot, -1 if there is none. The write time is the beginning of a
//! tick, and the delay says how many milliseconds behind it the slot's tick begins. A unit never ends closer than [`BLANK_LEN`] bytes to
//! its file's end; what is left there is filled:
//!
//! ```text
//! bytes left u32 | zero i64 | 0xCBD43194 u32
//! ```

use crate::timer::format::ticks::{Precision, Tick};
use crate::timer::format::wheel::Slot;

/// The size of a unit.
pub(crate) const UNIT_LEN: usize = UNIT_SIZE as usize;
/// The size of what fills a file, and the room that every unit leaves for it.
pub(crate) const BLANK_LEN: usize = BLANK_SIZE as usize;

const UNIT_SIZE: u32 = 4 + 8 + 4 + 8 + 4 + 8 + 4 + 4 + 8;
const BLANK_SIZE: u32 = 4 + 8 + 4;
const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// A broker takes what is above this for damage.
const MAGIC_MAX: u32 = 15;

/// What kind of unit it is: bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Magic(u32);

impl Magic {
    /// Every unit.
    pub(crate) const NORMAL: Self = Self(1);
    /// The message is not due at the slot's time, but put into the wheel again.
    pub(crate) const ROLL: Self = Self(2);
    /// The record is a mark that recalls another message of the same slot.
    pub(crate) const DELETE: Self = Self(4);

    /// This one's bits and those of `other`.
    #[must_use]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has the bits of `other`.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The position of the unit put before into the same slot.
    pub(crate) previous: Option<u64>,
    pub(crate) magic: Magic,
    /// When the unit was written: the beginning of a tick, in milliseconds.
    pub(crate) written_ms: i64,
    /// How long behind it the slot's tick begins.
    pub(crate) delay_ms: i32,
    /// Where in the commit log the record is.
    pub(crate) offset: u64,
    /// The size of the record.
    pub(crate) size: u32,
    /// The hash of the topic that the message goes to in the end.
    pub(crate) topic_hash: i32,
}

/// What bytes of the timer log turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    Unit(Unit),
    /// The file's end: `len` bytes, at least [`BLANK_LEN`]. Whether they reach there is for the caller to compare.
    Blank {
        len: u32,
    },
    /// Zero size and magic: nothing was written here.
    Empty,
    /// The bytes end before what begins in them.
    Incomplete,
    /// None of these, with the reason.
    Bad(&'static str),
}

impl Unit {
    pub(crate) fn encode(&self) -> [u8; UNIT_LEN] {
        let previous = self.previous.map_or(-1, u64::cast_signed);
        let mut bytes = [0; UNIT_LEN];
        bytes[..4].copy_from_slice(&UNIT_SIZE.to_be_bytes());
        bytes[4..12].copy_from_slice(&previous.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.magic.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.written_ms.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.delay_ms.to_be_bytes());
        bytes[28..36].copy_from_slice(&self.offset.to_be_bytes());
        bytes[36..40].copy_from_slice(&self.size.to_be_bytes());
        bytes[40..44].copy_from_slice(&self.topic_hash.to_be_bytes());
        bytes
    }

    /// The tick of the slot that the unit was put into.
    pub(crate) const fn tick(&self, precision: Precision) -> Tick {
        precision.tick_at(self.written_ms.saturating_add(self.delay_ms as i64))
    }
}

/// What fills the last `len` bytes of a file; zeros follow.
pub(crate) fn blank(len: u32) -> [u8; BLANK_LEN] {
    let mut bytes = [0; BLANK_LEN];
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes[12..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    bytes
}

/// Decodes what begins at the first of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    let Some(&[size, _, _, magic]) = bytes.as_chunks::<4>().0.first_chunk() else {
        return Decoded::Incomplete;
    };
    let (size, magic) = (u32::from_be_bytes(size), u32::from_be_bytes(magic));
    match (size, magic) {
        (0, 0) => Decoded::Empty,
        (_, MAGIC_BLANK) if i32::try_from(size).is_err() || size < BLANK_SIZE => {
            Decoded::Bad("the length of the blank is impossible")
        }
        (_, MAGIC_BLANK) => Decoded::Blank { len: size },
        (UNIT_SIZE, 0..=MAGIC_MAX) => match bytes.split_first_chunk() {
            Some((unit, _)) => fields(unit).map_or_else(Decoded::Bad, Decoded::Unit),
            None => Decoded::Incomplete,
        },
        (UNIT_SIZE, _) => Decoded::Bad("the magic number is unknown"),
        _ => Decoded::Bad("the size is not that of a unit"),
    }
}

fn fields(bytes: &[u8; UNIT_LEN]) -> Result<Unit, &'static str> {
    let mut rest = Reader(bytes);
    let _size = rest.take::<4>()?;
    let previous = i64::from_be_bytes(rest.take()?);
    let unit = Unit {
        previous: u64::try_from(previous).ok(),
        magic: Magic(u32::from_be_bytes(rest.take()?)),
        written_ms: i64::from_be_bytes(rest.take()?),
        delay_ms: i32::from_be_bytes(rest.take()?),
        offset: u64::from_be_bytes(rest.take()?),
        size: u32::from_be_bytes(rest.take()?),
        topic_hash: i32::from_be_bytes(rest.take()?),
    };
    if previous < -1 {
        return Err("the previous position is negative");
    }
    if i64::try_from(unit.offset).is_err() {
        return Err("the log offset is negative");
    }
    if unit.size == 0 || i32::try_from(unit.size).is_err() {
        return Err("the record size is impossible");
    }
    Ok(unit)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.0.split_first_chunk().ok_or("the unit is cut")?;
        self.0 = rest;
        Ok(*field)
    }
}

/// Where the next unit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// To the place asked for.
    Here,
    /// To `at`, the beginning of the next file, when the `blank` bytes before it are filled.
    Next { blank: u32, at: u64 },
}

/// Where a unit goes that would begin at `position`, in files of `file_size` bytes.
///
/// `None` if it can go nowhere: no file of this size holds a unit, what is left of this one does not hold a blank, or positions end.
pub(crate) fn room(position: u64, file_size: u32) -> Option<Room> {
    let (size, unit, blank) = (u64::from(file_size), UNIT_LEN as u64, BLANK_LEN as u64);
    if size < unit + blank || position > i64::MAX.unsigned_abs() - 2 * size {
        return None;
    }
    let left = size - position % size;
    if left >= unit + blank {
        return Some(Room::Here);
    }
    let next = Room::Next { blank: u32::try_from(left).ok()?, at: position + left };
    (left >= blank).then_some(next)
}

/// The units of one file, one after the other; see [`Units::end`].
#[derive(Debug)]
pub(crate) struct Units<'a> {
    bytes: &'a [u8],
    at: usize,
    base: u64,
    end: Option<End>,
}

/// Why no unit follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The file is full: the next one goes on.
    Full,
    /// Nothing was written from there on.
    Empty,
    /// What is there is no unit, with the reason.
    Bad(&'static str),
}

impl<'a> Units<'a> {
    /// Those of a file with all its `bytes`, which begins at the position `base`, from its byte `at` on.
    pub(crate) const fn new(bytes: &'a [u8], base: u64, at: usize) -> Self {
        Self { bytes, at, base, end: None }
    }

    /// The position behind the last unit.
    pub(crate) const fn reached(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// Why it ended, once it has.
    pub(crate) const fn end(&self) -> Option<End> {
        self.end
    }
}

impl Iterator for Units<'_> {
    /// Each with its position.
    type Item = (u64, Unit);

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = match decode(rest) {
            Decoded::Unit(unit) => {
                let position = self.reached();
                self.at += UNIT_LEN;
                return Some((position, unit));
            }
            Decoded::Blank { len } if usize::try_from(len).is_ok_and(|len| len == rest.len()) => {
                End::Full
            }
            Decoded::Blank { .. } => End::Bad("the blank does not reach to the file's end"),
            Decoded::Empty => End::Empty,
            Decoded::Incomplete => End::Bad("the file ends in the middle of a unit"),
            Decoded::Bad(why) => End::Bad(why),
        };
        self.end = Some(end);
        None
    }
}

/// The units of one slot, from the newest on, as each names the one before; `read` finds the unit at a position.
///
/// It ends: a unit that names itself or a later one is damage. So is one that `read` does not find, or that belongs to another
/// tick; the chain ends with the reason then.
pub(crate) fn chain<F>(slot: Slot, tick: Tick, precision: Precision, read: F) -> Chain<F>
where
    F: FnMut(u64) -> Option<Unit>,
{
    Chain { next: slot.newest(tick), tick, precision, read }
}

/// See [`chain`].
#[derive(Debug)]
pub(crate) struct Chain<F> {
    next: Option<u64>,
    tick: Tick,
    precision: Precision,
    read: F,
}

impl<F: FnMut(u64) -> Option<Unit>> Iterator for Chain<F> {
    /// Each with its position.
    type Item = Result<(u64, Unit), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.next.take()?;
        let Some(unit) = (self.read)(position) else {
            return Some(Err("a slot points where no unit is"));
        };
        if unit.tick(self.precision) != self.tick {
            return Some(Err("a slot points to a unit of another tick"));
        }
        if unit.previous.is_some_and(|previous| previous >= position) {
            return Some(Err("a unit of the timer log names a later one as the one before"));
        }
        self.next = unit.previous;
        Some(Ok((position, unit)))
    }
}
