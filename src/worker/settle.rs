//! What a handler's outcome does to its message.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::consumer::Handle;
use crate::engine::dispatch::{Dispatch, Place};
use crate::error::{Error, ErrorKind};
use crate::handler::{Cancel, Envelope, Events, HandlerError, Outcome, WorkerEvent};
use crate::sync::{AtomicU64, Ordering};

use super::crew::{Busy, Counts};

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Settled {
    Done,
    /// The attempt failed; `last`: there is no other.
    Failed {
        last: bool,
    },
    /// It comes again, and no attempt was used.
    Later,
    /// The outcome could not be written down. The message comes again, or is somebody else's by now.
    Void(Error),
}

/// Settles a message as its handler says. What fails after it was told that nobody waits for it is given back.
pub(crate) fn settle(
    handle: Handle,
    outcome: &Result<Outcome, HandlerError>,
    cancel: &Cancel,
) -> Settled {
    let last = handle.is_last_attempt();
    let (settled, done) = match outcome {
        Ok(Outcome::Done) => (handle.ack(), Settled::Done),
        Ok(Outcome::Snooze(wait)) => (handle.snooze(*wait), Settled::Later),
        Ok(Outcome::RetryAfter(wait)) => (handle.fail(Some(*wait)), Settled::Failed { last }),
        Err(_) if cancel.is_interrupted() => {
            drop(handle);
            (Ok(()), Settled::Later)
        }
        Err(error) => (handle.fail(error.wait()), Settled::Failed { last }),
    };
    settled.map_or_else(Settled::Void, |()| done)
}

/// Counts what became of a message, and tells what its handler cannot know. That its attempt failed is told before.
pub(super) fn note(counts: &Counts, events: &Events, job: &Envelope, settled: Settled) {
    match settled {
        Settled::Done => count(&counts.handled),
        Settled::Later => count(&counts.put_off),
        Settled::Failed { last } => {
            count(&counts.failed);
            if last {
                events.tell(&WorkerEvent::SetAside { job });
            }
        }
        Settled::Void(error) if error.kind() == ErrorKind::Closed => {}
        Settled::Void(error) => events.tell(&WorkerEvent::Unsettled { job, error: &error }),
    }
}

/// A message is set aside, whose lease ended: told where a handler has it.
pub(super) fn tell_set_aside(events: &Events, busy: &[Busy], (topic, place): (&str, Place)) {
    let is_it = |job: &&Envelope| {
        let message = job.message();
        message.topic() == topic && (message.queue().get(), message.queue_offset().get()) == place
    };
    for job in busy.iter().flat_map(|busy| &*busy.jobs).filter(is_it) {
        events.tell(&WorkerEvent::SetAside { job });
    }
}

/// A worker starts.
pub(super) fn tell_already_set_aside(events: &Events, dispatch: &Dispatch) {
    let (topic, count) = (dispatch.topic().name(), dispatch.set_aside());
    if count > 0 {
        events.tell(&WorkerEvent::AlreadySetAside { topic, count });
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// The words of a panic, which is over.
pub(super) fn what_it_says(panic: Box<dyn Any + Send>) -> String {
    let words = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    // What was thrown may panic itself when it goes.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    words.unwrap_or_else(|| "the handler panicked".to_owned())
}
