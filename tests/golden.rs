//! Stores written by a real RocketMQ broker: everything in them is read back as the broker's own classes read it.
//!
//! Each store comes with a manifest that RocketMQ's classes wrote. Every store is read without changing it, then opened for real
//! (which recovers those that were killed), read again, closed, and read once more.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by panicking, and looks at files from outside"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pocketmq::{History, Message, Queue, ReadOnly};
use support::golden::{Golden, NAMES};
use support::manifest::{check_record, check_units};

/// What all the stores hold together; a store that silently went missing would show here.
const RECORDS: usize = 4893;

/// What waits in them is due by now: opening them delivers. The tests of `delay` open such a one with a clock of their own.
const DELAYED: [&str; 2] = ["delay-levels", "retry-dlq"];

#[test]
fn every_store_of_a_broker_reads_as_its_manifest_says() {
    let mut records = 0;
    for name in NAMES {
        let golden = Golden::unpack(name);
        records += check(&golden, &ReadOnly::open(golden.dir()).unwrap(), "as it was left");
        assert_eq!(golden.files_now(), golden.files_before(), "{name}: looking changed a file");
    }
    assert_eq!((NAMES.len(), records), (12, RECORDS));
}

#[test]
fn every_store_of_a_broker_opens_for_writing_and_loses_nothing() {
    for name in NAMES.into_iter().filter(|name| !DELAYED.contains(name)) {
        let golden = Golden::unpack(name);
        let queue = Queue::open(golden.dir()).unwrap();
        let report = queue.report().clone();
        assert_eq!(report.history, History::Foreign, "{name}");
        assert!(report.damage.is_empty(), "{name}: {:?}", report.damage);
        assert_eq!(report.bytes_cut, 0, "{name}");
        for entry in golden.group_offsets() {
            let stats = queue.stats().unwrap();
            let group =
                stats.groups.iter().find(|g| g.group == entry.0 && g.topic == entry.1).unwrap();
            let at = group.watermarks.iter().find(|w| w.0.get() == entry.2).unwrap();
            assert_eq!(at.1.get(), entry.3, "{name}: {entry:?}");
        }
        queue.close().unwrap();
        check(&golden, &ReadOnly::open(golden.dir()).unwrap(), "after an open and a close");
        // Ours now, and clean.
        let queue = Queue::open(golden.dir()).unwrap();
        assert_eq!(queue.report().history, History::Clean, "{name}");
        queue.close().unwrap();
    }
}

#[test]
fn unknown_parts_of_a_brokers_configuration_survive_our_close() {
    let golden = Golden::unpack("basic-clean");
    let file = golden.dir().join("config/subscriptionGroup.json");
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(before.contains("forbiddenTable") && before.contains("whichBrokerWhenConsumeSlowly"));
    Queue::open(golden.dir()).unwrap().close().unwrap();
    let after = std::fs::read_to_string(&file).unwrap();
    for line in before.lines().filter(|l| !l.contains("counter") && !l.contains("timestamp")) {
        assert!(after.contains(line.trim().trim_end_matches(',')), "lost: {line}");
    }
}

#[test]
fn consume_queues_rebuilt_from_the_log_are_the_brokers_byte_for_byte() {
    for name in ["basic-clean", "transactions", "timer", "ipv6"] {
        let golden = Golden::unpack(name);
        let broker = queue_files(&golden.dir());
        std::fs::remove_dir_all(golden.dir().join("consumequeue")).unwrap();
        let options = Queue::options().queue_file_size(golden.queue_file_size());
        options.open(golden.dir()).unwrap().close().unwrap();
        let ours = queue_files(&golden.dir());
        assert!(broker == ours, "{name}: {:?} against {:?}", broker.keys(), ours.keys());
    }
}

/// Compares everything; returns the number of records.
fn check(golden: &Golden, store: &ReadOnly, when: &str) -> usize {
    let name = golden.name();
    assert!(store.report().damage.is_empty(), "{name} {when}: {:?}", store.report().damage);
    let expected = golden.records();
    let found: Vec<Message> = store.records().map(Result::unwrap).collect();
    assert_eq!(found.len(), expected.len(), "{name} {when}");
    for (message, expected) in found.iter().zip(expected) {
        check_record(message, expected, name);
    }
    check_queues(golden, store, when);
    let groups: BTreeSet<_> = store
        .group_offsets()
        .into_iter()
        .map(|g| (g.group, g.topic, g.queue.get(), g.offset.get()))
        .collect();
    for entry in golden.group_offsets() {
        assert!(groups.contains(&entry), "{name} {when}: {entry:?} not in {groups:?}");
    }
    found.len()
}

/// A crashed store's queues may be behind its log; then what they hold is the beginning of what the log gives.
fn check_queues(golden: &Golden, store: &ReadOnly, when: &str) {
    let at = format!("{} {when}", golden.name());
    check_units(golden.queues(), store, golden.stopped_cleanly(), &at);
}

/// All consume queue files with their content, without the zeros at the end.
fn queue_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    support::walk(&dir.join("consumequeue"), &mut |path| {
        let key = path.strip_prefix(dir).unwrap().display().to_string();
        files.insert(key, std::fs::read(path).unwrap());
    });
    files
}
