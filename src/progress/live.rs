//! The progress of a store that is open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cursor::{Cursor, Cursors};
use super::durability::Syncer;
use super::format::{Entry, STARTS_MAX, Starts};
use super::journal::{Blank, Journal};
use super::ranges::Acked;
use super::recovery::remove;
use super::snapshot::{Snapshot, Staged};
use super::state::{CursorRecord, State, TopicRecord};
use super::unsettled::Unsettled;
use crate::error::{Error, ErrorKind, Result};
use crate::io::Storage;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

/// The progress of a store that is open. `Send + Sync`; every method may block on the journal's lock.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) dir: PathBuf,
    pub(super) generation: u64,
    pub(super) journal_size: usize,
    pub(super) live: Mutex<Live>,
    pub(super) syncer: Mutex<Syncer>,
    /// Signalled when a sync has ended.
    pub(super) synced: Condvar,
    /// Why nothing can be written any more.
    pub(super) poison: OnceLock<String>,
}

/// What the journal's lock protects: the journal and everything that its entries say.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) journal: Journal,
    /// How many entries were written in this life, over all journals.
    pub(super) written: u64,
    /// The journal before, kept for the other slot's snapshot.
    pub(super) previous: Option<u64>,
    pub(super) next_journal: u64,
    /// The newest snapshot's.
    pub(super) sequence: u64,
    /// Name → number of queues, and the value of `written` that makes it durable.
    topics: BTreeMap<String, (u32, u64)>,
    groups: BTreeMap<String, u64>,
    cursors: Cursors,
    pub(super) closed: bool,
    /// How many stretches were handed out: each has its number for a token.
    pub(super) tokens: u64,
}

/// Begins `generation` with `state`, and journals of at least `journal_size` bytes: writes it as a snapshot and creates the first journal, both durable when it
/// returns. Files of older generations are left alone; what an attempt that did not get further left is removed.
///
/// # Errors
///
/// `InvalidArgument` if two cursors are for the same group, topic and queue, `TooLarge` if a name is.
pub(crate) fn start(
    storage: Arc<dyn Storage>,
    dir: &Path,
    generation: u64,
    state: State,
    journal_size: usize,
) -> Result<Progress> {
    let mut cursors = Cursors::default();
    for record in &state.cursors {
        let CursorRecord { group, topic, queue, .. } = record;
        if cursors.find(group, topic, *queue).is_some() {
            let twice = format!("two cursors of group {group} for queue {queue} of topic {topic}");
            return Err(Error::invalid(twice));
        }
        let id = cursors.next_id().ok_or_else(too_many)?;
        cursors.add(id, record.clone(), 0);
    }
    let topics = state.topics.iter().map(|t| (t.name.clone(), (t.queues, 0))).collect();
    let groups = state.groups.iter().map(|name| (name.clone(), 0)).collect();

    remove(&*storage, dir, |of| of == generation)?;
    let (sequence, number) = (1, 1);
    let bytes = Snapshot { generation, sequence, journal: number, state }.encode()?;
    let blank = Blank::create(&*storage, dir, generation, number)?;
    let staged = Staged::create(&*storage, dir, generation, sequence)?;
    let journal = blank.prepare(journal_size.max(2 * bytes.len()))?;
    staged.fill(&bytes)?;
    staged.commit(&*storage, dir)?;
    let live = Live {
        journal,
        written: 0,
        previous: None,
        next_journal: number + 1,
        sequence,
        topics,
        groups,
        cursors,
        closed: false,
        tokens: 0,
    };
    Ok(Progress {
        storage,
        dir: dir.to_path_buf(),
        generation,
        journal_size,
        live: Mutex::new(live),
        syncer: Mutex::default(),
        synced: Condvar::new(),
        poison: OnceLock::new(),
    })
}

impl Progress {
    /// The cursor of a group in a queue, if it was defined.
    pub(crate) fn cursor(&self, group: &str, topic: &str, queue: u32) -> Option<Cursor> {
        self.live.lock().cursors.find(group, topic, queue).cloned()
    }

    /// The cursor of a group in a queue; made, with everything below `start` acknowledged, if there is none.
    /// Durable when it returns.
    #[cfg(test)]
    pub(crate) fn define(
        &self,
        group: &str,
        topic: &str,
        queue: u32,
        start: u64,
    ) -> Result<Cursor> {
        let cursors = self.define_all(group, topic, &[(queue, start)])?;
        cursors.into_iter().next().ok_or_else(too_many)
    }

    /// The cursors of a group in several queues of a topic, made where there are none, each with everything below its start
    /// acknowledged. Durable when it returns; until then a crash leaves all that are new or none of them.
    pub(crate) fn define_all(
        &self,
        group: &str,
        topic: &str,
        starts: &[(u32, u64)],
    ) -> Result<Vec<Cursor>> {
        let mut live = self.writable()?;
        // Each queue once, whatever the caller says.
        let unknown = |(queue, _): &&(u32, u64)| live.cursors.find(group, topic, *queue).is_none();
        let fresh: BTreeMap<u32, u64> = starts.iter().filter(unknown).copied().collect();
        self.begin(&mut live, group, &[(topic, fresh)])?;
        let find = |(queue, _): &(u32, u64)| live.cursors.find(group, topic, *queue).cloned();
        let cursors: Vec<_> = starts.iter().filter_map(find).collect();
        drop(live);
        if let Some(last) = cursors.iter().map(Cursor::defined).max() {
            self.sync_to(last)?;
        }
        Ok(cursors)
    }

    /// The cursors of a group that has none, in several topics at once. Durable when it returns; until then a crash leaves all of
    /// them or none. `false`, and nothing changes, if the group has cursors.
    pub(crate) fn define_group(
        &self,
        group: &str,
        topics: &[(&str, BTreeMap<u32, u64>)],
    ) -> Result<bool> {
        let mut live = self.writable()?;
        if live.cursors.has(group) {
            return Ok(false);
        }
        self.begin(&mut live, group, topics)?;
        let written = live.written;
        drop(live);
        self.sync_to(written)?;
        Ok(true)
    }

    /// Writes down that a group begins in some queues. After a failure it began in none of them.
    fn begin(
        &self,
        live: &mut Live,
        group: &str,
        topics: &[(&str, BTreeMap<u32, u64>)],
    ) -> Result<()> {
        let bytes = |starts: &BTreeMap<u32, u64>| -> Vec<_> {
            starts.iter().map(|(q, start)| Starts::bytes_of(*q, *start)).collect()
        };
        let topics_bytes: Vec<_> = topics.iter().map(|(t, starts)| (*t, bytes(starts))).collect();
        let mut left = topics_bytes.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let mut id = live.cursors.next_id();
        let mut entries = Vec::new();
        for (topic, bytes) in &topics_bytes {
            for part in bytes.chunks(STARTS_MAX) {
                left -= part.len();
                let (this, after) = (id.ok_or_else(too_many)?, narrow(left)?);
                let starts = Starts::new(part);
                entries.push(Entry::Begin { id: this, left: after, group, topic, starts });
                id = this.checked_add(narrow(part.len())?);
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        // Room for all of them in one journal, before the first is written.
        self.reserve(live, &entries)?;
        for entry in &entries {
            self.record(live, entry)?;
        }
        let written = live.written;
        for (topic, starts) in topics {
            for (&queue, &start) in starts {
                let id = live.cursors.next_id().ok_or_else(too_many)?;
                let (group, topic) = (group.to_owned(), (*topic).to_owned());
                let (acked, unsettled) = (Acked::below(start), Unsettled::default());
                let record = CursorRecord { group, topic, queue, acked, unsettled };
                live.cursors.add(id, record, written);
            }
        }
        Ok(())
    }

    /// Remembers a new topic, or that a topic has more queues than it had. Durable when it returns.
    pub(crate) fn add_topic(&self, name: &str, queues: u32) -> Result<()> {
        let mut live = self.writable()?;
        let target = match live.topics.get(name) {
            Some(&(known, noted)) if known >= queues => noted,
            known => {
                let entry = if known.is_some() {
                    Entry::TopicGrown { name, queues }
                } else {
                    Entry::Topic { name, queues }
                };
                self.reserve(&mut live, &[entry])?;
                self.record(&mut live, &entry)?;
                let written = live.written;
                live.topics.insert(name.to_owned(), (queues, written));
                written
            }
        };
        drop(live);
        self.sync_to(target)
    }

    /// Remembers a new group. Durable when it returns.
    pub(crate) fn add_group(&self, name: &str) -> Result<()> {
        let mut live = self.writable()?;
        let target = if let Some(&noted) = live.groups.get(name) {
            noted
        } else {
            let entry = Entry::Group { name };
            self.reserve(&mut live, &[entry])?;
            self.record(&mut live, &entry)?;
            let written = live.written;
            live.groups.insert(name.to_owned(), written);
            written
        };
        drop(live);
        self.sync_to(target)
    }

    /// Makes everything that happened so far durable. Costs nothing if it is.
    pub(crate) fn sync(&self) -> Result<()> {
        let written = self.live.lock().written;
        self.sync_to(written)
    }

    /// Whether there is something that a power cut would take away.
    pub(crate) fn dirty(&self) -> bool {
        let written = self.live.lock().written;
        self.syncer.lock().durable < written
    }

    /// Everything as it is now.
    pub(crate) fn snapshot_state(&self) -> State {
        self.live.lock().state()
    }

    /// Writes the last snapshot, durably. Afterwards nothing can be changed, and cursors can still be read.
    ///
    /// If it fails with `Full` the progress stays open, and closing can be tried again.
    pub(crate) fn close(&self) -> Result<()> {
        let mut live = self.live.lock();
        if live.closed {
            return Ok(());
        }
        self.healthy()?;
        self.turn_over(&mut live, None)?;
        live.closed = true;
        Ok(())
    }

    /// Ends without writing anything down: nothing changes any more, and nothing did while `image` runs.
    #[cfg(feature = "testing")]
    pub(crate) fn abandon(&self, image: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut live = self.live.lock();
        live.closed = true;
        image()
    }

    pub(super) fn writable(&self) -> Result<MutexGuard<'_, Live>> {
        let live = self.live.lock();
        self.healthy()?;
        if live.closed { Err(Error::closed()) } else { Ok(live) }
    }

    /// Makes room for entries in one journal, a new one if need be. After a failure nothing has changed.
    pub(super) fn reserve(&self, live: &mut Live, entries: &[Entry<'_>]) -> Result<()> {
        let too_long = || Error::new(ErrorKind::TooLarge, "a name is too long");
        let sizes = entries.iter().map(Entry::size);
        let len = sizes.sum::<Option<usize>>().ok_or_else(too_long)?;
        if live.journal.reserve(len).map_err(|e| self.unless_full(e))? {
            return Ok(());
        }
        self.turn_over(live, Some(len))?;
        // The new journal is large enough.
        live.journal.reserve(len).map_err(|e| self.unless_full(e))?;
        Ok(())
    }

    /// Writes an entry that room was reserved for.
    pub(super) fn record(&self, live: &mut Live, entry: &Entry<'_>) -> Result<()> {
        live.journal.append(entry).map_err(|e| self.poisoned_by(e))?;
        live.written += 1;
        Ok(())
    }
}

impl Live {
    pub(super) fn state(&self) -> State {
        let topics = self.topics.iter();
        State {
            topics: topics
                .map(|(name, &(queues, _))| TopicRecord { name: name.clone(), queues })
                .collect(),
            groups: self.groups.keys().cloned().collect(),
            cursors: self.cursors.records(),
        }
    }

    /// A handle of another life would acknowledge somebody else's messages.
    pub(super) fn check(&self, cursor: &Cursor) -> Result<()> {
        if self.cursors.contains(cursor) {
            Ok(())
        } else {
            Err(Error::invalid("the cursor belongs to another opening of the queue"))
        }
    }
}

/// A number of cursors, as entries have it.
fn narrow(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|_| too_many())
}

fn too_many() -> Error {
    Error::new(ErrorKind::TooLarge, "there are too many cursors")
}
