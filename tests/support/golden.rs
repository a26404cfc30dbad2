//! The stores in `tests/golden`, unpacked into a folder of their own, with their manifests.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

pub const NAMES: [&str; 12] = [
    "basic-clean",
    "basic-clean-5.5.0",
    "basic-crash",
    "delay-levels",
    "ipv6",
    "long-retry-topic",
    "propcrc",
    "retry-dlq",
    "timer",
    "timer-5.5.0",
    "transactions",
    "transactions-crash",
];

pub struct Golden {
    name: &'static str,
    temporary: tempfile::TempDir,
    manifest: Value,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Golden {
    pub fn unpack(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let temporary = tempfile::tempdir().unwrap();
        let packed = File::open(folder.join(format!("{name}.tar.gz"))).unwrap();
        tar::Archive::new(GzDecoder::new(packed)).unpack(temporary.path()).unwrap();
        let manifest = File::open(folder.join(format!("{name}.json.gz"))).unwrap();
        let manifest = serde_json::from_reader(GzDecoder::new(manifest)).unwrap();
        let mut golden = Self { name, temporary, manifest, before: BTreeMap::new() };
        golden.before = golden.files_now();
        golden
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn dir(&self) -> PathBuf {
        self.temporary.path().join(self.name)
    }

    pub fn files_now(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        super::walk(&self.dir(), &mut |path| {
            files.insert(path.to_path_buf(), std::fs::read(path).unwrap());
        });
        files
    }

    pub fn files_before(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.before.clone()
    }

    pub fn records(&self) -> &[Value] {
        self.manifest["records"].as_array().unwrap()
    }

    pub fn queues(&self) -> &[Value] {
        self.manifest["consumeQueues"].as_array().unwrap()
    }

    pub fn stopped_cleanly(&self) -> bool {
        self.manifest["stop"]["clean"].as_bool().unwrap_or(true)
    }

    pub fn queue_file_size(&self) -> u64 {
        self.manifest["settings"]["mappedFileSizeConsumeQueue"].as_str().unwrap().parse().unwrap()
    }

    /// Group, topic, queue, offset.
    pub fn group_offsets(&self) -> Vec<(String, String, u32, u64)> {
        let table = &self.manifest["config"]["consumerOffset.json"]["parsed"]["offsetTable"];
        let mut offsets = Vec::new();
        for (key, queues) in table.as_object().into_iter().flatten() {
            let (topic, group) = key.split_once('@').unwrap();
            for (queue, offset) in queues.as_object().unwrap() {
                offsets.push((
                    group.to_owned(),
                    topic.to_owned(),
                    queue.parse().unwrap(),
                    offset.as_u64().unwrap(),
                ));
            }
        }
        offsets
    }
}
