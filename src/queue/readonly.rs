//! The handle to a store that is only looked at.

use std::path::Path;
use std::time::SystemTime;

use crate::engine::disk;
use crate::error::Result;
use crate::message::names::subscription_of;
use crate::message::properties::name::{REAL_QUEUE_ID, REAL_TOPIC};
use crate::message::{LogOffset, QueueId, QueueOffset};
use crate::store::message::{Message, instant};
use crate::store::readonly::Image;
use crate::store::report::OpenReport;

use super::{QueueStats, TopicStats};

/// A store that is looked at and not changed: closed or killed, written by this library or by a RocketMQ broker, or open in
/// another process at this moment.
///
/// Nothing on disk is changed, not even a lock is taken. Of a store that another process is writing it shows what was visible
/// there when it was opened; [`ReadOnly::refresh`] looks again, at what is new. Opening reads the whole log and keeps about 40 bytes in
/// memory for each message.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # use pocketmq::{Queue, ReadOnly, Topic};
/// # const NAMES: Topic<String> = Topic::new("names");
/// let queue = Queue::open(dir.path())?;
/// queue.producer(NAMES)?.send(&"Ada".to_owned())?;
///
/// let look = ReadOnly::open(dir.path())?;       // while the queue is open
/// assert!(look.is_live());
/// let message = look.messages("names", 0).next().expect("one was sent")?;
/// assert_eq!(message.body(), br#""Ada""#);
/// # queue.close()
/// # }
/// ```
#[derive(Debug)]
pub struct ReadOnly {
    root: std::path::PathBuf,
    image: Image,
}

/// One entry of a consume queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueEntry {
    /// Its position in the queue.
    pub queue_offset: QueueOffset,
    /// Where the message's record is in the commit log.
    pub log_offset: LogOffset,
    /// The record's size in bytes; 2 147 483 647 for a slot whose message is lost.
    pub size: u32,
    /// The hash of the tag, or the due time of a delayed message.
    pub tag_code: i64,
}

/// How far a group is in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupOffset {
    /// The group's name.
    pub group: String,
    /// The topic's name.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
    /// Everything below this offset is acknowledged.
    pub offset: QueueOffset,
    /// How many messages are acknowledged above it.
    pub acked_above: u64,
}

/// A message that waits for its time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delayed {
    /// The message as it waits: in the topic `SCHEDULE_TOPIC_XXXX`.
    pub message: Message,
    /// The topic it is meant for.
    pub topic: String,
    /// The queue it is meant for.
    pub queue: QueueId,
    /// The level of its delay.
    pub level: u32,
    /// When it is due.
    pub due: SystemTime,
}

impl ReadOnly {
    /// Looks at the store in `dir`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no such folder,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if it is a symbolic link that leads nowhere; otherwise as [`Queue::open`](crate::Queue::open), except
    /// that it never fails because the store is in use.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let root = crate::io::disk::resolve(dir.as_ref())?;
        Ok(Self { image: Image::of(&disk(), &root)?, root })
    }

    /// Looks again, and reads only what is new in the log; all of it, as [`ReadOnly::open`] does, if somebody else wrote to the
    /// store, or if what was seen before is not there any more.
    ///
    /// # Errors
    ///
    /// As [`ReadOnly::open`]; what was seen before stays.
    pub fn refresh(&mut self) -> Result<()> {
        self.image.refresh(&disk(), &self.root)
    }

    /// Whether another process had the store open when it was looked at.
    pub fn is_live(&self) -> bool {
        self.image.live
    }

    /// How the store was left, and what is damaged. Nothing was done about it.
    pub fn report(&self) -> &OpenReport {
        &self.image.report
    }

    /// All topics that have messages or are configured, with their queues.
    pub fn topics(&self) -> Vec<TopicStats> {
        let topic = |name: &String| {
            let image = &self.image;
            let count = image.queue_count(name).max(image.topics.get(name).copied().unwrap_or(0));
            let stats = |id| {
                let (min, units) = image.units(name, id);
                let next = min + units.len() as u64;
                QueueStats { id: id.into(), min: min.into(), next: next.into() }
            };
            TopicStats { name: name.clone(), queues: (0..count).map(stats).collect() }
        };
        self.image.topic_names().into_iter().map(topic).collect()
    }

    /// The records of the commit log in physical order, those of system topics and half messages too.
    pub fn records(&self) -> impl Iterator<Item = Result<Message>> {
        self.image.records.iter().map(|(offset, size)| self.image.message(*offset, *size))
    }

    /// The messages of one queue in order. A damaged one is an error in its place, and the next ones follow.
    pub fn messages(
        &self,
        topic: &str,
        queue: impl Into<QueueId>,
    ) -> impl Iterator<Item = Result<Message>> {
        self.entries(topic, queue).map(|e| self.image.message(e.log_offset.get(), e.size))
    }

    /// The consume queue entries of one queue, as the log says they must be.
    pub fn entries(
        &self,
        topic: &str,
        queue: impl Into<QueueId>,
    ) -> impl Iterator<Item = QueueEntry> {
        let (first, units) = self.image.units(topic, queue.into().get());
        (first..).zip(units).map(|(offset, unit)| QueueEntry {
            queue_offset: offset.into(),
            log_offset: unit.offset.into(),
            size: unit.size,
            tag_code: unit.tags_code,
        })
    }

    /// The messages delayed by a level that were not delivered, by level and in order. A damaged one is an error in its place.
    pub fn delayed(&self) -> impl Iterator<Item = Result<Delayed>> {
        self.image.waiting().map(|(queue, unit)| {
            let message = self.image.message(unit.offset, unit.size)?;
            let real = |name| message.property(name).unwrap_or_default();
            Ok(Delayed {
                topic: real(REAL_TOPIC).to_owned(),
                queue: real(REAL_QUEUE_ID).parse().unwrap_or(0).into(),
                level: queue.saturating_add(1),
                due: instant(unit.tags_code),
                message,
            })
        })
    }

    /// How far each group is, by group, topic and queue.
    pub fn group_offsets(&self) -> Vec<GroupOffset> {
        let mut offsets: Vec<_> = self
            .image
            .cursors
            .iter()
            .filter(|cursor| subscription_of(&cursor.group).is_none())
            .map(|cursor| GroupOffset {
                group: cursor.group.clone(),
                topic: cursor.topic.clone(),
                queue: cursor.queue.into(),
                offset: cursor.acked.watermark().into(),
                acked_above: cursor.acked.acked_above(),
            })
            .collect();
        offsets.sort_by(|a, b| (&a.group, &a.topic, a.queue).cmp(&(&b.group, &b.topic, b.queue)));
        offsets
    }
}
