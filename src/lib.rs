//! An embeddable, durable message queue.
mod clock;
mod codec;
mod commitlog;
mod config;
mod consumequeue;
mod consumer;
mod engine;
mod error;
mod flush;
mod id;
mod io;
mod layout;
mod message;
mod options;
mod producer;
mod progress;
mod queue;
mod store;
mod sync;
mod topic;

pub use codec::{CodecError, Decode, Encode, Json, Raw};
pub use consumer::{Consumer, ConsumerBuilder, Delivery, Start};
pub use error::{Error, ErrorKind, Result};
pub use id::{LogOffset, MessageId, QueueId, QueueOffset, Receipt};
pub use message::properties::Properties;
pub use options::{
    COMMIT_INTERVAL, Conflict, DEFAULT_FLUSH_INTERVAL, DEFAULT_LINE, DEFAULT_MEMORY_BUDGET,
    DEFAULT_QUEUE_FILE_SIZE, DEFAULT_QUEUES, DEFAULT_SEGMENT_SIZE, DEFAULT_STAGING_SIZE,
    DEFAULT_SYNC_TIMEOUT, Flush, MAX_BODY, MAX_PROPERTIES, MAX_QUEUES, Options, Reads,
};
pub use producer::{MessageBuilder, Producer, Ticket};
pub use queue::{
    CloseReport, GroupOffset, GroupStats, Queue, QueueEntry, QueueStats, ReadOnly, Stats,
    TopicStats,
};
pub use store::message::{Message, RecordFields};
pub use store::report::{Damage, History, OpenReport};
pub use topic::Topic;
