//! Consuming without threads, on tokio, on smol, on a small executor, and polled by hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cancel;
mod control;
mod handlers;
mod runtimes;
#[cfg(feature = "stream")]
mod stream;
mod subscribing;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use pocketmq::{Consumer, ConsumerBuilder, Control, Queue, Raw, Retry, Topic};

const JOBS: Topic<[u8], Raw> = Topic::new("jobs");
const LONG: Duration = Duration::from_secs(3600);

fn filled(count: u8) -> Queue {
    let queue = Queue::in_memory().unwrap();
    fill(&queue, count);
    queue
}

fn fill(queue: &Queue, count: u8) {
    let producer = queue.producer(JOBS).unwrap();
    for n in 0..count {
        producer.send(&[n]).unwrap();
    }
}

/// What failed comes again at once.
fn workers(queue: &Queue) -> ConsumerBuilder<[u8], Raw> {
    queue.consumer(JOBS, "workers").retry(Retry::fixed(Duration::ZERO))
}

fn puller(queue: &Queue) -> Consumer<[u8], Raw> {
    workers(queue).pull().unwrap()
}

/// What there is for somebody else: the bodies, and which attempt each is.
fn left(queue: &Queue) -> Vec<(u8, u32)> {
    let rest = puller(queue).recv_batch(1000, Duration::ZERO).unwrap();
    let mut left: Vec<_> =
        rest.iter().map(|job| (*job.body().first().unwrap(), job.attempt())).collect();
    left.sort_unstable();
    left
}

/// Counts how often it was woken.
#[derive(Default)]
struct Rung(AtomicUsize);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future whose polls the test counts out.
struct ByHand<F> {
    future: Pin<Box<F>>,
    rung: Arc<Rung>,
}

impl<F: Future> ByHand<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), rung: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.rung));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls as long as it asks for that.
    fn settle(&mut self) -> Poll<F::Output> {
        loop {
            let before = self.rings();
            let polled = self.poll();
            if polled.is_ready() || self.rings() == before {
                return polled;
            }
        }
    }

    fn rings(&self) -> usize {
        self.rung.0.load(Ordering::SeqCst)
    }
}

/// Goes on at the next poll.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets everybody else run until so many messages are done.
async fn handled(control: &Control, count: u64) {
    while control.stats().handled < count {
        tokio::task::yield_now().await;
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Tells when it is dropped.
struct Told(Arc<AtomicUsize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
