//! Workers: handlers that are given the messages of a group as they come.
//!
//! Each thread of a worker waits for a message (`intake.rs`), runs the handler (`handling.rs`) and settles the message as it says
//! (`settle.rs`). What the threads share with the handle is in `crew.rs`; one more thread watches for handlers that take too long
//! (`watch.rs`).
//!
//! The threads keep neither the queue open nor the handle alive, and nobody joins them: a close ends them, wherever it is called.

mod builder;
mod crew;
pub(crate) mod future;
mod handling;
mod intake;
mod settle;
#[cfg(test)]
mod tests;
mod topics;
mod watch;

use std::fmt;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::member::Member;
use crate::error::Result;
use crate::handler::{Envelope, Push};
use crate::message::{QueueId, QueueOffset};
use crate::options::LONGEST_WAIT;
use crate::sync::{Arc, Weak};

use crew::{Crew, Post};
use handling::Desk;
use intake::{Intake, Source};

pub use future::{Control, Shutdown, Work};
pub use topics::WorkerBuilder;

/// Handlers that run on threads of their own: see [`ConsumerBuilder::run`](crate::ConsumerBuilder::run).
///
/// Keeps the queue open. When it is dropped, no more messages are taken; what runs, runs on, and nobody waits for it.
#[must_use = "a worker that is dropped takes no more messages"]
pub struct Worker {
    engine: Arc<Engine>,
    crew: Arc<Crew>,
}

/// What a worker has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Messages that a handler has at the moment.
    pub running: usize,
    /// Messages that were done.
    pub handled: u64,
    /// Messages that were put off or given back without a failure.
    pub put_off: u64,
    /// Attempts that failed, those that panicked or did not decode among them.
    pub failed: u64,
    /// Attempts that panicked.
    pub panicked: u64,
    /// Attempts that took too long; what they returned in the end counts besides.
    pub timed_out: u64,
}

/// How a shutdown ended: see [`Worker::shutdown`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// What was not finished.
    pub unfinished: Vec<Unfinished>,
}

/// A message that a handler still had when the time for a shutdown was over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unfinished {
    /// The topic's name.
    pub topic: String,
    /// The queue.
    pub queue: QueueId,
    /// Its offset there.
    pub offset: QueueOffset,
    /// How long the handler had run.
    pub running: Duration,
}

impl Unfinished {
    fn new(job: &Envelope, running: Duration) -> Self {
        let message = job.message();
        let topic = message.topic().to_owned();
        Self { topic, queue: message.queue(), offset: message.queue_offset(), running }
    }
}

impl Worker {
    fn start(engine: &Arc<Engine>, group: &str, push: Push, sources: Vec<Source>) -> Result<Self> {
        let crew = Crew::new(engine.store(), &push);
        let worker = Self { engine: Arc::clone(engine), crew: Arc::clone(&crew) };
        for source in &sources {
            let standing_by: Weak<Crew> = Arc::downgrade(&crew);
            source.seat.tell_of(standing_by);
            settle::tell_already_set_aside(&push.events, &source.seat);
        }
        let (push, sources) = (Arc::new(push), Arc::<[Source]>::from(sources));
        let name = format!("pocketmq-{group}");
        for post in crew.posts() {
            let (crew, post) = (Arc::clone(&crew), Arc::clone(post));
            let (push, sources) = (Arc::clone(&push), Arc::clone(&sources));
            let members = sources.iter().map(|source| Member::join(Arc::clone(&source.seat)));
            let members: Vec<_> = members.collect();
            // An error stops those that have begun: the worker is dropped.
            worker.crew.spawn(&name, true, move || {
                work(&crew, &post, &push, (&sources, members));
            })?;
        }
        let (watched, events) = (Arc::clone(&crew), push.events.clone());
        worker.crew.spawn("pocketmq-watch", false, move || watch::watch(&watched, &events))?;
        Ok(worker)
    }

    /// Takes no more messages until [`Worker::resume`]; handlers that run go on. A thread that is done leaves its queues to other consumers, where
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
        if self.engine.store().check_parent().is_ok() {
            self.crew.pause(paused);
        }
    }

    /// Takes no more messages, and waits until the handlers that run have returned and their messages are settled.
    ///
    /// When `patience` is over, handlers that still run are told to give up ([`Job::is_cancelled`](crate::Job::is_cancelled)), and this
    /// returns and says what they are at. That is no failed attempt: if such a handler returns an error afterwards, its message is given
    /// back; if it is done after all, so is its message, as long as the queue is open. Another call waits for them again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) on one of the worker's own threads, which cannot wait for itself; no more messages are taken.
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) in a forked child.
    pub fn shutdown(&self, patience: Duration) -> Result<ShutdownReport> {
        let store = self.engine.store();
        store.check_parent()?;
        self.crew.stop();
        let deadline = store.clock.os_now() + patience.min(LONGEST_WAIT);
        Ok(ShutdownReport { unfinished: self.crew.wait_for_all(deadline)? })
    }

    /// What it has done so far, and how many messages it is at.
    pub fn stats(&self) -> WorkerStats {
        let there = self.engine.store().check_parent().is_ok();
        let busy = if there { self.crew.busy() } else { Vec::new() };
        self.crew.stats(busy.iter().map(|busy| busy.jobs.len()).sum())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.engine.store().check_parent().is_ok() {
            self.crew.stop();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("crew", &self.crew).finish_non_exhaustive()
    }
}

/// What each thread does.
fn work(crew: &Crew, post: &Arc<Post>, push: &Push, sources: (&[Source], Vec<Member>)) {
    let desk = Desk { crew, post, push };
    let mut intake = Intake::new(crew, post, sources, &push.events);
    while let Some((source, messages)) = intake.next() {
        (source.handling)(&desk, messages);
    }
}
