//! Damage of every kind, and whatever else the decoder may meet.

use proptest::prelude::*;

use super::*;

#[test]
fn lengths_negative_in_java_are_zero_or_damage_as_for_a_broker() {
    let draft = Draft { properties: b"", ..golden_draft() };
    let mut bytes = sealed_with(&draft, b"");
    bytes.truncate(bytes.len() - CRC_TAIL_LEN);
    bytes[3] -= 20;
    let (body_len_at, end) = (84, bytes.len());
    bytes[end - 2..].fill(0xFF);
    bytes[body_len_at..body_len_at + 4].fill(0xFF);
    let record = record(&bytes, IF_PRESENT);
    assert_eq!((record.body, record.properties, record.topic), (&b""[..], &b""[..], "TopicTest"));
    bytes[body_len_at + 4] = 0xFF;
    assert_eq!(decode(&bytes, IF_PRESENT), Decoded::Bad("the topic length is negative"));
}

#[test]
fn impossible_fields_are_named() {
    let spoilt = |at: usize, value: u8| {
        let mut bytes = sealed(&golden_draft());
        bytes[at] = value;
        match decode(&bytes, Checks::NONE) {
            Decoded::Bad(reason) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(spoilt(0, 0x80), "the record size is impossible");
    assert_eq!(spoilt(3, 90), "the record size is impossible");
    assert_eq!(spoilt(3, 132), "the record is smaller than its parts");
    assert_eq!(spoilt(4, 0xDB), "the magic number is unknown");
    assert_eq!(spoilt(12, 0x80), "the queue id is negative");
    assert_eq!(spoilt(20, 0x80), "an offset is negative");
    assert_eq!(spoilt(28, 0x80), "an offset is negative");
    assert_eq!(spoilt(94, 0xFF), "the topic is not UTF-8");
}

#[test]
fn a_wrong_body_is_seen_only_by_who_looks() {
    let mut bytes = golden();
    bytes[88] ^= 1;
    assert_eq!(decode(&bytes, IF_PRESENT), Decoded::Bad("the body does not match its CRC"));
    assert_eq!(record(&bytes, Checks::NONE).body, b"Iello");
    let mut bytes = sealed(&golden_draft());
    bytes[16] ^= 1;
    assert_eq!(decode(&bytes, IF_PRESENT), Decoded::Bad("the record does not match its CRC"));
    assert_eq!(record(&bytes, Checks::NONE).flag, 1 << 24);
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<i32>()).prop_map(|(ip, port)| Host::V4 { ip, port }),
        (any::<[u8; 16]>(), any::<i32>()).prop_map(|(ip, port)| Host::V6 { ip, port }),
    ]
}

#[derive(Debug, Clone)]
struct Parts {
    topic: String,
    body: Vec<u8>,
    properties: Vec<u8>,
    hosts: (Host, Host),
    numbers: (u32, i32, i32, i64, i32, i64),
    place: (u64, u64, i64),
}

impl Parts {
    fn draft(&self) -> Draft<'_> {
        let (queue_id, flag, sys_flag, born_timestamp, reconsume_times, prepared) = self.numbers;
        Draft {
            topic: &self.topic,
            queue_id: queue_id >> 1,
            flag,
            sys_flag,
            born_timestamp,
            born_host: self.hosts.0,
            store_host: self.hosts.1,
            reconsume_times,
            prepared_transaction_offset: prepared,
            properties: &self.properties,
        }
    }

    fn sealed(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_body(&mut bytes, &self.draft(), &self.body).unwrap();
        let (queue_offset, physical_offset, stored) = self.place;
        assert!(seal(&mut bytes, queue_offset >> 1, physical_offset >> 1, stored));
        bytes
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let topic = prop_oneof!["[a-zA-Z0-9%|_-]{0,40}", "[a-z]{126,200}", "\\PC{0,40}"];
    let bytes = |len| prop::collection::vec(any::<u8>(), 0..len);
    (
        topic,
        bytes(80),
        bytes(60),
        (host(), host()),
        any::<(u32, i32, i32, i64, i32, i64)>(),
        any::<(u64, u64, i64)>(),
    )
        .prop_map(|(topic, body, properties, hosts, numbers, place)| Parts {
            topic,
            body,
            properties,
            hosts,
            numbers,
            place,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_record_survives_the_round_trip(parts in parts(), after: [u8; 9]) {
        let mut bytes = parts.sealed();
        prop_assert_eq!(bytes.len(), encoded_len(&parts.draft(), parts.body.len()));
        let len = bytes.len();
        bytes.extend_from_slice(&after);
        let record = record(&bytes, STRICT);
        prop_assert_eq!(usize::try_from(record.size).unwrap(), len);
        prop_assert_eq!(record.body, &parts.body);
        assert_is_draft_but_body(&record, &parts.draft());
        let (queue_offset, physical_offset, stored) = parts.place;
        prop_assert_eq!(
            (record.queue_offset, record.physical_offset, record.store_timestamp),
            (queue_offset >> 1, physical_offset >> 1, stored)
        );
    }

    #[test]
    fn every_prefix_is_incomplete(parts in parts()) {
        let bytes = parts.sealed();
        for len in 0..bytes.len() {
            let needed = if len < 8 { 8 } else { bytes.len() };
            prop_assert_eq!(decode(&bytes[..len], STRICT), Decoded::Incomplete { needed });
        }
    }

    #[test]
    fn every_bit_flip_is_noticed(parts in parts()) {
        let mut bytes = parts.sealed();
        let clean = bytes.clone();
        // Something follows, so that a larger size does not only run out of bytes.
        bytes.extend_from_slice(&clean);
        for bit in 0..clean.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode(&bytes, STRICT);
            let noticed = match decoded {
                Decoded::Bad(_) => true,
                Decoded::Incomplete { needed } => bit < 32 && needed > bytes.len(),
                _ => false,
            };
            prop_assert!(noticed, "bit {}: {:?}", bit, decoded);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert_eq!(&bytes[..clean.len()], clean);
    }

    #[test]
    fn any_bytes_decode_to_something_within_them(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        magic in prop_oneof![Just(MAGIC_V1), Just(MAGIC_V2), Just(MAGIC_BLANK), any::<u32>()],
        small in 0u32..300,
    ) {
        let mut bytes = bytes;
        if let Some(start) = bytes.first_chunk_mut::<8>() {
            start[..4].copy_from_slice(&small.to_be_bytes());
            start[4..].copy_from_slice(&magic.to_be_bytes());
        }
        match decode(&bytes, Checks::NONE) {
            Decoded::Record(record) => {
                let size = usize::try_from(record.size).unwrap();
                prop_assert!(size <= bytes.len());
                let parts = record.body.len() + record.topic.len() + record.properties.len();
                prop_assert!(parts < size);
            }
            Decoded::Incomplete { needed } => prop_assert!(needed > bytes.len()),
            Decoded::Blank { len } => prop_assert!(len >= 8),
            Decoded::Empty => prop_assert_eq!(&bytes[..8], [0; 8]),
            Decoded::Bad(reason) => prop_assert!(!reason.is_empty()),
        }
    }

    #[test]
    fn spoilt_records_decode_to_something_within_them(
        parts in parts(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = parts.sealed();
        let len = bytes.len();
        for (at, value) in edits {
            bytes[at.index(len)] = value;
        }
        if let Decoded::Record(record) = decode(&bytes, Checks::NONE) {
            prop_assert_eq!(usize::try_from(record.size).unwrap(), len);
            prop_assert!(record.body.len() + record.topic.len() + record.properties.len() < len);
        }
    }
}
