//! One worker for several topics.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use crate::Topic;
use crate::codec::Decode;
use crate::consumer::{ConsumerBuilder, Ordering, Start, Strategy};
use crate::engine::Engine;
use crate::engine::dispatch::{Order, Terms};
use crate::error::{Error, Result};
use crate::handler::{Call, Events, HandlerError, Job, Outcome, Push, WorkerEvent};
use crate::message::names::validate_group;
use crate::retry::Retry;
use crate::sync::Arc;

use super::Worker;
use super::builder::{one_by_one, source};
use super::intake::Source;

/// A worker for several topics, being set up: see [`Queue::worker`](crate::Queue::worker).
///
/// What it says of retries, order, leases and poison guard goes for all of them. Filters are one topic's: such a topic has a worker of its
/// own ([`ConsumerBuilder::run`]).
#[must_use = "finish with `run`"]
pub struct WorkerBuilder {
    engine: Arc<Engine>,
    group: String,
    start: Start,
    terms: Terms,
    ordering: Ordering,
    push: Push,
    routes: Vec<Route>,
}

struct Route {
    topic: String,
    source: Joining,
}

/// Takes a group's place in a topic.
type Joining = Box<dyn FnOnce(&WorkerBuilder) -> Result<Source> + Send>;

impl WorkerBuilder {
    pub(crate) fn new(engine: &Arc<Engine>, group: &str) -> Self {
        Self {
            engine: Arc::clone(engine),
            group: group.to_owned(),
            start: Start::default(),
            terms: Terms::default(),
            ordering: Ordering::default(),
            push: Push::default(),
            routes: Vec::new(),
        }
    }

    /// Hands the messages of `topic` to `handler`, as [`ConsumerBuilder::run`] does. They share the worker's threads with those of
    /// the other topics, which take turns.
    pub fn on<T, C, F, R>(mut self, topic: Topic<T, C>, handler: F) -> Self
    where
        T: ?Sized + 'static,
        C: Decode<T> + 'static,
        F: Fn(&Job<C::Owned>) -> Result<R, HandlerError> + Send + Sync + 'static,
        R: Into<Outcome>,
    {
        let name = topic.name().to_owned();
        let handling = one_by_one::<T, C, F, R>(handler);
        let source = move |worker: &Self| {
            let consumer = ConsumerBuilder::new(&worker.engine, topic, &worker.group);
            let consumer = consumer.start(worker.start);
            let seat = consumer.terms(worker.terms.clone(), worker.ordering.clone()).join()?;
            Ok(source(&worker.push, seat, handling, (1, Duration::ZERO)))
        };
        self.routes.push(Route { topic: name, source: Box::new(source) });
        self
    }

    /// Where the group begins in the topics in which it has no progress yet: see [`ConsumerBuilder::start`].
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// When a message that failed is tried again: see [`ConsumerBuilder::retry`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.terms.retry = Some(retry);
        self
    }

    /// First in, first out for each key of each topic: see [`ConsumerBuilder::ordered`].
    pub fn ordered(mut self) -> Self {
        self.terms.order = Order::PerKey;
        self
    }

    /// At most so many messages of one key of a topic at once: see [`ConsumerBuilder::concurrency_per_key`].
    pub fn concurrency_per_key(mut self, most: u32) -> Self {
        self.terms.order = Order::AtOnce(most);
        self
    }

    /// First in, first out for each queue of each topic: see [`ConsumerBuilder::ordered_by_queue`]. In each topic the worker's threads share the
    /// queues among themselves, and with the group's other consumers there. While a thread handles a message of one topic, it gives no sign
    /// of life in the others; there, its queues may go over to other threads meanwhile.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use pocketmq::{Queue, Strategy, Topic};
    ///
    /// const CHANGES: Topic<u64> = Topic::new("changes");
    /// const REMOVALS: Topic<u64> = Topic::new("removals");
    ///
    /// let queue = Queue::options().default_queues(4).in_memory()?;
    /// queue.producer(CHANGES)?.send_batch([1, 2, 3])?;            // a batch goes to one queue
    /// let worker = queue
    ///     .worker("replica")
    ///     .ordered_by_queue()
    ///     .strategy(Strategy::Circle)
    ///     .concurrency(4)
    ///     .on(CHANGES, |change| Ok(println!("change {}", **change)))
    ///     .on(REMOVALS, |removal| Ok(println!("removal {}", **removal)))
    ///     .run()?;
    /// # while worker.stats().handled < 3 { std::thread::yield_now(); }
    /// worker.shutdown(Duration::from_secs(30))?;
    /// # queue.close()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ordered_by_queue(mut self) -> Self {
        self.terms.order = Order::ByQueue;
        self
    }

    /// How those who are ordered by queue share the queues of each topic: see [`ConsumerBuilder::strategy`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.ordering.strategy(&mut self.terms, strategy);
        self
    }

    /// How long one of them may give no sign of life: see [`ConsumerBuilder::heartbeat_timeout`].
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.ordering.heartbeat_timeout(&mut self.terms, timeout);
        self
    }

    /// The lease of the group's messages: see [`ConsumerBuilder::lease`], and [`WorkerBuilder::redeliver_on_timeout`].
    pub fn lease(mut self, lease: Duration) -> Self {
        self.terms.lease = Some(lease);
        self
    }

    /// After how many deaths of the process a message is set aside: see [`ConsumerBuilder::poison_guard`].
    pub fn poison_guard(mut self, deaths: u32) -> Self {
        self.terms.deaths = deaths;
        self
    }

    /// How many handlers run at a time, in all topics together: see [`ConsumerBuilder::concurrency`].
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.push.concurrency = handlers;
        self
    }

    /// How long a handler may take: see [`ConsumerBuilder::handler_timeout`].
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.push.timeout = timeout;
        self
    }

    /// Whether the message of a handler that takes longer goes to somebody else: see [`ConsumerBuilder::redeliver_on_timeout`].
    pub fn redeliver_on_timeout(mut self, redeliver: bool) -> Self {
        self.push.redeliver = redeliver;
        self
    }

    /// Puts `layer` around every handler: see [`ConsumerBuilder::middleware`].
    pub fn middleware<F>(mut self, layer: F) -> Self
    where
        F: Fn(Call<'_>) -> Result<Outcome, HandlerError> + Send + Sync + 'static,
    {
        self.push.layers.push(Arc::new(layer));
        self
    }

    /// Who is told when something goes wrong: see [`ConsumerBuilder::on_event`].
    pub fn on_event(mut self, listener: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.push.events = Events::told_to(listener);
        self
    }

    /// Starts the worker.
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::run`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) also without a topic, and if one is
    /// named twice.
    pub fn run(mut self) -> Result<Worker> {
        self.push.check()?;
        validate_group(&self.group)?;
        let routes = std::mem::take(&mut self.routes);
        if routes.is_empty() {
            return Err(Error::invalid("a worker without a topic would do nothing"));
        }
        let mut names = HashSet::new();
        if let Some(twice) = routes.iter().find(|route| !names.insert(&route.topic)) {
            let why = format!("topic {} has two handlers in one worker", twice.topic);
            return Err(Error::invalid(why));
        }
        let sources: Result<Vec<_>> =
            routes.into_iter().map(|route| (route.source)(&self)).collect();
        Worker::start(&self.engine, &self.group, self.push, sources?)
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics: Vec<_> = self.routes.iter().map(|route| &route.topic).collect();
        f.debug_struct("WorkerBuilder")
            .field("group", &self.group)
            .field("topics", &topics)
            .field("push", &self.push)
            .finish_non_exhaustive()
    }
}
