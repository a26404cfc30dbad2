//! What handlers do, and what becomes of their messages.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use pocketmq::{ErrorKind, Outcome, WorkerEvent};

use super::*;

#[test]
fn what_a_handler_returns_settles_its_message() {
    current_thread().block_on(async {
        let queue = filled(4);
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&attempts);
        let (control, work) = workers(&queue)
            .run_async(move |job| {
                noting.lock().unwrap().push((*job.body().first().unwrap(), job.attempt()));
                async move {
                    match (*job.body().first().unwrap(), job.attempt()) {
                        (0, 1) => Err("not yet".into()),
                        (1, 1) => Ok(Outcome::RetryAfter(Duration::ZERO)),
                        (2, _) => Ok(Outcome::Snooze(LONG)),
                        _ => Ok(Outcome::Done),
                    }
                }
            })
            .unwrap();
        let work = tokio::spawn(work);
        handled(&control, 3).await;
        control.shutdown(LONG).await.unwrap();
        work.await.unwrap().unwrap();
        let stats = control.stats();
        assert_eq!((stats.handled, stats.failed, stats.put_off), (3, 2, 1));
        let mut attempts = attempts.lock().unwrap().clone();
        attempts.sort_unstable();
        assert_eq!(attempts, [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (3, 1)]);
        queue.close().unwrap();
    });
}

#[test]
fn a_handler_that_panics_fails_its_message_and_nothing_else() {
    let queue = filled(3);
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let (control, work) = workers(&queue)
        .concurrency(3)
        .on_event(move |event| {
            if let WorkerEvent::Panicked { job, message, .. } = event {
                telling.lock().unwrap().push((*job.body().first().unwrap(), (*message).to_owned()));
            }
        })
        .run_async(|job| {
            // When it is called, and when it is polled.
            assert!(job.body() != [0] || job.attempt() > 1, "called");
            async move {
                yield_once().await;
                assert!(job.body() != [1] || job.attempt() > 1, "polled");
                Ok(())
            }
        })
        .unwrap();
    let mut work = ByHand::new(work);
    assert!(work.settle().is_pending());
    while control.stats().handled < 3 {
        let _ = work.settle();
    }
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [(0, "called".to_owned()), (1, "polled".to_owned())]);
    let stats = control.stats();
    assert_eq!((stats.failed, stats.panicked), (2, 2));
    queue.close().unwrap();
}

#[test]
fn a_handler_that_takes_too_long_is_dropped_and_its_attempt_has_failed() {
    current_thread().block_on(async {
        let queue = filled(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let telling = Arc::clone(&dropped);
        let (control, work) = workers(&queue)
            .handler_timeout(Duration::from_millis(20))
            .run_async(move |job| {
                let told = Told(Arc::clone(&telling));
                async move {
                    if job.attempt() == 1 {
                        std::future::pending::<()>().await;
                    }
                    drop(told);
                    Ok(())
                }
            })
            .unwrap();
        let work = tokio::spawn(work);
        handled(&control, 1).await;
        let stats = control.stats();
        assert_eq!((stats.timed_out, stats.failed, stats.handled), (1, 1, 1));
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        queue.close().unwrap();
        work.await.unwrap().unwrap();
    });
}

#[test]
fn a_work_that_is_dropped_drops_its_handlers_and_gives_their_messages_back_as_they_were() {
    let queue = filled(3);
    let dropped = Arc::new(AtomicUsize::new(0));
    let telling = Arc::clone(&dropped);
    let (control, work) = workers(&queue)
        .concurrency(2)
        .run_async(move |_| {
            let told = Told(Arc::clone(&telling));
            async move {
                std::future::pending::<()>().await;
                drop(told);
                Ok(())
            }
        })
        .unwrap();
    let mut work = ByHand::new(work);
    assert!(work.settle().is_pending());
    assert_eq!(control.stats().running, 2);
    assert_eq!(left(&queue), [(2, 1)]);
    // Nor while something unwinds.
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _work = work;
        std::panic::resume_unwind(Box::new("somebody else's"));
    }));
    assert!(unwound.is_err());
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert_eq!(left(&queue), [(0, 1), (1, 1), (2, 1)]);
    queue.close().unwrap();
}

#[test]
fn a_handler_that_is_ready_is_polled_and_the_others_are_not() {
    let queue = filled(20);
    let polls = Arc::new(Mutex::new(vec![0; 20]));
    let wakers = Arc::new(Mutex::new(vec![None; 20]));
    let (counting, leaving) = (Arc::clone(&polls), Arc::clone(&wakers));
    let (_control, work) = workers(&queue)
        .concurrency(20)
        .run_async(move |job| {
            let (polls, wakers) = (Arc::clone(&counting), Arc::clone(&leaving));
            let at = usize::from(*job.body().first().unwrap());
            poll_fn(move |cx| {
                *polls.lock().unwrap().get_mut(at).unwrap() += 1;
                *wakers.lock().unwrap().get_mut(at).unwrap() = Some(cx.waker().clone());
                Poll::<Result<(), pocketmq::HandlerError>>::Pending
            })
        })
        .unwrap();
    let mut work = ByHand::new(work);
    assert!(work.settle().is_pending());
    assert_eq!(*polls.lock().unwrap(), [1; 20]);
    let rings = work.rings();
    for at in [7, 11, 7] {
        let waker = wakers.lock().unwrap().get(at).unwrap().clone().unwrap();
        waker.wake();
    }
    assert_eq!(work.rings(), rings + 1, "a task that knows is not woken again");
    assert!(work.settle().is_pending());
    let mut expected = [1; 20];
    (expected[7], expected[11]) = (2, 2);
    assert_eq!(*polls.lock().unwrap(), expected);
    drop(work);
    queue.close().unwrap();
}

#[test]
fn one_poll_handles_some_messages_and_lets_others_who_share_the_thread_run() {
    let queue = filled(250);
    let (control, work) =
        workers(&queue).concurrency(1000).run_async(|_| async { Ok(()) }).unwrap();
    let mut work = ByHand::new(work);
    assert!(work.poll().is_pending());
    let once = control.stats().handled;
    assert!(once < 250, "{once}");
    assert!(work.rings() > 0);
    assert!(work.settle().is_pending());
    assert_eq!(control.stats().handled, 250);
    queue.close().unwrap();
}

#[test]
fn a_message_that_does_not_decode_is_a_failed_attempt_and_is_told() {
    const NUMBERS: Topic<u32> = Topic::new("jobs");
    let queue = filled(0);
    queue.producer(JOBS).unwrap().send(b"no number").unwrap();
    queue.producer(NUMBERS).unwrap().send(&7).unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let telling = Arc::clone(&told);
    let (control, work) = queue
        .consumer(NUMBERS, "workers")
        .on_event(move |event| {
            if matches!(event, WorkerEvent::Undecodable { .. }) {
                telling.fetch_add(1, Ordering::SeqCst);
            }
        })
        .run_async(|number| async move {
            assert_eq!(*number, 7);
            Ok(())
        })
        .unwrap();
    assert!(ByHand::new(work).settle().is_pending());
    let stats = control.stats();
    assert_eq!((stats.handled, stats.failed), (1, 1));
    assert_eq!(told.load(Ordering::SeqCst), 1);
    queue.close().unwrap();
}

#[test]
fn a_lease_does_not_end_while_a_handler_runs() {
    let queue = filled(1);
    let lease = Duration::from_millis(5);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let (control, work) = workers(&queue)
        .lease(lease)
        .run_async(move |_| {
            let gate = Arc::clone(&waits);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        })
        .unwrap();
    let mut work = ByHand::new(work);
    assert!(work.settle().is_pending());
    let idle = workers(&queue).lease(lease).pull().unwrap().recv(lease * 4);
    assert!(idle.unwrap().is_none(), "it is in a handler's hands");
    gate.add_permits(1);
    assert!(work.settle().is_pending());
    assert_eq!(control.stats().handled, 1);
    queue.close().unwrap();
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let queue = filled(0);
    let refused = |builder: ConsumerBuilder<[u8], Raw>| {
        let refused = builder.run_async(|_| async { Ok(()) });
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    };
    refused(workers(&queue).concurrency(0));
    refused(workers(&queue).handler_timeout(Duration::ZERO));
    refused(workers(&queue).middleware(|_| Ok(Outcome::Done)));
    refused(queue.consumer(JOBS, "../x"));
    queue.close().unwrap();
    let closed = workers(&queue).run_async(|_| async { Ok(()) });
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
}
