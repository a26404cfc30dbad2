//! The handlers that run: a small set of futures, each in a slot with a waker of its own.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::consumer::Handle;
use crate::handler::{Cancel, Envelope, HandlerError, Outcome};
use crate::sync::Arc;

/// A message in a handler's hands.
pub(super) struct Item {
    pub(super) handle: Handle,
    pub(super) job: Envelope,
    pub(super) cancel: Arc<Cancel>,
    pub(super) since: Instant,
}

/// What a handler said, or how it panicked.
pub(super) type Said = Result<Result<Outcome, HandlerError>, Box<dyn Any + Send>>;

struct Slot<Fut> {
    /// Where the next handler has its place too.
    future: Pin<Box<Option<Fut>>>,
    item: Option<Item>,
    waker: Waker,
}

pub(super) struct Slots<Fut> {
    all: Vec<Slot<Fut>>,
    free: Vec<usize>,
    most: usize,
}

impl<Fut> Slots<Fut> {
    pub(super) fn new(most: usize) -> Self {
        Self { all: Vec::new(), free: Vec::new(), most }
    }

    pub(super) fn running(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub(super) fn room(&self) -> usize {
        self.most - self.running()
    }

    /// Takes a handler in; there has to be room. `waker` makes the waker of a new slot.
    pub(super) fn begin(
        &mut self,
        item: Item,
        future: Fut,
        waker: impl FnOnce(usize) -> Waker,
    ) -> usize {
        let index = self.free.pop().unwrap_or(self.all.len());
        if let Some(slot) = self.all.get_mut(index) {
            slot.future.set(Some(future));
            slot.item = Some(item);
        } else {
            let future = Box::pin(Some(future));
            self.all.push(Slot { future, item: Some(item), waker: waker(index) });
        }
        index
    }

    /// Drops a handler that runs, whatever that does, and then has its message.
    fn end(&mut self, index: usize) -> Option<Item> {
        let slot = self.all.get_mut(index)?;
        let _ = catch_unwind(AssertUnwindSafe(|| slot.future.set(None)));
        let item = slot.item.take()?;
        self.free.push(index);
        Some(item)
    }

    /// Drops those that have run for `timeout`. Says when the next one has.
    pub(super) fn end_overdue(
        &mut self,
        now: Instant,
        timeout: Duration,
    ) -> (Vec<(usize, Item)>, Option<Instant>) {
        let running = self.all.iter().enumerate();
        let running = running.filter_map(|(index, slot)| Some((index, slot.item.as_ref()?.since)));
        let (overdue, others): (Vec<_>, Vec<_>) =
            running.partition(|(_, since)| *since + timeout <= now);
        let next = others.into_iter().map(|(_, since)| since + timeout).min();
        let ended = overdue.into_iter().filter_map(|(index, _)| Some((index, self.end(index)?)));
        (ended.collect(), next)
    }

    /// Drops all that run.
    pub(super) fn end_all(&mut self) -> Vec<(usize, Item)> {
        let all = 0..self.all.len();
        all.filter_map(|index| Some((index, self.end(index)?))).collect()
    }
}

impl<Fut, R> Slots<Fut>
where
    Fut: Future<Output = Result<R, HandlerError>>,
    R: Into<Outcome>,
{
    /// Polls a handler; `None` if it goes on, or is none.
    pub(super) fn poll(&mut self, index: usize) -> Option<(Item, Said)> {
        let slot = self.all.get_mut(index)?;
        let mut cx = Context::from_waker(&slot.waker);
        let future = slot.future.as_mut().as_pin_mut()?;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.poll(&mut cx).map(|said| said.map(Into::into))
        }));
        let said = match polled {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(said)) => Ok(said),
            Err(panic) => Err(panic),
        };
        Some((self.end(index)?, said))
    }
}
