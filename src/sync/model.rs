//! The locks of `parking_lot` as the schedule checker sees them: each operation is a point where another thread may run.
//!
//! Time stands still, unless a model lets it pass: then any wait whose deadline may come can time out at any moment. So a
//! wake-up that is lost shows as a deadlock instead of as a delay.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread::{self, Thread};

use super::Arc;

thread_local! {
    // All threads of a model share the thread that runs it.
    static TIME: Cell<Option<Time>> = const { Cell::new(None) };
}

#[derive(Debug, Clone, Copy)]
struct Time {
    now: Instant,
    until: Instant,
}

#[expect(clippy::disallowed_methods, reason = "an `Instant` has to come from somewhere")]
fn time() -> Time {
    TIME.get().unwrap_or_else(|| {
        let now = Instant::now();
        TIME.set(Some(Time { now, until: now }));
        Time { now, until: now }
    })
}

/// What time it is.
pub(crate) fn now() -> Instant {
    time().now
}

/// A model begins: nothing times out in it before [`let_time_pass`].
pub(crate) fn stop_time() {
    TIME.set(None);
}

/// From here on, waits for deadlines within `span` may time out.
pub(crate) fn let_time_pass(span: Duration) {
    let time = time();
    TIME.set(Some(Time { until: time.now + span, ..time }));
}

/// Something took `span`.
pub(crate) fn spend(span: Duration) {
    let time = time();
    TIME.set(Some(Time { now: time.now + span, ..time }));
}

/// Somebody else may run here, as before each use of an atomic.
pub(crate) fn point() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}

/// A number below `below`, chosen with the schedule.
pub(crate) fn choose(below: usize) -> usize {
    thread_rng().gen_range(0..below)
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// `None` while somebody else may hold it.
    held: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, held: Some(self.hold()) }
    }

    fn hold(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        Some(MutexGuard { lock: self, held: Some(self.0.try_lock().ok()?) })
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> MutexGuard<'_, T> {
    pub(crate) fn unlocked<U>(guard: &mut Self, job: impl FnOnce() -> U) -> U {
        guard.held = None;
        let out = job();
        guard.held = Some(guard.lock.hold());
        out
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.held.as_ref().expect("held outside `unlocked`")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("held outside `unlocked`")
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes nobody by chance, as `parking_lot`'s does not.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    /// A plain lock: the checker does not see it, and nothing else runs while it is held.
    waiting: std::sync::Mutex<Vec<Arc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    told: std::sync::atomic::AtomicBool,
    thread: Thread,
}

impl Waiter {
    fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }

    fn tell(&self) {
        self.told.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// How a wait with a deadline ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitOutcome {
    timed_out: bool,
}

impl WaitOutcome {
    pub(crate) fn timed_out(self) -> bool {
        self.timed_out
    }
}

/// A wait that may time out does so after fewer looks than this.
const LOOKS: usize = 12;

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether somebody was woken.
    pub(crate) fn notify_one(&self) -> bool {
        point();
        let told = {
            let mut waiting = self.waiting();
            match waiting.len() {
                0 => return false,
                1 => waiting.remove(0),
                several => waiting.swap_remove(choose(several)),
            }
        };
        told.tell();
        true
    }

    pub(crate) fn notify_all(&self) {
        point();
        let told = std::mem::take(&mut *self.waiting());
        for waiter in told {
            waiter.tell();
        }
    }

    fn enlist(&self) -> Arc<Waiter> {
        point();
        let waiter = Arc::new(Waiter { told: false.into(), thread: thread::current() });
        self.waiting().push(Arc::clone(&waiter));
        waiter
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let waiter = self.enlist();
        MutexGuard::unlocked(guard, || {
            while !waiter.is_told() {
                thread::park();
            }
        });
    }

    pub(crate) fn wait_while<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut so: impl FnMut(&mut T) -> bool,
    ) {
        while so(guard) {
            self.wait(guard);
        }
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitOutcome {
        if deadline > time().until.max(now()) {
            self.wait(guard);
            return WaitOutcome { timed_out: false };
        }
        let waiter = self.enlist();
        let mut looks = choose(LOOKS);
        let told = MutexGuard::unlocked(guard, || {
            while !waiter.is_told() && looks > 0 {
                looks -= 1;
                thread::yield_now();
            }
            self.waiting().retain(|other| !Arc::ptr_eq(other, &waiter));
            waiter.is_told()
        });
        if !told {
            spend(deadline.saturating_duration_since(now()));
        }
        WaitOutcome { timed_out: !told }
    }
}
