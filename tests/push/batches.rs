//! Several messages at a time.

use super::*;

#[test]
fn a_batch_waits_to_be_full_and_no_longer_than_it_lingers() {
    let queue = queue_of(0..4);
    let (told, heard) = tell();
    let handler = move |jobs: &[Job<u64>]| Ok(told.send(jobs.len())?);
    let worker = numbers(&queue).run_batch(10, SOON * 60, handler.clone()).unwrap();
    let producer = queue.producer(NUMBERS).unwrap();
    let other = numbers(&queue).pull().unwrap();
    // Until the worker has those that are there.
    while !other.recv_batch(4, Duration::ZERO).unwrap().is_empty() {}
    drop(other);
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
        .run_batch(3, SOON, |jobs| {
            if jobs.iter().all(|job| job.attempt() > 1) { Ok(()) } else { Err("all of you".into()) }
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
