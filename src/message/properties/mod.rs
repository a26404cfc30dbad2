//! Properties: a message's named texts, and the block they are stored in.
//!
//! ```text
//! name 0x01 value 0x02 | name 0x01 value 0x02 | …
//! ```
//!
//! `RocketMQ`'s reader, followed here: a piece ends at 0x02 or the block's end, the first 0x01 in it ends the name, pieces with
//! an empty name or value are passed over, and of several with one name the last counts. Where that reader would
//! replace bytes that are not UTF-8, this one passes over the piece: nothing is handed out that nobody wrote.

pub(crate) mod name;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::HashSet;
use std::fmt;

pub(crate) use validate::{validate, validate_key, validate_len, validate_tag, validate_value};

pub(crate) const NAME_END: u8 = 1;
pub(crate) const PIECE_END: u8 = 2;

/// The longest block: its length is a signed 16-bit number.
pub(crate) const MAX_BLOCK_LEN: usize = 0x7FFF;
/// The whole-record checksum at the end of a block: name, 0x01, ten digits, 0x02.
pub(crate) const CRC_TAIL_LEN: usize = name::CRC32.len() + 1 + 10 + 1;
/// The longest block of a message before its record gets the checksum.
pub(crate) const MAX_PAYLOAD_LEN: usize = MAX_BLOCK_LEN - CRC_TAIL_LEN;

/// Appends one property to a block. Name and value are checked already.
pub(crate) fn push(block: &mut Vec<u8>, name: &str, value: &str) {
    block.reserve(name.len() + value.len() + 2);
    block.extend_from_slice(name.as_bytes());
    block.push(NAME_END);
    block.extend_from_slice(value.as_bytes());
    block.push(PIECE_END);
}

/// The readable pieces of a block, in stored order, repeated names included.
pub(crate) fn iter(block: &[u8]) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    pieces(block)
        .filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)))
}

/// The value of a name: the last readable piece that has it.
pub(crate) fn get<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    pieces(block)
        .rev()
        .filter(|(candidate, _)| *candidate == name.as_bytes())
        .find_map(|(_, value)| str::from_utf8(value).ok())
}

fn pieces(block: &[u8]) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == PIECE_END).filter_map(|piece| {
        let (name, value) = piece.split_at_checked(piece.iter().position(|b| *b == NAME_END)?)?;
        let value = value.get(1..)?;
        (!name.is_empty() && !value.is_empty()).then_some((name, value))
    })
}

/// The properties of a message: names and values, each name once, in stored order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Box<str>, Box<str>)>);

impl Properties {
    /// Reads a block. The record's checksum, which is stored as a property, is left out.
    pub(crate) fn parse(block: &[u8]) -> Self {
        Self::collect(iter(block).filter(|(name, _)| *name != name::CRC32))
    }

    /// Reads a block with everything in it.
    pub(crate) fn parse_all(block: &[u8]) -> Self {
        Self::collect(iter(block))
    }

    fn collect<'a>(pieces: impl DoubleEndedIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut entries: Vec<(&str, &str)> = Vec::new();
        let mut seen = HashSet::new();
        // From the back, because the last of a name counts. Looking through the few that a message has is quicker than
        // hashing; a block made to be slow has thousands.
        for (name, value) in pieces.rev() {
            let fresh = if entries.len() < 16 {
                !entries.iter().any(|(known, _)| *known == name)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|(known, _)| *known));
                }
                seen.insert(name)
            };
            if fresh {
                entries.push((name, value));
            }
        }
        Self(entries.into_iter().rev().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Names and values, in stored order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + DoubleEndedIterator {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many properties there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
