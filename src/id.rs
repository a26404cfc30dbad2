//! Positions, identity, and the receipt that says where a message is.

use std::fmt;
use std::sync::Arc;

macro_rules! position {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($inner);

        impl $name {
            /// From the bare number.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

position! {
    /// A position in one queue of a topic: the first message has 0, the next 1, without gaps.
    QueueOffset(u64)
}
position! {
    /// A byte position in the commit log, counted from the first byte ever written.
    LogOffset(u64)
}
position! {
    /// The number of a queue within its topic, from 0.
    QueueId(u32)
}

/// A message's identity, as text.
///
/// The `UNIQ_KEY` property where the message has one, else RocketMQ's *offset message id*: 32 upper-case hex digits made
/// of store host and commit log position (56 where the host is IPv6).
///
/// Offset ids repeat after messages were lost to a power cut, and between stores: do not de-duplicate by them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    /// Store host (address, port) and log offset: 16 bytes with IPv4, 28 with IPv6.
    V4([u8; 8], u64),
    V6([u8; 20], u64),
    Unique(Box<str>),
}

impl MessageId {
    pub(crate) const fn offset_v4(host: [u8; 8], log_offset: u64) -> Self {
        Self(Repr::V4(host, log_offset))
    }

    pub(crate) const fn offset_v6(host: [u8; 20], log_offset: u64) -> Self {
        Self(Repr::V6(host, log_offset))
    }

    pub(crate) fn unique(key: &str) -> Self {
        Self(Repr::Unique(key.into()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, offset): (&[u8], u64) = match &self.0 {
            Repr::Unique(key) => return f.write_str(key),
            Repr::V4(host, offset) => (host, *offset),
            Repr::V6(host, offset) => (host, *offset),
        };
        for byte in host {
            write!(f, "{byte:02X}")?;
        }
        write!(f, "{offset:016X}")
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_id_is_rocketmqs_text() {
        let id = MessageId::offset_v4([0x7f, 0, 0, 1, 0, 0, 0x2a, 0x9f], 4096);
        assert_eq!(id.to_string(), "7F00000100002A9F0000000000001000");
        assert_eq!(MessageId::offset_v6([0; 20], 1).to_string().len(), 56);
    }
}
