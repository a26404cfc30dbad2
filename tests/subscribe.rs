//! Subscriptions: every subscriber sees every message, each with a position of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use pocketmq::{
    ErrorKind, Filter, Flush, Queue, Raw, ReadOnly, Start, Subscription, SubscriptionBuilder, Topic,
};

const NEWS: Topic<[u8], Raw> = Topic::new("news");
const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(600);

type Bytes = Subscription<[u8], Raw>;

fn fill(queue: &Queue, numbers: std::ops::Range<u8>) {
    let producer = queue.producer(NEWS).unwrap();
    for n in numbers {
        producer.send(&[n]).unwrap();
    }
}

fn from_the_start(queue: &Queue) -> SubscriptionBuilder<[u8], Raw> {
    queue.subscribe(NEWS).start(Start::Earliest)
}

/// Everything there is to see.
fn rest(subscription: &mut Bytes) -> Vec<u8> {
    let mut seen = Vec::new();
    while let Some(event) = subscription.recv(NOW).unwrap() {
        seen.push(event[0]);
    }
    seen
}

fn one(subscription: &mut Bytes) -> u8 {
    subscription.recv(NOW).unwrap().unwrap()[0]
}

#[test]
fn every_subscriber_sees_every_message_and_so_does_a_group() {
    let queue = Queue::in_memory().unwrap();
    let mut subscribers = [0, 0, 0].map(|_| queue.subscribe(NEWS).open().unwrap());
    let consumer = queue.consumer(NEWS, "g").pull().unwrap();
    fill(&queue, 0..5);
    for subscriber in &mut subscribers {
        assert_eq!(rest(subscriber), [0, 1, 2, 3, 4]);
        assert!(subscriber.recv(NOW).unwrap().is_none(), "each once");
    }
    assert_eq!(consumer.recv_batch(10, NOW).unwrap().len(), 5);
    fill(&queue, 5..6);
    assert_eq!(rest(&mut subscribers[1]), [5]);
}

#[test]
fn it_begins_where_it_was_told_and_else_with_the_next_message() {
    let queue = Queue::in_memory().unwrap();
    fill(&queue, 0..4);
    let open = |start| queue.subscribe(NEWS).start(start).open().unwrap();
    let mut latest = queue.subscribe(NEWS).open().unwrap();
    let mut earliest = open(Start::Earliest);
    let mut third = open(Start::Offset(2.into()));
    let mut far = open(Start::Offset(1000.into()));
    let mut past = open(Start::At(SystemTime::UNIX_EPOCH));
    let mut future = open(Start::At(SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000)));
    fill(&queue, 4..5);
    assert_eq!(rest(&mut latest), [4]);
    assert_eq!(rest(&mut earliest), [0, 1, 2, 3, 4]);
    assert_eq!(rest(&mut third), [2, 3, 4]);
    assert_eq!(rest(&mut far), [4], "no further than the end");
    assert_eq!(rest(&mut past), [0, 1, 2, 3, 4]);
    assert_eq!(rest(&mut future), [4], "no further than the end");
}

#[test]
fn all_queues_of_a_topic_are_seen_and_each_in_order() {
    let queue = Queue::in_memory().unwrap();
    queue.create_topic("news", 3).unwrap();
    let mut subscriber = queue.subscribe(NEWS).open().unwrap();
    fill(&queue, 0..30);
    let mut by_queue = [const { Vec::new() }; 3];
    while let Some(event) = subscriber.recv(NOW).unwrap() {
        by_queue[event.message().queue().get() as usize].push(event[0]);
    }
    assert_eq!(by_queue.iter().map(Vec::len).sum::<usize>(), 30);
    assert!(by_queue.iter().all(|seen| !seen.is_empty() && seen.is_sorted()), "{by_queue:?}");
}

#[test]
fn a_slow_subscriber_reads_from_disk_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let small = Queue::options().segment_size(64 << 10).queue_file_size(20 * 64);
    let queue = small.open(dir.path()).unwrap();
    let mut slow = queue.subscribe(NEWS).open().unwrap();
    let mut fast = queue.subscribe(NEWS).open().unwrap();
    let producer = queue.producer(NEWS).unwrap();
    for n in 0..200_u8 {
        producer.send(&[n; 2000]).unwrap();
        assert_eq!(one(&mut fast), n);
    }
    let seen = rest(&mut slow);
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_filter_passes_over_what_is_not_wanted() {
    let queue = Queue::in_memory().unwrap();
    let producer = queue.producer(NEWS).unwrap();
    let tags = Filter::tags("even").unwrap();
    let sql = Filter::sql("n >= 2998").unwrap();
    let mut even = queue.subscribe(NEWS).filter(tags).open().unwrap();
    let mut last = queue.subscribe(NEWS).filter(sql).open().unwrap();
    for n in 0..3000_u32 {
        let tag = if n % 2 == 0 { "even" } else { "odd" };
        producer.message(&n.to_be_bytes()).tag(tag).property("n", n).send().unwrap();
    }
    let mut seen = 0;
    while let Some(event) = even.recv(NOW).unwrap() {
        assert_eq!(event.message().tag(), Some("even"));
        assert_eq!(event.missed_before(), 0, "passed over is not missed");
        seen += 1;
    }
    assert_eq!(seen, 1500);
    assert_eq!(**last.recv(NOW).unwrap().unwrap(), 2998_u32.to_be_bytes());
    assert_eq!(**last.recv(NOW).unwrap().unwrap(), 2999_u32.to_be_bytes());
    assert!(last.recv(NOW).unwrap().is_none());
}

#[test]
fn a_durable_one_goes_on_where_it_was_and_sees_again_what_it_had_not_done_with() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    fill(&queue, 0..6);
    let mut named = from_the_start(&queue).name("ledger").open().unwrap();
    assert_eq!([one(&mut named), one(&mut named), one(&mut named)], [0, 1, 2]);
    drop(named);
    let mut named = queue.subscribe(NEWS).name("ledger").open().unwrap();
    assert_eq!(one(&mut named), 2, "the next one was not asked for");
    assert_eq!(one(&mut named), 3);
    queue.close().unwrap();
    assert_eq!(named.recv(NOW).unwrap_err().kind(), ErrorKind::Closed);
    drop((named, queue));

    let queue = Queue::open(dir.path()).unwrap();
    let mut named = queue.subscribe(NEWS).name("ledger").open().unwrap();
    assert_eq!(rest(&mut named), [3, 4, 5], "whatever `start` says");
    let mut other = queue.subscribe(NEWS).name("other").open().unwrap();
    queue.close().unwrap();
    assert_eq!(other.recv(NOW).unwrap_err().kind(), ErrorKind::Closed);
    drop((named, other, queue));

    let queue = Queue::open(dir.path()).unwrap();
    fill(&queue, 6..8);
    let mut named = queue.subscribe(NEWS).name("ledger").open().unwrap();
    assert_eq!(rest(&mut named), [6, 7], "that there was nothing more had been asked");
    let mut other = from_the_start(&queue).name("other").open().unwrap();
    assert_eq!(rest(&mut other), [6, 7], "where it began is kept, though it saw nothing");
}

#[test]
fn what_a_filter_passed_over_is_behind_a_durable_one_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    fill(&queue, 0..5);
    let none = Filter::tags("none").unwrap();
    let mut named = from_the_start(&queue).name("n").filter(none).open().unwrap();
    assert!(named.recv(NOW).unwrap().is_none());
    drop(named);
    let mut named = queue.subscribe(NEWS).name("n").open().unwrap();
    assert_eq!(rest(&mut named), [0_u8; 0]);
}

#[test]
fn a_name_is_one_subscriptions_at_a_time_in_each_topic() {
    let queue = Queue::in_memory().unwrap();
    let open =
        |topic: &Topic<[u8], Raw>, name: &str| queue.subscribe(topic.clone()).name(name).open();
    let first = open(&NEWS, "a").unwrap();
    let busy = open(&NEWS, "a").unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(busy.to_string().contains("subscription a of topic news"), "{busy}");
    open(&NEWS, "b").unwrap();
    open(&Topic::new("weather"), "a").unwrap();
    drop(first);
    open(&NEWS, "a").unwrap();
    for name in ["", "../x", "a b", "%x", "@a", &"x".repeat(121)] {
        let refused = open(&NEWS, name).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{name}");
        assert!(refused.to_string().contains("subscription name"), "{refused}");
    }
}

fn config(dir: &Path, file: &str) -> String {
    std::fs::read_to_string(dir.join("config").join(file)).unwrap()
}

#[test]
fn a_subscription_is_no_group_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    fill(&queue, 0..5);
    let mut named = from_the_start(&queue).name("same-name").open().unwrap();
    assert_eq!(rest(&mut named), [0, 1, 2, 3, 4]);
    let mut transient = from_the_start(&queue).open().unwrap();
    assert_eq!(rest(&mut transient), [0, 1, 2, 3, 4]);
    assert!(queue.stats().unwrap().groups.is_empty());
    let group = queue.group("same-name").unwrap();
    assert!(group.lag().unwrap().is_empty());
    assert_eq!(group.seek(Start::Earliest).unwrap_err().kind(), ErrorKind::NotFound);
    let consumer = queue.consumer(NEWS, "same-name").pull().unwrap();
    assert_eq!(consumer.recv_batch(10, NOW).unwrap().len(), 5);
    group.seek(Start::Earliest).unwrap();
    assert!(named.recv(NOW).unwrap().is_none(), "moving the group moves no subscription");

    let mut second = from_the_start(&queue).name("subscriber").open().unwrap();
    assert_eq!(one(&mut second), 0);
    assert_eq!(queue.stats().unwrap().groups.len(), 1);
    let look = ReadOnly::open(dir.path()).unwrap();
    let groups: Vec<_> = look.group_offsets().into_iter().map(|o| o.group).collect();
    assert_eq!(groups, ["same-name"]);
    assert_eq!(queue.close_with_report().unwrap().acked_above_gaps, 0);
    for file in ["consumerOffset.json", "subscriptionGroup.json"] {
        let text = config(dir.path(), file);
        assert!(text.contains("same-name") && !text.contains("subscriber"), "{text}");
        assert!(!text.contains("@@") && !text.contains("\"@"), "{text}");
    }
    let look = ReadOnly::open(dir.path()).unwrap();
    assert_eq!(look.group_offsets().len(), 1);
}

#[test]
fn one_body_that_does_not_decode_is_one_error_and_the_next_call_goes_on_behind_it() {
    const NUMBERS: Topic<u64> = Topic::new("numbers");
    let queue = Queue::in_memory().unwrap();
    queue.producer(NUMBERS).unwrap().send(&1).unwrap();
    queue.producer(Topic::<[u8], Raw>::new("numbers")).unwrap().send(b"one").unwrap();
    queue.producer(NUMBERS).unwrap().send(&2).unwrap();
    let subscription = queue.subscribe(NUMBERS).start(Start::Earliest).name("n").open().unwrap();
    let seen: Vec<_> = subscription.take(3).collect();
    assert_eq!(*seen[0].as_ref().unwrap().value(), 1);
    let error = seen[1].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(1)));
    assert!(error.to_string().contains("numbers queue 0 does not decode"), "{error}");
    assert!(std::error::Error::source(error).is_some(), "the codec's word");
    assert_eq!(**seen[2].as_ref().unwrap(), 2);
    // There is no second try, not for the next of the name either.
    let mut again = queue.subscribe(NUMBERS).name("n").open().unwrap();
    assert_eq!(again.recv(NOW).unwrap().unwrap().into_value(), 2);
}

#[test]
fn a_message_wakes_all_who_wait_and_closing_ends_them() {
    for flush in [Flush::default(), Flush::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::options().flush(flush).open(dir.path()).unwrap();
        let waiting = [None, None, Some("named")].map(|name| {
            let builder = queue.subscribe(NEWS);
            let subscription = match name {
                Some(name) => builder.name(name).open().unwrap(),
                None => builder.open().unwrap(),
            };
            let (seen, told) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || {
                for event in subscription {
                    seen.send(event.unwrap()[0]).unwrap();
                }
            });
            (thread, told)
        });
        for n in 0..20 {
            fill(&queue, n..n + 1);
            for (_, told) in &waiting {
                assert_eq!(told.recv_timeout(LONG).unwrap(), n);
            }
        }
        queue.close().unwrap();
        for (thread, told) in waiting {
            thread.join().unwrap();
            assert!(told.recv().is_err(), "nothing but the end");
        }
    }
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let queue = Queue::in_memory().unwrap();
    let mut subscription = queue.subscribe(NEWS).open().unwrap();
    assert!(subscription.recv(Duration::from_millis(1)).unwrap().is_none());
    fill(&queue, 0..1);
    assert_eq!(one(&mut subscription), 0);
}

/// Sends until there is no more room; says how many that were.
fn until_full(queue: &Queue) -> usize {
    let (producer, body) = (queue.producer(NEWS).unwrap(), vec![7; 100_000]);
    for sent in 0..1000 {
        match producer.send(&body) {
            Ok(_) => {}
            Err(full) if full.kind() == ErrorKind::Full => return sent,
            Err(e) => panic!("{e}"),
        }
    }
    panic!("it never was full");
}

fn small_memory() -> Queue {
    Queue::options().memory_budget(24 << 20).segment_size(1 << 20).in_memory().unwrap()
}

#[test]
fn memory_is_kept_for_a_slow_subscriber_and_given_back_once_all_have_seen_it() {
    for name in [None, Some("named")] {
        let queue = small_memory();
        let open = |name: Option<&str>| match name {
            Some(name) => queue.subscribe(NEWS).name(name).open().unwrap(),
            None => queue.subscribe(NEWS).open().unwrap(),
        };
        let mut slow = open(name);
        let mut fast = open(None);
        let sent = until_full(&queue);
        assert_eq!(rest(&mut fast).len(), sent);
        assert_eq!(until_full(&queue), 0, "the other one has seen nothing yet");
        let mut seen = 0;
        while let Some(event) = slow.recv(NOW).unwrap() {
            assert_eq!(event.missed_before(), 0);
            seen += 1;
        }
        assert_eq!(seen, sent);
        let more = until_full(&queue);
        assert!(more > sent / 2, "{more} of {sent}: it was not given back");
        assert_eq!(rest(&mut fast).len(), more);
        assert_eq!(rest(&mut slow).len(), more);
        // One who is gone holds nothing up, but for a name, which may come again.
        until_full(&queue);
        rest(&mut fast);
        drop(slow);
        assert_eq!(until_full(&queue) == 0, name.is_some());
    }
}

#[test]
fn a_group_and_a_subscriber_wait_for_each_other_before_memory_is_given_back() {
    let queue = small_memory();
    let mut subscriber = queue.subscribe(NEWS).open().unwrap();
    let consumer = queue.consumer(NEWS, "g").pull().unwrap();
    let sent = until_full(&queue);
    consumer.ack_all(consumer.recv_batch(sent, NOW).unwrap()).unwrap();
    assert_eq!(until_full(&queue), 0, "the subscriber has seen nothing yet");
    assert_eq!(rest(&mut subscriber).len(), sent);
    assert!(until_full(&queue) > sent / 2);
    rest(&mut subscriber);
    assert_eq!(until_full(&queue), 0, "the group has acknowledged nothing yet");
}

#[test]
fn an_event_outlives_its_subscription_and_the_memory_it_was_in() {
    let queue = small_memory();
    let mut subscriber = queue.subscribe(NEWS).open().unwrap();
    let sent = until_full(&queue);
    let event = subscriber.recv(NOW).unwrap().unwrap();
    assert_eq!(rest(&mut subscriber).len(), sent - 1);
    assert!(until_full(&queue) > 0);
    drop(subscriber);
    drop(queue);
    assert_eq!(event.message().body(), vec![7; 100_000]);
    assert_eq!(event.value()[..], *event.message().body());
    assert!(!format!("{event:?}").contains("7, 7"), "payloads are not printed");
}

#[test]
fn the_last_handle_may_be_a_subscription() {
    let queue = Queue::in_memory().unwrap();
    let mut subscription = from_the_start(&queue).open().unwrap();
    fill(&queue, 0..2);
    drop(queue);
    assert_eq!(rest(&mut subscription), [0, 1]);
}

#[test]
fn subscribing_to_a_topic_that_may_not_be_created_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::options().create_topics(false).open(dir.path()).unwrap();
    assert_eq!(queue.subscribe(NEWS).open().unwrap_err().kind(), ErrorKind::NotFound);
    queue.create_topic("news", 1).unwrap();
    queue.subscribe(NEWS).open().unwrap();
    queue.close().unwrap();
    assert_eq!(queue.subscribe(NEWS).open().unwrap_err().kind(), ErrorKind::Closed);
}
