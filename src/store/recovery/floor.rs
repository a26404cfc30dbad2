//! Up to where the log is known to be durable: below that a bad record is damage, above it the log ends there.

use crate::commitlog::format::{self, BLANK_LEN, Checks, Decoded, FIXED_LEN_V1, RecordView};
use crate::commitlog::scan::MAX_RECORD;
use crate::commitlog::staging::StagedImage;
use crate::consumequeue::files::QueueName;
use crate::consumequeue::format::Unit;
use crate::error::{Error, Result};
use crate::io::OpenMode;
use crate::store::report::History;
use crate::store::state::{FloorFile, FloorMark};

use super::Recovery;

/// Enough for the head of a record, and for most records as a whole.
const HEAD: usize = 16 << 10;

impl Recovery<'_> {
    /// Up to where the log is known to be durable, and up to where its queues are.
    pub(in crate::store) fn floor(&self, staged: Option<&StagedImage>) -> Result<FloorMark> {
        match (&self.survey.generation, self.history) {
            (Some(generation), History::Crashed) => {
                let written = FloorFile::read(&**self.storage, self.layout, generation.number)?
                    .unwrap_or_default();
                let staged = staged.and_then(|s| s.durable).unwrap_or(0);
                Ok(FloorMark { durable: written.durable.max(staged), queues: written.queues })
            }
            (_, History::Clean) => {
                let end = self.survey.stamp.as_ref().map_or(0, |s| s.log_end);
                Ok(FloorMark { durable: end, queues: 0 })
            }
            _ => {
                // What we closed was durable, whoever went on from there.
                let closed = self.survey.stamp.as_ref().map_or(0, |s| s.log_end);
                let theirs =
                    if self.survey.broker_died { self.checkpointed()? } else { self.indexed()? };
                Ok(FloorMark { durable: theirs.max(closed), queues: 0 })
            }
        }
    }

    /// A broker that died had flushed what is older than its checkpoint: the files before the newest one that begins before it.
    fn checkpointed(&self) -> Result<u64> {
        let safe = self.checkpoint().map_or(0, |c| c.min_timestamp());
        for (base, _) in self.survey.files.iter().rev() {
            let time = self.record_at(*base, |first| first.store_timestamp)?;
            if time.is_some_and(|time| (1..=safe).contains(&time)) {
                return Ok(*base);
            }
        }
        Ok(0)
    }

    /// A broker that stopped cleanly had everything on disk that its queues speak of.
    fn indexed(&self) -> Result<u64> {
        let mut end = 0;
        for (topic, queue) in self.files.queues_on_disk()? {
            let last = self.last_believable((&topic, queue), u64::MAX)?;
            end = last.map_or(end, |(_, unit)| unit.end().max(end));
        }
        Ok(end)
    }

    /// The last unit of a queue, and its slot, that does not end above `limit` and that the log does not contradict.
    pub(super) fn last_believable(
        &self,
        name: QueueName<'_>,
        limit: u64,
    ) -> Result<Option<(u64, Unit)>> {
        let mut found = None;
        self.files.last_live(name, |slot, unit, before| {
            let end = self.end_in_file(&unit).filter(|end| *end <= limit);
            let believed = end.map_or(Ok(false), |end| self.confirmed(&unit, before, end))?;
            if believed {
                found = Some((slot, unit));
            }
            Ok(believed)
        })?;
        Ok(found)
    }

    /// Where a unit's record ends, if a record of that size can be at that place.
    fn end_in_file(&self, unit: &Unit) -> Option<u64> {
        let end = unit.offset.checked_add(u64::from(unit.size))?;
        let sized = (FIXED_LEN_V1..=MAX_RECORD).contains(&(unit.size as usize));
        let (base, len) = self.file_of(unit.offset)?;
        (sized && end + BLANK_LEN as u64 <= base + len).then_some(end)
    }

    fn file_of(&self, offset: u64) -> Option<(u64, u64)> {
        self.survey.files.iter().copied().find(|(base, len)| (*base..base + len).contains(&offset))
    }

    /// Whether the log has something like the record of `unit`: one that names its own place and has that size; or, where the
    /// head is damaged, something behind the record of the unit `before` that ends where another record starts, a file ends or
    /// nothing was written yet.
    fn confirmed(&self, unit: &Unit, before: u64, end: u64) -> Result<bool> {
        let head = self.record_at(unit.offset, |r| (r.physical_offset, r.size))?;
        if let Some((place, size)) = head
            && place == unit.offset
        {
            return Ok(size == unit.size);
        }
        let Some((base, len)) = self.file_of(unit.offset) else { return Ok(false) };
        let start = self.bytes_at(unit.offset, FIXED_LEN_V1)?.unwrap_or_default();
        let written = start.iter().any(|byte| *byte != 0);
        let next = self.bytes_at(end, BLANK_LEN)?.unwrap_or_default();
        let followed = match format::decode(&next, Checks::NONE) {
            Decoded::Blank { len: left } => u64::from(left) == base + len - end,
            Decoded::Empty => true,
            _ => self.record_at(end, |r| r.physical_offset)? == Some(end),
        };
        Ok(before <= unit.offset && written && followed)
    }

    /// What `look` makes of the record at `offset`, whose checksums nobody looks at. `None` if there is none.
    fn record_at<T>(
        &self,
        offset: u64,
        look: impl FnOnce(&RecordView<'_>) -> T,
    ) -> Result<Option<T>> {
        let Some((base, len)) = self.file_of(offset) else { return Ok(None) };
        let left = usize::try_from(base + len - offset).unwrap_or(MAX_RECORD).min(MAX_RECORD);
        let mut bytes = self.bytes_at(offset, HEAD.min(left))?.unwrap_or_default();
        if let Decoded::Incomplete { needed } = format::decode(&bytes, Checks::NONE)
            && needed <= left
        {
            bytes = self.bytes_at(offset, needed)?.unwrap_or_default();
        }
        Ok(match format::decode(&bytes, Checks::NONE) {
            Decoded::Record(record) => Some(look(&record)),
            _ => None,
        })
    }

    /// Bytes of the log as its files show them; `None` if no file holds them all.
    pub(super) fn bytes_at(&self, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        let Some((base, size)) = self.file_of(offset) else { return Ok(None) };
        if offset + len as u64 > base + size {
            return Ok(None);
        }
        let path = self.layout.segment(base);
        let io = |e| Error::io(e, &path, "read the commit log");
        let file = self.storage.open(&path, OpenMode::Read).map_err(io)?;
        let mut bytes = vec![0; len];
        file.read_at(offset - base, &mut bytes).map_err(io)?;
        Ok(Some(bytes))
    }
}
