//! The store time of the last record that is not read again: later ones must not be older.
//!
//! A checkpoint that we wrote is believed, since its seal shows that no bit of it is another. What a broker's says, or a damaged one,
//! counts for nothing by itself: one flipped bit would push the times of all later messages far ahead, for ever, as they never
//! decrease. Then the last sound records that the queues know tell what time it was.

use crate::commitlog::format::{self, Checks, Decoded, RecordCrc};
use crate::error::Result;
use crate::io::small::read_small;
use crate::store::checkpoint::Checkpoint;

use super::Recovery;

/// The store times of records as they are read.
///
/// A broker's checksum does not cover the field: a time counts when the next record, which is not older, bears it out, or at once
/// where we wrote. That of the last record alone is not needed: the clock has gone on since.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) believed: i64,
    last: i64,
}

impl Times {
    pub(super) fn saw(&mut self, time: i64, proven: bool) {
        let borne_out = if proven { time } else { self.last.min(time) };
        self.believed = self.believed.max(borne_out);
        self.last = time;
    }
}

impl Recovery<'_> {
    /// The largest store time of the records below `limit`, as far as it is known; 0 if it is not.
    pub(super) fn last_time_below(&self, limit: u64) -> Result<i64> {
        if let Some(sealed) = self.checkpoint_bytes().and_then(|b| Checkpoint::decode_sealed(&b)) {
            return Ok(sealed.physic_timestamp);
        }
        let log_min = self.survey.files.first().map_or(limit, |f| f.0);
        let mut last = 0;
        if limit > log_min {
            for (topic, queue) in self.files.queues_on_disk()? {
                if let Some((_, unit)) = self.last_believable((&topic, queue), limit)? {
                    last = self.sound_time(unit.offset, unit.size as usize)?.unwrap_or(0).max(last);
                }
            }
        }
        Ok(last)
    }

    fn sound_time(&self, offset: u64, size: usize) -> Result<Option<i64>> {
        let Some(bytes) = self.bytes_at(offset, size)? else { return Ok(None) };
        let own = self.own().contains(offset);
        let record_crc = if own { RecordCrc::Require } else { RecordCrc::Ignore };
        Ok(match format::decode(&bytes, Checks { body_crc: true, record_crc }) {
            Decoded::Record(record) => Some(record.store_timestamp),
            _ => None,
        })
    }

    /// What the checkpoint says, whoever wrote it.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::decode(&self.checkpoint_bytes()?)
    }

    fn checkpoint_bytes(&self) -> Option<Vec<u8>> {
        read_small(&**self.storage, &self.layout.checkpoint(), 1 << 20).ok()?
    }
}
