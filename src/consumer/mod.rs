//! Consumers: typed handles that receive a topic's messages for a group.

mod delivery;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::Engine;
use crate::engine::dispatch::{Dispatch, Wait};
use crate::error::Result;
use crate::message::names::validate_group;
use crate::options::LONGEST_WAIT;
use crate::sync::Arc;

use delivery::Handle;

pub use crate::engine::join::Start;
pub use delivery::Delivery;

/// A consumer being set up.
///
/// Made by [`Queue::consumer`](crate::Queue::consumer); [`ConsumerBuilder::pull`] finishes it.
#[must_use = "finish with `pull`"]
pub struct ConsumerBuilder<T: ?Sized, C = Json> {
    engine: Arc<Engine>,
    topic: crate::Topic<T, C>,
    group: String,
    start: Start,
}

impl<T: ?Sized, C> fmt::Debug for ConsumerBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("topic", &self.topic)
            .field("group", &self.group)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> ConsumerBuilder<T, C> {
    pub(crate) fn new(engine: &Arc<Engine>, topic: crate::Topic<T, C>, group: &str) -> Self {
        Self { engine: Arc::clone(engine), topic, group: group.to_owned(), start: Start::default() }
    }

    /// Where the group begins, if it has no progress in this topic yet. Default: [`Start::Earliest`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// A consumer that asks for messages.
    ///
    /// The topic is created if the options allow it. What `start` resolves to is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if topic or group is not a name,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the topic does not exist and may not be created.
    pub fn pull(self) -> Result<Consumer<T, C>> {
        crate::message::names::validate_topic(self.topic.name())?;
        validate_group(&self.group)?;
        let store = self.engine.store();
        store.check_open()?;
        let topic = store.topic(self.topic.name())?;
        let dispatch = self.engine.join(&self.group, &topic, self.start)?;
        Ok(Consumer { engine: Arc::clone(&self.engine), dispatch, types: PhantomData })
    }
}

/// Receives the messages of one topic for one group.
///
/// All consumers of a group share its messages: each goes to one of them, whatever queue it is in. Make as many as you like,
/// or clone one for another thread.
///
/// A message that was received and is dropped without [`Delivery::ack`] is received again, by whoever asks next. After a
/// crash everything that was not acknowledged is received again: delivery is *at least once*.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use std::time::Duration;
/// use pocketmq::{Queue, Topic};
///
/// const NAMES: Topic<String> = Topic::new("names");
///
/// let queue = Queue::open(dir.path())?;
/// queue.producer(NAMES)?.send(&"Ada".to_owned())?;
/// let consumer = queue.consumer(NAMES, "greeter").pull()?;
/// while let Some(name) = consumer.recv(Duration::from_millis(10))? {
///     println!("Hello, {}", *name);
///     name.ack()?;
/// }
/// # queue.close()
/// # }
/// ```
pub struct Consumer<T: ?Sized, C = Json> {
    engine: Arc<Engine>,
    dispatch: Arc<Dispatch>,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C> Clone for Consumer<T, C> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            dispatch: Arc::clone(&self.dispatch),
            types: PhantomData,
        }
    }
}

impl<T: ?Sized, C> fmt::Debug for Consumer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("topic", self.dispatch.topic().name())
            .field("group", self.dispatch.group())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> Consumer<T, C> {
    /// Receives one message, waiting for it up to `timeout`; `None` when the time is up. Sleeps while it waits, and is woken
    /// by the message's arrival. `Duration::ZERO` does not wait.
    ///
    /// A message whose body does not decode is passed over and tried again later (after 10 s, 30 s, 1 min … 2 h);
    /// [`Queue::stats`](crate::Queue::stats) counts those that wait.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a message whose bytes were damaged: said once for each, and the
    ///   next call goes on behind it. It stays unacknowledged, so it is said again after the next open.
    /// - [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the queue was closed.
    /// - [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned) when everything visible was received from a store that has
    ///   stopped writing.
    pub fn recv(&self, timeout: Duration) -> Result<Option<Delivery<C::Owned>>> {
        let mut wait = Wait::up_to(timeout.min(LONGEST_WAIT));
        loop {
            let mut taken = None;
            let mut put =
                |message, epoch| taken = Some(Handle::new(message, epoch, &self.dispatch));
            self.dispatch.take(1, &mut wait, &mut put)?;
            let Some(handle) = taken else { return Ok(None) };
            match C::decode(handle.body()) {
                Ok(value) => return Ok(Some(Delivery::new(value, handle))),
                Err(_) => handle.park(),
            }
        }
    }

    /// Receives up to `max` messages: waits up to `timeout` for the first, and takes what else is there without waiting.
    ///
    /// # Errors
    ///
    /// As [`Consumer::recv`].
    pub fn recv_batch(&self, max: usize, timeout: Duration) -> Result<Vec<Delivery<C::Owned>>> {
        let mut wait = Wait::up_to(timeout.min(LONGEST_WAIT));
        let mut deliveries = Vec::new();
        while deliveries.is_empty() && max > 0 {
            // All of them first: a codec that panics must not strand those behind.
            let mut handles = Vec::new();
            let mut put =
                |message, epoch| handles.push(Handle::new(message, epoch, &self.dispatch));
            if self.dispatch.take(max, &mut wait, &mut put)? == 0 {
                break;
            }
            deliveries.reserve(handles.len());
            for handle in handles {
                match C::decode(handle.body()) {
                    Ok(value) => deliveries.push(Delivery::new(value, handle)),
                    Err(_) => handle.park(),
                }
            }
        }
        Ok(deliveries)
    }

    /// Receives messages for ever: each step is [`Consumer::recv`] without a time-out. Ends when the queue is closed, and after
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned): nothing more comes from a store that has stopped.
    pub fn iter(&self) -> impl Iterator<Item = Result<Delivery<C::Owned>>> {
        let mut stopped = false;
        let next = move || {
            while !stopped {
                match self.recv(LONGEST_WAIT) {
                    Ok(Some(delivery)) => return Some(Ok(delivery)),
                    Ok(None) => {}
                    Err(e) => {
                        let closed = e.kind() == crate::ErrorKind::Closed;
                        stopped = closed || e.kind() == crate::ErrorKind::Poisoned;
                        return (!closed).then_some(Err(e));
                    }
                }
            }
            None
        };
        std::iter::from_fn(next)
    }

    /// Acknowledges many deliveries at once: one entry for each run of consecutive messages.
    ///
    /// # Errors
    ///
    /// As [`Delivery::ack`]; those not acknowledged are received again.
    pub fn ack_all(&self, deliveries: impl IntoIterator<Item = Delivery<C::Owned>>) -> Result<()> {
        delivery::ack_all(&self.dispatch, deliveries)
    }
}
