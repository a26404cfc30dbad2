//! Receiving: several consumers, a store that stopped, a queue that cannot be read.

use std::mem::ManuallyDrop;
use std::thread::ThreadId;
use std::time::Instant;

use super::*;
use crate::consumer::{Consumer, ConsumerBuilder};
use crate::io::sim::{Fault, FaultKind, SimDisk};

fn consumer(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g").pull().unwrap()
}

/// Counts how often each thread asks for the time: a receiver does whenever it looks around.
#[derive(Debug, Default)]
struct Watched(Mutex<HashMap<ThreadId, usize>>);

impl Watched {
    /// Waits until so many threads have asked so often.
    fn wait_for(&self, threads: usize, times: usize) -> bool {
        let until = SystemClock.now() + Duration::from_secs(10);
        while SystemClock.now() < until {
            let main = std::thread::current().id();
            let asked = self.0.lock();
            let done = asked.iter().filter(|(id, n)| **id != main && **n >= times).count();
            drop(asked);
            if done >= threads {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Clock for Watched {
    fn wall_ms(&self) -> u64 {
        SystemClock.wall_ms()
    }

    fn now(&self) -> Instant {
        *self.0.lock().entry(std::thread::current().id()).or_default() += 1;
        SystemClock.now()
    }
}

#[test]
fn everybody_who_sleeps_learns_when_a_message_that_failed_is_due() {
    let clock = Arc::new(Watched::default());
    // No threads of its own: who asks for the time is a receiver.
    let options = Options { background: false, ..Options::default() };
    let storage = Arc::new(Memory::new(None));
    let watched: Arc<Watched> = Arc::clone(&clock);
    let engine = Engine::open_on(storage, watched, Path::new("/q"), &options).unwrap();
    producer(&engine).send(b"m").unwrap();
    let consumer = consumer(&engine);
    let failing = ManuallyDrop::new(consumer.recv(Duration::ZERO).unwrap().unwrap());
    assert_eq!(failing.body(), b"m");
    let dispatch = engine.dispatches().pop().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let consumer = consumer.clone();
            scope.spawn(move || consumer.recv(Duration::from_secs(3600)).map(drop));
        }
        // Once for the deadline, once under the dispatch's lock, which is free again when they sleep.
        assert!(clock.wait_for(3, 2));
        drop(dispatch.hold());
        clock.0.lock().clear();
        ManuallyDrop::into_inner(failing).fail().unwrap();
        let told = clock.wait_for(3, 1);
        engine.close().unwrap();
        assert!(told, "a receiver sleeps on, though a message is due long before its time is up");
    });
}

#[test]
fn iterating_over_a_store_that_stopped_says_so_once_and_ends() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    producer(&engine).send(b"m").unwrap();
    let consumer = consumer(&engine);
    engine.store().poisoned_by(crate::Error::invalid("the test says so"));
    let said: Vec<_> =
        consumer.iter().take(5).map(|got| got.map(drop).map_err(|e| e.kind())).collect();
    assert_eq!(said, [Err(ErrorKind::Poisoned)]);
    engine.close().unwrap_err();
    assert!(consumer.iter().next().is_none());
}

#[test]
fn what_a_store_that_stopped_cannot_make_durable_is_not_acknowledged() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    for _ in 0..3 {
        producer(&engine).send(b"m").unwrap();
    }
    let consumer = consumer(&engine);
    let mut got = consumer.recv_batch(3, Duration::ZERO).unwrap();
    engine.store().poisoned_by(crate::Error::invalid("the test says so"));
    let poisoned = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Poisoned);
    poisoned(got.remove(0).ack());
    poisoned(got.remove(0).ack_durable());
    poisoned(consumer.ack_all(got));
    assert_eq!(consumer.recv_batch(9, Duration::ZERO).unwrap().len(), 3, "given back");
}

#[test]
fn a_queue_that_cannot_be_read_does_not_hold_up_the_others() {
    let gate = Arc::new(Gate::default());
    let storage = Gated { inner: Memory::new(None), gate: Arc::clone(&gate) };
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let engine = open(Arc::clone(&storage), Flush::default(), Duration::from_secs(60));
    engine.store().create_topic("t", 3, true).unwrap();
    for _ in 0..9 {
        producer(&engine).send(b"m").unwrap();
    }
    engine.close().unwrap();
    let engine = open(storage, Flush::default(), Duration::from_secs(60));
    let consumer = consumer(&engine);
    gate.unreadable.store(true, Ordering::SeqCst);
    let (mut got, mut failed) = (Vec::new(), 0);
    for _ in 0..20 {
        match consumer.recv(Duration::ZERO) {
            Ok(found) => got.extend(found),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Io);
                failed += 1;
            }
        }
    }
    assert_eq!(got.len(), 6, "those of the two other queues; {failed} errors");
    gate.unreadable.store(false, Ordering::SeqCst);
    got.extend(consumer.recv_batch(9, Duration::ZERO).unwrap());
    assert_eq!(got.len(), 9);
}

#[test]
fn the_only_receiver_that_sleeps_is_woken() {
    // Without the flusher, which would have it look once more.
    let options = Options { background: false, ..Options::default() };
    let engine = Engine::in_memory(&options).unwrap();
    let (producer, consumer) = (producer(&engine), consumer(&engine));
    let topic = engine.store().topic("t").unwrap();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| consumer.recv(Duration::from_secs(600)));
            while topic.sleepers() == 0 {
                std::thread::yield_now();
            }
            producer.send(b"m").unwrap();
            receiver.join().unwrap().unwrap().unwrap().ack().unwrap();
        });
    }
}

#[test]
fn who_is_woken_and_cannot_read_the_queue_wakes_the_next() {
    let clock = Arc::new(Watched::default());
    let options = Options { background: false, ..Options::default() };
    let disk = SimDisk::new(1);
    let open = || {
        let watched: Arc<Watched> = Arc::clone(&clock);
        Engine::open_on(Arc::new(disk.clone()), watched, Path::new("/q"), &options).unwrap()
    };
    let engine = open();
    // More than are fetched from a queue's file at once, so that the first one is read there again.
    producer(&engine).send_batch([[b'm']; 1100]).unwrap();
    engine.close().unwrap();
    let engine = open();
    let consumer = consumer(&engine);
    let mut held = consumer.recv_batch(1100, Duration::ZERO).unwrap();
    assert_eq!(held.len(), 1100);
    let dispatch = engine.dispatches().pop().unwrap();
    clock.0.lock().clear();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (consumer, tell) = (consumer.clone(), tell.clone());
            scope.spawn(move || {
                let got = consumer.recv(Duration::from_secs(3600));
                tell.send(got.map(|d| d.is_some()).map_err(|e| e.kind())).unwrap();
            });
        }
        assert!(clock.wait_for(2, 2));
        drop(dispatch.hold());
        disk.fail_at(1, Fault::once(FaultKind::Eio));
        drop(held.remove(0));
        let mut got = [(); 2].map(|()| told.recv_timeout(Duration::from_secs(10)));
        // Either may be the first to say so.
        got.sort_by_key(|got| *got == Ok(Ok(true)));
        engine.close().unwrap();
        assert_eq!(
            got,
            [Ok(Err(ErrorKind::Io)), Ok(Ok(true))],
            "one sleeps on, though a message is there"
        );
    });
}

#[test]
fn who_moves_a_group_is_no_consumer_whose_terms_others_must_have() {
    let engine = Engine::in_memory(&Options::default()).unwrap();
    let topic = engine.store().topic("t").unwrap();
    let lease = |seconds| {
        let builder = ConsumerBuilder::new(&engine, crate::Topic::<[u8], Raw>::new("t"), "g");
        builder.lease(Duration::from_secs(seconds)).pull()
    };
    drop(lease(1).unwrap());
    let visit = engine.visit("g", &topic).unwrap();
    assert!(lease(1).is_ok(), "the terms of whoever was there last");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| lease(2));
        producer(&engine).send(b"m").unwrap();
        visit.seek(&[(0, 1)]).unwrap();
        drop(visit);
        let consumer = other.join().unwrap().unwrap();
        assert!(consumer.recv(Duration::ZERO).unwrap().is_none(), "it was moved before");
        let visit = engine.visit("g", &topic).unwrap();
        visit.seek(&[(0, 0)]).unwrap();
        assert!(consumer.recv(Duration::ZERO).unwrap().is_some());
        assert!(lease(3).is_err(), "somebody consumes");
    });
    engine.close().unwrap();
}
