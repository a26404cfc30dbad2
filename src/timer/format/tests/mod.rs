//! The timer's files, one piece at a time.

mod damage;
mod golden;

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::check::{CHECK_LEN, TimerCheck};
use super::log::{BLANK_LEN, Decoded, Magic, Room, UNIT_LEN, Unit, blank, decode, room};
use super::ticks::Tick;
use super::wheel::{SLOT_LEN, Slot, Slots, Wheel};

fn slots(slots: u32) -> Slots {
    Slots::new(NonZeroU32::new(slots).unwrap())
}

fn unit() -> impl Strategy<Value = Unit> {
    let positions = 0..=i64::MAX.unsigned_abs();
    let previous = proptest::option::of(positions.clone());
    let magic = (any::<bool>(), any::<bool>()).prop_map(|(roll, delete)| {
        let magic = if roll { Magic::NORMAL.with(Magic::ROLL) } else { Magic::NORMAL };
        if delete { magic.with(Magic::DELETE) } else { magic }
    });
    let rest = (positions, 1..=i32::MAX.unsigned_abs(), any::<i32>());
    (previous, magic, any::<i64>(), any::<i32>(), rest).prop_map(
        |(previous, magic, written_ms, delay_ms, (offset, size, topic_hash))| Unit {
            previous,
            magic,
            written_ms,
            delay_ms,
            offset,
            size,
            topic_hash,
        },
    )
}

#[test]
fn a_wheel_is_as_large_as_a_brokers_and_turns_as_one() {
    assert_eq!(Slots::ROCKETMQ.file_len(), 38_707_200);
    assert_eq!(Slots::in_file(38_707_200), Some(Slots::ROCKETMQ));
    assert_eq!(Slots::ROCKETMQ.index(Tick(1_700_000_000)), 512_000);
    assert_eq!(Slots::ROCKETMQ.offset(Tick(1_700_000_000)), 512_000 * 32);
    assert_eq!(Slots::ROCKETMQ.index(Tick(1_209_600)), 0);
    for len in [0, 1, 31, 33] {
        assert_eq!(Slots::in_file(len), None, "{len}");
    }
    assert_eq!(slots(1).file_len(), SLOT_LEN as u64);
}

#[test]
fn a_slot_is_valid_for_its_tick_only() {
    let slot = Slot { tick: 13, first: 52, last: 104, count: 2, magic: 0 };
    assert_eq!(slots(10).index(Tick(13)), slots(10).index(Tick(23)));
    assert_eq!((slot.newest(Tick(13)), slot.newest(Tick(23))), (Some(104), None));
    let mut bytes = [[0; SLOT_LEN]; 10];
    bytes[3] = slot.encode();
    let wheel = Wheel::new(bytes.as_flattened()).unwrap();
    assert_eq!(
        (wheel.slot(Tick(13)), wheel.slot(Tick(23)), wheel.slot(Tick(3))),
        (Some(slot), None, None)
    );
    // What was never written is nobody's, not even the first tick's.
    assert_eq!(wheel.slot(Tick(0)), None);
    assert_eq!(wheel.iter().collect::<Vec<_>>(), [(Tick(13), slot)]);
}

#[test]
fn a_slot_out_of_its_place_is_not_found() {
    let mut bytes = [[0; SLOT_LEN]; 10];
    bytes[4] = Slot { tick: 13, ..Slot::default() }.encode();
    let wheel = Wheel::new(bytes.as_flattened()).unwrap();
    assert_eq!((wheel.slot(Tick(13)), wheel.iter().count()), (None, 0));
}

#[test]
fn a_slot_begins_anew_with_another_tick_and_keeps_its_oldest_unit() {
    let old = Slot { tick: 3, first: 0, last: 52, count: 2, magic: 0 };
    let one = old.with_unit(Tick(13), 104, Magic::NORMAL);
    assert_eq!(one, Slot { tick: 13, first: 104, last: 104, count: 1, magic: 0 });
    let two = one.with_unit(Tick(13), 156, Magic::NORMAL);
    assert_eq!(two, Slot { tick: 13, first: 104, last: 156, count: 2, magic: 0 });
    // A mark takes away what it recalls.
    let less = two.with_unit(Tick(13), 208, Magic::NORMAL.with(Magic::DELETE));
    assert_eq!(less, Slot { tick: 13, first: 104, last: 208, count: 1, magic: 0 });
}

#[test]
fn a_slot_that_a_broker_emptied_takes_a_first_unit() {
    let blank = Slot { tick: 13, first: -1, last: -1, count: 0, magic: 0 };
    assert_eq!(blank.newest(Tick(13)), None);
    assert_eq!(blank.with_unit(Tick(13), 52, Magic::NORMAL).first, 52);
}

#[test]
fn a_unit_leaves_room_for_a_blank_behind_it() {
    // A broker's file: 2 016 492 units, the last at 104 857 532, which leaves just enough.
    const FILE: u32 = 104_857_600;
    assert_eq!(room(104_857_532, FILE), Some(Room::Here));
    assert_eq!(room(104_857_584, FILE), Some(Room::Next { blank: 16, at: 104_857_600 }));
    assert_eq!(room(104_857_600, FILE), Some(Room::Here));
    assert_eq!(room(102_336, 102_400), Some(Room::Next { blank: 64, at: 102_400 }));
    // Nothing goes where not even a blank does, nor into files too small for a unit.
    assert_eq!(room(104_857_585, FILE), None);
    assert_eq!((room(0, 67), room(0, 68), room(0, 0)), (None, Some(Room::Here), None));
    assert_eq!(room(u64::MAX, FILE), None);
}

#[test]
fn a_blank_is_rocketmqs_bytes() {
    let bytes = *b"\0\0\0\x40\0\0\0\0\0\0\0\0\xcb\xd4\x31\x94";
    assert_eq!(blank(64), bytes);
    assert_eq!(decode(&bytes), Decoded::Blank { len: 64 });
    assert!(matches!(decode(&blank(15)), Decoded::Bad(_)));
    assert!(matches!(decode(&blank(1 << 31)), Decoded::Bad(_)));
}

#[test]
fn zeros_are_no_unit() {
    assert_eq!(decode(&[0; UNIT_LEN]), Decoded::Empty);
    assert_eq!(decode(&[0; BLANK_LEN]), Decoded::Empty);
    assert_eq!(decode(&[0; BLANK_LEN - 1]), Decoded::Incomplete);
}

#[test]
fn the_progress_lies_where_rocketmq_has_it() {
    let check = TimerCheck {
        read_ms: 1,
        log_flushed: 2,
        queue_offset: 3,
        master_queue_offset: 4,
        version_state: 5,
        version_ms: 6,
        version_counter: -7,
    };
    let bytes = check.encode();
    assert_eq!(bytes.len(), CHECK_LEN);
    assert_eq!([7, 15, 23, 31, 39, 47, 55].map(|at: usize| bytes[at]), [1, 2, 3, 4, 5, 6, 0xf9]);
    assert!(bytes[56..].iter().all(|byte| *byte == 0));
    assert_eq!(TimerCheck::decode(&bytes), Some(check));
    for len in 0..56 {
        assert_eq!(TimerCheck::decode(&bytes[..len]), None);
    }
    assert_eq!(TimerCheck::decode(&bytes[..56]), Some(check));
}

proptest! {
    #[test]
    fn every_unit_survives_the_round_trip(unit in unit()) {
        prop_assert_eq!(decode(&unit.encode()), Decoded::Unit(unit));
    }

    #[test]
    fn every_slot_survives_the_round_trip(bytes: [u8; SLOT_LEN]) {
        prop_assert_eq!(Slot::decode(&bytes).encode(), bytes);
    }

    #[test]
    fn every_tick_has_a_place_in_the_wheel(tick: i64, count in 1_u32..) {
        let slots = slots(count);
        prop_assert!(slots.index(Tick(tick)) < count);
        prop_assert!(slots.offset(Tick(tick)) < slots.file_len());
    }

    #[test]
    fn units_fill_files_without_a_gap(size in 68_u32..1000, count in 1_usize..60) {
        let (mut position, size) = (0, size);
        for _ in 0..count {
            match room(position, size) {
                Some(Room::Here) => position += UNIT_LEN as u64,
                Some(Room::Next { blank, at }) => {
                    prop_assert_eq!(position + u64::from(blank), at);
                    prop_assert_eq!(at % u64::from(size), 0);
                    prop_assert!((16..68).contains(&blank));
                    position = at;
                }
                None => prop_assert!(false, "no room at {position} of {size}"),
            }
            prop_assert!(position % u64::from(size) <= u64::from(size) - 16);
        }
    }
}
