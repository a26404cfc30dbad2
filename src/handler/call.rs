//! What stands around a handler.

use std::fmt;

use crate::sync::Arc;

use super::{Envelope, HandlerError, Outcome};

/// A layer around handlers: gets the call and goes on with [`Call::run`].
pub(crate) type Middleware =
    Arc<dyn Fn(Call<'_>) -> Result<Outcome, HandlerError> + Send + Sync + 'static>;

/// A handler that is about to run, as a middleware sees it: see [`ConsumerBuilder::middleware`](crate::ConsumerBuilder::middleware).
#[must_use = "a call that is not `run` skips the handler"]
pub struct Call<'a> {
    jobs: &'a [Envelope],
    layers: &'a [Middleware],
    handler: &'a mut dyn FnMut() -> Result<Outcome, HandlerError>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        jobs: &'a [Envelope],
        layers: &'a [Middleware],
        handler: &'a mut dyn FnMut() -> Result<Outcome, HandlerError>,
    ) -> Self {
        Self { jobs, layers, handler }
    }

    /// The messages that the handler is given: one, or a batch.
    pub fn jobs(&self) -> &[Envelope] {
        self.jobs
    }

    /// Runs what is further in: the next middleware, or the handler.
    ///
    /// # Errors
    ///
    /// What that says.
    pub fn run(self) -> Result<Outcome, HandlerError> {
        match self.layers.split_first() {
            Some((layer, inner)) => layer(Call { layers: inner, ..self }),
            None => (self.handler)(),
        }
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}
