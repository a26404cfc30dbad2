//! Events for ever, without blocking a thread.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::codec::{Decode, Json};
use crate::engine::subscriber::Waiting;
use crate::error::Result;
use crate::options::LONGEST_WAIT;

use super::{Event, Subscription};

/// Events as they come: see [`Subscription::into_stream`].
#[must_use = "a stream does nothing until it is polled"]
pub struct Events<T: ?Sized, C = Json> {
    subscription: Subscription<T, C>,
}

impl<T: ?Sized, C: Decode<T>> Subscription<T, C> {
    /// The events as they come, without blocking a thread: each step is [`Subscription::recv_async`] without a time-out. Ends when the
    /// queue is closed, and after [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned).
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # use pocketmq::{Queue, Topic};
    /// # const PRICES: Topic<u64> = Topic::new("prices");
    /// use futures_lite::StreamExt;
    ///
    /// # let queue = Queue::in_memory()?;
    /// let mut prices = queue.subscribe(PRICES).open()?.into_stream();
    /// # queue.producer(PRICES)?.send(&7)?;
    /// # futures_lite::future::block_on(async {
    /// while let Some(price) = prices.next().await {
    ///     println!("price {}", *price?);
    /// #   queue.close()?;
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn into_stream(self) -> Events<T, C> {
        Events { subscription: self }
    }
}

impl<T: ?Sized, C: Decode<T>> Stream for Events<T, C> {
    type Item = Result<Event<C::Owned>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let subscription = &mut self.subscription;
        while !subscription.ended {
            match ready!(subscription.poll_event(&mut Waiting::up_to(LONGEST_WAIT), cx)) {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                // A year went by.
                Ok(None) => {}
                Err(e) => return Poll::Ready(subscription.last_word(e).map(Err)),
            }
        }
        Poll::Ready(None)
    }
}

impl<T: ?Sized, C> fmt::Debug for Events<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("subscription", &self.subscription).finish()
    }
}
