//! Producers: typed handles that send to one topic.

mod delayed;
mod encode;
mod message;
mod ticket;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use crate::codec::{Encode, Json};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::Waited;
use crate::message::Receipt;
use crate::observe::Sending;
use crate::options::Flush;
use crate::store::append::{Drafts, Part, Submitted};
use crate::store::topics::Topic as StoredTopic;
use crate::sync::Arc;

pub use message::MessageBuilder;
pub use ticket::Ticket;

use encode::{Extras, PLAIN, Scratch, draft};

/// Sends messages of type `T` to one topic. Cheap to clone; share it between threads as you like.
///
/// What `Ok` means depends on the store's [`Flush`]: with [`Flush::Async`] (the default) the death of the process loses
/// nothing; with [`Flush::Sync`] a power cut loses nothing.
///
/// ```
/// # fn main() -> pocketmq::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use pocketmq::{Queue, Topic};
///
/// const NAMES: Topic<String> = Topic::new("names");
///
/// let queue = Queue::open(dir.path())?;
/// let names = queue.producer(NAMES)?;
/// let receipt = names.send(&"Ada".to_owned())?;
/// assert_eq!(receipt.queue_offset.get(), 0);
/// names.send_batch(["Grace".to_owned(), "Edsger".to_owned()])?;
/// # queue.close()
/// # }
/// ```
pub struct Producer<T: ?Sized, C = Json> {
    pub(crate) engine: Arc<Engine>,
    pub(crate) topic: Arc<StoredTopic>,
    types: PhantomData<fn(&T) -> C>,
}

impl<T: ?Sized, C> Clone for Producer<T, C> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            topic: Arc::clone(&self.topic),
            types: PhantomData,
        }
    }
}

impl<T: ?Sized, C> fmt::Debug for Producer<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("topic", self.topic.name()).finish_non_exhaustive()
    }
}

impl<T: ?Sized, C> Producer<T, C> {
    pub(crate) fn new(engine: &Arc<Engine>, topic: Arc<StoredTopic>) -> Self {
        Self { engine: Arc::clone(engine), topic, types: PhantomData }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        self.topic.name()
    }
}

impl<T: ?Sized, C: Encode<T>> Producer<T, C> {
    /// Sends one message, to the topic's queues in turn.
    ///
    /// When this returns `Ok`, the message is in a buffer that outlives the process ([`Flush::Async`]), or on the disk
    /// ([`Flush::Sync`]), and consumers can see it. May write to the disk, and waits for it with [`Flush::Sync`].
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidArgument`] if the codec refuses the value.
    /// - [`ErrorKind::TooLarge`] if the body has more than 4 MiB ([`MAX_BODY`](crate::MAX_BODY)).
    /// - [`ErrorKind::Full`] if there is no space; nothing was stored.
    /// - [`ErrorKind::Unconfirmed`] if the disk did not answer within the sync time-out; the message is stored, and
    ///   [`Error::receipt`] says where.
    /// - [`ErrorKind::Poisoned`], [`ErrorKind::Closed`].
    pub fn send(&self, value: &T) -> Result<Receipt> {
        self.send_with(value, &PLAIN)
    }

    /// Sends several messages to one queue, with consecutive offsets: one lock, and one sync at most.
    ///
    /// All or nothing if it fails at once; after a crash before `Ok`, the first few may be there. The whole batch must fit
    /// into one commit log file.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`]; [`ErrorKind::TooLarge`] also if the batch does not fit into one commit log file.
    pub fn send_batch<I>(&self, values: I) -> Result<Vec<Receipt>>
    where
        I: IntoIterator,
        I::Item: Borrow<T>,
    {
        let queue = self.topic.next_turn();
        self.sending(queue, |sending, scratch| {
            let frame = self.frame(queue);
            for value in values {
                draft::<T, C>(scratch, &frame, value.borrow(), &PLAIN)?;
            }
            if scratch.drafts.parts.is_empty() {
                return Ok(Vec::new());
            }
            let store = self.engine.store();
            store.append(&self.topic, queue, &mut scratch.drafts)?;
            self.placed(sending, &scratch.drafts);
            let durable = self.confirm(None, &scratch.drafts.parts, queue)?;
            let receipt = |part: &Part| self.receipt(queue, part, durable);
            Ok(scratch.drafts.parts.iter().map(receipt).collect())
        })
    }

    /// Sends one message without ever waiting for the disk; the [`Ticket`] waits or awaits what [`Producer::send`] would
    /// have waited for.
    ///
    /// Without room in the staging buffer the message waits in a line, in order, and later sends wait behind it. Only a cold
    /// page of the buffer can make this call slow.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and [`ErrorKind::Full`] if the line is full.
    pub fn submit(&self, value: &T) -> Result<Ticket> {
        self.submit_with(value, &PLAIN, true)
    }

    /// Sends one message and waits for nothing, not even in line.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`], and [`ErrorKind::Full`] if it would have to wait.
    pub fn send_one_way(&self, value: &T) -> Result<()> {
        self.submit_with(value, &PLAIN, false).map(drop)
    }

    /// Starts a message with a key, a tag, properties, a queue, an order or a flush level of its own.
    pub fn message<'a>(&'a self, value: &'a T) -> MessageBuilder<'a, T, C> {
        MessageBuilder::new(self, value)
    }

    /// Sends in buffers of the thread, in sight of whoever observes.
    fn sending<R>(
        &self,
        queue: u32,
        send: impl FnOnce(&Sending, &mut Scratch) -> Result<R>,
    ) -> Result<R> {
        let sending = Sending::to(self.topic.name(), queue);
        sending.around(|| Scratch::with(|scratch| send(&sending, scratch)))
    }

    /// What was sent is stored.
    fn placed(&self, sending: &Sending, drafts: &Drafts) {
        let (count, size) = (drafts.parts.len(), drafts.size());
        let first = drafts.parts.first().copied().unwrap_or_default();
        sending.placed(first.queue_offset, count, size);
        self.topic.came_in(count, size);
    }

    fn frame(&self, queue: u32) -> encode::Frame<'_> {
        encode::Frame {
            topic: self.topic.name(),
            queue,
            now_ms: self.engine.store().clock.recent_wall_ms(),
        }
    }

    fn send_with(&self, value: &T, extras: &Extras) -> Result<Receipt> {
        let queue = self.choose(extras)?;
        if extras.delay_level > 0 {
            return self.send_delayed(value, extras, queue);
        }
        self.sending(queue, |sending, scratch| {
            draft::<T, C>(scratch, &self.frame(queue), value, extras)?;
            self.engine.store().append(&self.topic, queue, &mut scratch.drafts)?;
            self.placed(sending, &scratch.drafts);
            let durable = self.confirm(extras.flush, &scratch.drafts.parts, queue)?;
            let part = scratch.drafts.parts.first().copied().unwrap_or_default();
            Ok(self.receipt(queue, &part, durable))
        })
    }

    fn submit_with(&self, value: &T, extras: &Extras, may_wait: bool) -> Result<Ticket> {
        let queue = self.choose(extras)?;
        if extras.delay_level > 0 {
            return self.submit_delayed(value, extras, queue, may_wait);
        }
        let sync = extras.flush.unwrap_or(self.engine.store().settings.flush) == Flush::Sync;
        self.sending(queue, |sending, scratch| {
            draft::<T, C>(scratch, &self.frame(queue), value, extras)?;
            let store = self.engine.store();
            let origin = ticket::Origin { queue, sync, id: None };
            match store.submit(&self.topic, queue, &mut scratch.drafts, may_wait)? {
                Submitted::Done => {
                    self.placed(sending, &scratch.drafts);
                    let part = scratch.drafts.parts.first().copied().unwrap_or_default();
                    if sync {
                        store.ask_durable(part.end());
                    }
                    Ok(Ticket::placed(&self.engine, &self.topic, origin, part))
                }
                Submitted::Waiting(slot) => {
                    Ok(Ticket::waiting(&self.engine, &self.topic, origin, slot))
                }
            }
        })
    }

    /// A queue named by the caller, else the one of the order key, else the next in turn.
    fn choose(&self, extras: &Extras) -> Result<u32> {
        let count = self.topic.queue_count();
        match (extras.queue, extras.order_key()) {
            (Some(queue), _) if queue.get() < count => Ok(queue.get()),
            (Some(queue), _) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "topic {} has {count} queues; there is no queue {queue}",
                    self.topic.name()
                ),
            )),
            (None, Some(key)) => Ok(encode::queue_of(key, count)),
            (None, None) => Ok(self.topic.next_turn()),
        }
    }

    /// Waits for the disk if the flush level asks for it.
    fn confirm(&self, flush: Option<Flush>, parts: &[Part], queue: u32) -> Result<bool> {
        let store = self.engine.store();
        if flush.unwrap_or(store.settings.flush) != Flush::Sync {
            return Ok(false);
        }
        let Some(last) = parts.last() else { return Ok(true) };
        match store.wait_durable(last.end()) {
            Waited::Durable => Ok(true),
            waited => Err(unconfirmed(waited, store, self.receipt(queue, last, false))),
        }
    }

    fn receipt(&self, queue: u32, part: &Part, durable: bool) -> Receipt {
        part.receipt(&self.topic, queue, durable)
    }
}

/// Stored, but the disk's word is missing.
fn unconfirmed(waited: Waited, store: &crate::store::Store, receipt: Receipt) -> Error {
    let why = match waited {
        Waited::TimedOut => {
            "the disk did not confirm the message in time; it is stored, and may or may not survive a power cut"
        }
        _ => "the store stopped before the disk confirmed the message; it may or may not survive",
    };
    let error = Error::new(ErrorKind::Unconfirmed, why).with_receipt(receipt);
    match (waited, store.check_writable()) {
        (Waited::Failed, Err(cause)) => error.caused_by(cause),
        _ => error,
    }
}
