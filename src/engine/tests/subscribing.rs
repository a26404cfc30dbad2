//! Subscribers that sleep, and what they may see.

use super::*;
use crate::subscription::{Subscription, SubscriptionBuilder};

const LONG: Duration = Duration::from_secs(600);

fn subscribe(engine: &Arc<Engine>) -> Subscription<[u8], Raw> {
    SubscriptionBuilder::new(engine, crate::Topic::new("t")).start(Start::Earliest).open().unwrap()
}

/// Until so many sleep.
fn until_asleep(engine: &Arc<Engine>, count: usize) {
    let topic = engine.store().topic("t").unwrap();
    while topic.sleepers() < count {
        std::thread::yield_now();
    }
}

#[test]
fn every_subscriber_that_sleeps_is_woken_by_every_message() {
    let engine = Engine::in_memory(&Options::default()).unwrap();
    let producer = producer(&engine);
    let mut subscribers = [0, 0, 0].map(|_| subscribe(&engine));
    for n in 0..20 {
        std::thread::scope(|scope| {
            let waiting = subscribers.each_mut().map(|s| scope.spawn(|| s.recv(LONG)));
            until_asleep(&engine, 3);
            producer.send(&[n]).unwrap();
            for thread in waiting {
                assert_eq!(**thread.join().unwrap().unwrap().unwrap(), [n]);
            }
        });
    }
}

#[test]
fn a_close_ends_a_subscriber_that_sleeps() {
    let engine = Engine::in_memory(&Options::default()).unwrap();
    let mut subscription = subscribe(&engine);
    let sleeper = std::thread::spawn(move || subscription.next().is_none());
    until_asleep(&engine, 1);
    engine.close().unwrap();
    assert!(sleeper.join().unwrap());
}

#[test]
fn a_failure_wakes_a_subscriber_that_sleeps() {
    let (engine, gate) = gated(Flush::Sync, LONG);
    let subscription = subscribe(&engine);
    let sleeper = std::thread::spawn(move || {
        let said = subscription.map(|event| event.map(drop).map_err(|e| e.kind()));
        said.collect::<Vec<_>>()
    });
    until_asleep(&engine, 1);
    gate.break_open();
    let other: Producer<[u8], Raw> = Producer::new(&engine, engine.store().topic("other").unwrap());
    other.send(b"m").unwrap_err();
    assert_eq!(sleeper.join().unwrap(), [Err(ErrorKind::Poisoned)]);
}

#[test]
fn nobody_sees_a_message_before_it_is_durable_in_a_synchronous_store() {
    let (engine, gate) = gated(Flush::Sync, LONG);
    let mut subscription = subscribe(&engine);
    let producer = producer(&engine);
    producer.send(b"durable").unwrap();
    gate.set(true);
    let ticket = producer.submit(b"late").unwrap();
    gate.wait_until_somebody_waits();
    assert_eq!(**subscription.recv(Duration::ZERO).unwrap().unwrap(), *b"durable");
    assert!(subscription.recv(Duration::ZERO).unwrap().is_none());
    assert!(subscription.recv(Duration::from_millis(5)).unwrap().is_none());
    gate.set(false);
    assert_eq!(**subscription.recv(LONG).unwrap().unwrap(), *b"late");
    assert!(ticket.wait().unwrap().durable);
}

#[test]
fn a_queue_that_cannot_be_read_holds_up_no_other_and_is_seen_later() {
    let gate = Arc::new(Gate::default());
    let storage = Gated { inner: Memory::new(None), gate: Arc::clone(&gate) };
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let engine = open(Arc::clone(&storage), Flush::default(), LONG);
    engine.store().create_topic("t", 3, true).unwrap();
    for _ in 0..9 {
        producer(&engine).send(b"m").unwrap();
    }
    engine.close().unwrap();
    let engine = open(storage, Flush::default(), LONG);
    let mut subscription = subscribe(&engine);
    gate.unreadable.store(true, Ordering::SeqCst);
    let mut seen = 0;
    for _ in 0..20 {
        match subscription.recv(Duration::ZERO) {
            Ok(found) => seen += usize::from(found.is_some()),
            Err(e) => assert_eq!(e.kind(), ErrorKind::Io),
        }
    }
    assert_eq!(seen, 6, "those of the two other queues");
    gate.unreadable.store(false, Ordering::SeqCst);
    while let Some(event) = subscription.recv(Duration::ZERO).unwrap() {
        assert_eq!((event.message().queue().get(), event.missed_before()), (0, 0));
        seen += 1;
    }
    assert_eq!(seen, 9);
}
