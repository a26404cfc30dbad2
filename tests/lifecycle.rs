//! Beginnings and ends: interrupted first opens, closing and opening in quick turn, groups that join while memory is freed.

#![expect(clippy::disallowed_methods, reason = "the test plays a process that died")]

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pocketmq::{ErrorKind, History, Options, Queue, Raw, Start, Topic};

const BLOBS: Topic<[u8], Raw> = Topic::new("blobs");

#[test]
fn a_store_whose_creation_was_interrupted_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("commitlog");
    fs::create_dir_all(&log).unwrap();
    fs::create_dir_all(dir.path().join("config")).unwrap();
    fs::write(log.join("IN-USE-BY-POCKETMQ"), "x").unwrap();
    fs::write(dir.path().join("abort"), "1").unwrap();
    fs::File::create(log.join("00000000000000000000")).unwrap().set_len(65_536).unwrap();
    let queue = Queue::options().segment_size(128 << 10).open(dir.path()).unwrap();
    assert_eq!(queue.report().history, History::New);
    queue.producer(BLOBS).unwrap().send(b"first").unwrap();
    queue.close().unwrap();
}

#[test]
fn closing_frees_the_lock_though_other_programs_are_being_started() {
    let dir = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let opened: Vec<_> =
            (0..60).map(|_| Queue::open(dir.path()).and_then(|queue| queue.close())).collect();
        // An opening that fails does as well.
        let wrong = Queue::options().segment_size(1 << 20);
        let refused: Vec<_> = (0..60).map(|_| wrong.open(dir.path()).unwrap_err().kind()).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
        assert_eq!(refused, [ErrorKind::InvalidArgument; 60]);
    });
}

#[test]
fn what_can_never_be_stored_is_refused_though_others_wait_in_line() {
    let dir = tempfile::tempdir().unwrap();
    let options = Queue::options().segment_size(16 << 10).staging_size(64 << 10);
    let queue = options.open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    let waiting: Vec<_> = (0..12).map(|_| blobs.submit(&[1; 8000]).unwrap()).collect();
    let refused = blobs.submit(&vec![1; 20_000]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    for ticket in waiting {
        ticket.wait().unwrap();
    }
    queue.close().unwrap();
}

#[test]
fn a_group_that_joins_while_memory_is_freed_begins_where_it_was_told() {
    for round in 0..300 {
        let queue = Queue::options().segment_size(16 << 10).in_memory().unwrap();
        let blobs = queue.producer(BLOBS).unwrap();
        let first = queue.consumer(BLOBS, "first").pull().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..64 {
                    blobs.send(&[7; 4000]).unwrap();
                    first.recv(Duration::from_secs(60)).unwrap().unwrap().ack().unwrap();
                }
            });
            for _ in 0..round % 200 {
                std::thread::yield_now();
            }
            let late = queue.consumer(BLOBS, "late").start(Start::Earliest).pull().unwrap();
            let stats = queue.stats().unwrap();
            let group = stats.groups.iter().find(|g| g.group == "late").unwrap();
            let (_, begins) = *group.watermarks.first().unwrap();
            if let Some(got) = late.recv(Duration::from_millis(50)).unwrap() {
                assert_eq!(got.message().queue_offset(), begins);
            }
        });
    }
}

#[test]
fn a_group_starts_at_the_end_of_each_of_many_queues() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    queue.create_topic("blobs", 64).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for _ in 0..64 {
        blobs.send(b"old").unwrap();
    }
    let latest = queue.consumer(BLOBS, "g").start(Start::Latest).pull().unwrap();
    assert!(latest.recv(Duration::ZERO).unwrap().is_none());
    blobs.send(b"new").unwrap();
    assert_eq!(latest.recv(Duration::from_secs(60)).unwrap().unwrap().body(), b"new");
    queue.close().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    let group = queue.stats().unwrap().groups.remove(0);
    assert_eq!((group.watermarks.len(), group.backlog), (64, 1));
}

/// So small that the log goes on in its next file every few messages.
fn small_files() -> Options {
    Queue::options().segment_size(64 << 10).staging_size(64 << 10).queue_file_size(1000)
}

#[test]
fn flushing_from_several_threads_while_the_log_goes_on_in_its_next_files_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = small_files().open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let producer = queue.producer(BLOBS).unwrap();
                for _ in 0..200 {
                    producer.send(&[7; 9000]).unwrap();
                    queue.flush().unwrap();
                }
            });
        }
    });
    queue.close().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    assert_eq!(queue.report().history, History::Clean);
    assert_eq!(queue.stats().unwrap().topics[0].queues[0].next.get(), 800);
}
