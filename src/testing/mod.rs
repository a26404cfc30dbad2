//! A queue for the tests of code that uses one. Needs the feature `testing`, which belongs among the dev-dependencies:
//!
//! ```toml
//! [dev-dependencies]
//! pocketmq = { version = "0.1", features = ["testing"] }
//! ```
//!
//! A [`TestQueue`] is a real queue: the same code, real files, real threads. Only its time stands still until the test moves it, so
//! that a retry which comes after an hour is tested at once, and is never early because the machine is slow.
//!
//! ```
//! use std::time::Duration;
//! use pocketmq::{Queue, Result, Retry, Topic};
//! use pocketmq::testing::TestQueue;
//!
//! const ORDERS: Topic<String> = Topic::new("orders");
//! const MAILS: Topic<String> = Topic::new("mails");
//!
//! /// What is to be tested: sends a mail for each order, an hour later if the customer is asleep.
//! fn work(queue: &Queue, awake: bool) -> Result<()> {
//!     let hourly = Retry::fixed(Duration::from_secs(3600));
//!     let orders = queue.consumer(ORDERS, "mailer").retry(hourly).pull()?;
//!     while let Some(order) = orders.recv(Duration::ZERO)? {
//!         if awake {
//!             queue.producer(MAILS)?.send(&format!("thank you, {}", *order))?;
//!             order.ack()?;
//!         } else {
//!             order.fail()?;
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # fn main() -> Result<()> {
//! let mut queue = TestQueue::new()?;
//! queue.producer(ORDERS)?.send(&"Ada".to_owned())?;
//! work(&queue, false)?;
//!
//! queue.advance(Duration::from_secs(3599));
//! work(&queue, true)?;
//! assert!(queue.sent(MAILS)?.is_empty());          // not yet
//!
//! queue.crash_and_reopen()?;                       // as after `kill -9`
//! queue.advance(Duration::from_secs(1));
//! work(&queue, true)?;
//! assert_eq!(queue.sent(MAILS)?, ["thank you, Ada"]);
//! # Ok(())
//! # }
//! ```

mod dir;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::{Clock, ManualClock, SystemClock};
use crate::codec::Decode;
use crate::consumer::{Consumer, Start};
use crate::engine::member::Member;
use crate::engine::{Engine, disk};
use crate::error::{Error, Result};
use crate::io::disk::{image, resolve};
use crate::message::names::{validate_group, validate_topic};
use crate::options::Options;
use crate::queue::Queue;
use crate::store::message::Message;
use crate::store::read::{Ahead, View};
use crate::sync::Arc;
use crate::topic::Topic;

use dir::OwnDir;

/// A [`Queue`] in a temporary directory, with a clock that the test moves.
///
/// Leases, retries, snoozes, the flush interval, and the times in messages and statistics go by its clock, which begins with the time of
/// day and stands still; so does the time that a handler may take. Whoever waits for a message with a time-out waits no longer than that in
/// real time either, and a shutdown has its patience in real time, so that no test hangs; and a durable send waits for the disk as long as it
/// does elsewhere, whatever the test does to the clock.
///
/// When it is dropped, the queue is closed and the directory removed. Handles that outlive it answer
/// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// use pocketmq::{Topic, testing::TestQueue};
///
/// const NAMES: Topic<String> = Topic::new("names");
///
/// let queue = TestQueue::new()?;
/// queue.producer(NAMES)?.send(&"Ada".to_owned())?;      // as with any queue
/// assert_eq!(queue.sent(NAMES)?, ["Ada"]);
/// assert_eq!(queue.drain(NAMES, "greeter")?, ["Ada"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestQueue {
    queue: Queue,
    clock: Arc<ManualClock>,
    options: Options,
    path: PathBuf,
    // Last: removed when the queue is closed.
    dir: OwnDir,
}

impl Deref for TestQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for TestQueue {
    fn drop(&mut self) {
        // The test has seen what it wanted to see.
        let _ = self.queue.close();
    }
}

impl TestQueue {
    /// An empty queue with default options.
    ///
    /// # Errors
    ///
    /// As [`Queue::open`]; [`ErrorKind::Io`](crate::ErrorKind::Io) also if there is no directory for temporary files.
    pub fn new() -> Result<Self> {
        Self::with(Options::default())
    }

    /// An empty queue with these options, which are those of later openings too.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// use pocketmq::{Flush, Queue, testing::TestQueue};
    ///
    /// let queue = TestQueue::with(Queue::options().flush(Flush::Sync).default_queues(4))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TestQueue::new`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if an option is out of range.
    pub fn with(options: Options) -> Result<Self> {
        let dir = OwnDir::new()?;
        let path = resolve(dir.path())?.join("queue");
        let clock = Arc::new(ManualClock::at(SystemClock.wall_ms()));
        let queue = open(&clock, &path, &options)?;
        Ok(Self { queue, clock, options, path, dir })
    }

    /// The queue's directory.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// Moves the queue's time on, and wakes whoever waits for a time that has come: receivers, for a message to be tried again, for a lease
    /// that is over, or with a time-out, and workers whose handler has had its time; threads and futures alike. When this returns they have
    /// been told, and look for themselves; and delayed messages whose time has come are delivered.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// use std::time::Duration;
    /// use pocketmq::{Topic, testing::TestQueue};
    ///
    /// const JOBS: Topic<u32> = Topic::new("jobs");
    ///
    /// let queue = TestQueue::new()?;
    /// queue.producer(JOBS)?.send(&1)?;
    /// let consumer = queue.consumer(JOBS, "workers").lease(Duration::from_secs(60)).pull()?;
    /// let held = consumer.recv(Duration::ZERO)?.expect("one was sent");
    /// queue.advance(Duration::from_secs(60));
    /// assert_eq!(consumer.recv(Duration::ZERO)?.expect("the lease is over").attempt(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.queue.engine().time_moved();
        self.clock.wake_sleepers();
    }

    /// Sets the wall clock, as a person might, forwards or back: the times of messages change, and nobody waits longer or shorter for it, but for
    /// delayed messages: those whose time has come by it are delivered when this returns. A time before 1970 counts as the beginning of 1970.
    pub fn set_wall(&self, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.clock.set_wall_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.queue.engine().time_moved();
    }

    /// Everything that is stored in a topic, in the order in which it was stored, received by anybody or not. Takes nothing away. Empty if
    /// there is no such topic.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the topic is not a name, or a message does not decode;
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if one is damaged, [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    #[expect(clippy::needless_pass_by_value, reason = "a topic is a constant, given by name")]
    pub fn sent<T: ?Sized, C: Decode<T>>(&self, topic: Topic<T, C>) -> Result<Vec<C::Owned>> {
        validate_topic(topic.name())?;
        let store = self.queue.engine().store();
        store.check_open()?;
        let Some(topic) = store.topics.get(topic.name()) else { return Ok(Vec::new()) };
        let mut messages = Vec::new();
        for (id, queue) in topic.queues() {
            let (mut offset, mut ahead) = (queue.extent().min, Ahead::default());
            loop {
                match store.view(&topic, id, offset, &mut ahead)? {
                    View::Unit(unit) => {
                        messages.push(store.load(&topic, (id, offset), unit)?);
                        offset += 1;
                    }
                    View::Removed(min) => offset = min,
                    View::After(_) | View::Nothing => break,
                }
            }
        }
        messages.sort_by_key(Message::log_offset);
        let decode = |body| C::decode(body);
        let values = messages.iter().map(|message| decode(message.body()));
        let values: std::result::Result<_, _> = values.collect();
        values.map_err(|e| Error::invalid("a message cannot be decoded").caused_by(e))
    }

    /// Receives and acknowledges everything that there is for a group now, and returns the values in that order. What waits for another attempt
    /// stays. The group has the terms of its consumers, if there are any; if there were none yet, it begins with the oldest message.
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::pull`](crate::ConsumerBuilder::pull), [`Consumer::recv`] and [`Delivery::ack`](crate::Delivery::ack).
    #[expect(clippy::needless_pass_by_value, reason = "a topic is a constant, given by name")]
    pub fn drain<T: ?Sized, C: Decode<T>>(
        &self,
        topic: Topic<T, C>,
        group: &str,
    ) -> Result<Vec<C::Owned>> {
        validate_topic(topic.name())?;
        validate_group(group)?;
        let engine = self.queue.engine();
        engine.store().check_open()?;
        let topic = engine.store().topic(topic.name())?;
        let seat = engine.join(group, &topic, Start::Earliest, None)?;
        let consumer = Consumer::<T, C>::new(Arc::clone(engine), Member::join(seat), None);
        let mut values = Vec::new();
        while let Some(delivery) = consumer.recv(Duration::ZERO)? {
            values.push(delivery.into_acked()?);
        }
        Ok(values)
    }

    /// Closes the queue and opens it again. Handles made before answer [`ErrorKind::Closed`](crate::ErrorKind::Closed) from then on. The
    /// clock goes on where it is.
    ///
    /// # Errors
    ///
    /// As [`Queue::close`] and [`Queue::open`].
    pub fn reopen(&mut self) -> Result<()> {
        self.queue.close()?;
        self.queue = open(&self.clock, &self.path, &self.options)?;
        Ok(())
    }

    /// Ends the queue as `kill -9` does, at this moment, and opens what is left: nothing is written down in parting. What was in consumers'
    /// hands counts a death of the process ([`Delivery::deaths`](crate::Delivery::deaths)). Handles made before answer
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) from then on. The clock goes on where it is.
    ///
    /// # Errors
    ///
    /// As [`Queue::open`]; [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the queue was closed.
    pub fn crash_and_reopen(&mut self) -> Result<()> {
        let left = self.dir.path().join("left");
        let mut image = || image::copy(&self.path, &left);
        self.queue.engine().crash(&mut image)?;
        // Handles of the old queue may have its files mapped: they keep theirs.
        image::replace(&self.path, &left)?;
        self.queue = open(&self.clock, &self.path, &self.options)?;
        Ok(())
    }
}

fn open(clock: &Arc<ManualClock>, path: &Path, options: &Options) -> Result<Queue> {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Ok(Queue::of(Engine::open_on(disk(), clock, path, options)?))
}
