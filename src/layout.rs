//! Where everything is inside a store directory.

use std::path::{Path, PathBuf};

/// No topic of any store has more queues. A higher number in a file is nonsense, and nothing is made in that number.
pub(crate) const QUEUES_MAX: u32 = 65_536;

/// The sentence inside the marker file, for people who find it.
pub(crate) const MARKER_TEXT: &str = "This store is open in PocketMQ, or was when its process died. \
A RocketMQ broker must not start on it. Open it with PocketMQ and close it: this file then goes away.\n";

/// The paths of one store directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn commitlog(&self) -> PathBuf {
        self.root.join("commitlog")
    }

    pub(crate) fn segment(&self, base: u64) -> PathBuf {
        self.commitlog().join(file_name(base))
    }

    /// Keeps a broker from loading the directory while it is not cleanly closed.
    pub(crate) fn marker(&self) -> PathBuf {
        self.commitlog().join(MARKER_NAME)
    }

    pub(crate) fn consumequeue(&self) -> PathBuf {
        self.root.join("consumequeue")
    }

    pub(crate) fn queue_dir(&self, topic: &str, queue: u32) -> PathBuf {
        self.consumequeue().join(topic).join(queue.to_string())
    }

    pub(crate) fn abort(&self) -> PathBuf {
        self.root.join("abort")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// Our own state; a broker ignores it.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join("pocketmq")
    }

    pub(crate) fn generation(&self) -> PathBuf {
        self.own().join("generation")
    }

    pub(crate) fn clean(&self) -> PathBuf {
        self.own().join("clean")
    }

    pub(crate) fn delays(&self) -> PathBuf {
        self.own().join("delays")
    }

    pub(crate) fn queue_ends(&self) -> PathBuf {
        self.own().join("queues")
    }

    pub(crate) fn floor(&self, generation: u64) -> PathBuf {
        self.own().join(format!("floor.{generation}"))
    }

    pub(crate) fn staging(&self, generation: u64) -> PathBuf {
        self.own().join(format!("staging.{generation}"))
    }

    pub(crate) fn cut(&self) -> PathBuf {
        self.own().join("cut")
    }

    pub(crate) fn broker_conf(&self) -> PathBuf {
        self.own().join("broker.conf")
    }
}

/// The marker's name inside `commitlog/`.
pub(crate) const MARKER_NAME: &str = "IN-USE-BY-POCKETMQ";

/// The name of the file that starts at `base`: decimal, padded to 20 digits.
pub(crate) fn file_name(base: u64) -> String {
    format!("{base:020}")
}

/// The offset a file name stands for: at least 20 digits and nothing else, and a number that an offset can be (a broker's are
/// signed).
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.len() >= 20 && name.bytes().all(|b| b.is_ascii_digit());
    if digits { name.parse().ok().filter(|base| *base <= i64::MAX.unsigned_abs()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_first_offset() {
        assert_eq!(file_name(131_072), "00000000000000131072");
        assert_eq!(parse_file_name("00000000000000131072"), Some(131_072));
        assert_eq!(parse_file_name("09223372036854775807"), Some(i64::MAX.unsigned_abs()));
        assert_eq!(parse_file_name("09223372036854775808"), None);
        for stray in ["", "1", ".DS_Store", "0000000000000013107x", "+0000000000000131072"] {
            assert_eq!(parse_file_name(stray), None, "{stray}");
        }
    }
}
