//! What became of messages is written down, counted and told.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::CodecError;
use crate::error::ErrorKind;
use crate::handler::{HandlerError, Outcome, WorkerEvent};
use crate::sync::{AtomicU64, Ordering};
use crate::worker::settle::{Settled, settle};

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
        let counts = &self.counts;
        let job = &job;
        match settled {
            Settled::Done => count(&counts.handled),
            Settled::Later => count(&counts.put_off),
            Settled::Failed { last } => {
                count(&counts.failed);
                self.events.tell(&WorkerEvent::Failed { job, error: outcome.as_ref().err() });
                if last {
                    self.events.tell(&WorkerEvent::SetAside { job });
                }
            }
            Settled::Void(error) if error.kind() == ErrorKind::Closed => {}
            Settled::Void(error) => {
                self.events.tell(&WorkerEvent::Unsettled { job, error: &error });
            }
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// The words of a panic, which is over.
fn what_it_says(panic: Box<dyn Any + Send>) -> String {
    let words = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    // What was thrown may panic itself when it goes.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    words.unwrap_or_else(|| "the handler panicked".to_owned())
}
