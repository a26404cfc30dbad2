//! A message as a subscriber sees it.

use std::fmt;
use std::ops::Deref;

use crate::store::message::Message;

/// A message that was shown to a subscriber: the decoded value and its envelope.
///
/// Owns what it needs: it can cross threads and outlive the subscription. There is nothing to settle.
pub struct Event<V> {
    value: V,
    message: Message,
    missed: u64,
}

impl<V> Event<V> {
    pub(super) fn new(value: V, message: Message, missed: u64) -> Self {
        Self { value, message, missed }
    }

    /// The decoded value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The decoded value, without its envelope.
    pub fn into_value(self) -> V {
        self.value
    }

    /// The stored message: position, keys, tag, properties, times, body.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// How many messages of this one's queue were taken away before the subscriber could read them, since the last event of that
    /// queue: what retention, or a memory budget, did not leave. Also those count that its filter would have passed over.
    pub fn missed_before(&self) -> u64 {
        self.missed
    }
}

impl<V> Deref for Event<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V> fmt::Debug for Event<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("message", &self.message)
            .field("missed_before", &self.missed)
            .finish_non_exhaustive()
    }
}
