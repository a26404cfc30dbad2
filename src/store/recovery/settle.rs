//! Making consume queues agree with the log.

use crate::consumequeue::Extent;
use crate::consumequeue::files::{QueueFiles, QueueName};
use crate::consumequeue::format::Unit;
use crate::error::Result;
use crate::store::state::QueueEnds;

use super::{Gathered, Recovered, Recovery};

impl Recovery<'_> {
    /// After a scan that began at `from`: whether the queues' files hold everything below it.
    pub(super) fn queues_reach(
        &self,
        gathered: &Gathered<'_>,
        known: &QueueEnds,
        from: u64,
    ) -> Result<bool> {
        for (topic, queues) in &gathered.queues {
            for (id, queue) in queues {
                let Some(before) = queue.first.checked_sub(1) else { continue };
                let unit = one(self.files, (topic, *id), before)?;
                let there = unit.is_some_and(|u| {
                    !u.is_empty() && (u.is_filler() || u.offset + u64::from(u.size) <= from)
                });
                if !there {
                    return Ok(false);
                }
            }
        }
        for (topic, extents) in &known.topics {
            for (id, extent) in (0u32..).zip(extents).filter(|(_, e)| e.next > e.min) {
                let last = one(self.files, (topic, id), extent.next - 1)?;
                let scanned = gathered.queues.get(topic).and_then(|q| q.get(&id));
                let in_scan = scanned.is_some_and(|q| q.first < extent.next);
                if last.is_none_or(|u| u.is_empty()) && !in_scan {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Step 5. `from`: where the scan began; `log_min`: where the log begins.
    pub(super) fn settle_queues(
        &self,
        gathered: &Gathered<'_>,
        (from, log_min): (u64, u64),
        done: &mut Recovered,
    ) -> Result<()> {
        done.mended += gathered.mended;
        let whole = from <= log_min;
        for (topic, id) in self.files.queues_on_disk()? {
            let name = (topic.as_str(), id);
            if gathered.queues.get(&topic).is_some_and(|q| q.contains_key(&id)) {
                continue;
            }
            // No record at or after `from`: units that say otherwise are wrong. After a scan of the whole log, that is every
            // unit which does not point below the log's first byte.
            let Some(extent) = self.files.extent(name)? else { continue };
            let limit = if whole { log_min } else { from };
            let next = first_at_or_after(self.files, name, extent, limit)?;
            if self.files.cut(name, next)? {
                done.mended += 1;
            }
            let min = first_at_or_after(self.files, name, Extent { next, ..extent }, log_min)?;
            done.note_extent(&topic, id, Extent { min, next });
        }
        for (topic, queues) in &gathered.queues {
            for (id, queue) in queues {
                let name = (topic.as_str(), *id);
                done.mended += self.files.mend(name, queue.base, &queue.units)?;
                let next = queue.next();
                if self.files.cut(name, next)? {
                    done.mended += 1;
                }
                let min = if whole {
                    queue.first
                } else {
                    let extent = self.files.extent(name)?.unwrap_or_default();
                    first_at_or_after(self.files, name, Extent { min: extent.min, next }, log_min)?
                };
                done.note_extent(topic, *id, Extent { min, next });
            }
        }
        self.files.sync()
    }
}

fn one(files: &QueueFiles, name: QueueName<'_>, at: u64) -> Result<Option<Unit>> {
    let mut units = Vec::with_capacity(1);
    files.read(name, at, 1, &mut units)?;
    Ok(units.first().copied())
}

/// The first slot whose unit points to `limit` or beyond. Units of one queue point ever higher.
pub(in crate::store) fn first_at_or_after(
    files: &QueueFiles,
    name: QueueName<'_>,
    extent: Extent,
    limit: u64,
) -> Result<u64> {
    let (mut low, mut high) = (extent.min, extent.next);
    while low < high {
        let middle = low + (high - low) / 2;
        let below = one(files, name, middle)?.is_some_and(|u| !u.is_filler() && u.offset < limit);
        if below { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// The places where consume queues know a record to start; read only when damage is met.
#[derive(Debug)]
pub(in crate::store) struct Starts<'a> {
    files: &'a QueueFiles,
    /// Starts below this end, in order, for the file that was asked for last.
    cached: Option<(u64, Vec<u64>)>,
}

impl<'a> Starts<'a> {
    pub(in crate::store) const fn new(files: &'a QueueFiles) -> Self {
        Self { files, cached: None }
    }

    /// The next known start after `after`, below `end` (the end of the log file).
    pub(in crate::store) fn next_after(&mut self, after: u64, end: u64) -> Result<Option<u64>> {
        if self.cached.as_ref().is_none_or(|(cached_end, _)| *cached_end != end) {
            let mut starts = Vec::new();
            for (topic, id) in self.files.queues_on_disk()? {
                let name = (topic.as_str(), id);
                let Some(extent) = self.files.extent(name)? else { continue };
                let mut at = first_at_or_after(self.files, name, extent, after)?;
                let mut units = Vec::new();
                'queue: while at < extent.next {
                    units.clear();
                    self.files.read(name, at, 4096, &mut units)?;
                    if units.is_empty() {
                        break;
                    }
                    at += units.len() as u64;
                    for unit in units.iter().filter(|u| !u.is_filler()) {
                        if unit.is_empty() || unit.offset >= end {
                            break 'queue;
                        }
                        starts.push(unit.offset);
                    }
                }
            }
            starts.sort_unstable();
            self.cached = Some((end, starts));
        }
        let starts = self.cached.as_ref().map_or(&[][..], |(_, starts)| starts);
        let at = starts.partition_point(|start| *start <= after);
        Ok(starts.get(at).copied())
    }
}
