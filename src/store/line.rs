//! The slot of a message that waits in line: where its position will be found.

use std::task::Waker;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::flush::wake_all;
use crate::sync::{Condvar, Mutex};

use super::append::Part;

/// Filled once, when the message got its place or was refused.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Result<Part>>,
    settled: bool,
    waker: Option<Waker>,
}

impl Slot {
    pub(crate) fn settle(&self, outcome: Result<Part>) {
        let mut state = self.state.lock();
        state.outcome = Some(outcome);
        state.settled = true;
        let waker = state.waker.take();
        self.filled.notify_all();
        drop(state);
        wake_all(waker);
    }

    /// Takes the outcome, waiting for it until `deadline`. `None`: not yet.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<Result<Part>> {
        let mut state = self.state.lock();
        while !state.settled {
            if self.filled.wait_until(&mut state, deadline).timed_out() && !state.settled {
                return None;
            }
        }
        Some(state.outcome.take().unwrap_or_else(|| Err(Error::closed())))
    }

    /// Takes the outcome, or has `waker` woken when it is there.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Result<Part>> {
        let mut state = self.state.lock();
        if state.settled {
            return Some(state.outcome.take().unwrap_or_else(|| Err(Error::closed())));
        }
        state.waker = Some(waker.clone());
        None
    }
}
