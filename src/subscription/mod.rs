//! Subscriptions: every subscriber sees every message of a topic.

mod event;
mod futures;
#[cfg(feature = "stream")]
mod stream;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::Engine;
use crate::engine::join::Start;
use crate::engine::subscriber::Subscriber;
use crate::engine::subscriber::Waiting;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::message::names::{validate_subscription, validate_topic};
use crate::options::LONGEST_WAIT;
use crate::store::message::Message;
use crate::sync::Arc;

pub use event::Event;
pub use futures::NextEvent;
#[cfg(feature = "stream")]
pub use stream::Events;

/// A subscription being set up.
///
/// Made by [`Queue::subscribe`](crate::Queue::subscribe); [`SubscriptionBuilder::open`] finishes it.
#[must_use = "finish with `open`"]
pub struct SubscriptionBuilder<T: ?Sized, C = Json> {
    engine: Arc<Engine>,
    topic: crate::Topic<T, C>,
    name: Option<String>,
    start: Start,
    filter: Filter,
}

impl<T: ?Sized, C> fmt::Debug for SubscriptionBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriptionBuilder")
            .field("topic", &self.topic)
            .field("name", &self.name)
            .field("start", &self.start)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> SubscriptionBuilder<T, C> {
    pub(crate) fn new(engine: &Arc<Engine>, topic: crate::Topic<T, C>) -> Self {
        Self {
            engine: Arc::clone(engine),
            topic,
            name: None,
            start: Start::Latest,
            filter: Filter::all(),
        }
    }

    /// Where it begins. Default: [`Start::Latest`]. A durable subscription that has a position goes on there instead.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Only these messages; the others are passed over. Default: [`Filter::all`]. Not kept with a durable subscription: what one
    /// filter passed over does not come back with the next.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Makes the subscription durable: its position is kept under this name, one for each topic, and the next subscription of the
    /// name goes on there. 1 to 120 characters, as a group's name; groups are something else, and know nothing of it.
    ///
    /// The position survives what an acknowledgement survives ([`Delivery::ack`](crate::Delivery::ack)). It is lost when a `RocketMQ`
    /// broker has used the store in between, because a broker's files have no place for it: the subscription then begins where
    /// [`SubscriptionBuilder::start`] says. A queue in memory frees nothing that a name has not seen yet, whether it is open or not.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The subscription.
    ///
    /// The topic is created if the options allow it. With a name, what `start` resolves to is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] if topic or subscription has no acceptable name, [`ErrorKind::NotFound`] if the topic does not
    /// exist and may not be created, [`ErrorKind::Busy`] if a subscription of that name is open, [`ErrorKind::Closed`]; with a name
    /// also [`ErrorKind::Full`] and [`ErrorKind::Poisoned`].
    pub fn open(self) -> Result<Subscription<T, C>> {
        validate_topic(self.topic.name())?;
        if let Some(name) = &self.name {
            validate_subscription(name)?;
        }
        let store = self.engine.store();
        store.check_open()?;
        let topic = store.topic(self.topic.name())?;
        let subscriber =
            self.engine.subscribe(&topic, self.name.as_deref(), self.start, self.filter)?;
        Ok(Subscription { subscriber, ended: false, _engine: self.engine, types: PhantomData })
    }
}

/// Sees every message of a topic, whoever else does: each subscription has a position of its own.
///
/// Messages of one queue come in order. A slow subscriber reads from disk and loses nothing; a queue in memory keeps what it has
/// not seen, up to the memory budget.
///
/// Asking for the next event says that the one before was seen. So a durable subscription
/// ([`SubscriptionBuilder::name`]) sees an event again, after a crash or just after being opened again, if the next one was not asked for.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path();
/// use std::time::Duration;
/// use pocketmq::{Queue, Topic};
///
/// const PRICES: Topic<u64> = Topic::new("prices");
///
/// let queue = Queue::open(path)?;
/// let mut screen = queue.subscribe(PRICES).open()?;                  // from now on, forgotten when it is dropped
/// let mut ledger = queue.subscribe(PRICES).name("ledger").open()?;   // goes on where it was, also in the next process
/// queue.producer(PRICES)?.send_batch([7, 8])?;
/// for subscription in [&mut screen, &mut ledger] {
///     assert_eq!(*subscription.recv(Duration::ZERO)?.unwrap(), 7);
/// }
/// let closer = queue.clone();
/// for price in screen {                                              // sleeps until one arrives
///     println!("{}", price?.value());
///     closer.close()?;                                               // ends it
/// }
///
/// let queue = Queue::open(path)?;
/// let mut ledger = queue.subscribe(PRICES).name("ledger").open()?;
/// assert_eq!(*ledger.recv(Duration::ZERO)?.unwrap(), 7);             // the next one was not asked for
/// assert_eq!(*ledger.recv(Duration::ZERO)?.unwrap(), 8);
/// # queue.close()
/// # }
/// ```
pub struct Subscription<T: ?Sized, C = Json> {
    subscriber: Subscriber,
    /// The iterator has.
    ended: bool,
    /// Dropped after the subscriber, which lets go of its name first.
    _engine: Arc<Engine>,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C> fmt::Debug for Subscription<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", self.subscriber.topic().name())
            .field("name", &self.subscriber.name())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> Subscription<T, C> {
    /// The next event, waiting for it up to `timeout`; `None` when the time is up. Sleeps while it waits, and is woken by the
    /// message's arrival. `Duration::ZERO` does not wait. What a filter passes over is not waiting.
    ///
    /// Counts the event before as seen: the death of the process does not bring it back, a power cut may until the next
    /// flush.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Corrupt`] for a message whose bytes were damaged, and for one whose body does not decode: the codec's word is then
    ///   the [source](std::error::Error::source), and [`Error::offset`] the queue offset. Said once, and the next call goes on behind it.
    /// - [`ErrorKind::Full`] if there is no space to write the position of a durable subscription down. Nothing is passed over: the
    ///   next call tries again.
    /// - [`ErrorKind::Closed`] after the queue was closed.
    /// - [`ErrorKind::Poisoned`] when everything visible was seen of a store that has stopped writing. The position of a durable
    ///   subscription stays where it was when it stopped.
    /// - [`ErrorKind::Io`] if a message cannot be read; the next call tries again.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<Event<C::Owned>>> {
        let shown = self.subscriber.next(Waiting::up_to(timeout))?;
        shown.map(|(message, missed)| self.event(message, missed)).transpose()
    }

    fn event(&mut self, message: Message, missed: u64) -> Result<Event<C::Owned>> {
        match C::decode(message.body()) {
            Ok(value) => Ok(Event::new(value, message, missed)),
            Err(why) => {
                self.subscriber.not_told(&message, missed);
                Err(undecodable(&message).caused_by(why))
            }
        }
    }
}

impl<T: ?Sized, C> Subscription<T, C> {
    /// What an iterator that meets this error says: nothing more comes after a close, and after the store has stopped.
    fn last_word(&mut self, e: Error) -> Option<Error> {
        let closed = e.kind() == ErrorKind::Closed;
        self.ended = closed || e.kind() == ErrorKind::Poisoned;
        (!closed).then_some(e)
    }
}

fn undecodable(message: &Message) -> Error {
    let (topic, queue) = (message.topic(), message.queue());
    let offset = message.queue_offset().get();
    let what = format!("a message of {topic} queue {queue} does not decode");
    Error::new(ErrorKind::Corrupt, what).at_offset(offset)
}

/// Sleeps until the next event. Ends when the queue is closed, and after [`ErrorKind::Poisoned`]: nothing more comes from a store that
/// has stopped.
impl<T: ?Sized, C: Decode<T>> Iterator for Subscription<T, C> {
    type Item = Result<Event<C::Owned>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.recv(LONGEST_WAIT) {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(e) => return self.last_word(e).map(Err),
            }
        }
        None
    }
}
