//! What is known of a message outlives a close, a crash, and a move of its group.

use pocketmq::Start;

use super::*;

fn both() -> [fn(&mut TestQueue) -> pocketmq::Result<()>; 2] {
    [TestQueue::reopen, TestQueue::crash_and_reopen]
}

#[test]
fn attempts_and_back_offs_survive_a_close_and_a_crash() {
    for again in both() {
        let mut queue = filled([1, 2]);
        let consumer = hourly(&queue);
        next(&consumer).fail().unwrap();
        queue.advance(HOUR);
        let first = consumer.recv_batch(2, NOW).unwrap();
        for delivery in first {
            delivery.fail().unwrap();
        }
        queue.advance(HOUR / 2);
        again(&mut queue).unwrap();
        let consumer = hourly(&queue);
        nothing(&consumer);
        assert_eq!(counts(&queue), (2, 0, 2, 0));
        not_before(&queue, &consumer, HOUR / 2);
        assert_eq!(there(&consumer), [(1, 3), (2, 2)]);
    }
}

#[test]
fn a_message_that_waits_is_due_at_once_if_its_time_came_while_nobody_had_the_queue_open() {
    for again in both() {
        let mut queue = filled([1]);
        next(&hourly(&queue)).fail().unwrap();
        queue.advance(2 * HOUR);
        again(&mut queue).unwrap();
        assert_eq!(there(&hourly(&queue)), [(1, 2)]);
    }
}

#[test]
fn a_snooze_and_a_lease_that_ended_survive_a_close_and_a_crash() {
    for again in both() {
        let mut queue = filled([1, 2]);
        let leased = |queue: &Queue| workers(queue).lease(SECOND).pull().unwrap();
        let consumer = leased(&queue);
        next(&consumer).snooze(HOUR).unwrap();
        let _held_too_long = next(&consumer);
        queue.advance(SECOND);
        assert_eq!(there(&consumer), [(2, 2)]);
        again(&mut queue).unwrap();
        let consumer = leased(&queue);
        assert_eq!(there(&consumer), [(2, 2)]);
        queue.advance(HOUR);
        assert_eq!(there(&consumer), [(1, 1), (2, 2)]);
    }
}

#[test]
fn each_crash_with_a_message_in_hand_is_a_death_and_no_attempt() {
    let mut queue = filled([1, 2]);
    for deaths in 0..4 {
        let consumer = hourly(&queue);
        let held = next(&consumer);
        assert_eq!((*held, held.deaths(), held.attempt()), (1, deaths, 1));
        queue.crash_and_reopen().unwrap();
    }
    // Given back by then: nobody held it.
    drop(next(&hourly(&queue)));
    queue.crash_and_reopen().unwrap();
    queue.reopen().unwrap();
    let consumer = hourly(&queue);
    let held = consumer.recv_batch(2, NOW).unwrap();
    assert_eq!(held.iter().map(|d| (**d, d.deaths())).collect::<Vec<_>>(), [(1, 4), (2, 0)]);
    for delivery in held {
        delivery.fail().unwrap();
    }
    queue.crash_and_reopen().unwrap();
    queue.advance(HOUR);
    let held = hourly(&queue).recv_batch(2, NOW).unwrap();
    let seen: Vec<_> = held.iter().map(|d| (**d, d.deaths(), d.attempt())).collect();
    assert_eq!(seen, [(1, 4, 2), (2, 0, 2)]);
}

#[test]
fn the_poison_guard_sets_aside_what_kills_and_gives_it_back_when_it_is_told_to() {
    let mut queue = filled([1, 2]);
    let guarded = |queue: &Queue| workers(queue).poison_guard(3).pull().unwrap();
    for deaths in 0..3 {
        let consumer = guarded(&queue);
        let held = next(&consumer);
        assert_eq!((*held, held.deaths()), (1, deaths));
        queue.crash_and_reopen().unwrap();
    }
    for again in both() {
        let consumer = guarded(&queue);
        assert_eq!(there(&consumer), [(2, 1)]);
        assert_eq!(counts(&queue), (2, 0, 0, 1));
        let aside = queue.group("workers").unwrap().set_aside().unwrap();
        assert_eq!(aside.len(), 1);
        assert_eq!((aside[0].offset.get(), aside[0].deaths, aside[0].attempts), (0, 3, 0));
        again(&mut queue).unwrap();
    }
    let consumer = guarded(&queue);
    assert_eq!(queue.group("workers").unwrap().retry_set_aside().unwrap(), 1);
    assert_eq!(next(&consumer).deaths(), 0);
    queue.crash_and_reopen().unwrap();
    let consumer = guarded(&queue);
    let back = next(&consumer);
    assert_eq!((*back, back.deaths()), (1, 0), "a crash does not undo it");
}

#[test]
fn what_had_its_last_attempt_stays_aside_after_a_close_and_a_crash() {
    for again in both() {
        let mut queue = filled([1, 2]);
        let once = |queue: &Queue| workers(queue).retry(Retry::never()).pull().unwrap();
        next(&once(&queue)).fail().unwrap();
        again(&mut queue).unwrap();
        queue.advance(24 * HOUR);
        let consumer = once(&queue);
        assert_eq!(there(&consumer), [(2, 1)]);
        assert_eq!(counts(&queue), (2, 0, 0, 1));
        drop(consumer);
        // A group that is more patient has another look at it.
        assert_eq!(there(&hourly(&queue)), [(1, 2), (2, 1)]);
        assert_eq!(counts(&queue), (2, 0, 1, 0));
    }
}

#[test]
fn a_group_that_is_moved_leaves_alone_what_waits_for_another_attempt() {
    let mut queue = filled(0..6);
    let consumer = hourly(&queue);
    let mut held = consumer.recv_batch(4, NOW).unwrap();
    held.remove(1).fail().unwrap();
    let group = queue.group("workers").unwrap();

    group.seek(Start::Latest).unwrap();
    nothing(&consumer);
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(1, 2)]);
    next(&consumer).fail().unwrap();
    assert_eq!(kind(held.remove(0).ack()), ErrorKind::Stale);
    assert_eq!(counts(&queue), (1, 0, 1, 0));
    queue.advance(HOUR / 2);
    group.seek(Start::Earliest).unwrap();
    assert_eq!(there(&consumer), [(0, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    group.seek(Start::Offset(3.into())).unwrap();
    assert_eq!(there(&consumer), [(3, 1), (4, 1), (5, 1)]);
    queue.crash_and_reopen().unwrap();
    let consumer = hourly(&queue);
    assert_eq!(there(&consumer), [(3, 1), (4, 1), (5, 1)]);
    queue.advance(HOUR / 2);
    assert_eq!(there(&consumer), [(1, 3), (3, 1), (4, 1), (5, 1)]);
}

#[test]
fn a_group_that_is_moved_skips_what_was_in_hand_when_the_process_died() {
    let mut queue = filled(0..4);
    let consumer = hourly(&queue);
    let mut held = consumer.recv_batch(3, NOW).unwrap();
    held.remove(0).fail().unwrap();
    queue.crash_and_reopen().unwrap();
    let group = queue.group("workers").unwrap();
    group.seek(Start::Latest).unwrap();
    let consumer = hourly(&queue);
    nothing(&consumer);
    assert_eq!(counts(&queue), (1, 0, 1, 0));
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(0, 2)], "it waited for another attempt");
}
