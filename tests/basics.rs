//! Send, receive, acknowledge, reopen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use pocketmq::{ErrorKind, Flush, History, Queue, Raw, Start, Topic};

const WORDS: Topic<String> = Topic::new("words");
const BLOBS: Topic<[u8], Raw> = Topic::new("blobs");
/// The same topic as [`WORDS`], seen as bytes.
const BYTES: Topic<[u8], Raw> = Topic::new("words");
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

/// Bytes of disk that a folder takes.
fn disk_usage(dir: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        bytes += std::fs::symlink_metadata(&path).unwrap().blocks() * 512;
        if path.is_dir() {
            bytes += disk_usage(&path);
        }
    }
    bytes
}

#[test]
fn a_small_store_takes_little_disk_though_its_files_are_large_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    assert!(disk_usage(dir.path()) < 1 << 20, "empty and open: {}", disk_usage(dir.path()));
    queue.close().unwrap();
    assert!(disk_usage(dir.path()) < 1 << 20, "empty and closed: {}", disk_usage(dir.path()));
    let queue = Queue::open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for _ in 0..10 {
        blobs.send(b"a small message").unwrap();
    }
    // Two steps of 4 MiB ahead of the writer, the staging buffer, and some blocks.
    assert!(disk_usage(dir.path()) < 10 << 20, "ten messages: {}", disk_usage(dir.path()));
    queue.close().unwrap();
}

#[test]
fn progress_is_kept_per_message_and_a_gap_does_not_hold_up_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    blobs.send_batch((0..100u8).map(|i| [i])).unwrap();
    let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
    let all = consumer.recv_batch(100, SOON).unwrap();
    let (stuck, done): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.body()[0] % 10 == 3);
    consumer.ack_all(done.into_iter().rev()).unwrap();
    let report = queue.close_with_report().unwrap();
    assert_eq!((report.broker_ready, report.acked_above_gaps), (true, 87));
    drop(stuck);
    let queue = Queue::open(dir.path()).unwrap();
    assert_eq!(queue.stats().unwrap().groups[0].backlog, 10);
    let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
    let again = consumer.recv_batch(100, SOON).unwrap();
    let bodies: Vec<_> = again.iter().map(|d| d.body()[0]).collect();
    assert_eq!(bodies, [3, 13, 23, 33, 43, 53, 63, 73, 83, 93]);
}

#[test]
fn a_group_starts_where_it_was_told_once() {
    let queue = Queue::in_memory().unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for i in 0..10u8 {
        blobs.send(&[i]).unwrap();
    }
    let first = |group: &str, start| {
        let consumer = queue.consumer(BLOBS, group).start(start).pull().unwrap();
        consumer.recv(Duration::ZERO).unwrap().map(|d| d.body()[0])
    };
    assert_eq!(first("earliest", Start::Earliest), Some(0));
    assert_eq!(first("latest", Start::Latest), None);
    assert_eq!(first("offset", Start::Offset(7.into())), Some(7));
    assert_eq!(first("past", Start::At(std::time::UNIX_EPOCH)), Some(0));
    let far = std::time::UNIX_EPOCH + Duration::from_secs(10_000_000_000);
    assert_eq!(first("future", Start::At(far)), None);
    assert_eq!(first("offset", Start::Earliest), Some(7), "progress is stored already");
}

#[test]
fn a_body_that_does_not_decode_is_passed_over_and_counted() {
    let queue = Queue::in_memory().unwrap();
    queue.producer(BYTES).unwrap().send(b"not json").unwrap();
    queue.producer(WORDS).unwrap().send(&"json".to_owned()).unwrap();
    let consumer = queue.consumer(WORDS, "reader").pull().unwrap();
    let word = consumer.recv(SOON).unwrap().unwrap();
    assert_eq!(*word, "json");
    word.ack().unwrap();
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    let stats = queue.stats().unwrap();
    assert_eq!((stats.groups[0].failed, stats.groups[0].backlog), (1, 1));
}

#[test]
fn copied_reads_and_a_locked_staging_buffer_change_nothing_one_sees() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Queue::options().reads(pocketmq::Reads::Copied).staging_size(64 << 10).lock_staging(true);
    let queue = options.open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for i in 0..100u8 {
        blobs.send(&[i; 5000]).unwrap();
    }
    let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
    for i in 0..100u8 {
        let delivery = consumer.recv(SOON).unwrap().unwrap();
        assert_eq!(delivery.body(), [i; 5000]);
        delivery.ack().unwrap();
    }
    queue.close().unwrap();
}

#[test]
fn the_largest_message_fits_on_disk_and_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for queue in [Queue::open(dir.path()).unwrap(), Queue::in_memory().unwrap()] {
        let blobs = queue.producer(BLOBS).unwrap();
        let body = vec![3; pocketmq::MAX_BODY];
        blobs.message(&body).property("p", "v".repeat(32_767 - 20 - 3)).send().unwrap();
        let consumer = queue.consumer(BLOBS, "reader").pull().unwrap();
        assert_eq!(consumer.recv(SOON).unwrap().unwrap().body().len(), pocketmq::MAX_BODY);
    }
}
