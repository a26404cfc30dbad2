//! Leases that end, and who is told of what happens to a group.

use std::fmt;
use std::time::{Duration, Instant};

use crate::observe;
use crate::progress::Failed;
use crate::sync::{Mutex, Ordering, Weak};

use super::{Dispatch, Place};

/// Whoever hands messages to handlers, and tells of what happens to the group meanwhile.
pub(crate) trait Bystander: Send + Sync {
    /// The lease of a message in somebody's hands ended, and there is no other attempt.
    fn set_aside(&self, topic: &str, place: Place);
    /// No more of a queue is read ahead past keys that are blocked.
    fn crowded(&self, topic: &str, queue: u32);
}

/// Those who are told.
#[derive(Default)]
pub(super) struct Bystanders(Mutex<Vec<Weak<dyn Bystander>>>);

impl fmt::Debug for Bystanders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bystanders").field(&self.0.lock().len()).finish()
    }
}

impl Dispatch {
    /// A lease ends then: whoever sleeps may have to sleep less long.
    pub(super) fn lease_ends(&self, at: Instant) {
        let ms = at.saturating_duration_since(self.began).as_micros().div_ceil(1000);
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        if ms < self.first_lease.fetch_min(ms, Ordering::SeqCst) {
            self.wake_all();
        }
    }

    /// Takes back what was held for too long.
    pub(super) fn end_leases(&self) {
        let first = self.first_lease.load(Ordering::SeqCst);
        if first == u64::MAX {
            return;
        }
        let now = self.store.clock.now();
        if now < self.began + Duration::from_millis(first) {
            return;
        }
        let mine =
            self.first_lease.compare_exchange(first, u64::MAX, Ordering::SeqCst, Ordering::SeqCst);
        if mine.is_err() {
            return;
        }
        let now_ms = self.store.clock.wall_ms();
        for cursor in &self.cursors {
            if self.is_by_queue() {
                self.end_leases_in_turn(cursor, now, now_ms);
                continue;
            }
            let epoch = cursor.epoch();
            let expired = self.store.progress.expire(cursor, now, now_ms);
            if let Some(next) = cursor.first_lease() {
                self.lease_ends(next);
            }
            if expired.is_empty() {
                continue;
            }
            let mut state = self.state.lock();
            if cursor.epoch() == epoch {
                for &(offset, failed) in &expired {
                    self.park(&mut state, (cursor.queue(), offset), failed);
                }
            }
            self.rouse_all(state);
            for (offset, failed) in expired {
                self.has_expired((cursor.queue(), offset), failed);
            }
        }
    }
    /// A lease ended: those who observe are told. Called without locks.
    pub(super) fn has_expired(&self, place: Place, failed: Failed) {
        let attempt = self.attempt(place, failed);
        observe::expired(self.names(), &self.meter, attempt);
        if attempt.last {
            self.tell(|bystander| bystander.set_aside(self.topic.name(), place));
        }
    }

    /// Queues are read no further ahead. Called without locks.
    pub(super) fn are_crowded(&self, queues: impl Iterator<Item = u32>) {
        for queue in queues {
            self.tell(|bystander| bystander.crowded(self.topic.name(), queue));
        }
    }

    /// Has `bystander` told of what happens here, as long as it is there.
    pub(crate) fn tell_of(&self, bystander: Weak<dyn Bystander>) {
        let mut bystanders = self.bystanders.0.lock();
        bystanders.retain(|known| known.strong_count() > 0);
        bystanders.push(bystander);
    }

    /// Called without locks.
    fn tell(&self, what: impl Fn(&dyn Bystander)) {
        let bystanders: Vec<_> =
            self.bystanders.0.lock().iter().filter_map(Weak::upgrade).collect();
        for bystander in bystanders {
            what(&*bystander);
        }
    }
}
