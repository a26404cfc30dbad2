//! Messages for ever, without blocking a thread.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::codec::{Decode, Json};
use crate::error::{ErrorKind, Result};
use crate::options::LONGEST_WAIT;

use super::futures::Receiver;
use super::{Consumer, Delivery};

/// Messages as they come: see [`Consumer::stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Deliveries<T: ?Sized, C = Json> {
    receiver: Receiver,
    stopped: bool,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C: Decode<T>> Consumer<T, C> {
    /// As [`Consumer::iter`], without blocking the thread: each step is [`Consumer::recv_async`] without a time-out. Ends when the queue is
    /// closed, and after [`ErrorKind::Poisoned`].
    ///
    /// Needs no runtime. Nothing is lost if the stream is dropped, and between two steps it takes nothing. The queue stays open while it
    /// lives.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # use pocketmq::{Queue, Topic};
    /// # const ORDERS: Topic<u64> = Topic::new("orders");
    /// use futures_lite::StreamExt;
    ///
    /// # let queue = Queue::in_memory()?;
    /// # queue.producer(ORDERS)?.send_batch([1, 2])?;
    /// let consumer = queue.consumer(ORDERS, "audit").pull()?;
    /// # futures_lite::future::block_on(async {
    /// let mut orders = consumer.stream();
    /// while let Some(order) = orders.next().await {
    ///     let order = order?;
    ///     println!("order {}", *order);
    /// #   let last = *order == 2;
    ///     order.ack()?;
    /// #   if last { queue.close()?; }
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn stream(&self) -> Deliveries<T, C> {
        let receiver = Receiver::new(self, LONGEST_WAIT);
        Deliveries { receiver, stopped: false, types: PhantomData }
    }
}

impl<T: ?Sized, C: Decode<T>> Stream for Deliveries<T, C> {
    type Item = Result<Delivery<C::Owned>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.stopped {
            let received = ready!(self.receiver.poll::<T, C>(1, cx));
            self.receiver.go_on();
            match received.map(|mut deliveries| deliveries.pop()) {
                Ok(Some(delivery)) => return Poll::Ready(Some(Ok(delivery))),
                // A year went by.
                Ok(None) => {}
                Err(e) => {
                    let closed = e.kind() == ErrorKind::Closed;
                    self.stopped = closed || e.kind() == ErrorKind::Poisoned;
                    return Poll::Ready((!closed).then_some(Err(e)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl<T: ?Sized, C> fmt::Debug for Deliveries<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.receiver.topic();
        f.debug_struct("Deliveries").field("topic", &topic).finish_non_exhaustive()
    }
}
