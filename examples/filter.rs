//! Filters: groups beside each other on one topic, and each gets only what it asks for.
//!
//! ```sh
//! cargo run --example filter
//! ```
//!
//! One group takes a tag, one two of them, one asks in SQL about the properties, one takes everything. What a group does not want it
//! has passed over for good: its backlog is empty as well.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::time::Duration;

use pocketmq::{Filter, Queue, Topic};

/// What happened, told in words; its tag and properties are there for filters.
const EVENTS: Topic<String> = Topic::new("events");

/// Receives whatever passes the filter.
fn read(queue: &Queue, group: &str, filter: Filter) -> pocketmq::Result<Vec<String>> {
    let consumer = queue.consumer(EVENTS, group).filter(filter).pull()?;
    let mut got = Vec::new();
    while let Some(event) = consumer.recv(Duration::ZERO)? {
        got.push(event.into_acked()?);
    }
    println!("{group:>10} got {got:?}");
    Ok(got)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = Queue::in_memory()?;
    let events = queue.producer(EVENTS)?;
    for (what, tag, region, cents) in [
        ("a book was paid", "paid", "eu", 1500),
        ("a pen was paid", "paid", "us", 200),
        ("the book was sent", "sent", "eu", 1500),
        ("a piano was paid", "paid", "us", 900_000),
        ("the pen came back", "refund", "us", 200),
    ] {
        let event = what.to_owned();
        events
            .message(&event)
            .tag(tag)
            .property("region", region)
            .property("cents", cents)
            .send()?;
    }

    let all = read(&queue, "archive", Filter::all())?;
    let sent = read(&queue, "warehouse", Filter::tags("sent || refund")?)?;
    let expensive =
        Filter::sql("cents >= 1000 AND (region = 'eu' OR cents BETWEEN 500000 AND 1000000)")?;
    let expensive = read(&queue, "insurance", expensive)?;
    let paid = Filter::sql("TAGS = 'paid' AND region IS NOT NULL AND region <> 'eu'")?;
    let abroad = read(&queue, "customs", paid)?;

    assert_eq!(all.len(), 5);
    assert_eq!(sent, ["the book was sent", "the pen came back"]);
    assert_eq!(expensive, ["a book was paid", "the book was sent", "a piano was paid"]);
    assert_eq!(abroad, ["a pen was paid", "a piano was paid"]);

    for group in queue.stats()?.groups {
        println!("{:>10} has a backlog of {}", group.group, group.backlog);
        assert_eq!(group.backlog, 0);
    }
    // A filter that makes no sense is said when it is made, and where.
    let wrong = Filter::sql("cents >").err().ok_or("that was accepted")?;
    println!("refused: {wrong}");
    queue.close()?;
    Ok(())
}
