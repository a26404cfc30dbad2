//! What the consumers of a group agree on.

use pocketmq::Filter;

use super::*;

fn usual(queue: &Queue) -> ConsumerBuilder<u64> {
    workers(queue).filter(Filter::tags("a").unwrap()).retry(Retry::fixed(HOUR)).lease(HOUR)
}

#[test]
fn a_second_consumer_with_other_terms_is_refused_as_long_as_the_first_is_there() {
    type Other = fn(ConsumerBuilder<u64>) -> ConsumerBuilder<u64>;
    let others: [(&str, Other); 6] = [
        ("filter", |usual| usual.filter(Filter::tags("b").unwrap())),
        ("filter", |usual| usual.filter(Filter::sql("TAGS = 'a'").unwrap())),
        ("retries", |usual| usual.retry(Retry::fixed(SECOND))),
        ("retries", |usual| usual.retry(Retry::fixed(HOUR).max_attempts(3))),
        ("lease", |usual| usual.lease(SECOND)),
        ("poison guard", |usual| usual.poison_guard(3)),
    ];
    for (what, other) in others {
        let queue = filled([]);
        queue.producer(JOBS).unwrap().message(&1).tag("a").send().unwrap();
        let refused = || {
            let error = other(usual(&queue)).pull().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(what), "{error} does not say {what}");
        };
        let first = usual(&queue).pull().unwrap();
        refused();
        let second = usual(&queue).pull().unwrap();
        drop(first);
        refused();
        let held = next(&second);
        let batch = second.recv_async(HOUR);
        drop(second);
        refused();
        drop(batch);
        refused();
        held.fail().unwrap();
        let consumer = other(usual(&queue)).pull().unwrap();
        nothing(&consumer);
        assert_eq!(kind(usual(&queue).pull()), ErrorKind::InvalidArgument);
    }
}

#[test]
fn other_groups_and_topics_agree_on_terms_of_their_own() {
    let queue = filled([1]);
    let _here = usual(&queue).pull().unwrap();
    let other = queue.consumer(JOBS, "others").pull().unwrap();
    assert_eq!(there(&other), [(1, 1)]);
    let elsewhere = queue.consumer(Topic::<u64>::new("more"), "workers").pull();
    nothing(&elsewhere.unwrap());
}

#[test]
fn terms_that_make_no_sense_are_refused_when_the_consumer_is_made() {
    let queue = filled([1]);
    assert_eq!(kind(workers(&queue).lease(NOW).pull()), ErrorKind::InvalidArgument);
    assert_eq!(kind(workers(&queue).poison_guard(0).pull()), ErrorKind::InvalidArgument);
    assert!(workers(&queue).filter_tag("a || *").is_err());
    assert!(workers(&queue).filter_sql("a = ").is_err());
    assert!(queue.stats().unwrap().groups.is_empty(), "nobody has joined");
    let held = next(&workers(&queue).pull().unwrap());
    assert_eq!(kind(held.extend(NOW)), ErrorKind::InvalidArgument);
    held.ack().unwrap();
}

#[test]
fn a_lease_of_all_time_never_ends() {
    let queue = filled([1]);
    let consumer = workers(&queue).lease(Duration::MAX).pull().unwrap();
    let held = next(&consumer);
    queue.advance(HOUR);
    nothing(&consumer);
    held.ack().unwrap();
    assert_eq!(counts(&queue), (0, 0, 0, 0));
}

#[test]
fn what_fails_in_order_waits_for_a_second_and_then_as_others_unless_a_wait_is_said() {
    let queue = TestQueue::new().unwrap();
    let waits = |group: &str, set: &dyn Fn(ConsumerBuilder<u64>) -> ConsumerBuilder<u64>| {
        let consumer = set(queue.consumer(JOBS, group)).pull().unwrap();
        let wait = |()| {
            consumer.recv(NOW).unwrap().unwrap().fail().unwrap();
            let mut waited = 0;
            while consumer.recv(NOW).unwrap().is_none() {
                queue.advance(SECOND);
                waited += 1;
            }
            waited
        };
        [(); 3].map(wait)
    };
    queue.producer(JOBS).unwrap().message(&1).order_by("a").send().unwrap();
    assert_eq!(waits("free", &|consumer| consumer), [10, 30, 60]);
    assert_eq!(waits("ordered", &ConsumerBuilder::ordered), [1, 10, 30]);
    assert_eq!(waits("by-queue", &ConsumerBuilder::ordered_by_queue), [1, 10, 30]);
    let said = |consumer: ConsumerBuilder<u64>| consumer.ordered().retry(Retry::levels());
    assert_eq!(waits("said", &said), [10, 30, 60]);
    let ordered = queue.consumer(JOBS, "mine").ordered().pull().unwrap();
    ordered.recv(NOW).unwrap().unwrap().retry_after(5 * SECOND).unwrap();
    queue.advance(4 * SECOND);
    assert!(ordered.recv(NOW).unwrap().is_none());
    queue.advance(SECOND);
    assert_eq!(ordered.recv(NOW).unwrap().unwrap().attempt(), 2);
}
