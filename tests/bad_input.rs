//! Bad input gets a clear, typed error, and nothing is lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the test plays somebody who meddles with the files"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pocketmq::{ErrorKind, Flush, History, MAX_BODY, Queue, Raw, ReadOnly, Start, Topic};

const BLOBS: Topic<[u8], Raw> = Topic::new("blobs");

/// A closed store with `count` messages.
fn store_with(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let options = Queue::options().segment_size(64 << 10).queue_file_size(2000);
    let queue = options.open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for i in 0..count {
        blobs.send(&i.to_be_bytes()).unwrap();
    }
    queue.close().unwrap();
    dir
}

/// Everything sent is still there.
fn holds(dir: &Path, count: u64) {
    let queue = Queue::open(dir).unwrap();
    assert!(queue.report().damage.is_empty(), "{:?}", queue.report());
    let consumer = queue.consumer(BLOBS, "check").pull().unwrap();
    // Held, for what is dropped is received again.
    let mut held = Vec::new();
    for i in 0..count {
        let delivery = consumer.recv(Duration::ZERO).unwrap().unwrap();
        assert_eq!(delivery.body(), i.to_be_bytes());
        held.push(delivery);
    }
    assert!(consumer.recv(Duration::ZERO).unwrap().is_none());
    queue.close().unwrap();
}

#[test]
fn hostile_topic_and_group_names_are_refused_with_a_sentence() {
    let queue = Queue::in_memory().unwrap();
    let long = "x".repeat(128);
    let hostile = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "nul\0",
        "tab\t",
        "ünï",
        "a b",
        "%DLQ%x",
        "%RETRY%x",
        "SCHEDULE_TOPIC_XXXX",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "rmq_sys_wheel_timer",
        "TBW102",
        &long,
    ];
    for name in hostile {
        let errors = [
            Topic::<String>::named(name).map(drop).unwrap_err(),
            queue.create_topic(name, 1).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}");
            assert!(error.to_string().len() > 15, "{name:?}: {error}");
        }
    }
    for group in ["", "..", "a/b", "nul\0", "a b", &"g".repeat(121)] {
        let error = queue.consumer(BLOBS, group).pull().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{group:?}");
    }
    assert!(queue.topics().unwrap().iter().all(|(name, _)| name == "blobs"));
}

#[test]
fn what_is_too_large_is_refused_and_stays_with_the_sender() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::options().segment_size(8 << 20).open(dir.path()).unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    let body = vec![1; MAX_BODY + 1];
    assert_eq!(blobs.send(&body).unwrap_err().kind(), ErrorKind::TooLarge);
    let small = blobs.message(b"x").property("p", "v".repeat(40_000));
    assert_eq!(small.send().unwrap_err().kind(), ErrorKind::TooLarge);
    let batch = vec![vec![2; MAX_BODY]; 3];
    let error = blobs.send_batch(batch.iter().map(Vec::as_slice)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    // Nothing of it was stored, and the largest that may be sent is.
    let largest = blobs.send(&body[1..]).unwrap();
    assert_eq!(largest.queue_offset.get(), 0);
    let property = "v".repeat(32_767 - 20 - 3);
    assert_eq!(blobs.message(b"x").property("p", property).send().unwrap().queue_offset.get(), 1);
    queue.close().unwrap();
}

#[test]
fn reserved_and_malformed_properties_are_refused_by_name() {
    let queue = Queue::in_memory().unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    for (name, value) in [
        ("KEYS", "k"),
        ("TAGS", "t"),
        ("__SHARDINGKEY", "s"),
        ("UNIQ_KEY", "u"),
        ("DELAY", "3"),
        ("__CRC32#", "1"),
        ("", "v"),
        ("n", ""),
        ("with\u{1}", "v"),
        ("n", "with\u{2}"),
    ] {
        let message = blobs.message(b"x").property(name, value);
        let error = message.send().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}={value:?}");
    }
    assert_eq!(
        blobs.message(b"x").key("two words").send().unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert_eq!(blobs.message(b"x").queue(9).send().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(blobs.send(b"fine").unwrap().queue_offset.get(), 0, "nothing above was stored");
}

#[test]
fn options_out_of_range_or_against_the_store_are_refused() {
    let dir = store_with(10);
    let wrong = [
        Queue::options().segment_size(1000),
        Queue::options().segment_size(1 << 31),
        Queue::options().segment_size(128 << 10),
        Queue::options().queue_file_size(2020),
        Queue::options().queue_file_size(7),
        Queue::options().staging_size(100_000),
        Queue::options().default_queues(0),
        Queue::options().flush(Flush::Async { interval: Duration::ZERO }),
    ];
    for options in wrong {
        assert_eq!(options.open(dir.path()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    holds(dir.path(), 10);
}

#[test]
fn a_topic_that_may_not_be_created_is_not() {
    let queue = Queue::options().create_topics(false).in_memory().unwrap();
    assert_eq!(queue.producer(BLOBS).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(queue.consumer(BLOBS, "g").pull().unwrap_err().kind(), ErrorKind::NotFound);
    queue.create_topic("blobs", 2).unwrap();
    queue.producer(BLOBS).unwrap();
    assert_eq!(queue.create_topic("blobs", 3).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(queue.create_topic("many", 100_000).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn foreign_files_among_the_log_are_refused_by_name_and_left_alone() {
    for stray in [".DS_Store", "0000", "00000000000000000000.bak", "x00000000000000000000"] {
        let dir = store_with(10);
        let path = dir.path().join("commitlog").join(stray);
        fs::write(&path, b"precious").unwrap();
        let error = Queue::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{stray}");
        assert_eq!(error.path(), Some(&*path), "{stray}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        holds(dir.path(), 10);
    }
}

#[test]
fn a_link_where_a_log_file_belongs_is_not_followed() {
    let dir = store_with(10);
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    fs::write(&target, vec![0; 64 << 10]).unwrap();
    let link = dir.path().join("commitlog").join("00000000000000065536");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let error = Queue::open(dir.path()).unwrap_err();
    assert_eq!(error.path(), Some(&*link));
    fs::remove_file(&link).unwrap();
    holds(dir.path(), 10);
}

#[test]
fn log_files_of_the_wrong_size_are_refused_by_name() {
    let dir = store_with(1000);
    let first = dir.path().join("commitlog").join("00000000000000000000");
    let original = fs::read(&first).unwrap();
    for len in [0, 1000, (64 << 10) + 4096] {
        let mut wrong = original.clone();
        wrong.resize(len, 0);
        fs::write(&first, &wrong).unwrap();
        let error = Queue::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{len}");
        assert_eq!(error.path(), Some(&*first), "{len}");
    }
    fs::write(&first, &original).unwrap();
    holds(dir.path(), 1000);
}

#[test]
fn stray_and_wrong_size_files_in_queue_folders_cost_nothing() {
    let dir = store_with(1000);
    let folder = dir.path().join("consumequeue/blobs/0");
    fs::write(folder.join("notes.txt"), b"precious").unwrap();
    let first = folder.join("00000000000000000000");
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..777]).unwrap();
    holds(dir.path(), 1000);
    assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"precious");
}

#[test]
fn a_file_where_the_folder_should_be_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, b"precious").unwrap();
    Queue::open(&file).unwrap_err();
    ReadOnly::open(&file).unwrap_err();
    ReadOnly::open(dir.path().join("nowhere")).unwrap_err();
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_corrupt_configuration_file_is_named_and_not_replaced() {
    let dir = store_with(10);
    let path = dir.path().join("config/topics.json");
    let good = fs::read(&path).unwrap();
    fs::write(&path, b"{\"topicConfigTable\":{").unwrap();
    let error = Queue::open(dir.path()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(&*path)));
    assert_eq!(fs::read(&path).unwrap(), b"{\"topicConfigTable\":{");
    fs::write(&path, good).unwrap();
    holds(dir.path(), 10);
}

/// The other process of the test below; does nothing when run as a test.
#[test]
fn second_process() {
    if let Some(dir) = std::env::var_os("POCKETMQ_TEST_SECOND_PROCESS") {
        let error = Queue::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        // Looking is allowed.
        let look = ReadOnly::open(&dir).unwrap();
        assert!(look.is_live());
        assert_eq!(look.messages("blobs", 0).count(), 11);
    }
}

#[test]
fn a_second_process_is_locked_out_but_may_look() {
    let dir = store_with(10);
    let queue = Queue::open(dir.path()).unwrap();
    queue.producer(BLOBS).unwrap().send(b"one more").unwrap();
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "second_process"])
        .env("POCKETMQ_TEST_SECOND_PROCESS", dir.path())
        .output()
        .unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stdout));
    queue.close().unwrap();
    assert_eq!(ReadOnly::open(dir.path()).unwrap().report().history, History::Clean);
}

/// Nobody may write into an immutable folder, the superuser included.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn make(path: &'a Path) -> Option<Self> {
        let done = Command::new("chattr").arg("+i").arg(path).status().is_ok_and(|s| s.success());
        let refused = fs::write(path.join("probe"), b"").is_err();
        (done && refused).then_some(Self(path))
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(self.0).status();
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_an_error_and_can_still_be_looked_at() {
    let dir = store_with(10);
    let Some(_immutable) = Immutable::make(dir.path()) else {
        eprintln!("SKIPPED: no way to make a folder immutable here (needs root and chattr)");
        return;
    };
    let commitlog = dir.path().join("commitlog");
    let Some(_inner) = Immutable::make(&commitlog) else { return };
    let error = Queue::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.path().is_some());
    assert_eq!(ReadOnly::open(dir.path()).unwrap().messages("blobs", 0).count(), 10);
}

#[test]
fn a_closed_queue_says_so_on_every_handle() {
    let queue = Queue::in_memory().unwrap();
    let blobs = queue.producer(BLOBS).unwrap();
    blobs.send_batch([b"a".as_slice(), b"b"]).unwrap();
    let consumer = queue.consumer(BLOBS, "g").start(Start::Earliest).pull().unwrap();
    let held = consumer.recv(Duration::ZERO).unwrap().unwrap();
    queue.close().unwrap();
    queue.close().unwrap();
    let kinds = [
        blobs.send(b"c").unwrap_err().kind(),
        blobs.submit(b"c").unwrap_err().kind(),
        blobs.send_one_way(b"c").unwrap_err().kind(),
        consumer.recv(Duration::from_secs(60)).unwrap_err().kind(),
        held.ack().unwrap_err().kind(),
        queue.flush().unwrap_err().kind(),
        queue.create_topic("t", 1).unwrap_err().kind(),
        queue.producer(BLOBS).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Closed; 8]);
    assert!(consumer.iter().next().is_none());
}

#[test]
fn a_link_that_leads_nowhere_is_named_and_nothing_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    let target = dir.path().join("unmounted");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let within = link.join("store");
    for (path, at) in [(&link, &link), (&within, &link)] {
        for error in [Queue::open(path).unwrap_err(), ReadOnly::open(path).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert_eq!(error.path(), Some(at.as_path()), "{error}");
            assert!(error.to_string().contains("symbolic link"), "{error}");
            assert!(error.to_string().contains("unmounted"), "{error}");
        }
    }
    assert!(!target.exists());
    fs::create_dir(&target).unwrap();
    Queue::open(&within).unwrap().close().unwrap();
    assert!(target.join("store/commitlog").is_dir());
}

/// A file with nothing in it, which takes no room.
fn sparse(path: &Path, len: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().set_len(len).unwrap();
}

#[test]
fn somebody_elses_files_that_are_larger_than_any_can_be_do_not_make_a_store_that_opens_only_once() {
    const LARGE: u64 = 3 << 30;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("commitlog/00000000000000000000");
    sparse(&log, LARGE);
    let config = dir.path().join("config/topics.json");
    sparse(&config, 0);
    let error = Queue::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("larger than any"), "{error}");

    let dir = store_with(3);
    fs::remove_dir_all(dir.path().join("pocketmq")).unwrap();
    fs::remove_dir_all(dir.path().join("consumequeue/blobs")).unwrap();
    sparse(&dir.path().join("consumequeue/blobs/0/00000000000000000000"), LARGE / 20 * 20);
    holds(dir.path(), 3);
    holds(dir.path(), 3);
}
