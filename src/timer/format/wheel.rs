//! The bytes of `timerwheel`: one slot for each tick of about a fortnight, used round and round.
//!
//! ```text
//! tick i64 | first position i64 | last position i64 | count i32 | magic i32
//! ```
//!
//! A slot stays as it is when its tick has been delivered, until another tick takes it: it is valid for the tick that it names, and
//! for no other that falls on the same place. Positions are those of units in the timer log; -1 is none.

use std::num::NonZeroU32;

use crate::timer::format::log::Magic;
use crate::timer::format::ticks::Tick;

/// The size of a slot.
pub(crate) const SLOT_LEN: usize = 8 + 8 + 8 + 4 + 4;

/// In the place of a position: none.
const NONE: i64 = -1;

/// How many slots a wheel has. A broker knows one size, whatever its precision is, and does not start with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots(NonZeroU32);

impl Slots {
    /// A broker's: two weeks at a precision of one second.
    pub(crate) const ROCKETMQ: Self = Self(NonZeroU32::new(2 * 7 * 86_400).unwrap());

    /// For tests, which need no 38 MB.
    pub(crate) const fn new(slots: NonZeroU32) -> Self {
        Self(slots)
    }

    /// The slots that a file of so many bytes has: `None` if it is no wheel.
    pub(crate) fn in_file(len: usize) -> Option<Self> {
        let slots = u32::try_from(len / SLOT_LEN).ok().and_then(NonZeroU32::new)?;
        len.is_multiple_of(SLOT_LEN).then_some(Self(slots))
    }

    pub(crate) fn file_len(self) -> u64 {
        u64::from(self.0.get()) * SLOT_LEN as u64
    }

    /// Which slot is this tick's.
    pub(crate) fn index(self, tick: Tick) -> u32 {
        // A remainder of what fits 32 bits does.
        u32::try_from(tick.0.rem_euclid(i64::from(self.0.get()))).unwrap_or(0)
    }

    /// At which byte of the file this tick's slot begins.
    pub(crate) fn offset(self, tick: Tick) -> u64 {
        u64::from(self.index(tick)) * SLOT_LEN as u64
    }
}

/// One slot, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slot {
    /// Whose it is. 0 where nothing was written.
    pub(crate) tick: i64,
    /// The position of the oldest unit.
    pub(crate) first: i64,
    /// The position of the newest unit, where the chain begins.
    pub(crate) last: i64,
    /// How many messages wait: one more for each unit, one less for each mark that recalls one.
    pub(crate) count: i32,
    /// Not used: 0.
    pub(crate) magic: i32,
}

impl Slot {
    pub(crate) fn encode(&self) -> [u8; SLOT_LEN] {
        let mut bytes = [0; SLOT_LEN];
        bytes[..8].copy_from_slice(&self.tick.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.last.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_be_bytes());
        bytes[28..].copy_from_slice(&self.magic.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SLOT_LEN]) -> Self {
        let [tick, first, last, rest] = *bytes.as_chunks::<8>().0 else { return Self::default() };
        let [a, b, c, d, magic @ ..] = rest;
        Self {
            tick: i64::from_be_bytes(tick),
            first: i64::from_be_bytes(first),
            last: i64::from_be_bytes(last),
            count: i32::from_be_bytes([a, b, c, d]),
            magic: i32::from_be_bytes(magic),
        }
    }

    /// Whether the slot is this tick's. Zeros are nobody's.
    pub(crate) const fn is_of(&self, tick: Tick) -> bool {
        self.tick == tick.0 && self.tick > 0
    }

    /// The position of the newest unit of this tick: where its chain begins, and what the next unit calls its previous one.
    pub(crate) fn newest(&self, tick: Tick) -> Option<u64> {
        if self.is_of(tick) { u64::try_from(self.last).ok() } else { None }
    }

    /// The slot with one unit more, at `position` of the timer log. What it said of another tick is gone.
    #[must_use]
    pub(crate) fn with_unit(self, tick: Tick, position: u64, magic: Magic) -> Self {
        let fresh = Self { tick: tick.0, first: NONE, last: NONE, count: 0, magic: 0 };
        let old = if self.is_of(tick) { self } else { fresh };
        let last = i64::try_from(position).unwrap_or(i64::MAX);
        let one = if magic.has(Magic::DELETE) { -1 } else { 1 };
        let first = if old.first == NONE { last } else { old.first };
        Self { first, last, count: old.count.saturating_add(one), ..old }
    }
}

/// A whole wheel, to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel<'a> {
    slots: Slots,
    bytes: &'a [[u8; SLOT_LEN]],
}

impl<'a> Wheel<'a> {
    /// `None` if no wheel has so many bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { slots: Slots::in_file(bytes.len())?, bytes: bytes.as_chunks().0 })
    }

    pub(crate) const fn slots(&self) -> Slots {
        self.slots
    }

    /// What the wheel has for this tick: `None` if its slot is another's.
    pub(crate) fn slot(&self, tick: Tick) -> Option<Slot> {
        let index = usize::try_from(self.slots.index(tick)).ok()?;
        self.bytes.get(index).map(Slot::decode).filter(|slot| slot.is_of(tick))
    }

    /// All slots that are some tick's, with it, from the first place on: those of ticks long over too. A slot whose tick belongs to
    /// another place is left out.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Tick, Slot)> {
        let found = self.bytes.iter().map(Slot::decode).zip(0..);
        let slots = self.slots;
        found.filter_map(move |(slot, place)| {
            let tick = Tick(slot.tick);
            (slot.is_of(tick) && slots.index(tick) == place).then_some((tick, slot))
        })
    }
}
