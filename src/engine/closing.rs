//! Closing happens once, whoever asks for it and on whatever thread.

use std::io;

use crate::delay::Delay;
use crate::error::{Error, ErrorKind, Result};
use crate::store::close::Closed;
use crate::store::{Store, Threads};
use crate::sync::thread::{self, Builder, ThreadId};
use crate::sync::{Arc, Condvar, Mutex};

use super::Groups;

/// Whether the store was closed, by whom, and what came of it.
#[derive(Debug)]
pub(super) struct Closing {
    state: Mutex<State>,
    over: Condvar,
    /// The store's threads: they can't wait for their own end.
    own: Vec<ThreadId>,
}

#[derive(Debug)]
enum State {
    Open(Threads),
    /// By this thread.
    Running(ThreadId),
    /// And why it failed, if it did.
    Over(Result<Closed, String>),
}

/// What a thread that closes needs.
#[derive(Debug)]
pub(super) struct Closer {
    pub(super) store: Arc<Store>,
    pub(super) delay: Arc<Delay>,
    pub(super) groups: Arc<Groups>,
    pub(super) closing: Arc<Closing>,
}

/// Starts a thread that does the job.
pub(super) type Spawn = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

pub(super) fn spawn(job: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    Builder::new().name("pocketmq-close".to_owned()).spawn(job).map(drop)
}

impl Closing {
    pub(super) fn new(threads: Threads) -> Self {
        let own = threads.ids();
        Self { state: Mutex::new(State::Open(threads)), over: Condvar::new(), own }
    }

    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized {
        self.state.lock()
    }
}

impl Closer {
    /// Closes, or waits for whoever closes already and says the same.
    ///
    /// # Errors
    ///
    /// What went wrong; `Closed` with the same words if that was said to somebody before. `Busy` on a thread that cannot
    /// wait, because it would wait for itself: closing goes on without it.
    pub(super) fn close(self, spawn: Spawn) -> Result<Closed> {
        let here = thread::current().id();
        let own = self.closing.own.contains(&here) || self.delay.is_current();
        let mut state = self.closing.state.lock();
        let threads = loop {
            match &mut *state {
                State::Open(threads) => break std::mem::take(threads),
                State::Over(outcome) => return outcome.clone().map_err(|why| closed_badly(&why)),
                State::Running(by) if own || *by == here => return Err(busy()),
                State::Running(_) => self.closing.over.wait(&mut state),
            }
        };
        *state = State::Running(here);
        drop(state);
        if own { self.hand_over(threads, spawn) } else { self.run(threads) }
    }

    /// The store's threads hold no engine, but they wake futures, and a woken future may close or be the last holder. A thread
    /// cannot wait for its own end, so another one closes; if there can be none, this one does what it can.
    fn hand_over(self, threads: Threads, spawn: Spawn) -> Result<Closed> {
        let job = Arc::new(Mutex::new(Some((self, threads))));
        let there = Arc::clone(&job);
        let take_over = move || {
            let job = there.lock().take();
            if let Some((closer, threads)) = job {
                *closer.closing.state.lock() = State::Running(thread::current().id());
                let _ = closer.run(threads);
            }
        };
        if spawn(Box::new(take_over)).is_ok() {
            return Err(busy());
        }
        let job = job.lock().take();
        job.map_or_else(|| Err(busy()), |(closer, threads)| closer.run(threads))
    }

    /// Ends as a killed process does: what it leaves can be looked at while `image` runs. `Closed` if somebody closed it before.
    #[cfg(feature = "testing")]
    pub(super) fn crash(self, image: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut state = self.closing.state.lock();
        let State::Open(threads) = &mut *state else { return Err(Error::closed()) };
        let threads = std::mem::take(threads);
        *state = State::Running(thread::current().id());
        drop(state);
        let _said = Said { closer: &self, outcome: Err("its process died".to_owned()) };
        self.delay.stop();
        self.store.abandon(threads, image)
    }

    fn run(self, threads: Threads) -> Result<Closed> {
        let mut said =
            Said { closer: &self, outcome: Err("closing it was interrupted".to_owned()) };
        // What waits is left where it is.
        self.delay.stop();
        let closed = self.store.close(threads);
        said.outcome = closed.as_ref().map(Clone::clone).map_err(ToString::to_string);
        closed
    }
}

/// Tells those who wait, also if closing unwinds.
struct Said<'a> {
    closer: &'a Closer,
    outcome: Result<Closed, String>,
}

impl Drop for Said<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(Closed::default()));
        let Closer { groups, closing, .. } = self.closer;
        *closing.state.lock() = State::Over(outcome);
        closing.over.notify_all();
        let dispatches: Vec<_> =
            groups.lock().values().map(|hall| Arc::clone(&hall.dispatch)).collect();
        for dispatch in dispatches {
            dispatch.wake_all();
        }
    }
}

fn busy() -> Error {
    let why = "the queue is being closed, and cannot be waited for on one of its own threads";
    Error::new(ErrorKind::Busy, why)
}

fn closed_badly(why: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("the queue is closed, though not cleanly: {why}"))
}
