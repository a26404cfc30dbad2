//! First in, first out for each queue: three threads apply changes to replicas, one thread leaves half-way, and every seventh attempt fails.
//!
//! ```sh
//! cargo run --example ordered_by_queue
//! ```
//!
//! The changes of a shard are sent to a queue of its own. One consumer at a time has a queue; when a consumer joins or leaves, they share
//! the queues anew, and whatever fails keeps its queue waiting, so that no change overtakes another one.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pocketmq::{Consumer, Queue, Result, Retry, Strategy, Topic};

const CHANGES: Topic<u32> = Topic::new("changes");
const SHARDS: u32 = 6;
const EACH: u32 = 50;

/// The changes of each shard as they were applied, and by whom.
type Replicas = Mutex<BTreeMap<u32, (Vec<u32>, BTreeSet<&'static str>)>>;

/// Applies up to `most` changes.
fn apply(
    name: &'static str,
    consumer: &Consumer<u32>,
    replicas: &Replicas,
    most: u32,
) -> Result<()> {
    println!("{name} begins with the queues {:?}", consumer.queues());
    for count in 1..=most {
        let Some(change) = consumer.recv(Duration::from_millis(200))? else { break };
        if count % 7 == 0 {
            change.fail()?;
            continue;
        }
        let shard = change.message().queue().get();
        if let Ok(mut replicas) = replicas.lock() {
            let (changes, by) = replicas.entry(shard).or_default();
            changes.push(*change);
            by.insert(name);
        }
        change.ack()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let queue = Queue::in_memory()?;
    queue.create_topic(CHANGES.name(), SHARDS)?;
    let changes = queue.producer(CHANGES)?;
    for number in 0..EACH {
        for shard in 0..SHARDS {
            changes.message(&number).queue(shard).send()?;
        }
    }

    let replica = || {
        let consumer = queue.consumer(CHANGES, "replica").ordered_by_queue();
        let consumer = consumer.strategy(Strategy::Circle);
        consumer.retry(Retry::fixed(Duration::from_millis(2)).max_attempts(u32::MAX)).pull()
    };
    let replicas = Replicas::default();
    let consumers =
        [("ada", replica()?, u32::MAX), ("grace", replica()?, u32::MAX), ("tony", replica()?, 40)];
    thread::scope(|scope| {
        let replicas = &replicas;
        let threads = consumers.map(|(name, consumer, most)| {
            // Its consumer goes with it, and the others get its queues.
            scope.spawn(move || apply(name, &consumer, replicas, most))
        });
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;

    let replicas = replicas.into_inner().unwrap_or_default();
    assert_eq!(replicas.len(), SHARDS as usize);
    for (shard, (numbers, by)) in replicas {
        assert!(numbers.iter().copied().eq(0..EACH), "shard {shard} was applied as {numbers:?}");
        println!("shard {shard}: {} changes, each in its turn, by {by:?}", numbers.len());
    }
    queue.close()
}
