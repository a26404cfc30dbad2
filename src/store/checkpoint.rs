//! The bytes of the file `checkpoint`: up to when each part of the store is known to be on disk.
//!
//! ```text
//! physic i64 | logics i64 | index i64 | master flushed offset i64 | confirm offset i64 | zeros
//! at 4084: "PMQCHECK" 8 | CRC-32 of the five numbers u32
//! ```
//!
//! The file is a broker's and has no checksum; the seal at its end is ours. A broker neither reads nor writes that part, so after its
//! next write the seal does not match: what an unsealed checkpoint says is believed only as far as the log confirms it.

/// The size of the file.
pub(crate) const CHECKPOINT_LEN: usize = 4096;

const FIELDS: usize = 5;
const FIELDS_LEN: usize = FIELDS * 8;
const SEAL: &[u8; 8] = b"PMQCHECK";
const SEAL_AT: usize = CHECKPOINT_LEN - SEAL.len() - 4;

/// How much older than the checkpoint a record must be to count as safe, in milliseconds.
const MARGIN_MS: i64 = 3000;

/// Times are store timestamps in milliseconds, 0 if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Records stored up to then are on disk.
    pub(crate) physic_timestamp: i64,
    /// Consume queues are on disk for records stored up to then.
    pub(crate) logics_timestamp: i64,
    /// Index files are on disk for records stored up to then.
    pub(crate) index_timestamp: i64,
    /// For replicas of a broker; 0 here.
    pub(crate) master_flushed_offset: i64,
    /// The log end that a broker counts as confirmed.
    pub(crate) confirm_offset: i64,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CHECKPOINT_LEN);
        for field in [
            self.physic_timestamp,
            self.logics_timestamp,
            self.index_timestamp,
            self.master_flushed_offset,
            self.confirm_offset,
        ] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.resize(SEAL_AT, 0);
        bytes.extend_from_slice(SEAL);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// As [`Checkpoint::decode`], if the seal shows that these are the numbers that we wrote.
    pub(crate) fn decode_sealed(bytes: &[u8]) -> Option<Self> {
        let (mark, crc) = bytes.get(SEAL_AT..)?.split_first_chunk()?;
        let sum = crc32fast::hash(bytes.get(..FIELDS_LEN)?);
        (mark == SEAL && crc == sum.to_be_bytes()).then(|| Self::decode(bytes))?
    }

    /// `None` if the bytes end before the last field.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let fields: &[[u8; 8]; FIELDS] = bytes.as_chunks().0.first_chunk()?;
        let [physic, logics, index, master, confirm] = fields.map(i64::from_be_bytes);
        Some(Self {
            physic_timestamp: physic,
            logics_timestamp: logics,
            index_timestamp: index,
            master_flushed_offset: master,
            confirm_offset: confirm,
        })
    }

    /// Records stored before then are in log and queues, whatever the last exit was like.
    pub(crate) fn min_timestamp(&self) -> i64 {
        self.physic_timestamp.min(self.logics_timestamp).saturating_sub(MARGIN_MS).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Checkpoint = Checkpoint {
        physic_timestamp: 1_700_000_000_123,
        logics_timestamp: 1_700_000_000_122,
        index_timestamp: 3,
        master_flushed_offset: 4,
        confirm_offset: -5,
    };

    #[test]
    fn fields_lie_where_rocketmq_has_them() {
        let bytes = SAMPLE.encode();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(bytes[..8], [0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]);
        assert_eq!(bytes[15], 0x7a);
        assert_eq!((bytes[23], bytes[31]), (3, 4));
        assert_eq!(bytes[32..40], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb]);
        assert!(bytes[40..4084].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[4084..4092], *b"PMQCHECK");
        assert_eq!(Checkpoint::decode(&bytes), Some(SAMPLE));
        assert_eq!(Checkpoint::decode_sealed(&bytes), Some(SAMPLE));
    }

    #[test]
    fn no_flipped_bit_and_no_other_writer_passes_for_ours() {
        let good = SAMPLE.encode();
        for bit in (0..40 * 8).chain(4084 * 8..4096 * 8) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode_sealed(&bad), None, "bit {bit}");
        }
        let mut brokers = good.clone();
        brokers[..8].copy_from_slice(&1_700_000_000_999_i64.to_be_bytes());
        assert_eq!(Checkpoint::decode_sealed(&brokers), None);
        for len in 0..good.len() {
            assert_eq!(Checkpoint::decode_sealed(&good[..len]), None);
        }
        assert_eq!(Checkpoint::decode_sealed(&[0; CHECKPOINT_LEN]), None);
    }

    #[test]
    fn a_short_file_is_no_checkpoint() {
        let bytes = SAMPLE.encode();
        for len in 0..40 {
            assert_eq!(Checkpoint::decode(&bytes[..len]), None);
        }
        assert_eq!(Checkpoint::decode(&bytes[..40]), Some(SAMPLE));
    }

    #[test]
    fn recovery_starts_three_seconds_before_the_older_of_log_and_queues() {
        assert_eq!(SAMPLE.min_timestamp(), 1_699_999_997_122);
        assert_eq!(Checkpoint { physic_timestamp: 0, ..SAMPLE }.min_timestamp(), 0);
        assert_eq!(Checkpoint { logics_timestamp: i64::MIN, ..SAMPLE }.min_timestamp(), 0);
        assert_eq!(Checkpoint { physic_timestamp: 3001, ..SAMPLE }.min_timestamp(), 1);
    }
}
