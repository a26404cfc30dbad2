//! What the files say, and what is written back.

use super::samples::{DELAYS, FILTERS, GROUPS, OFFSETS, OFFSETS_5_5, TOPICS};
use crate::config::document::data_version;
use crate::config::groups::Groups;
use crate::config::offsets::{ConsumerOffsets, DelayOffsets, QueueOffsets};
use crate::config::topics::{PERM_READ, PERM_WRITE, TopicConfig, Topics};
use crate::config::{Value, json, to_text};
use crate::error::ErrorKind;

const NOW: u64 = 1_800_000_000_000;

fn value(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

fn any(_: &str) -> bool {
    true
}

fn topics(file: &Value) -> Topics {
    Topics::from_value(Some(file), &any).unwrap()
}

fn groups(file: &Value) -> Groups {
    Groups::from_value(Some(file), &any).unwrap()
}

fn offsets(file: &Value) -> ConsumerOffsets {
    ConsumerOffsets::from_value(Some(file), &any, &any).unwrap()
}

fn delays(file: &Value) -> DelayOffsets {
    DelayOffsets::from_value(Some(file)).unwrap()
}

fn topic(name: &str, queues: u32) -> TopicConfig {
    TopicConfig {
        name: name.to_owned(),
        read_queues: queues,
        write_queues: queues,
        perm: PERM_READ | PERM_WRITE,
    }
}

fn version(file: &Value) -> &Value {
    file.get("dataVersion").unwrap()
}

#[test]
fn texts_are_written_as_the_broker_writes_them() {
    for text in [TOPICS, GROUPS, OFFSETS, DELAYS] {
        assert_eq!(to_text(&value(text)), text);
    }
    // Numbers in an array stay on the line; strings do so in the one version and not in the other.
    assert_eq!(to_text(&value(FILTERS)), FILTERS);
}

#[test]
fn a_file_that_nothing_was_changed_in_is_written_back_equal() {
    let file = value(TOPICS);
    assert_eq!(topics(&file).to_value(NOW), file);
    let file = value(GROUPS);
    assert_eq!(groups(&file).to_value(NOW), file);
    let file = value(DELAYS);
    assert_eq!(delays(&file).to_value(NOW), file);
    for text in [OFFSETS, OFFSETS_5_5] {
        let file = value(text);
        assert_eq!(offsets(&file).to_value(NOW), file);
    }
}

#[test]
fn setting_what_is_so_already_is_no_change() {
    let file = value(TOPICS);
    let mut read = topics(&file);
    read.insert(topic("SCHEDULE_TOPIC_XXXX", 18)).unwrap();
    assert_eq!(read.to_value(NOW), file);
    let file = value(GROUPS);
    let mut read = groups(&file);
    read.insert("SELF_TEST_C_GROUP");
    assert_eq!(read.to_value(NOW), file);
    let file = value(OFFSETS);
    let mut read = offsets(&file);
    read.set("g16_Retry", "g16_retry", 1, 4);
    assert_eq!(read.to_value(NOW), file);
    let file = value(DELAYS);
    let mut read = delays(&file);
    read.set(3, 1);
    assert_eq!(read.to_value(NOW), file);
}

#[test]
fn a_brokers_files_mean_what_they_say() {
    let read = topics(&value(TOPICS));
    let names: Vec<_> = read.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["InteropCluster", "SCHEDULE_TOPIC_XXXX"]);
    assert_eq!(read.get("SCHEDULE_TOPIC_XXXX"), Some(&topic("SCHEDULE_TOPIC_XXXX", 18)));
    assert_eq!(read.get("InteropCluster").unwrap().perm, 7);

    let read = groups(&value(GROUPS));
    assert_eq!(read.iter().collect::<Vec<_>>(), ["CID_ONSAPI_OWNER", "SELF_TEST_C_GROUP"]);

    let read = offsets(&value(OFFSETS));
    let two = QueueOffsets::from([(0, 4), (1, 4)]);
    assert_eq!(read.get("g16_Retry", "g16_retry"), Some(&two));
    let entries: Vec<_> = read.iter().map(|(topic, group, _)| (topic, group)).collect();
    let expected = [
        ("%RETRY%g16_retry", "g16_retry"),
        ("g16_Ordered", "g16_orderly"),
        ("g16_Retry", "g16_retry"),
    ];
    assert_eq!(entries, expected);

    let read = delays(&value(DELAYS));
    assert_eq!((read.get(1), read.get(18), read.get(6)), (Some(2), Some(0), None));
    assert_eq!(read.iter().count(), 8);
}

#[test]
fn a_new_topic_looks_like_a_brokers_own() {
    let mut read = Topics::from_value(None, &any).unwrap();
    read.insert(topic("SCHEDULE_TOPIC_XXXX", 18)).unwrap();
    let written = read.to_value(NOW);
    let table = |file: &Value| file.get("topicConfigTable").unwrap().clone();
    let brokers = table(&value(TOPICS)).get("SCHEDULE_TOPIC_XXXX").unwrap().clone();
    assert_eq!(table(&written), Value::object([("SCHEDULE_TOPIC_XXXX", brokers)]));
    assert_eq!(version(&written), &data_version(1, NOW));
    assert!(read.insert(topic("t", 65_537)).is_err());
}

#[test]
fn a_new_group_looks_like_a_brokers_own() {
    let mut read = Groups::from_value(None, &any).unwrap();
    read.insert("SELF_TEST_C_GROUP");
    assert!(read.contains("SELF_TEST_C_GROUP"));
    let written = read.to_value(NOW);
    let table = |file: &Value| file.get("subscriptionGroupTable").unwrap().clone();
    let brokers = table(&value(GROUPS)).get("SELF_TEST_C_GROUP").unwrap().clone();
    assert_eq!(table(&written), Value::object([("SELF_TEST_C_GROUP", brokers)]));
    assert_eq!(written.get("forbiddenTable"), Some(&Value::Object(vec![])));
}

#[test]
fn new_offsets_look_like_a_brokers_own() {
    let mut read = ConsumerOffsets::from_value(None, &any, &any).unwrap();
    read.set("a", "g", 1, 7);
    read.set("a", "g", 0, 3);
    read.set("b", "g", 2, u64::MAX);
    let expected = r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1800000000000},
        "groupTopicMap":{"g":["a","b"]},
        "offsetTable":{"a@g":{0:3,1:7},"b@g":{2:9223372036854775807}}}"#;
    assert_eq!(read.to_value(NOW), value(expected));

    let mut read = DelayOffsets::from_value(None).unwrap();
    read.set(1, 3);
    let expected = r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1800000000000},
        "offsetTable":{1:3}}"#;
    assert_eq!(read.to_value(NOW), value(expected));
}

#[test]
fn what_we_do_not_know_survives_a_change() {
    let file = value(
        r#"{"dataVersion":{"counter":4,"stateVersion":9,"timestamp":1,"new":2},"later":[1.50],
        "topicConfigTable":{"t":{"perm":6,"attributes":{"message.type":"FIFO"},"readQueueNums":8,"x":null,
        "writeQueueNums":8,"topicName":"t"}}}"#,
    );
    let mut read = topics(&file);
    read.insert(topic("t", 9)).unwrap();
    let expected = r#"{"dataVersion":{"counter":5,"stateVersion":9,"timestamp":1800000000000,"new":2},
        "later":[1.50],"topicConfigTable":{"t":{"perm":6,"attributes":{"message.type":"FIFO"},"readQueueNums":9,
        "x":null,"writeQueueNums":9,"topicName":"t"}}}"#;
    assert_eq!(read.to_value(NOW), value(expected));

    let file =
        value(r#"{"offsetTable":{"a@g":{0:5,"1":6,x:7,2:-1}},"pullOffsetTable":{"a@g":{0:9}}}"#);
    let mut read = offsets(&file);
    assert_eq!(read.get("a", "g"), Some(&QueueOffsets::from([(0, 5), (1, 6)])));
    read.set("a", "g", 1, 8);
    read.set("a", "g", 3, 1);
    let expected = r#"{"offsetTable":{"a@g":{0:5,"1":8,x:7,2:-1,3:1}},"pullOffsetTable":{"a@g":{0:9}},
        "groupTopicMap":{"g":["a"]},"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1800000000000}}"#;
    assert_eq!(read.to_value(NOW), value(expected));
}

#[test]
fn a_bad_topic_is_left_out_told_and_kept() {
    let file = value(
        r#"{"topicConfigTable":{"ok":{"topicName":"ok"},"many":{"readQueueNums":65537},
        "minus":{"writeQueueNums":-1},"../up":{},"liar":{"topicName":"ok"},"none":null,"text":{"perm":"x"}}}"#,
    );
    let name_ok = |name: &str| !name.contains('/');
    let mut read = Topics::from_value(Some(&file), &name_ok).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), [&topic("ok", 16)]);
    assert_eq!(read.notices().len(), 6, "{:?}", read.notices());
    assert_eq!(read.to_value(NOW), file);

    // Creating a topic under the name of a bad entry repairs the entry.
    for name in ["minus", "none", "liar"] {
        read.insert(topic(name, 1)).unwrap();
    }
    let again = Topics::from_value(Some(&read.to_value(NOW)), &name_ok).unwrap();
    assert_eq!(again.get("minus"), Some(&topic("minus", 1)));
    assert_eq!(again.get("liar"), Some(&topic("liar", 1)));
    assert_eq!((again.iter().count(), again.notices().len()), (4, 3));
}

#[test]
fn a_bad_group_is_left_out_told_and_kept() {
    let file = value(
        r#"{"subscriptionGroupTable":{"ok":{},"liar":{"groupName":"ok"},"../up":{},"none":null}}"#,
    );
    let mut read = Groups::from_value(Some(&file), &|name| !name.contains('/')).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), ["ok"]);
    assert_eq!(read.notices().len(), 3);
    assert_eq!(read.to_value(NOW), file);
    read.insert("none");
    read.insert("liar");
    assert_eq!(
        groups(&read.to_value(NOW)).iter().collect::<Vec<_>>(),
        ["../up", "liar", "none", "ok"]
    );
}

#[test]
fn a_bad_offset_is_left_out_told_and_kept() {
    let file = value(
        r#"{"offsetTable":{"a@g":{0:1,65536:1,"00":2,1:"2",2:1.5},"a@b@c":{0:1},"a":{0:1},"@g":{0:1},"a@":{},
        "../up@g":{0:1},"b@g":[1]}}"#,
    );
    let read = ConsumerOffsets::from_value(Some(&file), &|name| !name.contains('/'), &any).unwrap();
    let all: Vec<_> = read.iter().collect();
    assert_eq!(all, [("a", "g", &QueueOffsets::from([(0, 1), (1, 2)]))]);
    assert_eq!(read.notices().len(), 7, "{:?}", read.notices());
    assert_eq!(read.to_value(NOW), file);

    let file = value(r#"{"offsetTable":{1:5,2:-1,x:1}}"#);
    let read = delays(&file);
    assert_eq!(read.iter().collect::<Vec<_>>(), [(1, 5)]);
    assert_eq!(read.notices().len(), 1);
    assert_eq!(read.to_value(NOW), file);
}

#[test]
fn notices_stay_few_and_harmless() {
    let mut file = Value::Object(vec![]);
    for n in 0..1000 {
        file.set(&format!("\u{1b}[2J{n}{}", "x".repeat(1000)), Value::Null);
    }
    let read = groups(&Value::object([("subscriptionGroupTable", file)]));
    assert!(read.notices().len() < 40);
    for notice in read.notices() {
        assert!(notice.len() < 200 && !notice.contains('\u{1b}'), "{notice}");
    }
}

#[test]
fn a_file_of_another_shape_is_damage() {
    for text in ["[]", r#"{"offsetTable":5,"topicConfigTable":"","subscriptionGroupTable":[]}"#] {
        let file = value(text);
        let kinds = [
            Topics::from_value(Some(&file), &any).unwrap_err().kind(),
            Groups::from_value(Some(&file), &any).unwrap_err().kind(),
            ConsumerOffsets::from_value(Some(&file), &any, &any).unwrap_err().kind(),
            DelayOffsets::from_value(Some(&file)).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Corrupt; 4]);
    }
}
