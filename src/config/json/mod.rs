//! JSON as a broker writes it: strict JSON, except that a map with integer keys has them unquoted.
//!
//! Values keep everything the text said that has a meaning (order of members, the digits of numbers, which keys
//! were bare), so that a file written by a newer broker goes through us without losing what we do not know.

mod parse;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(crate) use parse::{ParseError, parse};
pub(crate) use value::{Key, Member, Value};
pub(crate) use write::{to_line, to_text};
