//! Who is woken for what there is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Received = pocketmq::Result<Option<Delivery<u64>>>;

/// Somebody who waits for a message, and looks when he is told to.
struct Waiting<'a> {
    bell: Arc<Bell>,
    future: Pin<Box<dyn Future<Output = Received> + 'a>>,
}

impl<'a> Waiting<'a> {
    fn on(consumer: &'a Consumer<u64>) -> Self {
        let mut this = Self { bell: Arc::default(), future: Box::pin(consumer.recv_async(HOUR)) };
        assert!(this.look().is_none());
        this
    }

    fn look(&mut self) -> Option<Delivery<u64>> {
        let waker = Waker::from(Arc::clone(&self.bell));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(got) => got.unwrap(),
            Poll::Pending => None,
        }
    }

    fn was_told(&self) -> bool {
        self.bell.0.load(Ordering::SeqCst)
    }
}

#[test]
fn when_a_queue_is_read_on_that_was_crowded_somebody_comes_for_what_lies_behind() {
    let queue = TestQueue::with(Queue::options().default_queues(1)).unwrap();
    let producer = queue.producer(JOBS).unwrap();
    // One in hand, as many behind it as may wait, and one of another key.
    for job in 0..=10_000 {
        producer.message(&job).order_by("a").send().unwrap();
    }
    let consumer = workers(&queue).ordered().pull().unwrap();
    let first = next(&consumer);
    nothing(&consumer);
    producer.message(&77).order_by("b").send().unwrap();
    nothing(&consumer);
    let mut waiting = [Waiting::on(&consumer), Waiting::on(&consumer)];
    first.ack().unwrap();
    let told = waiting.iter_mut().filter(|waiting| waiting.was_told());
    let got: Vec<_> = told.filter_map(Waiting::look).collect();
    let mut values: Vec<_> = got.iter().map(|delivery| **delivery).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 77]);
}
