//! Consumers: typed handles that receive a topic's messages for a group.

mod builder;
mod delivery;
mod futures;
mod ordering;
mod push;
#[cfg(feature = "stream")]
mod stream;

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::Engine;
use crate::engine::dispatch::Wait;
use crate::engine::member::Member;
use crate::error::{ErrorKind, Result};
use crate::id::QueueId;
use crate::options::LONGEST_WAIT;
use crate::sync::Arc;

pub(crate) use delivery::{Handle, Overtaking};
pub(crate) use ordering::Ordering;

pub use crate::engine::dispatch::{DEFAULT_HEARTBEAT_TIMEOUT, Strategy};
pub use crate::engine::join::Start;
pub use builder::ConsumerBuilder;
pub use delivery::Delivery;
pub use futures::{Recv, RecvBatch};
#[cfg(feature = "stream")]
pub use stream::Deliveries;

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
    member: Arc<Member>,
    /// Short polling.
    every: Option<Duration>,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C> Clone for Consumer<T, C> {
    fn clone(&self) -> Self {
        let member = Member::another(&self.member);
        let (engine, every) = (Arc::clone(&self.engine), self.every);
        Self { engine, member, every, types: PhantomData }
    }
}

impl<T: ?Sized, C> fmt::Debug for Consumer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("topic", self.member.topic().name())
            .field("group", self.member.group())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> Consumer<T, C> {
    pub(crate) fn new(engine: Arc<Engine>, member: Member, every: Option<Duration>) -> Self {
        Self { engine, member: Arc::new(member), every, types: PhantomData }
    }

    /// Receives one message, waiting for it up to `timeout`; `None` when the time is up. Sleeps while it waits, and is woken
    /// by the message's arrival. `Duration::ZERO` does not wait.
    ///
    /// A message whose body does not decode is a failed attempt: it is passed over and tried again later, as the group's
    /// [`Retry`](crate::Retry) says.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Corrupt`] for a message whose bytes were damaged: said once for each, and the
    ///   next call goes on behind it. It stays unacknowledged, so it is said again after the next open.
    /// - [`ErrorKind::Closed`] after the queue was closed.
    /// - [`ErrorKind::Poisoned`] when everything visible was received from a store that has
    ///   stopped writing.
    pub fn recv(&self, timeout: Duration) -> Result<Option<Delivery<C::Owned>>> {
        let mut wait = Wait::up_to(timeout).looking_every(self.every);
        loop {
            let mut taken = None;
            let seat = self.member.seat();
            let mut put = |message, held| taken = Some(Handle::new(message, held, seat));
            self.member.take(1, &mut wait, &mut put)?;
            let Some(handle) = taken else { return Ok(None) };
            let delivery = decoded_one::<T, C>(handle).unwrap_or_else(|panic| resume_unwind(panic));
            if let Some(delivery) = delivery? {
                return Ok(Some(delivery));
            }
        }
    }

    /// Receives up to `max` messages: waits up to `timeout` for the first, and takes what else is there without waiting.
    ///
    /// # Errors
    ///
    /// As [`Consumer::recv`].
    pub fn recv_batch(&self, max: usize, timeout: Duration) -> Result<Vec<Delivery<C::Owned>>> {
        let mut wait = Wait::up_to(timeout).looking_every(self.every);
        let mut deliveries = Vec::new();
        while deliveries.is_empty() && max > 0 {
            let mut handles = Vec::new();
            let seat = self.member.seat();
            let mut put = |message, held| handles.push(Handle::new(message, held, seat));
            if self.member.take(max, &mut wait, &mut put)? == 0 {
                break;
            }
            deliveries = decoded::<T, C>(handles)?;
        }
        Ok(deliveries)
    }

    /// Receives messages for ever: each step is [`Consumer::recv`] without a time-out. Ends when the queue is closed, and after
    /// [`ErrorKind::Poisoned`]: nothing more comes from a store that has stopped.
    pub fn iter(&self) -> impl Iterator<Item = Result<Delivery<C::Owned>>> {
        let mut stopped = false;
        let next = move || {
            while !stopped {
                match self.recv(LONGEST_WAIT) {
                    Ok(Some(delivery)) => return Some(Ok(delivery)),
                    Ok(None) => {}
                    Err(e) => {
                        let closed = e.kind() == ErrorKind::Closed;
                        stopped = closed || e.kind() == ErrorKind::Poisoned;
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
        delivery::ack_all(self.member.seat(), deliveries)
    }

    /// The queues that it receives from at the moment: its share in a group that is [ordered by
    /// queue](ConsumerBuilder::ordered_by_queue), which changes when others join and leave; otherwise all, like every consumer of the group.
    pub fn queues(&self) -> Vec<QueueId> {
        self.member.queues().into_iter().map(QueueId::new).collect()
    }
}

/// Those whose body decodes. The others are failed attempts; their bytes stay as they are. A codec that panics fails the message that it
/// panics at; the panic goes on when the others are given back.
fn decoded<T: ?Sized, C: Decode<T>>(handles: Vec<Handle>) -> Result<Vec<Delivery<C::Owned>>> {
    let mut handles = handles.into_iter();
    let mut deliveries = Vec::with_capacity(handles.len());
    let mut overtaking = Overtaking::default();
    while let Some(handle) = handles.next() {
        if overtaking.has(&handle) {
            continue;
        }
        let takes_back = handle.takes_back();
        match decoded_one::<T, C>(handle) {
            Ok(delivery) => match delivery? {
                Some(delivery) => deliveries.push(delivery),
                None => overtaking.failed(takes_back),
            },
            Err(panic) => {
                handles.for_each(drop);
                drop(deliveries);
                resume_unwind(panic);
            }
        }
    }
    Ok(deliveries)
}

/// `None` if the body does not decode. The outer error: the codec panicked.
fn decoded_one<T: ?Sized, C: Decode<T>>(
    handle: Handle,
) -> thread::Result<Result<Option<Delivery<C::Owned>>>> {
    match catch_unwind(AssertUnwindSafe(|| C::decode(handle.body()))) {
        Ok(Ok(value)) => Ok(Ok(Some(Delivery::new(value, handle)))),
        Ok(Err(_)) => Ok(undecodable(handle).map(|()| None)),
        Err(panic) => {
            let _ = undecodable(handle);
            Err(panic)
        }
    }
}

fn undecodable(handle: Handle) -> Result<()> {
    match handle.fail(None) {
        // Somebody else has it by now.
        Err(e) if e.kind() == ErrorKind::Stale => Ok(()),
        other => other,
    }
}
