//! How many messages wait, as a broker writes it down.

use crate::config::json::{Value, parse};
use crate::config::metrics::TimerMetrics;
use crate::config::offsets::DelayOffsets;
use crate::config::to_text;
use crate::tests::{expected_states, golden_file, manifest};

const NOW: u64 = 1_800_000_000_000;

fn read(text: &[u8]) -> Value {
    parse(text).unwrap()
}

fn metrics(file: &Value) -> TimerMetrics {
    TimerMetrics::from_value(Some(file), &|topic| topic != "bad topic").unwrap()
}

#[test]
fn a_brokers_metrics_are_read_and_written_back_byte_for_byte() {
    for (store, counts) in [("timer", vec![("g15_Timer", 6)]), ("delay-levels", vec![])] {
        let text = golden_file(store, "config/timermetrics");
        let file = read(&text);
        let metrics = metrics(&file);
        assert_eq!(metrics.iter().collect::<Vec<_>>(), counts, "{store}");
        assert!(metrics.notices().is_empty(), "{store}");
        assert_eq!(metrics.to_text(NOW).into_bytes(), text, "{store}");
    }
}

#[test]
fn a_brokers_metrics_count_what_its_manifest_calls_pending() {
    for store in ["timer", "timer-5.5.0"] {
        let metrics = metrics(&read(&golden_file(store, "config/timermetrics")));
        let states = expected_states(&manifest(store), "timer");
        let pending = states.values().filter(|state| *state == "pending").count();
        assert_eq!(metrics.get("g15_Timer"), i64::try_from(pending).unwrap(), "{store}");
    }
}

#[test]
fn a_brokers_delay_progress_is_written_back_byte_for_byte() {
    let text = golden_file("delay-levels", "config/delayOffset.json");
    let progress = DelayOffsets::from_value(Some(&read(&text))).unwrap();
    assert_eq!(to_text(&progress.to_value(NOW)).into_bytes(), text);
}

#[test]
fn delay_progress_is_read_with_quoted_levels_and_numbers_too() {
    let file = read(br#"{"offsetTable":{"1":"3",2:4}}"#);
    let mut progress = DelayOffsets::from_value(Some(&file)).unwrap();
    assert_eq!(progress.iter().collect::<Vec<_>>(), [(1, 3), (2, 4)]);
    progress.set(1, 9);
    let again = DelayOffsets::from_value(Some(&progress.to_value(NOW))).unwrap();
    assert_eq!(again.iter().collect::<Vec<_>>(), [(1, 9), (2, 4)]);
}

#[test]
fn a_count_that_changes_raises_the_version_and_keeps_what_is_not_known() {
    let text = br#"{"dataVersion":{"counter":4,"stateVersion":0,"timestamp":5},"more":1,"timingCount":{"a":{"count":2,"timeStamp":3,"x":[1]},"b":{"count":-1,"timeStamp":3}}}"#;
    let mut metrics = metrics(&read(text));
    metrics.set("a", 2, NOW);
    assert_eq!(metrics.to_text(NOW).as_bytes(), text, "nothing changed");
    assert_eq!((metrics.get("b"), metrics.get("c")), (-1, 0));
    metrics.set("a", 7, NOW);
    metrics.set("c", 1, NOW);
    let written = metrics.to_text(NOW);
    let expected = r#"{"dataVersion":{"counter":5,"stateVersion":0,"timestamp":1800000000000},"more":1,"timingCount":{"a":{"count":7,"timeStamp":1800000000000,"x":[1]},"b":{"count":-1,"timeStamp":3},"c":{"count":1,"timeStamp":1800000000000}}}"#;
    assert_eq!(written, expected);
}

#[test]
fn a_new_store_writes_the_shape_that_a_broker_reads() {
    let metrics = TimerMetrics::from_value(None, &|_| true).unwrap();
    let expected = r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1800000000000},"timingCount":{}}"#;
    assert_eq!(metrics.to_text(NOW), expected);
}

#[test]
fn entries_that_make_no_sense_are_left_out_with_a_notice_and_stay_in_the_file() {
    let text = br#"{"timingCount":{"a":{"count":"12"},"bad topic":{"count":1},"b":7,"c":{"count":1.5},"d":null}}"#;
    let metrics = metrics(&read(text));
    assert_eq!(metrics.iter().collect::<Vec<_>>(), [("a", 12)]);
    assert_eq!(metrics.notices().len(), 4);
    assert_eq!(metrics.to_text(NOW).as_bytes(), text);
    for other in [&b"{\"timingCount\":[]}"[..], b"[]", b"7"] {
        assert!(TimerMetrics::from_value(Some(&read(other)), &|_| true).is_err());
    }
}
