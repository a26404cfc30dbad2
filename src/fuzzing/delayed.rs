//! Doors to the timer's files and to the index.

use std::collections::BTreeSet;

use crate::index::format::Shape;
use crate::index::key::KeyHash;
use crate::index::table::{Put, Table};
use crate::timer::format::check::TimerCheck;
use crate::timer::format::log::{Decoded, End, UNIT_LEN, Unit, Units, chain, decode};
use crate::timer::format::ticks::{Precision, Tick, Window};
use crate::timer::format::wheel::{SLOT_LEN, Slot, Wheel};

/// A file of the timer log: units follow each other until one reason ends them; each is written back equal, but for its last field. From
/// each, a chain goes back, and ends.
pub fn timer_log(bytes: &[u8]) {
    let mut walk = Units::new(bytes, 0, 0);
    let units: Vec<_> = walk.by_ref().collect();
    assert!(units.len() <= bytes.len() / UNIT_LEN);
    let at = |position: u64| bytes.get(usize::try_from(position).ok()?..);
    let rest = at(walk.reached());
    assert!(walk.end().is_some() && rest.is_some(), "the walk ends with {:?}", walk.end());
    if let (Some(End::Full), Some(rest)) = (walk.end(), rest) {
        let len = u32::try_from(rest.len()).unwrap_or_default();
        assert_eq!(decode(rest), Decoded::Blank { len }, "a blank that is not the file's rest");
    }
    let read = |position: u64| match decode(at(position)?) {
        Decoded::Unit(unit) => Some(unit),
        _ => None,
    };
    for (position, unit) in units {
        let written = unit.encode();
        let (fields, _unused) = written.split_at(UNIT_LEN - 8);
        assert!(at(position).is_some_and(|rest| rest.starts_with(fields)));
        let tick = unit.tick(Precision::DEFAULT);
        let _placed = Window::DEFAULT.place(Precision::DEFAULT.tick_at(unit.written_ms), tick);
        let slot = Slot::default().with_unit(tick, position, unit.magic);
        follow(slot, bytes.len(), read);
    }
    if let Some(check) = TimerCheck::decode(bytes) {
        assert_eq!(TimerCheck::decode(&check.encode()), Some(check));
    }
}

/// A wheel of at most 64 slots, and behind it a timer log: every slot is written back equal and found by its tick alone, and its
/// chain ends.
pub fn timer_wheel(bytes: &[u8]) {
    let slots = bytes.first().map_or(0, |byte| usize::from(byte % 64)) + 1;
    let Some((wheel, log)) =
        bytes.get(1..).and_then(|rest| rest.split_at_checked(slots * SLOT_LEN))
    else {
        return;
    };
    for slot in wheel.as_chunks::<SLOT_LEN>().0 {
        assert_eq!(Slot::decode(slot).encode(), *slot);
    }
    let wheel = Wheel::new(wheel);
    assert!(wheel.is_some(), "a wheel of {slots} slots is none");
    let Some(wheel) = wheel else { return };
    let read = |position: u64| match decode(log.get(usize::try_from(position).ok()?..)?) {
        Decoded::Unit(unit) => Some(unit),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    for (tick, slot) in wheel.iter() {
        assert!(seen.insert(wheel.slots().index(tick)), "two ticks in one slot");
        assert_eq!(wheel.slot(tick), Some(slot));
        // Behind the last tick of all there is none.
        let next = Some(tick.next()).filter(|next| *next != tick);
        assert_ne!(next.and_then(|next| wheel.slot(next)), Some(slot));
        follow(slot, log.len(), read);
    }
}

/// A chain is in descending order, so it ends; an error is its last.
fn follow(slot: Slot, len: usize, read: impl FnMut(u64) -> Option<Unit>) {
    let tick = Tick(slot.tick);
    let (mut below, mut ended) = (u64::MAX, false);
    for found in chain(slot, tick, Precision::DEFAULT, read) {
        assert!(!ended, "a chain goes on behind its damage");
        match found {
            Ok((position, _)) => {
                assert!(position < below && usize::try_from(position).is_ok_and(|at| at < len));
                below = position;
            }
            Err(_) => ended = true,
        }
    }
}

/// An index file of a shape that the first two bytes say. Lookups end and find no more than there is; what is put in is found first.
pub fn index(bytes: &[u8]) {
    let Some((shape, rest)) = bytes.split_first_chunk::<2>() else { return };
    let [slots, places] = shape.map(|byte| u32::from(byte % 32));
    let Some(shape) = Shape::new(slots + 1, places + 2) else { return };
    let mut file = rest.to_vec();
    file.resize(usize::try_from(shape.file_len()).unwrap_or_default(), 0);
    let table = Table::new(file, shape);
    assert!(table.is_some(), "a file of its own size is none");
    let Some(mut table) = table else { return };
    let hash = KeyHash::of("topic", "key");
    let all = |table: &Table<Vec<u8>>| table.lookup(hash, i64::MIN, i64::MAX).collect::<Vec<_>>();
    for time in [i64::MIN, 0, 1_795_443_876_305, i64::MAX] {
        let most = usize::try_from(shape.places()).unwrap_or_default();
        assert!(table.lookup(hash, time, i64::MAX).count() < most);
    }
    let (before, header) = (all(&table), table.header());
    let full = table.is_full();
    let put = table.put(hash, 7, header.end_ms);
    assert_eq!(put == Put::Full, full);
    let expected = if full { before } else { [vec![7], before].concat() };
    // The first message sets the begin time, by which the times of all are counted; there is no other yet.
    assert_eq!(all(&table), expected, "what was put in is not found");
}
