//! The bytes of the commit log: `RocketMQ`'s records, packed back to back, and the blank that ends a full segment.
//!
//! ```text
//! size u32 | magic u32 | body CRC u32 | queue id u32 | flag i32 | queue offset u64 | physical offset u64 |
//! sys flag i32 | born time i64 | born host 8 or 20 | store time i64 | store host 8 or 20 | reconsume times i32 |
//! prepared transaction offset i64 | body length u32, body | topic length u8 (V2: u16), topic |
//! properties length u16, properties
//! ```
//!
//! Everything is big-endian and, on the Java side, signed: lengths, offsets and sizes above the signed maximum are damage.
//! The magic says how wide the topic length is, two bits of the sys flag how wide the hosts are. A record never spans
//! two segments and never ends closer than [`BLANK_LEN`] bytes to its segment's end.
//!
//! What this crate writes ends in a checksum of the whole record, `RocketMQ`'s optional property `__CRC32#`: the body
//! CRC alone does not see a torn header or property block.
//!
//! [`encode()`] and [`seal`] write, [`decode()`] reads; nothing else in the crate knows where a field lies.

mod decode;
mod encode;
mod host;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use crate::message::properties::CRC_TAIL_LEN;
#[cfg(test)]
pub(crate) use decode::strip_crc_tail;
pub(crate) use decode::{Checks, Decoded, RecordCrc, decode};
#[cfg(test)]
pub(crate) use encode::encoded_len;
pub(crate) use encode::{Draft, blank, encode, seal};
pub(crate) use host::Host;
pub(crate) use record::RecordView;
#[cfg(test)]
pub(crate) use record::Transaction;

use crate::message::properties::{MAX_BLOCK_LEN, name};

/// A record whose topic length is one byte.
pub(crate) const MAGIC_V1: u32 = 0xDAA3_20A7;
/// A record whose topic length is two bytes.
pub(crate) const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Not a record: the rest of the segment is unused.
pub(crate) const MAGIC_BLANK: u32 = 0xCBD4_3194;

/// The size of a blank: its length field and its magic.
pub(crate) const BLANK_LEN: usize = 8;

const SIZE_AT: usize = 0;
const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = QUEUE_OFFSET_AT + 8;
const SYS_FLAG_AT: usize = PHYSICAL_OFFSET_AT + 8;
const BORN_HOST_AT: usize = SYS_FLAG_AT + 4 + 8;

/// The size of a V1 record with IPv4 hosts, without body, topic and properties.
pub(crate) const FIXED_LEN_V1: usize = BORN_HOST_AT + 8 + 8 + 8 + 4 + 8 + 4 + 1 + 2;

/// The largest record: sizes are signed, and its segment holds a blank besides.
pub(crate) const MAX_RECORD_LEN: usize = 0x7FFF_FFFF - BLANK_LEN;
/// The longest topic of a V1 record: its length is a signed byte.
pub(crate) const MAX_TOPIC_LEN_V1: usize = 127;
/// The longest topic a broker takes.
pub(crate) const MAX_TOPIC_LEN: usize = 255;
/// The longest property block, the CRC tail included.
pub(crate) const MAX_PROPERTIES_LEN: usize = MAX_BLOCK_LEN;

/// The bits of a record's sys flag.
#[expect(dead_code, reason = "the format's whole table stands here")]
pub(crate) mod sysflag {
    /// The body is compressed; [`CODEC_MASK`] says how, where 0 also means ZLIB.
    pub(crate) const COMPRESSED: i32 = 0x1;
    /// The topic's messages carry several tags. Changes nothing here.
    pub(crate) const MULTI_TAGS: i32 = 0x2;
    /// The two bits of the transaction type.
    pub(crate) const TRANSACTION_MASK: i32 = 0xC;
    /// A half message.
    pub(crate) const TRANSACTION_PREPARED: i32 = 0x4;
    /// A committed transactional message.
    pub(crate) const TRANSACTION_COMMIT: i32 = 0x8;
    /// A rolled-back transactional message.
    pub(crate) const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// The born host is IPv6.
    pub(crate) const BORN_HOST_V6: i32 = 0x10;
    /// The store host is IPv6.
    pub(crate) const STORE_HOST_V6: i32 = 0x20;
    /// The consumer unwraps a batch from the body.
    pub(crate) const NEEDS_UNWRAP: i32 = 0x40;
    /// The body is a batch of messages.
    pub(crate) const INNER_BATCH: i32 = 0x80;
    /// The three bits of the compression codec.
    pub(crate) const CODEC_MASK: i32 = 0x700;
    /// An LZ4 frame.
    pub(crate) const CODEC_LZ4: i32 = 0x100;
    /// A Zstandard frame.
    pub(crate) const CODEC_ZSTD: i32 = 0x200;
    /// A zlib stream.
    pub(crate) const CODEC_ZLIB: i32 = 0x300;
}

/// The CRC-32 of zlib without its top bit, as every checksum of the log is stored. Of nothing: 0.
pub(crate) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) & 0x7FFF_FFFF
}

/// The CRC tail of a record with the checksum 0: name, 0x01, ten decimal digits, the least significant first, 0x02.
const CRC_TAIL: [u8; CRC_TAIL_LEN] = *b"__CRC32#\x010000000000\x02";
/// Where the digits begin in it.
const DIGITS_AT: usize = name::CRC32.len() + 1;

fn crc_tail(crc: u32) -> [u8; CRC_TAIL_LEN] {
    let mut tail = CRC_TAIL;
    tail[DIGITS_AT..CRC_TAIL_LEN - 1].copy_from_slice(&reversed_digits(crc));
    tail
}

/// Ten decimal digits, the least significant first.
///
/// Runs once per record under the append lock, so the lower eight digits are split in the lanes of one word: into
/// fours, twos and ones, each step a multiplication for all lanes at once.
fn reversed_digits(value: u32) -> [u8; 10] {
    let top = value / 100_000_000;
    let low = value % 100_000_000;
    let fours = u64::from(low / 10_000) | u64::from(low % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let twos = hundreds | (fours - 100 * hundreds) << 16;
    let tens = ((twos * 103) >> 10) & 0x000F_000F_000F_000F;
    let ones = tens | (twos - 10 * tens) << 8;
    let mut digits = [0; 10];
    // The most significant digit is in the lowest byte: big-endian order turns the number round.
    digits[..8].copy_from_slice(&(ones | 0x3030_3030_3030_3030).to_be_bytes());
    let [tens, ones] = [top / 10, top % 10].map(|digit| digit.to_be_bytes()[3]);
    digits[8..].copy_from_slice(&[b'0' | ones, b'0' | tens]);
    digits
}
