//! What a handler's outcome does to its message.

use crate::consumer::Handle;
use crate::error::Error;
use crate::handler::{Cancel, HandlerError, Outcome};

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
