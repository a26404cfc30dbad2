//! Filters of tags, in `RocketMQ`'s form.

use super::*;
use crate::message::names::java_hash;

fn passes(filter: &Filter, tag: &str) -> bool {
    let code = i64::from(java_hash(tag));
    let passes = filter.matches_properties(&block(&[("a", "TAGS"), ("TAGS", tag)]));
    assert!(filter.may_match(code) || !passes, "an entry hides a message that passes");
    passes
}

#[test]
fn one_of_several_tags_is_enough_and_blanks_around_do_not_count() {
    for text in ["a||b c", "  a  ||\tb c\n", "||a||||b c||"] {
        let filter = Filter::tags(text).unwrap();
        assert!(passes(&filter, "a") && passes(&filter, "b c"), "{text}");
        assert!(!passes(&filter, "A") && !passes(&filter, "ab") && !passes(&filter, "b"), "{text}");
        assert_eq!(filter.to_string(), text);
    }
}

#[test]
fn a_message_without_a_tag_passes_no_filter_of_tags() {
    assert!(!Filter::tags("a").unwrap().matches_properties(&block(&[("a", "a")])));
    assert_eq!(Filter::tags("a").unwrap().evaluate(|_| None), Verdict::False);
}

#[test]
fn a_star_or_nothing_is_every_message() {
    for all in [Filter::all(), Filter::tags("*").unwrap(), Filter::tags("").unwrap()] {
        assert_eq!(all, Filter::all());
        assert!(all.matches_properties(b"") && all.may_match(7));
        assert_eq!((all.to_string(), format!("{all:?}")), ("*".into(), "Filter::all()".into()));
    }
}

#[test]
fn what_names_no_tag_is_refused() {
    for (text, at, tag) in [
        ("||", 0, "no-tags"),
        ("  ||\t", 0, "no-tags"),
        (" ", 0, "no-tags"),
        ("a ||  *", 6, "star-among-tags"),
        (" *", 1, "star-among-tags"),
    ] {
        let refused = Filter::tags(text).unwrap_err();
        assert_eq!((refused.offset(), refused.deviation()), (at, Some(tag)), "{text:?}");
    }
}

#[test]
fn tags_with_one_hash_are_told_apart_by_their_text() {
    let filter = Filter::tags("Aa").unwrap();
    assert_eq!(java_hash("Aa"), java_hash("BB"));
    assert!(filter.may_match(java_hash("BB").into()));
    assert!(passes(&filter, "Aa") && !passes(&filter, "BB"));
}

#[test]
fn a_queue_entry_hides_a_message_only_if_its_code_is_a_hash_of_no_wanted_tag() {
    let filter = Filter::tags("polygenelubricants || x").unwrap();
    assert!(filter.may_match(i32::MIN.into()) && filter.may_match(120));
    assert!(!filter.may_match(121) && !filter.may_match(0));
    // The time of a delayed message, the address of an extension: no hashes.
    assert!(filter.may_match(1_700_000_000_000) && filter.may_match(i64::MIN + 7));
    assert!(sql("x = 1").may_match(121));
}
