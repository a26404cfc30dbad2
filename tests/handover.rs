//! Stores go from this library to a real RocketMQ broker and back, and every message is where it was.
//!
//! Needs Java, and a tool that starts a broker over a directory: `tools/handover.sh`. Where it is missing only the comparison
//! itself is tested.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and says what it left out"
)]

mod support {
    pub mod handover {
        pub mod accounts;
        pub mod broker;
    }
    pub mod manifest;
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pocketmq::{History, Options, Queue, Raw, ReadOnly, Topic};
use serde_json::{Value, json};
use support::handover::accounts::{Accounts, Rest, place, text};
use support::handover::broker::{Broker, Outcome};
use support::manifest::{check_record, check_units};
use tempfile::TempDir;

type Bytes = Topic<[u8], Raw>;

#[test]
fn a_closed_store_is_served_by_a_broker_as_it_was_sent() {
    for broker in Broker::all() {
        let store = Store::written(&["--seed", "7"]);
        store.sent.expect_in(&store.served_by(&broker), Rest::Nothing);
        // It ended cleanly; nothing of it is lost here either.
        store.opens_as_foreign();
        store.sent.expect_in(&store.found(), Rest::Nothing);
    }
}

#[test]
fn a_killed_store_is_refused_by_a_broker_until_it_was_opened_and_closed_here() {
    for broker in Broker::all() {
        let mut store = Store::written(&["--seed", "8", "--crash"]);
        let before = store.bytes();
        store.refused_by(&broker);
        assert!(store.bytes() == before, "{broker:?} changed what it refused to serve");
        store.goes_on(History::Crashed);
        store.sent.expect_in(&store.served_by(&broker), Rest::Unsaid);
    }
}

#[test]
fn a_store_in_use_is_refused_by_a_broker_and_goes_on() {
    for broker in Broker::all() {
        let mut store = Store::written(&["--seed", "9"]);
        let queue = options().open(store.path()).unwrap();
        store.send(&queue);
        queue.flush().unwrap();
        store.refused_by(&broker);
        store.send(&queue);
        queue.close().unwrap();
        store.sent.expect_in(&store.found(), Rest::Nothing);
        store.goes_on(History::Clean);
    }
}

#[test]
fn what_a_broker_added_before_it_ended_is_found_here() {
    a_broker_adds(false);
}

#[test]
fn what_a_broker_added_before_it_was_killed_is_found_here() {
    a_broker_adds(true);
}

fn a_broker_adds(kill: bool) {
    for broker in Broker::all() {
        let mut store = Store::written(&["--seed", "10"]);
        let manifest = broker.produce(&store.path(), kill);
        let at = format!("{}, {}", broker.version(), if kill { "killed" } else { "ended" });
        check(&manifest, &store, &at);
        store.goes_on(History::Foreign);
        check(&manifest, &store, &format!("{at}, used here"));
        store.sent.expect_in(&store.served_by(&broker), Rest::Nothing);
    }
}

/// All that the broker's own classes found and all that it acknowledged is in the store, in its place.
fn check(manifest: &Value, store: &Store, at: &str) {
    let look = ReadOnly::open(store.path()).unwrap();
    let records: BTreeMap<u64, _> =
        look.records().map(|m| m.unwrap()).map(|m| (m.log_offset().get(), m)).collect();
    let expected = manifest["records"].as_array().unwrap();
    assert!(expected.len() > store.sent.messages.len() / 2 + 300, "{at}: {}", expected.len());
    for record in expected {
        let offset = record["physicalOffset"].as_u64().unwrap();
        let found = records.get(&offset);
        check_record(found.unwrap_or_else(|| panic!("{at}: nothing at {offset}")), record, at);
    }
    check_units(manifest["consumeQueues"].as_array().unwrap(), &look, false, at);
    let found = Accounts::found(&look);
    let acknowledged = manifest["expected"]["sent"].as_array().unwrap();
    assert!(!acknowledged.is_empty(), "{at}");
    for line in acknowledged {
        let place = place(line);
        let item = found.messages.get(&place);
        assert_eq!(item.map(|i| &*i.id), Some(&*text(line, "offsetMsgId")), "{at}: {place:?}");
    }
    let mut groups = Accounts::default();
    groups.offsets(&manifest["config"]["consumerOffset.json"]["parsed"]["offsetTable"]);
    for (reader, offset) in &groups.groups {
        assert_eq!(found.groups.get(reader), Some(offset), "{at}: {reader:?}");
    }
    store.sent.expect_in(&found, Rest::Nothing);
}

/// A store that `examples/handover` wrote, and what is in it.
struct Store {
    dir: TempDir,
    sent: Accounts,
}

impl Store {
    fn written(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let mut command = Command::new(example("handover"));
        let output = command.arg(&store).args(["--messages", "600"]).args(arguments).output();
        let output = output.unwrap();
        let killed = arguments.contains(&"--crash");
        assert_eq!(output.status.success(), !killed, "{:?}", output.status);
        let sent = Accounts::sent(&String::from_utf8(output.stdout).unwrap());
        assert!(sent.messages.len() >= 300 && sent.groups.len() >= 5, "{}", sent.messages.len());
        Self { dir, sent }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn found(&self) -> Accounts {
        Accounts::found(&ReadOnly::open(self.path()).unwrap())
    }

    fn served_by(&self, broker: &Broker) -> Accounts {
        match broker.serve(&self.path()) {
            Outcome::Served(lines) => Accounts::served(&lines),
            Outcome::Refused(why) => panic!("{broker:?} does not start: {why}"),
        }
    }

    fn refused_by(&self, broker: &Broker) {
        match broker.serve(&self.path()) {
            Outcome::Refused(_) => {}
            Outcome::Served(_) => panic!("{broker:?} served a store that is not closed"),
        }
    }

    /// The log's and the queues' files.
    fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in ["commitlog", "consumequeue"] {
            gather(&self.path().join(folder), &mut files);
        }
        files
    }

    fn opens_as_foreign(&self) {
        let queue = options().open(self.path()).unwrap();
        let report = queue.report();
        assert_eq!((report.history, report.bytes_cut), (History::Foreign, 0), "{report:?}");
        assert!(report.damage.is_empty(), "{report:?}");
        assert!(queue.close_with_report().unwrap().broker_ready);
    }

    /// Opens the store, which was left like that, compares everything, sends more, and closes.
    fn goes_on(&mut self, left: History) {
        let queue = options().open(self.path()).unwrap();
        let report = queue.report();
        assert_eq!((report.history, report.bytes_cut), (left, 0), "{report:?}");
        assert!(report.damage.is_empty(), "{report:?}");
        let rest = if left == History::Crashed { Rest::Unsaid } else { Rest::Nothing };
        self.sent.expect_in(&self.found(), rest);
        self.send(&queue);
        assert!(queue.close_with_report().unwrap().broker_ready);
        self.sent.expect_in(&self.found(), rest);
    }

    fn send(&mut self, queue: &Queue) {
        for n in 0_u8..20 {
            for name in ["Single", "Eight"] {
                let body = [n, 0xff];
                let receipt =
                    queue.producer(Bytes::named(name).unwrap()).unwrap().send(&body).unwrap();
                self.sent.add(&receipt, &body);
            }
        }
    }
}

/// As `examples/handover` opens it.
fn options() -> Options {
    Queue::options().segment_size(256 << 10).queue_file_size(2000)
}

/// Built beside this test.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.is_file(), "{} is not there: build the examples first", path.display());
    path
}

fn gather(dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, files);
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

/// A message as `examples/handover` prints it, and the same as a broker serves it.
fn both_sides() -> (Accounts, Value, Value) {
    let sent = json!({"kind": "message", "topic": "t", "queueId": 1, "queueOffset": 0,
        "offsetMsgId": "AA", "body": "eA==", "properties": {"KEYS": "k"}});
    let group = json!({"kind": "group", "group": "g", "topic": "t", "queueId": 1, "offset": 3});
    let served = json!({"type": "message", "fromTopic": "t", "fromQueue": 1, "queueOffset": 0,
        "offsetMsgId": "AA", "body": "eA==", "properties": {"KEYS": "k", "__CRC32#": "1"}});
    let offsets = json!({"type": "groupOffsets", "value": {"offsetTable": {"t@g": {"1": 3}}}});
    (Accounts::sent(&format!("{sent}\n{group}\n")), served, offsets)
}

#[test]
fn the_comparison_takes_a_large_body_by_its_digest_and_overlooks_only_the_checksum() {
    let (sent, mut served, offsets) = both_sides();
    sent.expect_in(&Accounts::served(&[served.clone(), offsets.clone()]), Rest::Nothing);
    served["body"] = Value::Null;
    served["bodyLength"] = 1.into();
    served["bodySha256"] =
        "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881".into();
    sent.expect_in(&Accounts::served(&[served, offsets]), Rest::Nothing);
}

#[test]
fn the_comparison_notices_every_difference() {
    let (sent, served, offsets) = both_sides();
    let with = |name: &str, value: Value| {
        let mut other = served.clone();
        other[name] = value;
        vec![other, offsets.clone()]
    };
    let mut behind = offsets.clone();
    behind["value"]["offsetTable"]["t@g"]["1"] = 2.into();
    let mut second = served.clone();
    second["queueOffset"] = 1.into();
    let wrong = [
        with("body", "eQ==".into()),
        with("offsetMsgId", "AB".into()),
        with("fromQueue", 2.into()),
        with("queueOffset", 1.into()),
        with("properties", json!({})),
        with("properties", json!({"KEYS": "k", "more": "x"})),
        vec![offsets.clone()],
        vec![served.clone()],
        vec![served.clone(), behind],
        vec![served.clone(), second, offsets.clone()],
    ];
    for (number, lines) in wrong.iter().enumerate() {
        let difference = sent.difference(&Accounts::served(lines), Rest::Nothing);
        assert!(difference.is_some(), "difference {number} passed");
    }
}
