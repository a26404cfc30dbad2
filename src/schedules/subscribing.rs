//! Subscribers that sleep: every message wakes every one of them, and so do a close and a failure; memory is kept for them.

use std::time::Duration;

use super::sleeping::block_on;
use super::*;
use crate::ErrorKind;
use crate::consumer::Start;
use crate::io::memory::Memory;
use crate::options::LONGEST_WAIT;
use crate::subscription::{Subscription, SubscriptionBuilder};
use crate::sync::thread::{self, JoinHandle};

fn subscribe(engine: &Arc<Engine>) -> SubscriptionBuilder<[u8], Raw> {
    SubscriptionBuilder::new(engine, crate::Topic::new("t")).start(Start::Earliest)
}

/// Sees so many, in order.
fn see(subscription: &mut Subscription<[u8], Raw>, count: u8) {
    for number in 0..count {
        let event = subscription.recv(LONGEST_WAIT).unwrap().unwrap();
        assert_eq!((event[0], event.missed_before()), (number, 0));
    }
}

/// As [`see`], without a thread of its own.
async fn see_async(subscription: &mut Subscription<[u8], Raw>, count: u8) {
    for number in 0..count {
        let event = subscription.recv_async(LONGEST_WAIT).await.unwrap().unwrap();
        assert_eq!((event[0], event.missed_before()), (number, 0));
    }
}

fn send(engine: &Arc<Engine>, count: u8) -> JoinHandle<()> {
    let producer = producer(engine);
    thread::spawn(move || {
        for number in 0..count {
            producer.send(&[number]).unwrap();
        }
    })
}

/// Two messages, of which the last has nobody behind it who would make up for a wake-up that was lost.
fn everybody_sees_all(flush: Flush) {
    explore(move || {
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let subscribers = [None, Some("n")].map(|name| {
            let builder = subscribe(&engine);
            let builder = if let Some(name) = name { builder.name(name) } else { builder };
            let mut subscription = builder.open().unwrap();
            let future = model::choose(2) == 0;
            thread::spawn(move || match future {
                true => block_on(see_async(&mut subscription, 2)),
                false => see(&mut subscription, 2),
            })
        });
        let sender = send(&engine, 2);
        for thread in subscribers.into_iter().chain([sender]) {
            thread.join().unwrap();
        }
        engine.close().unwrap();
    });
}

#[test]
fn a_message_that_comes_while_subscribers_go_to_sleep_wakes_them_all() {
    everybody_sees_all(Flush::default());
}

#[test]
fn a_message_that_becomes_durable_while_subscribers_go_to_sleep_wakes_them_all() {
    everybody_sees_all(Flush::Sync);
}

#[test]
fn a_close_ends_a_subscriber_that_goes_to_sleep() {
    explore(|| {
        let flush = if model::choose(2) == 0 { Flush::Sync } else { Flush::default() };
        let (disk, _) = Disk::watched();
        let engine = open(disk, &options(flush));
        let subscription = subscribe(&engine).open().unwrap();
        let subscriber =
            thread::spawn(move || subscription.map(|event| drop(event.unwrap())).count());
        let sender = producer(&engine);
        let sender = thread::spawn(move || sender.send(b"m").is_ok());
        engine.close().unwrap();
        let sent = sender.join().unwrap();
        assert!(subscriber.join().unwrap() <= usize::from(sent));
    });
}

#[test]
fn a_failure_ends_a_subscriber_that_goes_to_sleep() {
    explore(|| {
        let engine = open(Disk::watched().0, &options(Flush::default()));
        let idle = [0, 0, 0, 0].map(|_| {
            let mut idle = subscribe(&engine).open().unwrap();
            let future = model::choose(2) == 0;
            thread::spawn(move || match future {
                true => block_on(idle.recv_async(LONGEST_WAIT)).unwrap_err().kind(),
                false => idle.recv(LONGEST_WAIT).unwrap_err().kind(),
            })
        });
        // At once: a disk that fails takes many more steps, and few schedules fit a look between the right two of them.
        engine.store().poisoned_by(crate::Error::invalid("the test says so"));
        for idle in idle {
            assert_eq!(idle.join().unwrap(), ErrorKind::Poisoned);
        }
        engine.close().unwrap_err();
    });
}

#[test]
fn memory_that_a_subscriber_begins_with_is_not_given_back_while_it_comes() {
    explore(|| {
        let options =
            Options { volatile: true, ..options(Flush::default()) }.segment_size(16 << 10);
        let engine = open(Arc::new(Memory::new(None)), &options);
        let mut first = subscribe(&engine).open().unwrap();
        let first = thread::spawn(move || see(&mut first, 8));
        let late = thread::spawn({
            let engine = Arc::clone(&engine);
            // Again and again, so that one comes while something is given back.
            move || {
                for _ in 0..20 {
                    let mut late = subscribe(&engine).open().unwrap();
                    thread::yield_now();
                    let event = late.recv(Duration::ZERO).unwrap();
                    assert_eq!(event.map_or(0, |event| event.missed_before()), 0);
                }
            }
        });
        let producer = producer(&engine);
        for number in 0..8 {
            // Three of these fill a segment.
            producer.send(&[number; 5000]).unwrap();
        }
        first.join().unwrap();
        late.join().unwrap();
        engine.close().unwrap();
    });
}
