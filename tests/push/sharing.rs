//! Threads, topics, what stands around a handler, and what cannot be started.

use super::*;

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
    invalid(numbers(&queue).short_polling(Duration::from_secs(1)).run(done));
    invalid(queue.consumer(NUMBERS, "../g").run(done));
    invalid(queue.worker("g").run());
    invalid(queue.worker("../g").on(NUMBERS, done).run());
    invalid(queue.worker("g").on(NUMBERS, done).on(NUMBERS, done).run());
    invalid(queue.worker("g").on(NUMBERS, done).concurrency(0).run());
    let _one = numbers(&queue).run(done).unwrap();
    invalid(numbers(&queue).retry(Retry::never()).run(done));
}

#[test]
fn reading_ahead_past_a_blocked_key_ends_some_day_and_is_told_once() {
    let queue = Queue::in_memory().unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    for n in 0..10_010 {
        producer.message(&n).order_by("hot").send().unwrap();
    }
    producer.message(&99_999).order_by("cold").send().unwrap();
    let ((told, heard), (open, gate), (says, done)) = (tell(), Gate::new(), tell());
    let handler = move |n: &Job<u64>| {
        if **n == 0 {
            gate.pass();
        }
        Ok(says.send(**n)?)
    };
    let limited = numbers(&queue).concurrency(2).concurrency_per_key(1);
    let limited = limited.on_event(move |event| match event {
        WorkerEvent::ReadAheadFull { topic, queue, .. } => {
            told.send((topic.to_string(), queue.get())).unwrap();
        }
        other => panic!("{other:?}"),
    });
    let worker = limited.run(handler).unwrap();
    assert_eq!(heard(), ("numbers".to_owned(), 0));
    open.send(()).unwrap();
    let mut got: Vec<_> = (0..10_011).map(|_| done()).collect();
    got.sort_unstable();
    assert!(got.into_iter().eq((0..10_010).chain([99_999])));
    ends(&worker);
    drop(worker);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(heard)).is_err(), "once");
}
