//! How a consumer's handlers are to be run.

use std::time::Duration;

use crate::codec::Decode;
use crate::handler::{Call, Events, HandlerError, Outcome, WorkerEvent};
use crate::sync::Arc;

use super::ConsumerBuilder;

/// For consumers that are given the messages; one that asks for them ([`ConsumerBuilder::pull`]) has no use for these.
impl<T: ?Sized, C: Decode<T>> ConsumerBuilder<T, C> {
    /// How many handlers run at a time. Default: 1.
    ///
    /// Nothing is fetched beyond what they take: so many messages are in the group's hands at most, or so many batches of
    /// [`run_batch`](Self::run_batch).
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.push.concurrency = handlers;
        self
    }

    /// How long a handler may take. One that takes longer is told to give up ([`Job::is_cancelled`](crate::Job::is_cancelled)), and reported once
    /// ([`WorkerEvent::TimedOut`]); its message is not handled a second time beside it, and what it returns in the end counts. Not so in a group
    /// that is [ordered by queue](Self::ordered_by_queue) where another thread or consumer waits: that one gets the queue, so that it does not
    /// stand still, the attempt has failed, and what the handler returns is [`ErrorKind::Stale`](crate::ErrorKind::Stale). Default: 15 minutes
    /// ([`DEFAULT_HANDLER_TIMEOUT`](crate::DEFAULT_HANDLER_TIMEOUT)).
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.push.timeout = timeout;
        self
    }

    /// Whether the message of a handler that takes too long goes to somebody else, beside it: a failed attempt, and what the handler
    /// returns in the end is [`ErrorKind::Stale`](crate::ErrorKind::Stale). It takes too long after the [`lease`](ConsumerBuilder::lease), or where none is
    /// given, after the handler timeout. Default: no, and the lease does not apply to handlers: a message is theirs as long as they run.
    pub fn redeliver_on_timeout(mut self, redeliver: bool) -> Self {
        self.push.redeliver = redeliver;
        self
    }

    /// Puts `layer` around the handler: it runs [`Call::run`], or decides by itself. The first one given is the outermost. If it
    /// panics, the handler does.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let queue = pocketmq::Queue::in_memory()?;
    /// # const ORDERS: pocketmq::Topic<u64> = pocketmq::Topic::new("orders");
    /// use std::time::Duration;
    /// use pocketmq::Outcome;
    ///
    /// let worker = queue.consumer(ORDERS, "mailer")
    ///     .middleware(|call| {
    ///         if call.jobs().iter().any(|job| job.message().tag() == Some("later")) {
    ///             return Ok(Outcome::Snooze(Duration::from_secs(60)));
    ///         }
    ///         call.run()
    ///     })
    ///     .run(|order| { println!("{}", **order); Ok(()) })?;
    /// # worker.shutdown(Duration::from_secs(10))?;
    /// # queue.close()
    /// # }
    /// ```
    pub fn middleware<F>(mut self, layer: F) -> Self
    where
        F: Fn(Call<'_>) -> Result<Outcome, HandlerError> + Send + Sync + 'static,
    {
        self.push.layers.push(Arc::new(layer));
        self
    }

    /// Who is told when something goes wrong. It runs on the worker's threads: whatever it waits for, they wait for. What concerns the group, such as a
    /// lease that ends, is told by whichever of its consumers notices it.
    pub fn on_event(mut self, listener: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.push.events = Events::told_to(listener);
        self
    }
}
