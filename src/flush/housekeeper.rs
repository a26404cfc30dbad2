//! What must not wait behind a slow sync: full chunks, space ahead of the writer, consume queue units, time-outs of futures.
//!
//! Sleeps without a timer unless a future waits with a deadline.

use std::task::Waker;
use std::time::Instant;

use crate::clock::Clock;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering};

use super::timers::{Timer, Timers};

/// The housekeeping thread's orders.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    orders: Mutex<Orders>,
    /// Chunks are asked for already: senders look here without the lock.
    chunks_asked: AtomicBool,
    wake: Condvar,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Orders {
    asked: Asked,
    timers: Timers,
    stop: bool,
}

/// What there is to do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Asked {
    chores: bool,
    chunks: bool,
    alarm: bool,
}

/// What the housekeeper looks after.
pub(crate) trait House: Send + Sync {
    /// Work that has piled up. Failures are dealt with before it returns.
    fn chores(&self);
    /// Writes the staged chunks to their file.
    fn commit_chunks(&self);
    /// Writing has stopped for good: those who wait are to be told.
    fn alarm(&self);
    /// The thread died.
    fn abandon(&self);
}

impl Housekeeper {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            orders: Mutex::default(),
            chunks_asked: AtomicBool::new(false),
            wake: Condvar::new(),
            clock,
        }
    }

    /// There is work.
    pub(crate) fn ask(&self) {
        let mut orders = self.orders.lock();
        if !orders.asked.chores {
            orders.asked.chores = true;
            self.wake.notify_one();
        }
    }

    /// Chunks are staged: the sender goes on while they are written.
    pub(crate) fn ask_commit(&self) {
        // Whoever finds it set knows that the thread has yet to look.
        if self.chunks_asked.load(Ordering::Relaxed)
            || self.chunks_asked.swap(true, Ordering::AcqRel)
        {
            return;
        }
        self.orders.lock().asked.chunks = true;
        self.wake.notify_one();
    }

    /// Writing has stopped for good.
    pub(crate) fn alarm(&self) {
        self.orders.lock().asked.alarm = true;
        self.wake.notify_one();
    }

    /// Has `waker` woken at `at` by [`Clock::os_now`], instead of what the timer was set to.
    pub(crate) fn wake_at(&self, timer: &mut Timer, at: Instant, waker: &Waker) {
        let (first, old) = self.orders.lock().timers.set(timer, at, waker);
        if first {
            self.wake.notify_one();
        }
        drop(old);
    }

    /// Nobody waits for the time any more.
    pub(crate) fn forget(&self, timer: &mut Timer) {
        if timer.is_set() {
            let old = self.orders.lock().timers.clear(timer);
            drop(old);
        }
    }

    #[cfg(test)]
    pub(crate) fn timers(&self) -> usize {
        self.orders.lock().timers.len()
    }

    pub(crate) fn stop(&self) {
        let mut orders = self.orders.lock();
        orders.stop = true;
        let timers = orders.timers.take_all();
        self.wake.notify_all();
        drop(orders);
        super::wake_all(timers);
    }

    pub(crate) fn spawn<T: House + 'static>(
        house: &Arc<T>,
        keeper_of: fn(&T) -> &Self,
    ) -> std::io::Result<JoinHandle<()>> {
        let house = Arc::clone(house);
        thread::Builder::new().name("pocketmq-keep".to_owned()).spawn(move || {
            let bed = Deathbed(house);
            keeper_of(&bed.0).run(&*bed.0);
        })
    }

    fn run(&self, house: &dyn House) {
        let mut orders = self.orders.lock();
        while !orders.stop {
            let now = self.clock.os_now();
            let due = orders.timers.due(now);
            let asked = std::mem::take(&mut orders.asked);
            if asked != Asked::default() || !due.is_empty() {
                drop(orders);
                if asked.chunks {
                    // First, so that a sender who finds more asks again.
                    self.chunks_asked.store(false, Ordering::Release);
                    house.commit_chunks();
                }
                super::wake_all(due);
                if asked.alarm {
                    house.alarm();
                }
                if asked.chores {
                    house.chores();
                }
                orders = self.orders.lock();
                continue;
            }
            match orders.timers.first() {
                Some(at) => {
                    let _ = self.wake.wait_until(&mut orders, at);
                }
                None => self.wake.wait(&mut orders),
            }
        }
    }
}

/// If the thread unwinds, the house must know.
struct Deathbed<T: House>(Arc<T>);

impl<T: House> Drop for Deathbed<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}
