//! Where a group begins, and how it is moved: to the start, to a time, to an offset, to where another one is.
//!
//! ```sh
//! cargo run --example replay
//! ```

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::error::Error;
use std::time::Duration;

use pocketmq::{Queue, QueueOffset, Start, Topic};

const READINGS: Topic<u64> = Topic::new("readings");

/// Receives and acknowledges up to `most` messages.
fn read(queue: &Queue, group: &str, start: Start, most: usize) -> pocketmq::Result<Vec<u64>> {
    let consumer = queue.consumer(READINGS, group).start(start).pull()?;
    let mut got = Vec::new();
    while got.len() < most
        && let Some(reading) = consumer.recv(Duration::ZERO)?
    {
        got.push(reading.into_acked()?);
    }
    println!("{group:>8} read {got:?}");
    Ok(got)
}

/// How many messages the group has not acknowledged.
fn lag(queue: &Queue, group: &str) -> pocketmq::Result<u64> {
    let lags = queue.group(group)?.lag()?;
    for lag in &lags {
        println!(
            "{group:>8} is at {} of {}, {} behind; the oldest is {:?} old",
            lag.watermark, lag.next, lag.backlog, lag.oldest
        );
    }
    Ok(lags.iter().map(|lag| lag.backlog).sum())
}

fn main() -> Result<(), Box<dyn Error>> {
    let queue = Queue::in_memory()?;
    // Of a queue in memory only a group that is behind keeps messages: this one keeps them all.
    queue.consumer(READINGS, "keeper").pull()?;
    let readings = queue.producer(READINGS)?;
    readings.send_batch(0..5)?;
    // Nothing comes for a while; then the rest, and whoever follows along sees when.
    let mut clerk = queue.subscribe(READINGS).open()?;
    assert!(clerk.recv(Duration::from_millis(50))?.is_none());
    readings.send_batch(5..10)?;
    let noon = clerk.recv(Duration::ZERO)?.ok_or("it was sent")?.message().stored_at();

    // A group that is new begins where it is told to, and once only.
    assert_eq!(read(&queue, "early", Start::Earliest, 4)?, [0, 1, 2, 3]);
    assert!(read(&queue, "late", Start::Latest, 4)?.is_empty());
    assert_eq!(read(&queue, "seventh", Start::Offset(QueueOffset::new(7)), 2)?, [7, 8]);
    assert_eq!(read(&queue, "seventh", Start::Earliest, 9)?, [9]);

    let early = queue.group("early")?;
    assert_eq!(lag(&queue, "early")?, 6);
    early.seek(Start::Offset(QueueOffset::new(8)))?;
    assert_eq!(lag(&queue, "early")?, 2);
    assert_eq!(read(&queue, "early", Start::Earliest, 9)?, [8, 9]);
    assert_eq!(lag(&queue, "early")?, 0);
    early.seek(Start::At(noon))?;
    assert_eq!(lag(&queue, "early")?, 5);
    assert_eq!(read(&queue, "early", Start::Earliest, 2)?, [5, 6]);

    // Another one goes on where that one is.
    queue.group("twin")?.begin_like("early")?;
    assert_eq!(lag(&queue, "twin")?, 3);
    assert_eq!(read(&queue, "twin", Start::Earliest, 9)?, [7, 8, 9]);
    assert_eq!(lag(&queue, "early")?, 3, "its own position stays");

    // All of it once more; and nothing of it.
    early.seek(Start::Earliest)?;
    assert_eq!(read(&queue, "early", Start::Earliest, 99)?, (0..10).collect::<Vec<_>>());
    early.seek(Start::Earliest)?;
    early.seek(Start::Latest)?;
    assert_eq!(lag(&queue, "early")?, 0);
    queue.close()?;
    Ok(())
}
