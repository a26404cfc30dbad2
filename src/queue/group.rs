//! A consumer group, seen from outside: how far it is, and moving it.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::consumer::Start;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::message::names::validate_group;
use crate::message::{QueueId, QueueOffset};
use crate::progress::Acked;
use crate::store::Store;
use crate::store::topics::Topic;
use crate::sync::Arc;

use super::Queue;
use super::look::backlog;

/// A consumer group, by name: its lag, and where it goes on. Consumers of the group may run meanwhile.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use std::time::Duration;
/// use pocketmq::{Queue, Start, Topic};
///
/// const ORDERS: Topic<u64> = Topic::new("orders");
///
/// let queue = Queue::open(dir.path())?;
/// queue.producer(ORDERS)?.send_batch([1, 2, 3])?;
/// let consumer = queue.consumer(ORDERS, "mailer").pull()?;
/// consumer.recv(Duration::ZERO)?.unwrap().ack()?;
///
/// let mailer = queue.group("mailer")?;
/// assert_eq!(mailer.lag()?[0].backlog, 2);
/// mailer.seek(Start::Earliest)?;                 // everything once more
/// assert_eq!(mailer.lag()?[0].backlog, 3);
/// mailer.seek(Start::Latest)?;                   // skips the backlog
/// assert_eq!(mailer.lag()?[0].backlog, 0);
/// # queue.close()
/// # }
/// ```
#[derive(Clone)]
pub struct Group {
    engine: Arc<Engine>,
    name: String,
}

/// How far a group is in one queue of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// The topic's name.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
    /// Everything below this offset is acknowledged.
    pub watermark: QueueOffset,
    /// The offset that the queue's next message gets.
    pub next: QueueOffset,
    /// Messages that are there and not acknowledged; those in consumers' hands count.
    pub backlog: u64,
    /// How long ago the oldest of them was stored. `None` if there is none, or it is damaged or not durable yet.
    pub oldest: Option<Duration>,
}

/// A message that is not received any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// The topic's name.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
    /// Its offset there.
    pub offset: QueueOffset,
    /// How many attempts failed.
    pub attempts: u32,
    /// How often the process died while somebody held it.
    pub deaths: u32,
}

impl Queue {
    /// A handle on a consumer group, whether it consumes at the moment or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if the name is no group name, [`ErrorKind::Closed`].
    pub fn group(&self, name: &str) -> Result<Group> {
        validate_group(name)?;
        self.engine.store().check_open()?;
        Ok(Group { engine: Arc::clone(&self.engine), name: name.to_owned() })
    }
}

impl Group {
    /// The group's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far the group is, for each queue of each topic that it consumes, by topic and queue. Empty if it has consumed nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`]; [`ErrorKind::Io`] if the age of a message cannot be read.
    pub fn lag(&self) -> Result<Vec<Lag>> {
        let store = self.engine.store();
        store.check_open()?;
        let lag = |(topic, queue, acked): (String, u32, Acked)| {
            lag_of(store, &topic, queue, &acked).transpose()
        };
        self.progress().into_iter().filter_map(lag).collect()
    }

    /// Moves the group in all topics that it consumes: its next message is the one that `start` names. What is in its consumers'
    /// hands is void: acknowledging it is [`ErrorKind::Stale`], and it comes again only if it is at or after the new start. Messages that
    /// failed and wait for another attempt are left alone, wherever they are.
    ///
    /// Durable when this returns. A crash during the call may leave some queues moved and others not: call it again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if the group has consumed nothing, [`ErrorKind::Full`] if there is no space to write it down,
    /// [`ErrorKind::Poisoned`], [`ErrorKind::Closed`].
    pub fn seek(&self, start: Start) -> Result<()> {
        for topic in self.topics()? {
            self.seek_in(&topic, start)?;
        }
        Ok(())
    }

    /// As [`Group::seek`], in one topic.
    ///
    /// # Errors
    ///
    /// As [`Group::seek`]; [`ErrorKind::NotFound`] also if the group does not consume the topic.
    pub fn seek_topic(&self, topic: &str, start: Start) -> Result<()> {
        let topics = self.topics()?;
        let topic = topics.iter().find(|t| &**t.name() == topic);
        self.seek_in(topic.ok_or_else(|| self.no_progress())?, start)
    }

    /// Begins this group, which nobody has consumed with, where another one is now, in all its topics. What that one acknowledged above a
    /// message that it did not, is received again here.
    ///
    /// Durable when this returns; it begins in all topics or, after an error or a crash, in none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if this group has begun already, with a consumer of its own or like another, [`ErrorKind::NotFound`] if the other one has
    /// not; others as for [`Group::seek`].
    pub fn begin_like(&self, other: &str) -> Result<()> {
        validate_group(other)?;
        let store = self.engine.store();
        store.check_writable()?;
        let other = Self { engine: Arc::clone(&self.engine), name: other.to_owned() };
        let topics = other.topics()?;
        let _memory_stays = store.joining();
        let starts = |topic: &Arc<Topic>| {
            let at = |(id, _)| {
                let cursor = store.progress.cursor(&other.name, topic.name(), id)?;
                Some((id, cursor.watermark()))
            };
            topic.queues().filter_map(at).collect()
        };
        let starts: Vec<_> = topics.iter().map(|t| (t.name().as_ref(), starts(t))).collect();
        let added = store.progress.add_group(&self.name);
        store.progressed(added)?;
        let begun = store.progress.define_group(&self.name, &starts);
        if store.progressed(begun)? {
            return Ok(());
        }
        let what = format!("group {} has progress of its own; move it with `seek`", self.name);
        Err(Error::new(ErrorKind::InvalidArgument, what))
    }

    /// Messages that are not received any more: every attempt failed, or the process died too often with them in hand. By topic, queue
    /// and offset. They count as not acknowledged.
    ///
    /// How many attempts and deaths are too many is the consumers' to say, and not stored. After an opening, until the group's first consumer comes to a
    /// topic, the default says it there: 17 attempts, and any number of deaths. What was set aside earlier than that is then not named.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`].
    pub fn set_aside(&self) -> Result<Vec<SetAside>> {
        let store = self.engine.store();
        store.check_open()?;
        let mut aside = Vec::new();
        for cursor in store.group_progress().into_iter().filter(|c| c.group == self.name) {
            let terms = self.engine.terms(&self.name, &cursor.topic);
            for (offset, failed) in cursor.unsettled.failed() {
                if terms.sets_aside(failed) {
                    aside.push(SetAside {
                        topic: cursor.topic.clone(),
                        queue: cursor.queue.into(),
                        offset: offset.into(),
                        attempts: failed.attempts,
                        deaths: failed.deaths,
                    });
                }
            }
        }
        aside.sort_by(|a, b| (&a.topic, a.queue, a.offset).cmp(&(&b.topic, b.queue, b.offset)));
        Ok(aside)
    }

    /// Gives what was set aside another chance, with all its attempts. Says how many messages that were. A process kill does not undo it.
    /// It goes for what [`Group::set_aside`] names: after an opening, start a consumer first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] if there is no space to write it down, [`ErrorKind::Poisoned`], [`ErrorKind::Closed`].
    pub fn retry_set_aside(&self) -> Result<u64> {
        let mut count = 0;
        for aside in self.set_aside()? {
            let Some(topic) = self.engine.store().topics.get(&aside.topic) else { continue };
            let dispatch = self.engine.visit(&self.name, &topic)?;
            count += u64::from(dispatch.forgive((aside.queue.get(), aside.offset.get()))?);
        }
        Ok(count)
    }

    fn seek_in(&self, topic: &Arc<Topic>, start: Start) -> Result<()> {
        let store = self.engine.store();
        store.check_writable()?;
        let dispatch = self.engine.visit(&self.name, topic)?;
        let _memory_stays = store.joining();
        let at = |(id, _)| Ok((id, start.resolve(store, topic, id)?));
        dispatch.seek(&topic.queues().map(at).collect::<Result<Vec<_>>>()?)
    }

    /// The topics that the group has progress in.
    fn topics(&self) -> Result<Vec<Arc<Topic>>> {
        let store = self.engine.store();
        store.check_open()?;
        let mut names: Vec<String> = self.progress().into_iter().map(|(topic, ..)| topic).collect();
        names.dedup();
        let topics: Vec<_> = names.iter().filter_map(|name| store.topics.get(name)).collect();
        if topics.is_empty() { Err(self.no_progress()) } else { Ok(topics) }
    }

    /// What it acknowledged, by topic and queue, of all queues of its topics.
    fn progress(&self) -> Vec<(String, u32, Acked)> {
        let cursors = self.engine.store().group_progress();
        let mine = cursors.into_iter().filter(|c| c.group == self.name);
        let mut progress: Vec<_> = mine.map(|c| (c.topic, c.queue, c.acked)).collect();
        progress.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        progress
    }

    fn no_progress(&self) -> Error {
        let what = format!("group {} has no progress there", self.name);
        Error::new(ErrorKind::NotFound, what)
    }
}

/// How far somebody who acknowledged so much is in a queue. `None` if there is no such queue.
pub(super) fn lag_of(
    store: &Arc<Store>,
    topic: &str,
    queue: u32,
    acked: &Acked,
) -> Result<Option<Lag>> {
    let Some(topic) = store.topics.get(topic) else { return Ok(None) };
    let Some(extent) = topic.queue(queue).map(crate::consumequeue::ConsumeQueue::extent) else {
        return Ok(None);
    };
    let backlog = backlog(extent, acked);
    let oldest = match backlog {
        0 => None,
        _ => age(store, &topic, queue, acked.next_unacked(extent.min))?,
    };
    Ok(Some(Lag {
        topic: topic.name().to_string(),
        queue: queue.into(),
        watermark: acked.watermark().into(),
        next: extent.next.into(),
        backlog,
        oldest,
    }))
}

fn age(
    store: &Arc<Store>,
    topic: &Arc<Topic>,
    queue: u32,
    offset: u64,
) -> Result<Option<Duration>> {
    let stored = store.stored_at(topic, queue, offset)?;
    let now = UNIX_EPOCH + Duration::from_millis(store.clock.wall_ms());
    Ok(stored.map(|at| now.duration_since(at).unwrap_or_default()))
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.name).finish_non_exhaustive()
    }
}
