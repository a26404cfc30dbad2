//! The stores of `tests/golden`, for tests of what is not public: files of a broker, and what `RocketMQ`'s own classes said of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

fn unzipped(file: &str) -> GzDecoder<std::io::Cursor<Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    GzDecoder::new(std::io::Cursor::new(std::fs::read(path).unwrap()))
}

/// The files whose path inside the store begins with `prefix`, with their content.
pub(crate) fn golden_files(store: &str, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut packed = tar::Archive::new(unzipped(&format!("{store}.tar.gz")));
    let mut files = BTreeMap::new();
    for entry in packed.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path: PathBuf = entry.path().unwrap().components().skip(1).collect();
        let path = path.display().to_string();
        if entry.header().entry_type().is_file() && path.starts_with(prefix) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
    }
    assert!(!files.is_empty(), "{store} has no {prefix}");
    files
}

/// One file's content.
pub(crate) fn golden_file(store: &str, path: &str) -> Vec<u8> {
    golden_files(store, path).remove(path).unwrap()
}

/// What was written down of the store.
pub(crate) fn manifest(store: &str) -> Value {
    serde_json::from_reader(unzipped(&format!("{store}.json.gz"))).unwrap()
}

/// The messages of `expected`, by their business key, with their state.
pub(crate) fn expected_states(manifest: &Value, scenario: &str) -> BTreeMap<String, String> {
    let messages = manifest["expected"][scenario].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    messages.iter().map(|message| (text(&message["keys"]), text(&message["state"]))).collect()
}

/// The record that lies at a position of the log.
pub(crate) fn record_at(manifest: &Value, offset: u64) -> &Value {
    let records = manifest["records"].as_array().unwrap();
    records.iter().find(|record| record["physicalOffset"].as_u64() == Some(offset)).unwrap()
}
