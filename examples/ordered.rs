//! First in, first out for each key: eight threads book into accounts, and every seventh attempt fails.
//!
//! ```sh
//! cargo run --example ordered
//! ```
//!
//! The bookings of an account are sent with its name as their key. Whatever thread they come to, and however often one of them
//! fails, they are booked in the order in which they were sent; meanwhile the other accounts go on.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its user")]

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, ThreadId};
use std::time::Duration;

use pocketmq::{HandlerError, Queue, Retry, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Booking {
    account: String,
    number: u32,
}

const BOOKINGS: Topic<Booking> = Topic::new("bookings");
const ACCOUNTS: [&str; 5] = ["ada", "edsger", "grace", "barbara", "tony"];
const EACH: u32 = 40;
const THREADS: usize = 8;

/// What was booked, by account, and who did it.
#[derive(Default)]
struct Books {
    booked: BTreeMap<String, Vec<u32>>,
    threads: HashSet<ThreadId>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queue = Queue::in_memory()?;
    // Several queues: the messages of a key are all in one of them.
    queue.create_topic(BOOKINGS.name(), 3)?;
    let bookings = queue.producer(BOOKINGS)?;
    for number in 0..EACH {
        for account in ACCOUNTS {
            let booking = Booking { account: account.to_owned(), number };
            bookings.message(&booking).order_by(account).send()?;
        }
    }

    let books: &'static Mutex<Books> = Box::leak(Box::default());
    let (attempts, (told, done)) = (AtomicU32::new(0), channel());
    let worker = queue
        .consumer(BOOKINGS, "books")
        .ordered()
        .concurrency(THREADS)
        .retry(Retry::fixed(Duration::from_millis(2)))
        .run(move |booking| -> Result<(), HandlerError> {
            if attempts.fetch_add(1, Ordering::Relaxed) % 7 == 6 {
                return Err("the books are locked".into());
            }
            let mut books = books.lock().map_err(|_| "the books are torn")?;
            books.threads.insert(thread::current().id());
            books.booked.entry(booking.account.clone()).or_default().push(booking.number);
            Ok(told.send(())?)
        })?;
    done.iter().take(ACCOUNTS.len() * EACH as usize).for_each(drop);
    worker.shutdown(Duration::from_secs(30))?;

    let stats = worker.stats();
    let books = books.lock().map_err(|_| "the books are torn")?;
    println!(
        "{} bookings by {} threads, {} attempts failed",
        stats.handled,
        books.threads.len(),
        stats.failed
    );
    assert!(stats.failed > 0, "nothing failed");
    assert_eq!(books.booked.len(), ACCOUNTS.len());
    for (account, numbers) in &books.booked {
        assert!(numbers.iter().copied().eq(0..EACH), "{account} was booked as {numbers:?}");
        println!("{account}: {} bookings, each in its turn", numbers.len());
    }
    queue.close()?;
    Ok(())
}
