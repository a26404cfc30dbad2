//! A message that is handed to a handler.

use std::fmt;
use std::ops::Deref;

use crate::engine::dispatch::{Dispatch, Held};
use crate::store::Store;
use crate::store::message::Message;
use crate::sync::{Arc, AtomicBool, Ordering};

/// Whether a handler is to give up, and why.
#[derive(Debug)]
pub(crate) struct Cancel {
    store: Arc<Store>,
    interrupted: AtomicBool,
    overdue: AtomicBool,
}

impl Cancel {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        let store = Arc::clone(store);
        Self { store, interrupted: AtomicBool::new(false), overdue: AtomicBool::new(false) }
    }

    /// Nobody waits for the handler any longer. If it fails now, that is no failed attempt.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// The handler has had its time. Says whether this is the first to say so.
    pub(crate) fn time_is_up(&self) -> bool {
        !self.overdue.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::SeqCst)
    }

    fn is_set(&self) -> bool {
        self.is_interrupted() || self.is_overdue() || self.store.check_open().is_err()
    }
}

/// A message that is handed to a handler, without its value.
#[derive(Clone)]
pub struct Envelope {
    message: Message,
    /// Whose it is. Not a seat: it may be kept when the message is settled.
    dispatch: Arc<Dispatch>,
    held: Held,
    cancel: Arc<Cancel>,
}

impl Envelope {
    pub(crate) fn new(
        message: &Message,
        (dispatch, held): (&Arc<Dispatch>, Held),
        cancel: &Arc<Cancel>,
    ) -> Self {
        let (message, dispatch) = (message.clone(), Arc::clone(dispatch));
        Self { message, dispatch, held, cancel: Arc::clone(cancel) }
    }

    /// The stored message: topic, position, keys, tag, properties, times.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The stored body, borrowed from the log without a copy.
    pub fn body(&self) -> &[u8] {
        self.message.body()
    }

    /// The consumer group.
    pub fn group(&self) -> &str {
        self.dispatch.group()
    }

    /// Which attempt this is: 1 for the first, one more for each that failed.
    pub fn attempt(&self) -> u32 {
        self.held.attempt()
    }

    /// How often the process died while somebody held this message.
    pub fn deaths(&self) -> u32 {
        self.held.failed.deaths
    }

    /// Whether the handler is to give up: it had its time, its worker was shut down and the time for that is over, the queue was closed, or the
    /// message is not the handler's any more, because its lease ended or the group was moved: what the handler returns then counts for nothing. A
    /// handler that works for long looks now and then.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_set() || !self.dispatch.holds(self.held)
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("message", &self.message)
            .field("group", &self.group())
            .field("attempt", &self.attempt())
            .field("deaths", &self.deaths())
            .finish_non_exhaustive()
    }
}

/// A message in a handler's hands: the decoded value, and its envelope. What the handler returns settles it.
pub struct Job<V> {
    value: V,
    envelope: Envelope,
}

impl<V> Job<V> {
    pub(crate) fn new(value: V, envelope: Envelope) -> Self {
        Self { value, envelope }
    }

    /// The decoded value.
    pub fn value(&self) -> &V {
        &self.value
    }

    /// The decoded value, moved out.
    pub fn into_value(self) -> V {
        self.value
    }

    /// Everything but the value.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// See [`Envelope::message`].
    pub fn message(&self) -> &Message {
        self.envelope.message()
    }

    /// See [`Envelope::body`].
    pub fn body(&self) -> &[u8] {
        self.envelope.body()
    }

    /// See [`Envelope::attempt`].
    pub fn attempt(&self) -> u32 {
        self.envelope.attempt()
    }

    /// See [`Envelope::deaths`].
    pub fn deaths(&self) -> u32 {
        self.envelope.deaths()
    }

    /// See [`Envelope::is_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.envelope.is_cancelled()
    }
}

impl<V> Deref for Job<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V> fmt::Debug for Job<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}
