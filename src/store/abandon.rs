//! Ending as a killed process does, for tests: nothing more is written, and what is there can be looked at.

use crate::error::{Error, Result};

use super::{Store, Threads};

impl Store {
    /// Stops everything where it is. While `image` runs, the directory is what a kill at that moment leaves behind, and nobody
    /// changes it; afterwards the store is of no use. `Closed` if it was closed before.
    pub(crate) fn abandon(
        &self,
        threads: Threads,
        image: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        if self.shut_the_door() {
            return Err(Error::closed());
        }
        self.end_threads(threads);
        let nobody_heals = self.healed.lock();
        self.log.freeze();
        let outcome = self.progress.abandon(image);
        drop(nobody_heals);
        self.refuse_the_rest();
        self.poison.set("its process died, as far as a test is concerned");
        self.unlock();
        outcome
    }

    /// The clock was moved.
    pub(crate) fn time_moved(&self) {
        self.flusher.time_moved();
    }
}
