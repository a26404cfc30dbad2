//! Handlers that are given the messages: what they return, what goes wrong, and how they end.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

use pocketmq::{
    ConsumerBuilder, Envelope, ErrorKind, HandlerError, Job, OrFail, Outcome, Queue, Raw, Retry,
    Topic, Worker, WorkerEvent, WorkerStats,
};

const WORDS: Topic<String> = Topic::new("words");
const NUMBERS: Topic<u64> = Topic::new("numbers");
/// The same topic as [`NUMBERS`], seen as bytes.
const BYTES: Topic<[u8], Raw> = Topic::new("numbers");
/// Long enough for anything that happens at all.
const SOON: Duration = Duration::from_secs(60);
const AT_ONCE: Retry = Retry::fixed(Duration::ZERO);

fn queue_of(numbers: impl IntoIterator<Item = u64>) -> Queue {
    let queue = Queue::in_memory().unwrap();
    queue.producer(NUMBERS).unwrap().send_batch(numbers).unwrap();
    queue
}

fn numbers(queue: &Queue) -> ConsumerBuilder<u64> {
    queue.consumer(NUMBERS, "g").retry(AT_ONCE)
}

/// Tells what a handler gets.
fn tell<T>() -> (Sender<T>, impl Fn() -> T) {
    let (told, heard) = channel();
    (told, move || heard.recv_timeout(SOON).unwrap())
}

/// What a worker tells of, in words.
fn in_words(event: &WorkerEvent<'_>) -> String {
    let place = |job: &Envelope| (job.message().queue_offset().get(), job.attempt());
    match event {
        WorkerEvent::Failed { job, error, .. } => {
            let why = error.map_or_else(|| "asked for it".to_owned(), ToString::to_string);
            format!("failed {:?}: {why}", place(job))
        }
        WorkerEvent::Panicked { job, message, .. } => format!("panic {:?}: {message}", place(job)),
        WorkerEvent::TimedOut { job, .. } => format!("late {:?}", place(job)),
        WorkerEvent::Undecodable { job, .. } => format!("undecodable {:?}", place(job)),
        WorkerEvent::SetAside { job, .. } => format!("aside {:?}", place(job)),
        WorkerEvent::Unsettled { job, error, .. } => {
            format!("unsettled {:?}: {:?}", place(job), error.kind())
        }
        other => panic!("{other:?}"),
    }
}

fn until(worker: &Worker, so: impl Fn(&WorkerStats) -> bool) -> WorkerStats {
    loop {
        let stats = worker.stats();
        if so(&stats) {
            return stats;
        }
        std::thread::yield_now();
    }
}

fn ends(worker: &Worker) {
    assert_eq!(worker.shutdown(SOON).unwrap().unfinished, []);
}

fn backlog(queue: &Queue) -> u64 {
    queue.group("g").unwrap().lag().unwrap().iter().map(|lag| lag.backlog).sum()
}

#[test]
fn every_message_is_handled_once_whether_it_was_there_or_comes() {
    let queue = queue_of(0..50);
    let (told, heard) = tell();
    let handler = move |n: &Job<u64>| Ok(told.send(**n)?);
    let worker = numbers(&queue).concurrency(4).run(handler).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    let mut got: Vec<_> = (0..50).map(|_| heard()).collect();
    for n in 50..100 {
        producer.send(&n).unwrap();
        got.push(heard());
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..100));
    ends(&worker);
    assert_eq!((worker.stats().handled, worker.stats().running), (100, 0));
    assert_eq!(backlog(&queue), 0);
    queue.close().unwrap();
}

#[test]
fn as_many_handlers_run_as_was_said_and_never_more() {
    let queue = queue_of(0..200);
    let (running, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (met, highest) = (Barrier::new(3), Arc::clone(&most));
    let worker = numbers(&queue).concurrency(3).run(move |n| {
        highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if **n < 3 {
            met.wait();
        }
        std::thread::yield_now();
        running.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    });
    let worker = worker.unwrap();
    until(&worker, |stats| stats.handled == 200);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_message_that_fails_comes_back_and_is_set_aside_after_its_last_attempt() {
    let queue = queue_of([7]);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .retry(AT_ONCE.max_attempts(2))
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run(|_| Err::<(), _>("no".into()))
        .unwrap();
    assert_eq!(
        [heard(), heard(), heard()],
        ["failed (0, 1): no", "failed (0, 2): no", "aside (0, 2)"]
    );
    let aside = queue.group("g").unwrap().set_aside().unwrap();
    let aside: Vec<_> = aside.iter().map(|a| (a.offset.get(), a.attempts)).collect();
    assert_eq!(aside, [(0, 2)]);
    ends(&worker);
    assert_eq!((worker.stats().failed, worker.stats().handled), (2, 0));
}

#[test]
fn errors_of_any_kind_fail_the_attempt_with_their_words() {
    let queue = queue_of(0..4);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .retry(Retry::never())
        .on_event(move |event| {
            if let WorkerEvent::Failed { error: Some(error), .. } = event {
                told.send(error.to_string()).unwrap();
            }
        })
        .run(|n| {
            match **n {
                0 => drop("x".parse::<u64>()?),
                1 => Err("a string")?,
                2 => Err(format!("number {}", **n))?,
                _ => Err::<(), Box<dyn std::error::Error + Send + Sync>>("boxed".into())?,
            }
            Ok(())
        })
        .unwrap();
    let said: Vec<_> = (0..4).map(|_| heard()).collect();
    assert_eq!(said, ["invalid digit found in string", "a string", "number 2", "boxed"]);
    ends(&worker);
}

#[test]
fn a_panic_is_a_failed_attempt_and_the_thread_goes_on() {
    let queue = queue_of([1, 2]);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run(|n| {
            assert!(**n != 1 || n.attempt() > 1, "number one");
            Ok(())
        })
        .unwrap();
    assert_eq!([heard(), heard()], ["panic (0, 1): number one", "failed (0, 1): number one"]);
    let stats = until(&worker, |stats| stats.handled == 2);
    assert_eq!((stats.panicked, stats.failed), (1, 1));
}

#[test]
fn a_listener_that_panics_changes_nothing() {
    let queue = queue_of([1]);
    let worker = numbers(&queue)
        .on_event(|event| panic!("{event:?}"))
        .run(|n| if n.attempt() == 1 { Err("no".into()) } else { Ok(()) })
        .unwrap();
    let stats = until(&worker, |stats| stats.handled == 1);
    assert_eq!((stats.panicked, stats.failed), (0, 1));
}

#[test]
fn putting_a_message_off_uses_no_attempt_and_a_wait_of_its_own_uses_one() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    // What the group's own retries say would be ten seconds.
    let worker = queue.consumer(NUMBERS, "g").run(move |n| {
        let turn = told.send(n.attempt()).map(|()| TURN.fetch_add(1, Ordering::SeqCst))?;
        static TURN: AtomicUsize = AtomicUsize::new(0);
        match turn {
            0 => Ok(Outcome::Snooze(Duration::ZERO)),
            1 => Ok(Outcome::RetryAfter(Duration::ZERO)),
            2 => Err("no").or_retry_after(Duration::ZERO),
            _ => Ok(Outcome::Done),
        }
    });
    let worker = worker.unwrap();
    assert_eq!([heard(), heard(), heard(), heard()], [1, 1, 2, 3]);
    let stats = until(&worker, |stats| stats.handled == 1);
    assert_eq!((stats.put_off, stats.failed), (1, 2));
}

/// Lets a handler wait until the test says so.
struct Gate(Mutex<Receiver<()>>);

impl Gate {
    fn new() -> (Sender<()>, Self) {
        let (open, shut) = channel();
        (open, Self(Mutex::new(shut)))
    }

    fn pass(&self) {
        self.0.lock().unwrap().recv_timeout(SOON).unwrap();
    }
}

#[test]
fn a_handler_that_takes_too_long_is_told_of_and_its_message_is_still_its_own() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    let (open, gate) = Gate::new();
    let (cancelled, saw) = tell();
    let worker = numbers(&queue)
        .concurrency(2)
        .handler_timeout(Duration::from_millis(20))
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run(move |n| {
            gate.pass();
            Ok(cancelled.send((n.attempt(), n.is_cancelled()))?)
        })
        .unwrap();
    assert_eq!(heard(), "late (0, 1)");
    open.send(()).unwrap();
    assert_eq!(saw(), (1, true));
    let stats = until(&worker, |stats| stats.handled == 1);
    assert_eq!((stats.timed_out, stats.failed), (1, 0));
    ends(&worker);
    assert_eq!(backlog(&queue), 0);
}

#[test]
fn if_asked_the_message_of_a_handler_that_takes_too_long_goes_to_another() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    let (open, gate) = Gate::new();
    let worker = numbers(&queue)
        .concurrency(2)
        .handler_timeout(Duration::from_millis(20))
        .redeliver_on_timeout(true)
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run(move |n| {
            if n.attempt() == 1 {
                gate.pass();
            }
            Ok(())
        })
        .unwrap();
    let stats = until(&worker, |stats| stats.handled == 1);
    assert_eq!(stats.running, 1, "the first handler is still at it");
    assert_eq!(heard(), "late (0, 1)");
    open.send(()).unwrap();
    assert_eq!(heard(), "unsettled (0, 1): Stale");
    ends(&worker);
    assert_eq!(backlog(&queue), 0);
}

#[test]
fn a_worker_that_pauses_leaves_messages_to_others_until_it_goes_on() {
    let queue = queue_of([]);
    let (told, heard) = tell();
    let worker = numbers(&queue).concurrency(3).run(move |n| Ok(told.send(**n)?)).unwrap();
    let other = numbers(&queue).pull().unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    for n in 0..50 {
        worker.pause();
        producer.send(&n).unwrap();
        let got = other.recv(SOON).unwrap().unwrap();
        assert_eq!(got.into_acked().unwrap(), n);
        producer.send(&(n + 100)).unwrap();
        worker.resume();
        assert_eq!(heard(), n + 100);
    }
    ends(&worker);
}

#[test]
fn a_shutdown_waits_for_what_runs_and_takes_nothing_more() {
    let queue = queue_of([1, 2]);
    let (told, heard) = tell();
    let (open, gate) = Gate::new();
    let worker = numbers(&queue).run(move |n| {
        told.send(**n)?;
        gate.pass();
        Ok(())
    });
    let worker = worker.unwrap();
    assert_eq!(heard(), 1);
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| worker.shutdown(SOON).unwrap());
        // The gate opens twice, so that a second message would go through.
        open.send(()).unwrap();
        open.send(()).unwrap();
        assert_eq!(shutdown.join().unwrap().unfinished, []);
    });
    assert_eq!(worker.stats().handled + backlog(&queue), 2);
    assert_eq!(worker.stats().running, 0);
}

#[test]
fn a_shutdown_tells_who_hangs_to_give_up_and_that_is_no_failed_attempt() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    let worker = numbers(&queue).run(move |n| {
        told.send(())?;
        while !n.is_cancelled() {
            std::thread::yield_now();
        }
        Err::<(), _>("gave up".into())
    });
    let worker = worker.unwrap();
    heard();
    let report = worker.shutdown(Duration::ZERO).unwrap();
    let left: Vec<_> =
        report.unfinished.iter().map(|u| (u.topic.as_str(), u.offset.get())).collect();
    assert_eq!(left, [("numbers", 0)]);
    ends(&worker);
    assert_eq!((worker.stats().failed, worker.stats().put_off), (0, 1));
    let again = numbers(&queue).pull().unwrap().recv(SOON).unwrap().unwrap();
    assert_eq!(again.attempt(), 1);
}

#[test]
fn a_worker_that_is_dropped_lets_what_runs_end_and_takes_nothing_more() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    let (open, gate) = Gate::new();
    let worker = numbers(&queue).run(move |n| {
        told.send(**n)?;
        gate.pass();
        Ok(())
    });
    let worker = worker.unwrap();
    assert_eq!(heard(), 1);
    drop(worker);
    queue.producer(NUMBERS).unwrap().send(&2).unwrap();
    open.send(()).unwrap();
    let other = numbers(&queue).pull().unwrap();
    assert_eq!(other.recv(SOON).unwrap().unwrap().into_acked().unwrap(), 2);
    while backlog(&queue) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_keeps_the_queue_open_and_its_threads_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    queue.producer(NUMBERS).unwrap().send(&1).unwrap();
    let worker = numbers(&queue).concurrency(3).run(|_| Ok(())).unwrap();
    drop(queue);
    until(&worker, |stats| stats.handled == 1);
    assert_eq!(Queue::open(dir.path()).unwrap_err().kind(), ErrorKind::Locked);
    drop(worker);
    let queue = Queue::open(dir.path()).unwrap();
    assert_eq!(backlog(&queue), 0);
}

#[test]
fn a_close_ends_the_threads_of_a_worker() {
    let queue = queue_of([1]);
    let (told, heard) = channel();
    let worker = numbers(&queue).concurrency(3).run(move |n| Ok(told.send(**n)?)).unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    queue.close().unwrap();
    // The handler is gone, and with it what it holds.
    assert_eq!(heard.recv(), Err(std::sync::mpsc::RecvError));
    ends(&worker);
}

#[test]
fn a_handler_may_close_the_queue() {
    let queue = queue_of([1, 2]);
    let (told, heard) = tell();
    let closes = queue.clone();
    let worker = numbers(&queue).concurrency(2).run(move |n| {
        if **n == 1 {
            told.send((closes.close().map_err(|e| e.kind()), n.is_cancelled()))?;
        }
        Ok(())
    });
    let worker = worker.unwrap();
    assert_eq!(heard(), (Ok(()), true));
    ends(&worker);
    assert_eq!(queue.producer(NUMBERS).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_worker_cannot_wait_for_itself() {
    let queue = queue_of([1]);
    let (told, heard) = tell();
    let own = Arc::new(OnceLock::<Worker>::new());
    let (open, gate) = Gate::new();
    let inside = Arc::clone(&own);
    let worker = numbers(&queue).run(move |_| {
        gate.pass();
        let shutdown = inside.get().unwrap().shutdown(SOON);
        Ok(told.send(shutdown.map_err(|e| e.kind()))?)
    });
    own.set(worker.unwrap()).unwrap();
    open.send(()).unwrap();
    assert_eq!(heard(), Err(ErrorKind::Busy));
    ends(own.get().unwrap());
}

#[test]
fn one_worker_serves_several_topics_with_one_set_of_threads() {
    let queue = queue_of(0..20);
    let words = queue.producer(WORDS).unwrap();
    words.send_batch((0..20).map(|n| n.to_string())).unwrap();
    let (told, heard) = tell();
    let running = Arc::new(AtomicUsize::new(0));
    let alone = move |said: String| {
        let before = running.fetch_add(1, Ordering::SeqCst);
        told.send((before, said))?;
        std::thread::yield_now();
        running.fetch_sub(1, Ordering::SeqCst);
        Ok::<_, HandlerError>(())
    };
    let other = alone.clone();
    let worker = queue
        .worker("g")
        .on(NUMBERS, move |n| alone(format!("number {}", **n)))
        .on(WORDS, move |w| other(format!("word {}", **w)))
        .run()
        .unwrap();
    let mut got: Vec<_> = (0..40).map(|_| heard()).collect();
    for n in 20..40 {
        words.send(&n.to_string()).unwrap();
        got.push(heard());
        queue.producer(NUMBERS).unwrap().send(&n).unwrap();
        got.push(heard());
    }
    assert!(got.iter().all(|(before, _)| *before == 0));
    let mut got: Vec<_> = got.into_iter().map(|(_, said)| said).collect();
    got.sort_unstable();
    let mut all: Vec<_> =
        (0..40).flat_map(|n| [format!("number {n}"), format!("word {n}")]).collect();
    all.sort_unstable();
    assert_eq!(got, all);
    worker.pause();
    ends(&worker);
}

#[test]
fn a_batch_waits_to_be_full_and_no_longer_than_it_lingers() {
    let queue = queue_of(0..4);
    let (told, heard) = tell();
    let handler = move |jobs: &[Job<u64>]| Ok(told.send(jobs.len())?);
    let worker = numbers(&queue).run_batch(10, SOON * 60, handler.clone()).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    producer.send_batch(4..9).unwrap();
    producer.send(&9).unwrap();
    assert_eq!(heard(), 10);
    ends(&worker);
    assert_eq!(worker.stats().handled, 10);
    producer.send(&10).unwrap();
    let worker = numbers(&queue).run_batch(10, Duration::from_millis(5), handler).unwrap();
    assert_eq!(heard(), 1);
    ends(&worker);
    assert_eq!(backlog(&queue), 0);
}

#[test]
fn a_shutdown_does_not_wait_for_a_batch_to_be_full() {
    let queue = queue_of(0..4);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .run_batch(10, SOON * 60, move |jobs: &[Job<u64>]| Ok(told.send(jobs.len())?))
        .unwrap();
    // It has them in hand, or has not looked yet.
    let stopped = worker.shutdown(SOON).unwrap();
    assert_eq!(stopped.unfinished, []);
    let handled = worker.stats().handled;
    assert!(handled == 0 || heard() == 4);
    assert_eq!(handled + backlog(&queue), 4);
}

#[test]
fn what_a_batch_returns_goes_for_all_of_it() {
    let queue = queue_of(0..3);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run_batch(3, SOON, |jobs| match jobs.iter().all(|job| job.attempt() > 1) {
            true => Ok(()),
            false => Err("all of you".into()),
        })
        .unwrap();
    let said: Vec<_> = (0..3).map(|_| heard()).collect();
    let all = [0, 1, 2].map(|n| format!("failed ({n}, 1): all of you"));
    assert_eq!(said, all);
    until(&worker, |stats| stats.handled == 3);
}

#[test]
fn each_message_of_a_batch_may_have_an_outcome_of_its_own() {
    let queue = queue_of(0..5);
    let (told, heard) = tell();
    let worker = numbers(&queue)
        .retry(Retry::never())
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run_batch_each(5, SOON, |jobs| {
            let said = jobs.iter().take(4).map(|job| match **job {
                1 => Err("not this one".into()),
                2 => Ok(Outcome::Snooze(SOON)),
                _ => Ok(Outcome::Done),
            });
            said.collect()
        })
        .unwrap();
    assert_eq!(
        [heard(), heard(), heard(), heard()],
        [
            "failed (1, 1): not this one",
            "aside (1, 1)",
            "failed (4, 1): the handler said nothing of this message",
            "aside (4, 1)"
        ]
    );
    ends(&worker);
    let stats = worker.stats();
    assert_eq!((stats.handled, stats.put_off, stats.failed), (2, 1, 2));
}

#[test]
fn middleware_stands_around_the_handler_the_first_one_outermost() {
    let queue = queue_of([1, 2]);
    let (told, heard) = tell();
    let says = |what: &'static str| {
        let told = told.clone();
        move || told.send(what).unwrap()
    };
    let (outer, inner, handler, after) =
        (says("outer"), says("inner"), says("handler"), says("after"));
    let worker = numbers(&queue)
        .middleware(move |call| {
            outer();
            let said = call.run();
            after();
            said
        })
        .middleware(move |call| {
            inner();
            let job = call.jobs().first().unwrap();
            if job.message().queue_offset().get() == 1 {
                return Ok(Outcome::Done);
            }
            call.run()
        })
        .run(move |_| {
            handler();
            Ok(())
        })
        .unwrap();
    let said: Vec<_> = (0..7).map(|_| heard()).collect();
    assert_eq!(said, ["outer", "inner", "handler", "after", "outer", "inner", "after"]);
    ends(&worker);
    assert_eq!(worker.stats().handled, 2);
}

#[test]
fn what_middleware_says_of_a_batch_goes_for_each_message_unless_it_is_done() {
    let queue = queue_of(0..2);
    let worker = numbers(&queue)
        .retry(Retry::never())
        .middleware(|call| call.run().and_then(|_| Err("no".into())))
        .run_batch_each(2, SOON, |jobs| jobs.iter().map(|_| Ok(())).collect())
        .unwrap();
    let stats = until(&worker, |stats| stats.failed == 2);
    assert_eq!(stats.handled, 0);
}

#[test]
fn what_does_not_decode_fails_and_the_others_of_its_batch_are_handled() {
    let queue = queue_of([1]);
    let bytes = queue.producer(BYTES).unwrap();
    bytes.send(b"no number").unwrap();
    bytes.send(b"3").unwrap();
    let (told, heard) = tell();
    let (got, gets) = tell();
    let worker = numbers(&queue)
        .retry(Retry::never())
        .on_event(move |event| told.send(in_words(event)).unwrap())
        .run_batch(3, SOON, move |jobs| {
            Ok(got.send(jobs.iter().map(|job| **job).collect::<Vec<_>>())?)
        })
        .unwrap();
    assert_eq!([heard(), heard()], ["undecodable (1, 1)", "aside (1, 1)"]);
    assert_eq!(gets(), [1, 3]);
    ends(&worker);
}

#[test]
fn bad_settings_are_errors_when_the_worker_starts() {
    let queue = queue_of([]);
    let invalid = |worker: pocketmq::Result<Worker>| {
        assert_eq!(worker.unwrap_err().kind(), ErrorKind::InvalidArgument);
    };
    let done = |_: &Job<u64>| Ok(());
    invalid(numbers(&queue).concurrency(0).run(done));
    invalid(numbers(&queue).handler_timeout(Duration::ZERO).run(done));
    invalid(numbers(&queue).run_batch(0, SOON, |_| Ok(())));
    invalid(numbers(&queue).lease(Duration::ZERO).run(done));
    invalid(queue.consumer(NUMBERS, "../g").run(done));
    invalid(queue.worker("g").run());
    invalid(queue.worker("../g").on(NUMBERS, done).run());
    invalid(queue.worker("g").on(NUMBERS, done).on(NUMBERS, done).run());
    invalid(queue.worker("g").on(NUMBERS, done).concurrency(0).run());
    let _one = numbers(&queue).run(done).unwrap();
    invalid(numbers(&queue).retry(Retry::never()).run(done));
}
