//! What a group does not want.

use pocketmq::Filter;

use super::*;

/// Each with a tag, and its number as a property.
fn tagged(jobs: &[(u64, &str)]) -> TestQueue {
    let queue = TestQueue::new().unwrap();
    send(&queue, jobs);
    queue
}

fn send(queue: &Queue, jobs: &[(u64, &str)]) {
    let producer = queue.producer(JOBS).unwrap();
    for (job, tag) in jobs {
        producer.message(job).tag(tag).property("n", job).send().unwrap();
    }
}

fn values(consumer: &Consumer<u64>) -> Vec<u64> {
    there(consumer).into_iter().map(|(value, _)| value).collect()
}

fn backlog(queue: &Queue) -> u64 {
    queue.group("workers").unwrap().lag().unwrap().iter().map(|lag| lag.backlog).sum()
}

#[test]
fn what_a_group_does_not_want_is_passed_over_for_good() {
    type Filtered = fn(ConsumerBuilder<u64>) -> ConsumerBuilder<u64>;
    let both: [Filtered; 2] = [
        |usual| usual.filter_tag("b || c").unwrap(),
        |usual| usual.filter_sql("n BETWEEN 2 AND 3 OR TAGS = 'c'").unwrap(),
    ];
    for filtered in both {
        let mut queue = tagged(&[(1, "a"), (2, "b"), (3, "b"), (4, "a"), (5, "c"), (6, "a")]);
        let consumer = filtered(workers(&queue)).pull().unwrap();
        assert_eq!(values(&consumer), [2, 3, 5]);
        assert_eq!(backlog(&queue), 3);
        consumer.recv(NOW).unwrap().unwrap().ack().unwrap();
        queue.crash_and_reopen().unwrap();
        // Also for those who would want it now.
        assert_eq!(values(&workers(&queue).pull().unwrap()), [3, 5]);
        queue.reopen().unwrap();
        let consumer = filtered(workers(&queue)).pull().unwrap();
        consumer.ack_all(consumer.recv_batch(9, NOW).unwrap()).unwrap();
        assert_eq!(backlog(&queue), 0);
        let others = queue.consumer(JOBS, "others").pull().unwrap();
        assert_eq!(values(&others), [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn tags_with_the_same_hash_are_told_apart() {
    // As Java hashes them.
    let queue = tagged(&[(1, "Aa"), (2, "BB"), (3, "Aa")]);
    let consumer = workers(&queue).filter_tag("BB").unwrap().pull().unwrap();
    next(&consumer).ack().unwrap();
    nothing(&consumer);
    assert_eq!(backlog(&queue), 0);
}

#[test]
fn a_message_that_failed_is_not_filtered_again() {
    let mut queue = tagged(&[(1, "a"), (2, "a"), (3, "b")]);
    let only = |queue: &Queue, tag| {
        workers(queue).retry(Retry::fixed(HOUR)).filter_tag(tag).unwrap().pull().unwrap()
    };
    let consumer = only(&queue, "a");
    next(&consumer).fail().unwrap();
    drop(consumer);
    let consumer = only(&queue, "b");
    assert_eq!(there(&consumer), [(3, 1)]);
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(1, 2), (3, 1)]);
    next(&consumer).fail().unwrap();
    queue.crash_and_reopen().unwrap();
    let consumer = only(&queue, "b");
    queue.advance(HOUR);
    assert_eq!(there(&consumer), [(1, 3), (3, 1)]);
}

#[test]
fn a_large_backlog_that_nobody_wants_is_passed_over_by_one_look() {
    type Filtered = fn(ConsumerBuilder<u64>) -> ConsumerBuilder<u64>;
    // By the queue's entries alone, and by looking at each message.
    let both: [Filtered; 2] = [
        |usual| usual.filter_tag("wanted").unwrap(),
        |usual| usual.filter_sql("TAGS = 'wanted'").unwrap(),
    ];
    for filtered in both {
        let mut queue = filled(0..100_000);
        send(&queue, &[(7, "wanted")]);
        let consumer = filtered(workers(&queue)).pull().unwrap();
        let wanted = next(&consumer);
        assert_eq!((*wanted, backlog(&queue)), (7, 1));
        wanted.ack().unwrap();
        queue.producer(JOBS).unwrap().send_batch(0..50_000).unwrap();
        nothing(&consumer);
        assert_eq!(backlog(&queue), 0);
        for again in [TestQueue::crash_and_reopen, TestQueue::reopen] {
            again(&mut queue).unwrap();
            assert_eq!(backlog(&queue), 0);
        }
        nothing(&workers(&queue).pull().unwrap());
    }
}

#[test]
fn whoever_passes_over_many_messages_comes_back_when_the_time_is_up() {
    let unwanted: Vec<_> = (0..20_000).map(|job| (job, "b")).collect();
    let queue = tagged(&unwanted);
    send(&queue, &[(1, "a")]);
    let consumer = workers(&queue).filter(Filter::tags("a").unwrap()).pull().unwrap();
    let got = consumer.recv(Duration::from_nanos(1)).unwrap();
    assert!(got.is_none() && backlog(&queue) > 1, "it went on to {got:?}");
    assert_eq!(values(&consumer), [1], "who does not wait sees all of them");
}

#[test]
fn whoever_passes_over_many_that_do_not_decode_comes_back_when_the_time_is_up() {
    let queue = TestQueue::new().unwrap();
    let raw = queue.producer(Topic::<[u8], Raw>::new("jobs")).unwrap();
    raw.send_batch(vec![&b"?"[..]; 100]).unwrap();
    send(&queue, &[(1, "a")]);
    let consumer = hourly(&queue);
    assert!(consumer.recv(Duration::from_nanos(1)).unwrap().is_none());
    assert!(counts(&queue).2 < 100, "it went on to the last");
    assert!(consumer.recv_batch(2, Duration::from_nanos(1)).unwrap().is_empty());
    assert!(counts(&queue).2 < 100, "it went on to the last");
    assert_eq!(values(&consumer), [1], "who does not wait sees all of them");
}
