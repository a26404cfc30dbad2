//! Messages delayed by level, as a user sees them.

use std::time::Duration;

use pocketmq::testing::TestQueue;
use pocketmq::{ErrorKind, Flush, Queue, ReadOnly, Topic};

const NUMBERS: Topic<u64> = Topic::new("numbers");
const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn what_is_delayed_is_received_when_its_time_has_come_and_is_still_itself() {
    for flush in [Flush::default(), Flush::Sync] {
        let queue = TestQueue::with(Queue::options().flush(flush)).unwrap();
        let numbers = queue.producer(NUMBERS).unwrap();
        let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
        let sent = numbers.message(&1).key("k").tag("t").delay_level(3).send().unwrap();
        assert_eq!(sent.durable, flush == Flush::Sync);
        let waits = queue.stats().unwrap().delayed;
        assert_eq!(waits.iter().map(|l| (l.level, l.waiting)).collect::<Vec<_>>(), [(3, 1)]);
        queue.advance(Duration::from_millis(9_999));
        assert!(consumer.recv(NOW).unwrap().is_none());
        queue.advance(Duration::from_millis(1));
        let got = consumer.recv(NOW).unwrap().unwrap();
        assert_eq!((*got, got.message().id()), (1, sent.id));
        assert_eq!((got.message().tag(), got.message().keys().next()), (Some("t"), Some("k")));
        got.ack().unwrap();
        assert!(queue.stats().unwrap().delayed.is_empty());
        assert!(consumer.recv(NOW).unwrap().is_none());
    }
}

#[test]
fn crashes_and_reopenings_deliver_each_once() {
    let options = Queue::options().segment_size(64 << 10).staging_size(64 << 10);
    let mut queue = TestQueue::with(options.queue_file_size(20 * 512)).unwrap();
    let mut sent = 0;
    for life in 0..9 {
        let numbers = queue.producer(NUMBERS).unwrap();
        for _ in 0..40 {
            let message = numbers.message(&sent);
            let message = message.delay_level(1 + u32::try_from(sent % 3).unwrap());
            match sent % 4 {
                0 => drop(message.submit().unwrap().wait().unwrap()),
                1 => message.send_one_way().unwrap(),
                _ => drop(message.send().unwrap()),
            }
            sent += 1;
            if sent % 10 == 0 {
                queue.advance(SECOND);
            }
        }
        if life % 3 == 2 {
            queue.reopen().unwrap();
        } else {
            queue.crash_and_reopen().unwrap();
        }
    }
    queue.advance(HOUR);
    let mut came = queue.sent(NUMBERS).unwrap();
    came.sort_unstable();
    assert_eq!(came, (0..sent).collect::<Vec<_>>());
    queue.crash_and_reopen().unwrap();
    queue.advance(HOUR);
    assert_eq!(queue.sent(NUMBERS).unwrap().len(), came.len());
}

#[test]
fn a_wall_clock_that_is_set_moves_what_waits() {
    let queue = TestQueue::new().unwrap();
    let numbers = queue.producer(NUMBERS).unwrap();
    numbers.message(&1).delay_level(17).send().unwrap();
    let due = ReadOnly::open(queue.dir()).unwrap().delayed().next().unwrap().unwrap().due;
    queue.set_wall(due - HOUR * 5);
    queue.advance(HOUR * 4);
    assert!(queue.sent(NUMBERS).unwrap().is_empty());
    queue.set_wall(due);
    assert_eq!(queue.sent(NUMBERS).unwrap(), [1]);
    queue.set_wall(due - HOUR);
    queue.set_wall(due + HOUR);
    assert_eq!(queue.sent(NUMBERS).unwrap(), [1]);
}

#[test]
fn an_order_key_and_a_delay_do_not_go_together() {
    let queue = TestQueue::new().unwrap();
    let numbers = queue.producer(NUMBERS).unwrap();
    let message = numbers.message(&1).delay_level(1).order_by("k");
    assert_eq!(message.send().unwrap_err().kind(), ErrorKind::InvalidArgument);
    let odd = Queue::options().delay_levels("soon");
    assert_eq!(TestQueue::with(odd).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_look_names_what_waits_whoever_has_the_store_open() {
    let mut queue = TestQueue::new().unwrap();
    let numbers = queue.producer(NUMBERS).unwrap();
    for level in [1, 5, 1] {
        numbers.message(&1).delay_level(level).send().unwrap();
    }
    queue.advance(SECOND);
    let levels = |queue: &TestQueue| -> Vec<(String, u32, u32)> {
        let look = ReadOnly::open(queue.dir()).unwrap();
        let delayed = look.delayed().map(Result::unwrap);
        delayed.map(|d| (d.topic, d.queue.get(), d.level)).collect()
    };
    let left = [("numbers".to_owned(), 0, 5)];
    assert_eq!(levels(&queue), left);
    queue.crash_and_reopen().unwrap();
    assert_eq!(levels(&queue), left);
    queue.close().unwrap();
    assert_eq!(levels(&queue), left);
}
