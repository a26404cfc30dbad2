//! Seeing a topic without blocking a thread: any executor can poll these, no runtime is needed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::subscriber::Waiting;
use crate::error::Result;

use super::{Event, Subscription};

/// Waits for an event: see [`Subscription::recv_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct NextEvent<'a, T: ?Sized, C = Json> {
    subscription: &'a mut Subscription<T, C>,
    wait: Waiting,
}

impl<T: ?Sized, C: Decode<T>> Subscription<T, C> {
    /// As [`Subscription::recv`], without blocking the thread.
    ///
    /// Needs no runtime, and nothing is lost if the future is dropped: an event is taken in the poll that returns it. Reading a message
    /// that is not in memory is a page fault, which blocks for as long as the disk takes; so does writing down the position of a durable
    /// subscription when its journal is full.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// use std::time::Duration;
    /// use pocketmq::{Queue, Topic};
    ///
    /// const PRICES: Topic<u64> = Topic::new("prices");
    ///
    /// let queue = Queue::in_memory()?;
    /// let mut screen = queue.subscribe(PRICES).open()?;
    /// queue.producer(PRICES)?.send(&7)?;
    /// # futures_lite::future::block_on(async {
    /// let price = screen.recv_async(Duration::from_secs(20)).await?.unwrap();
    /// assert_eq!(*price, 7);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Subscription::recv`].
    pub fn recv_async(&mut self, timeout: Duration) -> NextEvent<'_, T, C> {
        NextEvent { subscription: self, wait: Waiting::up_to(timeout) }
    }

    pub(super) fn poll_event(
        &mut self,
        wait: &mut Waiting,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Event<C::Owned>>>> {
        let shown = ready!(self.subscriber.poll_next(wait, cx))?;
        Poll::Ready(shown.map(|(message, missed)| self.event(message, missed)).transpose())
    }
}

impl<T: ?Sized, C: Decode<T>> Future for NextEvent<'_, T, C> {
    type Output = Result<Option<Event<C::Owned>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { subscription, wait } = &mut *self;
        subscription.poll_event(wait, cx)
    }
}

impl<T: ?Sized, C> Drop for NextEvent<'_, T, C> {
    fn drop(&mut self) {
        self.subscription.subscriber.get_up();
    }
}

impl<T: ?Sized, C> fmt::Debug for NextEvent<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextEvent")
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}
