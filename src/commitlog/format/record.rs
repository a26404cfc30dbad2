//! A decoded record, and what the fields say together.

use std::fmt;

use super::{Host, sysflag};
use crate::message::MessageId;
use crate::message::names::{SCHEDULE_TOPIC, java_hash};
use crate::message::properties::{self, name};

/// One record, borrowed from the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    /// The size of the whole record.
    pub(crate) size: u32,
    pub(crate) magic: u32,
    pub(crate) body_crc: u32,
    pub(crate) queue_id: u32,
    /// The user's number, not interpreted.
    pub(crate) flag: i32,
    pub(crate) queue_offset: u64,
    /// Where the record says it is. Not compared with where it was found.
    pub(crate) physical_offset: u64,
    pub(crate) sys_flag: i32,
    pub(crate) born_timestamp: i64,
    pub(crate) born_host: Host,
    pub(crate) store_timestamp: i64,
    pub(crate) store_host: Host,
    pub(crate) reconsume_times: i32,
    pub(crate) prepared_transaction_offset: i64,
    pub(crate) body: &'a [u8],
    pub(crate) topic: &'a str,
    /// The encoded property block, the CRC tail included.
    pub(crate) properties: &'a [u8],
}

/// The transaction type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transaction {
    None,
    Prepared,
    Commit,
    Rollback,
}

impl<'a> RecordView<'a> {
    /// Nothing at all.
    pub(crate) const EMPTY: Self = Self {
        size: 0,
        magic: 0,
        body_crc: 0,
        queue_id: 0,
        flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        sys_flag: 0,
        born_timestamp: 0,
        born_host: Host::LOCALHOST,
        store_timestamp: 0,
        store_host: Host::LOCALHOST,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: &[],
        topic: "",
        properties: &[],
    };

    /// The value of a property: of several with the same name, the last.
    pub(crate) fn property(&self, name: &str) -> Option<&'a str> {
        properties::get(self.properties, name)
    }

    /// What the consume queue's unit carries beside the position: the hash of the tag, 0 without one.
    ///
    /// A delayed message carries its due time in milliseconds instead. `delay_levels` are the milliseconds of levels 1, 2, …;
    /// a level above the last counts as the last, and one that is not a positive number as none.
    pub(crate) fn tags_code(&self, delay_levels: &[i64]) -> i64 {
        self.due_time(delay_levels)
            .unwrap_or_else(|| self.property(name::TAGS).map_or(0, |tag| i64::from(java_hash(tag))))
    }

    fn due_time(&self, delay_levels: &[i64]) -> Option<i64> {
        if self.topic != SCHEDULE_TOPIC {
            return None;
        }
        let level: i32 = self.property(name::DELAY)?.parse().ok()?;
        let level = usize::try_from(level).ok()?.min(delay_levels.len());
        let delay = delay_levels.get(level.checked_sub(1)?)?;
        Some(self.store_timestamp.saturating_add(*delay))
    }

    pub(crate) fn transaction_type(&self) -> Transaction {
        match self.sys_flag & sysflag::TRANSACTION_MASK {
            sysflag::TRANSACTION_PREPARED => Transaction::Prepared,
            sysflag::TRANSACTION_COMMIT => Transaction::Commit,
            sysflag::TRANSACTION_ROLLBACK => Transaction::Rollback,
            _ => Transaction::None,
        }
    }

    /// Whether the record has a slot in its consume queue.
    pub(crate) fn is_dispatched(&self) -> bool {
        matches!(self.transaction_type(), Transaction::None | Transaction::Commit)
    }

    /// The message's identity: its `UNIQ_KEY`, else the offset id.
    #[cfg_attr(not(test), expect(dead_code, reason = "a stored message has its own"))]
    pub(crate) fn message_id(&self) -> MessageId {
        self.property(name::UNIQ_KEY).map_or_else(|| self.offset_id(), MessageId::unique)
    }

    /// The id made of store host and log offset.
    pub(crate) fn offset_id(&self) -> MessageId {
        self.store_host.message_id(self.physical_offset)
    }
}

/// Without body and property values: payloads are never logged.
impl fmt::Debug for RecordView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordView")
            .field("topic", &self.topic)
            .field("queue_id", &self.queue_id)
            .field("queue_offset", &self.queue_offset)
            .field("physical_offset", &self.physical_offset)
            .field("size", &self.size)
            .field("sys_flag", &self.sys_flag)
            .field("store_timestamp", &self.store_timestamp)
            .field("body_len", &self.body.len())
            .field("properties_len", &self.properties.len())
            .finish_non_exhaustive()
    }
}
