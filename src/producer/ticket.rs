//! The promise of a receipt.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::flush::{Timer, Waited};
use crate::message::{MessageId, Receipt};
use crate::store::append::Part;
use crate::store::line::Slot;
use crate::store::topics::Topic;
use crate::sync::Arc;

use super::unconfirmed;

/// A submitted message: [`Ticket::wait`] blocks, `.await` does not, until it is as safe as [`Producer::send`] would have
/// made it.
///
/// Needs no runtime: any executor can poll it. Dropping it does not take the message back.
///
/// [`Producer::send`]: crate::Producer::send
#[must_use = "a ticket that is neither waited for nor awaited tells nothing; `send_one_way` says so openly"]
pub struct Ticket {
    engine: Arc<Engine>,
    topic: Arc<Topic>,
    origin: Origin,
    state: State,
    deadline: Instant,
    timer: Timer,
}

#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) queue: u32,
    /// The message's identity, if it is not its place.
    pub(super) id: Option<MessageId>,
    /// Wait for durability.
    pub(super) sync: bool,
}

enum State {
    InLine(Arc<Slot>),
    Placed(Part),
    Over,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("topic", self.topic.name()).finish_non_exhaustive()
    }
}

impl Ticket {
    fn new(engine: &Arc<Engine>, topic: &Arc<Topic>, origin: Origin, state: State) -> Self {
        let store = engine.store();
        Self {
            deadline: store.clock.os_now() + store.settings.sync_timeout,
            engine: Arc::clone(engine),
            topic: Arc::clone(topic),
            origin,
            state,
            timer: Timer::default(),
        }
    }

    pub(super) fn placed(
        engine: &Arc<Engine>,
        topic: &Arc<Topic>,
        origin: Origin,
        part: Part,
    ) -> Self {
        Self::new(engine, topic, origin, State::Placed(part))
    }

    pub(super) fn waiting(
        engine: &Arc<Engine>,
        topic: &Arc<Topic>,
        origin: Origin,
        slot: Arc<Slot>,
    ) -> Self {
        Self::new(engine, topic, origin, State::InLine(slot))
    }

    fn receipt_of(&self, part: &Part, durable: bool) -> Receipt {
        let receipt = part.receipt(&self.topic, self.origin.queue, durable);
        match &self.origin.id {
            Some(id) => Receipt { id: id.clone(), ..receipt },
            None => receipt,
        }
    }

    /// The position, if the message has one already: not if it waits in line.
    pub fn receipt(&self) -> Option<Receipt> {
        match &self.state {
            State::Placed(part) => Some(self.receipt_of(part, false)),
            State::InLine(_) | State::Over => None,
        }
    }

    /// Blocks until the message is as safe as its flush level promises, at most for the store's sync time-out from the call
    /// of `submit`.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`](crate::Producer::send). A message still in line at the deadline is
    /// [`ErrorKind::Unconfirmed`] without a receipt: it will be stored unless the store fails or closes first.
    pub fn wait(self) -> Result<Receipt> {
        let part = match &self.state {
            State::Placed(part) => *part,
            State::InLine(slot) => {
                slot.wait(self.deadline).unwrap_or_else(|| Err(still_in_line()))?
            }
            State::Over => return Err(Error::closed()),
        };
        if !self.origin.sync {
            return Ok(self.receipt_of(&part, false));
        }
        let waited = self.engine.store().await_durable(part.end(), self.deadline);
        self.settle(waited, &part)
    }

    fn settle(&self, waited: Waited, part: &Part) -> Result<Receipt> {
        let receipt = |durable| self.receipt_of(part, durable);
        match waited {
            Waited::Durable => Ok(receipt(true)),
            waited => Err(unconfirmed(waited, self.engine.store(), receipt(false))),
        }
    }
}

fn still_in_line() -> Error {
    Error::new(ErrorKind::Unconfirmed, "the message still waits for room")
}

impl Future for Ticket {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::InLine(slot) = &self.state {
            match slot.poll(cx.waker()) {
                Some(Ok(part)) => self.state = State::Placed(part),
                Some(Err(e)) => {
                    self.state = State::Over;
                    return Poll::Ready(Err(e));
                }
                None => {
                    let Self { engine, timer, deadline, .. } = &mut *self;
                    let late = engine.store().remind(timer, *deadline, cx.waker());
                    if late {
                        self.state = State::Over;
                        return Poll::Ready(Err(still_in_line()));
                    }
                    return Poll::Pending;
                }
            }
        }
        let State::Placed(part) = self.state else { return Poll::Ready(Err(Error::closed())) };
        if !self.origin.sync {
            self.state = State::Over;
            return Poll::Ready(Ok(self.receipt_of(&part, false)));
        }
        let Self { engine, timer, deadline, .. } = &mut *self;
        match engine.store().poll_durable(part.end(), (timer, *deadline), cx.waker()) {
            None => Poll::Pending,
            Some(waited) => {
                self.state = State::Over;
                Poll::Ready(self.settle(waited, &part))
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.engine.store().forget(&mut self.timer);
    }
}
