//! Blocks read as a broker reads them, and user properties that come back as they were given.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::{ErrorKind, Result};

fn block(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in entries {
        push(&mut block, name, value);
    }
    block
}

fn refusal(checked: Result<()>) -> String {
    let error = checked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    error.to_string()
}

#[test]
fn a_block_is_rocketmqs_bytes() {
    assert_eq!(block(&[("KEYS", "K1"), ("a", "b")]), b"KEYS\x01K1\x02a\x01b\x02");
}

#[test]
fn the_last_separator_may_be_missing() {
    assert_eq!(get(b"KEYS\x01K1\x02a\x01b", "a"), Some("b"));
}

#[test]
fn pieces_without_name_or_value_are_passed_over() {
    let bytes = b"\x02\x01v\x02n\x01\x02nothing\x02a\x01b\x02\x02";
    assert_eq!(iter(bytes).collect::<Vec<_>>(), [("a", "b")]);
    assert_eq!(Properties::parse(bytes).len(), 1);
    assert_eq!(get(bytes, ""), None);
    assert_eq!(get(bytes, "n"), None);
    assert_eq!(get(bytes, "nothing"), None);
}

#[test]
fn a_value_may_contain_what_ends_a_name() {
    assert_eq!(get(b"a\x01b\x01c\x02", "a"), Some("b\x01c"));
}

#[test]
fn the_last_of_a_name_counts() {
    let bytes = b"a\x011\x02b\x012\x02a\x013\x02";
    assert_eq!(get(bytes, "a"), Some("3"));
    let parsed = Properties::parse(bytes);
    assert_eq!(parsed.get("a"), Some("3"));
    assert_eq!(parsed.iter().collect::<Vec<_>>(), [("b", "2"), ("a", "3")]);
}

#[test]
fn the_last_of_many_names_counts_too() {
    let names: Vec<String> = (0..50).map(|n| format!("name{n}")).collect();
    let first = names.iter().map(|name| (name.as_str(), "first"));
    let entries: Vec<_> = first.chain(names.iter().map(|name| (name.as_str(), "last"))).collect();
    let parsed = Properties::parse(&block(&entries));
    assert_eq!(parsed.iter().collect::<Vec<_>>(), entries[50..]);
}

#[test]
fn pieces_that_are_not_utf8_are_passed_over() {
    let bytes = b"a\x01good\x02a\x01\xff\x02\xfe\x01v\x02";
    assert_eq!(get(bytes, "a"), Some("good"));
    assert_eq!(iter(bytes).collect::<Vec<_>>(), [("a", "good")]);
}

#[test]
fn the_record_checksum_is_no_property_of_the_message() {
    let parsed = Properties::parse(b"a\x01b\x02__CRC32#\x010154894461\x02");
    assert_eq!(format!("{parsed:?}"), r#"{"a": "b"}"#);
    assert!(Properties::parse(b"__CRC32#\x010154894461\x02").is_empty());
}

#[test]
fn names_with_a_method_are_refused_and_the_method_is_named() {
    for (name, method) in [("KEYS", "`key`"), ("TAGS", "`tag`"), ("__SHARDINGKEY", "`order_by`")] {
        assert!(refusal(validate(name, "v")).contains(method));
    }
}

#[test]
fn reserved_names_are_refused() {
    for name in
        ["UNIQ_KEY", "DELAY", "TIMER_DELIVER_MS", "PGROUP", "__CRC32#", "REAL_TOPIC", "TTL", "WAIT"]
    {
        assert!(refusal(validate(name, "v")).contains("reserved"), "{name}");
    }
    assert!(refusal(validate("__RMQ.TRANSIENT.x", "v")).contains("reserved"));
}

#[test]
fn what_the_reader_would_change_is_refused() {
    for (name, value) in [("", "v"), ("n", ""), ("a\x01", "v"), ("a\x02", "v"), ("a\n", "v")] {
        refusal(validate(name, value));
    }
    assert!(refusal(validate("n", "ab\x02")).contains("at byte 3"));
    assert!(refusal(validate("n", "\x01")).contains("at byte 1"));
    validate("traceparent", "line one\nline two").unwrap();
}

#[test]
fn a_key_holds_together_and_a_tag_can_be_filtered_for() {
    validate_key("order-7").unwrap();
    refusal(validate_key("order 7"));
    refusal(validate_key(""));
    validate_tag("eu west").unwrap();
    for tag in ["", "*", "a||b", " a", "a\t", "a\x02"] {
        refusal(validate_tag(tag));
    }
}

#[test]
fn a_block_too_long_for_its_length_field_is_refused() {
    let room = MAX_BLOCK_LEN - "__CRC32#".len() - 12;
    validate("n", &"v".repeat(room - 3)).unwrap();
    let error = validate("n", &"v".repeat(room - 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(validate_len(room + 1).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(validate(&"n".repeat(1 << 20), "v").unwrap_err().to_string().len() < 100);
}

proptest! {
    #[test]
    fn whatever_a_user_may_give_comes_back(
        entries in prop::collection::vec(
            ("[a-c\\PC\x01\x02]{0,2}", "[a\\PC\x01\x02\n]{0,5}"),
            0..40,
        ),
    ) {
        let given: Vec<_> = entries.iter().filter(|(n, v)| validate(n, v).is_ok()).collect();
        let mut bytes = Vec::new();
        for (name, value) in &given {
            push(&mut bytes, name, value);
        }
        let read: Vec<_> = iter(&bytes).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), given);
    }

    #[test]
    fn lookup_list_and_parsed_form_agree_on_any_bytes(
        bytes in prop::collection::vec(
            prop_oneof![Just(1u8), Just(2), b'a'..=b'c', any::<u8>()],
            0..400,
        ),
    ) {
        let last: BTreeMap<&str, &str> = iter(&bytes).collect();
        let parsed = Properties::parse(&bytes);
        prop_assert_eq!(parsed.len(), last.len());
        for (name, value) in last {
            prop_assert_eq!(get(&bytes, name), Some(value));
            prop_assert_eq!(parsed.get(name), Some(value));
        }
    }
}
