//! Making consume queues agree with the log.

use std::collections::BTreeMap;

use crate::commitlog::scan::Fault;
use crate::consumequeue::Extent;
use crate::consumequeue::files::{QueueFiles, QueueName};
use crate::consumequeue::format::Unit;
use crate::error::Result;
use crate::store::state::QueueEnds;

use super::gather::QueueUnits;
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
                let there =
                    unit.is_some_and(|u| !u.is_empty() && (u.is_filler() || u.end() <= from));
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
                let missing = scanned.is_some_and(|q| q.first > extent.next);
                if missing || last.is_none_or(|u| u.is_empty()) && !in_scan {
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
        known: &QueueEnds,
        (from, log_min): (u64, u64),
        done: &mut Recovered,
    ) -> Result<()> {
        done.mended += gathered.mended;
        let mut queues: BTreeMap<(String, u32), Found<'_>> = BTreeMap::new();
        for name in self.files.queues_on_disk()? {
            queues.insert(name, Found::default());
        }
        for (topic, extents) in &known.topics {
            for (id, extent) in (0u32..).zip(extents).filter(|(_, e)| e.next > 0) {
                queues.entry((topic.clone(), id)).or_default().known = Some(*extent);
            }
        }
        for (topic, by_id) in &gathered.queues {
            for (id, units) in by_id {
                queues.entry((topic.clone(), *id)).or_default().units = Some(units);
            }
        }
        // What is neither known nor in the log was never there, whatever its files say: a power cut may have taken the first
        // of them alone.
        self.files.before_comparing(gathered.queues.values().map(BTreeMap::len).sum())?;
        let told = known.generation > 0;
        let all_read = from == 0 && log_min == 0 && done.faults.is_empty();
        for found in queues.values_mut() {
            if told || (all_read && found.units.is_none()) {
                found.known.get_or_insert_default();
            }
        }
        for ((topic, id), found) in &queues {
            let name = (topic.as_str(), *id);
            if let Some(queue) = found.units {
                done.mended += self.files.mend(name, queue.base, &queue.units)?;
            }
            let damaged = !done.faults.is_empty();
            let Some(mut extent) = self.extent_of(name, found, (from, log_min), damaged)? else {
                continue;
            };
            if damaged && !told {
                extent.next = self.damaged_next(name, extent.next, &done.faults)?;
            }
            if found.units.is_some_and(|queue| queue.started_over.is_some()) {
                // What lies before belongs to no message any more, and would leave a hole between the files.
                self.files.remove_before(name, extent.min)?;
            }
            if self.files.cut(name, extent.next)? {
                done.mended += 1;
            }
            done.note_extent(topic, *id, extent);
        }
        self.files.sync()
    }

    /// Where a queue ends whose last records may be damaged: a slot whose unit points to one of them stays.
    fn damaged_next(&self, name: QueueName<'_>, next: u64, faults: &[Fault]) -> Result<u64> {
        let mut end = next;
        self.files.last_live(name, |slot, unit, _| {
            let fault = faults.binary_search_by_key(&unit.offset, |fault| fault.log_offset);
            if slot >= next && fault.is_ok() {
                end = slot + 1;
            }
            Ok(end > next || slot < next)
        })?;
        Ok(end)
    }

    /// Where a queue begins and ends. What is known from before is a lower bound: a slot whose record is damaged stays.
    fn extent_of(
        &self,
        name: QueueName<'_>,
        found: &Found<'_>,
        (from, log_min): (u64, u64),
        damaged: bool,
    ) -> Result<Option<Extent>> {
        let whole = from <= log_min;
        let known = found.known;
        if let Some(queue) = found.units.filter(|queue| queue.started_over.is_some()) {
            let known = known.filter(|known| known.min == queue.first).map_or(0, |k| k.next);
            return Ok(Some(Extent { min: queue.first, next: queue.next().max(known) }));
        }
        let extent = match (found.units, known) {
            (Some(queue), _) if whole => Extent {
                min: match known {
                    Some(known) if log_min == 0 => known.min,
                    None if log_min == 0 && damaged => 0,
                    _ => queue.first,
                },
                next: queue.next().max(known.map_or(0, |k| k.next)),
            },
            (Some(queue), Some(known)) => Extent { next: queue.next().max(known.next), ..known },
            (Some(queue), None) => {
                let extent = self.files.extent(name)?.unwrap_or_default();
                Extent { min: extent.min, next: queue.next() }
            }
            (None, Some(known)) => known,
            (None, None) => {
                // No record at or after `from`: units that say otherwise are wrong. After a scan of the whole log, that is
                // every unit which does not point below the log's first byte.
                let Some(extent) = self.files.extent(name)? else { return Ok(None) };
                let limit = if whole { log_min } else { from };
                Extent { next: self.files.first_at_or_after(name, extent, limit)?, ..extent }
            }
        };
        if log_min == 0 || (whole && found.units.is_some()) {
            return Ok(Some(extent));
        }
        let min = self.files.first_at_or_after(name, extent, log_min)?;
        Ok(Some(Extent { min, ..extent }))
    }
}

/// What is known about one queue.
#[derive(Debug, Default)]
struct Found<'a> {
    /// From the records that were read.
    units: Option<&'a QueueUnits>,
    /// From before: where it was known to end.
    known: Option<Extent>,
}

fn one(files: &QueueFiles, name: QueueName<'_>, at: u64) -> Result<Option<Unit>> {
    let mut units = Vec::with_capacity(1);
    files.read(name, at, 1, &mut units)?;
    Ok(units.first().copied())
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
                let mut at = self.files.first_at_or_after(name, extent, after)?;
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
