//! Looking at a queue: what topics, groups and backlogs there are.

use crate::error::Result;
use crate::message::{QueueId, QueueOffset};

use super::Queue;

/// A snapshot of the queue's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// All topics, by name; RocketMQ's system topics too, where a broker left them.
    pub topics: Vec<TopicStats>,
    /// All groups that have progress, by name and topic.
    pub groups: Vec<GroupStats>,
    /// Whether an earlier failure has stopped the store from writing.
    pub poisoned: bool,
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicStats {
    /// The topic's name.
    pub name: String,
    /// Its queues, in order.
    pub queues: Vec<QueueStats>,
}

/// One queue of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// Its number.
    pub id: QueueId,
    /// The first offset that is still there.
    pub min: QueueOffset,
    /// The offset that the next message gets.
    pub next: QueueOffset,
}

/// One group's progress in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStats {
    /// The group's name.
    pub group: String,
    /// The topic's name.
    pub topic: String,
    /// Per queue: everything below this offset is acknowledged.
    pub watermarks: Vec<(QueueId, QueueOffset)>,
    /// Messages that are not acknowledged.
    pub backlog: u64,
    /// Messages in consumers' hands.
    pub in_flight: usize,
    /// Messages whose body did not decode, which are tried again later.
    pub undecodable: usize,
}

impl Queue {
    /// The names of all topics, with their number of queues.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn topics(&self) -> Result<Vec<(String, u32)>> {
        self.engine.store().check_open()?;
        let topics = self.engine.store().topics.all();
        Ok(topics.iter().map(|t| (t.name().to_string(), t.queue_count())).collect())
    }

    /// A snapshot of the queue's counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn stats(&self) -> Result<Stats> {
        let store = self.engine.store();
        store.check_open()?;
        let topics: Vec<_> = store
            .topics
            .all()
            .iter()
            .map(|topic| TopicStats {
                name: topic.name().to_string(),
                queues: topic
                    .queues()
                    .map(|(id, queue)| {
                        let extent = queue.extent();
                        QueueStats {
                            id: id.into(),
                            min: extent.min.into(),
                            next: extent.next.into(),
                        }
                    })
                    .collect(),
            })
            .collect();
        let mut groups: Vec<GroupStats> = Vec::new();
        let mut cursors = store.progress.snapshot_state().cursors;
        cursors.sort_by(|a, b| (&a.group, &a.topic, a.queue).cmp(&(&b.group, &b.topic, b.queue)));
        for cursor in cursors {
            let watermark = cursor.acked.watermark();
            let extent = store
                .topics
                .get(&cursor.topic)
                .and_then(|t| t.queue(cursor.queue).map(crate::consumequeue::ConsumeQueue::extent))
                .unwrap_or_default();
            let backlog =
                extent.next.saturating_sub(watermark.max(extent.min)) - cursor.acked.acked_above();
            let at = (QueueId::new(cursor.queue), QueueOffset::new(watermark));
            match groups.last_mut().filter(|g| g.group == cursor.group && g.topic == cursor.topic) {
                Some(group) => {
                    group.watermarks.push(at);
                    group.backlog += backlog;
                }
                None => groups.push(GroupStats {
                    group: cursor.group,
                    topic: cursor.topic,
                    watermarks: vec![at],
                    backlog,
                    in_flight: 0,
                    undecodable: 0,
                }),
            }
        }
        for dispatch in self.engine.dispatches() {
            let mine = |g: &&mut GroupStats| {
                g.group == **dispatch.group() && g.topic == **dispatch.topic().name()
            };
            if let Some(group) = groups.iter_mut().find(mine) {
                group.in_flight = dispatch.in_flight();
                group.undecodable = dispatch.undecodable();
            }
        }
        Ok(Stats { topics, groups, poisoned: store.is_poisoned() })
    }
}
