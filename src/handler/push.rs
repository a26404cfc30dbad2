//! How handlers are to be run.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};

use super::call::Middleware;
use super::event::Events;

/// How long a handler may take unless [`ConsumerBuilder::handler_timeout`](crate::ConsumerBuilder::handler_timeout) says otherwise.
pub const DEFAULT_HANDLER_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// How the handlers of a worker are to be run.
#[derive(Clone)]
pub(crate) struct Push {
    /// How many run at a time.
    pub(crate) concurrency: usize,
    /// How long one may take before that is told.
    pub(crate) timeout: Duration,
    /// Whether its message then goes to somebody else.
    pub(crate) redeliver: bool,
    /// What stands around them, the outermost first.
    pub(crate) layers: Vec<Middleware>,
    pub(crate) events: Events,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            concurrency: 1,
            timeout: DEFAULT_HANDLER_TIMEOUT,
            redeliver: false,
            layers: Vec::new(),
            events: Events::default(),
        }
    }
}

impl Push {
    pub(crate) fn check(&self) -> Result<()> {
        if self.concurrency == 0 {
            return Err(Error::invalid("a worker with a concurrency of 0 would do nothing"));
        }
        if self.timeout.is_zero() {
            return Err(Error::invalid("a handler timeout of 0 would be over at once"));
        }
        Ok(())
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("redeliver", &self.redeliver)
            .field("layers", &self.layers.len())
            .field("events", &self.events)
            .finish()
    }
}
