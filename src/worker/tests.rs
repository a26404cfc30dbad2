//! Time moved by hand, and a forked child.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::codec::Raw;
use crate::consumer::ConsumerBuilder;
use crate::handler::{Events, Job};
use crate::io::mapping::code_of_forked_child;
use crate::io::memory::Memory;
use crate::options::Options;
use crate::producer::Producer;
use crate::sync::Mutex;
use crate::{ErrorKind, Outcome, Topic};

const SOON: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

fn engine() -> (Arc<Engine>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let options = Options { background: false, ..Options::default() };
    let (storage, watched) = (Arc::new(Memory::new(None)), Arc::clone(&clock));
    let engine = Engine::open_on(storage, watched, Path::new("/q"), &options).unwrap();
    Producer::<[u8], Raw>::new(&engine, engine.store().topic("t").unwrap()).send(b"m").unwrap();
    (engine, clock)
}

fn consumer(engine: &Arc<Engine>) -> ConsumerBuilder<[u8], Raw> {
    ConsumerBuilder::new(engine, Topic::<[u8], Raw>::new("t"), "g")
}

type Handler = Box<dyn Fn(&Job<Box<[u8]>>) -> Result<Outcome, crate::HandlerError> + Send + Sync>;

/// A handler that says which attempt it has, and waits until it is let go.
fn held_up() -> (Receiver<u32>, Sender<()>, Handler) {
    let ((told, heard), (let_go, held)) = (channel(), channel());
    let held = Mutex::new(held);
    let handler = move |job: &Job<Box<[u8]>>| {
        told.send(job.attempt())?;
        held.lock().recv_timeout(SOON)?;
        Ok(Outcome::Done)
    };
    (heard, let_go, Box::new(handler))
}

#[test]
fn a_handler_is_reported_once_when_its_time_is_up_and_without_one_there_is_no_timer() {
    let (engine, clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).handler_timeout(15 * MINUTE).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    let due = clock.now() + 15 * MINUTE;
    let report = || watch::report(&worker.crew, &Events::default());
    assert_eq!(report(), Some(due));
    clock.advance(14 * MINUTE + Duration::from_millis(59_999));
    assert_eq!((report(), worker.stats().timed_out), (Some(due), 0));
    clock.advance(Duration::from_millis(1));
    for _ in 0..2 {
        assert_eq!((report(), worker.stats().timed_out), (None, 1));
    }
    let_go.send(()).unwrap();
    assert!(worker.shutdown(SOON).unwrap().unfinished.is_empty());
    assert_eq!((report(), worker.stats().handled), (None, 1));
}

#[test]
fn a_timeout_too_long_for_any_clock_is_as_good_as_none() {
    let (engine, clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).handler_timeout(Duration::MAX).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    let due = watch::report(&worker.crew, &Events::default());
    assert_eq!(due, Some(clock.now() + LONGEST_WAIT));
    let_go.send(()).unwrap();
    assert!(worker.shutdown(Duration::MAX).unwrap().unfinished.is_empty());
}

#[test]
fn the_lease_of_a_group_does_not_take_a_message_from_a_handler() {
    let (engine, clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).lease(MINUTE).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    clock.advance(60 * MINUTE);
    let other = consumer(&engine).lease(MINUTE).pull().unwrap();
    assert!(other.recv(Duration::ZERO).unwrap().is_none());
    let_go.send(()).unwrap();
    assert!(worker.shutdown(SOON).unwrap().unfinished.is_empty());
    assert_eq!((worker.stats().handled, worker.stats().failed), (1, 0));
}

/// When the message of a handler that hangs comes to somebody else.
fn taken_after(set_up: impl Fn(ConsumerBuilder<[u8], Raw>) -> ConsumerBuilder<[u8], Raw>) -> u64 {
    let (engine, clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = set_up(consumer(&engine)).handler_timeout(15 * MINUTE).redeliver_on_timeout(true);
    let worker = worker.run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    let other = set_up(consumer(&engine)).pull().unwrap();
    let mut minutes = 0;
    let second = loop {
        if let Some(second) = other.recv(Duration::ZERO).unwrap() {
            break second;
        }
        minutes += 1;
        clock.advance(MINUTE);
    };
    assert_eq!(second.attempt(), 2);
    let_go.send(()).unwrap();
    worker.shutdown(SOON).unwrap();
    assert_eq!(worker.stats().handled, 0, "what the handler said came too late");
    second.ack().unwrap();
    minutes
}

#[test]
fn if_asked_it_does_and_without_a_lease_the_handler_timeout() {
    assert_eq!(taken_after(|consumer| consumer.lease(2 * MINUTE)), 2);
    assert_eq!(taken_after(|consumer| consumer), 15);
}

#[test]
fn a_close_ends_threads_that_pause() {
    let (engine, _) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    worker.pause();
    let_go.send(()).unwrap();
    engine.close().unwrap();
    let patience = engine.store().clock.os_now() + SOON;
    assert!(worker.crew.wait_for_all(patience).unwrap().is_empty());
    assert!(worker.crew.is_deserted(), "its threads sleep on, and nobody will wake them");
}

#[test]
fn a_shutdown_says_how_long_what_is_left_has_run() {
    let (engine, clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    clock.advance(MINUTE);
    let unfinished = worker.shutdown(Duration::ZERO).unwrap().unfinished;
    let left: Vec<_> = unfinished.iter().map(|u| (u.offset.get(), u.running)).collect();
    assert_eq!(left, [(0, MINUTE)]);
    let_go.send(()).unwrap();
    assert!(worker.shutdown(SOON).unwrap().unfinished.is_empty());
    assert_eq!(worker.stats().handled, 1, "it was done after all");
}

#[test]
fn a_forked_child_lets_a_worker_go_though_its_threads_held_its_locks() {
    let (engine, _clock) = engine();
    let (heard, let_go, handler) = held_up();
    let worker = consumer(&engine).run(handler).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    let crew = Arc::clone(&worker.crew);
    let mut worker = Some(worker);
    let ((locked, is_locked), (free, may_go)) = (channel(), channel::<()>());
    let code = std::thread::scope(|scope| {
        scope.spawn(move || {
            let _held = crew.hold();
            locked.send(()).unwrap();
            may_go.recv().unwrap();
        });
        is_locked.recv().unwrap();
        let code = code_of_forked_child(|| {
            let worker = worker.take().unwrap();
            worker.pause();
            worker.resume();
            let stats = worker.stats();
            let refused = worker.shutdown(SOON).is_err_and(|e| e.kind() == ErrorKind::Closed);
            drop(worker);
            i32::from(refused) + i32::from(stats.running == 0)
        });
        free.send(()).unwrap();
        code
    });
    assert_eq!(code, Some(2));
    let_go.send(()).unwrap();
    let worker = worker.unwrap();
    assert!(worker.shutdown(SOON).unwrap().unfinished.is_empty());
    assert_eq!(worker.stats().handled, 1, "the parent's worker is as it was");
}
