//! The time that handlers have, and a shutdown.

use std::future::pending;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

use pocketmq::{ConsumerBuilder, HandlerError, Work, WorkerEvent};

use super::*;

fn block_on<F: Future>(work: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unparks(thread::current())));
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

fn spawn(work: Work) -> thread::JoinHandle<pocketmq::Result<()>> {
    thread::spawn(move || block_on(work))
}

/// A group whose handlers have an hour, and who is told when one has had it.
fn patient(queue: &TestQueue) -> (ConsumerBuilder<u64>, Receiver<Duration>) {
    let (told, heard) = channel();
    let consumer = queue.consumer(NUMBERS, "g").handler_timeout(HOUR).on_event(move |event| {
        if let WorkerEvent::TimedOut { running, .. } = event {
            told.send(*running).unwrap();
        }
    });
    (consumer, heard)
}

/// Says that a handler began, and waits until it is let go.
fn held_up() -> (Receiver<()>, Sender<()>, impl Fn() -> Result<(), HandlerError> + Send + Sync) {
    let ((told, begun), (let_go, held)) = (channel(), channel());
    let held = Mutex::new(held);
    let wait = move || {
        told.send(())?;
        Ok(held.lock().unwrap().recv_timeout(TOO_LONG)?)
    };
    (begun, let_go, wait)
}

#[test]
fn a_handler_on_a_thread_has_had_its_time_when_the_clock_says_so() {
    let queue = filled([1]);
    let ((consumer, timed_out), (begun, let_go, wait)) = (patient(&queue), held_up());
    let (told, cancelled) = channel();
    let worker = consumer.run(move |job| {
        wait()?;
        Ok(told.send(job.is_cancelled())?)
    });
    let worker = worker.unwrap();
    begun.recv_timeout(TOO_LONG).unwrap();
    queue.advance(ALMOST);
    queue.advance(SECOND);
    assert_eq!(timed_out.recv_timeout(TOO_LONG), Ok(HOUR));
    let_go.send(()).unwrap();
    assert_eq!(cancelled.recv_timeout(TOO_LONG), Ok(true));
    assert!(worker.shutdown(TOO_LONG).unwrap().unfinished.is_empty());
}

#[test]
fn a_handler_that_is_a_future_is_dropped_when_the_clock_says_so() {
    let queue = filled([1]);
    let (consumer, timed_out) = patient(&queue);
    let (told, begun) = channel();
    let hangs = move |_| {
        told.send(()).unwrap();
        pending::<Result<(), HandlerError>>()
    };
    let (control, work) = consumer.run_async(hangs).unwrap();
    let work = spawn(work);
    begun.recv_timeout(TOO_LONG).unwrap();
    queue.advance(ALMOST);
    queue.advance(SECOND);
    assert_eq!(timed_out.recv_timeout(TOO_LONG), Ok(HOUR));
    assert!(block_on(control.shutdown(TOO_LONG)).unwrap().unfinished.is_empty());
    work.join().unwrap().unwrap();
}

#[test]
fn a_shutdown_has_its_patience_in_real_time_though_the_clock_stands_still() {
    let queue = filled([1]);
    let (told, begun) = channel();
    let hangs = move |_| {
        told.send(()).unwrap();
        pending::<Result<(), HandlerError>>()
    };
    let (control, work) = queue.consumer(NUMBERS, "g").run_async(hangs).unwrap();
    let work = spawn(work);
    begun.recv_timeout(TOO_LONG).unwrap();
    let (said, heard) = channel();
    let patience = Duration::from_millis(20);
    thread::spawn(move || said.send(block_on(control.shutdown(patience)).unwrap()));
    let report = heard.recv_timeout(TOO_LONG).unwrap();
    assert_eq!(report.unfinished.len(), 1);
    work.join().unwrap().unwrap();
}

/// What a worker tells of messages that are set aside, in words.
fn set_aside(consumer: ConsumerBuilder<u64>) -> (ConsumerBuilder<u64>, Receiver<String>) {
    let (told, heard) = channel();
    let consumer = consumer.on_event(move |event| match event {
        WorkerEvent::AlreadySetAside { topic, count, .. } => {
            told.send(format!("{count} of {topic} already")).unwrap();
        }
        WorkerEvent::SetAside { job, .. } => {
            told.send(format!("{} of {}", job.message().queue_offset(), job.group())).unwrap();
        }
        _ => {}
    });
    (consumer, heard)
}

#[test]
fn a_worker_that_starts_is_told_what_is_set_aside_already() {
    let mut queue = filled([1, 2, 3]);
    for _ in 0..2 {
        let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
        let _held = consumer.recv_batch(2, NOW).unwrap();
        queue.crash_and_reopen().unwrap();
    }
    let guarded = || set_aside(queue.consumer(NUMBERS, "g").poison_guard(2));
    let (consumer, heard) = guarded();
    let worker = consumer.run(|_| Ok(())).unwrap();
    assert_eq!(heard.try_recv().unwrap(), "2 of numbers already");
    let (consumer, heard) = guarded();
    let (_control, _work) = consumer.run_async(|_| async { Ok(()) }).unwrap();
    assert_eq!(heard.try_recv().unwrap(), "2 of numbers already");
    let (fresh, nothing) = set_aside(queue.consumer(NUMBERS, "other"));
    drop(fresh.run(|_| Ok(())).unwrap());
    assert!(nothing.try_recv().is_err());
    assert!(worker.shutdown(TOO_LONG).unwrap().unfinished.is_empty());
}

/// Whose messages are taken from handlers after an hour, and not tried again.
fn taken_away(queue: &TestQueue) -> (ConsumerBuilder<u64>, Receiver<String>) {
    let consumer = queue.consumer(NUMBERS, "g").lease(HOUR).redeliver_on_timeout(true);
    set_aside(consumer.retry(Retry::never()))
}

#[test]
fn a_lease_that_ends_for_the_last_time_tells_its_worker_and_cancels_the_handler() {
    let queue = filled([1]);
    let ((consumer, heard), (begun, let_go, wait)) = (taken_away(&queue), held_up());
    let (told, cancelled) = channel();
    let handler = move |job: &pocketmq::Job<u64>| {
        told.send(job.is_cancelled())?;
        wait()?;
        Ok(told.send(job.is_cancelled())?)
    };
    // One that handles, and one that sleeps.
    let worker = consumer.concurrency(2).run(handler).unwrap();
    begun.recv_timeout(TOO_LONG).unwrap();
    queue.advance(HOUR);
    assert_eq!(heard.recv_timeout(TOO_LONG).unwrap(), "0 of g");
    let_go.send(()).unwrap();
    assert_eq!([(); 2].map(|()| cancelled.recv_timeout(TOO_LONG).unwrap()), [false, true]);
    assert!(worker.shutdown(TOO_LONG).unwrap().unfinished.is_empty());
}

#[test]
fn the_work_of_a_lease_that_ends_for_the_last_time_is_told_whoever_notices() {
    let queue = filled([1]);
    let (consumer, heard) = taken_away(&queue);
    let (told, begun) = channel();
    let hangs = move |_| {
        told.send(()).unwrap();
        pending::<Result<(), HandlerError>>()
    };
    let (_control, work) = consumer.run_async(hangs).unwrap();
    let mut work = pin!(work);
    assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    begun.try_recv().unwrap();
    queue.advance(HOUR);
    let (other, _) = taken_away(&queue);
    assert!(other.pull().unwrap().recv(NOW).unwrap().is_none());
    assert_eq!(heard.try_recv().unwrap(), "0 of g");
}

#[test]
fn a_handler_whose_group_was_moved_is_cancelled() {
    let queue = filled([1]);
    let (begun, let_go, wait) = held_up();
    let (told, cancelled) = channel();
    let handler = move |job: &pocketmq::Job<u64>| {
        told.send(job.is_cancelled())?;
        wait()?;
        Ok(told.send(job.is_cancelled())?)
    };
    let worker = queue.consumer(NUMBERS, "g").run(handler).unwrap();
    begun.recv_timeout(TOO_LONG).unwrap();
    queue.group("g").unwrap().seek(pocketmq::Start::Latest).unwrap();
    let_go.send(()).unwrap();
    assert_eq!([(); 2].map(|()| cancelled.recv_timeout(TOO_LONG).unwrap()), [false, true]);
    assert!(worker.shutdown(TOO_LONG).unwrap().unfinished.is_empty());
}
