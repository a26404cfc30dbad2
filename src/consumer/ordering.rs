//! In which order a group's messages are received.

use std::time::Duration;

use crate::codec::Decode;
use crate::engine::dispatch::{Order, Strategy, Terms};
use crate::error::{Error, Result};
use crate::options::LONGEST_WAIT;

use super::ConsumerBuilder;

/// What was asked for that goes with one order only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ordering {
    of_queues: Option<&'static str>,
    no_heartbeat: bool,
}

impl Ordering {
    pub(crate) fn strategy(&mut self, terms: &mut Terms, strategy: Strategy) {
        terms.strategy = strategy;
        self.of_queues = Some("strategy");
    }

    pub(crate) fn heartbeat_timeout(&mut self, terms: &mut Terms, timeout: Duration) {
        terms.heartbeat = timeout.min(LONGEST_WAIT);
        self.no_heartbeat = timeout.is_zero();
        self.of_queues = Some("heartbeat time-out");
    }

    pub(super) fn check(&self, order: Order) -> Result<()> {
        if self.no_heartbeat {
            return Err(Error::invalid("with a heartbeat time-out of 0 everybody is dead at once"));
        }
        match self.of_queues.filter(|_| order != Order::ByQueue) {
            None => Ok(()),
            Some(what) => {
                let why = format!("a {what} is for consumers that are ordered by queue");
                Err(Error::invalid(why))
            }
        }
    }
}

/// Order. Of these the one named last goes.
impl<T: ?Sized, C: Decode<T>> ConsumerBuilder<T, C> {
    /// First in, first out for each [`order_by`](crate::MessageBuilder::order_by) key, however many consumers the group has: while a message
    /// is in somebody's hands, or failed and waits, no other one of its key is received. Other keys go on, and messages without a key run
    /// free. A message that is set aside lets those behind it pass. Kept over restarts and crashes; a message may be received twice, but
    /// never after a later one of its key was acknowledged.
    ///
    /// A message that fails holds up its key: for 1 s the first time, then for as long as [`Retry::levels`](crate::Retry::levels) says, unless the group has a
    /// [`retry`](Self::retry) of its own, or the wait is said as it fails.
    ///
    /// At most 10 000 messages of a queue are read ahead past blocked keys; when these are full, nothing more of the queue is received until some of them
    /// are, and workers are told ([`WorkerEvent::ReadAheadFull`](crate::WorkerEvent::ReadAheadFull)). Moving the group ([`Group::seek`](crate::Group::seek)) leaves what
    /// waits for another attempt out of the order.
    pub fn ordered(mut self) -> Self {
        self.terms.order = Order::PerKey;
        self
    }

    /// At most so many messages of one [`order_by`](crate::MessageBuilder::order_by) key are in consumers' hands at once. One that failed
    /// may be overtaken: for first in, first out see [`ConsumerBuilder::ordered`]. A key that has as many keeps none of the others waiting, unless
    /// 10 000 messages of a queue have been read ahead: then nothing more of the queue is received until some of those are, whatever its key, and workers
    /// are told ([`WorkerEvent::ReadAheadFull`](crate::WorkerEvent::ReadAheadFull)).
    pub fn concurrency_per_key(mut self, most: u32) -> Self {
        self.terms.order = Order::AtOnce(most);
        self
    }

    /// First in, first out for each queue of the topic: one consumer at a time has a queue, and no message of it is received while an earlier one
    /// is in hand, or failed and waits: the queue waits, others go on. A message that is set aside lets those behind it pass. Kept over restarts
    /// and crashes; a message may be received twice, but never after a later one of its queue was acknowledged, unless its consumer
    /// does so within a batch.
    ///
    /// - **Who has which queue** is decided anew, by the [`strategy`](Self::strategy), whenever a consumer joins, is dropped, is paused, or is
    ///   taken for dead. Each [`pull`](Self::pull), each clone of a consumer, and each thread of a worker is a consumer of its own; a future of
    ///   [`run_async`](Self::run_async) is one, and handles as many of its queues at once as its concurrency allows.
    ///   [`Consumer::queues`](crate::Consumer::queues) says which are its. More consumers than queues: some have nothing to do, and a topic has
    ///   one queue unless [`Options::default_queues`](crate::Options::default_queues) says otherwise.
    /// - **A queue that moves** while messages of it are in hand goes to its new owner as soon as these are settled or dropped. A consumer that is
    ///   dropped before its deliveries has time to settle them as long as it would count as alive.
    /// - **Signs of life**: asking for messages (as long as it waits), settling and extending. A consumer that gives none for the
    ///   [`heartbeat_timeout`](Self::heartbeat_timeout) loses its queues to the others as soon as one of them asks; its deliveries are void
    ///   ([`ErrorKind::Stale`](crate::ErrorKind::Stale)) and come again in order, without an attempt used. When it asks again, it is back. A handler
    ///   counts as alive until its [`handler_timeout`](Self::handler_timeout); after that its queues go to others, though it still runs, and for
    ///   the messages that it is at this was a failed attempt: they are tried again as the group's [`retry`](Self::retry) says, and set aside
    ///   after the last one.
    /// - **A batch** ([`Consumer::recv_batch`](crate::Consumer::recv_batch)) may hold several messages of a queue, in order. If one of them fails, is
    ///   put off or dropped, those behind it are taken back: settling them is [`ErrorKind::Stale`](crate::ErrorKind::Stale), and they come again after it.
    ///
    /// Moving the group ([`Group::seek`](crate::Group::seek)) leaves what waits for another attempt out of the order.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// use std::time::Duration;
    /// use pocketmq::{Queue, Strategy, Topic};
    ///
    /// const CHANGES: Topic<u64> = Topic::new("changes");
    ///
    /// let queue = Queue::options().default_queues(4).in_memory()?;
    /// queue.producer(CHANGES)?.send_batch([1, 2, 3])?;            // a batch goes to one queue
    /// let replica = queue.consumer(CHANGES, "replica").ordered_by_queue().strategy(Strategy::Circle);
    /// let replica = replica.pull()?;
    /// let all = replica.queues().len();
    /// let first = replica.recv(Duration::ZERO)?.expect("it is there");
    /// assert!(replica.recv(Duration::ZERO)?.is_none());            // not before the first one is settled
    /// first.ack()?;
    /// assert_eq!(*replica.recv(Duration::ZERO)?.expect("its turn has come"), 2);
    ///
    /// let other = replica.clone();                                 // they share the queues from now on
    /// assert_eq!(replica.queues().len() + other.queues().len(), all);
    /// # drop((replica, other));
    /// # queue.close()
    /// # }
    /// ```
    #[doc(alias = "MessageListenerOrderly")]
    pub fn ordered_by_queue(mut self) -> Self {
        self.terms.order = Order::ByQueue;
        self
    }

    /// How consumers that are [ordered by queue](Self::ordered_by_queue) share the queues. Default: [`Strategy::Average`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.ordering.strategy(&mut self.terms, strategy);
        self
    }

    /// How long a consumer that is [ordered by queue](Self::ordered_by_queue) may give no sign of life before the others get its queues. Default:
    /// 30 s ([`DEFAULT_HEARTBEAT_TIMEOUT`](crate::DEFAULT_HEARTBEAT_TIMEOUT)).
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.ordering.heartbeat_timeout(&mut self.terms, timeout);
        self
    }
}
