//! A message in a consumer's hands.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::engine::dispatch::{Held, Order};
use crate::engine::join::Seat;
use crate::error::{Error, Result};
use crate::handler::{Cancel, Envelope};
use crate::observe::{self, TRACEPARENT};
use crate::progress::Failed;
use crate::store::message::Message;
use crate::sync::{Arc, thread};

/// A received message: the decoded value, its envelope, and the duty to settle it.
///
/// Owns what it needs: it can cross threads and outlive the consumer. It does not keep the queue open, though: after the last
/// other handle is gone it can be read and no longer acknowledged. Dropped without being settled, the message is received
/// again, and that is no failed attempt; dropped by a panic, it is one.
#[must_use = "a delivery that is dropped without `ack` is received again"]
pub struct Delivery<V> {
    value: V,
    handle: Handle,
}

/// The part that settles, apart from the value, so that a value can be moved out. What unwinds drops it, and so gives the
/// message back.
pub(crate) struct Handle {
    message: Message,
    held: Held,
    seat: Arc<Seat>,
    settled: bool,
    /// What whoever observes sees of it.
    seen: observe::Delivery,
}

impl Handle {
    pub(crate) fn new(message: Message, held: Held, seat: &Arc<Seat>) -> Self {
        let seen = observe::Delivery::of(
            seat.names(),
            held.place,
            held.attempt(),
            || message.id(),
            || message.property(TRACEPARENT),
        );
        Self { message, held, seat: Arc::clone(seat), settled: false, seen }
    }

    pub(crate) fn names(&self) -> observe::Names<'_> {
        self.seat.names()
    }

    pub(crate) fn seen(&self) -> &observe::Delivery {
        &self.seen
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// It may be held for so long from now on.
    pub(crate) fn extend(&self, lease: Duration) -> Result<()> {
        self.seat.extend(self.held, lease)
    }

    /// What a handler gets of it.
    pub(crate) fn envelope(&self, cancel: &Arc<Cancel>) -> Envelope {
        Envelope::new(&self.message, (&self.seat, self.held), cancel)
    }

    fn attempt(&self) -> u32 {
        self.held.attempt()
    }

    /// Whether the message is set aside if this attempt fails.
    pub(crate) fn is_last_attempt(&self) -> bool {
        let failed = Failed { attempts: self.attempt(), ..self.held.failed };
        self.seat.terms().sets_aside(failed)
    }

    /// The queue of which those behind it in its batch are taken back if it fails.
    pub(crate) fn takes_back(&self) -> Option<u32> {
        (self.seat.terms().order == Order::ByQueue).then_some(self.held.place.0)
    }

    pub(crate) fn ack(mut self) -> Result<()> {
        self.seat.ack(self.held, 0)?;
        self.settled("acked");
        Ok(())
    }

    /// Somebody else may have it at once. No attempt is used, whatever unwinds.
    pub(crate) fn give_back(mut self) {
        self.settled("given back");
        self.seat.put_back(self.held);
    }

    fn settled(&mut self, outcome: &'static str) {
        self.settled = true;
        self.seen.settled(outcome);
    }

    /// A failed attempt; the next one comes after `wait`, or after what the group's retries say.
    pub(crate) fn fail(mut self, wait: Option<Duration>) -> Result<()> {
        self.settled = true;
        self.seen.around(|| self.seat.fail(self.held, wait))?;
        self.seen.settled("failed");
        Ok(())
    }

    /// Comes again later, and no attempt is used.
    pub(crate) fn snooze(mut self, wait: Duration) -> Result<()> {
        self.settled = true;
        self.seat.snooze(self.held, wait)?;
        self.seen.settled("put off");
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if thread::panicking() {
            // Nobody is left to tell. If the queue is closed, it comes again after the next open.
            let _ = self.seen.around(|| self.seat.fail(self.held, None));
            self.seen.settled("failed");
        } else {
            self.seat.put_back(self.held);
            self.seen.settled("given back");
        }
    }
}

impl<V> Delivery<V> {
    pub(crate) fn new(value: V, handle: Handle) -> Self {
        Self { value, handle }
    }

    /// Says that the message is done: it is not received again.
    ///
    /// When this returns, the death of the process does not undo it; a power cut may, until the next flush (at the latest
    /// after the store's flush interval), unless [`Delivery::ack_durable`] is used. Messages may be acknowledged in
    /// any order. Costs no system call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full) if there is no space (or no file descriptor) to write it down,
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the lease ended or the group was moved since, [`ErrorKind::Io`](crate::ErrorKind::Io) if the disk
    /// fails, [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned),
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed): the message is then received again.
    pub fn ack(self) -> Result<()> {
        self.handle.ack()
    }

    /// As [`Delivery::ack`], and a power cut does not undo it either: waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`]. If the disk fails, the message counts as done here and may be received again after the next open.
    pub fn ack_durable(self) -> Result<()> {
        let seat = Arc::clone(&self.handle.seat);
        self.handle.ack()?;
        seat.sync()
    }

    /// Acknowledges the message and hands out its value.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`].
    pub fn into_acked(self) -> Result<V> {
        self.handle.ack()?;
        Ok(self.value)
    }

    /// Says that handling failed. The message is received again after what the group's [`Retry`](crate::Retry) says; after its last
    /// attempt it is set aside ([`Group::set_aside`](crate::Group::set_aside)).
    ///
    /// When this returns, the death of the process does not undo it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the lease ended or the group was moved since,
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn fail(self) -> Result<()> {
        self.handle.fail(None)
    }

    /// As [`Delivery::fail`], and the next attempt comes after `wait`.
    ///
    /// # Errors
    ///
    /// As [`Delivery::fail`].
    pub fn retry_after(self, wait: Duration) -> Result<()> {
        self.handle.fail(Some(wait))
    }

    /// Gives the message back for `wait`. No attempt is used.
    ///
    /// # Errors
    ///
    /// As [`Delivery::fail`].
    pub fn snooze(self, wait: Duration) -> Result<()> {
        self.handle.snooze(wait)
    }

    /// The message may be held for `lease` from now on, whatever lease its consumer has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a lease of nothing; others as [`Delivery::fail`].
    pub fn extend(&self, lease: Duration) -> Result<()> {
        if lease.is_zero() {
            return Err(Error::invalid("a lease of 0 would be over at once"));
        }
        self.handle.extend(lease)
    }

    /// Which attempt this is: 1 for the first, one more for each that failed. What was dropped, or put off by
    /// [`Delivery::snooze`], is no failed attempt.
    pub fn attempt(&self) -> u32 {
        self.handle.attempt()
    }

    /// How often the process died while somebody held this message.
    pub fn deaths(&self) -> u32 {
        self.handle.held.failed.deaths
    }

    /// The decoded value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The span of this delivery, from the moment it was received until it is settled, to work in: see docs/ARCHITECTURE.md.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let queue = pocketmq::Queue::in_memory()?;
    /// # const ORDERS: pocketmq::Topic<u64> = pocketmq::Topic::new("orders");
    /// # queue.producer(ORDERS)?.send(&7)?;
    /// # let consumer = queue.consumer(ORDERS, "mailer").pull()?;
    /// if let Some(order) = consumer.recv(std::time::Duration::ZERO)? {
    ///     order.span().in_scope(|| tracing::info!("mailing"));
    ///     order.ack()?;
    /// }
    /// # queue.close()
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    pub fn span(&self) -> &tracing::Span {
        self.handle.seen.span()
    }

    /// The stored message: position, keys, tag, properties, times.
    pub fn message(&self) -> &Message {
        &self.handle.message
    }

    /// The stored body, borrowed from the log without a copy.
    pub fn body(&self) -> &[u8] {
        self.handle.message.body()
    }
}

impl<V> Deref for Delivery<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V> fmt::Debug for Delivery<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("message", &self.handle.message).finish_non_exhaustive()
    }
}

/// Which messages of a batch are behind one that failed, in a group that is ordered by queue: they were taken back.
#[derive(Default)]
pub(crate) struct Overtaking(Vec<u32>);

impl Overtaking {
    /// One failed, and took back those behind it of this queue.
    pub(crate) fn failed(&mut self, takes_back: Option<u32>) {
        self.0.extend(takes_back);
    }

    pub(crate) fn has(&self, handle: &Handle) -> bool {
        self.0.contains(&handle.held.place.0)
    }
}

/// Acknowledges in runs of consecutive offsets of one queue.
pub(super) fn ack_all<V>(
    seat: &Arc<Seat>,
    deliveries: impl IntoIterator<Item = Delivery<V>>,
) -> Result<()> {
    let mut handles: Vec<Handle> = deliveries.into_iter().map(|d| d.handle).collect();
    if handles.iter().any(|h| !Arc::ptr_eq(&h.seat, seat)) {
        return Err(Error::invalid("a delivery of another group or topic"));
    }
    handles.sort_by_key(|handle| handle.held.place);
    handles.chunk_by_mut(Handle::is_followed_by).try_for_each(Handle::ack_run)
}

impl Handle {
    fn is_followed_by(&self, next: &Self) -> bool {
        let (queue, offset) = self.held.place;
        (queue, offset + 1) == next.held.place && self.held.token == next.held.token
    }

    /// Those that follow each other.
    fn ack_run(run: &mut [Self]) -> Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        first.seat.ack(first.held, last.held.place.1 - first.held.place.1)?;
        for handle in run {
            handle.settled("acked");
        }
        Ok(())
    }

    /// As [`ack_all`], for messages of one topic and group; one that cannot be acknowledged does not hold up the others.
    pub(crate) fn ack_each(mut handles: Vec<Self>) -> Vec<Result<()>> {
        let mut acked = Vec::with_capacity(handles.len());
        for run in handles.chunk_by_mut(Self::is_followed_by) {
            if Self::ack_run(run).is_ok() {
                acked.extend(run.iter().map(|_| Ok(())));
            } else {
                acked.extend(run.chunks_mut(1).map(Self::ack_run));
            }
        }
        acked
    }
}
