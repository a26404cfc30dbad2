//! Index files, one piece at a time.

mod golden;

use proptest::prelude::*;

use super::format::{ENTRY_LEN, Entry, HEADER_LEN, Header, Shape};
use super::key::{KeyHash, keys};
use super::name::{file_name, is_file_name};
use super::table::{Put, Table};
use crate::message::names::java_hash;

const EVER: (i64, i64) = (i64::MIN, i64::MAX);

fn empty(slots: u32, places: u32) -> Table<Vec<u8>> {
    let shape = Shape::new(slots, places).unwrap();
    Table::new(vec![0; usize::try_from(shape.file_len()).unwrap()], shape).unwrap()
}

fn found<B: AsRef<[u8]>>(table: &Table<B>, key: &str) -> Vec<u64> {
    table.lookup(KeyHash::of("t", key), EVER.0, EVER.1).collect()
}

fn put(table: &mut Table<Vec<u8>>, key: &str, offset: u64, stored_ms: i64) -> Put {
    table.put(KeyHash::of("t", key), offset, stored_ms)
}

#[test]
fn hashes_and_slots_are_rocketmqs() {
    let k1 = KeyHash::of("TopicTest", "K1");
    assert_eq!((k1.get(), k1.slot(5_000_000)), (2_745_032, 2_745_032));
    let id = KeyHash::of("TopicTest", "7F0000012A9F18B4AAC200000000000A");
    assert_eq!((id.get(), id.slot(5_000_000)), (1_171_230_713, 1_230_713));
    assert_eq!(KeyHash::of_tag("a", "b"), KeyHash::of("a", "T#b"));
}

#[test]
fn the_one_hash_without_an_opposite_counts_as_0() {
    // Found by trying.
    assert_eq!(java_hash("t#achssxlk"), i32::MIN);
    assert_eq!(KeyHash::of("t", "achssxlk").get(), 0);
}

#[test]
fn a_file_is_as_large_as_a_brokers() {
    assert_eq!(Shape::DEFAULT.file_len(), 420_000_040);
    assert_eq!(Shape::new(500, 1000).unwrap().file_len(), 22_040);
    for (slots, places) in [(0, 10), (10, 0), (10, 1), (u32::MAX, u32::MAX), (1, 1 << 27)] {
        assert_eq!(Shape::new(slots, places), None, "{slots} {places}");
    }
    let shape = Shape::new(5, 5).unwrap();
    let len = usize::try_from(shape.file_len()).unwrap();
    for other in [0, HEADER_LEN, len - 1, len + 1] {
        assert!(Table::new(vec![0; other], shape).is_none(), "{other}");
    }
}

#[test]
fn the_keys_of_a_message_are_its_id_and_each_word() {
    let all = |unique, words| keys(unique, words).collect::<Vec<_>>();
    assert_eq!(all(Some("id"), Some("a  b ")), ["id", "a", "b"]);
    assert_eq!(all(None, Some(" a")), ["a"]);
    assert!(all(None, None).is_empty());
}

#[test]
fn a_key_is_found_newest_first_and_others_of_its_slot_are_not() {
    let mut table = empty(1, 10);
    for (key, offset) in [("a", 10), ("b", 20), ("a", 30), ("a", 30)] {
        assert_eq!(put(&mut table, key, offset, 1000), Put::Done);
    }
    assert_eq!(found(&table, "a"), [30, 30, 10]);
    assert_eq!((found(&table, "b"), found(&table, "c")), (vec![20], vec![]));
    let expected = Header {
        begin_ms: 1000,
        end_ms: 1000,
        begin_offset: 10,
        end_offset: 30,
        used_slots: 1,
        next: 5,
    };
    assert_eq!(table.header(), expected);
}

#[test]
fn a_full_file_says_so_and_stays_as_it_is() {
    let mut table = empty(4, 3);
    assert_eq!([1, 2].map(|offset| put(&mut table, "a", offset, 5)), [Put::Done; 2]);
    assert!(table.is_full());
    assert_eq!(put(&mut table, "b", 3, 5), Put::Full);
    assert_eq!((found(&table, "a"), found(&table, "b")), (vec![2, 1], vec![]));
    assert_eq!(table.header().end_offset, 2);
}

#[test]
fn a_file_follows_another_and_its_first_message_sets_its_beginning() {
    let previous = Header { end_ms: 10_000, end_offset: 77, next: 9, ..Header::default() };
    let mut table = empty(4, 10);
    table.follow(&previous);
    let header = table.header();
    assert_eq!((header.begin_ms, header.end_ms), (10_000, 10_000));
    assert_eq!((header.begin_offset, header.end_offset, header.next), (77, 77, 1));
    assert!(header.is_past(76) && !header.is_past(77));
    put(&mut table, "a", 90, 13_500);
    assert_eq!((table.header().begin_ms, table.header().begin_offset), (13_500, 90));
    // The first entry still counts from the other file's end: so does a broker.
    let time = |from, to| table.lookup(KeyHash::of("t", "a"), from, to).count();
    assert_eq!((time(16_500, 16_500), time(13_500, 16_499)), (1, 0));
}

#[test]
fn a_lookup_keeps_to_its_time() {
    let mut table = empty(2, 10);
    for (offset, stored) in [(0, 1000), (1, 1000), (2, 3000), (3, 4999)] {
        put(&mut table, "a", offset, stored);
    }
    let between = |from, to| table.lookup(KeyHash::of("t", "a"), from, to).collect::<Vec<_>>();
    assert_eq!(between(1000, 4000), [3, 2, 1, 0]);
    assert_eq!(between(1000, 3999), [2, 1, 0]);
    assert_eq!(between(1001, 3000), [2]);
    assert!(between(5000, 9000).is_empty());
    let header = table.header();
    assert!(header.overlaps(4999, 9000) && header.overlaps(0, 1000) && header.overlaps(2, 3000));
    assert!(!header.overlaps(5000, 9000) && !header.overlaps(0, 999));
}

#[test]
fn what_is_no_number_counts_as_no_entry() {
    for next in [0, -1, i32::MIN] {
        assert_eq!(Header { next, ..Header::default() }.next_entry(), 1);
    }
    let mut table = empty(1, 3);
    assert_eq!(put(&mut table, "a", 5, 5), Put::Done);
    assert_eq!((table.header().next, found(&table, "a")), (2, vec![5]));
}

#[test]
fn chains_in_a_circle_and_out_of_the_file_end() {
    let shape = Shape::new(1, 10).unwrap();
    let hash = KeyHash::of("t", "a");
    for previous in [2, 3, 9, 10, i32::MAX, -1, i32::MIN] {
        let mut bytes = vec![0; usize::try_from(shape.file_len()).unwrap()];
        let header = Header { next: 10, begin_ms: 1, ..Header::default() };
        bytes[..HEADER_LEN].copy_from_slice(&header.encode());
        bytes[HEADER_LEN + 3] = 2;
        let entry = Entry { hash: hash.get(), offset: 7, seconds: 0, previous };
        let at = usize::try_from(shape.entry_at(2)).unwrap();
        bytes[at..at + ENTRY_LEN].copy_from_slice(&entry.encode());
        let table = Table::new(bytes, shape).unwrap();
        assert_eq!(found(&table, "a"), [7], "{previous}");
    }
}

#[test]
fn a_file_is_named_by_the_millisecond_of_its_creation() {
    assert_eq!(file_name(0), "19700101000000000");
    assert_eq!(file_name(-1), "19691231235959999");
    assert_eq!(file_name(951_782_400_000), "20000229000000000");
    assert_eq!(file_name(1_795_443_876_343), "20261123142436343");
    assert_eq!(file_name(4_107_542_399_999), "21000228235959999");
    assert!(is_file_name("20261123142436343") && is_file_name("7"));
    for name in ["", "2026x", "-1", "+1", "99999999999999999999", "20261123142436343.tmp"] {
        assert!(!is_file_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn headers_and_entries_survive_the_round_trip(
        header: [u8; HEADER_LEN], entry: [u8; ENTRY_LEN],
    ) {
        prop_assert_eq!(Header::decode(&header).encode(), header);
        prop_assert_eq!(Entry::decode(&entry).encode(), entry);
    }

    #[test]
    fn every_day_has_the_name_that_follows_the_day_before(day in -100_000_i64..100_000) {
        let digits = |day: i64| file_name(day * 86_400_000)[..8].parse::<u32>().unwrap();
        let (this, next) = (digits(day), digits(day + 1));
        let month_ends = [31, 28, 29, 30].contains(&(this % 100)) && next % 100 == 1;
        prop_assert!(next == this + 1 || month_ends, "{this} {next}");
    }

    #[test]
    fn what_was_put_in_is_found_as_in_a_list(
        slots in 1_u32..8,
        puts in proptest::collection::vec((0_u8..6, 0_u64..1000, 0_i64..20_000), 0..40),
    ) {
        let mut table = empty(slots, 30);
        let mut list = Vec::new();
        for (key, offset, stored) in puts {
            let key = key.to_string();
            match put(&mut table, &key, offset, stored) {
                Put::Done => list.insert(0, (key, offset)),
                Put::Full => prop_assert_eq!(list.len(), 29),
            }
        }
        for key in (0..6).map(|key: u8| key.to_string()) {
            let expected: Vec<_> =
                list.iter().filter(|(k, _)| *k == key).map(|(_, offset)| *offset).collect();
            prop_assert_eq!(found(&table, &key), expected);
        }
    }

    #[test]
    fn no_bytes_make_a_lookup_panic_or_run_on(
        bytes in proptest::collection::vec(any::<u8>(), 40 + 4 * 2 + 20 * 8),
        small in proptest::collection::vec(0_u8..9, 40 + 4 * 2 + 20 * 8),
        from: i64, to: i64,
    ) {
        // Small numbers are links that mean something.
        let small: Vec<u8> =
            small.iter().enumerate().map(|(at, byte)| if at % 4 == 3 { *byte } else { 0 }).collect();
        let shape = Shape::new(2, 8).unwrap();
        for bytes in [bytes, small] {
            let mut table = Table::new(bytes, shape).unwrap();
            for hash in [KeyHash::of("t", "a"), KeyHash::of("", "\u{0}")] {
                prop_assert!(table.lookup(hash, from, to).count() < 8);
                prop_assert!(table.lookup(hash, EVER.0, EVER.1).count() < 8);
            }
            if table.put(KeyHash::of("t", "a"), 5, to) == Put::Done {
                prop_assert!(!found(&table, "a").is_empty() || table.header().begin_ms < 0);
            }
        }
    }
}
