//! What a handler returns, and what it throws.

use super::*;

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
    // What the group's own retries say would be too long.
    let turns = AtomicUsize::new(0);
    let worker = numbers(&queue).retry(Retry::fixed(SOON * 60)).run(move |n| {
        told.send(n.attempt())?;
        match turns.fetch_add(1, Ordering::SeqCst) {
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
