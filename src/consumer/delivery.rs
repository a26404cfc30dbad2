//! A message in a consumer's hands.

use std::fmt;
use std::ops::Deref;

use crate::engine::dispatch::{Dispatch, Held};
use crate::error::{Error, Result};
use crate::store::message::Message;
use crate::sync::Arc;

/// A received message: the decoded value, its envelope, and the duty to settle it.
///
/// Owns what it needs: it can cross threads and outlive the consumer. It does not keep the queue open, though: after the last
/// other handle is gone it can be read and no longer acknowledged. Dropped without [`Delivery::ack`], the message is received
/// again.
#[must_use = "a delivery that is dropped without `ack` is received again"]
pub struct Delivery<V> {
    value: V,
    handle: Handle,
}

/// The part that settles, apart from the value, so that a value can be moved out. What unwinds drops it, and so gives the
/// message back.
pub(super) struct Handle {
    message: Message,
    epoch: u64,
    dispatch: Arc<Dispatch>,
    settled: bool,
}

impl Handle {
    pub(super) fn new(message: Message, epoch: u64, dispatch: &Arc<Dispatch>) -> Self {
        Self { message, epoch, dispatch: Arc::clone(dispatch), settled: false }
    }

    pub(super) fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// The payload does not decode.
    pub(super) fn park(mut self) {
        self.settled = true;
        self.dispatch.park(self.held());
    }

    fn place(&self) -> (u32, u64) {
        (self.message.queue().get(), self.message.queue_offset().get())
    }

    fn held(&self) -> Held {
        Held { place: self.place(), epoch: self.epoch }
    }

    fn ack(mut self) -> Result<()> {
        self.dispatch.ack(self.held(), 0)?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.settled {
            self.dispatch.put_back(self.held());
        }
    }
}

impl<V> Delivery<V> {
    pub(super) fn new(value: V, handle: Handle) -> Self {
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
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the group was moved since, [`ErrorKind::Io`](crate::ErrorKind::Io) if the disk
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
        let dispatch = Arc::clone(&self.handle.dispatch);
        self.handle.ack()?;
        dispatch.sync()
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

    /// The decoded value.
    pub fn value(&self) -> &V {
        &self.value
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

/// Acknowledges in runs of consecutive offsets of one queue.
pub(super) fn ack_all<V>(
    dispatch: &Arc<Dispatch>,
    deliveries: impl IntoIterator<Item = Delivery<V>>,
) -> Result<()> {
    let mut handles: Vec<Handle> = deliveries.into_iter().map(|d| d.handle).collect();
    if handles.iter().any(|h| !Arc::ptr_eq(&h.dispatch, dispatch)) {
        return Err(Error::invalid("a delivery of another group or topic"));
    }
    handles.sort_by_key(Handle::place);
    let runs = handles.chunk_by_mut(|a, b| {
        let ((queue, offset), next) = (a.place(), b.place());
        (queue, offset + 1) == next && a.epoch == b.epoch
    });
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        dispatch.ack(first.held(), last.place().1 - first.place().1)?;
        for handle in run {
            handle.settled = true;
        }
    }
    Ok(())
}
