//! What a message is made of: names, positions, properties, identity.

mod id;
pub(crate) mod names;
pub(crate) mod properties;

pub use id::{LogOffset, MessageId, QueueId, QueueOffset};

use std::sync::Arc;

/// Where a sent message is.
///
/// What it means for the message's safety depends on the flush level it was sent with: see [`Flush`](crate::Flush).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message's identity.
    pub id: MessageId,
    /// The topic it was sent to.
    pub topic: Arc<str>,
    /// The queue of the topic it went to.
    pub queue: QueueId,
    /// Its position in that queue: dense, starting at 0.
    pub queue_offset: QueueOffset,
    /// The position of its record in the commit log, in bytes.
    pub log_offset: LogOffset,
    /// The size of its record in the commit log, in bytes.
    pub size: u32,
    /// Whether a power cut can no longer take it away.
    pub durable: bool,
}
