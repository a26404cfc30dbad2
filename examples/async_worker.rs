//! A web service's background work on tokio: handlers that are futures, beside whatever else the runtime does.
//!
//! `cargo run --example async_worker [messages]`

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::time::Duration;

use pocketmq::{OrFail, Outcome, Queue, Retry, Topic, WorkerEvent};

const MAILS: Topic<u64> = Topic::new("mails");

/// Somebody else's service, which is slow and now and then busy.
async fn deliver(mail: u64, attempt: u32) -> Result<(), String> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    if mail.is_multiple_of(7) && attempt == 1 {
        return Err(format!("the server is too busy for mail {mail}"));
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(100), |count| count.parse())?;
    let queue = Queue::in_memory()?;
    let (control, work) = queue
        .consumer(MAILS, "postman")
        .concurrency(16)
        .handler_timeout(Duration::from_secs(5))
        .retry(
            Retry::exponential(Duration::from_millis(10), Duration::from_secs(1)).max_attempts(5),
        )
        .on_event(|event| {
            if let WorkerEvent::Failed { error: Some(error), .. } = event {
                println!("{error}");
            }
        })
        .run_async(|mail| async move {
            if *mail == 0 {
                return Ok(Outcome::Snooze(Duration::from_millis(50)));
            }
            deliver(*mail, mail.attempt()).await.or_retry_after(Duration::from_millis(30))?;
            Ok(Outcome::Done)
        })?;
    let work = tokio::spawn(work);

    let mails = queue.producer(MAILS)?;
    for mail in 1..=count {
        // Does not wait for the disk, and no thread is blocked.
        mails.submit(&mail)?.await?;
    }
    while control.stats().handled < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let report = control.shutdown(Duration::from_secs(10)).await?;
    work.await??;
    let stats = control.stats();
    println!(
        "{} delivered, {} attempts failed, {} left",
        stats.handled,
        stats.failed,
        report.unfinished.len()
    );
    queue.close()?;
    Ok(())
}
