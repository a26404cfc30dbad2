//! The queue as all works use it: one topic of raw bytes.

use std::time::Duration;

use pocketmq::{Consumer, Delivery, Flush, Producer, Queue, Raw, Topic};

use crate::Result;
use crate::figures::{Sample, real};
use crate::meter::Spent;

pub(crate) const BYTES: Topic<[u8], Raw> = Topic::new("bench");

pub(crate) type Sender = Producer<[u8], Raw>;
pub(crate) type Receiver = Consumer<[u8], Raw>;
pub(crate) type Received = Delivery<Box<[u8]>>;

/// The body of most works.
pub(crate) const BODY: [u8; 128] = *b"What is measured here is how fast a message goes in, how safe it is then, and how soon it comes out again, with nothing left out";

/// A unit of a consume queue, written for each message beside its record.
pub(crate) const UNIT: u64 = 20;

/// As many messages are sent at once where stores are only filled.
const BATCH: u64 = 100;

/// Nothing that works takes as long.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(30);

/// The size of the log record of a body.
pub(crate) fn record_size(body: &[u8]) -> Result<u64> {
    let queue = Queue::in_memory()?;
    let receipt = queue.producer(BYTES)?.send(body)?;
    Ok(u64::from(receipt.size))
}

/// What sending `count` messages with records of `record` bytes yielded.
pub(crate) fn sent(count: u64, record: u64, spent: Spent, latencies: Vec<u64>) -> Sample {
    let bytes_per_message = Some(real(record + UNIT));
    Sample {
        count,
        bytes: count * record,
        spent,
        latencies,
        bytes_per_message,
        ..Sample::default()
    }
}

/// Sends so many messages as fast as possible.
pub(crate) fn fill(sender: &Sender, messages: u64) -> Result<()> {
    let mut left = messages;
    while left > 0 {
        let now = left.min(BATCH);
        sender.send_batch(batch(&BODY, now))?;
        left -= now;
    }
    Ok(())
}

/// A body so many times.
pub(crate) fn batch(body: &[u8], count: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::repeat_n(body, usize::try_from(count).unwrap_or(0))
}

/// Never flushes by itself: only the kernel's own write-back puts something on the disk.
pub(crate) fn never_flushed() -> pocketmq::Options {
    Queue::options().flush(Flush::Async { interval: Duration::from_secs(3600) })
}
