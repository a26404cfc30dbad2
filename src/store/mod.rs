//! The one place where log, consume queues, progress and flush meet.
//!
//! Locks, in the order they are taken: the append lock (`appender`), the log's spare file, `committing`, a queue's tail; the
//! flusher's and the housekeeper's orders, the progress journal. `joining`, `queues_over`, then `filing`, are taken before the append lock. Nothing is held
//! while a listener is told of an arrival.

#[cfg(feature = "testing")]
mod abandon;
pub(crate) mod append;
pub(crate) mod checkpoint;
pub(crate) mod close;
mod copy;
pub(crate) mod delays;
mod flushing;
mod heal;
pub(crate) mod line;
pub(crate) mod message;
mod open;
mod poison;
pub(crate) mod read;
pub(crate) mod readonly;
mod recovery;
pub(crate) mod report;
mod state;
mod survey;
pub(crate) mod topics;
mod trim;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::Clock;
use crate::commitlog::CommitLog;
use crate::consumequeue::files::QueueFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Flusher;
use crate::flush::housekeeper::Housekeeper;
use crate::io::mapping::ForkGuard;
use crate::io::{LockGuard, Storage};
use crate::layout::Layout;
use crate::options::{Flush, Options, Reads};
use crate::progress::Progress;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::timer::levels::Levels;

use append::Appender;
use delays::Delays;
use poison::Poison;
use report::OpenReport;
use state::{FloorFile, Generation, OwnRanges};
use topics::{Topic, Topics};

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) topics: Topics,
    pub(crate) progress: Progress,
    pub(crate) delays: Delays,
    pub(crate) report: OpenReport,
    generation: u64,
    log: CommitLog,
    files: QueueFiles,
    appender: Mutex<Appender>,
    flusher: Flusher,
    housekeeper: Housekeeper,
    poison: Poison,
    closed: AtomicBool,
    /// Which parts of the log we wrote, so that a missing record checksum proves damage there.
    own: OwnRanges,
    floor: Mutex<FloorFile>,
    /// Units below this log offset are in files, and durable.
    queues_durable: AtomicU64,
    /// Held while queues are made durable; `true` once closing did so.
    queues_over: Mutex<bool>,
    /// Held while units go to their files.
    filing: Mutex<()>,
    /// Held while a group takes its place in a topic, and while memory is given back: neither may see half of the other.
    joining: Mutex<()>,
    /// Held while a topic is created.
    creating: Mutex<()>,
    /// What the generation file says.
    geometry: Generation,
    /// The queues were derived anew because a unit was found wrong.
    healed: Mutex<bool>,
    /// The store has damage in the middle, so a broker must not open it.
    damaged: AtomicBool,
    /// `config/` as read at open, to be written back with what is new.
    config: Mutex<close::Config>,
    acks_armed: AtomicBool,
    fork: ForkGuard,
    lock: Mutex<Option<Box<dyn LockGuard>>>,
}

/// The options the running store needs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) flush: Flush,
    pub(crate) reads: Reads,
    pub(crate) sync_timeout: Duration,
    pub(crate) line: usize,
    pub(crate) create_topics: bool,
    pub(crate) default_queues: u32,
    pub(crate) threaded: bool,
    pub(crate) volatile: bool,
    pub(crate) levels: Levels,
}

impl Settings {
    pub(crate) fn of(options: &Options, levels: Levels) -> Self {
        Self {
            flush: options.flush,
            reads: options.reads,
            sync_timeout: options.sync_timeout,
            line: options.line,
            create_topics: options.create_topics,
            default_queues: options.default_queues,
            threaded: options.background,
            volatile: options.volatile,
            levels,
        }
    }

    /// How long a message may wait for a sync that nobody waits for.
    fn flush_interval(&self) -> Duration {
        match self.flush {
            Flush::Async { interval } => interval,
            Flush::Sync => crate::options::DEFAULT_FLUSH_INTERVAL,
        }
    }

    /// Readers stop at the durable position.
    fn is_sync(&self) -> bool {
        self.flush == Flush::Sync
    }
}

/// The store's threads, joined at close.
#[derive(Debug, Default)]
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    /// Whether the caller is one of them.
    pub(crate) fn is_current(&self) -> bool {
        let current = thread::current().id();
        self.0.iter().any(|thread| thread.thread().id() == current)
    }
}

impl Store {
    /// Starts the threads. Without them (in tests) whoever needs something done does it.
    pub(crate) fn spawn(self: &Arc<Self>) -> Result<Threads> {
        if !self.settings.threaded {
            return Ok(Threads::default());
        }
        let start = || {
            let flush = Flusher::spawn(self, |s| &s.flusher)?;
            let keep = Housekeeper::spawn(self, |s| &s.housekeeper)?;
            Ok(vec![flush, keep])
        };
        match start() {
            Ok(threads) => Ok(Threads(threads)),
            Err(e) => {
                self.flusher.stop();
                Err(Error::io(e, self.layout.root(), "start the store's threads"))
            }
        }
    }

    /// Refuses writes after close, after a failure, and in a forked child (which shares the parent's locks and memory).
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check()
    }

    /// Where the log begins, how far it is durable, and where the next record goes. In this order, whatever happens meanwhile.
    pub(crate) fn log_extent(&self) -> (u64, u64, u64) {
        let min = self.log.min_offset();
        let durable = self.log.durable().max(min);
        (min, durable, self.log.staged().max(durable))
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::closed());
        }
        self.check_parent()
    }

    /// The topic of that name, created if the options allow it. Durable before its first use.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic);
        }
        if !self.settings.create_topics {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "topic {name} does not exist, and topics are not created on first use here"
                ),
            ));
        }
        self.create_topic(name, self.settings.default_queues, false)
    }

    /// Creates a topic. If it exists with another number of queues and `exact` is asked for, that is an error.
    pub(crate) fn create_topic(&self, name: &str, queues: u32, exact: bool) -> Result<Arc<Topic>> {
        crate::message::names::validate_topic(name)?;
        if !(1..=crate::options::MAX_QUEUES).contains(&queues) {
            return Err(Error::invalid(format!(
                "a topic has from 1 to {} queues, not {queues}",
                crate::options::MAX_QUEUES
            )));
        }
        self.make_topic(name, queues, exact)
    }

    /// As [`Store::create_topic`], whatever the name is.
    fn make_topic(&self, name: &str, queues: u32, exact: bool) -> Result<Arc<Topic>> {
        let _one = self.creating.lock();
        if let Some(topic) = self.topics.get(name) {
            return if exact && topic.queue_count() != queues {
                Err(Error::invalid(format!(
                    "topic {name} exists with {} queues, not {queues}",
                    topic.queue_count()
                )))
            } else {
                Ok(topic)
            };
        }
        self.check_writable()?;
        let added = self.progress.add_topic(name, queues);
        self.progressed(added)?;
        let new = || crate::consumequeue::ConsumeQueue::new(crate::consumequeue::Extent::default());
        Ok(self.topics.insert(Topic::new(name, (0..queues).map(|_| new()))))
    }

    /// Passes on what came of writing progress down. What its files have got over does not stop the store.
    pub(crate) fn progressed<T>(&self, result: Result<T>) -> Result<T> {
        if self.progress.is_healthy() { result } else { self.or_poison(result) }
    }
}
