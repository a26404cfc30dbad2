//! Deriving consume queue units from the records of the log.
//!
//! A record says itself which offset of its queue it has, and the offsets of a queue follow each other. Where some are missing,
//! their records were damaged: the slots between become fillers, which read as corrupt, and nothing shifts. There cannot be more
//! of them than records fit into the log that was read, and a little is allowed on top; so fillers take no more memory and disk
//! than the log accounts for, whatever its records claim.
//!
//! An offset that fits neither way (further ahead than that, or one that was taken already) is either a lie of one record,
//! since a broker's checksum does not cover the field, or the queue really goes on somewhere else. The next record tells: if it
//! follows the first, the queue *starts over* there, and what it held before can be reached by position only; if it follows
//! the queue, the odd one is left out. A record whose whole-record checksum holds where we wrote needs nobody to confirm it. Both
//! outcomes are noted in the report.

use std::collections::BTreeMap;

use crate::commitlog::format::{FIXED_LEN_V1, RecordView};
use crate::commitlog::scan::Soundness;
use crate::consumequeue::files::QueueFiles;
use crate::consumequeue::format::{UNIT_LEN, Unit};
use crate::error::Result;
use crate::layout::QUEUES_MAX;
use crate::message::names::is_loadable_topic;
use crate::store::state::OwnRanges;
use crate::timer::levels::Levels;

/// Units in memory before they are written out, about 24 bytes each.
const SPILL: usize = 1 << 20;
/// Fillers that are allowed beyond what the log accounts for.
const ALLOWANCE: u64 = 1 << 20;
/// No slot of a file has a higher number.
const LARGEST_OFFSET: u64 = i64::MAX as u64 / UNIT_LEN as u64 - 1;
/// The units of every queue, as the log says.
#[derive(Debug)]
pub(in crate::store) struct Gathered<'a> {
    pub(in crate::store) queues: BTreeMap<String, BTreeMap<u32, QueueUnits>>,
    pub(in crate::store) mended: u64,
    /// Where the log is read from.
    from: u64,
    /// Where we wrote it ourselves.
    own: OwnRanges,
    /// Slots that records and fillers have taken so far.
    slots: u64,
    /// Records that claim offsets which no queue can have.
    impossible: u64,
    held: usize,
    spill: Option<&'a QueueFiles>,
    /// How long the levels of delay wait.
    levels: Levels,
}

/// The units of one queue: `units` starts at `base`; what lies between `first` and `base` was written out already.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct QueueUnits {
    pub(in crate::store) first: u64,
    pub(in crate::store) base: u64,
    pub(in crate::store) units: Vec<Unit>,
    /// Where the queue had been when it started over: the offset that was due, and the log offset of the record that was not it.
    pub(in crate::store) started_over: Option<(u64, u64)>,
    /// More than one record says so.
    trusted: bool,
    /// A record that does not fit, until the next one tells whether it was right.
    odd: Option<(u64, Unit)>,
    /// How many records were left out, and the first of them: its log offset, the offset it claims, the one that was due.
    left_out: u64,
    example: Option<(u64, u64, u64)>,
}

/// What one record says about its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Told<S> {
    topic: S,
    queue: u32,
    offset: u64,
    unit: Unit,
    sound: Soundness,
}

impl<'a> Told<&'a str> {
    /// `None` if the record belongs into no queue.
    pub(in crate::store) fn by(
        record: &RecordView<'a>,
        sound: Soundness,
        levels: &Levels,
    ) -> Option<Self> {
        let unit = Unit {
            offset: record.physical_offset,
            size: record.size,
            tags_code: record.tags_code(levels.as_ms()),
        };
        let RecordView { topic, queue_id: queue, queue_offset: offset, .. } = *record;
        (record.is_dispatched() && is_loadable_topic(topic)).then_some(Self {
            topic,
            queue,
            offset,
            unit,
            sound,
        })
    }

    pub(in crate::store) fn kept(&self) -> Told<String> {
        let Self { topic, queue, offset, unit, sound } = *self;
        Told { topic: topic.to_owned(), queue, offset, unit, sound }
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It comes after so many lost ones.
    Follows(u64),
    StartsOver,
    Waits,
    LeftOut,
}

impl QueueUnits {
    /// A queue whose messages are all gone.
    pub(in crate::store) fn empty_at(next: u64) -> Self {
        Self { first: next, base: next, ..Self::default() }
    }

    pub(in crate::store) fn next(&self) -> u64 {
        self.base + self.units.len() as u64
    }

    fn judge(&self, offset: u64, proven: bool, room: u64) -> Verdict {
        let gap = offset.checked_sub(self.next());
        if let Some(gap) = gap.filter(|gap| *gap <= room) {
            return Verdict::Follows(gap);
        }
        // What several records agree upon is not taken back for others that claim the same offsets.
        if gap.is_none() && self.trusted {
            return Verdict::LeftOut;
        }
        let confirmed = self.odd.is_some_and(|(odd, _)| odd + 1 == offset);
        if proven || confirmed { Verdict::StartsOver } else { Verdict::Waits }
    }

    fn start_over(&mut self, offset: u64, unit: Unit, proven: bool) {
        let was = self.next();
        let before = self.odd.take();
        let before = match before {
            Some((odd, unit)) if odd + 1 == offset => Some(unit),
            Some((odd, unit)) => {
                self.leave_out(odd, unit);
                None
            }
            None => None,
        };
        self.trusted = proven || before.is_some();
        let at = before.map_or(unit.offset, |unit| unit.offset);
        self.first = offset - u64::from(before.is_some());
        self.base = self.first;
        self.units = before.into_iter().chain([unit]).collect();
        self.started_over = Some((was, at));
    }

    fn leave_out(&mut self, offset: u64, unit: Unit) {
        self.left_out += 1;
        let due = self.next();
        self.example.get_or_insert((unit.offset, offset, due));
    }

    fn notes(&self, topic: &str, id: u32) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((was, at)) = self.started_over {
            notes.push(format!(
                "{topic} queue {id} goes on at offset {} instead of {was} from log offset {at} on; it begins there now, and \
                 what it held before is in the log only",
                self.first
            ));
        }
        let odd = self.odd.map(|(offset, unit)| (unit.offset, offset, self.next()));
        if let Some((at, offset, due)) = self.example.or(odd) {
            let more = self.left_out + u64::from(odd.is_some()) - 1;
            let more = if more > 0 { format!("; so are {more} later ones") } else { String::new() };
            notes.push(format!(
                "the record at log offset {at} claims offset {offset} of {topic} queue {id}, where {due} was due; it is left \
                 out{more}"
            ));
        }
        notes
    }
}

impl<'a> Gathered<'a> {
    /// For a log that is read from `from` on. Writes units to their files when there are too many to hold.
    pub(in crate::store) fn spilling_to(
        files: &'a QueueFiles,
        from: u64,
        own: OwnRanges,
        levels: &Levels,
    ) -> Self {
        Self { spill: Some(files), ..Self::in_memory(from, own, levels) }
    }

    /// Keeps all units in memory.
    pub(in crate::store) fn in_memory(from: u64, own: OwnRanges, levels: &Levels) -> Self {
        Self {
            queues: BTreeMap::new(),
            mended: 0,
            from,
            own,
            slots: 0,
            impossible: 0,
            held: 0,
            spill: None,
            levels: levels.clone(),
        }
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
        Told::by(record, sound, &self.levels).map_or(Ok(()), |told| self.place(&told))
    }

    /// As [`Gathered::take`], later. Cannot fail where all units are kept in memory.
    pub(in crate::store) fn place<S: AsRef<str>>(&mut self, told: &Told<S>) -> Result<()> {
        let Told { ref topic, queue: id, offset, unit, sound } = *told;
        let topic = topic.as_ref();
        if sound == Soundness::Damaged && !self.is_due(topic, id, offset) {
            return Ok(());
        }
        if offset > LARGEST_OFFSET || id >= QUEUES_MAX {
            self.impossible += 1;
            return Ok(());
        }
        if !self.queues.contains_key(topic) {
            self.queues.insert(topic.to_owned(), BTreeMap::new());
        }
        let proven = self.own.contains(unit.offset);
        let room = self.room(unit.offset);
        let Some(queues) = self.queues.get_mut(topic) else { return Ok(()) };
        let queue = queues.entry(id).or_insert_with(|| QueueUnits::empty_at(offset));
        match queue.judge(offset, proven, room) {
            Verdict::Follows(gap) => {
                if let Some((odd, unit)) = queue.odd.take() {
                    queue.leave_out(odd, unit);
                }
                queue.trusted |= proven || !queue.units.is_empty() || queue.base > queue.first;
                return self.append((topic, id), gap, unit);
            }
            Verdict::StartsOver => {
                let dropped = queue.units.len();
                queue.start_over(offset, unit, proven);
                self.held += queue.units.len();
                self.held -= dropped.min(self.held);
            }
            Verdict::Waits => {
                if let Some((odd, unit)) = queue.odd.replace((offset, unit)) {
                    queue.leave_out(odd, unit);
                }
            }
            Verdict::LeftOut => queue.leave_out(offset, unit),
        }
        Ok(())
    }

    /// How many fillers may come before a record at `log_offset`.
    fn room(&self, log_offset: u64) -> u64 {
        let fit = log_offset.saturating_sub(self.from) / FIXED_LEN_V1 as u64;
        (fit + ALLOWANCE).saturating_sub(self.slots)
    }

    fn append(&mut self, (topic, id): (&str, u32), mut gap: u64, unit: Unit) -> Result<()> {
        self.slots += gap + 1;
        loop {
            let Some(queue) = self.queues.get_mut(topic).and_then(|q| q.get_mut(&id)) else {
                return Ok(());
            };
            let now = usize::try_from(gap).unwrap_or(SPILL).min(SPILL);
            queue.units.extend(std::iter::repeat_n(Unit::FILLER, now));
            gap -= now as u64;
            if gap == 0 {
                queue.units.push(unit);
            }
            self.held += now + 1;
            if self.held >= SPILL {
                self.spill()?;
            }
            if gap == 0 {
                return Ok(());
            }
        }
    }

    /// What could not be taken as it was.
    pub(in crate::store) fn notes(&self) -> Vec<String> {
        let queues = self.queues.iter().flat_map(|(topic, q)| q.iter().map(move |q| (topic, q)));
        let notes = queues.flat_map(|(topic, (id, queue))| queue.notes(topic, *id));
        let impossible = (self.impossible > 0).then(|| {
            format!(
                "{} records claim offsets that no queue can have, or queues that no topic can; they are left out",
                self.impossible
            )
        });
        notes.chain(impossible).collect()
    }

    fn is_due(&self, topic: &str, id: u32, offset: u64) -> bool {
        let queue = self.queues.get(topic).and_then(|q| q.get(&id));
        queue.is_some_and(|queue| queue.next() == offset)
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

#[cfg(test)]
mod tests;
