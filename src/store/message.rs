//! A stored message, as it lies in the log.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::commitlog::format::{self, Checks, Decoded, RecordCrc, RecordView};
use crate::commitlog::segment::LogBytes;
use crate::filter::Filter;
use crate::message::properties::{self, Properties, name};
use crate::message::{LogOffset, MessageId, QueueId, QueueOffset};

/// A stored message: a borrow of its record in the log, kept alive as long as this lives.
///
/// Cloning is cheap. The body is never printed.
#[derive(Clone)]
pub struct Message {
    bytes: LogBytes,
    queue_offset: u64,
    log_offset: u64,
    queue_id: u32,
    topic: Part,
    body: Part,
    properties: Part,
}

impl Filter {
    /// Whether a message passes. The body is not looked at.
    pub fn matches(&self, message: &Message) -> bool {
        self.matches_properties(message.part(message.properties))
    }
}

/// Where a part of a record lies. No record is larger than a `u32` can say.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u32,
    len: u32,
}

impl Message {
    /// Checks and takes apart one whole record. `Err` says what is wrong with it.
    ///
    /// `own`: this crate wrote it, so that it has a checksum over all of it, the body included.
    pub(crate) fn parse(bytes: LogBytes, own: bool) -> Result<Self, &'static str> {
        let record_crc = if own { RecordCrc::Require } else { RecordCrc::Ignore };
        let slice = bytes.as_slice();
        let view = match format::decode(slice, Checks { body_crc: !own, record_crc }) {
            Decoded::Record(view) if view.size as usize == slice.len() => view,
            Decoded::Record(_) => return Err("the record has another length than its queue says"),
            Decoded::Bad(what) => return Err(what),
            Decoded::Empty => return Err("nothing is written where its queue points"),
            Decoded::Blank { .. } => return Err("its queue points to an end mark"),
            Decoded::Incomplete { .. } => return Err("the record is longer than its queue says"),
        };
        let place = |part: &[u8]| Part {
            at: u32::try_from(part.as_ptr().addr() - slice.as_ptr().addr()).unwrap_or(0),
            len: u32::try_from(part.len()).unwrap_or(0),
        };
        Ok(Self {
            queue_offset: view.queue_offset,
            log_offset: view.physical_offset,
            queue_id: view.queue_id,
            topic: place(view.topic.as_bytes()),
            body: place(view.body),
            properties: place(view.properties),
            bytes,
        })
    }

    fn part(&self, part: Part) -> &[u8] {
        let (at, len) = (part.at as usize, part.len as usize);
        self.bytes.as_slice().get(at..at + len).unwrap_or_default()
    }

    /// The fixed fields, read again. What was checked once does not change.
    pub(super) fn view(&self) -> RecordView<'_> {
        match format::decode(self.bytes.as_slice(), Checks::NONE) {
            Decoded::Record(view) => view,
            _ => RecordView::EMPTY,
        }
    }

    /// Whether it is stored in that topic.
    pub(crate) fn is_in(&self, topic: &str) -> bool {
        self.part(self.topic) == topic.as_bytes()
    }

    /// The topic the record is stored in.
    pub fn topic(&self) -> &str {
        // Checked when the record was parsed; the bytes do not change.
        std::str::from_utf8(self.part(self.topic)).unwrap_or_default()
    }

    /// The queue of the topic.
    pub fn queue(&self) -> QueueId {
        self.queue_id.into()
    }

    /// The position in the queue.
    pub fn queue_offset(&self) -> QueueOffset {
        self.queue_offset.into()
    }

    /// The position in the commit log.
    pub fn log_offset(&self) -> LogOffset {
        self.log_offset.into()
    }

    /// The size of the whole record, in bytes.
    pub fn size(&self) -> u32 {
        self.view().size
    }

    /// The body as stored: borrowed from the log, without a copy. Compressed if the sender compressed it.
    pub fn body(&self) -> &[u8] {
        self.part(self.body)
    }

    /// The identity: the `UNIQ_KEY` property if there is one, else the offset message id.
    pub fn id(&self) -> MessageId {
        self.property(name::UNIQ_KEY).map_or_else(|| self.offset_id(), MessageId::unique)
    }

    /// RocketMQ's offset message id: store host and commit log position.
    pub fn offset_id(&self) -> MessageId {
        self.view().offset_id()
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        properties::get(self.part(self.properties), name)
    }

    /// All properties, in stored order, without the record checksum.
    pub fn properties(&self) -> Properties {
        Properties::parse(self.part(self.properties))
    }

    /// All properties, the record checksum (`__CRC32#`) included where there is one.
    pub fn raw_properties(&self) -> Properties {
        Properties::parse_all(self.part(self.properties))
    }

    /// The tag (`TAGS`), if there is one.
    #[doc(alias = "TAGS")]
    pub fn tag(&self) -> Option<&str> {
        self.property(name::TAGS)
    }

    /// The business keys (`KEYS`).
    #[doc(alias = "KEYS")]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.property(name::KEYS).unwrap_or_default().split(' ').filter(|key| !key.is_empty())
    }

    /// The key that messages are ordered by (`__SHARDINGKEY`).
    #[doc(alias = "__SHARDINGKEY")]
    pub fn order_key(&self) -> Option<&str> {
        self.property(name::SHARDING_KEY)
    }

    /// When the producer made it, by its clock.
    pub fn born_at(&self) -> SystemTime {
        instant(self.view().born_timestamp)
    }

    /// When it was stored, by this machine's clock. Never decreases along the log.
    pub fn stored_at(&self) -> SystemTime {
        instant(self.view().store_timestamp)
    }

    pub(crate) fn store_timestamp(&self) -> i64 {
        self.view().store_timestamp
    }

    /// The fixed fields of the record, under RocketMQ's names.
    pub fn record(&self) -> RecordFields {
        let head = self.view();
        RecordFields {
            magic: head.magic.cast_signed(),
            body_crc: head.body_crc,
            flag: head.flag,
            sys_flag: head.sys_flag,
            born_timestamp: head.born_timestamp,
            born_host: head.born_host.to_string(),
            store_timestamp: head.store_timestamp,
            store_host: head.store_host.to_string(),
            reconsume_times: head.reconsume_times,
            prepared_transaction_offset: head.prepared_transaction_offset,
        }
    }
}

/// A time in milliseconds since the epoch.
pub(crate) fn instant(ms: i64) -> SystemTime {
    let since = Duration::from_millis(ms.unsigned_abs());
    let at = if ms < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    at.unwrap_or(UNIX_EPOCH)
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("queue", &self.queue())
            .field("queue_offset", &self.queue_offset())
            .field("body_len", &self.body.len)
            .finish_non_exhaustive()
    }
}

/// The fixed fields of a record that have no better home, under RocketMQ's names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordFields {
    /// Version of the record: `0xDAA320A7` (V1) or `0xDAA320AB` (V2), as a signed number.
    pub magic: i32,
    /// CRC-32 of the stored body, without its highest bit.
    pub body_crc: u32,
    /// The sender's flag.
    pub flag: i32,
    /// RocketMQ's flag bits: compression, transaction type, IPv6 hosts.
    pub sys_flag: i32,
    /// When the producer made it, in milliseconds since the epoch.
    pub born_timestamp: i64,
    /// Address and port of the producer.
    pub born_host: String,
    /// When it was stored, in milliseconds since the epoch.
    pub store_timestamp: i64,
    /// Address and port of the broker.
    pub store_host: String,
    /// How often it was sent back.
    pub reconsume_times: i32,
    /// Commit log position of the half message it was committed from, or 0.
    pub prepared_transaction_offset: i64,
}
