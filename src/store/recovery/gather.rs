//! Deriving consume queue units from the records of the log.

use std::collections::BTreeMap;

use crate::commitlog::format::RecordView;
use crate::commitlog::scan::Soundness;
use crate::consumequeue::files::QueueFiles;
use crate::consumequeue::format::Unit;
use crate::error::Result;
use crate::message::names::is_loadable_topic;

/// Units in memory before they are written out, about 24 bytes each.
const SPILL: usize = 1 << 20;
/// A queue offset that jumps further than this is not believed.
const LARGEST_GAP: u64 = 1 << 20;
/// RocketMQ's delay levels, in milliseconds.
const DELAY_LEVELS_MS: [i64; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000,
    480_000, 540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];

/// The units of every queue, as the log says.
#[derive(Debug)]
pub(in crate::store) struct Gathered<'a> {
    pub(in crate::store) queues: BTreeMap<String, BTreeMap<u32, QueueUnits>>,
    pub(in crate::store) notes: Vec<String>,
    pub(in crate::store) mended: u64,
    held: usize,
    spill: Option<&'a QueueFiles>,
}

/// The units of one queue: `units` starts at `base`; what lies between `first` and `base` was written out already.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct QueueUnits {
    pub(in crate::store) first: u64,
    pub(in crate::store) base: u64,
    pub(in crate::store) units: Vec<Unit>,
}

impl QueueUnits {
    pub(in crate::store) fn next(&self) -> u64 {
        self.base + self.units.len() as u64
    }
}

impl<'a> Gathered<'a> {
    /// Writes units to their files when there are too many to hold.
    pub(in crate::store) fn spilling_to(files: &'a QueueFiles) -> Self {
        Self { spill: Some(files), ..Self::in_memory() }
    }

    /// Keeps all units in memory.
    pub(in crate::store) const fn in_memory() -> Self {
        Self { queues: BTreeMap::new(), notes: Vec::new(), mended: 0, held: 0, spill: None }
    }

    /// Adds one record's unit. A slot whose record could not be read becomes a filler: it reads as corrupt, and nothing shifts.
    ///
    /// A record that is damaged, and says that it is the one which was due in its queue, keeps its slot, which reads as corrupt:
    /// no later message gets its offset.
    pub(in crate::store) fn take(
        &mut self,
        record: &RecordView<'_>,
        sound: Soundness,
    ) -> Result<()> {
        if sound == Soundness::Damaged && !self.is_due(record) {
            return Ok(());
        }
        if !record.is_dispatched() || !is_loadable_topic(record.topic) {
            return Ok(());
        }
        let unit = Unit {
            offset: record.physical_offset,
            size: record.size,
            tags_code: record.tags_code(&DELAY_LEVELS_MS),
        };
        if !self.queues.contains_key(record.topic) {
            self.queues.insert(record.topic.to_owned(), BTreeMap::new());
        }
        let Some(queues) = self.queues.get_mut(record.topic) else { return Ok(()) };
        let offset = record.queue_offset;
        let queue = queues.entry(record.queue_id).or_insert_with(|| QueueUnits {
            first: offset,
            base: offset,
            units: Vec::new(),
        });
        let gap = offset.checked_sub(queue.next()).filter(|gap| *gap <= LARGEST_GAP);
        let Some(gap) = gap else {
            self.notes.push(format!(
                "the record at log offset {} claims offset {offset} of {} queue {}, where {} was due; it is left out",
                record.physical_offset,
                record.topic,
                record.queue_id,
                queue.next()
            ));
            return Ok(());
        };
        queue.units.extend(std::iter::repeat_n(Unit::FILLER, usize::try_from(gap).unwrap_or(0)));
        queue.units.push(unit);
        self.held += 1 + usize::try_from(gap).unwrap_or(0);
        if self.held >= SPILL { self.spill() } else { Ok(()) }
    }

    fn is_due(&self, record: &RecordView<'_>) -> bool {
        let queue = self.queues.get(record.topic).and_then(|q| q.get(&record.queue_id));
        queue.is_some_and(|queue| queue.next() == record.queue_offset)
    }

    fn spill(&mut self) -> Result<()> {
        let Some(files) = self.spill else { return Ok(()) };
        for (topic, queues) in &mut self.queues {
            for (id, queue) in queues {
                self.mended += files.mend((topic, *id), queue.base, &queue.units)?;
                queue.base = queue.next();
                queue.units = Vec::new();
            }
        }
        self.held = 0;
        Ok(())
    }
}
