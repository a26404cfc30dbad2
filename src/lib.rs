//! PocketMQ: an embeddable, durable message queue in one process.
//!
//! Apache RocketMQ's model (a commit log, consume queues, topics, consumer groups) behind one [`Queue`] handle, with typed
//! producers and consumers and no networking. Use it as an embedded job queue that survives crashes, or to publish and subscribe
//! inside one service. A closed store directory *is* a RocketMQ broker's store, and a stopped broker's store opens here.
//!
//! # Open
//!
//! ```
//! # fn main() -> pocketmq::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path();
//! use pocketmq::{Flush, Queue};
//!
//! let queue = Queue::open(path)?;                       // created, or recovered
//! println!("{:?}", queue.report());                     // what was found, and what was done about it
//! queue.close()?;
//!
//! let queue = Queue::options().flush(Flush::Sync).open(path)?;
//! let passing = Queue::in_memory()?;                    // the same semantics, nothing on disk
//! # queue.close()
//! # }
//! ```
//!
//! # Send
//!
//! A [`Topic`] names the type of its messages once. JSON is the default codec (feature `json`), [`Raw`] takes bytes, and
//! [`Encode`] and [`Decode`] make your own.
//!
//! ```
//! # fn main() -> pocketmq::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # use pocketmq::{Queue, Topic};
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct OrderPaid { order: u64, customer: String, cents: u64 }
//!
//! const ORDERS: Topic<OrderPaid> = Topic::new("orders");
//!
//! # let queue = Queue::open(dir.path())?;
//! let orders = queue.producer(ORDERS)?;                 // cheap to clone, shared between threads
//! let order = OrderPaid { order: 7, customer: "ada".into(), cents: 1999 };
//! let receipt = orders.send(&order)?;                   // where it is
//! orders.message(&order).key("order-7").tag("eu").property("cents", order.cents).send()?;
//! orders.message(&order).order_by(&order.customer).send()?;   // one queue per customer
//! let ticket = orders.submit(&order)?;                  // does not wait for the disk
//! ticket.wait()?;                                       // or ticket.await
//! # queue.close()
//! # }
//! ```
//!
//! # Receive
//!
//! ```
//! # fn main() -> pocketmq::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # use pocketmq::{Queue, Topic};
//! # const ORDERS: Topic<u64> = Topic::new("orders");
//! use std::time::Duration;
//!
//! # let queue = Queue::open(dir.path())?;
//! # queue.producer(ORDERS)?.send(&7)?;
//! let consumer = queue.consumer(ORDERS, "mailer").pull()?;
//! while let Some(order) = consumer.recv(Duration::from_millis(20))? {   // sleeps until one arrives
//!     println!("order {}", *order);
//!     order.ack()?;                                     // dropped instead: received again
//! }
//! # queue.close()
//! # }
//! ```
//!
//! Or a handler is given the messages as they come, on threads of its own. What it returns settles them: an error (`?` takes any, and
//! strings) or a panic is a failed attempt, which is tried again later.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use pocketmq::{Queue, Topic};
//! # const ORDERS: Topic<u64> = Topic::new("orders");
//! # fn mail(order: u64) -> std::io::Result<()> { Ok(()) }
//! # let queue = Queue::in_memory()?;
//! use std::time::Duration;
//!
//! let worker = queue.consumer(ORDERS, "mailer").concurrency(16).run(|order| {
//!     mail(**order)?;
//!     Ok(())
//! })?;
//! // …
//! worker.shutdown(Duration::from_secs(30))?;            // waits for what runs
//! # queue.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! See [`ConsumerBuilder::run`], [`ConsumerBuilder::run_batch`], and [`Queue::worker`] for several topics.
//!
//! All consumers of a group share its messages; every group gets all of them. Delivery is *at least once*: after a crash, what was
//! not acknowledged is received again, and what was acknowledged is not.
//!
//! # Subscribe
//!
//! ```
//! # fn main() -> pocketmq::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # use pocketmq::{Queue, Topic};
//! # const ORDERS: Topic<u64> = Topic::new("orders");
//! use pocketmq::{Filter, Start};
//!
//! # let queue = Queue::open(dir.path())?;
//! # queue.producer(ORDERS)?.send(&7)?;
//! let audit = queue.subscribe(ORDERS).start(Start::Earliest).name("audit").open()?;
//! let refunds = queue.subscribe(ORDERS).filter(Filter::tags("refund")?).open()?;
//! # let closer = queue.clone();
//! for order in audit {                                  // sleeps until one arrives; ends when the queue is closed
//!     println!("order {}", order?.value());
//!     # closer.close()?;
//! }
//! # drop(refunds);
//! # Ok(())
//! # }
//! ```
//!
//! Every subscription sees every message of its topic, in its own time. Without a name it is forgotten when it is dropped; with one its
//! position is kept, and moves on when the next message is asked for.
//!
//! # Test
//!
//! With the feature `testing` there is a queue for tests of code that uses one: `testing::TestQueue`, in a directory of its own, with a
//! clock that the test moves, and crashes when the test says so.
//!
//! # What survives what
//!
//! | after it returned `Ok` | process killed | power cut |
//! |---|---|---|
//! | `send` with [`Flush::Async`] (default) | kept | kept after the next flush, at most 500 ms later |
//! | `send` with [`Flush::Sync`], `ticket.wait()` there | kept | kept |
//! | [`Delivery::ack`], the position of a durable [`Subscription`] | kept | kept after the next flush |
//! | [`Delivery::ack_durable`], [`Queue::flush`] | kept | kept |
//! | [`Queue::create_topic`], a new group's or durable subscription's start | kept | kept |
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | body | 4 MiB ([`MAX_BODY`]) |
//! | properties of a message, together | 32 767 bytes ([`MAX_PROPERTIES`]), of which 20 are the record's checksum |
//! | topic name | 127 letters, digits, `_`, `-`, `%` and `\|`, not beginning with `%` |
//! | name of a group or a subscription | 120 bytes of the same |
//! | queues of a topic | 1024 ([`MAX_QUEUES`]) |
//! | a batch | one commit log file ([`Options::segment_size`]) |
//!
//! # What it is not
//!
//! It does not talk to other machines, and one process at a time has a store open ([`ReadOnly`] looks at one in use). It does not
//! de-duplicate or dead-letter messages yet, and delays them by levels only ([`MessageBuilder::delay_level`]). It runs on Linux.

mod clock;
mod codec;
mod commitlog;
mod config;
mod consumequeue;
mod consumer;
mod delay;
mod engine;
mod error;
mod fields;
mod filter;
mod flush;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod id;
#[cfg_attr(not(test), expect(dead_code, reason = "the format comes before what works with it"))]
mod index;
mod io;
mod layout;
mod message;
mod observe;
mod options;
mod producer;
mod progress;
mod queue;
mod retry;
#[cfg(test)]
#[cfg(shuttle)]
mod schedules;
mod store;
mod subscription;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
#[cfg_attr(not(test), expect(dead_code, reason = "the format comes before what works with it"))]
mod timer;
mod topic;
mod worker;

pub use codec::{CodecError, Decode, Encode, Json, Raw};
#[cfg(feature = "stream")]
pub use consumer::Deliveries;
pub use consumer::{
    Consumer, ConsumerBuilder, DEFAULT_HEARTBEAT_TIMEOUT, Delivery, Recv, RecvBatch, Start,
    Strategy,
};
pub use error::{Error, ErrorKind, Result};
pub use filter::{Filter, FilterError, Verdict};
pub use handler::{
    Call, DEFAULT_HANDLER_TIMEOUT, Envelope, HandlerError, Job, OrFail, Outcome, WorkerEvent,
};
pub use id::{LogOffset, MessageId, QueueId, QueueOffset, Receipt};
pub use message::properties::Properties;
pub use options::{
    COMMIT_INTERVAL, Conflict, DEFAULT_FLUSH_INTERVAL, DEFAULT_LINE, DEFAULT_MEMORY_BUDGET,
    DEFAULT_QUEUE_FILE_SIZE, DEFAULT_QUEUES, DEFAULT_SEGMENT_SIZE, DEFAULT_STAGING_SIZE,
    DEFAULT_SYNC_TIMEOUT, Flush, MAX_BODY, MAX_PROPERTIES, MAX_QUEUES, Options, Reads,
};
pub use producer::{MessageBuilder, Producer, Ticket};
pub use queue::{
    CloseReport, Delayed, Group, GroupOffset, GroupStats, Lag, LevelStats, LogStats, Queue,
    QueueEntry, QueueStats, ReadOnly, SetAside, Stats, TopicStats,
};
pub use retry::Retry;
pub use store::message::{Message, RecordFields};
pub use store::report::{Damage, History, OpenReport};
#[cfg(feature = "stream")]
pub use subscription::Events;
pub use subscription::{Event, NextEvent, Subscription, SubscriptionBuilder};
pub use topic::Topic;
pub use worker::{
    Control, Shutdown, ShutdownReport, Unfinished, Work, Worker, WorkerBuilder, WorkerStats,
};
