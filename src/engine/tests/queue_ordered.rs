//! Groups that are ordered by queue: whose a queue is, what is received of it and when, and what becomes of it when its consumer does not answer.

use super::*;
use crate::clock::ManualClock;
use crate::consumer::{Consumer, ConsumerBuilder, Delivery};
use crate::{Retry, Strategy, Topic};

mod checker;
mod crashes;
mod joining;

type Bytes = Consumer<[u8], Raw>;
type Got = Delivery<Box<[u8]>>;

const SECOND: Duration = Duration::from_secs(1);

/// A topic with so many queues, and time that is moved by hand.
fn engine(queues: u32) -> (Arc<Engine>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let options = Options { background: false, ..Options::default() };
    let (storage, watched) = (Arc::new(Memory::new(None)), Arc::clone(&clock));
    let engine = Engine::open_on(storage, watched, Path::new("/q"), &options).unwrap();
    engine.store().create_topic("t", queues, true).unwrap();
    (engine, clock)
}

fn builder(engine: &Arc<Engine>) -> ConsumerBuilder<[u8], Raw> {
    let builder = ConsumerBuilder::new(engine, Topic::<[u8], Raw>::new("t"), "g");
    builder.ordered_by_queue().retry(Retry::fixed(10 * SECOND))
}

fn member(engine: &Arc<Engine>) -> Bytes {
    builder(engine).pull().unwrap()
}

fn send(engine: &Arc<Engine>, queue: u32, numbers: std::ops::Range<u8>) {
    let producer = producer(engine);
    for number in numbers {
        producer.message(&[number]).queue(queue).send().unwrap();
    }
}

fn queues(consumer: &Bytes) -> Vec<u32> {
    consumer.queues().into_iter().map(Into::into).collect()
}

fn next(consumer: &Bytes) -> Option<Got> {
    consumer.recv(Duration::ZERO).unwrap()
}

fn number(delivery: Option<&Got>) -> Option<u8> {
    delivery.map(|delivery| delivery.body()[0])
}

fn batch(consumer: &Bytes) -> Vec<Got> {
    consumer.recv_batch(100, Duration::ZERO).unwrap()
}

fn numbers(batch: &[Got]) -> Vec<u8> {
    batch.iter().map(|delivery| delivery.body()[0]).collect()
}

#[test]
fn a_message_comes_when_the_one_before_it_is_settled_and_other_queues_go_on() {
    let (engine, _) = engine(2);
    send(&engine, 0, 0..2);
    send(&engine, 1, 10..12);
    let consumer = member(&engine);
    let (first, other) = (next(&consumer).unwrap(), next(&consumer).unwrap());
    let mut both = [number(Some(&first)), number(Some(&other))];
    both.sort_unstable();
    assert_eq!(both, [Some(0), Some(10)]);
    assert!(next(&consumer).is_none());
    first.ack().unwrap();
    let second = next(&consumer).unwrap();
    assert!(next(&consumer).is_none());
    drop(second);
    let second = next(&consumer).unwrap();
    assert_eq!((number(Some(&second)), second.attempt()), (Some(1), 1));
    second.ack().unwrap();
    other.ack().unwrap();
    assert_eq!(number(next(&consumer).as_ref()), Some(11));
}

#[test]
fn a_batch_holds_several_of_a_queue_in_order_and_nothing_else_of_it_comes_meanwhile() {
    let (engine, _) = engine(1);
    send(&engine, 0, 0..4);
    let consumer = member(&engine);
    let mut held = consumer.recv_batch(3, Duration::ZERO).unwrap();
    assert_eq!(numbers(&held), [0, 1, 2]);
    assert!(next(&consumer).is_none());
    held.remove(0).ack().unwrap();
    assert!(next(&consumer).is_none());
    consumer.ack_all(held).unwrap();
    assert_eq!(number(next(&consumer).as_ref()), Some(3));
}

#[test]
fn the_queue_waits_for_a_message_that_failed() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..2);
    let consumer = member(&engine);
    next(&consumer).unwrap().fail().unwrap();
    assert!(next(&consumer).is_none());
    clock.advance(9 * SECOND);
    assert!(next(&consumer).is_none());
    clock.advance(SECOND);
    let again = next(&consumer).unwrap();
    assert_eq!((number(Some(&again)), again.attempt()), (Some(0), 2));
    again.snooze(60 * SECOND).unwrap();
    clock.advance(59 * SECOND);
    assert!(next(&consumer).is_none());
    clock.advance(SECOND);
    next(&consumer).unwrap().ack().unwrap();
    assert_eq!(number(next(&consumer).as_ref()), Some(1));
}

#[test]
fn one_that_is_dropped_again_and_again_keeps_its_queue_waiting_too() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..2);
    let consumer = member(&engine);
    for _ in 0..17 {
        assert_eq!(number(next(&consumer).as_ref()), Some(0));
    }
    assert!(next(&consumer).is_none());
    clock.advance(SECOND);
    assert_eq!(number(next(&consumer).as_ref()), Some(0));
}

#[test]
fn a_message_that_is_set_aside_lets_those_behind_it_pass() {
    let (engine, _) = engine(1);
    send(&engine, 0, 0..2);
    let consumer = builder(&engine).retry(Retry::never()).pull().unwrap();
    next(&consumer).unwrap().fail().unwrap();
    assert_eq!(number(next(&consumer).as_ref()), Some(1));
}

#[test]
fn what_fails_in_a_batch_takes_back_those_behind_it() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..4);
    let consumer = member(&engine);
    let mut held = batch(&consumer);
    held.remove(1).fail().unwrap();
    assert_eq!(held.remove(1).ack().unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(held.remove(1).fail().unwrap_err().kind(), ErrorKind::Stale);
    assert!(next(&consumer).is_none());
    held.remove(0).ack().unwrap();
    assert!(next(&consumer).is_none(), "the one that failed waits");
    clock.advance(10 * SECOND);
    let held = batch(&consumer);
    assert_eq!(numbers(&held), [1, 2, 3]);
    assert_eq!(held.iter().map(Got::attempt).collect::<Vec<_>>(), [2, 1, 1]);
    drop(held);
    assert_eq!(numbers(&batch(&consumer)), [1, 2, 3]);
}

#[test]
fn a_lease_that_ends_takes_back_those_behind_it_and_leaves_those_before_it() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..3);
    let consumer = builder(&engine).lease(5 * SECOND).pull().unwrap();
    let mut held = batch(&consumer);
    held[0].extend(60 * SECOND).unwrap();
    held[2].extend(60 * SECOND).unwrap();
    clock.advance(5 * SECOND);
    assert!(next(&consumer).is_none());
    assert_eq!(held.remove(2).ack().unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(held.remove(1).ack().unwrap_err().kind(), ErrorKind::Stale);
    held.remove(0).ack().unwrap();
    let held = batch(&consumer);
    assert_eq!(numbers(&held), [1, 2]);
    assert_eq!(held.iter().map(Got::attempt).collect::<Vec<_>>(), [2, 1]);
}

#[cfg(feature = "json")]
#[test]
fn a_message_that_does_not_decode_takes_back_those_behind_it() {
    let (engine, clock) = engine(1);
    producer(&engine).send_batch([&b"1"[..], b"no", b"3"]).unwrap();
    let numbers = Topic::<u64>::new("t");
    let consumer = ConsumerBuilder::new(&engine, numbers, "g").ordered_by_queue();
    let consumer = consumer.retry(Retry::fixed(SECOND).max_attempts(2)).pull().unwrap();
    let mut held = consumer.recv_batch(9, Duration::ZERO).unwrap();
    assert_eq!(held.iter().map(|held| **held).collect::<Vec<_>>(), [1]);
    held.remove(0).ack().unwrap();
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    clock.advance(SECOND);
    assert_eq!(*consumer.recv(Duration::ZERO).unwrap().unwrap(), 3, "after the last attempt");
}

#[test]
fn what_the_filter_does_not_want_holds_nothing_up() {
    let (engine, _) = engine(1);
    let producer = producer(&engine);
    for number in 0..9_u8 {
        let body = [number];
        producer.message(&body).property("n", i64::from(number % 3)).send().unwrap();
    }
    let consumer = builder(&engine).filter_sql("n = 1").unwrap().pull().unwrap();
    let held = batch(&consumer);
    assert_eq!(numbers(&held), [1, 4, 7]);
    drop(held);
    for expected in [1, 4, 7] {
        let delivery = next(&consumer).unwrap();
        assert_eq!(number(Some(&delivery)), Some(expected));
        assert!(next(&consumer).is_none());
        delivery.ack().unwrap();
    }
}

#[test]
fn the_order_is_kept_over_a_restart() {
    let disk = Arc::new(Memory::new(None));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let options = Options { background: false, ..Options::default() };
    let open = || {
        let clock = Arc::clone(&clock);
        Engine::open_on(Arc::clone(&disk) as _, clock, Path::new("/q"), &options).unwrap()
    };
    let engine = open();
    engine.store().create_topic("t", 1, true).unwrap();
    send(&engine, 0, 0..3);
    let consumer = member(&engine);
    next(&consumer).unwrap().ack().unwrap();
    next(&consumer).unwrap().fail().unwrap();
    engine.close().unwrap();
    let engine = open();
    let consumer = member(&engine);
    assert!(next(&consumer).is_none(), "it waits for its time");
    clock.advance(10 * SECOND);
    let again = next(&consumer).unwrap();
    assert_eq!((number(Some(&again)), again.attempt()), (Some(1), 2));
    assert!(next(&consumer).is_none());
    again.ack().unwrap();
    assert_eq!(number(next(&consumer).as_ref()), Some(2));
    engine.close().unwrap();
}

#[test]
fn a_group_that_is_moved_goes_on_where_it_was_moved_to() {
    let (engine, _) = engine(1);
    send(&engine, 0, 0..3);
    let consumer = member(&engine);
    let held = batch(&consumer);
    engine.dispatches()[0].seek(&[(0, 1)]).unwrap();
    let mut again = batch(&consumer);
    assert_eq!(numbers(&again), [1, 2]);
    for old in held {
        assert_eq!(old.ack().unwrap_err().kind(), ErrorKind::Stale);
    }
    assert!(next(&consumer).is_none(), "the old ones do not free the queue");
    again.remove(0).ack().unwrap();
    again.remove(0).ack().unwrap();
}
