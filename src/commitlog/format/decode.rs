//! Bytes to record: total, without allocating, believing nothing.

use super::{
    BLANK_LEN, CRC_TAIL, CRC_TAIL_LEN, DIGITS_AT, FIXED_LEN_V1, Host, MAGIC_BLANK, MAGIC_V1,
    MAGIC_V2, MAX_RECORD_LEN, RecordView, crc_tail, masked_crc, sysflag,
};
use crate::message::properties;

/// What bytes of the log turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// A whole record, `size` bytes of what was given.
    Record(RecordView<'a>),
    /// The end of a full segment. `len` is at least [`BLANK_LEN`]; whether it reaches to the segment's end is for the
    /// caller, who knows where that is, to compare.
    Blank { len: u32 },
    /// A record that claims `needed` bytes, more than were given. The claim is unchecked: if the segment cannot hold
    /// it, this is damage.
    Incomplete { needed: usize },
    /// Zero size and magic: nothing was written here.
    Empty,
    /// None of these, with the reason.
    Bad(&'static str),
}

/// Which checksums [`decode()`] verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checks {
    /// The CRC of a non-empty body.
    pub(crate) body_crc: bool,
    /// The CRC of the whole record, in the tail of its properties.
    pub(crate) record_crc: RecordCrc,
}

/// How the CRC tail is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordCrc {
    /// An ordinary property: a broker's copy of a record carries the digits of the original.
    Ignore,
    /// Verified where there is one.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what a broker checks; we know where we wrote")
    )]
    IfPresent,
    /// Verified; a record without it is bad. Only for ranges of the log that this crate wrote.
    Require,
}

impl Checks {
    /// Structure only.
    pub(crate) const NONE: Self = Self { body_crc: false, record_crc: RecordCrc::Ignore };
}

/// Decodes what begins at the first of `bytes`.
pub(crate) fn decode(bytes: &[u8], checks: Checks) -> Decoded<'_> {
    let Some((start, _)) = bytes.split_first_chunk::<BLANK_LEN>() else {
        return Decoded::Incomplete { needed: BLANK_LEN };
    };
    let [a, b, c, d, magic @ ..] = *start;
    let (size, magic) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(magic));
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    match magic {
        0 if size == 0 => Decoded::Empty,
        MAGIC_BLANK if len < BLANK_LEN || i32::try_from(size).is_err() => {
            Decoded::Bad("the length of the blank is impossible")
        }
        MAGIC_BLANK => Decoded::Blank { len: size },
        MAGIC_V1 | MAGIC_V2 if !(FIXED_LEN_V1..=MAX_RECORD_LEN).contains(&len) => {
            Decoded::Bad("the record size is impossible")
        }
        MAGIC_V1 | MAGIC_V2 => match bytes.get(..len) {
            None => Decoded::Incomplete { needed: len },
            Some(bytes) => checked(bytes, checks).map_or_else(Decoded::Bad, Decoded::Record),
        },
        _ => Decoded::Bad("the magic number is unknown"),
    }
}

type Checked<T> = Result<T, &'static str>;

fn checked(bytes: &[u8], checks: Checks) -> Checked<RecordView<'_>> {
    let record = fields(bytes)?;
    verify(bytes, &record, checks)?;
    Ok(record)
}

/// Reads the fields of a record that claims to be exactly `bytes`.
fn fields(bytes: &[u8]) -> Checked<RecordView<'_>> {
    let mut rest = Reader(bytes);
    let size = rest.u32()?;
    let magic = rest.u32()?;
    let body_crc = rest.u32()?;
    let queue_id = rest.u32()?;
    let flag = rest.i32()?;
    let queue_offset = rest.u64()?;
    let physical_offset = rest.u64()?;
    let sys_flag = rest.i32()?;
    let born_timestamp = rest.i64()?;
    let born_host = rest.host(sys_flag & sysflag::BORN_HOST_V6 != 0)?;
    let store_timestamp = rest.i64()?;
    let store_host = rest.host(sys_flag & sysflag::STORE_HOST_V6 != 0)?;
    let reconsume_times = rest.i32()?;
    let prepared_transaction_offset = rest.i64()?;
    // A broker takes negative lengths of body and properties as 0, and those of topics as damage.
    let body_len = usize::try_from(rest.i32()?).unwrap_or(0);
    let body = rest.take(body_len)?;
    let topic_len = if magic == MAGIC_V2 { rest.i16()? } else { i16::from(rest.i8()?) };
    let topic = rest.take(usize::try_from(topic_len).or(Err("the topic length is negative"))?)?;
    let properties_len = usize::try_from(rest.i16()?).unwrap_or(0);
    let properties = rest.take(properties_len)?;
    if !rest.0.is_empty() {
        return Err("the record is larger than its parts");
    }
    if i32::try_from(queue_id).is_err() {
        return Err("the queue id is negative");
    }
    if i64::try_from(queue_offset).is_err() || i64::try_from(physical_offset).is_err() {
        return Err("an offset is negative");
    }
    Ok(RecordView {
        size,
        magic,
        body_crc,
        queue_id,
        flag,
        queue_offset,
        physical_offset,
        sys_flag,
        born_timestamp,
        born_host,
        store_timestamp,
        store_host,
        reconsume_times,
        prepared_transaction_offset,
        body,
        topic: str::from_utf8(topic).or(Err("the topic is not UTF-8"))?,
        properties,
    })
}

fn verify(bytes: &[u8], record: &RecordView<'_>, checks: Checks) -> Checked<()> {
    if checks.body_crc && !record.body.is_empty() && masked_crc(record.body) != record.body_crc {
        return Err("the body does not match its CRC");
    }
    if checks.record_crc == RecordCrc::Ignore {
        return Ok(());
    }
    match (split_crc_tail(record.properties), bytes.split_last_chunk::<CRC_TAIL_LEN>()) {
        (Some(_), Some((checked, tail))) if *tail == crc_tail(masked_crc(checked)) => Ok(()),
        (Some(_), _) => Err("the record does not match its CRC"),
        (None, _) if checks.record_crc == RecordCrc::Require => Err("the record has no CRC"),
        (None, _) => Ok(()),
    }
}

/// The block without its CRC tail and the tail, if it ends in one. The digits may be anything.
fn split_crc_tail(block: &[u8]) -> Option<(&[u8], &[u8; CRC_TAIL_LEN])> {
    let (rest, tail) = block.split_last_chunk::<CRC_TAIL_LEN>()?;
    let own_piece = rest.last().is_none_or(|last| *last == properties::PIECE_END);
    let named = tail[..DIGITS_AT] == CRC_TAIL[..DIGITS_AT];
    let ended = tail.last() == CRC_TAIL.last();
    (own_piece && named && ended).then_some((rest, tail))
}

/// The property block without the CRC tail, if it ends in one: what a copy of the record starts from.
///
/// A broker's copy may carry the property elsewhere: who copies property by property leaves out [`properties::name::CRC32`].
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "for copying a record, which recomputes the checksum")
)]
pub(crate) fn strip_crc_tail(properties: &[u8]) -> &[u8] {
    split_crc_tail(properties).map_or(properties, |(rest, _)| rest)
}

/// Bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Checked<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(OVERRUN)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(OVERRUN)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn i8(&mut self) -> Checked<i8> {
        self.array().map(i8::from_be_bytes)
    }

    fn i16(&mut self) -> Checked<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Checked<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Checked<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn i64(&mut self) -> Checked<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn u64(&mut self) -> Checked<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn host(&mut self, v6: bool) -> Checked<Host> {
        if v6 {
            let (host, rest) = self.0.split_first_chunk().ok_or(OVERRUN)?;
            self.0 = rest;
            Ok(Host::decode_v6(host))
        } else {
            let (host, rest) = self.0.split_first_chunk().ok_or(OVERRUN)?;
            self.0 = rest;
            Ok(Host::decode_v4(*host))
        }
    }
}

const OVERRUN: &str = "the record is smaller than its parts";
