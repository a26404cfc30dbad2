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
    let ((began, begun), (let_go, held)) = (channel(), channel());
    let held = Mutex::new(held);
    let wait = move || {
        began.send(())?;
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
    let (began, begun) = channel();
    let hangs = move |_| {
        began.send(()).unwrap();
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
    let (began, begun) = channel();
    let hangs = move |_| {
        began.send(()).unwrap();
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
