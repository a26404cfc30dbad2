//! Handlers that are given the messages: what they return, what goes wrong, and how they end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod batches;
mod ends;
mod outcomes;
mod sharing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

use pocketmq::{
    ConsumerBuilder, Envelope, ErrorKind, HandlerError, Job, OrFail, Outcome, Queue, Raw, Retry,
    Topic, Worker, WorkerEvent, WorkerStats,
};

const WORDS: Topic<String> = Topic::new("words");
const NUMBERS: Topic<u64> = Topic::new("numbers");
/// The same topic as [`NUMBERS`], seen as bytes.
const BYTES: Topic<[u8], Raw> = Topic::new("numbers");
/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(60);
const AT_ONCE: Retry = Retry::fixed(Duration::ZERO);

fn queue_of(numbers: impl IntoIterator<Item = u64>) -> Queue {
    let queue = Queue::in_memory().unwrap();
    queue.producer(NUMBERS).unwrap().send_batch(numbers).unwrap();
    queue
}

fn numbers(queue: &Queue) -> ConsumerBuilder<u64> {
    queue.consumer(NUMBERS, "g").retry(AT_ONCE)
}

/// Tells what a handler gets.
fn tell<T>() -> (Sender<T>, impl Fn() -> T) {
    let (told, heard) = channel();
    (told, move || heard.recv_timeout(SOON).unwrap())
}

/// What a worker tells of, in words.
fn in_words(event: &WorkerEvent<'_>) -> String {
    let place = |job: &Envelope| (job.message().queue_offset().get(), job.attempt());
    match event {
        WorkerEvent::Failed { job, error, .. } => {
            let why = error.map_or_else(|| "asked for it".to_owned(), ToString::to_string);
            format!("failed {:?}: {why}", place(job))
        }
        WorkerEvent::Panicked { job, message, .. } => format!("panic {:?}: {message}", place(job)),
        WorkerEvent::TimedOut { job, .. } => format!("late {:?}", place(job)),
        WorkerEvent::Undecodable { job, .. } => format!("undecodable {:?}", place(job)),
        WorkerEvent::SetAside { job, .. } => format!("aside {:?}", place(job)),
        WorkerEvent::Unsettled { job, error, .. } => {
            format!("unsettled {:?}: {:?}", place(job), error.kind())
        }
        other => panic!("{other:?}"),
    }
}

fn until(worker: &Worker, so: impl Fn(&WorkerStats) -> bool) -> WorkerStats {
    loop {
        let stats = worker.stats();
        if so(&stats) {
            return stats;
        }
        std::thread::yield_now();
    }
}

fn ends(worker: &Worker) {
    assert_eq!(worker.shutdown(SOON).unwrap().unfinished, []);
}

fn backlog(queue: &Queue) -> u64 {
    queue.group("g").unwrap().lag().unwrap().iter().map(|lag| lag.backlog).sum()
}

/// Lets a handler wait until the test says so.
struct Gate(Mutex<Receiver<()>>);

impl Gate {
    fn new() -> (Sender<()>, Self) {
        let (open, shut) = channel();
        (open, Self(Mutex::new(shut)))
    }

    fn pass(&self) {
        self.0.lock().unwrap().recv_timeout(SOON).unwrap();
    }
}
