//! When the log is written and synced: group commit, the commit tick, the flush interval.
//!
//! One thread does all syncs, so that whoever waits can give up in time: a sender inside `fdatasync` could not. A durable
//! sender asks for a position and waits; everybody who asks while a sync runs shares the next one. On a fast disk the thread
//! looks out for a lone sender's next message a moment before it sleeps. It sleeps without a timer while nothing is staged,
//! unsynced or asked for. What must not wait behind a slow sync (space, time-outs) is the [`housekeeper`]'s.

pub(crate) mod housekeeper;
#[cfg(test)]
mod tests;
mod thread;
mod timers;

use std::task::Waker;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::Result;
use crate::options::COMMIT_INTERVAL;
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard};

pub(crate) use timers::Timer;

/// What the flusher drives. Every method may be called from any thread; a failure is dealt with (by poisoning) before
/// the method returns.
pub(crate) trait Target: Send + Sync {
    /// The position that survives a power cut.
    fn durable(&self) -> u64;
    /// Writes what is staged to its file, and lets waiting messages in.
    fn commit(&self) -> Result<()>;
    /// Makes everything appended so far durable.
    fn sync(&self) -> Result<()>;
    /// What follows from a sync, and nobody waits for.
    fn settle(&self) -> Result<()>;
    /// Makes acknowledgements durable.
    fn sync_progress(&self) -> Result<()>;
    /// Called when everything was synced: `true` if nothing was appended or acknowledged since, and then the next
    /// append or acknowledgement arms the timer again.
    fn disarm(&self) -> bool;
    /// Has everybody who waits for a message look once more.
    fn look_again(&self);
    /// Whether writing has stopped for good.
    fn failed(&self) -> bool;
    /// Stops writing for good, because the thread died.
    fn abandon(&self);
}

/// The waiting room of durable senders, and the flusher thread's orders.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// Protects the orders below. Taken after the append lock, never before it.
    orders: Mutex<Orders>,
    /// The flusher thread waits here.
    wake: Condvar,
    /// Durable senders wait here.
    done: Condvar,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Without a thread, whoever waits does the work.
    threaded: bool,
    /// The last sync was so fast that sleeping costs as much.
    fast: AtomicBool,
}

#[derive(Debug, Default)]
struct Orders {
    /// Somebody waits for this position to become durable.
    wanted: u64,
    /// Whoever waits for less has been told. Not the durable position: others make the log durable too, and tell nobody.
    told: u64,
    /// How many wait.
    waiting: usize,
    /// How many the last sync released: as many are likely to come again.
    released: usize,
    commit_at: Option<Instant>,
    sync_at: Option<Instant>,
    look_at: Option<Instant>,
    commit_now: bool,
    /// Futures to poll again once their position is durable.
    wakers: Vec<(u64, Waker)>,
    stop: bool,
    asleep: bool,
}

/// Notes that `waker` waits for `at`. One task may wait for several: the first wakes it, and it comes again with the next.
fn wake_at_first(waiting: &mut Vec<(u64, Waker)>, at: u64, waker: &Waker) {
    match waiting.iter_mut().find(|(_, known)| known.will_wake(waker)) {
        Some((known, _)) => *known = at.min(*known),
        None => waiting.push((at, waker.clone())),
    }
}

/// Wakes futures, without locks held. One whose waker panics takes nobody with it.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
    }
}

/// The outcome of waiting for durability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Durable,
    TimedOut,
    Failed,
}

impl Flusher {
    pub(crate) fn new(clock: Arc<dyn Clock>, interval: Duration, threaded: bool) -> Self {
        Self {
            orders: Mutex::new(Orders::default()),
            wake: Condvar::new(),
            done: Condvar::new(),
            clock,
            interval,
            threaded,
            fast: AtomicBool::new(false),
        }
    }

    /// Something was appended or acknowledged after [`Target::disarm`] said `true`: start the timers.
    pub(crate) fn arm(&self) {
        let now = self.clock.now();
        let mut orders = self.orders.lock();
        let commit = now + COMMIT_INTERVAL.min(self.interval);
        orders.commit_at.get_or_insert(commit);
        orders.sync_at.get_or_insert(now + self.interval);
        orders.look_at.get_or_insert(now + thread::LOOK_INTERVAL);
        self.rouse(&orders);
    }

    /// A full chunk is staged, or somebody waits in line.
    pub(crate) fn ask_commit(&self) {
        let mut orders = self.orders.lock();
        if !orders.commit_now {
            orders.commit_now = true;
            self.rouse(&orders);
        }
    }

    /// Starts making `position` durable without waiting for it.
    pub(crate) fn ask_durable(&self, position: u64) {
        let mut orders = self.orders.lock();
        if orders.wanted < position {
            orders.wanted = position;
            self.rouse(&orders);
        }
    }

    fn rouse(&self, orders: &MutexGuard<'_, Orders>) {
        if orders.asleep {
            self.wake.notify_one();
        }
    }

    /// Waits until `position` is durable, at most until `deadline` by [`Clock::os_now`].
    pub(crate) fn wait_durable(
        &self,
        target: &dyn Target,
        position: u64,
        deadline: Option<Instant>,
    ) -> Waited {
        if target.durable() >= position {
            return Waited::Durable;
        }
        if !self.threaded {
            let synced = target.sync();
            // Whatever comes of it, the log is durable.
            let _ = target.settle();
            return if synced.is_ok() && target.durable() >= position {
                Waited::Durable
            } else {
                Waited::Failed
            };
        }
        let mut orders = self.orders.lock();
        orders.waiting += 1;
        if orders.wanted < position {
            orders.wanted = position;
            self.rouse(&orders);
        }
        loop {
            if target.durable() >= position {
                orders.waiting -= 1;
                return Waited::Durable;
            }
            if target.failed() || orders.stop {
                orders.waiting -= 1;
                return Waited::Failed;
            }
            match deadline {
                None => self.done.wait(&mut orders),
                Some(deadline) => {
                    if self.done.wait_until(&mut orders, deadline).timed_out()
                        && target.durable() < position
                    {
                        orders.waiting -= 1;
                        return Waited::TimedOut;
                    }
                }
            }
        }
    }

    /// Has `waker` woken once `position` is durable or never will be. `false`: that is so already.
    pub(crate) fn wake_when_durable(
        &self,
        target: &dyn Target,
        position: u64,
        waker: &Waker,
    ) -> bool {
        let mut orders = self.orders.lock();
        if target.durable() >= position || target.failed() || orders.stop {
            return false;
        }
        wake_at_first(&mut orders.wakers, position, waker);
        if orders.wanted < position {
            orders.wanted = position;
            self.rouse(&orders);
        }
        true
    }

    /// Takes out the wakers whose wait is over.
    fn ready(orders: &mut Orders, target: &dyn Target) -> Vec<Waker> {
        let (durable, all) = (target.durable(), target.failed() || orders.stop);
        orders
            .wakers
            .extract_if(.., |(position, _)| all || *position <= durable)
            .map(|(_, waker)| waker)
            .collect()
    }

    /// Writing has stopped: threads that wait look again. Futures are woken by [`Flusher::release_all`].
    pub(crate) fn notice_failure(&self) {
        let _orders = self.orders.lock();
        self.done.notify_all();
        self.wake.notify_all();
    }

    /// Time was moved: the thread looks what is due.
    #[cfg(feature = "testing")]
    pub(crate) fn time_moved(&self) {
        let _orders = self.orders.lock();
        self.wake.notify_all();
    }

    /// Wakes everybody who waits, after a failure or at close. Called without locks: futures may be polled on the spot.
    pub(crate) fn release_all(&self) {
        let mut orders = self.orders.lock();
        let wakers = std::mem::take(&mut orders.wakers);
        self.done.notify_all();
        self.wake.notify_all();
        drop(orders);
        // Those whose wait is not over look again and come back.
        wake_all(wakers.into_iter().map(|(_, waker)| waker));
    }

    /// Tells the thread to end; the caller joins it.
    pub(crate) fn stop(&self) {
        self.orders.lock().stop = true;
        self.release_all();
    }
}
