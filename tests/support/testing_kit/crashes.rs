//! What a crash leaves, and a close.

use pocketmq::History;

use super::*;

#[test]
fn a_crash_leaves_what_a_killed_process_leaves() {
    let mut queue = filled([1, 2, 3]);
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    consumer.recv(NOW).unwrap().unwrap().ack().unwrap();
    let held = consumer.recv(NOW).unwrap().unwrap();
    let (old, producer) = (Queue::clone(&queue), queue.producer(NUMBERS).unwrap());
    // Not in the log's file yet.
    send(&queue, [4]);
    let dir = queue.dir().to_path_buf();
    queue.crash_and_reopen().unwrap();

    assert_eq!(queue.dir(), dir);
    assert_eq!(queue.report().history, History::Crashed);
    assert!(queue.report().records_replayed > 0, "nothing was in the staging buffer");
    closed(producer.send(&5));
    closed(consumer.recv(NOW));
    closed(old.stats());
    closed(old.close());
    assert_eq!(*held, 2, "what it holds stays readable");
    closed(held.ack());
    assert_eq!(queue.sent(NUMBERS).unwrap(), [1, 2, 3, 4]);

    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    let again = consumer.recv_batch(9, NOW).unwrap();
    let seen: Vec<_> = again.iter().map(|d| (**d, d.deaths(), d.attempt())).collect();
    assert_eq!(seen, [(2, 1, 1), (3, 0, 1), (4, 0, 1)]);
    drop(again);
    queue.close().unwrap();
    closed(queue.crash_and_reopen());
}

#[test]
fn a_clean_close_counts_no_death() {
    let mut queue = filled([1]);
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    let held = consumer.recv(NOW).unwrap().unwrap();
    queue.reopen().unwrap();
    assert_eq!(queue.report().history, History::Clean);
    closed(held.ack());
    let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
    assert_eq!(consumer.recv(NOW).unwrap().unwrap().deaths(), 0);
}

#[test]
fn a_crash_in_the_midst_of_everything_loses_nothing_that_was_confirmed() {
    // Small, so that files roll meanwhile.
    let options = Queue::options().segment_size(64 << 10).staging_size(64 << 10);
    let mut queue = TestQueue::with(options.queue_file_size(20 * 512)).unwrap();
    let (mut confirmed, mut acked) = (Vec::new(), Vec::new());
    for life in 0..8 {
        let producers: Vec<_> = (0..2).map(|_| queue.producer(NUMBERS).unwrap()).collect();
        let consumer = queue.consumer(NUMBERS, "g").pull().unwrap();
        let (said, heard) = channel();
        let senders: Vec<_> = (0..)
            .zip(producers)
            .map(|(who, producer)| {
                let said = said.clone();
                thread::spawn(move || {
                    let numbers = (0..).map(|n| life << 32 | who << 24 | n);
                    numbers
                        .take_while(|number| producer.send(number).is_ok())
                        .inspect(|_| said.send(()).unwrap_or_default())
                        .collect::<Vec<u64>>()
                })
            })
            .collect();
        let worker = thread::spawn(move || {
            let mut acked = Vec::new();
            while let Ok(Some(delivery)) = consumer.recv(TOO_LONG) {
                let number = *delivery;
                if delivery.ack().is_ok() {
                    acked.push(number);
                }
            }
            acked
        });
        assert_eq!(heard.iter().take(500).count(), 500);
        queue.crash_and_reopen().unwrap();
        for sender in senders {
            confirmed.extend(sender.join().unwrap());
        }
        acked.extend(worker.join().unwrap());
    }
    assert!(!acked.is_empty());
    confirmed.sort_unstable();
    let mut there = queue.sent(NUMBERS).unwrap();
    there.sort_unstable();
    there.dedup();
    assert!(confirmed.iter().all(|number| there.binary_search(number).is_ok()), "messages lost");
    let again = queue.drain(NUMBERS, "g").unwrap();
    acked.sort_unstable();
    let back = again.iter().filter(|number| acked.binary_search(number).is_ok()).count();
    assert_eq!(back, 0, "acknowledgements lost");
    assert!(queue.report().damage.is_empty());
}
