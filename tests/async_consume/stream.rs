//! Messages for ever, as a stream.

use futures_lite::StreamExt;

use super::*;

type Received = pocketmq::Result<pocketmq::Delivery<Box<[u8]>>>;

#[test]
fn a_stream_brings_what_comes_and_ends_when_the_queue_closes() {
    let queue = filled(2);
    let consumer = puller(&queue);
    let mut stream = consumer.stream();
    let mut next = async || stream.next().await;
    let taken = |got: Poll<Option<Received>>| {
        let Poll::Ready(Some(Ok(job))) = got else { panic!("a message is there") };
        let body = job.body().to_vec();
        job.ack().unwrap();
        body
    };
    assert_eq!(taken(ByHand::new(next()).poll()), [0]);
    assert_eq!(taken(ByHand::new(next()).poll()), [1]);
    let mut waits = ByHand::new(next());
    assert!(waits.poll().is_pending());
    fill(&queue, 1);
    assert!(waits.rings() > 0);
    assert_eq!(taken(waits.poll()), [0]);
    drop(waits);
    queue.close().unwrap();
    for _ in 0..2 {
        assert!(matches!(ByHand::new(next()).poll(), Poll::Ready(None)));
    }
}

#[test]
fn a_stream_that_is_not_polled_keeps_nothing_from_others() {
    let queue = filled(0);
    let consumer = puller(&queue);
    let mut stream = consumer.stream();
    let mut other = ByHand::new(consumer.recv_async(LONG));
    let mut next = ByHand::new(stream.next());
    assert!(next.poll().is_pending());
    assert!(other.poll().is_pending());
    fill(&queue, 1);
    assert!(next.rings() > 0, "it waits longest");
    drop(next);
    drop(stream);
    assert!(other.rings() > 0);
    assert!(other.poll().is_ready());
    queue.close().unwrap();
}
