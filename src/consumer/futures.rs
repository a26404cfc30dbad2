//! Receiving without blocking a thread: any executor can poll these, no runtime is needed. Their timers run on the queue's own thread.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::Engine;
use crate::engine::dispatch::{Asleep, Wait};
use crate::engine::member::Member;
use crate::error::Result;
use crate::sync::Arc;

use super::{Consumer, Delivery, Handle, decoded};

/// So many messages that do not decode are passed over in one poll; a batch is not broken off.
const POLL_FAILURES: usize = 64;

/// What receives for a future: it keeps its place among those who wait.
pub(super) struct Receiver {
    /// Keeps the queue open.
    _engine: Arc<Engine>,
    member: Arc<Member>,
    wait: Wait,
    asleep: Asleep,
}

impl Receiver {
    pub(super) fn new<T: ?Sized, C>(consumer: &Consumer<T, C>, timeout: Duration) -> Self {
        let Consumer { engine, member, every, .. } = consumer;
        Self {
            _engine: Arc::clone(engine),
            wait: Wait::up_to(timeout).looking_every(*every),
            asleep: member.asleep(member.batch()),
            member: Arc::clone(member),
        }
    }

    /// Goes on for the next message, for as long as it takes.
    #[cfg(feature = "stream")]
    pub(super) fn go_on(&mut self) {
        self.wait = self.wait.once_more();
        self.asleep.take_for(self.member.batch());
    }

    #[cfg(feature = "stream")]
    pub(super) fn topic(&self) -> &str {
        self.member.topic().name()
    }

    /// Up to `max` messages that decode; none when the time is up. So that nobody who shares the thread has to wait for long, it passes over
    /// some of those that do not, and goes on in the next poll.
    pub(super) fn poll<T: ?Sized, C: Decode<T>>(
        &mut self,
        max: usize,
        cx: &Context<'_>,
    ) -> Poll<Result<Vec<Delivery<C::Owned>>>> {
        let mut failed = 0;
        while failed < POLL_FAILURES {
            let handles = ready!(self.poll_take(max, cx))?;
            failed += handles.len();
            let none = handles.is_empty();
            let deliveries = decoded::<T, C>(handles)?;
            if none || !deliveries.is_empty() {
                return Poll::Ready(Ok(deliveries));
            }
        }
        let asleep = (&mut self.asleep, cx.waker());
        self.member.seat().poll_later(&mut self.wait, asleep).map(|()| Ok(Vec::new()))
    }

    fn poll_take(&mut self, max: usize, cx: &Context<'_>) -> Poll<Result<Vec<Handle>>> {
        let mut handles = Vec::new();
        let mut put = |message, held| handles.push(Handle::new(message, held, self.member.seat()));
        let asleep = (&mut self.asleep, cx.waker());
        let taken = self.member.poll_take(max, &mut self.wait, asleep, &mut put);
        taken.map(|taken| taken.map(|_| handles))
    }
}

/// Receives one message: see [`Consumer::recv_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct Recv<T: ?Sized, C = Json> {
    receiver: Receiver,
    types: PhantomData<fn(&T) -> C>,
}

/// Receives a batch: see [`Consumer::recv_batch_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct RecvBatch<T: ?Sized, C = Json> {
    receiver: Receiver,
    max: usize,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C: Decode<T>> Consumer<T, C> {
    /// As [`Consumer::recv`], without blocking the thread.
    ///
    /// Needs no runtime, and nothing is lost if the future is dropped: a message is taken in the poll that returns it. The queue stays
    /// open while it lives. Reading a message that is not in memory is a page fault, which blocks for as long as the disk takes.
    ///
    /// # Errors
    ///
    /// As [`Consumer::recv`].
    pub fn recv_async(&self, timeout: Duration) -> Recv<T, C> {
        let receiver = Receiver::new(self, timeout);
        Recv { receiver, types: PhantomData }
    }

    /// As [`Consumer::recv_batch`], without blocking the thread; see [`Consumer::recv_async`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::recv`].
    pub fn recv_batch_async(&self, max: usize, timeout: Duration) -> RecvBatch<T, C> {
        let receiver = Receiver::new(self, timeout);
        RecvBatch { receiver, max, types: PhantomData }
    }
}

impl<T: ?Sized, C: Decode<T>> Future for Recv<T, C> {
    type Output = Result<Option<Delivery<C::Owned>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll::<T, C>(1, cx).map_ok(|mut received| received.pop())
    }
}

impl<T: ?Sized, C: Decode<T>> Future for RecvBatch<T, C> {
    type Output = Result<Vec<Delivery<C::Owned>>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let max = self.max;
        if max == 0 {
            return Poll::Ready(Ok(Vec::new()));
        }
        self.receiver.poll::<T, C>(max, cx)
    }
}

impl<T: ?Sized, C> fmt::Debug for Recv<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.receiver.member.topic().name();
        f.debug_struct("Recv").field("topic", topic).finish_non_exhaustive()
    }
}

impl<T: ?Sized, C> fmt::Debug for RecvBatch<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = self.receiver.member.topic().name();
        f.debug_struct("RecvBatch").field("topic", topic).finish_non_exhaustive()
    }
}
