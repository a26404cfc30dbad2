//! The handle on a [`Work`](super::Work).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::flush::Timer;
use crate::options::LONGEST_WAIT;
use crate::sync::Arc;
use crate::worker::{ShutdownReport, WorkerStats};

use super::board::Board;

/// Pauses, resumes and shuts down a [`Work`](crate::Work), wherever that is polled: see
/// [`ConsumerBuilder::run_async`](crate::ConsumerBuilder::run_async).
///
/// Cheap to clone. Keeps neither the work nor the queue alive, and nothing happens when it is dropped.
#[derive(Clone)]
pub struct Control {
    board: Arc<Board>,
}

impl Control {
    pub(super) fn new(board: &Arc<Board>) -> Self {
        Self { board: Arc::clone(board) }
    }

    /// Takes no more messages until [`Control::resume`]; handlers that run go on. When they are done, it leaves its queues to other consumers, where
    /// the group is [ordered by queue](crate::ConsumerBuilder::ordered_by_queue), and takes its part again afterwards.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Takes messages again.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        // Before any lock: in a forked child its holder may not exist.
        if self.board.store.check_parent().is_ok() {
            self.board.pause(paused);
        }
    }

    /// Takes no more messages from this call on, and lets the handlers that run finish. The work then ends, and so does the future.
    ///
    /// When `patience` is over, which counts from the call, it ends and says what was not finished: the work drops those handlers when it
    /// is polled next, and their messages are received again, without a failed attempt. Of several shutdowns the first deadline holds.
    /// If the work was dropped, this is ready at once. A handler that awaits it waits for itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) in a forked child.
    pub fn shutdown(&self, patience: Duration) -> Shutdown {
        let store = &self.board.store;
        let deadline = store.clock.os_now() + patience.min(LONGEST_WAIT);
        if store.check_parent().is_ok() {
            self.board.stop(deadline);
        }
        let timer = Timer::default();
        Shutdown { board: Arc::clone(&self.board), deadline, timer, number: None }
    }

    /// What the work has done so far, and how many handlers run.
    pub fn stats(&self) -> WorkerStats {
        if self.board.store.check_parent().is_ok() {
            self.board.stats()
        } else {
            self.board.counts.stats(0)
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("board", &self.board).finish()
    }
}

/// Waits for the end of a work: see [`Control::shutdown`]. The shutdown goes on if this is dropped.
#[must_use = "a future does nothing until it is polled; the work shuts down all the same"]
pub struct Shutdown {
    board: Arc<Board>,
    deadline: Instant,
    timer: Timer,
    number: Option<u64>,
}

impl Future for Shutdown {
    type Output = Result<ShutdownReport>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { board, deadline, timer, number } = &mut *self;
        board.store.check_parent()?;
        if let Some(unfinished) = board.wait(number, cx.waker()) {
            return Poll::Ready(Ok(ShutdownReport { unfinished }));
        }
        if !board.store.remind(timer, *deadline, cx.waker()) {
            return Poll::Pending;
        }
        board.cut();
        Poll::Ready(Ok(ShutdownReport { unfinished: board.unfinished() }))
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        let store = &self.board.store;
        store.forget(&mut self.timer);
        if let Some(number) = self.number.take().filter(|_| store.check_parent().is_ok()) {
            self.board.leave(number);
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("board", &self.board).finish_non_exhaustive()
    }
}
