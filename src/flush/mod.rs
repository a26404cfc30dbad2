//! When the log is written and synced: group commit, the commit tick, the flush interval.
//!
//! One thread does all syncs, so that whoever waits can give up in time: a sender inside `fdatasync` could not. A durable
//! sender asks for a position and waits; everybody who asks while a sync runs shares the next one. On a fast disk the thread
//! looks out for a lone sender's next message a moment before it sleeps. It sleeps without a timer while nothing is staged,
//! unsynced or asked for. What must not wait behind a slow sync (space, time-outs) is the [`housekeeper`]'s.

pub(crate) mod housekeeper;
mod timers;

use std::task::Waker;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::error::Result;
use crate::options::COMMIT_INTERVAL;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering, Weak};

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

/// A disk whose syncs take longer than this gains nothing by a thread that stays awake.
const FAST_SYNC: Duration = Duration::from_micros(200);

/// How often the thread looks for a lone sender's next message before it sleeps: some 30 µs.
///
/// A sender that stays awake during the sync, on the other hand, makes the sync slower than sleeping does (measured on two
/// cores, with 80 µs a sync: 110 instead of 95 µs a message): the device's interrupts have to be served somewhere.
const LOOKS: u32 = 40;

/// Waits awake, briefly, until `seen` says so.
fn look_out(orders: &mut MutexGuard<'_, Orders>, seen: impl Fn(&Orders) -> bool) {
    for _ in 0..LOOKS {
        if seen(orders) {
            return;
        }
        MutexGuard::unlocked(orders, || {
            (0..16).for_each(|_| std::hint::spin_loop());
            thread::yield_now();
        });
    }
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

    /// Starts the thread. It holds the target only while it works, so that dropping the last handle ends it.
    pub(crate) fn spawn<T: Target + 'static>(
        target: &Arc<T>,
        flusher_of: fn(&T) -> &Self,
    ) -> std::io::Result<JoinHandle<()>> {
        let weak = Arc::downgrade(target);
        thread::Builder::new()
            .name("pocketmq-flush".to_owned())
            .spawn(move || run(&weak, flusher_of))
    }

    /// Tells the thread to end; the caller joins it.
    pub(crate) fn stop(&self) {
        self.orders.lock().stop = true;
        self.release_all();
    }
}

/// If the thread unwinds, nobody may wait for it for ever.
struct Deathbed<T: Target>(Arc<T>);

impl<T: Target> Drop for Deathbed<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}

fn run<T: Target>(weak: &Weak<T>, flusher_of: fn(&T) -> &Flusher) {
    let Some(target) = weak.upgrade() else { return };
    let bed = Deathbed(target);
    let target = &*bed.0;
    let flusher = flusher_of(target);
    while let Some(job) = flusher.next_job(target) {
        flusher.work(target, job);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Sync,
    Flush,
    Commit,
}

impl Flusher {
    /// Sleeps until there is something to do. `None`: stop.
    fn next_job(&self, target: &dyn Target) -> Option<Job> {
        let mut orders = self.orders.lock();
        // A lone sender who was just told comes again at once, most likely.
        if orders.released == 1 && self.fast.load(Ordering::Relaxed) {
            orders.released = 0;
            look_out(&mut orders, |o| o.wanted > o.told || o.commit_now || o.stop);
        }
        loop {
            if orders.stop {
                return None;
            }
            if !target.failed() {
                let now = self.clock.now();
                if orders.wanted > orders.told {
                    Self::gather(&mut orders);
                    return Some(Job::Sync);
                }
                if std::mem::take(&mut orders.commit_now) {
                    return Some(Job::Commit);
                }
                if orders.sync_at.is_some_and(|at| at <= now) {
                    orders.sync_at = None;
                    orders.commit_at = None;
                    return Some(Job::Flush);
                }
                if orders.commit_at.is_some_and(|at| at <= now) {
                    orders.commit_at = None;
                    return Some(Job::Commit);
                }
            }
            let next = [orders.commit_at, orders.sync_at].into_iter().flatten().min();
            orders.asleep = true;
            match next.filter(|_| !target.failed()) {
                Some(at) => {
                    let _ = self.wake.wait_until(&mut orders, self.clock.os(at));
                }
                None => self.wake.wait(&mut orders),
            }
            orders.asleep = false;
        }
    }

    /// Before a sync that many will share: gives those whom the last one released a moment to come again.
    fn gather(orders: &mut MutexGuard<'_, Orders>) {
        let expected = orders.released;
        if expected > 1 {
            for _ in 0..expected * 2 {
                if orders.waiting >= expected {
                    break;
                }
                MutexGuard::unlocked(orders, thread::yield_now);
            }
        }
    }

    fn work(&self, target: &dyn Target, job: Job) {
        // Failures have poisoned the target already; the loop sees that and rests.
        match job {
            Job::Commit => {
                let _ = target.commit();
            }
            Job::Sync => {
                let began = self.clock.os_now();
                let _ = target.sync();
                let fast = self.clock.os_now().duration_since(began) <= FAST_SYNC;
                self.fast.store(fast, Ordering::Relaxed);
                let mut orders = self.orders.lock();
                orders.released = orders.waiting;
                orders.told = target.durable();
                let ready = Self::ready(&mut orders, target);
                self.done.notify_all();
                drop(orders);
                wake_all(ready);
                let _ = target.settle();
            }
            Job::Flush => {
                let _ = target
                    .sync()
                    .and_then(|()| target.settle())
                    .and_then(|()| target.sync_progress());
                self.release_all();
                if !target.failed() && !target.disarm() {
                    self.arm();
                }
            }
        }
    }
}
