//! A group from outside: its lag, moving it while it runs and while it does not, beginning one like another.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use pocketmq::{Consumer, ErrorKind, Queue, Raw, Start, Topic};

const JOBS: Topic<[u8], Raw> = Topic::new("jobs");
const NOW: Duration = Duration::ZERO;

fn filled(count: u8) -> Queue {
    let queue = Queue::in_memory().unwrap();
    fill(&queue, 0..count);
    queue
}

fn fill(queue: &Queue, numbers: std::ops::Range<u8>) {
    let producer = queue.producer(JOBS).unwrap();
    for n in numbers {
        producer.send(&[n]).unwrap();
    }
}

fn consumer(queue: &Queue, group: &str) -> Consumer<[u8], Raw> {
    queue.consumer(JOBS, group).pull().unwrap()
}

/// Takes everything there is and acknowledges it.
fn drain(consumer: &Consumer<[u8], Raw>) -> Vec<u8> {
    let mut got = Vec::new();
    while let Some(delivery) = consumer.recv(NOW).unwrap() {
        got.push(delivery.body()[0]);
        delivery.ack().unwrap();
    }
    got
}

#[test]
fn a_group_that_is_moved_back_gets_everything_again_and_what_it_held_is_void() {
    let queue = filled(6);
    let consumer = consumer(&queue, "g");
    let group = queue.group("g").unwrap();
    let mut held = consumer.recv_batch(4, NOW).unwrap();
    held.remove(0).ack().unwrap();
    group.seek(Start::Earliest).unwrap();
    // In order, and each once, though three are still in somebody's hands.
    let again = consumer.recv_batch(10, NOW).unwrap();
    assert_eq!(again.iter().map(|d| d.body()[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(held.remove(0).ack().unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(consumer.ack_all(held).unwrap_err().kind(), ErrorKind::Stale);
    assert!(
        consumer.recv(NOW).unwrap().is_none(),
        "what is void does not come back by being dropped"
    );
    assert_eq!(group.lag().unwrap()[0].backlog, 6);
    consumer.ack_all(again).unwrap();
    let lag = group.lag().unwrap().remove(0);
    assert_eq!((lag.backlog, lag.watermark.get(), lag.oldest), (0, 6, None));
    assert_eq!(queue.stats().unwrap().groups[0].in_flight, 0);
}

#[test]
fn a_backlog_is_skipped_and_an_offset_or_a_time_is_where_it_goes_on() {
    let queue = filled(5);
    let consumer = consumer(&queue, "g");
    let group = queue.group("g").unwrap();
    group.seek(Start::Latest).unwrap();
    assert_eq!(drain(&consumer), [0_u8; 0]);
    fill(&queue, 5..7);
    assert_eq!(drain(&consumer), [5, 6]);
    group.seek_topic("jobs", Start::Offset(3.into())).unwrap();
    assert_eq!(drain(&consumer), [3, 4, 5, 6]);
    group.seek(Start::Offset(1000.into())).unwrap();
    assert_eq!(drain(&consumer), [0_u8; 0], "no further than the end");
    group.seek(Start::At(SystemTime::UNIX_EPOCH)).unwrap();
    assert_eq!(drain(&consumer), [0, 1, 2, 3, 4, 5, 6]);
    group.seek(Start::At(SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000))).unwrap();
    assert_eq!(drain(&consumer), [0_u8; 0]);
}

#[test]
fn a_sleeping_receiver_is_woken_when_its_group_is_moved_back() {
    let queue = filled(1);
    let consumer = consumer(&queue, "g");
    assert_eq!(drain(&consumer), [0]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let delivery = consumer.recv(Duration::from_secs(600)).unwrap().unwrap();
            delivery.into_acked().unwrap()
        });
        queue.group("g").unwrap().seek(Start::Earliest).unwrap();
        assert_eq!(*waiting.join().unwrap(), [0]);
    });
}

#[test]
fn a_group_that_does_not_run_is_moved_for_good_in_all_queues_of_all_its_topics() {
    let dir = tempfile::tempdir().unwrap();
    {
        let queue = Queue::open(dir.path()).unwrap();
        queue.create_topic("jobs", 3).unwrap();
        fill(&queue, 0..9);
        let other = Topic::<[u8], Raw>::new("other");
        queue.producer(other).unwrap().send(b"x").unwrap();
        drop(queue.consumer(Topic::<[u8], Raw>::new("other"), "g").pull().unwrap());
        assert_eq!(drain(&consumer(&queue, "g")).len(), 9);
        queue.close().unwrap();
    }
    {
        let queue = Queue::open(dir.path()).unwrap();
        let group = queue.group("g").unwrap();
        let lag = group.lag().unwrap();
        let rows: Vec<_> =
            lag.iter().map(|l| (l.topic.as_str(), l.queue.get(), l.backlog)).collect();
        assert_eq!(rows, [("jobs", 0, 0), ("jobs", 1, 0), ("jobs", 2, 0), ("other", 0, 1)]);
        assert!(lag[3].oldest.unwrap() < Duration::from_secs(600));
        group.seek(Start::Earliest).unwrap();
        queue.close().unwrap();
    }
    let queue = Queue::open(dir.path()).unwrap();
    let mut got = drain(&consumer(&queue, "g"));
    got.sort_unstable();
    assert_eq!(got, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_queue_that_appeared_after_the_group_began_is_part_of_its_lag() {
    let dir = tempfile::tempdir().unwrap();
    {
        let queue = Queue::open(dir.path()).unwrap();
        fill(&queue, 0..1);
        assert_eq!(drain(&consumer(&queue, "g")), [0]);
        queue.close().unwrap();
    }
    // As a broker's administrator does it: the topic gets a second queue.
    let topics = dir.path().join("config/topics.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&topics).unwrap()).unwrap();
    let jobs = &mut config["topicConfigTable"]["jobs"];
    (jobs["readQueueNums"], jobs["writeQueueNums"]) = (2.into(), 2.into());
    std::fs::write(&topics, config.to_string()).unwrap();

    let queue = Queue::open(dir.path()).unwrap();
    queue.producer(JOBS).unwrap().message(&[1][..]).queue(1).send().unwrap();
    let rows = || {
        let lag = queue.group("g").unwrap().lag().unwrap();
        lag.iter().map(|l| (l.queue.get(), l.backlog, l.oldest.is_some())).collect::<Vec<_>>()
    };
    let looked = (rows(), queue.stats().unwrap().groups[0].backlog);
    // Its next consumer is to receive it, and so it was waiting before there was one.
    assert_eq!(drain(&consumer(&queue, "g")), [1]);
    assert_eq!(looked, (vec![(0, 0, false), (1, 1, true)], 1));
    assert_eq!(rows(), [(0, 0, false), (1, 0, false)]);
}

#[test]
fn a_group_begins_like_another_and_goes_its_own_way() {
    let queue = filled(6);
    let first = consumer(&queue, "first");
    let mut held = first.recv_batch(4, NOW).unwrap();
    let last = held.pop().unwrap();
    first.ack_all(held).unwrap();
    queue.group("second").unwrap().begin_like("first").unwrap();
    last.ack().unwrap();
    assert_eq!(drain(&consumer(&queue, "second")), [3, 4, 5]);
    assert_eq!(drain(&first), [4, 5]);
    let error = queue.group("second").unwrap().begin_like("first").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn what_is_no_group_and_a_closed_queue_are_said() {
    let queue = filled(1);
    for name in ["", "a b", "../x", &"x".repeat(300)] {
        assert_eq!(queue.group(name).unwrap_err().kind(), ErrorKind::InvalidArgument, "{name}");
    }
    let nobody = queue.group("nobody").unwrap();
    assert_eq!(nobody.lag().unwrap(), []);
    assert_eq!(nobody.seek(Start::Latest).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(nobody.begin_like("nobody-else").unwrap_err().kind(), ErrorKind::NotFound);
    let group = queue.group("g").unwrap();
    drop(consumer(&queue, "g"));
    assert_eq!(
        group.seek_topic("elsewhere", Start::Latest).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    queue.close().unwrap();
    assert_eq!(group.lag().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(group.seek(Start::Latest).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(queue.group("g").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_key_with_much_to_do_has_its_place_and_no_more_among_those_that_are_ready() {
    let queue = Queue::in_memory().unwrap();
    let producer = queue.producer(JOBS).unwrap();
    let send = |key: u8, n: u8| {
        producer.message(&[key, n]).order_by(key.to_string()).send().unwrap();
    };
    (0..100).for_each(|n| send(0, n));
    (0..3).for_each(|n| (1..=10).for_each(|key| send(key, n)));
    let consumer = queue.consumer(JOBS, "g").concurrency_per_key(1).pull().unwrap();
    let mut others = Vec::new();
    for round in 0..10 {
        // Four at a time, of which each is settled before the next four are asked for.
        let mut hands = consumer.recv_batch(4, NOW).unwrap();
        let hot = hands.remove(0);
        assert_eq!(hot.body(), [0, round], "it goes on");
        hot.ack().unwrap();
        others.extend(hands.iter().map(|d| (d.body()[1], d.body()[0])));
        assert_eq!(hands.len(), 3, "it takes no place of another");
        consumer.ack_all(hands).unwrap();
    }
    assert!(others.is_sorted(), "who was there first comes first");
    assert_eq!(others.len(), 30, "and nobody waited for all of it");
}
