//! What becomes of a message in a consumer's hands, with a clock that is moved by hand: leases, attempts, back-offs, deaths.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use pocketmq::testing::TestQueue;
use pocketmq::{
    Consumer, ConsumerBuilder, Delivery, ErrorKind, GroupStats, Queue, Raw, Retry, Topic,
};

#[path = "support/leases/filters.rs"]
mod filters;
#[path = "support/leases/survive.rs"]
mod survive;
#[path = "support/leases/terms.rs"]
mod terms;
#[path = "support/leases/woken.rs"]
mod woken;

const JOBS: Topic<u64> = Topic::new("jobs");
const NOW: Duration = Duration::ZERO;
const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const ALMOST: Duration = Duration::from_millis(3_599_999);

fn filled(jobs: impl IntoIterator<Item = u64>) -> TestQueue {
    let queue = TestQueue::new().unwrap();
    queue.producer(JOBS).unwrap().send_batch(jobs).unwrap();
    queue
}

fn workers(queue: &Queue) -> ConsumerBuilder<u64> {
    queue.consumer(JOBS, "workers")
}

fn hourly(queue: &Queue) -> Consumer<u64> {
    workers(queue).retry(Retry::fixed(HOUR)).pull().unwrap()
}

fn next(consumer: &Consumer<u64>) -> Delivery<u64> {
    consumer.recv(NOW).unwrap().unwrap()
}

/// Moves the time on; until then there is nothing.
fn not_before(queue: &TestQueue, consumer: &Consumer<u64>, wait: Duration) {
    queue.advance(wait.saturating_sub(TICK));
    nothing(consumer);
    queue.advance(TICK);
}

fn nothing(consumer: &Consumer<u64>) {
    let got = consumer.recv(NOW).unwrap();
    assert!(got.is_none(), "{got:?}");
}

/// Value and attempt of everything that there is now; it is given back.
fn there(consumer: &Consumer<u64>) -> Vec<(u64, u32)> {
    let all = consumer.recv_batch(usize::MAX, NOW).unwrap();
    all.iter().map(|d| (**d, d.attempt())).collect()
}

fn stats(queue: &Queue) -> GroupStats {
    queue.stats().unwrap().groups.pop().unwrap()
}

/// Backlog, in flight, failed, set aside.
fn counts(queue: &Queue) -> (u64, u64, u64, u64) {
    let GroupStats { backlog, in_flight, failed, set_aside, .. } = stats(queue);
    (backlog, in_flight, failed, set_aside)
}

fn kind<T: std::fmt::Debug>(result: pocketmq::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn when_a_lease_ends_the_message_goes_to_the_next_at_once_and_the_old_delivery_is_stale() {
    let queue = filled(0..5);
    let consumer = workers(&queue).lease(HOUR).pull().unwrap();
    let mut held = consumer.recv_batch(5, NOW).unwrap();
    held.remove(0).ack().unwrap();
    not_before(&queue, &consumer, HOUR);
    let again = consumer.recv_batch(9, NOW).unwrap();
    let seen: Vec<_> = again.iter().map(|d| (**d, d.attempt())).collect();
    assert_eq!(seen, [(1, 2), (2, 2), (3, 2), (4, 2)]);
    assert_eq!(kind(held[0].extend(HOUR)), ErrorKind::Stale);
    assert_eq!(kind(held.remove(0).ack()), ErrorKind::Stale);
    assert_eq!(kind(held.remove(0).fail()), ErrorKind::Stale);
    assert_eq!(kind(held.remove(0).snooze(NOW)), ErrorKind::Stale);
    drop(held);
    nothing(&consumer);
    assert_eq!(counts(&queue), (4, 4, 4, 0));
    consumer.ack_all(again).unwrap();
    assert_eq!(counts(&queue), (0, 0, 0, 0));
}

#[test]
fn a_lease_begins_anew_with_each_delivery() {
    let queue = filled([1]);
    let consumer = workers(&queue).lease(HOUR).pull().unwrap();
    let mut held = next(&consumer);
    for attempt in 2..5 {
        not_before(&queue, &consumer, HOUR);
        let again = next(&consumer);
        assert_eq!(again.attempt(), attempt);
        held = again;
    }
    queue.advance(ALMOST);
    held.ack().unwrap();
    queue.advance(HOUR);
    nothing(&consumer);
}

#[test]
fn a_lease_that_is_extended_ends_when_the_extension_says() {
    let queue = filled([1, 2]);
    let consumer = workers(&queue).lease(HOUR).pull().unwrap();
    let held = consumer.recv_batch(2, NOW).unwrap();
    queue.advance(ALMOST);
    held[0].extend(2 * HOUR).unwrap();
    queue.advance(TICK);
    assert_eq!(there(&consumer), [(2, 2)]);
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(2, 2)]);
    held[0].extend(HOUR).unwrap();
    held[0].extend(SECOND).unwrap();
    queue.advance(SECOND);
    assert_eq!(there(&consumer), [(1, 2), (2, 2)], "an extension may be a shorter one");
}

#[test]
fn without_a_lease_a_message_may_be_held_as_long_as_it_takes() {
    let queue = filled([1, 2]);
    let consumer = workers(&queue).pull().unwrap();
    let held = consumer.recv_batch(2, NOW).unwrap();
    held[1].extend(HOUR).unwrap();
    queue.advance(ALMOST);
    nothing(&consumer);
    queue.advance(24 * 365 * HOUR);
    assert_eq!(there(&consumer), [(2, 2)]);
    consumer.ack_all(held.into_iter().take(1)).unwrap();
}

#[test]
fn a_message_that_failed_comes_back_after_its_time_and_not_before() {
    let queue = filled(0..3);
    let retry = Retry::exponential(SECOND, 4 * SECOND);
    let consumer = workers(&queue).retry(retry).pull().unwrap();
    next(&consumer).fail().unwrap();
    assert_eq!(there(&consumer), [(1, 1), (2, 1)], "the others do not wait");
    consumer.ack_all(consumer.recv_batch(9, NOW).unwrap()).unwrap();
    for (attempt, wait) in [(2, 1), (3, 2), (4, 4), (5, 4)] {
        not_before(&queue, &consumer, wait * SECOND);
        let again = next(&consumer);
        assert_eq!((*again, again.attempt()), (0, attempt));
        again.fail().unwrap();
    }
    queue.advance(4 * SECOND);
    next(&consumer).retry_after(HOUR).unwrap();
    not_before(&queue, &consumer, HOUR);
    assert_eq!(there(&consumer), [(0, 7)]);
}

#[test]
fn after_its_last_attempt_a_message_is_set_aside_and_counted() {
    let queue = filled(0..3);
    let retry = Retry::fixed(SECOND).max_attempts(2);
    let consumer = workers(&queue).retry(retry).lease(HOUR).pull().unwrap();
    let mut held = consumer.recv_batch(2, NOW).unwrap();
    held.remove(0).fail().unwrap();
    assert_eq!(counts(&queue), (3, 1, 1, 0));
    queue.advance(HOUR);
    // One failed, the other was held too long.
    let mut held = consumer.recv_batch(2, NOW).unwrap();
    assert_eq!(held.iter().map(|d| (**d, d.attempt())).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    held.remove(0).fail().unwrap();
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(2, 1)]);
    assert_eq!(counts(&queue), (3, 0, 0, 2));
    let aside = queue.group("workers").unwrap().set_aside().unwrap();
    let aside: Vec<_> = aside.iter().map(|a| (a.offset.get(), a.attempts, a.deaths)).collect();
    assert_eq!(aside, [(0, 2, 0), (1, 2, 0)]);

    assert_eq!(queue.group("workers").unwrap().retry_set_aside().unwrap(), 2);
    assert_eq!(counts(&queue), (3, 0, 0, 0));
    assert_eq!(there(&consumer), [(0, 1), (1, 1), (2, 1)], "with all their attempts");
    assert_eq!(queue.group("workers").unwrap().retry_set_aside().unwrap(), 0);
}

#[test]
fn a_snooze_comes_back_after_its_time_and_uses_no_attempt() {
    let queue = filled([1]);
    let consumer = workers(&queue).retry(Retry::fixed(SECOND).max_attempts(2)).pull().unwrap();
    for _ in 0..5 {
        next(&consumer).snooze(HOUR).unwrap();
        not_before(&queue, &consumer, HOUR);
        assert_eq!(there(&consumer), [(1, 1)]);
    }
    next(&consumer).fail().unwrap();
    queue.advance(SECOND);
    next(&consumer).snooze(HOUR).unwrap();
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(1, 2)]);
}

#[test]
fn sixteen_drops_are_free_and_use_no_attempt_and_then_it_waits_longer_and_longer() {
    let queue = filled([1]);
    let consumer = hourly(&queue);
    let drop_it = |times: u32| {
        for _ in 0..times {
            assert_eq!(there(&consumer), [(1, 1)]);
        }
    };
    drop_it(17);
    for wait in [10, 20, 40, 80] {
        not_before(&queue, &consumer, wait * TICK);
        drop_it(1);
    }
    // However often: ten seconds at most.
    for _ in 0..20 {
        queue.advance(10 * SECOND);
        drop_it(1);
    }
    not_before(&queue, &consumer, 10 * SECOND);
    next(&consumer).snooze(SECOND).unwrap();
    queue.advance(SECOND);
    drop_it(17);
    nothing(&consumer);
}

#[test]
fn a_panic_with_a_message_in_hand_is_a_failed_attempt() {
    let queue = filled([1]);
    let consumer = hourly(&queue);
    let handler = std::panic::AssertUnwindSafe(|| {
        let _held = next(&consumer);
        std::panic::resume_unwind(Box::new("the handler gives up"));
    });
    std::panic::catch_unwind(handler).unwrap_err();
    nothing(&consumer);
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(1, 2)]);
}

#[test]
fn a_message_that_does_not_decode_is_a_failed_attempt() {
    let queue = filled([]);
    queue.producer(Topic::<[u8], Raw>::new("jobs")).unwrap().send(b"no number").unwrap();
    queue.producer(JOBS).unwrap().send(&2).unwrap();
    let consumer = workers(&queue).retry(Retry::fixed(HOUR).max_attempts(2)).pull().unwrap();
    assert_eq!(there(&consumer), [(2, 1)]);
    assert_eq!(counts(&queue), (2, 0, 1, 0));
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(2, 1)]);
    assert_eq!(counts(&queue), (2, 0, 0, 1));
}
