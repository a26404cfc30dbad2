//! The flusher's thread: what is due, and doing it.

use std::time::Duration;

use crate::error::Result;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, MutexGuard, Ordering, Weak};

use super::{Flusher, Orders, Target, wake_all};

/// A disk whose syncs take longer than this gains nothing by a thread that stays awake.
const FAST_SYNC: Duration = Duration::from_micros(200);

/// How often the thread looks for a lone sender's next message before it sleeps: some 30 µs.
///
/// A sender that stays awake during the sync, on the other hand, makes the sync slower than sleeping does (measured on two
/// cores, with 80 µs a sync: 110 instead of 95 µs a message): the device's interrupts have to be served somewhere.
const LOOKS: u32 = 40;

/// So long after something was appended, whoever still waits looks once more: `RocketMQ`'s long polling does, and a wake-up that was lost
/// would else be lost for good.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(5);

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
pub(super) enum Job {
    Sync,
    Flush,
    Commit,
    Look,
}

impl Flusher {
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

    /// Sleeps until there is something to do. `None`: stop.
    pub(super) fn next_job(&self, target: &dyn Target) -> Option<Job> {
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
                // First what is due: senders who wait for the disk may never leave a gap.
                if orders.look_at.is_some_and(|at| at <= now) {
                    orders.look_at = None;
                    return Some(Job::Look);
                }
                if orders.sync_at.is_some_and(|at| at <= now) {
                    orders.sync_at = None;
                    orders.commit_at = None;
                    return Some(Job::Flush);
                }
                if orders.wanted > orders.told {
                    Self::gather(&mut orders);
                    return Some(Job::Sync);
                }
                if std::mem::take(&mut orders.commit_now) {
                    return Some(Job::Commit);
                }
                if orders.commit_at.is_some_and(|at| at <= now) {
                    orders.commit_at = None;
                    return Some(Job::Commit);
                }
            }
            let next =
                [orders.commit_at, orders.sync_at, orders.look_at].into_iter().flatten().min();
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

    pub(super) fn work(&self, target: &dyn Target, job: Job) {
        // Failures have poisoned the target already; the loop sees that and rests.
        match job {
            Job::Look => {
                target.look_again();
                // As long as something is not flushed, more may come without another word.
                let mut orders = self.orders.lock();
                if orders.sync_at.is_some() {
                    orders.look_at = Some(self.clock.now() + LOOK_INTERVAL);
                }
            }
            Job::Commit => {
                let _ = target.commit();
            }
            Job::Sync => {
                let _ = self.sync(target);
                let _ = target.settle();
            }
            Job::Flush => {
                let _ = self
                    .sync(target)
                    .and_then(|()| target.settle())
                    .and_then(|()| target.sync_progress());
                self.release_all();
                if !target.failed() && !target.disarm() {
                    self.arm();
                }
            }
        }
    }

    /// Makes the log durable, and tells at once whoever waits for that.
    fn sync(&self, target: &dyn Target) -> Result<()> {
        let began = self.clock.os_now();
        let synced = target.sync();
        let fast = self.clock.os_now().duration_since(began) <= FAST_SYNC;
        self.fast.store(fast, Ordering::Relaxed);
        let mut orders = self.orders.lock();
        orders.released = orders.waiting;
        orders.told = target.durable();
        let ready = Self::ready(&mut orders, target);
        self.done.notify_all();
        drop(orders);
        wake_all(ready);
        synced
    }
}
