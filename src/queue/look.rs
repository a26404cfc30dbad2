//! Looking at a queue: what topics, groups and backlogs there are.

use std::ops::Range;

use crate::consumequeue::Extent;
use crate::error::Result;
use crate::message::{LogOffset, QueueId, QueueOffset};

use crate::progress::Acked;

use super::Queue;

/// A snapshot of the queue's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// All topics, by name; RocketMQ's system topics too, where a broker left them.
    pub topics: Vec<TopicStats>,
    /// All groups that have progress, by name and topic.
    pub groups: Vec<GroupStats>,
    /// The log that holds all messages.
    pub log: LogStats,
    /// Messages that wait for their time, by level; levels without any are left out.
    pub delayed: Vec<LevelStats>,
    /// Whether an earlier failure has stopped the store from writing.
    pub poisoned: bool,
}

/// A level of delay ([`MessageBuilder::delay_level`](crate::MessageBuilder::delay_level)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelStats {
    /// Its number, from 1.
    pub level: u32,
    /// How many messages wait.
    pub waiting: u64,
}

/// The commit log: where it begins, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogStats {
    /// The first byte that is still there.
    pub min: LogOffset,
    /// Where the next message goes.
    pub next: LogOffset,
    /// A power cut takes nothing away that lies below.
    pub durable: LogOffset,
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
    pub in_flight: u64,
    /// Messages of which an attempt failed, and that are tried again; after an opening, until the group's first consumer comes, some that were
    /// set aside too ([`Group::set_aside`](crate::Group::set_aside)).
    pub failed: u64,
    /// Messages that are not received any more: every attempt failed, or the process died too often with them in hand. As
    /// [`Group::set_aside`](crate::Group::set_aside) names them.
    pub set_aside: u64,
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
        let mut cursors = store.group_progress();
        cursors.sort_by(|a, b| (&a.group, &a.topic, a.queue).cmp(&(&b.group, &b.topic, b.queue)));
        for cursor in cursors {
            let watermark = cursor.acked.watermark();
            let extent = store
                .topics
                .get(&cursor.topic)
                .and_then(|t| t.queue(cursor.queue).map(crate::consumequeue::ConsumeQueue::extent))
                .unwrap_or_default();
            let backlog = backlog(extent, &cursor.acked);
            let terms = self.engine.terms(&cursor.group, &cursor.topic);
            let (aside, again): (Vec<_>, Vec<_>) =
                cursor.unsettled.failed().partition(|(_, failed)| terms.sets_aside(*failed));
            // One that was only held when the process died, or was forgiven, did not fail.
            let failed = again.iter().filter(|(_, failed)| failed.attempts > 0).count();
            let (failed, set_aside) = (wide(failed), wide(aside.len()));
            let at = (QueueId::new(cursor.queue), QueueOffset::new(watermark));
            match groups.last_mut().filter(|g| g.group == cursor.group && g.topic == cursor.topic) {
                Some(group) => {
                    group.watermarks.push(at);
                    group.backlog += backlog;
                    group.in_flight += cursor.unsettled.hands.count();
                    group.failed += failed;
                    group.set_aside += set_aside;
                }
                None => groups.push(GroupStats {
                    group: cursor.group,
                    topic: cursor.topic,
                    watermarks: vec![at],
                    backlog,
                    in_flight: cursor.unsettled.hands.count(),
                    failed,
                    set_aside,
                }),
            }
        }
        let (min, durable, next) = store.log_extent();
        let log = LogStats { min: min.into(), next: next.into(), durable: durable.into() };
        let waiting = store.delays.waiting().into_iter().filter(|(_, waiting)| *waiting > 0);
        let delayed = waiting.map(|(id, waiting)| LevelStats { level: id + 1, waiting }).collect();
        Ok(Stats { topics, groups, log, delayed, poisoned: store.is_poisoned() })
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How many messages of a queue are there and not acknowledged.
pub(super) fn backlog(extent: Extent, acked: &Acked) -> u64 {
    // Whatever came or went between the look at the one and at the other.
    let first = extent.min.max(acked.watermark());
    let done =
        |range: Range<u64>| range.end.min(extent.next).saturating_sub(range.start.max(first));
    let done: u64 = acked.ranges().map(done).sum();
    extent.next.saturating_sub(first).saturating_sub(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_counts_what_is_there_however_the_two_looks_fall_apart() {
        let mut acked = Acked::below(5);
        acked.insert(7..10);
        acked.insert(12..13);
        let left = |min, next| backlog(Extent { min, next }, &acked);
        assert_eq!((left(0, 20), left(6, 20)), (11, 10));
        // Memory was given back after the acknowledgements were looked at.
        assert_eq!((left(8, 20), left(10, 13), left(13, 13), left(20, 20)), (9, 2, 0, 0));
        // The queue is shorter than what was acknowledged of it.
        assert_eq!((left(0, 0), left(0, 8)), (0, 2));
    }
}
