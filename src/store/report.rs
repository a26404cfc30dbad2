//! What opening a store found and did.

use std::path::PathBuf;

use crate::commitlog::scan::Fault;

/// How the store had been left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum History {
    /// There was nothing: a new store.
    #[default]
    New,
    /// It was closed.
    Clean,
    /// The process died, or the machine lost power.
    Crashed,
    /// A RocketMQ broker wrote it, or somebody changed it after we closed it.
    Foreign,
}

/// A place in the store that is not what was written there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Byte offset in the file.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl From<&Fault> for Damage {
    fn from(fault: &Fault) -> Self {
        Self { file: fault.path.clone(), offset: fault.at, what: fault.what.clone() }
    }
}

/// What [`Queue::open`](crate::Queue::open) found and did.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let queue = pocketmq::Queue::open(dir.path())?;
/// assert!(queue.report().damage.is_empty());
/// # queue.close()
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// How the store had been left.
    pub history: History,
    /// Records read to find the end of the log; 0 after a clean close.
    pub records_scanned: u64,
    /// Records taken from the staging buffer that a killed process left behind.
    pub records_replayed: u64,
    /// Bytes cut from the end of the log because they were torn; kept under `pocketmq/cut/`.
    pub bytes_cut: u64,
    /// Consume queue units that were missing or wrong and were derived again.
    pub units_mended: u64,
    /// Damage below the durable position: these messages read as
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), all others are there.
    pub damage: Vec<Damage>,
    /// Other things worth knowing, one sentence each.
    pub notes: Vec<String>,
}
