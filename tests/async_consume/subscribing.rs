//! Subscribers without threads.

use pocketmq::{ErrorKind, Start, Subscription};

use super::*;

fn subscribe(queue: &Queue) -> Subscription<[u8], Raw> {
    queue.subscribe(JOBS).start(Start::Earliest).open().unwrap()
}

#[test]
fn a_subscriber_that_waits_is_woken_by_the_message_and_sees_all_in_order() {
    for options in [Queue::options(), Queue::options().flush(pocketmq::Flush::Sync)] {
        let dir = tempfile::tempdir().unwrap();
        let queue = options.open(dir.path()).unwrap();
        let mut subscription = subscribe(&queue);
        let sender = std::thread::spawn({
            let queue = queue.clone();
            move || fill(&queue, 200)
        });
        for n in 0..200 {
            let next = futures_lite::future::block_on(subscription.recv_async(LONG));
            assert_eq!(**next.unwrap().unwrap(), [n]);
        }
        sender.join().unwrap();
        queue.close().unwrap();
    }
}

#[test]
fn a_subscriber_sleeps_until_it_is_rung_and_rings_nobody_when_it_is_gone() {
    let queue = filled(0);
    let mut subscription = subscribe(&queue);
    let mut waits = ByHand::new(subscription.recv_async(LONG));
    assert!(waits.poll().is_pending());
    assert_eq!(waits.rings(), 0);
    fill(&queue, 1);
    assert_eq!(waits.rings(), 1);
    assert!(waits.poll().is_ready());
    drop(waits);
    let mut waits = ByHand::new(subscription.recv_async(LONG));
    assert!(waits.poll().is_pending());
    let rung = Arc::clone(&waits.rung);
    drop(waits);
    fill(&queue, 1);
    assert_eq!(rung.0.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&rung), 1, "its waker is still kept");
    let next = subscription.recv(Duration::ZERO).unwrap().unwrap();
    assert_eq!(**next, [0], "and what came is there");
    queue.close().unwrap();
}

#[test]
fn a_subscriber_that_is_dropped_after_any_poll_misses_nothing() {
    cancel::at_every_poll(async |polls| {
        let queue = Queue::in_memory().unwrap();
        let mut subscription = subscribe(&queue);
        let filler = async {
            yield_once().await;
            fill(&queue, 2);
        };
        let waits = cancel::cancelled(subscription.recv_async(LONG), polls);
        let (shown, ()) = futures_lite::future::zip(waits, filler).await;
        let seen = usize::from(shown.is_some());
        for n in seen..2 {
            let next = subscription.recv_async(Duration::ZERO).await.unwrap().unwrap();
            assert_eq!(usize::from(*next.first().unwrap()), n, "{polls} polls");
        }
        queue.close().unwrap();
        seen == 1
    });
}

#[test]
fn the_time_and_a_close_end_the_wait_of_a_subscriber() {
    let queue = filled(0);
    let mut subscription = subscribe(&queue);
    let none = futures_lite::future::block_on(subscription.recv_async(Duration::from_millis(5)));
    assert!(none.unwrap().is_none());
    let mut waits = ByHand::new(subscription.recv_async(LONG));
    assert!(waits.poll().is_pending());
    queue.close().unwrap();
    assert!(waits.rings() > 0);
    let Poll::Ready(Err(closed)) = waits.poll() else { panic!("the queue is closed") };
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[test]
fn a_subscriber_whose_filter_wants_nothing_lets_others_go_on() {
    let queue = Queue::in_memory().unwrap();
    let producer = queue.producer(JOBS).unwrap();
    for _ in 0..1000 {
        producer.message(b"m").property("n", 1).send().unwrap();
    }
    let wants = pocketmq::Filter::sql("n > 1").unwrap();
    let mut subscription =
        queue.subscribe(JOBS).start(Start::Earliest).filter(wants).open().unwrap();
    let mut next = ByHand::new(subscription.recv_async(LONG));
    let mut polls = 0;
    while next.rings() == polls {
        assert!(next.poll().is_pending());
        polls += 1;
    }
    assert!(polls > 5, "{polls} polls for a thousand messages");
    drop(next);
    queue.close().unwrap();
}

#[cfg(feature = "stream")]
#[test]
fn a_subscription_is_a_stream_that_ends_with_the_queue() {
    use futures_lite::StreamExt;

    let queue = filled(2);
    let closer = queue.clone();
    let seen: Vec<_> = futures_lite::future::block_on(
        subscribe(&queue)
            .into_stream()
            .map(|event| {
                let event = event.unwrap();
                if **event == [1] {
                    closer.close().unwrap();
                }
                event.to_vec()
            })
            .collect(),
    );
    assert_eq!(seen, [[0], [1]]);
}
