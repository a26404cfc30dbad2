use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn sample() -> Generation {
    Generation {
        number: 7,
        segment_size: 1 << 30,
        queue_file_size: 6_000_000,
        own: OwnRanges(vec![(0, 100), (500, u64::MAX)]),
    }
}

fn stamp() -> CleanStamp {
    CleanStamp {
        generation: 7,
        log_end: 123_456,
        files: 2,
        first_base: 0,
        last_base: 65_536,
        queues_crc: 9,
        configs: vec![("topics.json".to_owned(), 1), ("consumerOffset.json".to_owned(), 2)],
    }
}

fn parse<T>(bytes: &[u8], magic: [u8; 8], f: fn(&mut Fields<'_>) -> Option<T>) -> Result<T> {
    parse_file(bytes, Path::new("state"), magic, f)
}

#[test]
fn small_files_read_back_as_written() {
    for broker_died in [false, true] {
        let note = Takeover { generation: 6, broker_died, stamp: stamp() };
        assert_eq!(parse(&note.encode(), Takeover::MAGIC, Takeover::decode).unwrap(), note);
    }
    let ends = QueueEnds {
        generation: 7,
        topics: vec![("orders".to_owned(), vec![Extent { min: 3, next: 9 }, Extent::default()])],
    };
    let generation = parse(&sample().encode(), Generation::MAGIC, Generation::decode).unwrap();
    assert_eq!(generation, sample());
    let clean = parse(&stamp().encode(), CleanStamp::MAGIC, CleanStamp::decode).unwrap();
    assert_eq!(clean, stamp());
    let read = parse(&ends.encode(), QueueEnds::MAGIC, QueueEnds::decode).unwrap();
    assert_eq!(read, ends);
}

#[test]
fn a_queue_cannot_end_before_it_begins_nor_behind_the_last_offset() {
    let parsed = |min, next| {
        let topics = vec![("t".to_owned(), vec![Extent { min, next }])];
        let ends = QueueEnds { generation: 7, topics };
        parse(&ends.encode(), QueueEnds::MAGIC, QueueEnds::decode).is_ok()
    };
    assert!(parsed(3, 3) && parsed(0, FARTHEST_END));
    assert!(!parsed(4, 3) && !parsed(0, FARTHEST_END + 1) && !parsed(0, u64::MAX));
}

#[test]
fn every_flipped_bit_and_every_prefix_of_a_small_file_is_noticed() {
    let good = sample().encode();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        parse(&bad, Generation::MAGIC, Generation::decode).unwrap_err();
    }
    for len in 0..good.len() {
        parse(&good[..len], Generation::MAGIC, Generation::decode).unwrap_err();
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut newer = sample().encode();
    newer[11] = 2;
    let error = parse(&newer, Generation::MAGIC, Generation::decode).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedVersion);
}

#[test]
fn own_ranges_end_where_a_broker_went_on() {
    let mut own = OwnRanges::default();
    own.open_at(0);
    own.close_at(1000);
    own.open_at(4000);
    assert!(own.contains(999) && !own.contains(1000) && !own.contains(3999) && own.contains(4000));
    own.open_at(9000);
    assert_eq!(own.0.len(), 2, "our own next open goes on in the same range");
}

proptest! {
    #[test]
    fn random_bytes_never_parse(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse(&bytes, CleanStamp::MAGIC, CleanStamp::decode).is_err());
        prop_assert!(parse(&bytes, Takeover::MAGIC, Takeover::decode).is_err());
        prop_assert!(parse(&bytes, QueueEnds::MAGIC, QueueEnds::decode).is_err());
    }
}
