//! How a queue is opened: options, their defaults, and the checked form the store works with.

use std::time::Duration;

use crate::error::{Error, Result};

/// RocketMQ's `mappedFileSizeCommitLog`: 1 GiB.
pub const DEFAULT_SEGMENT_SIZE: u64 = 1 << 30;
/// RocketMQ's `mappedFileSizeConsumeQueue`: 300 000 units of 20 bytes.
pub const DEFAULT_QUEUE_FILE_SIZE: u64 = 6_000_000;
/// How often an asynchronous store makes its log durable (RocketMQ's `flushIntervalCommitLog`).
pub const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// How long staged records wait before they are written to their file (RocketMQ's `commitIntervalCommitLog`).
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// How long a durable send waits for the disk (RocketMQ's `syncFlushTimeout`).
pub const DEFAULT_SYNC_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest body, in bytes (RocketMQ's `maxMessageSize`): 4 MiB.
pub const MAX_BODY: usize = 4 << 20;
/// The largest property block, in bytes.
pub const MAX_PROPERTIES: usize = 32_767;
/// The size of the staging buffer, in bytes: 1 MiB.
pub const DEFAULT_STAGING_SIZE: u64 = 1 << 20;
/// The size of a progress journal, in bytes: when it is full, a snapshot and a new one take over.
const JOURNAL_SIZE: usize = 4 << 20;
/// How many submitted messages may wait for room in the staging buffer.
pub const DEFAULT_LINE: usize = 1024;
/// The memory an in-memory queue may use for messages, in bytes: 256 MiB.
pub const DEFAULT_MEMORY_BUDGET: u64 = 256 << 20;
/// Queues of a topic created on first use: one, so that everybody sees the messages in the order they were sent.
/// More queues let more consumers that are ordered by queue share the work; unordered consumers share a single queue
/// just as well.
pub const DEFAULT_QUEUES: u32 = 1;
/// The most queues a topic can have.
pub const MAX_QUEUES: u32 = 1024;

/// When a message counts as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// `Ok` means that the death of the process loses nothing. A power cut loses at most what was sent within
    /// `interval` (and the time one sync takes).
    Async {
        /// The longest time between two syncs while messages are being sent.
        interval: Duration,
    },
    /// `Ok` means that a power cut loses nothing. Concurrent senders share a sync.
    Sync,
}

impl Default for Flush {
    fn default() -> Self {
        Self::Async { interval: DEFAULT_FLUSH_INTERVAL }
    }
}

/// How message bytes reach the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reads {
    /// Borrowed from the mapped segment, without a copy. A bad sector then kills the process (`SIGBUS`).
    #[default]
    Mapped,
    /// Copied by a system call; a bad sector is an error value.
    Copied,
}

/// Which side wins where a store directory contradicts itself: see [`Options::on_conflict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Conflict {
    /// Refuse to open.
    #[default]
    Refuse,
    /// The log and `config/` are right; our own progress is discarded, as after a broker's run.
    KeepConfig,
    /// Our own progress under `pocketmq/` is right, as after a crash.
    KeepOwn,
}

/// Options of a [`Queue`](crate::Queue), each with a default that loses nothing on a process kill.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use pocketmq::{Flush, Queue};
///
/// let queue = Queue::options().flush(Flush::Sync).segment_size(64 << 20).open(dir.path())?;
/// # queue.close()
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each with a method of its own"
)]
pub struct Options {
    pub(crate) flush: Flush,
    pub(crate) reads: Reads,
    pub(crate) segment_size: Option<u64>,
    pub(crate) queue_file_size: Option<u64>,
    pub(crate) staging_size: u64,
    pub(crate) lock_staging: bool,
    pub(crate) sync_timeout: Duration,
    pub(crate) line: usize,
    pub(crate) create_topics: bool,
    pub(crate) default_queues: u32,
    pub(crate) memory_budget: u64,
    pub(crate) conflict: Conflict,
    pub(crate) journal_size: usize,
    pub(crate) background: bool,
    /// Nothing outlives the process: space is given back as soon as every group has passed.
    pub(crate) volatile: bool,
    pub(crate) delay_levels: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush: Flush::default(),
            reads: Reads::default(),
            segment_size: None,
            queue_file_size: None,
            staging_size: DEFAULT_STAGING_SIZE,
            lock_staging: false,
            sync_timeout: DEFAULT_SYNC_TIMEOUT,
            line: DEFAULT_LINE,
            create_topics: true,
            default_queues: DEFAULT_QUEUES,
            memory_budget: DEFAULT_MEMORY_BUDGET,
            conflict: Conflict::default(),
            journal_size: JOURNAL_SIZE,
            background: true,
            volatile: false,
            delay_levels: None,
        }
    }
}

impl Options {
    /// When a message counts as sent. Default: [`Flush::Async`] with an interval of 500 ms.
    pub fn flush(mut self, flush: Flush) -> Self {
        self.flush = match flush {
            Flush::Async { interval } => Flush::Async { interval: interval.min(LONGEST_WAIT) },
            Flush::Sync => Flush::Sync,
        };
        self
    }

    /// How message bytes reach the reader. Default: [`Reads::Mapped`].
    pub fn reads(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// Size of a commit log file in bytes: a multiple of 4096, from 16 KiB to 1 GiB. Default: 1 GiB, a broker's own
    /// ([`DEFAULT_SEGMENT_SIZE`]). A file takes only the disk space its messages need.
    ///
    /// A message, and a batch, must fit into one file. An existing store keeps its size; asking for another one is an error at
    /// `open`.
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = Some(bytes);
        self
    }

    /// Size of a consume queue file in bytes: a multiple of 20, from 200 to 1 000 000 000. Default: 6 000 000
    /// ([`DEFAULT_QUEUE_FILE_SIZE`]).
    ///
    /// An existing store keeps its size; asking for another one is an error at `open`.
    pub fn queue_file_size(mut self, bytes: u64) -> Self {
        self.queue_file_size = Some(bytes);
        self
    }

    /// Size of the staging buffer in bytes: a power of two from 64 KiB to 1 GiB. Default: 1 MiB.
    pub fn staging_size(mut self, bytes: u64) -> Self {
        self.staging_size = bytes;
        self
    }

    /// Locks the staging buffer in memory, so that a send never waits for it to be paged in. Needs the right to lock
    /// that much (`ulimit -l`). Default: off.
    pub fn lock_staging(mut self, lock: bool) -> Self {
        self.lock_staging = lock;
        self
    }

    /// How long a durable send waits before it fails with [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed).
    /// Default: 5 s.
    pub fn sync_timeout(mut self, timeout: Duration) -> Self {
        self.sync_timeout = timeout.min(LONGEST_WAIT);
        self
    }

    /// How many submitted messages may wait while the staging buffer is full, before
    /// [`ErrorKind::Full`](crate::ErrorKind::Full). Default: 1024.
    pub fn line(mut self, messages: usize) -> Self {
        self.line = messages;
        self
    }

    /// Whether a topic comes into being when it is first used. Default: yes.
    pub fn create_topics(mut self, create: bool) -> Self {
        self.create_topics = create;
        self
    }

    /// How many queues a topic gets that is created on first use: 1 to 1024. Default: 1, in order for everyone.
    pub fn default_queues(mut self, queues: u32) -> Self {
        self.default_queues = queues;
        self
    }

    /// Memory for the messages of an in-memory queue, in bytes. Default: 256 MiB. Over it, sends fail with
    /// [`ErrorKind::Full`](crate::ErrorKind::Full).
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// How long the levels of [`delay_level`](crate::MessageBuilder::delay_level) wait, the first for level 1: whole numbers with a unit (`s`,
    /// `m`, `h` or `d`), with one space between, as in a broker's `messageDelayLevel`. Default: RocketMQ's,
    /// `1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h`.
    ///
    /// Messages that wait already keep their times. A text that is no table is an error at `open`.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use pocketmq::Queue;
    ///
    /// let queue = Queue::options().delay_levels("1m 1h 1d").open(dir.path())?;
    /// # queue.close()
    /// # }
    /// ```
    #[doc(alias = "messageDelayLevel")]
    pub fn delay_levels(mut self, table: &str) -> Self {
        self.delay_levels = Some(table.to_owned());
        self
    }

    /// Which side wins when somebody removed the files that say how the store was left: see [`Conflict`].
    /// Default: refuse to open.
    pub fn on_conflict(mut self, conflict: Conflict) -> Self {
        self.conflict = conflict;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(size) = self.segment_size
            && (!(MIN_SEGMENT..=DEFAULT_SEGMENT_SIZE).contains(&size) || size % 4096 != 0)
        {
            return Err(Error::invalid(format!(
                "segment_size must be a multiple of 4096 from {MIN_SEGMENT} to {DEFAULT_SEGMENT_SIZE}, not {size}"
            )));
        }
        if let Some(size) = self.queue_file_size
            && (!(200..=1_000_000_000).contains(&size) || size % 20 != 0)
        {
            return Err(Error::invalid(format!(
                "queue_file_size must be a multiple of 20 from 200 to 1000000000, not {size}"
            )));
        }
        if !self.staging_size.is_power_of_two()
            || !((64 << 10)..=(1 << 30)).contains(&self.staging_size)
        {
            return Err(Error::invalid(format!(
                "staging_size must be a power of two from 65536 to 1073741824, not {}",
                self.staging_size
            )));
        }
        if !(1..=MAX_QUEUES).contains(&self.default_queues) {
            return Err(Error::invalid(format!(
                "default_queues must be from 1 to {MAX_QUEUES}, not {}",
                self.default_queues
            )));
        }
        if matches!(self.flush, Flush::Async { interval } if interval.is_zero()) {
            return Err(Error::invalid("a flush interval of zero: use Flush::Sync"));
        }
        Ok(())
    }
}

/// The longest that anything waits: a year, which stands for "for ever" and can be added to any instant.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The smallest segment: it must hold a small record and its end mark, and a test wants many of them.
pub(crate) const MIN_SEGMENT: u64 = 16 << 10;
