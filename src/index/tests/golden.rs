//! Two brokers' index files, in both directions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::EVER;
use crate::index::format::Shape;
use crate::index::key::{KeyHash, keys};
use crate::index::name::{file_name, is_file_name};
use crate::index::table::{Put, Table};
use crate::tests::{golden_files, manifest};

/// The shape that the brokers were told.
fn shape() -> Shape {
    Shape::new(500, 1000).unwrap()
}

fn fresh() -> Table<Vec<u8>> {
    Table::new(vec![0; usize::try_from(shape().file_len()).unwrap()], shape()).unwrap()
}

fn tables(store: &str) -> Vec<(String, Vec<u8>)> {
    let files = golden_files(store, "index/");
    files.into_iter().map(|(path, bytes)| (path["index/".len()..].to_owned(), bytes)).collect()
}

/// Everything that a record is to be found by, in a broker's order; `tagged` as 5.5.0 has it.
fn hashes(record: &Value, tagged: bool) -> Vec<KeyHash> {
    let topic = record["topic"].as_str().unwrap();
    let dispatch = &record["dispatch"];
    let plain = keys(dispatch["uniqKey"].as_str(), dispatch["keys"].as_str());
    let mut hashes: Vec<_> = plain.map(|key| KeyHash::of(topic, key)).collect();
    let tag = record["properties"]["TAGS"].as_str().filter(|_| tagged);
    hashes.extend(tag.map(|tag| KeyHash::of_tag(topic, tag)));
    hashes
}

fn each_key(manifest: &Value, tagged: bool, mut tell: impl FnMut(KeyHash, u64, i64)) {
    for record in manifest["records"].as_array().unwrap() {
        let offset = record["physicalOffset"].as_u64().unwrap();
        let stored = record["storeTimestamp"].as_i64().unwrap();
        for hash in hashes(record, tagged) {
            tell(hash, offset, stored);
        }
    }
}

#[test]
fn index_files_rebuilt_from_the_log_are_the_brokers_byte_for_byte() {
    for store in ["basic-clean", "basic-clean-5.5.0", "delay-levels", "timer", "retry-dlq"] {
        let mut built = vec![fresh()];
        each_key(&manifest(store), store.ends_with("5.5.0"), |hash, offset, stored| {
            let last = built.last_mut().unwrap();
            if last.put(hash, offset, stored) == Put::Full {
                let mut next = fresh();
                next.follow(&last.header());
                assert_eq!(next.put(hash, offset, stored), Put::Done);
                built.push(next);
            }
        });
        let broker = tables(store);
        assert_eq!(built.len(), broker.len(), "{store}");
        for (built, (name, bytes)) in built.iter().zip(&broker) {
            let same = Table::new(bytes.clone(), shape()).unwrap();
            assert_eq!(built.header(), same.header(), "{store}: {name}");
            assert!(built.bytes() == bytes, "{store}: {name}");
        }
    }
}

#[test]
fn every_key_of_every_message_is_found_through_a_brokers_index() {
    for store in ["basic-clean", "basic-clean-5.5.0"] {
        let files = tables(store);
        let files: Vec<_> =
            files.iter().map(|(_, bytes)| Table::new(bytes, shape()).unwrap()).collect();
        let mut looked_up = 0;
        each_key(&manifest(store), store.ends_with("5.5.0"), |hash, offset, _| {
            let found = files
                .iter()
                .any(|file| file.lookup(hash, EVER.0, EVER.1).any(|position| position == offset));
            assert!(found, "{store}: the message at {offset}");
            looked_up += 1;
        });
        let entries: u32 = files.iter().map(|file| file.header().next_entry() - 1).sum();
        assert_eq!(looked_up, entries, "{store}: nothing else is in there");
    }
}

#[test]
fn a_lookup_finds_what_rocketmqs_own_finds() {
    for store in ["basic-clean", "basic-clean-5.5.0"] {
        let files: BTreeMap<_, _> = tables(store).into_iter().collect();
        let mut looked_up = 0;
        for index in manifest(store)["index"].as_array().unwrap() {
            let name = index["name"].as_str().unwrap();
            let table = Table::new(&files[name], shape()).unwrap();
            for (key, expected) in index["lookups"].as_object().unwrap() {
                let (topic, key) = key.split_once('#').unwrap();
                let hash = KeyHash::of(topic, key);
                let found: Vec<_> = table.lookup(hash, 0, i64::MAX).collect();
                let expected: Vec<u64> = serde_json::from_value(expected.clone()).unwrap();
                assert_eq!(found, expected, "{store}: {topic}#{key}");
                looked_up += 1;
            }
        }
        assert!(looked_up > 1000, "{store}: {looked_up}");
    }
}

#[test]
fn a_brokers_files_are_named_by_when_they_were_created() {
    for store in ["basic-clean", "basic-clean-5.5.0"] {
        for (name, bytes) in tables(store) {
            assert!(is_file_name(&name), "{store}: {name}");
            // The brokers' local time was UTC. A file is created when its first message is indexed, a few milliseconds later.
            let begin = Table::new(bytes, shape()).unwrap().header().begin_ms;
            let close = (-100..500).any(|later| file_name(begin + later) == name);
            assert!(close, "{store}: {name} begins at {}", file_name(begin));
        }
    }
}
