//! `RocketMQ`'s index files: from a message's keys to where it lies in the log.
//!
//! A file is a hash table of one size with a chain of entries for each slot. Only hashes are stored: who looks something up reads
//! the message, and compares. Everything here works on bytes in memory; see [`mod@format`] for how they lie, [`key`] for what is hashed,
//! [`table`] for how entries get in and are found.

pub(crate) mod format;
pub(crate) mod key;
pub(crate) mod name;
pub(crate) mod table;
#[cfg(test)]
mod tests;
