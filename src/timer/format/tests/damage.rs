//! Bytes that nobody wrote: the timer's files believe nothing, and everything ends.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::unit;
use crate::timer::format::log::{
    BLANK_LEN, Decoded, End, Magic, UNIT_LEN, Unit, Units, blank, chain, decode,
};
use crate::timer::format::ticks::{Precision, Tick};
use crate::timer::format::wheel::{Slot, Wheel};

const SAMPLE: Unit = Unit {
    previous: Some(52),
    magic: Magic::NORMAL,
    written_ms: 1_000_000,
    delay_ms: 7000,
    offset: 4096,
    size: 356,
    topic_hash: -5,
};
const SLOT_TICK: Tick = Tick(1007);

fn chained(units: &BTreeMap<u64, Unit>, last: i64) -> Vec<Result<u64, &'static str>> {
    let slot = Slot { tick: SLOT_TICK.0, first: 0, last, count: 1, magic: 0 };
    chain(slot, SLOT_TICK, Precision::DEFAULT, |position| units.get(&position).copied())
        .map(|found| found.map(|(position, _)| position))
        .collect()
}

#[test]
fn a_prefix_of_a_unit_is_incomplete() {
    let bytes = SAMPLE.encode();
    for len in 0..UNIT_LEN {
        assert_eq!(decode(&bytes[..len]), Decoded::Incomplete, "{len}");
    }
}

#[test]
fn no_flipped_bit_of_size_magic_or_signs_makes_another_unit_pass() {
    let good = SAMPLE.encode();
    let fatal = |bit: usize| {
        let sign = [4, 28, 36].map(|byte| 8 * byte).contains(&bit);
        bit < 32 || (96..124).contains(&bit) || sign
    };
    for bit in 0..UNIT_LEN * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 0x80 >> (bit % 8);
        let passes = matches!(decode(&bad), Decoded::Unit(_));
        assert_eq!(passes, !fatal(bit), "bit {bit}");
    }
}

#[test]
fn a_record_of_no_bytes_is_no_units() {
    let unit = Unit { size: 0, ..SAMPLE };
    assert!(matches!(decode(&unit.encode()), Decoded::Bad(_)));
}

#[test]
fn a_full_file_ends_at_its_blank_and_a_short_blank_is_damage() {
    let mut file = SAMPLE.encode().to_vec();
    file.extend_from_slice(&blank(20));
    file.resize(UNIT_LEN + 20, 0);
    let mut units = Units::new(&file, 1000, 0);
    assert_eq!((units.end(), units.next()), (None, Some((1000, SAMPLE))));
    assert_eq!((units.next(), units.end()), (None, Some(End::Full)));
    assert_eq!(units.reached(), 1052);
    file.push(0);
    let mut units = Units::new(&file, 1000, UNIT_LEN);
    assert_eq!(units.next(), None);
    assert!(matches!(units.end(), Some(End::Bad(_))));
    // It says the same for ever, and asking beyond the file is no panic.
    assert_eq!((units.next(), Units::new(&file, 0, usize::MAX).next()), (None, None));
}

#[test]
fn a_file_ends_where_nothing_was_written_and_where_something_else_was() {
    let mut file = [SAMPLE.encode(), [0; UNIT_LEN]].concat();
    let mut units = Units::new(&file, 0, 0);
    assert_eq!((units.by_ref().count(), units.end()), (1, Some(End::Empty)));
    file[UNIT_LEN + 3] = 51;
    let mut units = Units::new(&file, 0, 0);
    assert_eq!(units.by_ref().count(), 1);
    assert!(matches!(units.end(), Some(End::Bad(_))));
    let mut units = Units::new(&file[..UNIT_LEN + BLANK_LEN - 1], 0, 0);
    assert_eq!(units.by_ref().count(), 1);
    assert!(matches!(units.end(), Some(End::Bad(_))));
}

#[test]
fn a_chain_goes_back_to_the_first_unit_of_its_slot() {
    let at = |previous| Unit { previous, ..SAMPLE };
    let units = BTreeMap::from([(0, at(None)), (52, at(Some(0))), (520, at(Some(52)))]);
    assert_eq!(chained(&units, 520), [Ok(520), Ok(52), Ok(0)]);
    assert_eq!(chained(&units, -1), []);
}

#[test]
fn a_chain_that_goes_in_a_circle_ends() {
    let at = |previous| Unit { previous: Some(previous), ..SAMPLE };
    for units in [BTreeMap::from([(52, at(52))]), BTreeMap::from([(52, at(0)), (0, at(52))])] {
        let found = chained(&units, 52);
        assert!(found.len() <= 2 && found.last().unwrap().is_err(), "{found:?}");
    }
}

#[test]
fn a_chain_ends_at_what_is_not_there_and_at_another_ticks_unit() {
    let units = BTreeMap::from([(52, Unit { previous: Some(0), ..SAMPLE })]);
    assert_eq!(chained(&units, 52), [Ok(52), Err("a slot points where no unit is")]);
    let other = BTreeMap::from([(52, Unit { delay_ms: 8000, ..SAMPLE })]);
    assert_eq!(chained(&other, 52), [Err("a slot points to a unit of another tick")]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_walk_panic_or_run_on(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let mut units = Units::new(&bytes, u64::MAX - 3, 0);
        prop_assert!(units.by_ref().count() <= bytes.len() / UNIT_LEN);
        prop_assert!(units.end().is_some());
        if let Some(wheel) = Wheel::new(&bytes) {
            prop_assert!(wheel.iter().count() <= bytes.len() / 32);
        }
    }

    #[test]
    fn links_of_any_kind_make_a_chain_that_ends(
        units in proptest::collection::btree_map(0_u64..40, unit(), 0..40),
        links in proptest::collection::vec(proptest::option::of(0_u64..40), 40),
        last in 0_i64..40,
    ) {
        let of_tick = |(position, unit): (u64, Unit)| {
            let previous = links[usize::try_from(position).unwrap()];
            (position, Unit { previous, written_ms: 1_000_000, delay_ms: 7000, ..unit })
        };
        let units: BTreeMap<_, _> = units.into_iter().map(of_tick).collect();
        let found = chained(&units, last);
        prop_assert!(found.len() <= units.len() + 1);
        let sound: Vec<u64> = found.iter().copied().map_while(Result::ok).collect();
        prop_assert!(sound.is_sorted_by(|a, b| a > b));
        prop_assert!(found.len() <= sound.len() + 1);
    }
}
