//! After a failed write or sync nothing is known about what the disk holds: the store stops writing for good.

use crate::error::{Error, ErrorKind};
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Whether, and why, the store accepts nothing more.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    set: AtomicBool,
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
