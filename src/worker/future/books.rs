//! What became of messages is written down, counted and told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::CodecError;
use crate::handler::{HandlerError, Outcome, WorkerEvent};
use crate::worker::settle::{Settled, count, note, settle, what_it_says};

use super::board::Board;
use super::slots::{Item, Said};

impl Board {
    /// The value, if the body decodes; if not, the attempt failed.
    pub(super) fn decode<V>(
        &self,
        item: Item,
        decode: impl FnOnce(&[u8]) -> Result<V, CodecError>,
    ) -> Option<(Item, V)> {
        let error = match catch_unwind(AssertUnwindSafe(|| decode(item.handle.body()))) {
            Ok(Ok(value)) => return Some((item, value)),
            Ok(Err(error)) => HandlerError::from(error),
            Err(panic) => HandlerError::from(what_it_says(panic)),
        };
        self.events.tell(&WorkerEvent::Undecodable { job: &item.job, error: &error });
        self.settle(item, &Err(error));
        None
    }

    /// A handler returned, or panicked.
    pub(super) fn said(&self, item: Item, said: Said) {
        let outcome = said.unwrap_or_else(|panic| {
            let message = what_it_says(panic);
            count(&self.counts.panicked);
            self.events.tell(&WorkerEvent::Panicked { job: &item.job, message: &message });
            Err(HandlerError::from(message))
        });
        self.settle(item, &outcome);
    }

    pub(super) fn settle(&self, item: Item, outcome: &Result<Outcome, HandlerError>) {
        let Item { handle, job, cancel, .. } = item;
        let settled = settle(handle, outcome, &cancel);
        if matches!(settled, Settled::Failed { .. }) {
            self.events.tell(&WorkerEvent::Failed { job: &job, error: outcome.as_ref().err() });
        }
        note(&self.counts, &self.events, &job, settled);
    }
}
