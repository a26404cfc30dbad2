//! Message to record, in two steps: [`encode()`] before the append lock, [`seal`] under it.

use std::fmt;

use super::host::with_host_bits;
use super::{
    BLANK_LEN, BORN_HOST_AT, CRC_TAIL, CRC_TAIL_LEN, DIGITS_AT, FIXED_LEN_V1, Host, MAGIC_BLANK,
    MAGIC_V1, MAGIC_V2, MAX_PROPERTIES_LEN, MAX_RECORD_LEN, MAX_TOPIC_LEN, MAX_TOPIC_LEN_V1,
    PHYSICAL_OFFSET_AT, QUEUE_OFFSET_AT, SIZE_AT, SYS_FLAG_AT, crc_tail, host, masked_crc, sysflag,
};
use crate::error::{Error, ErrorKind};
use crate::message::properties::PIECE_END;

/// A message on its way into the log: all fields but the body, and those that [`seal`] fills in.
#[derive(Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) topic: &'a str,
    pub(crate) queue_id: u32,
    pub(crate) flag: i32,
    /// The two host bits are taken from the hosts, whatever is set here.
    pub(crate) sys_flag: i32,
    pub(crate) born_timestamp: i64,
    pub(crate) born_host: Host,
    pub(crate) store_host: Host,
    pub(crate) reconsume_times: i32,
    pub(crate) prepared_transaction_offset: i64,
    /// The encoded block, without CRC tail.
    pub(crate) properties: &'a [u8],
}

/// Without property values: payloads are never logged.
impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("topic", &self.topic)
            .field("queue_id", &self.queue_id)
            .field("sys_flag", &self.sys_flag)
            .field("properties_len", &self.properties.len())
            .finish_non_exhaustive()
    }
}

/// A part of a message does not fit the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is {value}, at most {max} is possible")]
pub(crate) struct TooLong {
    what: &'static str,
    value: usize,
    max: usize,
}

impl From<TooLong> for Error {
    fn from(too_long: TooLong) -> Self {
        Self::new(ErrorKind::TooLarge, too_long.to_string())
    }
}

/// The size of the record that [`encode()`] makes of the draft with a body of that length.
pub(crate) const fn encoded_len(draft: &Draft<'_>, body: usize) -> usize {
    head_len(draft)
        + body
        + is_v2(draft) as usize
        + 1
        + draft.topic.len()
        + 2
        + properties_len(draft)
}

/// Everything before the body.
const fn head_len(draft: &Draft<'_>) -> usize {
    HEAD_LEN_V4 - 2 * host::V4_LEN + draft.born_host.encoded_len() + draft.store_host.encoded_len()
}

const HEAD_LEN_V4: usize = FIXED_LEN_V1 - 1 - 2;

const fn is_v2(draft: &Draft<'_>) -> bool {
    draft.topic.len() > MAX_TOPIC_LEN_V1
}

const fn properties_len(draft: &Draft<'_>) -> usize {
    draft.properties.len() + needs_separator(draft) as usize + CRC_TAIL_LEN
}

/// Older writers leave out the byte that ends the last property.
const fn needs_separator(draft: &Draft<'_>) -> bool {
    matches!(draft.properties.last(), Some(last) if *last != PIECE_END)
}

/// Appends the record, complete but for queue offset, physical offset, store timestamp and the digits of its CRC,
/// which are zero until [`seal`] fills them in.
///
/// `body` appends the body, so that it is put where it stays; it must leave alone what is there.
///
/// # Errors
///
/// Nothing is appended if a part is too long, or `body` fails.
pub(crate) fn encode<E: From<TooLong>>(
    out: &mut Vec<u8>,
    draft: &Draft<'_>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    let result = encode_at(out, start, draft, body);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn encode_at<E: From<TooLong>>(
    out: &mut Vec<u8>,
    start: usize,
    draft: &Draft<'_>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let body_at = start + head_len(draft);
    out.reserve(encoded_len(draft, USUAL_BODY));
    out.resize(body_at, 0);
    body(out)?;
    let body = out.get(body_at..).unwrap_or_default();
    let lengths = Lengths::of(draft, body.len())?;
    let body_crc = masked_crc(body);
    write_head(out.get_mut(start..body_at).unwrap_or_default(), draft, &lengths, body_crc);
    let topic_len = lengths.topic.to_be_bytes();
    out.extend_from_slice(if is_v2(draft) { &topic_len } else { &topic_len[1..] });
    out.extend_from_slice(draft.topic.as_bytes());
    // The end of most records in one piece: they have no properties.
    let mut end = [0; 2 + CRC_TAIL_LEN];
    end[..2].copy_from_slice(&lengths.properties.to_be_bytes());
    end[2..].copy_from_slice(&CRC_TAIL);
    if draft.properties.is_empty() {
        out.extend_from_slice(&end);
        return Ok(());
    }
    out.extend_from_slice(&end[..2]);
    out.extend_from_slice(draft.properties);
    if needs_separator(draft) {
        out.push(PIECE_END);
    }
    out.extend_from_slice(&end[2..]);
    Ok(())
}

/// Room that is made for a body of unknown length.
const USUAL_BODY: usize = 256;

/// Everything before the body, into exactly the room for it.
fn write_head(mut room: &mut [u8], draft: &Draft<'_>, lengths: &Lengths, body_crc: u32) {
    let mut put = |bytes: &[u8]| {
        if let Some(place) = room.split_off_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(&lengths.record.to_be_bytes());
    put(&if is_v2(draft) { MAGIC_V2 } else { MAGIC_V1 }.to_be_bytes());
    put(&body_crc.to_be_bytes());
    put(&lengths.queue_id.to_be_bytes());
    put(&draft.flag.to_be_bytes());
    put(&[0; 8 + 8]);
    put(&with_host_bits(draft.sys_flag, draft.born_host, draft.store_host).to_be_bytes());
    put(&draft.born_timestamp.to_be_bytes());
    draft.born_host.encode(&mut put);
    put(&[0; 8]);
    draft.store_host.encode(&mut put);
    put(&draft.reconsume_times.to_be_bytes());
    put(&draft.prepared_transaction_offset.to_be_bytes());
    put(&lengths.body.to_be_bytes());
}

/// The numbers of a draft, each within the width that the format gives it.
struct Lengths {
    record: i32,
    queue_id: i32,
    body: i32,
    topic: i16,
    properties: i16,
}

impl Lengths {
    fn of(draft: &Draft<'_>, body: usize) -> Result<Self, TooLong> {
        let queue_id = usize::try_from(draft.queue_id).unwrap_or(usize::MAX);
        Ok(Self {
            topic: within("topic's length", draft.topic.len(), MAX_TOPIC_LEN)?,
            properties: within(
                "length of the properties",
                properties_len(draft),
                MAX_PROPERTIES_LEN,
            )?,
            body: within("body's length", body, MAX_RECORD_LEN)?,
            record: within("record's length", encoded_len(draft, body), MAX_RECORD_LEN)?,
            queue_id: within("queue's number", queue_id, 0x7FFF_FFFF)?,
        })
    }
}

fn within<T: TryFrom<usize>>(what: &'static str, value: usize, max: usize) -> Result<T, TooLong> {
    let too_long = TooLong { what, value, max };
    if value > max { Err(too_long) } else { T::try_from(value).or(Err(too_long)) }
}

/// Fills in what is known only under the append lock, then the digits of the CRC.
///
/// `record` is exactly one record as [`encode()`] made it; sealing again gives the record other positions. Returns `false`,
/// leaving everything as it was, if it is not or if an offset does not fit.
///
/// The hottest code of the crate: one pass over the record, no branch that depends on its content but one.
#[must_use]
pub(crate) fn seal(
    record: &mut [u8],
    queue_offset: u64,
    physical_offset: u64,
    store_timestamp: i64,
) -> bool {
    let len = record.len();
    let Some((head, tail)) = record.split_last_chunk_mut::<CRC_TAIL_LEN>() else {
        return false;
    };
    let Some(header) = head.first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    let fits = (queue_offset | physical_offset) >> 63 == 0;
    let whole =
        u32::try_from(len).is_ok_and(|len| header[SIZE_AT..SIZE_AT + 4] == len.to_be_bytes());
    let named = tail[..DIGITS_AT] == CRC_TAIL[..DIGITS_AT];
    if !(fits && whole && named) {
        return false;
    }
    header[QUEUE_OFFSET_AT..QUEUE_OFFSET_AT + 8].copy_from_slice(&queue_offset.to_be_bytes());
    header[PHYSICAL_OFFSET_AT..PHYSICAL_OFFSET_AT + 8]
        .copy_from_slice(&physical_offset.to_be_bytes());
    let stored_at = store_timestamp.to_be_bytes();
    if header[BORN_V6_AT] & BORN_V6_BIT == 0 {
        header[STORED_AT_V4..STORED_AT_V4 + 8].copy_from_slice(&stored_at);
    } else {
        header[STORED_AT_V6..STORED_AT_V6 + 8].copy_from_slice(&stored_at);
    }
    *tail = crc_tail(masked_crc(head));
    true
}

const STORED_AT_V4: usize = BORN_HOST_AT + host::V4_LEN;
const STORED_AT_V6: usize = BORN_HOST_AT + host::V6_LEN;
/// The part of a record that [`seal`] writes to, whatever the born host. Every record is longer.
const HEADER_LEN: usize = STORED_AT_V6 + 8;
/// The lowest byte of the sys flag.
const BORN_V6_AT: usize = SYS_FLAG_AT + 3;
const BORN_V6_BIT: u8 = 0x10;
const _: () = assert!(sysflag::BORN_HOST_V6 == 0x10 && HEADER_LEN <= FIXED_LEN_V1);

/// The eight bytes that end a full segment of which `len` bytes are left, these included.
pub(crate) fn blank(len: u32) -> [u8; BLANK_LEN] {
    let mut bytes = [0; BLANK_LEN];
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    bytes
}
