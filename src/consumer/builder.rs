//! A consumer being set up.

use std::fmt;
use std::time::Duration;

use crate::codec::{Decode, Json};
use crate::engine::Engine;
use crate::engine::dispatch::{Order, Terms};
use crate::engine::join::Seat;
use crate::engine::member::Member;
use crate::error::{Error, Result};
use crate::filter::{Filter, FilterError};
use crate::handler::Push;
use crate::message::names::{validate_group, validate_topic};
use crate::retry::Retry;
use crate::sync::Arc;

use super::ordering::Ordering;
use super::{Consumer, Start};

/// A consumer being set up.
///
/// Made by [`Queue::consumer`](crate::Queue::consumer). [`ConsumerBuilder::pull`] finishes it, or [`ConsumerBuilder::run`] and the
/// like, which hand the messages to a handler as they come.
///
/// Filter, retries, lease, poison guard and order belong to the group: consumers of one group and topic that live at the same time must have
/// the same, and the second one with others fails. They are not stored; each opening of the queue names them again.
#[must_use = "finish with `pull` or `run`"]
pub struct ConsumerBuilder<T: ?Sized, C = Json> {
    engine: Arc<Engine>,
    topic: crate::Topic<T, C>,
    group: String,
    start: Start,
    pub(super) terms: Terms,
    pub(super) ordering: Ordering,
    pub(super) push: Push,
    every: Option<Duration>,
}

impl<T: ?Sized, C> fmt::Debug for ConsumerBuilder<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("topic", &self.topic)
            .field("group", &self.group)
            .field("start", &self.start)
            .field("terms", &self.terms)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized, C: Decode<T>> ConsumerBuilder<T, C> {
    pub(crate) fn new(engine: &Arc<Engine>, topic: crate::Topic<T, C>, group: &str) -> Self {
        Self {
            engine: Arc::clone(engine),
            topic,
            group: group.to_owned(),
            start: Start::default(),
            terms: Terms::default(),
            ordering: Ordering::default(),
            push: Push::default(),
            every: None,
        }
    }

    /// Where the group begins, if it has no progress in this topic yet. Default: [`Start::Earliest`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Which messages the group wants. The others are passed over, and count as done; a group that begins to want them later has to be
    /// moved back ([`Group::seek`](crate::Group::seek)). A message that failed is not filtered again.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.terms.filter = filter;
        self
    }

    /// As [`ConsumerBuilder::filter`], by tag: `"paid || sent"`.
    ///
    /// # Errors
    ///
    /// As [`Filter::tags`].
    pub fn filter_tag(self, tags: &str) -> Result<Self, FilterError> {
        Ok(self.filter(Filter::tags(tags)?))
    }

    /// As [`ConsumerBuilder::filter`], by an expression over the properties: `"cents > 1000 AND region = 'eu'"`.
    ///
    /// # Errors
    ///
    /// As [`Filter::sql`].
    pub fn filter_sql(self, expression: &str) -> Result<Self, FilterError> {
        Ok(self.filter(Filter::sql(expression)?))
    }

    /// When a message that failed is tried again. Default: [`Retry::levels`]; where it holds up others ([`ordered`](Self::ordered),
    /// [`ordered_by_queue`](Self::ordered_by_queue)), first after 1 s, and then as that says.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.terms.retry = Some(retry);
        self
    }

    /// How long a delivery may be held. When the lease ends, it is a failed attempt: the message goes to somebody else at once, and
    /// settling the old delivery is [`ErrorKind::Stale`](crate::ErrorKind::Stale). A handler's message is its own as long as it runs, unless
    /// [`ConsumerBuilder::redeliver_on_timeout`] is asked for. Default: as long as it takes; a delivery that is
    /// dropped gives its message back at once.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.terms.lease = Some(lease);
        self
    }

    /// After how many deaths of the process with a message in somebody's hands that message is set aside, for it may be what kills.
    /// Default: never; deaths are counted all the same ([`Delivery::deaths`](crate::Delivery::deaths)). A worker that starts tells how many are
    /// set aside already ([`WorkerEvent::AlreadySetAside`](crate::WorkerEvent::AlreadySetAside)).
    ///
    /// What is set aside is not received any more; [`Group::set_aside`](crate::Group::set_aside) names it, and
    /// [`Group::retry_set_aside`](crate::Group::retry_set_aside) gives it another chance.
    pub fn poison_guard(mut self, deaths: u32) -> Self {
        self.terms.deaths = deaths;
        self
    }

    /// Short polling: whoever waits for a message looks for one so often, instead of being woken by its arrival. Senders then never pay for
    /// waking anybody, and messages come later, in larger batches. For consumers that ask ([`ConsumerBuilder::pull`]), threads and futures; not
    /// for workers. Default: woken at once.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # use pocketmq::{Queue, Topic};
    /// # const READINGS: Topic<u64> = Topic::new("readings");
    /// use std::time::Duration;
    ///
    /// # let queue = Queue::in_memory()?;
    /// # queue.producer(READINGS)?.send_batch([1, 2])?;
    /// let consumer = queue.consumer(READINGS, "hourly").short_polling(Duration::from_secs(1)).pull()?;
    /// let readings = consumer.recv_batch(10_000, Duration::from_secs(60))?;
    /// # assert_eq!(readings.len(), 2);
    /// # drop(readings);
    /// # queue.close()
    /// # }
    /// ```
    #[doc(alias = "longPollingEnable")]
    pub fn short_polling(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// A consumer that asks for messages.
    ///
    /// The topic is created if the options allow it. What `start` resolves to is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if topic or group is not a name, if a lease, poison guard or number of messages per
    /// key is 0, for short polling without a pause, for a heartbeat time-out of 0 or one without its order, or if consumers of the group live that want something else;
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the topic does not exist and may not be created.
    pub fn pull(self) -> Result<Consumer<T, C>> {
        let (engine, every) = (Arc::clone(&self.engine), self.every);
        if every.is_some_and(|every| every.is_zero()) {
            return Err(Error::invalid("whoever polls all the time keeps a core busy"));
        }
        Ok(Consumer::new(engine, Member::join(self.join()?), every))
    }

    pub(crate) fn terms(mut self, terms: Terms, ordering: Ordering) -> Self {
        self.terms = terms;
        self.ordering = ordering;
        self
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What a worker is to do.
    pub(crate) fn push(&self) -> Result<&Push> {
        if self.every.is_some() {
            return Err(Error::invalid("short polling is for consumers that ask for messages"));
        }
        Ok(&self.push)
    }

    pub(crate) fn join(self) -> Result<Arc<Seat>> {
        validate_topic(self.topic.name())?;
        validate_group(&self.group)?;
        if self.terms.lease.is_some_and(|lease| lease.is_zero()) {
            return Err(Error::invalid("a lease of 0 would be over at once"));
        }
        if self.terms.deaths == 0 {
            return Err(Error::invalid("a poison guard of 0 would set every message aside"));
        }
        if self.terms.order == Order::AtOnce(0) {
            return Err(Error::invalid(
                "no message could ever be received with none of a key at once",
            ));
        }
        self.ordering.check(self.terms.order)?;
        let store = self.engine.store();
        store.check_open()?;
        let topic = store.topic(self.topic.name())?;
        self.engine.join(&self.group, &topic, self.start, Some(self.terms))
    }
}
