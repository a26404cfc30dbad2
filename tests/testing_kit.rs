//! The queue for tests: its directory, its clock, its crashes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pocketmq::testing::TestQueue;
use pocketmq::{Consumer, Decode, Encode, ErrorKind, Flush, Queue, Raw, ReadOnly, Retry, Topic};

#[path = "support/testing_kit/crashes.rs"]
mod crashes;
#[path = "support/testing_kit/handlers.rs"]
mod handlers;

const NUMBERS: Topic<u64> = Topic::new("numbers");
const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const ALMOST: Duration = Duration::from_secs(3599);
/// Nobody waits so long, unless something is wrong.
const TOO_LONG: Duration = Duration::from_secs(30);

fn filled(numbers: impl IntoIterator<Item = u64>) -> TestQueue {
    let queue = TestQueue::new().unwrap();
    send(&queue, numbers);
    queue
}

fn send(queue: &Queue, numbers: impl IntoIterator<Item = u64>) {
    let producer = queue.producer(NUMBERS).unwrap();
    for number in numbers {
        producer.send(&number).unwrap();
    }
}

fn closed<T: std::fmt::Debug>(result: pocketmq::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn each_queue_has_a_directory_of_its_own_that_goes_with_it() {
    let (one, other) = (filled([1]), filled([2]));
    assert_eq!(one.sent(NUMBERS).unwrap(), [1]);
    assert_eq!(other.sent(NUMBERS).unwrap(), [2]);
    let dir = one.dir().to_path_buf();
    assert!(ReadOnly::open(&dir).unwrap().is_live());
    let (left, producer) = (Queue::clone(&one), one.producer(NUMBERS).unwrap());
    drop(one);
    assert!(!dir.exists() && !dir.parent().unwrap().exists());
    closed(producer.send(&3));
    closed(left.stats());
    assert!(other.dir().exists());
}

#[test]
fn its_options_are_those_that_were_given_after_a_crash_too() {
    let mut queue = TestQueue::with(Queue::options().default_queues(3)).unwrap();
    send(&queue, [1]);
    queue.crash_and_reopen().unwrap();
    queue.producer(Topic::<u64>::new("more")).unwrap().send(&1).unwrap();
    let topics = queue.topics().unwrap();
    assert_eq!(topics, [("more".to_owned(), 3), ("numbers".to_owned(), 3)]);
    let refused = TestQueue::with(Queue::options().default_queues(0)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn what_was_sent_is_shown_in_the_order_it_was_stored_and_stays() {
    let queue = TestQueue::with(Queue::options().default_queues(4)).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    for number in 0..100 {
        producer.message(&number).queue(u32::try_from(number % 3).unwrap()).send().unwrap();
    }
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    consumer.recv(NOW).unwrap().unwrap().ack().unwrap();
    let held = consumer.recv(NOW).unwrap().unwrap();
    let all: Vec<u64> = (0..100).collect();
    assert_eq!(queue.sent(NUMBERS).unwrap(), all);
    assert_eq!(queue.sent(NUMBERS).unwrap(), all);
    assert_eq!(held.attempt(), 1);
    held.ack().unwrap();
    assert_eq!(queue.group("g").unwrap().lag().unwrap().iter().map(|l| l.backlog).sum::<u64>(), 98);
    assert!(queue.sent(Topic::<u64>::new("nobody")).unwrap().is_empty());
    assert_eq!(queue.topics().unwrap().len(), 1, "a look makes no topic");
}

#[test]
fn what_cannot_be_shown_is_an_error() {
    let queue = filled([]);
    queue.producer(Topic::<[u8], Raw>::new("numbers")).unwrap().send(b"no number").unwrap();
    let kind = |name| queue.sent(Topic::<u64>::named(name).unwrap()).unwrap_err().kind();
    assert_eq!(kind("numbers"), ErrorKind::InvalidArgument);
    let kind = queue.sent(Topic::<u64>::new("../x")).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::InvalidArgument);
    let kind = queue.drain(NUMBERS, "no group").unwrap_err().kind();
    assert_eq!(kind, ErrorKind::InvalidArgument);
    queue.close().unwrap();
    closed(queue.sent(NUMBERS));
    closed(queue.drain(NUMBERS, "g"));
}

#[test]
fn draining_takes_what_is_there_now_as_the_group_wants_it() {
    let queue = filled([]);
    let producer = queue.producer(NUMBERS).unwrap();
    for number in 0..6 {
        producer.message(&number).tag(if number % 2 == 0 { "even" } else { "odd" }).send().unwrap();
    }
    let consumer = queue.consumer(NUMBERS, "g").filter_tag("even").unwrap();
    let consumer = consumer.retry(Retry::fixed(HOUR)).pull().unwrap();
    consumer.recv(NOW).unwrap().unwrap().fail().unwrap();
    let held = consumer.recv(NOW).unwrap().unwrap();
    assert_eq!(queue.drain(NUMBERS, "g").unwrap(), [4]);
    queue.advance(HOUR);
    assert_eq!(queue.drain(NUMBERS, "g").unwrap(), [0]);
    held.ack().unwrap();
    assert_eq!(queue.drain(NUMBERS, "g").unwrap(), [0; 0]);
    assert_eq!(queue.drain(NUMBERS, "other").unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let mut queue = TestQueue::new().unwrap();
    let begin = UNIX_EPOCH + 1_000_000 * SECOND;
    queue.set_wall(begin);
    send(&queue, [1, 2]);
    queue.advance(Duration::from_micros(1500));
    queue.advance(Duration::from_micros(1500));
    send(&queue, [3]);
    queue.reopen().unwrap();
    send(&queue, [4]);
    queue.crash_and_reopen().unwrap();
    queue.advance(HOUR);
    send(&queue, [5]);
    queue.set_wall(begin + 3 * HOUR);
    send(&queue, [6]);
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    let stored: Vec<Duration> = consumer
        .recv_batch(9, NOW)
        .unwrap()
        .iter()
        .map(|d| d.message().stored_at().duration_since(begin).unwrap())
        .collect();
    let ms = Duration::from_millis(3);
    assert_eq!(stored, [NOW, NOW, ms, ms, HOUR + ms, 3 * HOUR]);
}

#[test]
fn setting_the_wall_clock_makes_nothing_due() {
    let queue = filled([1]);
    let consumer = queue.consumer(NUMBERS, "g").retry(Retry::fixed(HOUR)).pull().unwrap();
    consumer.recv(NOW).unwrap().unwrap().fail().unwrap();
    queue.set_wall(SystemTime::UNIX_EPOCH + 40 * 365 * 24 * HOUR);
    assert!(consumer.recv(NOW).unwrap().is_none());
    queue.advance(HOUR);
    assert_eq!(consumer.recv(NOW).unwrap().unwrap().attempt(), 2);
}

/// A thread that receives once, and says what it got. Returns when it sleeps.
fn receiver(
    consumer: &Consumer<u64>,
    name: &str,
    timeout: Duration,
) -> Receiver<Option<(u64, u32)>> {
    let (said, heard) = channel();
    let consumer = consumer.clone();
    let job = move || {
        let got = consumer.recv(timeout).unwrap();
        let _ = said.send(got.map(|d| (*d, d.attempt())));
    };
    thread::Builder::new().name(name.to_owned()).spawn(job).unwrap();
    while !sleeps(name) {
        thread::yield_now();
    }
    heard
}

/// Whether the thread of that name sleeps.
fn sleeps(name: &str) -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(Result::ok).any(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.split_once(&format!("({name}) ")).is_some_and(|(_, rest)| rest.starts_with('S'))
    })
}

#[test]
fn a_thread_that_sleeps_learns_that_a_message_is_due() {
    let queue = filled([7]);
    let consumer = queue.consumer(NUMBERS, "g").retry(Retry::fixed(HOUR)).pull().unwrap();
    consumer.recv(NOW).unwrap().unwrap().fail().unwrap();
    let heard = receiver(&consumer, "due", 2 * HOUR);
    queue.advance(ALMOST);
    assert!(heard.try_recv().is_err());
    queue.advance(SECOND);
    assert_eq!(heard.recv_timeout(TOO_LONG).unwrap(), Some((7, 2)));
}

#[test]
fn a_thread_that_sleeps_learns_that_a_lease_is_over() {
    let queue = filled([7]);
    let consumer = queue.consumer(NUMBERS, "g").lease(HOUR).pull().unwrap();
    let held = consumer.recv(NOW).unwrap().unwrap();
    let heard = receiver(&consumer, "lease", 2 * HOUR);
    queue.advance(HOUR);
    assert_eq!(heard.recv_timeout(TOO_LONG).unwrap(), Some((7, 2)));
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
}

#[test]
fn a_timeout_is_over_when_the_time_is_moved_or_really_passes() {
    let queue = filled([]);
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    // With the clock standing still.
    assert!(consumer.recv(Duration::from_millis(20)).unwrap().is_none());
    let heard = receiver(&consumer, "timeout", HOUR);
    queue.advance(ALMOST);
    assert!(heard.try_recv().is_err());
    queue.advance(SECOND);
    assert_eq!(heard.recv_timeout(TOO_LONG).unwrap(), None);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_future_is_woken_when_its_time_has_come() {
    let queue = filled([7]);
    let consumer = queue.consumer(NUMBERS, "g").retry(Retry::fixed(SECOND)).pull().unwrap();
    let failing = consumer.recv(NOW).unwrap().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let times = || woken.0.load(Ordering::SeqCst);

    let mut due = pin!(consumer.recv_async(HOUR));
    assert!(due.as_mut().poll(&mut context).is_pending());
    failing.fail().unwrap();
    assert!(due.as_mut().poll(&mut context).is_pending(), "it is not due yet");
    let before = times();
    queue.advance(SECOND);
    assert_eq!(times(), before + 1);
    let Poll::Ready(Ok(Some(delivery))) = due.as_mut().poll(&mut context) else {
        panic!("it is due")
    };
    assert_eq!((*delivery, delivery.attempt()), (7, 2));

    let mut late = pin!(consumer.recv_batch_async(9, HOUR));
    assert!(late.as_mut().poll(&mut context).is_pending());
    queue.advance(HOUR);
    assert_eq!(times(), before + 2);
    assert!(matches!(late.as_mut().poll(&mut context), Poll::Ready(Ok(none)) if none.is_empty()));
}

#[test]
fn a_durable_send_waits_for_the_disk_whatever_the_clock_does() {
    let queue = TestQueue::with(Queue::options().flush(Flush::Sync)).unwrap();
    thread::scope(|scope| {
        let sender = scope.spawn(|| send(&queue, 0..200));
        while !sender.is_finished() {
            queue.advance(HOUR);
            thread::yield_now();
        }
    });
    assert_eq!(queue.drain(NUMBERS, "g").unwrap().len(), 200);
}

/// Wakes a thread that waits for a future.
struct Unparks(thread::Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_ticket_that_is_awaited_waits_for_the_disk_whatever_the_clock_does() {
    let queue = TestQueue::with(Queue::options().flush(Flush::Sync)).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    let waker = Waker::from(Arc::new(Unparks(thread::current())));
    let mut context = Context::from_waker(&waker);
    for number in 0..100 {
        let mut ticket = pin!(producer.submit(&number).unwrap());
        queue.advance(HOUR);
        let outcome = loop {
            match ticket.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => break outcome,
                Poll::Pending => thread::park(),
            }
        };
        outcome.unwrap();
    }
}

#[test]
fn what_is_flushed_now_and_then_is_flushed_when_the_time_is_moved() {
    let interval = Duration::from_millis(500);
    let queue = TestQueue::with(Queue::options().flush(Flush::Sync)).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    for number in 0..3 {
        let before: Vec<u64> = (0..number).collect();
        producer.message(&number).flush(Flush::Async { interval }).send().unwrap();
        assert_eq!(queue.sent(NUMBERS).unwrap(), before, "it is shown, and not durable");
        // More than once, if the last flush has not ended yet: the next one is counted from there.
        while queue.sent(NUMBERS).unwrap() == before {
            queue.advance(interval);
            thread::yield_now();
        }
    }
}

/// Bytes of one number.
struct Byte;

impl Encode<u8> for Byte {
    fn encode(value: &u8, out: &mut Vec<u8>) -> Result<(), pocketmq::CodecError> {
        out.push(*value);
        Ok(())
    }
}

impl Decode<u8> for Byte {
    type Owned = u8;
    fn decode(body: &[u8]) -> Result<u8, pocketmq::CodecError> {
        body.first().copied().ok_or_else(|| "nothing".into())
    }
}

#[test]
fn codecs_of_ones_own_are_fine() {
    const BYTES: Topic<u8, Byte> = Topic::new("bytes");
    let queue = TestQueue::new().unwrap();
    queue.producer(BYTES).unwrap().send_batch([3, 1, 2]).unwrap();
    assert_eq!(queue.sent(BYTES).unwrap(), [3, 1, 2]);
    assert_eq!(queue.drain(BYTES, "g").unwrap(), [3, 1, 2]);
}
