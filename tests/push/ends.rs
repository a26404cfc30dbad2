//! Taking too long, pausing, and coming to an end.

use super::*;

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
        // Where the worker has ended already, nobody is left to open it for.
        let _ended = open.send(());
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
    let (told, heard) = channel();
    let (open, gate) = Gate::new();
    let worker = numbers(&queue).run(move |n| {
        told.send(**n)?;
        gate.pass();
        Ok(())
    });
    let worker = worker.unwrap();
    assert_eq!(heard.recv_timeout(SOON), Ok(1));
    drop(worker);
    queue.producer(NUMBERS).unwrap().send(&2).unwrap();
    open.send(()).unwrap();
    // The thread ends, and the handler with it.
    assert_eq!(heard.recv_timeout(SOON), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(backlog(&queue), 1, "the first is done");
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
