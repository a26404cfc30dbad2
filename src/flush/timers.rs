//! Futures that are woken at a time.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// Wakers, by the time when they are woken.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeMap<Key, Waker>,
    next: u64,
}

type Key = (Instant, u64);

/// One future's place among the timers: it has one time at most. Whoever goes away takes it back, so that what waited does not stay
/// behind until its time comes.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Key>);

impl Timer {
    pub(crate) const fn is_set(&self) -> bool {
        self.0.is_some()
    }
}

impl Timers {
    /// Has `waker` woken at `at`, instead of what the timer was set to. Says whether no other time is earlier; and the old waker, to be
    /// dropped without locks.
    pub(super) fn set(
        &mut self,
        timer: &mut Timer,
        at: Instant,
        waker: &Waker,
    ) -> (bool, Option<Waker>) {
        let old = self.clear(timer);
        let key = (at, self.next);
        self.next += 1;
        let first = self.first().is_none_or(|first| at < first);
        self.by_time.insert(key, waker.clone());
        timer.0 = Some(key);
        (first, old)
    }

    pub(super) fn clear(&mut self, timer: &mut Timer) -> Option<Waker> {
        self.by_time.remove(&timer.0.take()?)
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out those whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.by_time.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
        due
    }

    pub(super) fn take_all(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.by_time).into_values().collect()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}
