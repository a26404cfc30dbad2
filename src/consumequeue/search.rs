//! Finding the slot of a queue from which on its messages lie behind some place of the log.
//!
//! Units of one queue point ever higher, but not all slots have a unit that points anywhere: fillers stand where messages were
//! lost, and before the first one. They say nothing about where they are, so the search asks the next slot that does.

use crate::error::Result;

use super::Extent;
use super::files::{QueueFiles, QueueName};
use super::format::{UNIT_LEN, Unit};

/// Units that are looked at in one go, from the end of a file towards its beginning.
const CHUNK: u64 = 1 << 15;

/// A slot, and the place in the log that its unit points to.
pub(crate) type Live = (u64, u64);

/// The first slot of `extent` whose unit points to `limit` or beyond; the end, if there is none.
///
/// `next_live` gives the first slot of a range that points anywhere.
pub(crate) fn first_at_or_after(
    extent: Extent,
    limit: u64,
    mut next_live: impl FnMut(u64, u64) -> Result<Option<Live>>,
) -> Result<u64> {
    // What lies before `low` points below the limit or nowhere; from `high` on, `found` is the first that does not.
    let (mut low, mut high, mut found) = (extent.min, extent.next, extent.next);
    while low < high {
        let middle = low + (high - low) / 2;
        match next_live(middle, high)? {
            Some((slot, place)) if place < limit => low = slot + 1,
            Some((slot, _)) => (high, found) = (middle, slot),
            None => high = middle,
        }
    }
    Ok(found)
}

impl QueueFiles {
    /// The first slot of `extent` whose unit points to `limit` or beyond; the end, if there is none.
    pub(crate) fn first_at_or_after(
        &self,
        queue: QueueName<'_>,
        extent: Extent,
        limit: u64,
    ) -> Result<u64> {
        // Listed once: a hole between files may be large, and must not be searched file by file.
        let bases = self.bases(queue)?;
        first_at_or_after(extent, limit, |from, to| self.next_live(queue, &bases, (from, to)))
    }

    /// Hands out the units that point anywhere, with their slots, from the last one in the files to the first, until one is
    /// accepted; and with each the end of the record of the one before, if that is known.
    pub(crate) fn last_live(
        &self,
        queue: QueueName<'_>,
        mut accept: impl FnMut(u64, Unit, u64) -> Result<bool>,
    ) -> Result<Option<Live>> {
        let per_file = self.file_size() / UNIT_LEN as u64;
        let mut units = Vec::new();
        // File by file, as there may be a hole between them.
        for base in self.bases(queue)?.into_iter().rev() {
            let mut to = per_file;
            while to > 0 {
                let from = to.saturating_sub(CHUNK);
                units.clear();
                let count = usize::try_from(to - from).unwrap_or(0);
                self.read(queue, base + from, count, &mut units)?;
                let mut live: Vec<_> = (base + from..)
                    .zip(&units)
                    .filter(|(_, unit)| unit.points_somewhere())
                    .collect();
                while let Some((slot, unit)) = live.pop() {
                    let before = live.last().map_or(0, |(_, unit)| unit.end());
                    if accept(slot, *unit, before)? {
                        return Ok(Some((slot, unit.offset)));
                    }
                }
                to = from;
            }
        }
        Ok(None)
    }

    fn next_live(
        &self,
        queue: QueueName<'_>,
        bases: &[u64],
        (mut at, to): (u64, u64),
    ) -> Result<Option<Live>> {
        // Mostly the first slot is live already.
        let mut step = 1;
        let mut units: Vec<Unit> = Vec::new();
        while at < to {
            let wanted = usize::try_from(to - at).unwrap_or(usize::MAX).min(step);
            units.clear();
            self.read(queue, at, wanted, &mut units)?;
            if let Some((slot, unit)) = (at..).zip(&units).find(|(_, unit)| unit.points_somewhere())
            {
                return Ok(Some((slot, unit.offset)));
            }
            at += units.len() as u64;
            if units.len() < wanted {
                let next = bases.iter().find(|base| **base > at);
                let Some(next) = next else { return Ok(None) };
                at = *next;
            }
            step = 4096;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::io::Storage;
    use crate::io::memory::Memory;
    use crate::layout::Layout;
    use crate::sync::Arc;

    /// What a look at every slot finds.
    fn linear(slots: &[Option<u64>], extent: Extent, limit: u64) -> u64 {
        let live = (0..).zip(slots).filter(|(slot, _)| (extent.min..extent.next).contains(slot));
        let found = live.into_iter().find(|(_, place)| place.is_some_and(|place| place >= limit));
        found.map_or(extent.next, |(slot, _)| slot)
    }

    /// Slots that point ever higher, with fillers among them in any number.
    fn slots() -> impl Strategy<Value = Vec<Option<u64>>> {
        let slot = (any::<bool>(), 1..50_u64);
        let runs = proptest::collection::vec((slot, 1..6_usize), 0..20);
        runs.prop_map(|runs| {
            let mut place = 0;
            let mut slots = Vec::new();
            for ((live, step), count) in runs {
                for _ in 0..count {
                    place += step;
                    slots.push(live.then_some(place));
                }
            }
            slots
        })
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_look_at_every_slot_finds(
            slots in slots(), min in 0..40_u64, limit in 0..1500_u64,
        ) {
            let next = slots.len() as u64;
            let extent = Extent { min: min.min(next), next };
            let found = first_at_or_after(extent, limit, |from, to| {
                let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
                Ok((from..).zip(&slots[range]).find_map(|(slot, place)| Some((slot, (*place)?))))
            });
            prop_assert_eq!(found.unwrap(), linear(&slots, extent, limit));
        }

        #[test]
        fn so_it_does_in_files(slots in slots(), start in 0..30_u64, limit in 0..1500_u64) {
            let storage: Arc<dyn Storage> = Arc::new(Memory::new(None));
            let files = QueueFiles::new(&storage, &Layout::new(Path::new("/store")), 200);
            let units: Vec<_> = slots
                .iter()
                .map(|place| place.map_or(Unit::FILLER, |offset| Unit { offset, size: 100, tags_code: 0 }))
                .collect();
            files.write(("t", 0), start, &units).unwrap();
            // The slots before the first message are fillers too, if its file has any; and whole files may be missing.
            let mut all = vec![None; usize::try_from(start).unwrap()];
            all.extend(&slots);
            let extent = Extent { min: 0, next: all.len() as u64 };
            let found = files.first_at_or_after(("t", 0), extent, limit).unwrap();
            prop_assert_eq!(found, linear(&all, extent, limit));
        }
    }
}
