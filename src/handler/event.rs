//! What a worker tells of.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::error::Error;
use crate::message::QueueId;
use crate::sync::Arc;

use super::{Envelope, HandlerError};

/// Something that happened to a worker: see [`ConsumerBuilder::on_event`](crate::ConsumerBuilder::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerEvent<'a> {
    /// An attempt failed. `error` is `None` if the handler asked for [`Outcome::RetryAfter`](crate::Outcome::RetryAfter).
    #[non_exhaustive]
    Failed {
        /// The message.
        job: &'a Envelope,
        /// What the handler said.
        error: Option<&'a HandlerError>,
    },
    /// The handler panicked: a failed attempt.
    #[non_exhaustive]
    Panicked {
        /// The message.
        job: &'a Envelope,
        /// What the panic said.
        message: &'a str,
    },
    /// The handler has had its time, and goes on.
    #[non_exhaustive]
    TimedOut {
        /// The message.
        job: &'a Envelope,
        /// How long it has run.
        running: Duration,
    },
    /// The body does not decode: a failed attempt.
    #[non_exhaustive]
    Undecodable {
        /// The message.
        job: &'a Envelope,
        /// What the codec said.
        error: &'a HandlerError,
    },
    /// It was the last attempt, or its lease ended for the last time: the message is not received any more
    /// ([`Group::set_aside`](crate::Group::set_aside)).
    #[non_exhaustive]
    SetAside {
        /// The message.
        job: &'a Envelope,
    },
    /// The worker starts, and messages are set aside already, by the [poison guard](crate::ConsumerBuilder::poison_guard) too: told once for
    /// each topic, on the thread that starts it.
    #[non_exhaustive]
    AlreadySetAside {
        /// The topic's name.
        topic: &'a str,
        /// How many.
        count: usize,
    },
    /// So many messages of a queue wait for their keys ([`ordered`](crate::ConsumerBuilder::ordered),
    /// [`concurrency_per_key`](crate::ConsumerBuilder::concurrency_per_key)) that no more are read ahead: what lies behind them is not received until some
    /// of them are, whatever its key. Told once, and again when at least half of them came out of there in between.
    #[non_exhaustive]
    ReadAheadFull {
        /// The topic's name.
        topic: &'a str,
        /// The queue.
        queue: QueueId,
    },
    /// What the handler said could not be written down: the message comes again, or is somebody else's by now.
    #[non_exhaustive]
    Unsettled {
        /// The message.
        job: &'a Envelope,
        /// Why.
        error: &'a Error,
    },
    /// A message could not be read. A damaged one ([`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt)) is passed over.
    #[non_exhaustive]
    Unreadable {
        /// The topic's name.
        topic: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// The store stopped, and this thread of the worker with it.
    #[non_exhaustive]
    Stopped {
        /// Why.
        error: &'a Error,
    },
}

/// Whom a worker tells.
#[derive(Clone, Default)]
pub(crate) struct Events(Option<Listener>);

type Listener = Arc<dyn Fn(&WorkerEvent<'_>) + Send + Sync>;

impl Events {
    pub(crate) fn told_to(listener: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// A listener that panics has been told.
    pub(crate) fn tell(&self, event: &WorkerEvent<'_>) {
        if let Some(listener) = &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.0.is_some()).finish()
    }
}
