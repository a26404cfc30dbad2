//! The properties that a filter asks for, found in a message's block in one pass.

use std::collections::BTreeMap;

use crate::message::properties::{NAME_END, PIECE_END};

/// Names of properties, each with its place.
#[derive(Debug)]
pub(super) struct Names(Box<[(Box<str>, usize)]>);

/// So many are looked for one by one, in room that costs nothing.
const FEW: usize = 16;

impl Names {
    /// Of names and their places, which are the first numbers.
    pub(super) fn new(places: BTreeMap<&str, usize>) -> Self {
        Self(places.into_iter().map(|(name, place)| (name.into(), place)).collect())
    }

    /// Calls `with` with the values that `property` has for the names, by place.
    pub(super) fn ask<'a, T>(
        &self,
        mut property: impl FnMut(&str) -> Option<&'a str>,
        with: impl FnOnce(&[Option<&str>]) -> T,
    ) -> T {
        self.filled(
            |values| {
                for (name, place) in &self.0 {
                    if let Some(value) = values.get_mut(*place) {
                        *value = property(name);
                    }
                }
            },
            with,
        )
    }

    /// Calls `with` with the values that a block has for the names, by place: as
    /// [`properties::get`](crate::message::properties::get) would find them, the last readable of each name.
    pub(super) fn read<T>(&self, block: &[u8], with: impl FnOnce(&[Option<&str>]) -> T) -> T {
        self.filled(
            |values| {
                let mut rest = block;
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(piece_len(rest));
                    rest = after.get(1..).unwrap_or_default();
                    if let Some((place, value)) = self.find(piece)
                        && !value.is_empty()
                        && let Ok(value) = str::from_utf8(value)
                        && let Some(known) = values.get_mut(place)
                    {
                        *known = Some(value);
                    }
                }
            },
            with,
        )
    }

    /// The place of the name that a piece has, and its value.
    fn find<'a>(&self, piece: &'a [u8]) -> Option<(usize, &'a [u8])> {
        if self.0.len() <= FEW {
            let first = piece.first();
            // Most names differ in the first byte: looked at by itself, it saves the comparison.
            let mut alike = self.0.iter().filter(|(name, _)| name.as_bytes().first() == first);
            alike.find_map(|(name, place)| {
                let value = piece.strip_prefix(name.as_bytes())?.strip_prefix(&[NAME_END])?;
                Some((*place, value))
            })
        } else {
            let (name, value) = piece.split_at(piece.iter().position(|b| *b == NAME_END)?);
            let at = self.0.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()?;
            let (_, place) = self.0.get(at)?;
            Some((*place, value.get(1..)?))
        }
    }

    fn filled<'a, T>(
        &self,
        fill: impl FnOnce(&mut [Option<&'a str>]),
        with: impl FnOnce(&[Option<&str>]) -> T,
    ) -> T {
        let mut few = [None; FEW];
        let mut many = Vec::new();
        let values = few.get_mut(..self.0.len()).unwrap_or_else(|| {
            many.resize(self.0.len(), None);
            &mut many
        });
        fill(values);
        with(values)
    }
}

/// How long the piece is that a block begins with: to 0x02, or to the end.
fn piece_len(block: &[u8]) -> usize {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    const ENDS: u64 = 0x0101_0101_0101_0101 * PIECE_END as u64;
    let (words, tail) = block.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        // The highest bit of each byte that is an end, and of no other.
        let other = u64::from_be_bytes(*word) ^ ENDS;
        let ends = !((other & LOW).wrapping_add(LOW) | other | LOW);
        if ends != 0 {
            return number * 8 + (ends.leading_zeros() / 8) as usize;
        }
    }
    let in_tail = tail.iter().position(|b| *b == PIECE_END).unwrap_or(tail.len());
    block.len() - tail.len() + in_tail
}
