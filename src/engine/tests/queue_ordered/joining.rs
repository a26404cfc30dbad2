//! Consumers that come, go, and give no sign of life.

use super::*;

#[test]
fn consumers_share_the_queues_and_each_has_its_own() {
    let (engine, _) = engine(8);
    let one = member(&engine);
    assert_eq!(queues(&one), [0, 1, 2, 3, 4, 5, 6, 7]);
    let two = member(&engine);
    let three = two.clone();
    assert_eq!(queues(&one), [0, 1, 2]);
    assert_eq!(queues(&two), [3, 4, 5]);
    assert_eq!(queues(&three), [6, 7]);
    for queue in 0..8_u8 {
        send(&engine, queue.into(), queue..queue + 1);
    }
    let got = [&one, &two, &three].map(|consumer| numbers(&batch(consumer)));
    assert_eq!(got, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    drop(two);
    assert_eq!((queues(&one), queues(&three)), (vec![0, 1, 2, 3], vec![4, 5, 6, 7]));
}

#[test]
fn a_strategy_shares_them_its_way() {
    let (engine, _) = engine(5);
    let circle = builder(&engine).strategy(Strategy::Circle);
    let one = circle.pull().unwrap();
    let two = one.clone();
    assert_eq!((queues(&one), queues(&two)), (vec![0, 2, 4], vec![1, 3]));
}

#[test]
fn consumers_agree_on_strategy_and_heartbeat() {
    let (engine, _) = engine(2);
    let _one = member(&engine);
    let refused = [
        builder(&engine).strategy(Strategy::Circle),
        builder(&engine).heartbeat_timeout(SECOND),
        ConsumerBuilder::new(&engine, Topic::<[u8], Raw>::new("t"), "g"),
    ];
    for other in refused {
        assert_eq!(other.pull().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let same = builder(&engine).strategy(Strategy::Average).heartbeat_timeout(30 * SECOND);
    assert_eq!(queues(&same.pull().unwrap()), [1]);
}

#[test]
fn a_queue_that_moves_is_free_for_the_new_one_when_what_is_in_hand_is_settled() {
    let (engine, _) = engine(2);
    send(&engine, 1, 0..3);
    let old = member(&engine);
    let mut held = old.recv_batch(2, Duration::ZERO).unwrap();
    let new = member(&engine);
    assert_eq!(queues(&new), [1]);
    assert!(next(&new).is_none() && next(&old).is_none());
    held.remove(0).ack().unwrap();
    assert!(next(&new).is_none());
    drop(held);
    assert_eq!(numbers(&batch(&new)), [1, 2]);
    assert!(next(&old).is_none());
}

#[test]
fn deliveries_can_be_settled_when_their_consumer_is_gone() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..3);
    let (gone, stays) = (member(&engine), member(&engine));
    let held = next(&gone).unwrap();
    drop(gone);
    assert_eq!(queues(&stays), [0]);
    clock.advance(29 * SECOND);
    assert!(next(&stays).is_none());
    held.ack().unwrap();
    assert_eq!(number(next(&stays).as_ref()), Some(1));
    // But not for ever.
    let gone = stays.clone();
    drop(stays);
    let held = next(&gone).unwrap();
    drop(gone);
    let stays = member(&engine);
    clock.advance(30 * SECOND);
    assert_eq!(number(next(&stays).as_ref()), Some(1));
    assert_eq!(held.ack().unwrap_err().kind(), ErrorKind::Stale);
}

#[test]
fn a_consumer_that_does_not_answer_loses_its_queues_and_what_it_holds_comes_again_in_order() {
    let (engine, clock) = engine(2);
    send(&engine, 0, 0..3);
    let (dead, other) = (member(&engine), member(&engine));
    let mut held = batch(&dead);
    assert_eq!(numbers(&held), [0, 1, 2]);
    held.remove(0).ack().unwrap();
    clock.advance(29 * SECOND);
    assert!(next(&other).is_none());
    clock.advance(SECOND);
    let again = batch(&other);
    assert_eq!(numbers(&again), [1, 2]);
    assert!(again.iter().all(|again| again.attempt() == 1));
    assert_eq!((queues(&dead), queues(&other)), (vec![], vec![0, 1]));
    for late in held {
        assert_eq!(late.ack().unwrap_err().kind(), ErrorKind::Stale);
    }
    other.ack_all(again).unwrap();
    // It is back when it asks.
    assert!(next(&dead).is_none());
    assert_eq!((queues(&dead), queues(&other)), (vec![0], vec![1]));
    send(&engine, 0, 3..4);
    assert_eq!(number(next(&dead).as_ref()), Some(3));
}

#[test]
fn asking_settling_and_extending_are_signs_of_life() {
    let (engine, clock) = engine(2);
    send(&engine, 0, 0..9);
    let signs: [fn(&Bytes, &mut Vec<Got>); 6] = [
        |consumer, _| assert!(next(consumer).is_none()),
        |_, held| held.remove(0).ack().unwrap(),
        |_, held| held[0].extend(600 * SECOND).unwrap(),
        |_, held| drop(held.pop()),
        |_, held| held.pop().unwrap().fail().unwrap(),
        |_, held| held.pop().unwrap().snooze(SECOND).unwrap(),
    ];
    let (alive, other) = (member(&engine), member(&engine));
    let mut held = batch(&alive);
    for sign in signs {
        clock.advance(20 * SECOND);
        sign(&alive, &mut held);
        clock.advance(20 * SECOND);
        assert!(next(&other).is_none());
        assert_eq!(queues(&alive), [0]);
    }
    alive.ack_all(held).unwrap();
}

#[test]
fn who_waits_for_a_message_is_alive_and_a_future_that_was_woken_and_does_not_ask_is_not() {
    let (engine, clock) = engine(2);
    let (waits, other) = (member(&engine), member(&engine));
    let mut future = Box::pin(waits.recv_async(Duration::from_secs(3600)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    clock.advance(60 * SECOND);
    assert!(next(&other).is_none());
    assert_eq!(queues(&waits), [0]);
    send(&engine, 0, 0..1);
    clock.advance(30 * SECOND);
    assert_eq!(number(next(&other).as_ref()), Some(0));
    assert!(queues(&waits).is_empty());
    send(&engine, 1, 1..2);
    drop(future);
}

#[test]
fn strategy_and_heartbeat_are_for_queues_and_nobody_is_dead_at_once() {
    let (engine, _) = engine(1);
    let plain = || ConsumerBuilder::new(&engine, Topic::<[u8], Raw>::new("t"), "g");
    let refused = [
        plain().strategy(Strategy::Circle),
        plain().ordered().heartbeat_timeout(SECOND),
        plain().ordered_by_queue().heartbeat_timeout(Duration::ZERO),
    ];
    for refused in refused {
        assert_eq!(refused.pull().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    plain().ordered_by_queue().heartbeat_timeout(Duration::MAX).pull().unwrap();
}

#[test]
fn a_handler_keeps_its_queue_as_long_as_it_may_take_and_what_it_is_at_then_has_failed() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..1);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let worker = builder(&engine).handler_timeout(600 * SECOND).run(move |_| {
        begun.send(())?;
        held.lock().recv()?;
        Ok(())
    });
    let worker = worker.unwrap();
    has_begun.recv().unwrap();
    let other = member(&engine);
    clock.advance(599 * SECOND);
    assert!(next(&other).is_none() && queues(&other).is_empty());
    clock.advance(SECOND);
    assert!(next(&other).is_none(), "it waits for its retry");
    assert_eq!(queues(&other), [0]);
    clock.advance(10 * SECOND);
    let again = next(&other).unwrap();
    assert_eq!((number(Some(&again)), again.attempt()), (Some(0), 2));
    let_go.send(()).unwrap();
    worker.shutdown(600 * SECOND).unwrap();
    assert_eq!(worker.stats().handled, 0, "it came too late");
    again.ack().unwrap();
}

/// A future whose handlers run until `done` says so, and never say when they are to be polled.
fn working(
    engine: &Arc<Engine>,
    done: &Arc<AtomicBool>,
) -> (crate::Control, impl Future<Output = Result<()>> + Unpin + use<>) {
    let done = Arc::clone(done);
    let working = builder(engine).concurrency(2).handler_timeout(600 * SECOND);
    let handler = move |_| {
        let done = Arc::clone(&done);
        std::future::poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            if done.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
    };
    working.run_async(handler).unwrap()
}

fn poll_once(work: &mut (impl Future<Output = Result<()>> + Unpin)) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(work).poll(&mut cx).is_pending());
}

#[test]
fn a_future_that_works_is_alive_as_long_as_its_handlers_may_take_whoever_comes_meanwhile() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..1);
    let done = Arc::new(AtomicBool::new(false));
    let (control, mut work) = working(&engine, &done);
    poll_once(&mut work);
    // Who joins wakes all who wait: from then on this one does not ask.
    let other = member(&engine);
    clock.advance(599 * SECOND);
    assert!(next(&other).is_none() && queues(&other).is_empty());
    done.store(true, Ordering::SeqCst);
    poll_once(&mut work);
    assert_eq!(control.stats().handled, 1);
}

#[test]
fn a_future_whose_handlers_are_done_counts_as_alive_for_a_heartbeat_only() {
    let (engine, clock) = engine(1);
    send(&engine, 0, 0..1);
    let done = Arc::new(AtomicBool::new(true));
    let (control, mut work) = working(&engine, &done);
    poll_once(&mut work);
    let other = member(&engine);
    assert_eq!((control.stats().handled, queues(&other)), (1, vec![]));
    clock.advance(29 * SECOND);
    assert!(next(&other).is_none() && queues(&other).is_empty());
    clock.advance(SECOND);
    assert_eq!(queues(&other), [0]);
}

#[test]
fn a_future_that_is_paused_leaves_its_queues_when_its_handlers_are_done_and_joins_again() {
    let (engine, _) = engine(2);
    send(&engine, 0, 0..3);
    let done = Arc::new(AtomicBool::new(false));
    let (control, mut work) = working(&engine, &done);
    poll_once(&mut work);
    let other = member(&engine);
    control.pause();
    poll_once(&mut work);
    assert_eq!(queues(&other), [1], "a handler runs");
    done.store(true, Ordering::SeqCst);
    poll_once(&mut work);
    assert_eq!(queues(&other), [0, 1]);
    next(&other).unwrap().ack().unwrap();
    control.resume();
    poll_once(&mut work);
    assert_eq!((control.stats().handled, queues(&other)), (2, vec![1]));
}

#[test]
fn a_future_that_works_keeps_its_queues_while_its_handlers_run_though_it_is_paused() {
    let (engine, clock) = engine(2);
    send(&engine, 0, 0..1);
    send(&engine, 1, 1..2);
    let done = Arc::new(AtomicBool::new(false));
    let paused = builder(&engine).concurrency(2).handler_timeout(600 * SECOND);
    let is_done = Arc::clone(&done);
    let (control, mut work) = paused
        .run_async(move |job| {
            let is_done = Arc::clone(&is_done);
            std::future::poll_fn(move |cx| {
                cx.waker().wake_by_ref();
                let ends = job.body() == [0] && is_done.load(Ordering::SeqCst);
                if ends { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
        })
        .unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll = || assert!(pin!(&mut work).poll(&mut cx).is_pending());
    poll();
    assert_eq!(control.stats().running, 2);
    let other = member(&engine);
    control.pause();
    poll();
    done.store(true, Ordering::SeqCst);
    poll();
    assert_eq!(control.stats().handled, 1);
    clock.advance(599 * SECOND);
    assert!(next(&other).is_none(), "it is in hand");
    assert_eq!(queues(&other), [1]);
    clock.advance(SECOND);
    assert!(next(&other).is_none(), "it has failed");
    assert_eq!(queues(&other), [0, 1]);
    clock.advance(10 * SECOND);
    assert_eq!(number(next(&other).as_ref()), Some(1));
}
