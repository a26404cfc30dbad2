//! A worker that mails receipts: handlers on threads, retries, a batch, and an orderly end.
//!
//! ```sh
//! cargo run --example push
//! ```

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use pocketmq::{HandlerError, Job, OrFail, Outcome, Queue, Retry, Topic};

const RECEIPTS: Topic<String> = Topic::new("receipts");
const REFUNDS: Topic<u64> = Topic::new("refunds");

/// The first attempt finds the server busy.
fn mail(receipt: &Job<String>) -> Result<(), std::io::Error> {
    if receipt.attempt() == 1 && receipt.ends_with('3') {
        return Err(std::io::Error::other("the mail server is busy"));
    }
    println!("mailed {} (attempt {})", **receipt, receipt.attempt());
    Ok(())
}

/// What came is mailed, but for nothing at all, which fails, and for the newsletter, which may wait.
fn handle(receipt: &Job<String>, mailed: &Sender<()>) -> Result<Outcome, HandlerError> {
    if receipt.is_empty() {
        return Err("a receipt for nothing".into());
    }
    if receipt.message().tag() == Some("newsletter") {
        return Ok(Outcome::Snooze(Duration::from_secs(3600)));
    }
    mail(receipt).or_retry_after(Duration::from_millis(10))?;
    mailed.send(())?;
    Ok(Outcome::Done)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = Queue::in_memory()?;
    let receipts = queue.producer(RECEIPTS)?;
    receipts.send_batch((1..=4).map(|n| format!("receipt {n}")))?;
    receipts.message(&"all our news".to_owned()).tag("newsletter").send()?;
    receipts.send(&String::new())?;

    let (told, mailed) = channel();
    let worker = queue
        .consumer(RECEIPTS, "mailer")
        .concurrency(2)
        .retry(Retry::fixed(Duration::from_millis(10)).max_attempts(3))
        .handler_timeout(Duration::from_secs(60))
        .middleware(|call| {
            let said = call.run();
            println!("  a handler said {said:?}");
            said
        })
        .on_event(|event| println!("  {event:?}"))
        .run(move |receipt| handle(receipt, &told))?;
    for () in mailed.iter().take(4) {}

    let (told, counted) = channel();
    let refunds = queue.consumer(REFUNDS, "books").run_batch(
        100,
        Duration::from_millis(50),
        move |refunds| {
            let sum: u64 = refunds.iter().map(|refund| **refund).sum();
            println!("booked {} refunds: {sum}", refunds.len());
            Ok(told.send(sum)?)
        },
    )?;
    queue.producer(REFUNDS)?.send_batch([10, 20, 12])?;
    let booked: u64 = counted.recv()?;

    let report = worker.shutdown(Duration::from_secs(30))?;
    refunds.shutdown(Duration::from_secs(30))?;
    println!("{booked} booked, {:?}, unfinished: {:?}", worker.stats(), report.unfinished);
    println!("set aside: {:?}", queue.group("mailer")?.set_aside()?);
    queue.close()?;
    Ok(())
}
