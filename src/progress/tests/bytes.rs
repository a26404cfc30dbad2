//! The bytes of entries and snapshots: there and back, and every flaw noticed.

use super::*;
use crate::progress::format::{Decoded, Entry, Scratch, Seed, Starts, decode};
use crate::progress::snapshot::{self, Snapshot};

const FAILED: Failed = Failed { attempts: 19, deaths: 20, due_ms: 21 };

const ENTRIES: [Entry<'static>; 11] = [
    Entry::Define { id: 1, group: "g", topic: "t", queue: 2, start: 3 },
    Entry::Ack { cursor: 1, from: 2, count: 3 },
    Entry::Set { cursor: 4, offset: 5 },
    Entry::Topic { name: "t", queues: 6 },
    Entry::Group { name: "g" },
    Entry::TopicGrown { name: "t", queues: 7 },
    Entry::Seal { next: 8 },
    Entry::Begin {
        id: 9,
        left: 10,
        group: "g",
        topic: "t",
        starts: Starts::new(&[[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2], [3; 12]]),
    },
    Entry::Taken { cursor: 11, from: 12, count: 13 },
    Entry::Returned { cursor: 14, from: 15, count: 16 },
    Entry::Failed { cursor: 17, offset: 18, failed: FAILED },
];

#[test]
fn every_entry_reads_back_and_only_in_its_place() {
    let seed = Seed::new(3, 1);
    for entry in ENTRIES {
        let mut scratch = Scratch::default();
        let bytes = scratch.encode(seed, 9, &entry).to_vec();
        assert_eq!(Some(bytes.len()), entry.size());
        assert_eq!(decode(seed, 9, &bytes), Decoded::Entry(entry, bytes.len()));
        for other in [Seed::new(2, 1), Seed::new(4, 1), Seed::new(3, 2)] {
            assert_eq!(decode(other, 9, &bytes), Decoded::Bad, "of another life or journal");
        }
        assert_eq!(decode(seed, 8, &bytes), Decoded::Bad, "of another place");
        for cut in 0..bytes.len() {
            assert!(matches!(decode(seed, 9, &bytes[..cut]), Decoded::Short(n) if n > cut));
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let got = decode(seed, 9, &flipped);
            assert!(matches!(got, Decoded::Bad | Decoded::Short(_)), "bit {bit}: {got:?}");
        }
    }
}

#[test]
fn an_acknowledgement_takes_these_bytes() {
    let mut scratch = Scratch::default();
    let entry = Entry::Ack { cursor: 1, from: 2, count: 3 };
    let bytes = scratch.encode(Seed::new(7, 1), 0, &entry);
    let mut covered = Vec::new();
    for field in [7_u64, 1, 0] {
        covered.extend_from_slice(&field.to_be_bytes());
    }
    let body = [0, 20, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
    covered.extend_from_slice(&body);
    assert_eq!(bytes[..4], crc32fast::hash(&covered).to_be_bytes());
    assert_eq!(bytes[4..], body);
}

#[test]
fn a_start_takes_these_bytes() {
    let mut scratch = Scratch::default();
    let starts = [Starts::bytes_of(1, 2), Starts::bytes_of(3, 4)];
    let starts = Starts::new(&starts);
    let entry = Entry::Begin { id: 5, left: 6, group: "g", topic: "tt", starts };
    let body = [
        &[0, 39, 8, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 1, b'g', 0, 2, b't', b't'][..],
        &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2],
        &[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4],
    ];
    assert_eq!(scratch.encode(Seed::new(7, 1), 0, &entry)[4..], body.concat());
    assert_eq!(starts.iter().collect::<Vec<_>>(), [(1, 2), (3, 4)]);
}

#[test]
fn a_failure_takes_these_bytes() {
    let mut scratch = Scratch::default();
    let entry = Entry::Failed { cursor: 17, offset: 18, failed: FAILED };
    let body = [
        &[0, 28, 11, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 18][..],
        &[0, 0, 0, 19, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 21],
    ];
    assert_eq!(scratch.encode(Seed::new(7, 1), 0, &entry)[4..], body.concat());
}

#[test]
fn a_snapshot_of_the_first_version_reads_as_one_where_nothing_failed() {
    let state = State { cursors: vec![sample().cursors.swap_remove(1)], ..State::default() };
    let snapshot = Snapshot { generation: 3, sequence: 5, journal: 2, state };
    let mut bytes = snapshot.encode().unwrap();
    // Without the two counts at its end, which are 0.
    bytes.truncate(bytes.len() - 8);
    bytes[11] = 1;
    seal(&mut bytes);
    assert_eq!(snapshot::decode(&bytes, 3), Ok(snapshot));
}

/// Makes length and checksum right.
fn seal(bytes: &mut [u8]) {
    let len = u64::try_from(bytes.len()).unwrap();
    bytes[40..48].copy_from_slice(&len.to_be_bytes());
    let covered = [&bytes[..12], &bytes[16..]].concat();
    bytes[12..16].copy_from_slice(&crc32fast::hash(&covered).to_be_bytes());
}

#[test]
fn a_snapshot_reads_back_and_any_flipped_bit_or_cut_is_noticed() {
    let snapshot = Snapshot { generation: 3, sequence: 5, journal: 2, state: sample() };
    let bytes = snapshot.encode().unwrap();
    assert_eq!(snapshot::decode(&bytes, 3), Ok(snapshot));
    assert!(snapshot::decode(&bytes, 4).is_err(), "of another generation");
    for cut in 0..bytes.len() {
        assert!(snapshot::decode(&bytes[..cut], 3).is_err());
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(snapshot::decode(&flipped, 3).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn a_snapshot_with_a_right_checksum_and_any_content_is_read_or_refused(
        body in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 12..200),
    ) {
        let empty = Snapshot { generation: 1, sequence: 1, journal: 0, state: State::default() };
        let mut bytes = empty.encode().unwrap()[..48].to_vec();
        bytes.extend_from_slice(&body);
        seal(&mut bytes);
        if let Ok(read) = snapshot::decode(&bytes, 1) {
            prop_assert_eq!(read.encode().unwrap(), bytes);
        }
    }
}
