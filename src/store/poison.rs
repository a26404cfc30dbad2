//! After a failed write or sync nothing is known about what the disk holds: the store stops writing for good.
//!
//! Whoever finds the failure may hold any lock, so it only raises the flag, freezes what readers can see and wakes the store's
//! own threads ([`Store::poisoned_by`]). The housekeeper, which holds none, tells everybody who waits ([`Store::spread_poison`]).

use crate::error::{Error, ErrorKind};
use crate::observe;
use crate::sync::{AtomicBool, Mutex, Ordering};

use super::Store;
use super::append::Notices;

/// Whether, and why, the store accepts nothing more.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    set: AtomicBool,
    /// Whether whoever observes knows.
    said: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Poison {
    /// Stops everything; the first reason stays.
    pub(crate) fn set(&self, why: &str) {
        let mut slot = self.why.lock();
        slot.get_or_insert_with(|| why.to_owned());
        self.set.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// Says it to whoever observes, once. Called without locks.
    pub(super) fn say(&self) {
        if self.is_set() && !self.said.swap(true, Ordering::SeqCst) {
            let why = self.why.lock().clone();
            observe::poisoned(why.as_deref().unwrap_or_default());
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if !self.is_set() {
            return Ok(());
        }
        let why = self.why.lock();
        let why = why.as_deref().unwrap_or("a write failed");
        Err(Error::new(
            ErrorKind::Poisoned,
            format!("the store stopped writing ({why}); close it and open it again"),
        ))
    }
}

impl Store {
    /// Passes a result on; a failure that leaves the disk in doubt stops the store.
    pub(crate) fn or_poison<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|e| match e.kind() {
            ErrorKind::Full
            | ErrorKind::Closed
            | ErrorKind::InvalidArgument
            | ErrorKind::Stale
            | ErrorKind::NotFound => e,
            // With the reason, which whoever was stopped by it does not know.
            ErrorKind::Poisoned => self.poison.check().err().unwrap_or(e),
            _ => self.poisoned_by(e),
        })
    }

    pub(crate) fn poisoned_by(&self, error: Error) -> Error {
        self.stop_writing(&error.to_string());
        error
    }

    /// May be called with locks held, except the log's own.
    pub(super) fn stop_writing(&self, why: &str) {
        self.poison.set(why);
        self.log.freeze();
        self.flusher.notice_failure();
        self.housekeeper.alarm();
    }

    /// Tells everybody who waits for something that will not come. Called without locks.
    pub(crate) fn spread_poison(&self) {
        let mut notices = Notices::default();
        self.refuse_line(&mut self.appender.lock(), &mut notices);
        notices.tell();
        self.flusher.release_all();
        for topic in self.topics.all() {
            topic.arrived(usize::MAX);
        }
    }
}
