//! Handlers that take too long are reported.
//!
//! The watching thread has a timer only when a handler runs, and it is not set anew for each: it runs out when the first of those would
//! be overdue that ran when it was set. So it costs a message nothing but a look at a flag, and wakes at most once in the time that a
//! handler has.

use std::time::{Duration, Instant};

use crate::clock::Sleeper;
use crate::handler::{Events, WorkerEvent};
use crate::options::LONGEST_WAIT;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

use super::crew::Crew;

#[derive(Debug)]
pub(super) struct Watch {
    timeout: Duration,
    /// Whether there is a timer, or somebody looks whether there has to be one.
    armed: AtomicBool,
    /// Whether the time was moved since it last looked.
    moved: AtomicBool,
    /// Whether nobody is left to watch.
    over: Mutex<bool>,
    wake: Condvar,
}

impl Watch {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout: timeout.min(LONGEST_WAIT),
            armed: AtomicBool::new(false),
            moved: AtomicBool::new(false),
            over: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// A handler began. Called when it can be seen at its post.
    pub(super) fn begun(&self) {
        if !self.armed.load(Ordering::SeqCst) && !self.armed.swap(true, Ordering::SeqCst) {
            let _over = self.over.lock();
            self.wake.notify_one();
        }
    }

    pub(super) fn end(&self) {
        *self.over.lock() = true;
        self.wake.notify_one();
    }
}

impl Sleeper for Crew {
    fn time_moved(&self) {
        self.watch.moved.store(true, Ordering::SeqCst);
        let _over = self.watch.over.lock();
        self.watch.wake.notify_one();
    }
}

/// Watches until nobody is left.
pub(super) fn watch(crew: &Crew, events: &Events) {
    let watch = &crew.watch;
    loop {
        watch.moved.store(false, Ordering::SeqCst);
        let due = report(crew, events);
        let mut over = watch.over.lock();
        if *over {
            return;
        }
        if let Some(due) = due {
            if !watch.moved.load(Ordering::SeqCst) {
                watch.wake.wait_until(&mut over, crew.store.clock.os(due));
            }
        } else {
            while !*over && !watch.armed.load(Ordering::SeqCst) {
                watch.wake.wait(&mut over);
            }
        }
    }
}

/// Reports the handlers that are overdue. Says when the next one is, and without any there is no timer.
pub(super) fn report(crew: &Crew, events: &Events) -> Option<Instant> {
    loop {
        if let Some(due) = report_once(crew, events) {
            return Some(due);
        }
        crew.watch.armed.store(false, Ordering::SeqCst);
        // One may have begun just before, and found a timer.
        let any = crew.busy().iter().any(|busy| !busy.cancel.is_overdue());
        if !any || crew.watch.armed.swap(true, Ordering::SeqCst) {
            return None;
        }
    }
}

fn report_once(crew: &Crew, events: &Events) -> Option<Instant> {
    let now = crew.store.clock.now();
    let mut next: Option<Instant> = None;
    for busy in crew.busy() {
        if busy.cancel.is_overdue() {
            continue;
        }
        let Some(due) = busy.since.checked_add(crew.watch.timeout) else { continue };
        if due > now {
            next = Some(next.map_or(due, |next| next.min(due)));
        } else if busy.cancel.time_is_up() {
            let running = now.saturating_duration_since(busy.since);
            for job in &*busy.jobs {
                crew.counts.timed_out.fetch_add(1, Ordering::SeqCst);
                events.tell(&WorkerEvent::TimedOut { job, running });
            }
        }
    }
    next
}
