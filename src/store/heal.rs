//! Deriving the queues from the log while the store is open.

use crate::commitlog::scan::{Plan, ScanFile, Soundness, scan};
use crate::error::Result;
use crate::sync::Arc;

use super::Store;
use super::recovery::{Gathered, Starts};

impl Store {
    /// Compares every unit in files with the log, and overwrites the wrong ones.
    ///
    /// A clean open believes the queues' files without reading them; this is what makes up for it when one turns out to be
    /// missing, short or wrong.
    pub(super) fn derive_queues_again(&self) -> Result<u64> {
        let filed_to = self.file_units()?;
        let _one = self.filing.lock();
        self.log.commit()?;
        let mut files = Vec::new();
        for segment in self.log.segments().iter().filter(|s| s.base() < filed_to) {
            files.push(ScanFile {
                base: segment.base(),
                path: segment.path().clone(),
                file: Arc::clone(segment.file()?),
            });
        }
        let log_min = self.log.min_offset();
        let (own, levels) = (self.own.clone(), &self.settings.levels);
        let mut gathered = Gathered::spilling_to(&self.files, log_min, own, levels);
        let mut starts = Starts::new(&self.files);
        let mut plan = Plan {
            files: &files,
            segment_size: self.log.segment_size(),
            from: log_min,
            floor: filed_to,
            own: &|offset| self.own.contains(offset),
            resume: &mut |after, end| starts.next_after(after, end),
            copy: &|_| None,
        };
        scan(&mut plan, &mut |record, sound| {
            let wanted = record.physical_offset < filed_to && sound == Soundness::Sound;
            if wanted { gathered.take(record, sound) } else { Ok(()) }
        })?;
        let mut total = gathered.mended;
        for (topic, queues) in &gathered.queues {
            for (id, queue) in queues {
                let in_files = self
                    .topics
                    .get(topic)
                    .and_then(|t| t.queue(*id).map(crate::consumequeue::ConsumeQueue::filed))
                    .unwrap_or(0);
                // Only what is meant to be in files: the rest is in memory, and right.
                let count =
                    usize::try_from(in_files.saturating_sub(queue.base)).unwrap_or(usize::MAX);
                let units = queue.units.get(..count.min(queue.units.len())).unwrap_or_default();
                total += self.files.mend((topic, *id), queue.base, units)?;
            }
        }
        Ok(total)
    }
}
