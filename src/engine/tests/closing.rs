//! Closing: once, on any thread, in a forked child, and whatever is in consumers' hands.

use std::io;
use std::sync::mpsc;

use super::*;
use crate::CodecError;
use crate::codec::Decode;
use crate::consumer::{Consumer, ConsumerBuilder};
use crate::io::mapping::code_of_forked_child;
use crate::store::report::History;

/// Runs a job where it is woken.
struct OnTheSpot<F: FnOnce() + Send>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Wake for OnTheSpot<F> {
    fn wake(self: Arc<Self>) {
        let job = self.0.lock().take();
        if let Some(job) = job {
            job();
        }
    }
}

/// Has the flusher's thread call `close`; says what that returned, and the storage.
fn closed_on_its_own_thread(
    close: fn(&Engine) -> Result<Closed>,
) -> (Arc<Engine>, Result<Closed>, Arc<dyn Storage>) {
    let gate = Arc::new(Gate::default());
    let storage = Gated { inner: Memory::new(None), gate: Arc::clone(&gate) };
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let engine = open(Arc::clone(&storage), Flush::Sync, Duration::from_secs(60));
    let producer = producer(&engine);
    producer.send(b"before").unwrap();
    gate.set(true);
    let mut ticket = Box::pin(producer.submit(b"m").unwrap());
    let (said, hears) = mpsc::channel();
    let woken = Arc::clone(&engine);
    let job = move || said.send((std::thread::current().id(), close(&woken))).unwrap();
    let waker = Waker::from(Arc::new(OnTheSpot(Mutex::new(Some(job)))));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    gate.set(false);
    let (thread, outcome) = hears.recv().unwrap();
    assert_ne!(thread, std::thread::current().id());
    (engine, outcome, storage)
}

fn opens_cleanly(storage: Arc<dyn Storage>) {
    let engine = open(storage, Flush::Sync, Duration::from_secs(60));
    assert_eq!(engine.store().report.history, History::Clean);
    assert_eq!(received(&engine), 2);
}

#[test]
fn closing_on_one_of_its_own_threads_goes_on_elsewhere_and_others_wait_for_it() {
    let (engine, outcome, storage) = closed_on_its_own_thread(Engine::close);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Busy);
    assert!(engine.close().unwrap().broker_ready);
    opens_cleanly(storage);
}

#[test]
fn without_a_thread_to_close_it_happens_on_the_spot() {
    let (engine, outcome, storage) = closed_on_its_own_thread(|engine| {
        engine.closer().close(|_| Err(io::ErrorKind::WouldBlock.into()))
    });
    assert!(outcome.unwrap().broker_ready);
    assert!(engine.close().unwrap().broker_ready);
    drop(engine);
    opens_cleanly(storage);
}

#[test]
fn every_close_says_what_the_first_one_said() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    let producer = producer(&engine);
    for _ in 0..3 {
        producer.send(b"m").unwrap();
    }
    let consumer = raw_consumer(&engine);
    let mut got = consumer.recv_batch(3, Duration::ZERO).unwrap();
    got.pop().unwrap().ack().unwrap();
    drop(got);
    let first = engine.close().unwrap();
    assert_eq!((first.acked_above_gaps, first.broker_ready), (1, true));
    assert_eq!(engine.close().unwrap(), first);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(engine.close().unwrap(), first));
        }
    });

    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    engine.store().poisoned_by(crate::Error::invalid("the test says so"));
    assert_eq!(engine.close().unwrap_err().kind(), ErrorKind::Poisoned);
    let again = engine.close().unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Closed);
    assert!(again.to_string().contains("the test says so"), "{again}");
}

fn raw_consumer(engine: &Arc<Engine>) -> Consumer<[u8], Raw> {
    ConsumerBuilder::new(engine, crate::Topic::<[u8], Raw>::new("t"), "g").pull().unwrap()
}

#[test]
fn a_forked_child_lets_its_handles_go_though_other_threads_held_their_locks() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    for _ in 0..2 {
        producer(&engine).send(b"m").unwrap();
    }
    let consumer = raw_consumer(&engine);
    let receive = || consumer.recv(Duration::ZERO).unwrap();
    let (mut acked, mut dropped) = (receive(), receive());
    let (groups, closing) = (Arc::clone(&engine.groups), Arc::clone(&engine.closing));
    let dispatch = engine.dispatches().pop().unwrap();
    let (mut engine, mut consumer) = (Some(engine), Some(consumer));
    let (locked, is_locked) = mpsc::channel();
    let (free, may_go) = mpsc::channel::<()>();
    let code = std::thread::scope(|scope| {
        scope.spawn(move || {
            let _held = (groups.lock(), closing.hold(), dispatch.hold());
            locked.send(()).unwrap();
            may_go.recv().unwrap();
        });
        is_locked.recv().unwrap();
        let code = code_of_forked_child(|| {
            let refused = |result: Result<()>| {
                i32::from(result.is_err_and(|e| e.kind() == ErrorKind::Closed))
            };
            let received = consumer.as_ref().unwrap().recv(Duration::ZERO).map(drop);
            let closed = engine.as_ref().unwrap().close().map(drop);
            let code = refused(received) + refused(closed) + refused(acked.take().unwrap().ack());
            drop((dropped.take(), consumer.take()));
            // The last handle.
            drop(engine.take());
            code
        });
        free.send(()).unwrap();
        code
    });
    assert_eq!(code, Some(3));
    drop((acked, dropped, consumer));
    assert!(engine.unwrap().close().unwrap().broker_ready, "the parent's store is as it was");
}

/// Panics at a body of one byte.
struct Fussy;

impl Decode<u8> for Fussy {
    type Owned = u8;

    fn decode(bytes: &[u8]) -> Result<u8, CodecError> {
        assert_ne!(bytes, b"x", "the codec panics");
        Ok(0)
    }
}

#[test]
fn a_codec_that_panics_strands_nothing() {
    let (engine, _gate) = gated(Flush::default(), Duration::from_secs(60));
    let producer = producer(&engine);
    for body in [b"1", b"x", b"3", b"4"] {
        producer.send(body).unwrap();
    }
    let fussy = ConsumerBuilder::new(&engine, crate::Topic::<u8, Fussy>::new("t"), "g");
    let fussy = fussy.pull().unwrap();
    let receive = || fussy.recv_batch(4, Duration::ZERO).map(drop);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(receive)).is_err());
    assert_eq!(engine.dispatches().pop().unwrap().in_flight(), 0);
    let again = raw_consumer(&engine).recv_batch(10, Duration::ZERO).unwrap();
    let bodies: Vec<_> = again.iter().map(|d| d.body().to_vec()).collect();
    assert_eq!(bodies, [b"1", b"3", b"4"], "what it panics at has to wait");
}
