//! Filters over a message's block.

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;

#[test]
fn a_block_is_read_as_properties_are() {
    let filter = sql("a = '3' AND b IS NULL AND TAGS = 't'");
    assert!(filter.matches_properties(b"a\x011\x02TAGS\x01t\x02aa\x014\x02a\x013\x02b\x01\x02"));
    assert!(filter.matches_properties(b"a\x013\x02a\x01\xff\x02a\x01\x02TAGS\x01t"));
    assert!(!filter.matches_properties(b"TAGS\x01t\x02a\x013\x02a\x014"));
    assert!(sql("a = 'x\x01y'").matches_properties(b"a\x01x\x01y\x02"));
}

#[test]
fn more_names_than_usual_are_found_too() {
    for count in [1, 15, 16, 17, 40, 300] {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let conditions: Vec<String> =
            names.iter().map(|name| format!("{name} = '{name}'")).collect();
        let filter = sql(&conditions.join(" AND "));
        let mut properties: Vec<(&str, &str)> =
            names.iter().map(|n| (n.as_str(), n.as_str())).collect();
        assert!(filter.matches_properties(&block(&properties)), "{count}");
        properties.pop();
        assert_eq!(filter.verdict(&block(&properties)), Verdict::Unknown, "{count}");
    }
}

#[test]
fn filters_are_equal_by_kind_and_text() {
    assert_eq!(sql("a = 1"), sql("a = 1"));
    assert_ne!(sql("a = 1"), sql("a =1"));
    assert_ne!(sql("TRUE"), Filter::tags("TRUE").unwrap());
    assert_eq!(sql("a  = 1").to_string(), "a  = 1");
    assert_eq!(format!("{:?}", sql("a = '1'")), r#"Filter::sql("a = '1'")"#);
}

#[test]
fn a_refusal_becomes_an_error_of_the_crate() {
    let error = crate::Error::from(Filter::sql("a = ").unwrap_err());
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(
        error.to_string().starts_with("the filter is refused: something is missing at the end")
    );
}

proptest! {
    /// Whatever the bytes are: a filter finds in a block what `properties::get` does.
    #[test]
    fn a_filter_sees_the_properties_that_a_reader_sees(
        bytes in prop::collection::vec(
            prop_oneof![4 => Just(1_u8), 4 => Just(2), 8 => b'a'..=b'c', 1 => any::<u8>()],
            0..120,
        ),
        many in any::<bool>(),
    ) {
        let mut text = String::from("a = 'b' OR b CONTAINS 'c' OR ab IS NULL OR NOT (c < 5)");
        if many {
            let more: Vec<String> = (0..20).map(|n| format!(" OR x{n} = '1'")).collect();
            text += &more.concat();
        }
        let filter = sql(&text);
        let found = filter.evaluate(|name| properties::get(&bytes, name));
        prop_assert_eq!(filter.verdict(&bytes), found);
    }
}
