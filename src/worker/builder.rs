//! Finishing a consumer with a handler.

use std::time::Duration;

use crate::codec::Decode;
use crate::consumer::ConsumerBuilder;
use crate::engine::join::Seat;
use crate::error::{Error, Result};
use crate::handler::{HandlerError, Job, Outcome, Push};
use crate::sync::Arc;

use super::Worker;
use super::handling::{Handling, Said, handling};
use super::intake::Source;

impl<T: ?Sized + 'static, C: Decode<T> + 'static> ConsumerBuilder<T, C> {
    /// Runs `handler` for each message, on threads of its own: as many as the [`concurrency`](ConsumerBuilder::concurrency) says.
    ///
    /// What it returns settles the message. `Ok(())` and [`Outcome::Done`]: it is done. An error, from `?` or a string, or a panic: the
    /// attempt failed, and the next one comes as the group's [`Retry`](crate::Retry) says, or after the wait that the error carries
    /// ([`OrFail`](crate::OrFail)). [`Outcome::Snooze`]: it comes again later, and no attempt is used.
    ///
    /// The threads sleep while there is nothing to do. Everything that is missing, taken or wrong is an error here, not later.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use pocketmq::{OrFail, Outcome, Queue, Topic};
    ///
    /// const ORDERS: Topic<u64> = Topic::new("orders");
    ///
    /// fn mail(order: u64) -> std::io::Result<()> { Ok(()) }
    ///
    /// let queue = Queue::in_memory()?;
    /// queue.producer(ORDERS)?.send_batch([1, 2, 3])?;
    /// let worker = queue.consumer(ORDERS, "mailer").concurrency(4).run(|order| {
    ///     if **order == 0 {
    ///         return Ok(Outcome::Snooze(Duration::from_secs(60)));
    ///     }
    ///     mail(**order).or_retry_after(Duration::from_secs(30))?;
    ///     Ok(Outcome::Done)
    /// })?;
    /// # while worker.stats().handled < 3 { std::thread::yield_now(); }
    /// let report = worker.shutdown(Duration::from_secs(30))?;
    /// assert!(report.unfinished.is_empty());
    /// queue.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::pull`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) also for a concurrency or handler timeout
    /// of 0, [`ErrorKind::Io`](crate::ErrorKind::Io) and [`ErrorKind::Full`](crate::ErrorKind::Full) if a thread cannot be started.
    pub fn run<F, R>(self, handler: F) -> Result<Worker>
    where
        F: Fn(&Job<C::Owned>) -> Result<R, HandlerError> + Send + Sync + 'static,
        R: Into<Outcome>,
    {
        self.begin(one_by_one::<T, C, F, R>(handler), 1, Duration::ZERO)
    }

    /// As [`ConsumerBuilder::run`], with up to `max` messages at a time: those that come within `linger` of the first. What `handler`
    /// returns goes for all of them.
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::run`]; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) also for batches of at most 0.
    pub fn run_batch<F, R>(self, max: usize, linger: Duration, handler: F) -> Result<Worker>
    where
        F: Fn(&[Job<C::Owned>]) -> Result<R, HandlerError> + Send + Sync + 'static,
        R: Into<Outcome>,
    {
        let all = move |jobs: &[Job<C::Owned>]| Said::Same(handler(jobs).map(Into::into));
        self.begin(handling::<T, C, _>(all), max, linger)
    }

    /// As [`ConsumerBuilder::run_batch`], with an outcome for each message, in their order. A message without one is a failed attempt.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let queue = pocketmq::Queue::in_memory()?;
    /// # const ORDERS: pocketmq::Topic<u64> = pocketmq::Topic::new("orders");
    /// # queue.producer(ORDERS)?.send_batch([1, 2, 3])?;
    /// use std::time::Duration;
    ///
    /// let worker = queue.consumer(ORDERS, "index").run_batch_each(500, Duration::from_millis(100), |orders| {
    ///     orders.iter().map(|order| if **order == 2 { Err("not this one".into()) } else { Ok(()) }).collect()
    /// })?;
    /// # while worker.stats().handled < 2 { std::thread::yield_now(); }
    /// # worker.shutdown(Duration::from_secs(30))?;
    /// # queue.close()
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ConsumerBuilder::run_batch`].
    pub fn run_batch_each<F, R>(self, max: usize, linger: Duration, handler: F) -> Result<Worker>
    where
        F: Fn(&[Job<C::Owned>]) -> Vec<Result<R, HandlerError>> + Send + Sync + 'static,
        R: Into<Outcome>,
    {
        let each = move |jobs: &[Job<C::Owned>]| {
            Said::Each(handler(jobs).into_iter().map(|said| said.map(Into::into)).collect())
        };
        self.begin(handling::<T, C, _>(each), max, linger)
    }

    fn begin(self, handling: Handling, max: usize, linger: Duration) -> Result<Worker> {
        if max == 0 {
            return Err(Error::invalid("a batch of at most 0 messages would never come"));
        }
        let (engine, push) = (Arc::clone(self.engine()), self.push()?.clone());
        push.check()?;
        let seat = self.join()?;
        let group = seat.group().to_string();
        let source = source(&push, seat, handling, (max, linger));
        Worker::start(&engine, &group, push, vec![source])
    }
}

/// One message at a time.
pub(super) fn one_by_one<T, C, F, R>(handler: F) -> Handling
where
    T: ?Sized + 'static,
    C: Decode<T> + 'static,
    F: Fn(&Job<C::Owned>) -> Result<R, HandlerError> + Send + Sync + 'static,
    R: Into<Outcome>,
{
    handling::<T, C, _>(move |jobs: &[Job<C::Owned>]| {
        let said = jobs.first().map(|job| handler(job).map(Into::into));
        said.map_or_else(|| Said::Each(Vec::new()), Said::Same)
    })
}

/// A handler holds a message as long as it runs; where it may be taken from it, that is as the group's lease says, or else after the
/// handler timeout.
pub(super) fn source(
    push: &Push,
    seat: Arc<Seat>,
    handling: Handling,
    (max, linger): (usize, Duration),
) -> Source {
    let hold = match (push.redeliver, seat.terms().lease) {
        (true, None) => Some(push.timeout.saturating_add(linger)),
        (false, Some(_)) => Some(Duration::MAX),
        (true, Some(_)) | (false, None) => None,
    };
    Source { seat, max, linger, hold, patience: push.timeout, handling }
}
