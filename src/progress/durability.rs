//! How what happened becomes durable: one sync for all who wait, a new snapshot for a full journal, and the end of
//! all writing when the disk fails.

use super::format::SEAL;
use super::journal::{self, Blank, Journal};
use super::live::{Live, Progress};
use super::snapshot::{Snapshot, Staged, sync_dir};
use crate::error::{Error, ErrorKind, Result};

/// Who syncs, and how far it went: one sync of the file serves all callers that wait.
#[derive(Debug, Default)]
pub(super) struct Syncer {
    /// How many of the entries written in this life are durable.
    pub(super) durable: u64,
    running: bool,
}

impl Progress {
    /// Whether no write or sync of the progress files has failed.
    pub(crate) fn is_healthy(&self) -> bool {
        self.poison.get().is_none()
    }

    pub(super) fn healthy(&self) -> Result<()> {
        self.poison.get().map_or(Ok(()), |why| {
            let why = format!("an earlier write of acknowledgements failed: {why}");
            Err(Error::new(ErrorKind::Poisoned, why))
        })
    }

    /// Nothing is written after `error`, which never says [`ErrorKind::Full`]: that would mean that nothing has happened.
    pub(super) fn poisoned_by(&self, error: Error) -> Error {
        self.poison.get_or_init(|| error.to_string());
        if error.kind() != ErrorKind::Full {
            return error;
        }
        let what = "there was no space for what was written already";
        Error::new(ErrorKind::Io, what).caused_by(error)
    }

    /// No room is a reason to try again later, anything else to stop.
    pub(super) fn unless_full(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::Full { error } else { self.poisoned_by(error) }
    }

    /// A new snapshot takes the journal's place, and a new journal continues it if there is to be `room` for an entry.
    ///
    /// Up to the seal only new files are touched, which nobody relies on: what fails there costs nothing.
    pub(super) fn turn_over(&self, live: &mut Live, room: Option<usize>) -> Result<()> {
        // An empty journal has no blocks yet; any other has the seal's already.
        live.journal.reserve(0).map_err(|e| self.unless_full(e))?;
        let (storage, dir) = (&*self.storage, &*self.dir);
        let (generation, sequence, number) =
            (self.generation, live.sequence + 1, live.next_journal);
        // Also after a failure: a number is never used twice, so no journal ever continues on another one's inode.
        live.next_journal += 1;
        let next = room.map_or(0, |_| number);
        let mut state = live.state();
        if room.is_none() {
            // A close is no death.
            state.let_go();
        }
        let bytes = Snapshot { generation, sequence, journal: next, state }.encode()?;

        let staged = Staged::create(storage, dir, generation, sequence)?;
        let make = || -> Result<Option<Journal>> {
            // Not being able to open a file is no failed write: it does not poison.
            let blank =
                room.map(|_| Blank::create(storage, dir, generation, number)).transpose()?;
            let fill = || {
                staged.fill(&bytes)?;
                let Some((blank, room)) = blank.zip(room) else { return Ok(None) };
                let size = self.journal_size.max(2 * bytes.len()).max(room + SEAL);
                let journal = blank.prepare(size)?;
                sync_dir(storage, dir)?;
                Ok(Some(journal))
            };
            fill().map_err(|e| self.unless_full(e))
        };
        let journal = match make() {
            Ok(journal) => journal,
            Err(error) => {
                staged.discard(storage);
                let _ = storage.remove_file(&journal::path(dir, generation, number));
                return Err(error);
            }
        };

        let seal = live.journal.seal(next);
        seal.and_then(|()| staged.commit(storage, dir)).map_err(|e| self.poisoned_by(e))?;
        let old = live.journal.number();
        if let Some(before) = live.previous.replace(old) {
            // A journal that stays is in nobody's way; the next generation removes it.
            let _ = storage.remove_file(&journal::path(dir, generation, before));
        }
        if let Some(journal) = journal {
            live.journal = journal;
        }
        live.sequence = sequence;
        // The snapshot has everything.
        let mut syncer = self.syncer.lock();
        syncer.durable = syncer.durable.max(live.written);
        Ok(())
    }

    /// Waits until the first `target` entries are durable. One of the callers syncs for all.
    pub(super) fn sync_to(&self, target: u64) -> Result<()> {
        let mut syncer = self.syncer.lock();
        while syncer.durable < target {
            self.healthy()?;
            if syncer.running {
                self.synced.wait(&mut syncer);
                continue;
            }
            syncer.running = true;
            drop(syncer);
            let result = self.sync_journal();
            syncer = self.syncer.lock();
            syncer.running = false;
            // Also after a failure: those who wait see the poison.
            self.synced.notify_all();
            syncer.durable = syncer.durable.max(result?);
        }
        Ok(())
    }

    /// Syncs the journal without holding its lock; says how many entries are durable now.
    fn sync_journal(&self) -> Result<u64> {
        let live = self.live.lock();
        let (file, path) = (live.journal.file(), live.journal.path().to_path_buf());
        // If the journal is turned over meanwhile, these entries are in the snapshot as well.
        let written = live.written;
        drop(live);
        journal::sync(&*file, &path).map_err(|e| self.poisoned_by(e))?;
        Ok(written)
    }
}
