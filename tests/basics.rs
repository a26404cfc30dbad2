//! Send, receive, acknowledge, reopen.

use std::time::Duration;

use pocketmq::{ErrorKind, Flush, History, Queue, Raw, Topic};

const WORDS: Topic<String> = Topic::new("words");
const BLOBS: Topic<[u8], Raw> = Topic::new("blobs");
const SOON: Duration = Duration::from_secs(5);

#[test]
fn what_was_sent_is_received_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    let words = queue.producer(WORDS).unwrap();
    for i in 0..1000 {
        let receipt = words.send(&format!("word {i}")).unwrap();
        assert_eq!(receipt.queue_offset.get(), i);
    }
    let consumer = queue.consumer(WORDS, "reader").pull().unwrap();
    for i in 0..1000 {
        let word = consumer.recv(SOON).unwrap().unwrap();
        assert_eq!(*word, format!("word {i}"));
        word.ack().unwrap();
    }
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    queue.close().unwrap();
}

#[test]
fn a_closed_queue_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5u64 {
        let queue = Queue::open(dir.path()).unwrap();
        let expected = if round == 0 { History::New } else { History::Clean };
        assert_eq!(queue.report().history, expected, "{:?}", queue.report());
        let words = queue.producer(WORDS).unwrap();
        let consumer = queue.consumer(WORDS, "reader").pull().unwrap();
        for i in 0..10 {
            let receipt = words.send(&format!("{round} {i}")).unwrap();
            assert_eq!(receipt.queue_offset.get(), round * 10 + i);
        }
        for i in 0..10 {
            let word = consumer.recv(SOON).unwrap().unwrap();
            assert_eq!(*word, format!("{round} {i}"));
            word.ack().unwrap();
        }
        queue.close().unwrap();
    }
}

#[test]
fn a_dropped_delivery_is_received_again() {
    let queue = Queue::in_memory().unwrap();
    queue.producer(BLOBS).unwrap().send(b"once").unwrap();
    let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
    drop(consumer.recv(SOON).unwrap().unwrap());
    let again = consumer.recv(SOON).unwrap().unwrap();
    assert_eq!(&**again, b"once");
    again.ack().unwrap();
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_durable_send_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::options().flush(Flush::Sync).open(dir.path()).unwrap();
    let words = queue.producer(WORDS).unwrap();
    assert!(words.send(&"x".to_owned()).unwrap().durable);
    let ticket = words.submit(&"y".to_owned()).unwrap();
    assert!(ticket.wait().unwrap().durable);
    let consumer = queue.consumer(WORDS, "reader").pull().unwrap();
    assert_eq!(consumer.recv_batch(10, SOON).unwrap().len(), 2);
}

#[test]
fn a_second_opener_is_locked_out() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    assert_eq!(Queue::open(dir.path()).unwrap_err().kind(), ErrorKind::Locked);
    queue.close().unwrap();
    Queue::open(dir.path()).unwrap();
}

#[test]
fn memory_is_given_back_once_every_group_has_passed() {
    let queue = Queue::options().memory_budget(24 << 20).in_memory().unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
    let body = vec![7; 100_000];
    // Ten times what fits.
    for _ in 0..2400 {
        blobs.send(&body).unwrap();
        consumer.recv(SOON).unwrap().unwrap().ack().unwrap();
    }
    let stats = queue.stats().unwrap();
    assert!(stats.topics[0].queues[0].min.get() > 2000, "{stats:?}");
}

#[test]
fn a_full_memory_budget_is_an_error_and_loses_nothing() {
    let queue = Queue::options().memory_budget(24 << 20).in_memory().unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    let body = vec![7; 100_000];
    let mut sent = 0;
    let full = loop {
        match blobs.send(&body) {
            Ok(_) => sent += 1,
            Err(e) => break e,
        }
        assert!(sent < 1000, "the budget holds");
    };
    assert_eq!(full.kind(), ErrorKind::Full);
    let consumer = queue.consumer(BLOBS, "late").pull().unwrap();
    for _ in 0..sent {
        consumer.recv(SOON).unwrap().unwrap().ack().unwrap();
    }
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    blobs.send(&body).unwrap();
}
