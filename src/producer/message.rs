//! A message with more than a body.

use std::fmt;

use crate::codec::{Encode, Json};
use crate::error::{Error, ErrorKind, Result};
use crate::message::properties;
use crate::message::{QueueId, Receipt};
use crate::options::Flush;

use super::encode::Extras;
use super::{Producer, Ticket};

/// A message being put together: key, tag, properties, queue, order, flush level.
///
/// Sending does not use it up: after an error (or on purpose) it can be sent again.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # use pocketmq::{Queue, Topic};
/// # const ORDERS: Topic<u64> = Topic::new("orders");
/// # let queue = Queue::open(dir.path())?;
/// let orders = queue.producer(ORDERS)?;
/// orders.message(&7).key("order-7").tag("eu").property("cents", 1999).send()?;
/// orders.message(&8).order_by("customer-3").send()?;
/// # queue.close()
/// # }
/// ```
#[must_use = "a message is sent by `send`, `submit` or `send_one_way`"]
pub struct MessageBuilder<'a, T: ?Sized, C = Json> {
    producer: &'a Producer<T, C>,
    value: &'a T,
    extras: Extras,
    /// The first thing that was wrong; said when the message is sent.
    invalid: Option<(ErrorKind, String)>,
}

impl<T: ?Sized, C> fmt::Debug for MessageBuilder<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBuilder")
            .field("topic", &self.producer.topic())
            .field("queue", &self.extras.queue)
            .field("flush", &self.extras.flush)
            .finish_non_exhaustive()
    }
}

impl<'a, T: ?Sized, C> MessageBuilder<'a, T, C> {
    pub(super) fn new(producer: &'a Producer<T, C>, value: &'a T) -> Self {
        Self { producer, value, extras: Extras::NONE, invalid: None }
    }

    fn check(&mut self, checked: Result<()>) {
        if let Err(e) = checked {
            self.invalid.get_or_insert_with(|| (e.kind(), e.to_string()));
        }
    }

    /// Adds a business key (RocketMQ's `KEYS`); may be called several times. Without spaces.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        self.check(properties::validate_key(key));
        self.extras.keys.push(key.to_owned());
        self
    }

    /// Sets the tag (RocketMQ's `TAGS`), which consumers can filter by.
    pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
        let tag = tag.as_ref();
        self.check(properties::validate_tag(tag));
        self.extras.tag = Some(tag.to_owned());
        self
    }

    /// Adds a property. The last value of a name counts. Names that RocketMQ uses itself are refused; all properties of a
    /// message together may have 32 767 bytes, less the 20 of the record checksum.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that a number or a `format!` can be given"
    )]
    pub fn property(mut self, name: &str, value: impl ToString) -> Self {
        let value = value.to_string();
        self.check(properties::validate(name, &value));
        properties::push(&mut self.extras.block, name, &value);
        self
    }

    /// Chooses the queue.
    pub fn queue(mut self, queue: impl Into<QueueId>) -> Self {
        self.extras.queue = Some(queue.into());
        self
    }

    /// Messages with the same key go to the same queue, in the order they are sent (RocketMQ's sharding key).
    #[doc(alias = "sharding_key")]
    pub fn order_by(mut self, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        self.check(properties::validate_value("order key", key));
        self.extras.order_key = Some(key.to_owned());
        self
    }

    /// Delays the message by one of RocketMQ's levels: consumers get it that much later. 0 is none; 1 to 18 are 1 s, 5 s, 10 s, 30 s, 1 to 10
    /// min, 20 min, 30 min, 1 h, 2 h ([`Options::delay_levels`](crate::Options::delay_levels) changes them); a level above the last counts as the
    /// last, as with a broker.
    ///
    /// Messages of one level come in the order in which they were sent, never before their time by the wall clock: if that is set back, they
    /// come later by as much, and if it is set forward, sooner. Each is delivered once, also over a kill. What is delivered keeps the id of the
    /// [`Receipt`], which says where the message waits meanwhile.
    ///
    /// ```
    /// # fn main() -> pocketmq::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # use pocketmq::{Queue, Topic};
    /// # const ORDERS: Topic<u64> = Topic::new("orders");
    /// # let queue = Queue::open(dir.path())?;
    /// let orders = queue.producer(ORDERS)?;
    /// orders.message(&7).key("order-7").delay_level(3).send()?;      // in 10 seconds
    /// # queue.close()
    /// # }
    /// ```
    ///
    /// Sending fails with [`ErrorKind::InvalidArgument`] if the message is also ordered ([`MessageBuilder::order_by`]): what waits is passed by
    /// what does not.
    pub fn delay_level(mut self, level: u32) -> Self {
        self.extras.delay_level = level;
        self
    }

    /// A number for the application's own use (RocketMQ's `flag`).
    pub fn flag(mut self, flag: i32) -> Self {
        self.extras.flag = flag;
        self
    }

    /// The flush level of this message alone. A stronger one than the store's waits longer. A weaker one only skips the wait:
    /// consumers still see the message when it is durable.
    pub fn flush(mut self, flush: Flush) -> Self {
        self.extras.flush = Some(flush);
        self
    }
}

impl<T: ?Sized, C: Encode<T>> MessageBuilder<'_, T, C> {
    /// Sends the message: see [`Producer::send`]. On an error the message is still here, to be sent again.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and [`ErrorKind::InvalidArgument`] if a key, tag or property
    /// is not acceptable, or the message is ordered and delayed.
    pub fn send(&self) -> Result<Receipt> {
        self.valid()?;
        self.producer.send_with(self.value, &self.extras)
    }

    /// Sends the message without waiting for the disk: see [`Producer::submit`].
    ///
    /// # Errors
    ///
    /// As [`MessageBuilder::send`] and [`Producer::submit`].
    pub fn submit(&self) -> Result<Ticket> {
        self.valid()?;
        self.producer.submit_with(self.value, &self.extras, true)
    }

    /// Sends the message and waits for nothing: see [`Producer::send_one_way`].
    ///
    /// # Errors
    ///
    /// As [`MessageBuilder::send`] and [`Producer::send_one_way`].
    pub fn send_one_way(&self) -> Result<()> {
        self.valid()?;
        self.producer.submit_with(self.value, &self.extras, false).map(drop)
    }

    fn valid(&self) -> Result<()> {
        match &self.invalid {
            Some((kind, what)) => Err(Error::new(*kind, what)),
            None if self.extras.delay_level > 0 && self.extras.order_key.is_some() => {
                Err(Error::invalid(
                    "a message with an order key cannot be delayed: later ones would pass it",
                ))
            }
            None => Ok(()),
        }
    }
}
