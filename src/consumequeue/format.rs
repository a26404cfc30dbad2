//! The bytes of a consume queue: one unit per message, at 20 times its queue offset.
//!
//! ```text
//! log offset u64 | record size u32 | tag code i64
//! ```

/// The size of a unit.
pub(crate) const UNIT_LEN: usize = 8 + 4 + 8;

/// The unit in the slots before the first message of a queue that does not start at a file's first slot.
pub(crate) const FILLER: [u8; UNIT_LEN] = *b"\0\0\0\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0\0\0\0\0";

/// Where one message of a queue lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The position of its record.
    pub(crate) offset: u64,
    /// The size of its record.
    pub(crate) size: u32,
    /// The hash of its tag, or the due time of a delayed message.
    pub(crate) tags_code: i64,
}

impl Unit {
    /// As [`FILLER`].
    pub(crate) const FILLER: Self = Self { offset: 0, size: 0x7FFF_FFFF, tags_code: 0 };

    pub(crate) fn encode(&self) -> [u8; UNIT_LEN] {
        let mut bytes = [0; UNIT_LEN];
        bytes[..8].copy_from_slice(&self.offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_be_bytes());
        bytes[12..].copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    #[expect(clippy::many_single_char_names, reason = "the bytes in their order; nothing can fail")]
    pub(crate) const fn decode(bytes: &[u8; UNIT_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, size @ .., i, j, k, l, m, n, o, p] = *bytes;
        Self {
            offset: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            size: u32::from_be_bytes(size),
            tags_code: i64::from_be_bytes([i, j, k, l, m, n, o, p]),
        }
    }

    /// Whether this is [`FILLER`].
    pub(crate) const fn is_filler(&self) -> bool {
        self.offset == 0 && self.size == 0x7FFF_FFFF && self.tags_code == 0
    }

    /// Whether nothing was written in this slot.
    pub(crate) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The log offset after the record.
    pub(crate) const fn end(&self) -> u64 {
        self.offset.saturating_add(self.size as u64)
    }

    /// Whether this is the unit of a message: neither a filler nor an empty slot.
    pub(crate) const fn points_somewhere(&self) -> bool {
        !self.is_filler() && !self.is_empty()
    }

    /// Whether a broker would go on past this slot when it looks for the queue's end: on its side the numbers are signed,
    /// the offset is not negative and the size positive. Fillers are among them.
    #[cfg_attr(not(test), expect(dead_code, reason = "the format's whole table stands here"))]
    pub(crate) const fn is_written(&self) -> bool {
        self.offset >> 63 == 0 && self.size != 0 && self.size >> 31 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_rocketmqs_bytes() {
        let unit = Unit { offset: 4096, size: 188, tags_code: 2_598_919 };
        let bytes = *b"\0\0\0\0\0\0\x10\0\0\0\0\xbc\0\0\0\0\0\x27\xa8\x07";
        assert_eq!(unit.encode(), bytes);
        assert_eq!(Unit::decode(&bytes), unit);
        assert!(unit.is_written() && !unit.is_filler() && !unit.is_empty());
    }

    #[test]
    fn a_filler_is_rocketmqs_bytes() {
        let filler = Unit { offset: 0, size: 0x7FFF_FFFF, tags_code: 0 };
        assert_eq!(filler.encode(), FILLER);
        assert_eq!(Unit::decode(&FILLER), filler);
        assert!(filler.is_filler() && filler.is_written() && !filler.is_empty());
        assert!(!Unit { tags_code: 1, ..filler }.is_filler());
        assert!(!Unit { offset: 1, ..filler }.is_filler());
        assert!(!Unit { size: 1, ..filler }.is_filler());
    }

    #[test]
    fn zeros_are_an_empty_slot() {
        let unit = Unit::decode(&[0; UNIT_LEN]);
        assert!(unit.is_empty() && !unit.is_written() && !unit.is_filler());
    }

    #[test]
    fn numbers_negative_in_java_end_the_queue() {
        let unit = Unit { offset: 7, size: 188, tags_code: -1 };
        assert!(unit.is_written());
        assert!(!Unit { offset: 1 << 63, ..unit }.is_written());
        assert!(!Unit { size: 1 << 31, ..unit }.is_written());
    }

    proptest::proptest! {
        #[test]
        fn every_unit_survives_the_round_trip(bytes: [u8; UNIT_LEN]) {
            proptest::prop_assert_eq!(Unit::decode(&bytes).encode(), bytes);
        }
    }
}
