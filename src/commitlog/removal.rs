//! Files that leave the log: its oldest ones, and those that were never needed.
//!
//! Each is durably gone before the next goes, from an end inwards: a power cut in between never leaves a gap.

use crate::error::{Error, Result};
use crate::sync::Arc;

use super::CommitLog;
use super::segment::Segment;

impl CommitLog {
    /// Where the log begins after [`CommitLog::remove_before`] with this offset.
    pub(crate) fn min_after_removal(&self, offset: u64) -> u64 {
        let segments = self.segments.read();
        let kept = segments.iter().find(|s| s.end() > offset).or_else(|| segments.last());
        kept.map_or(0, |s| s.base())
    }

    /// Forgets (and removes the files of) all segments that end at or before `offset`, except the last.
    ///
    /// The oldest goes first, each durably gone before the next: a power cut in between must not leave a gap.
    pub(crate) fn remove_before(&self, offset: u64) -> Result<u64> {
        let mut removed = 0;
        loop {
            let mut segments = self.segments.write();
            let obsolete =
                segments.len() > 1 && segments.first().is_some_and(|s| s.end() <= offset);
            if !obsolete {
                return Ok(removed);
            }
            let segment = segments.remove(0);
            drop(segments);
            self.remove_durably(&segment)?;
            removed += 1;
        }
    }

    /// At close: removes a file that holds nothing, as a broker does, so that the log ends with its last message.
    pub(crate) fn remove_unused(&self) -> Result<()> {
        let spare = self.next.lock().take();
        let mut unused: Vec<Arc<Segment>> = spare.into_iter().collect();
        let mut segments = self.segments.write();
        let end = self.staged();
        if segments.last().is_some_and(|s| s.base() == end) && (segments.len() > 1 || end == 0) {
            unused.extend(segments.pop());
        }
        drop(segments);
        // The last one first, each durably gone before the next and before the stamp says how many there are: a power cut
        // in between must not leave a gap.
        unused.iter().try_for_each(|segment| self.remove_durably(segment))
    }

    fn remove_durably(&self, segment: &Segment) -> Result<()> {
        let dir = self.layout.commitlog();
        self.storage
            .remove_file(segment.path())
            .map_err(|e| Error::io(e, segment.path(), "remove a commit log file"))?;
        self.storage.sync_dir(&dir).map_err(|e| Error::io(e, &dir, "sync the folder"))
    }
}
