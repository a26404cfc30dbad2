//! The one handle to a store.

mod group;
mod look;
#[cfg(feature = "metrics")]
mod metrics;
mod readonly;

use std::fmt;
use std::path::Path;

use crate::codec::{Decode, Encode};
use crate::consumer::ConsumerBuilder;
use crate::engine::Engine;
use crate::error::Result;
use crate::message::names::validate_topic;
use crate::options::Options;
use crate::producer::Producer;
use crate::store::report::OpenReport;
use crate::subscription::SubscriptionBuilder;
use crate::sync::Arc;
use crate::topic::Topic;
use crate::worker::WorkerBuilder;

pub use group::{Group, Lag, SetAside};
pub use look::{GroupStats, LevelStats, LogStats, QueueStats, Stats, TopicStats};
pub use readonly::{Delayed, GroupOffset, QueueEntry, ReadOnly};

/// A message queue: one directory, one handle. Cheap to clone.
///
/// Closed by [`Queue::close`], or when its last handle (queue, producer, consumer, subscription, ticket) is dropped.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use std::time::Duration;
/// use pocketmq::{Queue, Topic};
///
/// const ORDERS: Topic<String> = Topic::new("orders");
///
/// let queue = Queue::open(dir.path())?;
/// queue.producer(ORDERS)?.send(&"one".to_owned())?;
///
/// let consumer = queue.consumer(ORDERS, "mailer").pull()?;
/// let order = consumer.recv(Duration::from_secs(1))?.expect("it was sent");
/// assert_eq!(*order, "one");
/// order.ack()?;
/// queue.close()
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    engine: Arc<Engine>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("path", &self.engine.store().layout.root())
            .finish_non_exhaustive()
    }
}

/// What a close left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Whether a RocketMQ broker may open the directory as it is now. `false` if messages in the middle of the log are damaged: a
    /// broker would cut the log there.
    pub broker_ready: bool,
    /// Messages that a group acknowledged above one that it did not. Here they stay acknowledged; a broker's offset file
    /// cannot say so, and a broker delivers them again.
    pub acked_above_gaps: u64,
}

impl Options {
    /// Opens the store in `dir`, creates it, or recovers it.
    ///
    /// # Errors
    ///
    /// See [`Queue::open`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) also if an option is out of range
    /// or disagrees with the existing store.
    pub fn open(&self, dir: impl AsRef<Path>) -> Result<Queue> {
        Ok(Queue { engine: Engine::open(dir.as_ref(), self)? })
    }

    /// Opens a queue that lives in memory.
    ///
    /// # Errors
    ///
    /// See [`Queue::in_memory`].
    pub fn in_memory(&self) -> Result<Queue> {
        Ok(Queue { engine: Engine::in_memory(self)? })
    }
}

#[cfg(feature = "testing")]
impl Queue {
    pub(crate) const fn of(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Queue {
    /// Opens the store in `dir` with default options: creates it, or recovers what is there. [`Queue::report`] says what
    /// happened.
    ///
    /// After a clean close this takes the same short time however much is stored; after a crash it reads the end of the log.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Locked`](crate::ErrorKind::Locked) if another process or handle has it open.
    /// - [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if foreign files are in the commit log.
    /// - [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if `dir` is a symbolic link that leads nowhere.
    /// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if a file is missing or damaged that cannot be derived again.
    ///   Damage to single messages is not an error here: see [`OpenReport::damage`].
    /// - [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion), [`ErrorKind::Full`](crate::ErrorKind::Full),
    ///   [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Options::default().open(dir)
    }

    /// A queue in memory: the same semantics with nothing on disk, for publishing and subscribing inside one process, and for
    /// tests.
    ///
    /// Messages take at most 256 MiB ([`Options::memory_budget`]); they are freed once every group of their topic has
    /// acknowledged them and every subscription has seen them. A topic that nobody consumes or subscribes to keeps its messages.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if the budget is too small for anything.
    pub fn in_memory() -> Result<Self> {
        Options::default().in_memory()
    }

    /// Options to open a queue with.
    pub fn options() -> Options {
        Options::default()
    }

    /// What opening found and did.
    pub fn report(&self) -> &OpenReport {
        &self.engine.store().report
    }

    /// A producer for a topic, which is created if the options allow it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the name is not a topic name,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the topic does not exist and may not be created.
    #[expect(clippy::needless_pass_by_value, reason = "a topic is a constant, given by name")]
    pub fn producer<T: ?Sized, C: Encode<T>>(&self, topic: Topic<T, C>) -> Result<Producer<T, C>> {
        validate_topic(topic.name())?;
        let store = self.engine.store();
        store.check_open()?;
        Ok(Producer::new(&self.engine, store.topic(topic.name())?))
    }

    /// Starts a consumer of a topic for a group: see [`ConsumerBuilder`].
    pub fn consumer<T: ?Sized, C: Decode<T>>(
        &self,
        topic: Topic<T, C>,
        group: &str,
    ) -> ConsumerBuilder<T, C> {
        ConsumerBuilder::new(&self.engine, topic, group)
    }

    /// Starts a subscription to a topic, which sees every message of it: see [`Subscription`](crate::Subscription).
    pub fn subscribe<T: ?Sized, C: Decode<T>>(
        &self,
        topic: Topic<T, C>,
    ) -> SubscriptionBuilder<T, C> {
        SubscriptionBuilder::new(&self.engine, topic)
    }

    /// Starts one worker of a group for several topics, with one set of threads and one control.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let queue = pocketmq::Queue::in_memory()?;
    /// # use pocketmq::Topic;
    /// # const ORDERS: Topic<u64> = Topic::new("orders");
    /// # const REFUNDS: Topic<String> = Topic::new("refunds");
    /// let worker = queue.worker("back-office")
    ///     .on(ORDERS, |order| { println!("order {}", **order); Ok(()) })
    ///     .on(REFUNDS, |why| { println!("refund: {}", **why); Ok(()) })
    ///     .concurrency(4)
    ///     .run()?;
    /// # worker.shutdown(std::time::Duration::from_secs(10))?;
    /// # queue.close()
    /// # }
    /// ```
    pub fn worker(&self, group: &str) -> WorkerBuilder {
        WorkerBuilder::new(&self.engine, group)
    }

    /// Creates a topic with a number of queues, 1 to 1024. Durable when this returns. Fine if it exists with as many.
    ///
    /// One queue (the default of topics created on first use) gives everybody the messages in the order they were sent. Several
    /// queues keep the order within each; messages with the same [`order_by`](crate::MessageBuilder::order_by) key share one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the name or number is not acceptable, or the topic
    /// exists with another number of queues.
    pub fn create_topic(&self, name: &str, queues: u32) -> Result<()> {
        self.engine.store().create_topic(name, queues, true).map(drop)
    }

    /// Makes everything sent and acknowledged before this call durable: a power cut does not take it away.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) if the disk fails.
    pub fn flush(&self) -> Result<()> {
        self.engine.store().flush()
    }

    /// Closes the queue: everything is durable, and the directory is as a stopped RocketMQ broker leaves it. Works while other
    /// handles are alive; they get [`ErrorKind::Closed`](crate::ErrorKind::Closed) from then on. Messages in consumers' hands
    /// count as not acknowledged.
    ///
    /// # Errors
    ///
    /// The first write or sync that failed; the store is then recovered at the next open. Whatever happens, the lock is
    /// given up. A later call says [`ErrorKind::Closed`](crate::ErrorKind::Closed) and repeats why; after a close that worked it
    /// works again and changes nothing.
    ///
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) in a waker that runs on one of the queue's own threads, which cannot wait for
    /// their own end: closing then goes on in the background, and a call from any other thread waits for it.
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) in a forked child.
    pub fn close(&self) -> Result<()> {
        self.close_with_report().map(drop)
    }

    /// As [`Queue::close`], and says what a broker that takes over would make of it: every call says the same.
    ///
    /// # Errors
    ///
    /// As [`Queue::close`].
    pub fn close_with_report(&self) -> Result<CloseReport> {
        let closed = self.engine.close()?;
        Ok(CloseReport {
            broker_ready: closed.broker_ready,
            acked_above_gaps: closed.acked_above_gaps,
        })
    }
}
