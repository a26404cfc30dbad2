//! Golden bytes both ways, and what the fields mean.

mod damage;

use super::*;

const STRICT: Checks = Checks { body_crc: true, record_crc: RecordCrc::Require };
const IF_PRESENT: Checks = Checks { body_crc: true, record_crc: RecordCrc::IfPresent };

/// A record of a broker, without CRC tail.
const GOLDEN: &str = "
    000000bcdaa320a777d18982000000010000000000000000000000070000000000001000
    000000000000018bcfe568007f00000100002a9f0000018bcfe5687b7f00000100002a9f
    0000000000000000000000000000000548656c6c6f09546f7069635465737400534b4559
    53014b3102554e49515f4b455901374630303030303132413946313842344141433230303030303030303030304102
    434c55535445520144656661756c74436c75737465720254414753015461674102";

fn golden() -> Vec<u8> {
    let digits: Vec<u8> = GOLDEN.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn golden_draft() -> Draft<'static> {
    Draft {
        topic: "TopicTest",
        queue_id: 1,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        born_host: Host::LOCALHOST,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        properties: b"KEYS\x01K1\x02",
    }
}

const GOLDEN_PROPERTIES: &[u8] = b"KEYS\x01K1\x02UNIQ_KEY\x017F0000012A9F18B4AAC200000000000A\x02\
      CLUSTER\x01DefaultCluster\x02TAGS\x01TagA\x02";

const GOLDEN_BODY: &[u8] = b"Hello";

fn encode_body(out: &mut Vec<u8>, draft: &Draft<'_>, body: &[u8]) -> Result<(), encode::TooLong> {
    encode(out, draft, |out| {
        out.extend_from_slice(body);
        Ok(())
    })
}

fn sealed(draft: &Draft<'_>) -> Vec<u8> {
    sealed_with(draft, GOLDEN_BODY)
}

fn sealed_with(draft: &Draft<'_>, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_body(&mut bytes, draft, body).unwrap();
    assert_eq!(bytes.len(), encoded_len(draft, body.len()));
    assert!(seal(&mut bytes, 7, 4096, 1_700_000_000_123));
    bytes
}

fn record(bytes: &[u8], checks: Checks) -> RecordView<'_> {
    match decode(bytes, checks) {
        Decoded::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

fn assert_is_draft(record: &RecordView<'_>, draft: &Draft<'_>) {
    assert_eq!(record.body, GOLDEN_BODY);
    assert_is_draft_but_body(record, draft);
}

fn assert_is_draft_but_body(record: &RecordView<'_>, draft: &Draft<'_>) {
    assert_eq!(record.topic, draft.topic);
    assert_eq!(record.queue_id, draft.queue_id);
    assert_eq!(record.flag, draft.flag);
    assert_eq!(record.born_timestamp, draft.born_timestamp);
    assert_eq!(record.born_host, draft.born_host);
    assert_eq!(record.store_host, draft.store_host);
    assert_eq!(record.reconsume_times, draft.reconsume_times);
    assert_eq!(record.prepared_transaction_offset, draft.prepared_transaction_offset);
    let host_bits = sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6;
    assert_eq!(record.sys_flag & !host_bits, draft.sys_flag & !host_bits);
    let stripped = strip_crc_tail(record.properties);
    assert_eq!(
        stripped.strip_suffix(b"\x02"),
        draft
            .properties
            .strip_suffix(b"\x02")
            .or_else(|| (!draft.properties.is_empty()).then_some(draft.properties))
    );
}

#[test]
fn a_brokers_record_is_read() {
    let bytes = golden();
    let record = record(&bytes, IF_PRESENT);
    assert_eq!((record.size, record.magic, record.body_crc), (188, MAGIC_V1, 2_010_220_930));
    assert_eq!((record.queue_offset, record.physical_offset, record.sys_flag), (7, 4096, 0));
    assert_eq!(record.store_timestamp, 1_700_000_000_123);
    assert_is_draft(&record, &Draft { properties: GOLDEN_PROPERTIES, ..golden_draft() });
    assert_eq!(record.property("CLUSTER"), Some("DefaultCluster"));
    assert_eq!(record.property("cluster"), None);
    assert_eq!(record.tags_code(&[]), 0x27_a807);
    assert_eq!(record.offset_id().to_string(), "7F00000100002A9F0000000000001000");
    assert_eq!(record.message_id().to_string(), "7F0000012A9F18B4AAC200000000000A");
    assert_eq!(decode(&bytes, STRICT), Decoded::Bad("the record has no CRC"));
}

#[test]
fn what_is_written_is_a_brokers_record_plus_crc_tail() {
    let draft = Draft { properties: GOLDEN_PROPERTIES, ..golden_draft() };
    let mut bytes = sealed(&draft);
    bytes.truncate(bytes.len() - CRC_TAIL_LEN);
    bytes[3] -= 20;
    let properties_len_at = bytes.len() - GOLDEN_PROPERTIES.len() - 1;
    bytes[properties_len_at] -= 20;
    assert_eq!(bytes, golden());
}

#[test]
fn a_record_with_crc_tail_is_rocketmqs_bytes() {
    let bytes = sealed(&golden_draft());
    assert_eq!(bytes.len(), 133);
    assert!(bytes.ends_with(b"KEYS\x01K1\x02__CRC32#\x010154894461\x02"));
    assert_eq!(masked_crc(&bytes[..113]), 1_644_984_510);
    assert_is_draft(&record(&bytes, STRICT), &golden_draft());
    assert_eq!(record(&bytes, STRICT).message_id().to_string(), "7F00000100002A9F0000000000001000");
}

#[test]
fn a_blank_is_rocketmqs_bytes() {
    let bytes = *b"\0\0\x10\0\xcb\xd4\x31\x94";
    assert_eq!(blank(4096), bytes);
    assert_eq!(decode(&bytes, STRICT), Decoded::Blank { len: 4096 });
    assert_eq!(decode(&blank(8), STRICT), Decoded::Blank { len: 8 });
    for len in [0, 7, 1 << 31] {
        assert!(matches!(decode(&blank(len), STRICT), Decoded::Bad(_)));
    }
}

#[test]
fn checksums_are_zlibs_without_the_top_bit() {
    assert_eq!(masked_crc(b"123456789"), 1_274_296_614);
    assert_eq!(masked_crc(b"Hello"), 2_010_220_930);
    assert_eq!(masked_crc(b""), 0);
}

#[test]
fn digits_are_decimal_backwards() {
    let steps = (0..=0x7FFF_FFFF).step_by(99_991);
    let powers = (0..10).flat_map(|n| [10u32.pow(n) - 1, 10u32.pow(n), 10u32.pow(n) + 1]);
    for value in steps.chain(powers).chain([0x7FFF_FFFF]).chain(0..20_000) {
        let expected: Vec<u8> = format!("{value:010}").bytes().rev().collect();
        assert_eq!(reversed_digits(value)[..], expected, "{value}");
    }
}

#[test]
fn nothing_written_is_empty() {
    assert_eq!(decode(&[0; 8], STRICT), Decoded::Empty);
    assert_eq!(decode(&[0; 4096], STRICT), Decoded::Empty);
    assert_eq!(decode(&[0; 7], STRICT), Decoded::Incomplete { needed: 8 });
}

#[test]
fn topics_over_127_bytes_get_a_wide_length() {
    for (len, magic, fixed) in [(127, MAGIC_V1, 91), (128, MAGIC_V2, 92), (255, MAGIC_V2, 92)] {
        let topic = "t".repeat(len);
        let draft = Draft { topic: &topic, ..golden_draft() };
        let bytes = sealed(&draft);
        assert_eq!(bytes.len(), fixed + len + 5 + 8 + CRC_TAIL_LEN);
        let record = record(&bytes, STRICT);
        assert_eq!(record.magic, magic);
        assert_is_draft(&record, &draft);
    }
}

#[test]
fn hosts_of_either_width_come_back_whatever_the_flag_said() {
    let v6 = Host::V6 { ip: *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\x12\x34\x56\x78", port: 10911 };
    for (born_host, store_host, bits, len) in [
        (Host::LOCALHOST, Host::LOCALHOST, 0, 133),
        (v6, Host::LOCALHOST, 0x10, 145),
        (Host::LOCALHOST, v6, 0x20, 145),
        (v6, v6, 0x30, 157),
    ] {
        for sys_flag in [0, 0x10, 0x20, 0x30, 0x301] {
            let draft = Draft { sys_flag, born_host, store_host, ..golden_draft() };
            let bytes = sealed(&draft);
            assert_eq!(bytes.len(), len);
            let record = record(&bytes, STRICT);
            assert_eq!(record.sys_flag, sys_flag & !0x30 | bits);
            assert_eq!(record.store_timestamp, 1_700_000_000_123);
            assert_is_draft(&record, &draft);
        }
    }
    let draft = Draft { store_host: v6, ..golden_draft() };
    let id = record(&sealed(&draft), STRICT).offset_id().to_string();
    assert_eq!(id, "20010DB800000000000000001234567800002A9F0000000000001000");
}

#[test]
fn addresses_read_as_javas() {
    assert_eq!(Host::LOCALHOST.to_string(), "127.0.0.1:10911");
    let ip = *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\x12\x34\x56\x78";
    assert_eq!(Host::V6 { ip, port: 1008 }.to_string(), "2001:db8:0:0:0:0:1234:5678:1008");
}

#[test]
fn a_missing_separator_is_put_before_the_tail() {
    let draft = Draft { properties: b"a\x01b", ..golden_draft() };
    let bytes = sealed(&draft);
    assert_eq!(strip_crc_tail(record(&bytes, STRICT).properties), b"a\x01b\x02");
    let draft = Draft { properties: b"", ..golden_draft() };
    assert_eq!(strip_crc_tail(record(&sealed(&draft), STRICT).properties), b"");
}

#[test]
fn only_a_whole_tail_is_stripped() {
    for block in [
        &b"a\x01b\x02"[..],
        b"",
        b"__CRC32#\x01015489446\x02",
        b"__CRC32#\x010154894461",
        b"x__CRC32#\x010154894461\x02",
        b"__CRC32#\x010154894461\x02a\x01b\x02",
    ] {
        assert_eq!(strip_crc_tail(block), block);
    }
    assert_eq!(strip_crc_tail(b"a\x01b\x02__CRC32#\x01anything!!\x02"), b"a\x01b\x02");
}

#[test]
fn a_delayed_message_carries_its_due_time() {
    let code = |topic, properties, levels: &[i64]| {
        let bytes = sealed(&Draft { topic, properties, ..golden_draft() });
        record(&bytes, STRICT).tags_code(levels)
    };
    let levels = [1000, 5000];
    let stored = 1_700_000_000_123;
    assert_eq!(code("SCHEDULE_TOPIC_XXXX", b"DELAY\x011\x02TAGS\x01d\x02", &levels), stored + 1000);
    assert_eq!(code("SCHEDULE_TOPIC_XXXX", b"DELAY\x012\x02", &levels), stored + 5000);
    assert_eq!(code("SCHEDULE_TOPIC_XXXX", b"DELAY\x0119\x02", &levels), stored + 5000);
    for delay in [b"DELAY\x010\x02TAGS\x01d\x02", b"DELAY\x01x\x02TAGS\x01d\x02"] {
        assert_eq!(code("SCHEDULE_TOPIC_XXXX", delay, &levels), 100);
    }
    assert_eq!(code("SCHEDULE_TOPIC_XXXX", b"DELAY\x01-1\x02TAGS\x01d\x02", &levels), 100);
    assert_eq!(code("SCHEDULE_TOPIC_XXXX", b"DELAY\x011\x02TAGS\x01d\x02", &[]), 100);
    assert_eq!(code("TopicTest", b"DELAY\x011\x02TAGS\x01d\x02", &levels), 100);
    assert_eq!(code("TopicTest", b"", &levels), 0);
    let least = i64::from(i32::MIN);
    assert_eq!(code("TopicTest", b"TAGS\x01polygenelubricants\x02", &levels), least);
}

#[test]
fn half_and_rolled_back_messages_have_no_slot() {
    for (sys_flag, kind, dispatched) in [
        (0, Transaction::None, true),
        (0x4, Transaction::Prepared, false),
        (0x8, Transaction::Commit, true),
        (0xC, Transaction::Rollback, false),
        (0x3F3, Transaction::None, true),
    ] {
        let bytes = sealed(&Draft { sys_flag, ..golden_draft() });
        let record = record(&bytes, STRICT);
        assert_eq!((record.transaction_type(), record.is_dispatched()), (kind, dispatched));
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_appended() {
    let topic = "t".repeat(256);
    let properties = vec![b'p'; MAX_PROPERTIES_LEN - CRC_TAIL_LEN];
    let mut ended = properties.clone();
    *ended.last_mut().unwrap() = 2;
    let mut out = vec![1, 2, 3];
    let good = golden_draft();
    for (draft, part) in [
        (Draft { topic: &topic, ..good }, "topic"),
        (Draft { properties: &properties, ..good }, "properties"),
        (Draft { queue_id: 1 << 31, ..good }, "queue"),
    ] {
        let error =
            crate::error::Error::from(encode_body(&mut out, &draft, GOLDEN_BODY).unwrap_err());
        assert_eq!(error.kind(), crate::error::ErrorKind::TooLarge);
        assert!(error.to_string().contains(part));
        assert_eq!(out, [1, 2, 3]);
    }
    let draft = Draft { properties: &ended, ..good };
    assert_is_draft(&record(&sealed(&draft), STRICT), &draft);
}

#[test]
fn only_what_was_encoded_is_sealed() {
    let good = sealed(&golden_draft());
    let refused = |bytes: &[u8], queue_offset, physical_offset| {
        let mut after = bytes.to_vec();
        assert!(!seal(&mut after, queue_offset, physical_offset, 1));
        assert_eq!(after, bytes);
    };
    refused(&golden(), 1, 1);
    refused(&[], 1, 1);
    refused(&good[..132], 1, 1);
    refused(&[&good[..], b"x"].concat(), 1, 1);
    refused(&good, 1 << 63, 1);
    refused(&good, 1, 1 << 63);
}

#[test]
fn a_record_sealed_again_has_its_new_place() {
    let mut bytes = sealed(&golden_draft());
    assert!(seal(&mut bytes, 8, 9, 10));
    let record = record(&bytes, STRICT);
    assert_eq!((record.queue_offset, record.physical_offset, record.store_timestamp), (8, 9, 10));
}
