//! What was delivered of the delayed messages when the store was left.

use crate::commitlog::format::{RecordView, sysflag};
use crate::commitlog::scan::Soundness;
use crate::consumequeue::Extent;
use crate::error::Result;
use crate::message::names::SCHEDULE_TOPIC;
use crate::message::properties::name;
use crate::store::close::Config;
use crate::store::report::History;
use crate::store::state::{DelayMark, Kept, OwnRanges};

use super::{Recovered, Recovery};

/// Units that are read at once.
const RUN: usize = 4096;

/// Where the sources of copies end, for copies from `from` on.
#[derive(Debug)]
pub(in crate::store) struct Copies<'a> {
    from: u64,
    own: &'a OwnRanges,
    pub(in crate::store) ends: Vec<u64>,
}

impl<'a> Copies<'a> {
    pub(in crate::store) const fn from(from: u64, own: &'a OwnRanges) -> Self {
        Self { from, own, ends: Vec::new() }
    }

    /// A copy that is damaged does not count: its source is still there.
    pub(in crate::store) fn saw(&mut self, record: &RecordView<'_>, sound: Soundness) {
        let Some(end) = u64::try_from(record.prepared_transaction_offset).ok().filter(|at| *at > 0)
        else {
            return;
        };
        let at = record.physical_offset;
        let is_copy = sound == Soundness::Sound
            && at >= self.from
            && self.own.contains(at)
            && record.sys_flag & sysflag::TRANSACTION_MASK == 0
            && record.property(name::DELAY).is_some();
        if is_copy {
            self.ends.push(end);
        }
    }
}

impl Recovery<'_> {
    /// Our own note, if nobody else was here since.
    fn mark(&self) -> Option<&DelayMark> {
        let number = self.survey.generation.as_ref()?.number;
        match (&self.survey.delays, self.history) {
            // One of the next generation was written by a recovery that came no further, and says the same.
            (Kept::Mark(mark), History::Clean | History::Crashed) if mark.generation >= number => {
                Some(mark)
            }
            _ => None,
        }
    }

    /// From where on copies may be in the log that nothing else tells of.
    pub(super) fn copies_from(&self, log_min: u64) -> Result<u64> {
        if self.history != History::Crashed {
            return Ok(u64::MAX);
        }
        if let Some(mark) = self.mark() {
            return Ok(mark.log_offset);
        }
        // The file goes before the first message that is delayed; it may have been removed or damaged since.
        let delayed = self.survey.delays != Kept::Nothing
            || self.files.queues_on_disk()?.iter().any(|(topic, _)| topic == SCHEDULE_TOPIC);
        Ok(if delayed { log_min } else { u64::MAX })
    }

    /// For each queue of the schedule topic the first message that was not delivered.
    pub(in crate::store) fn delays(
        &self,
        config: &Config,
        recovered: &mut Recovered,
    ) -> Result<Vec<u64>> {
        recovered.copies.sort_unstable();
        if self.survey.delays == Kept::Damaged && self.history != History::Foreign {
            let note = "pocketmq/delays was damaged; what was delivered of the delayed messages is known from the log";
            recovered.notes.push(note.to_owned());
        }
        let extents = recovered.extents.get(SCHEDULE_TOPIC);
        let mut all = Vec::new();
        for (queue, extent) in (0u32..).zip(extents.into_iter().flatten()) {
            let next = self.counted(config, queue).clamp(extent.min, extent.next);
            all.push(self.behind_copies(queue, next, *extent, &recovered.copies)?);
        }
        Ok(all)
    }

    /// What was delivered of a queue as far as it was written down.
    pub(in crate::store) fn counted(&self, config: &Config, queue: u32) -> u64 {
        let next = match self.mark() {
            Some(mark) => mark.next.get(queue as usize).copied(),
            None => config.delivered(queue + 1),
        };
        next.unwrap_or(0)
    }

    /// The position behind the last message, from `from` on, that has a copy. Each queue is delivered in order.
    fn behind_copies(&self, queue: u32, from: u64, extent: Extent, ends: &[u64]) -> Result<u64> {
        let Some(last) = ends.last() else { return Ok(from) };
        let (mut next, mut at) = (from, from);
        let mut units = Vec::new();
        while at < extent.next {
            units.clear();
            self.files.read((SCHEDULE_TOPIC, queue), at, RUN, &mut units)?;
            if units.is_empty() {
                break;
            }
            for unit in &units {
                at += 1;
                if !unit.points_somewhere() {
                    continue;
                }
                if unit.offset >= *last || at > extent.next {
                    return Ok(next);
                }
                if ends.binary_search(&unit.end()).is_ok() {
                    next = at;
                }
            }
        }
        Ok(next)
    }
}
