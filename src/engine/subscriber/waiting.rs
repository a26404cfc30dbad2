//! Waiting for the next message: threads and futures, woken by an arrival, a time or an end.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::flush::{Timer, wake_all};
use crate::options::LONGEST_WAIT;
use crate::store::Store;
use crate::store::message::Message;
use crate::store::topics::{Listener, OwnedSleeper};
use crate::sync::{Arc, Ordering};

use super::{Ear, Look, Subscriber};

/// What was passed over so often is a reason for a future to let others go on.
const TURNS: usize = 64;

/// How long a subscriber waits. The clock is read when it has to be.
#[derive(Debug)]
pub(crate) struct Waiting {
    timeout: Duration,
    deadline: Option<Instant>,
}

impl Waiting {
    pub(crate) fn up_to(timeout: Duration) -> Self {
        Self { timeout: timeout.min(LONGEST_WAIT), deadline: None }
    }

    fn deadline(&mut self, store: &Store) -> Instant {
        *self.deadline.get_or_insert_with(|| store.clock.os_now() + self.timeout)
    }

    fn is_over(&mut self, store: &Store) -> bool {
        self.timeout.is_zero() || store.clock.os_now() >= self.deadline(store)
    }
}

/// What a future that sleeps leaves with those who wake it.
#[derive(Debug, Default)]
pub(super) struct Asleep {
    sleeper: Option<OwnedSleeper>,
    timer: Timer,
}

impl Subscriber {
    /// The next message, waiting for it; and how many of its queue were gone before it. `None` when the time is up.
    ///
    /// What was shown before counts as seen from now on. A damaged message is an error, once; the next call goes on behind it.
    pub(crate) fn next(&mut self, mut wait: Waiting) -> Result<Option<(Message, u64)>> {
        self.get_up();
        self.commit()?;
        loop {
            self.store.check_open()?;
            let mut look = self.look()?;
            if matches!(look, Look::Nothing) {
                self.commit()?;
                look = match self.sleep(&mut wait)? {
                    Some(look) => look,
                    None => return Ok(None),
                };
            }
            match look {
                Look::Unit(at, unit) => {
                    if let Some(shown) = self.show(at, unit)? {
                        return Ok(Some(shown));
                    }
                }
                Look::After(end) => {
                    let deadline = wait.deadline(&self.store);
                    if !self.store.seen(self.store.await_durable(end, deadline))? {
                        return Ok(None);
                    }
                }
                Look::Passed => self.commit()?,
                Look::Nothing => {}
            }
        }
    }

    /// As [`Subscriber::next`], for a future. Whoever does not poll again gets up.
    pub(crate) fn poll_next(
        &mut self,
        wait: &mut Waiting,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<(Message, u64)>>> {
        self.get_up();
        self.commit()?;
        for _ in 0..TURNS {
            self.store.check_open()?;
            let mut look = self.look()?;
            if matches!(look, Look::Nothing) {
                self.commit()?;
                self.store.check_writable()?;
                if wait.is_over(&self.store) {
                    return Poll::Ready(Ok(None));
                }
                look = self.lie_down(cx)?;
            }
            match look {
                Look::Unit(at, unit) => {
                    if let Some(shown) = self.show(at, unit)? {
                        return Poll::Ready(Ok(Some(shown)));
                    }
                }
                Look::After(end) => {
                    let deadline = wait.deadline(&self.store);
                    let timer = (&mut self.asleep.timer, deadline);
                    let Some(waited) = self.store.poll_durable(end, timer, cx.waker()) else {
                        return Poll::Pending;
                    };
                    if !self.store.seen(waited)? {
                        return Poll::Ready(Ok(None));
                    }
                }
                Look::Passed => self.commit()?,
                Look::Nothing => {
                    let endless = wait.timeout == LONGEST_WAIT;
                    let deadline = wait.deadline(&self.store);
                    let timer = &mut self.asleep.timer;
                    if endless || !self.store.remind(timer, deadline, cx.waker()) {
                        return Poll::Pending;
                    }
                    self.get_up();
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Counts as asleep, unless a last look finds something.
    fn lie_down(&mut self, cx: &Context<'_>) -> Result<Look> {
        let (ear, waker) = (Arc::clone(&self.ear), cx.waker().clone());
        let mut gate = ear.gate.lock();
        self.asleep.sleeper = Some(self.topic.sleep_on());
        // After being counted: an end that this does not see will wake it.
        let look = self.store.check_writable().and_then(|()| self.look());
        if matches!(look, Ok(Look::Nothing)) {
            // Whoever slept here got up before.
            *gate = Some(waker);
        } else {
            self.asleep.sleeper = None;
        }
        look
    }

    /// Nobody need wake it any more.
    pub(crate) fn get_up(&mut self) {
        self.store.forget(&mut self.asleep.timer);
        // Before the lock: in a forked child its holder may not exist.
        if self.asleep.sleeper.take().is_some() && self.store.check_parent().is_ok() {
            // Its waker is dropped without the lock.
            let waker = self.ear.gate.lock().take();
            drop(waker);
        }
    }

    /// Sleeps until something arrives or ends; what a last look before that found, if it did. `None` when the time is up.
    fn sleep(&mut self, wait: &mut Waiting) -> Result<Option<Look>> {
        let ear = Arc::clone(&self.ear);
        let deadline = wait.deadline(&self.store);
        let topic = Arc::clone(&self.topic);
        let mut gate = ear.gate.lock();
        let _asleep = topic.sleep();
        // After being counted: an end that this does not see will wake it.
        self.store.check_writable()?;
        let look = self.look()?;
        if matches!(look, Look::Nothing) {
            if wait.is_over(&self.store) {
                return Ok(None);
            }
            let _ = ear.arrived.wait_until(&mut gate, deadline);
        }
        Ok(Some(look))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.get_up();
    }
}

impl Listener for Ear {
    fn arrived(&self, _count: usize) {
        // The lock makes sure that a subscriber which found nothing is asleep by now.
        let mut gate = self.gate.lock();
        self.arrived.notify_one();
        let waker = gate.take();
        drop(gate);
        wake_all(waker);
    }

    fn needs(&self, queue: u32) -> Option<u64> {
        Some(self.next.get(queue as usize)?.load(Ordering::SeqCst))
    }
}
